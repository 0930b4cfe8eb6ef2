/** What came out, in plain words: who, how fast, how many failed, and beside whom. What is a lower bound is called one. Cold. */

import type { BenchResult, LimitedBy } from '../result.ts';
import { rangeText } from './comparison-bars.ts';
import { counted, duration, percent, percentileName, plainNumber, times, wholeNumber } from './figures.ts';
import { type Insert, type Markup, markup } from './markup.ts';
import {
  type ContestantSummary,
  cpuUsOf,
  isLowerBound,
  mainDelayOf,
  rateOf,
  ratioOf,
  worstLimitOf,
} from './summary.ts';
import { capitalized, DELAY_WORDS, displayName, fullName, isScenarioKnown, LIMIT_WORDS, nounOf } from './vocabulary.ts';

export interface Tile {
  readonly name: string;
  readonly figure: string;
  readonly note: string;
  readonly tone: 'plain' | 'good' | 'bad' | 'doubtful';
}

export interface Headline {
  /** For the title of the page and of the window. */
  readonly title: string;
  /** Sentences. */
  readonly lead: readonly string[];
  readonly tiles: readonly Tile[];
}

/** `summaries`: those of the result, the subject first; may be empty. */
export function headlineOf(result: BenchResult, summaries: readonly ContestantSummary[]): Headline {
  const subject = summaries[0];
  const rival = summaries.find(({ contestant }) => contestant.role === 'against');
  const title = result.title ?? titleOf(result, subject, rival);
  if (subject === undefined)
    return { title, lead: ['No turn was played to its end, so there is nothing to say.'], tiles: [] };
  const lead = [
    rateSentence(result, subject),
    failureSentence(result, subject),
    rival === undefined ? null : rivalSentence(result, subject, rival),
    delaySentence(subject),
  ].filter((part) => part !== null);
  const tiles = [
    rateTile(result, subject),
    cpuTile(result, subject, rival),
    delayTile(subject, rival),
    failureTile(result, subject),
  ].filter((tile) => tile !== null);
  return { title, lead, tiles };
}

export function renderTiles(tiles: readonly Tile[]): Markup {
  return markup`<dl class="tiles">${tiles.map(
    ({ name, figure, note, tone }) =>
      markup`<div class="tile ${tone}"><dt>${name}</dt><dd><strong>${figure}</strong><span>${note}</span></dd></div>`,
  )}</dl>`;
}

/** `Calls through Strowger, beside Kamailio`. */
function titleOf(
  { load }: BenchResult,
  subject: ContestantSummary | undefined,
  rival: ContestantSummary | undefined,
): string {
  const [, many] = nounOf(load.scenario);
  const what = isScenarioKnown(load.scenario) ? capitalized(many) : `Scenario ${load.scenario}`;
  if (subject === undefined) return what;
  const way = load.scenario.startsWith('register') ? 'at' : 'through';
  const beside = rival === undefined ? '' : `, beside ${displayName(rival.contestant)}`;
  return `${what} ${way} ${displayName(subject.contestant)}${beside}`;
}

function rateSentence({ load }: BenchResult, subject: ContestantSummary): string {
  const noun = nounOf(load.scenario);
  const who = fullName(subject.contestant);
  const rate = plainNumber(subject.rate.median);
  const limit = worstLimitOf(subject);
  if (subject.successful === 0) return `${who} completed none of the ${noun[1]}.`;
  if (load.ratePerSec !== null && limit === 'rate') {
    return `${who} was given ${plainNumber(load.ratePerSec)} ${noun[1]} a second and completed ${rate} a second.`;
  }
  return {
    server: `${who} completed ${rate} ${noun[1]} a second; its CPU was the limit.`,
    generator: `${who} completed at least ${rate} ${noun[1]} a second. The load generator was the limit, so this is a lower bound and no measure of what the server can do.`,
    neither: `${who} completed at least ${rate} ${noun[1]} a second. Server and load generator both waited part of the time, so this is a lower bound.`,
    others: `${who} completed ${rate} ${noun[1]} a second while other programs had part of its CPU: this says little about the server.`,
    rate: `${who} completed ${rate} ${noun[1]} a second, the rate that was asked for.`,
    unknown: `${who} completed ${rate} ${noun[1]} a second. Its processes cannot be seen from here, so what limited it is not known.`,
  }[limit];
}

function failureSentence(
  { load }: BenchResult,
  { failed, started, failuresByCause, skipped }: ContestantSummary,
): string {
  const noun = nounOf(load.scenario);
  const skips =
    skipped === 0 ? '' : ` ${wholeNumber(skipped)} more were due while the window was full, and never began.`;
  if (failed === 0) return `None of ${counted(started, noun)} failed.${skips}`;
  const [cause] = failuresByCause[0] ?? [];
  const why = cause === undefined ? '' : `, most of them by ${cause}`;
  return `${wholeNumber(failed)} of ${counted(started, noun)} failed (${percent(failed / started)})${why}.${skips}`;
}

/** Only what is sound is said: rates where the other server was at its limit, CPU where both are known. */
function rivalSentence({ load }: BenchResult, subject: ContestantSummary, rival: ContestantSummary): string | null {
  const [one, many] = nounOf(load.scenario);
  const who = displayName(subject.contestant);
  const parts: string[] = [];
  if (load.ratePerSec === null && worstLimitOf(rival) === 'server') {
    const ratio = ratioOf(subject, rival, rateOf);
    parts.push(`completed ${plainNumber(rival.rate.median)} ${many} a second`);
    if (ratio !== null && worstLimitOf(subject) === 'server') {
      parts[0] +=
        ratio.median >= 1
          ? `, where ${who} did ${timesInWords(ratio.median)} as many`
          : `, ${timesInWords(1 / ratio.median)} as many as ${who}`;
    }
  }
  const ratio = ratioOf(rival, subject, cpuUsOf);
  if (ratio !== null)
    parts.push(
      `needed ${duration(rival.cpuUs!.median)} of CPU for a ${one}, ${timesInWords(ratio.median)} as much as ${who}`,
    );
  if (parts.length === 0) return null;
  return `Under the same load in turns, ${fullName(rival.contestant)} ${parts.join(', and ')}.`;
}

/** 3.1 as `3.1 times`. */
function timesInWords(ratio: number): string {
  return times(ratio).replace('×', 'times');
}

function delaySentence(subject: ContestantSummary): string | null {
  const name = mainDelayOf([subject]);
  const distribution = name === null ? undefined : subject.delays.get(name);
  if (name === null || distribution === undefined) return null;
  const half = duration(distribution.percentileUs(50));
  const { within } = DELAY_WORDS[name];
  if (!distribution.reaches(99)) return `Half ${within} ${half}.`;
  return `Half ${within} ${half}, ${percentileName(99)} within ${duration(distribution.percentileUs(99))}.`;
}

/** How much of the truth a rate is, by what limited it. */
const RATE_TONES: { readonly [limit in LimitedBy]: Tile['tone'] } = {
  server: 'plain',
  rate: 'plain',
  generator: 'doubtful',
  neither: 'doubtful',
  others: 'doubtful',
  unknown: 'plain',
};

function rateTile({ load }: BenchResult, subject: ContestantSummary): Tile {
  const noun = nounOf(load.scenario);
  const limit = worstLimitOf(subject);
  const figure = plainNumber(subject.rate.median);
  const note = isLowerBound(subject)
    ? `a lower bound: ${limit === 'generator' ? 'the load generator was the limit' : 'server and generator both waited'}`
    : subject.successful === 0
      ? 'none succeeded'
      : limit === 'rate'
        ? `as asked for; ${rangeText(subject.rate, plainNumber)}`
        : `limited by ${LIMIT_WORDS[limit].name}; ${rangeText(subject.rate, plainNumber)}`;
  return {
    name: `${capitalized(noun[1])} a second`,
    figure: isLowerBound(subject) ? `≥ ${figure}` : figure,
    note:
      limit === 'unknown' && subject.successful > 0
        ? `what limited it is not known; ${rangeText(subject.rate, plainNumber)}`
        : note,
    tone: subject.successful === 0 ? 'bad' : RATE_TONES[limit],
  };
}

function cpuTile({ load }: BenchResult, subject: ContestantSummary, rival: ContestantSummary | undefined): Tile | null {
  if (subject.cpuUs === null) return null;
  const besides =
    rival?.cpuUs === undefined || rival.cpuUs === null
      ? null
      : `${displayName(rival.contestant)}: ${duration(rival.cpuUs.median)}`;
  return {
    name: `CPU per ${nounOf(load.scenario)[0]}`,
    figure: duration(subject.cpuUs.median),
    note: besides ?? rangeText(subject.cpuUs, duration),
    tone: 'plain',
  };
}

function delayTile(subject: ContestantSummary, rival: ContestantSummary | undefined): Tile | null {
  const name = mainDelayOf([subject]);
  const distribution = name === null ? undefined : subject.delays.get(name);
  if (name === null || distribution === undefined) return null;
  const percentile = distribution.reaches(99) ? 99 : 50;
  const beside = rival?.delays.get(name);
  return {
    name: `${DELAY_WORDS[name].name}, ${percentileName(percentile)}`,
    figure: duration(distribution.percentileUs(percentile)),
    note:
      beside === undefined || !beside.reaches(percentile) || rival === undefined
        ? `at most ${duration(distribution.maxUs)}`
        : `${displayName(rival.contestant)}: ${duration(beside.percentileUs(percentile))}`,
    tone: 'plain',
  };
}

function failureTile({ load }: BenchResult, { failed, started }: ContestantSummary): Tile {
  const noun = nounOf(load.scenario);
  return {
    name: 'Failed',
    figure: wholeNumber(failed),
    note: failed === 0 ? `of ${counted(started, noun)}` : `of ${counted(started, noun)}, ${percent(failed / started)}`,
    tone: failed === 0 ? 'good' : 'bad',
  };
}

/** Whatever makes a figure worth less than it looks: the harness's sentences, and what the limits of the turns say. */
export function doubtsOf(result: BenchResult, summaries: readonly ContestantSummary[]): readonly string[] {
  const doubts = [...result.warnings];
  for (const { contestant, limits, turns, successful, serverDrops, generatorDrops } of summaries) {
    const who = displayName(contestant);
    for (const [limit, count] of limits) {
      if (
        successful === 0 ||
        contestant.role === 'baseline' ||
        (limit !== 'generator' && limit !== 'others' && limit !== 'neither')
      )
        continue;
      doubts.push(
        `${who}: in ${count} of ${turns.length} rounds the limit was ${LIMIT_WORDS[limit].name}. ${LIMIT_WORDS[limit].meaning}`,
      );
    }
    if (generatorDrops > 0) {
      doubts.push(
        `${who}: the kernel dropped ${counted(generatorDrops, ['datagram', 'datagrams'])} on the way to the load generator.`,
      );
    }
    if (serverDrops !== null && serverDrops > 0) {
      doubts.push(
        `${who}: the kernel dropped ${counted(serverDrops, ['datagram', 'datagrams'])} on the way to the server.`,
      );
    }
    if (turns.length === 1 && contestant.role === 'subject') {
      doubts.push('A single round: how much these figures vary by themselves is not known.');
    }
  }
  return [...new Set(doubts)];
}

export function renderDoubts(doubts: readonly string[]): Insert {
  if (doubts.length === 0) return null;
  return markup`<aside class="doubts" aria-labelledby="doubts"><h2 id="doubts">What takes from these figures</h2><ul>${doubts.map(
    (doubt) => markup`<li>${doubt}</li>`,
  )}</ul></aside>`;
}
