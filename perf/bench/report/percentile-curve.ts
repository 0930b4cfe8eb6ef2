/** How long it took, by percentile: a curve for each contestant over HdrHistogram's axis, and the table behind it. Cold. */

import type { DelayName } from '../result.ts';
import { type Axis, linearAxis, logAxis, ninesOf, percentileAxis, percentileOfNines } from './axis.ts';
import { renderTableBehind } from './data-table.ts';
import type { Distribution } from './distribution.ts';
import { duration, percentileName, tickDuration, wholeNumber } from './figures.ts';
import { type GridPoint, type Line, type LineChart, renderLegend, renderLineChart } from './line-chart.ts';
import { type Markup, markup } from './markup.ts';
import type { ContestantSummary } from './summary.ts';
import { capitalized, DELAY_WORDS, displayName } from './vocabulary.ts';

/** From here on a linear axis would press the faster curve onto the floor. */
const LOG_FROM_RATIO = 12;

const POINTS_PER_NINE = 20;

/** Where the curve often is steepest and the even steps are far apart. */
const FIRST_PERCENTILES = [0, 0.5, 1, 2, 4, 7];

const TABLE_PERCENTILES: readonly number[] = [2.5, 50, 75, 90, 97.5, 99, 99.9, 99.99, 99.999];

export interface PercentileCurve {
  readonly x: Axis;
  readonly y: Axis;
  readonly isLogarithmic: boolean;
  readonly grid: readonly GridPoint[];
  readonly lines: readonly Line[];
}

/** Null: nobody has such a delay. */
export function percentileCurveOf(name: DelayName, summaries: readonly ContestantSummary[]): PercentileCurve | null {
  const those = summaries.filter(({ delays }) => delays.has(name));
  if (those.length === 0) return null;
  const distributions = those.map(({ delays }) => delays.get(name)!);
  const largestCount = Math.max(...distributions.map(({ count }) => count));
  const x = percentileAxis('percentile', largestCount);
  const percentiles = gridOf(largestCount);
  const lowest = Math.max(
    1,
    Math.min(...distributions.map((distribution) => Math.max(distribution.minUs, distribution.percentileUs(1) / 10))),
  );
  const highest = Math.max(1, ...distributions.map(({ maxUs }) => maxUs));
  const medians = distributions.map((distribution) => Math.max(1, distribution.percentileUs(50)));
  const isLogarithmic =
    Math.max(highest / Math.max(...medians), Math.max(...medians) / Math.min(...medians)) > LOG_FROM_RATIO;
  const y = isLogarithmic
    ? logAxis('delay, logarithmic', lowest, highest, tickDuration)
    : linearAxis('delay', highest, tickDuration);
  return {
    x,
    y,
    isLogarithmic,
    grid: percentiles.map((percentile) => ({ at: x.place(percentile), label: percentileName(percentile) })),
    lines: those.map(({ contestant, index }, i) => ({
      contestantIndex: index,
      name: displayName(contestant),
      style: 'solid',
      values: percentiles.map((percentile) => valueAt(distributions[i]!, percentile, y)),
      band: null,
    })),
  };
}

function valueAt(distribution: Distribution, percentile: number, y: Axis) {
  if (!distribution.reaches(percentile)) return null;
  const us = distribution.percentileUs(percentile);
  return { at: y.place(us), text: duration(us) };
}

/** Percentiles in even steps of the axis, with 50 % among them, up to one value in `count`. */
function gridOf(count: number): number[] {
  const end = ninesOf(100 - 100 / Math.max(count, 10));
  const nines = [...FIRST_PERCENTILES, 50].map(ninesOf);
  nines.push(end);
  for (let i = 1; i / POINTS_PER_NINE < end - 1e-9; i++) nines.push(i / POINTS_PER_NINE);
  return nines.sort((a, b) => a - b).map((value) => roundedDown(percentileOfNines(value)));
}

/** Never up: a value must be left beyond the last one. */
function roundedDown(percentile: number): number {
  return Math.floor(percentile * 1e7 + 1e-3) / 1e7;
}

/** A picture with its legend and its table; null: nobody has such a delay. */
export function renderPercentileCurve(name: DelayName, summaries: readonly ContestantSummary[]): Markup | null {
  const curve = percentileCurveOf(name, summaries);
  if (curve === null) return null;
  const those = summaries.filter(({ delays }) => delays.has(name));
  const words = DELAY_WORDS[name];
  const chart: LineChart = { id: `percentiles-${name}`, description: describe(name, those), height: 'tall', ...curve };
  return markup`<figure class="panel" data-tab="${words.name}">
<figcaption><h3 class="tab-name">${words.name}</h3><p>${capitalized(words.meaning)}. ${correctionNote(those.map(({ delays }) => delays.get(name)!))}</p></figcaption>
${renderLegend(those.map(({ contestant, index }) => ({ index, name: displayName(contestant) })))}
${renderLineChart(chart)}
${renderTableBehind({
  caption: `${words.name} by percentile`,
  columns: [
    { title: 'Percentile' },
    ...those.map(({ contestant }) => ({ title: displayName(contestant), isFigure: true })),
  ],
  rows: [...rowsOf(name, those)],
})}
</figure>`;
}

function* rowsOf(name: DelayName, those: readonly ContestantSummary[]) {
  const distributions = those.map(({ delays }) => delays.get(name)!);
  yield ['least', ...distributions.map(({ minUs }) => duration(minUs))];
  for (const percentile of TABLE_PERCENTILES) {
    if (!distributions.some((distribution) => distribution.reaches(percentile))) continue;
    yield [
      percentileName(percentile),
      ...distributions.map((distribution) =>
        distribution.reaches(percentile) ? duration(distribution.percentileUs(percentile)) : 'too few',
      ),
    ];
  }
  yield ['most', ...distributions.map(({ maxUs }) => duration(maxUs))];
  yield ['mean', ...distributions.map(({ meanUs }) => duration(meanUs))];
  yield ['how many', ...distributions.map(({ count }) => wholeNumber(count))];
}

function describe(name: DelayName, those: readonly ContestantSummary[]): string {
  const parts = those.map(({ contestant, delays }) => {
    const distribution = delays.get(name)!;
    const at = (percentile: number) =>
      `${percentileName(percentile)} within ${duration(distribution.percentileUs(percentile))}`;
    return `${displayName(contestant)}: ${at(50)}, ${at(99)}, all within ${duration(distribution.maxUs)}`;
  });
  return `${DELAY_WORDS[name].name} by percentile. ${parts.join('. ')}.`;
}

function correctionNote(distributions: readonly Distribution[]): string {
  if (distributions.every(({ isCorrected }) => isCorrected)) {
    return 'Counted from when each was due, so that a stall is charged to everything it held up.';
  }
  return 'Counted from when each was sent: with a fixed number in flight this is mostly queueing behind the others.';
}
