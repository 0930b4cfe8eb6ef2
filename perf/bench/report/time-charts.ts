/** Rate, latency and CPU over the measured window: the median of the rounds as a line, their range as a shade. Cold. */

import type { BenchResult, Sample, Turn } from '../result.ts';
import { linearAxis, logAxis, timeAxis } from './axis.ts';
import { renderTableBehind } from './data-table.ts';
import { duration, plainNumber, seconds, tickDuration, tickNumber } from './figures.ts';
import { type GridPoint, type Line, type LineChart, renderLegend, renderLineChart } from './line-chart.ts';
import { type Markup, markup } from './markup.ts';
import { type ContestantSummary, mainDelayOf, medianOf } from './summary.ts';
import { DELAY_WORDS, displayName, nounOf } from './vocabulary.ts';

/** One figure of a sample; null: not known, or nothing happened. */
type Figure = (sample: Sample) => number | null;

interface Quantity {
  readonly name: string;
  readonly style: Line['style'];
  readonly figure: Figure;
  /** Shades the range of the rounds; only one in a chart does. */
  readonly isShaded: boolean;
}

/** What the rounds of a contestant had at one step of the grid; null: none had anything. */
type Step = { readonly median: number; readonly min: number; readonly max: number } | null;

interface TimeChart {
  readonly id: string;
  readonly heading: string;
  readonly caption: string;
  readonly note: string | null;
  readonly quantities: readonly Quantity[];
  readonly unit: string;
  readonly isLog: boolean;
  readonly format: (value: number) => string;
  readonly formatTick: (value: number) => string;
  /** Where the axis ends at the least. */
  readonly atLeast: number;
}

/** Null: no turn has a series of two samples. */
export function renderTimeCharts(result: BenchResult, summaries: readonly ContestantSummary[]): Markup | null {
  const those = summaries.filter(({ turns }) => turns.some(({ series }) => series.length > 1));
  if (those.length === 0) return null;
  const rounds = Math.max(...those.map(({ turns }) => turns.length));
  return markup`<div class="stack">${chartsOf(result, summaries).map((chart) => renderChart(chart, those, rounds))}</div>`;
}

function chartsOf(result: BenchResult, summaries: readonly ContestantSummary[]): readonly TimeChart[] {
  const noun = nounOf(result.load.scenario);
  const delay = mainDelayOf(summaries);
  return [
    {
      id: 'rate-over-time',
      heading: `Successful ${noun[1]} a second`,
      caption: 'A calm line is a server that keeps its pace; dips are pauses.',
      note: null,
      quantities: [
        {
          name: `${noun[1]}/s`,
          style: 'solid',
          figure: ({ successful, lengthMs }) => (lengthMs > 0 ? (successful / lengthMs) * 1000 : null),
          isShaded: true,
        },
      ],
      unit: `${noun[1]}/s`,
      isLog: false,
      format: plainNumber,
      formatTick: tickNumber,
      atLeast: 0,
    },
    {
      id: 'delay-over-time',
      heading: delay === null ? 'Delay' : DELAY_WORDS[delay].name,
      caption: 'Of what ended in each second.',
      note: 'solid: 99 %, dotted: 50 %',
      quantities: [
        { name: '99 %', style: 'solid', figure: ({ p99Us }) => p99Us, isShaded: true },
        { name: '50 %', style: 'dotted', figure: ({ p50Us }) => p50Us, isShaded: false },
      ],
      unit: 'delay, logarithmic',
      isLog: true,
      format: duration,
      formatTick: tickDuration,
      atLeast: 0,
    },
    {
      id: 'cpu-over-time',
      heading: 'CPU',
      caption: 'Cores in use: at 1, a whole core is busy. Whoever is at its limit sets the rate.',
      note: 'solid: server, dashed: load generator',
      quantities: [
        { name: 'server', style: 'solid', figure: ({ serverCpuShare }) => serverCpuShare, isShaded: true },
        {
          name: 'load generator',
          style: 'dashed',
          figure: ({ generatorCpuShare }) => generatorCpuShare,
          isShaded: false,
        },
      ],
      unit: 'cores',
      isLog: false,
      format: (share) => `${share.toFixed(2)} cores`,
      formatTick: tickNumber,
      atLeast: 1,
    },
  ];
}

function renderChart(chart: TimeChart, those: readonly ContestantSummary[], rounds: number): Markup | null {
  const tracks = those.flatMap((summary) =>
    chart.quantities.map((quantity) => ({ summary, quantity, steps: stepsOf(summary.turns, quantity.figure) })),
  );
  const filled = tracks.filter(({ steps }) => steps.some((step) => step !== null));
  if (filled.length === 0) return null;
  const all = filled.flatMap(({ steps }) => steps.filter((step) => step !== null));
  const y = axisOf(chart, all);
  const times = timesOf(those);
  const x = timeAxis('seconds since the measured window began', times.at(-1)!.endMs, (ms) => tickNumber(ms / 1000));
  const grid: GridPoint[] = times.map(({ beginMs, endMs }) => ({
    at: x.place((beginMs + endMs) / 2),
    label: `${tickNumber(Math.round(beginMs / 100) / 10)} to ${seconds(endMs)}`,
  }));
  const several = chart.quantities.length > 1;
  const lines: Line[] = filled.map(({ summary, quantity, steps }) => ({
    contestantIndex: summary.index,
    name: several ? `${displayName(summary.contestant)}, ${quantity.name}` : displayName(summary.contestant),
    style: quantity.style,
    values: times.map((_, i) => {
      const step = steps[i] ?? null;
      return step === null ? null : { at: y.place(step.median), text: chart.format(step.median) };
    }),
    band:
      !quantity.isShaded || rounds < 2
        ? null
        : times.map((_, i) => {
            const step = steps[i] ?? null;
            return step === null ? null : [y.place(step.min), y.place(step.max)];
          }),
  }));
  const lineChart: LineChart = { id: chart.id, description: describe(chart, filled), x, y, grid, lines, height: 'low' };
  return markup`<figure class="panel">
<figcaption><h3>${chart.heading}</h3><p>${chart.caption}${rounds > 1 && ` The line is the median of ${rounds} rounds, the shade their range.`}</p></figcaption>
${renderLegend(
  those.map(({ contestant, index }) => ({ index, name: displayName(contestant) })),
  chart.note,
)}
${renderLineChart(lineChart)}
${renderTableBehind({
  caption: `${chart.heading} over time`,
  columns: [{ title: 'When' }, ...lines.map(({ name }) => ({ title: name, isFigure: true }))],
  rows: grid.map(({ label }, i) => [label, ...lines.map(({ values }) => values[i]?.text ?? '–')]),
})}
</figure>`;
}

function axisOf(chart: TimeChart, steps: readonly { readonly min: number; readonly max: number }[]) {
  const highest = Math.max(chart.atLeast, ...steps.map(({ max }) => max));
  if (!chart.isLog) return linearAxis(chart.unit, highest, chart.formatTick, 3);
  const lowest = Math.min(...steps.map(({ min }) => min));
  return logAxis(chart.unit, Math.max(1, lowest), Math.max(1, highest), chart.formatTick);
}

function stepsOf(turns: readonly Turn[], figure: Figure): Step[] {
  const length = Math.max(...turns.map(({ series }) => series.length));
  return Array.from({ length }, (_, i) => {
    const values = turns.flatMap(({ series }) => {
      const sample = series[i];
      const value = sample === undefined ? null : figure(sample);
      return value === null ? [] : [value];
    });
    if (values.length === 0) return null;
    return { median: medianOf(values), min: Math.min(...values), max: Math.max(...values) };
  });
}

interface TimeStep {
  readonly beginMs: number;
  readonly endMs: number;
}

/** When the samples of each step began and ended, at the median of all turns that have them. */
function timesOf(those: readonly ContestantSummary[]): TimeStep[] {
  const turns = those.flatMap(({ turns }) => turns);
  const length = Math.max(...turns.map(({ series }) => series.length));
  return Array.from({ length }, (_, i) => {
    const samples = turns.flatMap(({ series }) => series[i] ?? []);
    const endMs = medianOf(samples.map(({ atMs }) => atMs));
    return { beginMs: endMs - medianOf(samples.map(({ lengthMs }) => lengthMs)), endMs };
  });
}

function describe(
  chart: TimeChart,
  tracks: readonly { summary: ContestantSummary; quantity: Quantity; steps: readonly Step[] }[],
): string {
  const parts = tracks.map(({ summary, quantity, steps }) => {
    const medians = steps.filter((step) => step !== null).map(({ median }) => median);
    const name =
      chart.quantities.length > 1
        ? `${displayName(summary.contestant)}, ${quantity.name}`
        : displayName(summary.contestant);
    return `${name}: ${chart.format(Math.min(...medians))} to ${chart.format(Math.max(...medians))}`;
  });
  return `${chart.heading} over time. ${parts.join('. ')}.`;
}
