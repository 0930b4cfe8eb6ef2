/** Lines over a common grid. The curves are an SVG that is stretched to the width there is (its strokes are not); marks and
 *  words are HTML around it, so that they keep their size on a phone. Cold. */

import type { Axis } from './axis.ts';
import { embeddedJson, type Insert, type Markup, markup } from './markup.ts';

export interface GridPoint {
  /** 0 … 1 from the left. */
  readonly at: number;
  /** What the reader is told it is: `99 %`, `12 s`. */
  readonly label: string;
}

/** A value of a line: 0 … 1 from below, and as text. Null: there is none here, and the line is torn. */
export type LineValue = { readonly at: number; readonly text: string } | null;

export interface Line {
  /** Contestant whose line it is; the reader shows and hides all lines of one at once. */
  readonly contestantIndex: number;
  /** What the readout calls it. */
  readonly name: string;
  readonly style: 'solid' | 'dashed' | 'dotted';
  /** As many as the grid has points. */
  readonly values: readonly LineValue[];
  /** From where to where the rounds reached, 0 … 1; null: nothing is shaded. */
  readonly band: readonly (readonly [low: number, high: number] | null)[] | null;
}

export interface LineChart {
  /** Of the page. */
  readonly id: string;
  /** What it shows, in a sentence: for whoever cannot see it. */
  readonly description: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly grid: readonly GridPoint[];
  readonly lines: readonly Line[];
  readonly height: 'tall' | 'low';
}

/** Units of the stretched SVG in both directions. */
const EXTENT = 1000;

export function renderLineChart(chart: LineChart): Markup {
  const { id, description, x, y } = chart;
  return markup`<div class="chart ${chart.height}" data-chart="${id}">
<p class="y-title" aria-hidden="true">${y.title}</p>
<div class="y-axis" aria-hidden="true">${y.ticks.map(
    ({ at, label, isMinor }) =>
      markup`<span${isMinor && markup` class="minor"`} style="bottom:${percentOf(at)}">${label}</span>`,
  )}</div>
<div class="area"><svg class="curves" viewBox="0 0 ${EXTENT} ${EXTENT}" preserveAspectRatio="none" role="img" aria-labelledby="${id}-title"><title id="${id}-title">${description}</title>
${renderGrid(x, y)}${chart.lines.map((line) => renderBand(line, chart))}${chart.lines.map((line) => renderLine(line, chart))}</svg></div>
<div class="x-axis" aria-hidden="true">${x.ticks.map(
    ({ at, label, isMinor }) =>
      markup`<span${isMinor && markup` class="minor"`} style="left:${percentOf(at)}">${label}</span>`,
  )}</div>
<p class="x-title" aria-hidden="true">${x.title}</p>
<script type="application/json" class="readings">${embeddedJson(readingsOf(chart))}</script>
</div>`;
}

/** Buttons that show and hide what belongs to a contestant; plain text without the script. */
export function renderLegend(
  names: readonly { readonly index: number; readonly name: string }[],
  note: Insert = null,
): Markup {
  return markup`<div class="legend">${names.map(
    ({ index, name }) =>
      markup`<button type="button" class="key s${colourOf(index)}" data-toggle="${index}" aria-pressed="true"><svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true"><path class="line" d="M1 4H23"/></svg>${name}</button>`,
  )}${note !== null && markup`<span class="note">${note}</span>`}</div>`;
}

/** There are six; with more contestants they come again. */
export function colourOf(contestantIndex: number): number {
  return contestantIndex % 6;
}

/** The path through those values that are there, in a box of `width` × `height` with its origin at the top left. */
export function linePath(
  grid: readonly GridPoint[],
  values: readonly LineValue[],
  { left = 0, top = 0, width, height }: { left?: number; top?: number; width: number; height: number },
): string {
  let path = '';
  let isTorn = true;
  for (const [i, value] of values.entries()) {
    if (value !== null) {
      const x = left + grid[i]!.at * width;
      const y = top + (1 - value.at) * height;
      path += `${isTorn ? 'M' : 'L'}${short(x)} ${short(y)}`;
      // A line of one point would be invisible; with round caps this is a dot.
      if (isTorn && (values[i + 1] ?? null) === null) path += 'h0';
    }
    isTorn = value === null;
  }
  return path;
}

function renderGrid(x: Axis, y: Axis): Markup {
  const rows = y.ticks.map(({ at }) => `M0 ${short((1 - at) * EXTENT)}H${EXTENT}`).join('');
  const columns = x.ticks.map(({ at }) => `M${short(at * EXTENT)} 0V${EXTENT}`).join('');
  return markup`<path class="grid" d="${rows}${columns}"/><path class="floor" d="M0 ${EXTENT}H${EXTENT}"/>`;
}

function renderLine({ contestantIndex, name, style, values }: Line, { grid }: LineChart): Markup {
  const path = linePath(grid, values, { width: EXTENT, height: EXTENT });
  return markup`<path class="line ${style} s${colourOf(contestantIndex)}" data-series="${contestantIndex}" d="${path}"><title>${name}</title></path>
`;
}

function renderBand({ contestantIndex, band }: Line, { grid }: LineChart): Markup | null {
  if (band === null) return null;
  const shapes: string[] = [];
  let upper: string[] = [];
  let lower: string[] = [];
  const close = () => {
    if (upper.length > 1) shapes.push(`M${[...upper, ...lower.reverse()].join('L')}Z`);
    upper = [];
    lower = [];
  };
  for (const [i, range] of band.entries()) {
    if (range === null) close();
    else {
      const x = short(grid[i]!.at * EXTENT);
      upper.push(`${x} ${short((1 - range[1]) * EXTENT)}`);
      lower.push(`${x} ${short((1 - range[0]) * EXTENT)}`);
    }
  }
  close();
  if (shapes.length === 0) return null;
  return markup`<path class="band s${colourOf(contestantIndex)}" data-series="${contestantIndex}" d="${shapes.join('')}"/>
`;
}

/** What the script reads aloud and beside the pointer. */
function readingsOf({ grid, lines }: LineChart): object {
  return {
    at: grid.map(({ at }) => Number(at.toFixed(4))),
    labels: grid.map(({ label }) => label),
    lines: lines.map(({ contestantIndex, name, values }) => ({
      series: contestantIndex,
      colour: colourOf(contestantIndex),
      name,
      heights: values.map((value) => (value === null ? null : Number(value.at.toFixed(4)))),
      texts: values.map((value) => value?.text ?? null),
    })),
  };
}

export function percentOf(share: number): string {
  return `${short(share * 100)}%`;
}

/** Coordinates: a tenth is finer than any screen. */
export function short(value: number): string {
  return String(Number(value.toFixed(1)));
}
