/** A result as one SVG for a README: bars beside the other server, the percentile curve, what it was measured on. Readable in
 *  light and dark; needs no script, font or file beside it. Cold. */

import type { BenchResult } from '../result.ts';
import { type BarPanel, barPanelsOf } from './comparison-bars.ts';
import { headlineOf } from './headline.ts';
import { colourOf, linePath, short } from './line-chart.ts';
import { Markup, markup } from './markup.ts';
import { loadLine, machineLine } from './method.ts';
import { SVG_COLOURS } from './page-style.ts';
import { type PercentileCurve, percentileCurveOf } from './percentile-curve.ts';
import { type ContestantSummary, mainDelayOf, summarize } from './summary.ts';
import { DELAY_WORDS } from './vocabulary.ts';

/** A result without a figure: one line. */
export class UndrawableError extends Error {
  override name = 'UndrawableError';
}

const WIDTH = 880;
const MARGIN = 24;
const INNER = WIDTH - 2 * MARGIN;
const GAP = 48;
const HALF = (INNER - GAP) / 2;

const PANEL_HEAD = 33;
const BAR_PITCH = 37;
const BAR_HEIGHT = 10;
const PANEL_GAP = 20;
const LEAST_PLOT_HEIGHT = 180;

/** Average width of a character by font size; on the safe side, since fonts differ from reader to reader. */
const CHARACTER_EM = 0.55;
const SMALL = 11.5;

const STYLE = new Markup(`
text{fill:var(--ink);font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums}
.title{font-size:19px;font-weight:650}.head{font-weight:600}.value{font-weight:600;text-anchor:end}
.small{font-size:${SMALL}px;fill:var(--muted)}.end{text-anchor:end}.middle{text-anchor:middle}
.paper{fill:var(--panel);stroke:var(--rule)}.ground{fill:var(--ground)}.grid{stroke:var(--grid);fill:none}.floor{stroke:var(--muted);fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.round{stroke:var(--ink);stroke-width:1.5}.halo{stroke:var(--panel);stroke-width:3.5}.hatch{stroke-width:3}
`);

/** The whole file. Throws if a histogram of the result cannot be decoded, and an UndrawableError if nobody had a turn. */
export function renderPicture(result: BenchResult): string {
  const summaries = summarize(result);
  if (summaries.length === 0)
    throw new UndrawableError('nobody had a turn in this result, so there is nothing to draw');
  const { title } = headlineOf(result, summaries);
  const panels = barPanelsOf(result, summaries, 1);
  const delay = mainDelayOf(summaries);
  const curve = delay === null ? null : percentileCurveOf(delay, summaries);
  const rounds = Math.max(...summaries.map(({ turns }) => turns.length));
  const marks = rounds > 1 ? `; medians, with a mark for each of ${rounds} rounds` : '';
  const subtitle = wrapped(loadLine(result) + marks, INNER, SMALL);
  const machine = wrapped(`${machineLine(result.machine)}, ${result.startedAt.slice(0, 10)}`, INNER, SMALL);

  const top = 62 + subtitle.length * 16;
  const barsHeight = panels.reduce((sum, panel) => sum + heightOf(panel), 0) - PANEL_GAP;
  const bodyHeight = Math.max(barsHeight, curve === null ? 0 : LEAST_PLOT_HEIGHT + PANEL_HEAD);
  const height = top + bodyHeight + 34 + machine.length * 15;

  const drawn = markup`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${short(height)}" width="${WIDTH}" height="${short(height)}" role="img" aria-labelledby="title description">
<title id="title">${title}</title><desc id="description">${describe(panels)}</desc>
<style>${SVG_COLOURS}${colourRules(summaries)}${STYLE}</style>
<rect class="paper" x="0.5" y="0.5" width="${WIDTH - 1}" height="${short(height - 1)}" rx="10"/>
<text class="title" x="${MARGIN}" y="38">${title}</text>
${lines(subtitle, MARGIN, 58, 16)}
${renderPanels(panels, top, curve === null ? INNER : HALF)}
${curve !== null && delay !== null && renderCurve(curve, DELAY_WORDS[delay].name, top, bodyHeight)}
${lines(machine, MARGIN, height - 16 - (machine.length - 1) * 15, 15)}
</svg>
`;
  return drawn.text;
}

function describe(panels: readonly BarPanel[]): string {
  return panels
    .map(({ heading, bars, format }) => {
      const parts = bars.map(
        ({ name, spread, isLowerBound }) => `${name} ${isLowerBound ? 'at least ' : ''}${format(spread.median)}`,
      );
      return `${heading}: ${parts.join(', ')}.`;
    })
    .join(' ');
}

// ---- Bars -----------------------------------------------------------------------------------------------------------

function heightOf({ bars }: BarPanel): number {
  return PANEL_HEAD + bars.length * BAR_PITCH + PANEL_GAP;
}

function renderPanels(panels: readonly BarPanel[], top: number, width: number): Markup[] {
  let y = top;
  return panels.map((panel) => {
    const drawn = renderPanel(panel, y, width);
    y += heightOf(panel);
    return drawn;
  });
}

function renderPanel({ id, heading, note, format, bars }: BarPanel, top: number, width: number): Markup {
  const longest = Math.max(...bars.map(({ spread }) => spread.max)) * 1.02;
  return markup`<text class="head" x="${MARGIN}" y="${top + 13}">${heading} <tspan class="small" font-weight="400">${note}</tspan></text>
${bars.map(({ contestantIndex, name, spread, isLowerBound, beside }, i) => {
  const y = top + PANEL_HEAD + i * BAR_PITCH;
  const x = (value: number) => MARGIN + (value / longest) * width;
  const marks = spread.values.map((value) => `M${short(x(value))} ${y + 7}v${BAR_HEIGHT}`).join('');
  const hatch = `${id}-hatch-${contestantIndex}`;
  const colour = `s${colourOf(contestantIndex)}`;
  return markup`<text x="${MARGIN}" y="${y + 2}">${name}${beside !== null && markup` <tspan class="small">${beside}</tspan>`}</text><text class="value" x="${short(MARGIN + width)}" y="${y + 2}">${isLowerBound && '≥ '}${format(spread.median)}</text>
${isLowerBound && markup`<defs><pattern id="${hatch}" width="7" height="10" patternUnits="userSpaceOnUse"><path class="hatch ${colour}" d="M1.5 0V10"/></pattern></defs>`}<rect class="ground" x="${MARGIN}" y="${y + 7}" width="${short(width)}" height="${BAR_HEIGHT}" rx="2"/><rect class="${isLowerBound ? 'bound' : colour}"${isLowerBound && markup` fill="url(#${hatch})"`} x="${MARGIN}" y="${y + 7}" width="${short(x(spread.median) - MARGIN)}" height="${BAR_HEIGHT}" rx="2"/>${
    spread.values.length > 1 && markup`<path class="halo" d="${marks}"/><path class="round" d="${marks}"/>`
  }
`;
})}`;
}

// ---- Curve ----------------------------------------------------------------------------------------------------------

const Y_LABELS_WIDTH = 52;

function renderCurve(
  { x, y, isLogarithmic, grid, lines: curves }: PercentileCurve,
  name: string,
  top: number,
  height: number,
): Markup {
  const begin = MARGIN + HALF + GAP;
  const box = {
    left: begin + Y_LABELS_WIDTH,
    top: top + PANEL_HEAD + 14,
    width: HALF - Y_LABELS_WIDTH - 14,
    height: height - PANEL_HEAD - 14 - 40 - (keyRows(curves).length - 1) * KEY_PITCH,
  };
  const bottom = box.top + box.height;
  const rows = y.ticks.map(({ at }) => `M${box.left} ${short(bottom - at * box.height)}h${box.width}`).join('');
  const columns = x.ticks.map(({ at }) => `M${short(box.left + at * box.width)} ${box.top}v${short(box.height)}`);
  return markup`<text class="head" x="${begin}" y="${top + 13}">${name} <tspan class="small" font-weight="400">by percentile${isLogarithmic && ', logarithmic'}</tspan></text>
<path class="grid" d="${rows}${columns.join('')}"/><path class="floor" d="M${box.left} ${short(bottom)}h${box.width}"/>
${y.ticks
  .filter(({ isMinor }) => !isMinor)
  .map(
    ({ at, label }) =>
      markup`<text class="small end" x="${box.left - 8}" y="${short(bottom - at * box.height + 4)}">${label}</text>`,
  )}
${x.ticks
  .filter(({ isMinor }) => !isMinor)
  .map(
    ({ at, label }) =>
      markup`<text class="small middle" x="${short(box.left + at * box.width)}" y="${short(bottom + 18)}">${label}</text>`,
  )}
${curves.map(
  ({ contestantIndex, values }) =>
    markup`<path class="line s${colourOf(contestantIndex)}" d="${linePath(grid, values, box)}"/>`,
)}
${legend(curves, begin, bottom + 38)}`;
}

const KEY_PITCH = 18;

type Key = PercentileCurve['lines'][number];

const keyWidth = ({ name }: Key) => 24 + name.length * SMALL * CHARACTER_EM + 20;

/** The keys of the legend, as many in a row as fit. */
function keyRows(curves: readonly Key[]): Key[][] {
  const rows: Key[][] = [[]];
  let used = 0;
  for (const curve of curves) {
    if (used > 0 && used + keyWidth(curve) > HALF) {
      rows.push([]);
      used = 0;
    }
    rows.at(-1)!.push(curve);
    used += keyWidth(curve);
  }
  return rows;
}

function legend(curves: readonly Key[], left: number, top: number): Markup[] {
  return keyRows(curves).flatMap((row, i) => {
    const y = top + i * KEY_PITCH;
    let x = left;
    return row.map((key) => {
      const at = x;
      x += keyWidth(key);
      return markup`<path class="line s${colourOf(key.contestantIndex)}" d="M${short(at)} ${short(y - 4)}h18"/><text class="small" x="${short(at + 24)}" y="${short(y)}">${key.name}</text>`;
    });
  });
}

// ---- Words and colours ----------------------------------------------------------------------------------------------

/** Fills for bars, strokes for lines, of those contestants that there are. */
function colourRules(summaries: readonly ContestantSummary[]): string {
  const colours = new Set(summaries.map(({ index }) => colourOf(index)));
  return [...colours]
    .map((colour) => `rect.s${colour}{fill:var(--s${colour})}path.s${colour}{stroke:var(--s${colour})}`)
    .join('');
}

function lines(texts: readonly string[], x: number, y: number, pitch: number): Markup[] {
  return texts.map((text, i) => markup`<text class="small" x="${x}" y="${short(y + i * pitch)}">${text}</text>`);
}

/** At spaces, into lines of no more than `width` pixels. */
function wrapped(text: string, width: number, fontSize: number): string[] {
  const most = Math.floor(width / (fontSize * CHARACTER_EM));
  const found: string[] = [];
  for (const word of text.split(' ')) {
    const last = found.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= most) found[found.length - 1] = `${last} ${word}`;
    else found.push(word);
  }
  return found;
}
