/** Bars that set the contestants beside each other, with the range of the rounds and a mark for each of them. Cold. */

import type { BenchResult } from '../result.ts';
import { duration, percentileName, plainNumber, times } from './figures.ts';
import { colourOf, short } from './line-chart.ts';
import { type Insert, type Markup, markup } from './markup.ts';
import {
  type ContestantSummary,
  cpuUsOf,
  isLowerBound,
  mainDelayOf,
  rateOf,
  ratioOf,
  type Spread,
  spreadOf,
} from './summary.ts';
import { DELAY_WORDS, displayName, nounOf } from './vocabulary.ts';

export interface Bar {
  readonly contestantIndex: number;
  readonly name: string;
  readonly spread: Spread;
  /** The rate was the load's limit, not the server's. */
  readonly isLowerBound: boolean;
  /** What it is beside the subject: `5.4 × as much`. Null: it is the subject, or there is nothing to say. */
  readonly beside: string | null;
}

export interface BarPanel {
  readonly id: string;
  readonly heading: string;
  readonly caption: string;
  /** The caption in a few words. */
  readonly note: string;
  readonly format: (value: number) => string;
  readonly bars: readonly Bar[];
}

/** Of each figure that so many contestants have, or more: rate, CPU and a percentile of the main delay. */
export function barPanelsOf(
  result: BenchResult,
  summaries: readonly ContestantSummary[],
  leastBars = 2,
): readonly BarPanel[] {
  return [ratePanel(result, summaries), cpuPanel(result, summaries), delayPanel(summaries)].filter(
    (panel): panel is BarPanel => panel !== null && panel.bars.length >= leastBars,
  );
}

/** Null: there is nothing to compare. */
export function renderComparison(result: BenchResult, summaries: readonly ContestantSummary[]): Markup | null {
  const panels = barPanelsOf(result, summaries);
  return panels.length === 0 ? null : markup`<div class="bars">${panels.map(renderPanel)}</div>`;
}

function ratePanel({ load }: BenchResult, summaries: readonly ContestantSummary[]): BarPanel {
  const noun = nounOf(load.scenario);
  const isGiven = load.ratePerSec !== null;
  return {
    id: 'bars-rate',
    heading: `Successful ${noun[1]} a second`,
    caption: isGiven
      ? `Longer is not better: ${plainNumber(load.ratePerSec)} a second were asked for.`
      : 'Longer is better.',
    note: isGiven ? 'as asked for' : 'longer is better',
    format: (value) => `${plainNumber(value)}/s`,
    bars: barsOf(
      summaries,
      ({ rate }) => rate,
      true,
      (one, other) => {
        if (isGiven || isLowerBound(one) || isLowerBound(other)) return null;
        const ratio = ratioOf(one, other, rateOf);
        return ratio === null ? null : besideOf(1 / ratio.median, 'as many');
      },
    ),
  };
}

function cpuPanel({ load }: BenchResult, summaries: readonly ContestantSummary[]): BarPanel {
  const [one] = nounOf(load.scenario);
  return {
    id: 'bars-cpu',
    heading: `CPU of the server per ${one}`,
    caption: 'Shorter is better.',
    note: 'shorter is better',
    format: duration,
    bars: barsOf(
      summaries,
      ({ cpuUs }) => cpuUs,
      false,
      (subject, other) => {
        const ratio = ratioOf(other, subject, cpuUsOf);
        return ratio === null ? null : besideOf(ratio.median, 'as much');
      },
    ),
  };
}

const DELAY_PERCENTILE = 99;

function delayPanel(summaries: readonly ContestantSummary[]): BarPanel | null {
  const name = mainDelayOf(summaries);
  if (name === null) return null;
  const percentile = String(DELAY_PERCENTILE);
  return {
    id: 'bars-delay',
    heading: `${DELAY_WORDS[name].name}, ${percentileName(DELAY_PERCENTILE)}`,
    caption: 'Shorter is better. Over all rounds together.',
    note: 'shorter is better',
    format: duration,
    bars: barsOf(
      summaries,
      ({ delays, turns }) => {
        const distribution = delays.get(name);
        const rounds = spreadOf(turns.map((turn) => turn.delays[name]?.percentilesUs[percentile] ?? null));
        if (distribution === undefined || !distribution.reaches(DELAY_PERCENTILE)) return null;
        const median = distribution.percentileUs(DELAY_PERCENTILE);
        return rounds === null ? { median, min: median, max: median, values: [median] } : { ...rounds, median };
      },
      false,
      () => null,
    ),
  };
}

function barsOf(
  summaries: readonly ContestantSummary[],
  figure: (summary: ContestantSummary) => Spread | null,
  isRate: boolean,
  beside: (subject: ContestantSummary, other: ContestantSummary) => string | null,
): Bar[] {
  const subject = summaries[0]!;
  return summaries.flatMap((summary) => {
    const spread = figure(summary);
    if (spread === null) return [];
    return [
      {
        contestantIndex: summary.index,
        name: displayName(summary.contestant),
        spread,
        isLowerBound: isRate && isLowerBound(summary),
        beside: summary === subject ? null : beside(subject, summary),
      },
    ];
  });
}

function besideOf(ratio: number, words: string): string {
  return `${times(ratio)} ${words}`;
}

function renderPanel({ id, heading, caption, format, bars }: BarPanel): Markup {
  // Room for the last mark.
  const longest = Math.max(...bars.map(({ spread }) => spread.max)) * 1.02;
  const boundNote = bars.some((bar) => bar.isLowerBound)
    ? ' Hatched: the load generator was the limit, the server may do more.'
    : null;
  const rounds = Math.max(...bars.map(({ spread }) => spread.values.length));
  const marksNote = rounds > 1 ? ` The marks are the ${rounds} rounds.` : null;
  return markup`<figure class="panel" id="${id}"><figcaption><h3>${heading}</h3><p>${caption}${marksNote}${boundNote}</p></figcaption><ul class="bar-list">${bars.map(
    (bar) => renderBar(bar, longest, format, id),
  )}</ul></figure>`;
}

function renderBar(bar: Bar, longest: number, format: (value: number) => string, id: string): Markup {
  const { contestantIndex, name, spread, beside } = bar;
  const x = (value: number) => short((value / longest) * 1000);
  const hatch = `${id}-hatch-${contestantIndex}`;
  const figure = bar.isLowerBound ? `≥ ${format(spread.median)}` : format(spread.median);
  const marks = spread.values.map((value) => `M${x(value)} 12V88`).join('');
  const range = rangeText(spread, format);
  const title = [`${name}: ${figure}`, range, beside].filter((part) => part !== null).join(', ');
  const pattern: Insert =
    bar.isLowerBound &&
    markup`<defs><pattern id="${hatch}" width="14" height="100" patternUnits="userSpaceOnUse"><path class="hatch s${colourOf(contestantIndex)}" d="M2 0V100"/></pattern></defs>`;
  return markup`
<li class="bar s${colourOf(contestantIndex)}"><span class="bar-name">${name}</span><span class="bar-value">${figure}</span>
<svg class="track" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="${title}"><title>${title}</title>${pattern}
<rect class="ground" width="1000" height="100"/><rect class="fill"${bar.isLowerBound && markup` style="fill:url(#${hatch})"`} width="${x(spread.median)}" height="100"/>
${spread.values.length > 1 && markup`<path class="halo" d="${marks}"/><path class="round" d="${marks}"/>`}</svg>
<span class="bar-range">${shortRange(spread, format)}</span><span class="bar-beside">${beside}</span></li>`;
}

function shortRange({ min, max, values }: Spread, format: (value: number) => string): string {
  if (values.length === 1) return 'one round, noise unknown';
  return format(min) === format(max) ? `${format(min)} in all rounds` : `${format(min)} to ${format(max)}`;
}

/** `12,100/s to 12,500/s in 5 rounds`; of a single round there is no range. */
export function rangeText({ min, max, values }: Spread, format: (value: number) => string): string {
  if (values.length === 1) return 'one round: its noise is unknown';
  const low = format(min);
  const high = format(max);
  return low === high ? `${low} in all of ${values.length} rounds` : `${low} to ${high} in ${values.length} rounds`;
}
