/** A result as text for a terminal: rates, delays, failures, who was busy, and what takes from the figures. Cold. */

import { StreamedTable } from '../../src/cli/table.ts';
import { ALL_PERCENTILES, PERCENTILES } from './delays.ts';
import { machineLine } from './machine.ts';
import { duration, kibibytes, percent, plainNumber, seconds, times, wholeNumber } from './report/figures.ts';
import { doubtsOf, headlineOf } from './report/headline.ts';
import {
  type ContestantSummary,
  cpuUsOf,
  medianOf,
  rateOf,
  ratioOf,
  type Spread,
  summarize,
} from './report/summary.ts';
import { DELAY_WORDS, displayName, fullName, LIMIT_WORDS, nounOf } from './report/vocabulary.ts';
import { type BenchResult, DELAYS, type DelayName, type Turn } from './result.ts';

const INDENT = '  ';

export interface TableOptions {
  /** Every percentile rather than some. */
  readonly hasCurve: boolean;
  /** Sentences are broken to so many characters. */
  readonly width: number;
}

/** Ends without a line feed. */
export function renderTables(result: BenchResult, { hasCurve, width }: TableOptions): string {
  const summaries = summarize(result);
  const { title, lead } = headlineOf(result, summaries);
  const blocks = [
    [title, loadLine(result), machineLine(result.machine)].map((line) => wrapped(line, width)).join('\n'),
    rateTable(result, summaries),
    ...DELAYS.flatMap((name) => delayTable(name, summaries, hasCurve ? ALL_PERCENTILES : PERCENTILES)),
    ratioLines(result, summaries),
    failureLines(summaries),
    cpuTable(summaries),
    wrapped(lead.join(' '), width),
    doubtsOf(result, summaries)
      .map((doubt) => wrapped(`warning: ${doubt}`, width))
      .join('\n'),
  ];
  return blocks
    .filter((block) => block !== '')
    .join('\n\n')
    .replaceAll('\u00a0', ' ');
}

function loadLine({ load }: BenchResult): string {
  const [, many] = nounOf(load.scenario);
  const parts = [
    load.ratePerSec === null
      ? `as many ${many} as come back, ${wholeNumber(load.window ?? 1)} in flight`
      : `${plainNumber(load.ratePerSec)} ${many} a second`,
    load.amount === null
      ? `${seconds(load.durationMs ?? 0)} after ${seconds(load.warmUpMs)} of warm-up`
      : `${wholeNumber(load.amount)} in all`,
    `${load.connections} SIPp ${load.connections === 1 ? 'process calls' : 'processes call'} over ${load.transport.toUpperCase()}`,
  ];
  if (load.users !== null) parts.push(`${wholeNumber(load.users)} users`);
  return parts.join('; ');
}

function rateTable({ load }: BenchResult, summaries: readonly ContestantSummary[]): string {
  const [one, many] = nounOf(load.scenario);
  return table(
    ['', `${many}/s`, 'messages/s', 'retransmissions', 'failed', `CPU per ${one}`, 'limited by'],
    summaries.map((summary) => [
      displayName(summary.contestant),
      spreadText(summary.rate, plainNumber),
      spreadText(summary.messageRate, plainNumber),
      wholeNumber(summary.retransmissions),
      wholeNumber(summary.failed),
      summary.cpuUs === null || summary.contestant.role === 'baseline' ? '–' : spreadText(summary.cpuUs, duration),
      summary.limits.map(([limit]) => LIMIT_WORDS[limit].name).join(', '),
    ]),
  );
}

/** The median, and the range of several rounds. */
function spreadText({ median, min, max, values }: Spread, text: (value: number) => string): string {
  return values.length === 1 ? text(median) : `${text(median)} (${text(min)} … ${text(max)})`;
}

function delayTable(
  name: DelayName,
  summaries: readonly ContestantSummary[],
  percentiles: readonly number[],
): string[] {
  const own = summaries.filter(({ delays }) => delays.has(name));
  if (own.length === 0) return [];
  const isCorrected = own.every(({ delays }) => delays.get(name)!.isCorrected);
  const note = isCorrected ? ', from when it was due' : '';
  const titles = percentiles.map((percentile) => `${percentile} %`);
  const columns = own.map(({ contestant, delays }) => {
    const delay = delays.get(name)!;
    return [
      displayName(contestant),
      ...percentiles.map((percentile) => (delay.reaches(percentile) ? duration(delay.percentileUs(percentile)) : '–')),
      duration(delay.maxUs),
    ];
  });
  const head = ['', ...titles, 'max'];
  // The whole curve is too wide for a line, so it is told downwards.
  const isWide = percentiles.length > PERCENTILES.length;
  const rows = isWide ? head.map((cell, i) => [cell, ...columns.map((column) => column[i]!)]) : [head, ...columns];
  return [`${DELAY_WORDS[name].name}${note}\n${table(rows[0]!, rows.slice(1))}`];
}

/** What the other server is of the first, within a round each. */
function ratioLines({ load }: BenchResult, summaries: readonly ContestantSummary[]): string {
  const subject = summaries.find(({ contestant }) => contestant.role === 'subject');
  const rival = summaries.find(({ contestant }) => contestant.role === 'against');
  if (subject === undefined || rival === undefined) return '';
  const [one, many] = nounOf(load.scenario);
  const figures: (readonly [string, (turn: Turn) => number | null])[] = [
    [`${many}/s`, rateOf],
    [`CPU per ${one}`, cpuUsOf],
    ...DELAYS.filter((name) => subject.delays.has(name) && rival.delays.has(name)).map(
      (name) =>
        [`${DELAY_WORDS[name].name}, 50 %`, (turn: Turn) => turn.delays[name]?.percentilesUs['50'] ?? null] as const,
    ),
  ];
  const rows = figures.flatMap(([what, figure]) => {
    const ratio = ratioOf(rival, subject, figure);
    return ratio === null ? [] : [[what, spreadText(ratio, times)]];
  });
  if (rows.length === 0) return '';
  return table([`${displayName(rival.contestant)} in multiples of ${displayName(subject.contestant)}`, ''], rows);
}

function failureLines(summaries: readonly ContestantSummary[]): string {
  const rows = summaries.flatMap(({ contestant, failuresByCause }) =>
    failuresByCause.map(([cause, count]) => [displayName(contestant), cause, wholeNumber(count)]),
  );
  return rows.length === 0 ? '' : table(['', 'why it failed', 'how many'], rows, new Set([0, 1]));
}

/** Who was busy, in shares of a core; drops and buffers beside it. */
function cpuTable(summaries: readonly ContestantSummary[]): string {
  const names = [...new Set(summaries.flatMap(({ turns }) => turns.flatMap(({ cpu }) => cpu.generatorNs)).map(nameOf))];
  const row = (title: string, cell: (summary: ContestantSummary) => string) => [title, ...summaries.map(cell)];
  const ofServer = (cell: (summary: ContestantSummary) => string) => (summary: ContestantSummary) =>
    summary.contestant.role === 'baseline' ? '–' : cell(summary);
  const rows = [
    row(
      'server',
      ofServer(({ turns }) => shareText(turns, ({ cpu }) => cpu.serverNs)),
    ),
    ...names.map((name) =>
      row(`SIPp ${name}`, ({ turns }) =>
        shareText(turns, ({ cpu }) => cpu.generatorNs.find((one) => one.name === name)?.ns ?? null),
      ),
    ),
    row('harness', ({ turns }) => shareText(turns, ({ cpu }) => cpu.harnessNs)),
    row(
      'drops, server',
      ofServer(({ serverDrops }) => known(serverDrops, wholeNumber)),
    ),
    row('drops, SIPp', ({ generatorDrops }) => wholeNumber(generatorDrops)),
    row(
      'receive buffer, server',
      ofServer(({ turns }) => known(turns[0]!.receiveBufferBytes.server, bytesText)),
    ),
    row('receive buffer, SIPp', ({ turns }) => known(turns[0]!.receiveBufferBytes.generator, bytesText)),
  ];
  return table(['CPU, of a core', ...summaries.map(({ contestant }) => fullName(contestant))], rows);
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

/** The median of the turns. */
function shareText(turns: readonly Turn[], ns: (turn: Turn) => number | null): string {
  const shares = turns.flatMap((turn) => {
    const own = ns(turn);
    return own === null ? [] : [own / 1e6 / turn.wallMs];
  });
  return shares.length < turns.length ? '–' : percent(medianOf(shares));
}

function known(value: number | null, text: (value: number) => string): string {
  return value === null ? '–' : text(value);
}

function bytesText(bytes: number): string {
  return kibibytes(bytes / 1024);
}

/** The first column to the left, figures to the right. */
function table(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  leftColumns: ReadonlySet<number> = new Set([0]),
): string {
  const columns = titles.map((title, i) => ({ title, isFigure: !leftColumns.has(i) }));
  return new StreamedTable(columns)
    .render(rows)
    .split('\n')
    .map((line) => (INDENT + line).trimEnd())
    .join('\n');
}

/** Broken at spaces; a word that is longer stays whole. */
function wrapped(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}
