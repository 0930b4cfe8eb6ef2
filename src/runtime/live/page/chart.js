/** A chart over time: areas upon each other, or lines, drawn as SVG that is stretched to its place, with labels in HTML. All charts
 *  of a page share a cursor: what one is asked about a second, all tell, in their legends. */

/** @import { LivePoint } from '../live-frame.ts' */
/** @import { History } from './history.js' */

import { h, setAttribute, setText, svg } from './dom.js';
import { roundTop, tickText, timeText } from './figures.js';
import { GAP_MS } from './history.js';

/** Units of the stretched SVG in both directions. */
const EXTENT = 1000;
/** A scale shrinks once so many updates in a row would have done with a smaller one. */
const SHRINK_AFTER = 12;

/** @typedef {object} Series
 *  @property {string} name
 *  @property {string} colour class of live.css: s0 …
 *  @property {'solid' | 'dashed'} [style]
 *  @property {(point: LivePoint) => number | null} value */

/** @typedef {object} ChartOptions
 *  @property {string} id
 *  @property {string} title
 *  @property {string} note what is measured, and in what
 *  @property {'areas' | 'lines'} kind
 *  @property {'linear' | 'log'} scale
 *  @property {(value: number | null) => string} format
 *  @property {readonly Series[]} series
 *  @property {Cursor} cursor */

/** By series and point: from where to where it reaches; null: it is nowhere.
 *  @typedef {readonly (readonly ({ readonly from: number, readonly to: number } | null)[])[]} Stacks */

/** The second that is asked about, on all charts of a page; null: the last one. */
export class Cursor {
  /** @type {number | null} */
  at = null;
  /** @type {(() => void)[]} */
  #onMove = [];

  /** @param {() => void} onMove */
  watch(onMove) {
    this.#onMove.push(onMove);
  }

  /** @param {number | null} at */
  move(at) {
    if (at === this.at) return;
    this.at = at;
    for (const onMove of this.#onMove) onMove();
  }
}

export class Chart {
  /** @type {ChartOptions} */
  #options;
  /** @type {HTMLElement} */
  figure;
  #area = h('div', { class: 'area', tabindex: '0', role: 'slider' });
  #curves = svg('svg', {
    class: 'curves',
    viewBox: `0 0 ${EXTENT} ${EXTENT}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  #grid = svg('path', { class: 'grid' });
  #restarts = svg('path', { class: 'restarts' });
  /** @type {{ line: SVGElement, area: SVGElement }[]} */
  #paths;
  #yAxis = h('div', { class: 'y-axis', 'aria-hidden': 'true' });
  #xAxis = h('div', { class: 'x-axis', 'aria-hidden': 'true' });
  #hairline = h('span', { class: 'hairline' });
  #when = h('span', { class: 'when' });
  /** @type {HTMLElement[]} */
  #values;
  /** @type {{ low: number, top: number }} */
  #range;
  #shrinkable = 0;
  /** @type {readonly LivePoint[]} */
  #points = [];
  #endMs = 0;
  #spanSec = 0;

  /** @param {ChartOptions} options */
  constructor(options) {
    this.#options = options;
    const { id, title, note, series, kind } = options;
    this.#range = options.scale === 'log' ? { low: 10, top: 1000 } : { low: 0, top: 1 };
    this.#paths = series.map(({ colour, style }) => ({
      area: svg('path', { class: `band ${colour}` }),
      line: svg('path', { class: `line ${colour} ${style ?? 'solid'}` }),
    }));
    this.#values = series.map(() => h('span', { class: 'value' }));
    this.#curves.append(this.#grid);
    // The first series lies at the bottom, and its line above all others.
    const reversed = this.#paths.toReversed();
    if (kind === 'areas') this.#curves.append(...reversed.map(({ area }) => area));
    this.#curves.append(...reversed.map(({ line }) => line), this.#restarts);
    this.#area.append(this.#curves, this.#hairline);
    const legend = h(
      'ul',
      { class: 'legend' },
      ...series.map(({ name, colour, style }, i) =>
        h(
          'li',
          {},
          h('span', { class: `swatch ${colour} ${style ?? 'solid'}` }),
          h('span', { class: 'name' }, name),
          /** @type {HTMLElement} */ (this.#values[i]),
        ),
      ),
    );
    this.figure = h(
      'figure',
      { class: 'panel chart-panel', 'aria-labelledby': `${id}-title` },
      h('figcaption', {}, h('h2', { id: `${id}-title` }, title), h('p', { class: 'quiet' }, note), this.#when),
      h('div', { class: 'chart' }, this.#yAxis, this.#area, this.#xAxis),
      legend,
    );
    this.#area.setAttribute('aria-label', `${title}, ${note}: arrow keys read it second by second`);
    this.#listen();
    options.cursor.watch(() => this.#read());
  }

  /** @param {History} history
   *  @param {number} spanSec */
  draw(history, spanSec) {
    this.#points = history.last(spanSec);
    this.#endMs = history.endMs;
    if (spanSec !== this.#spanSec || this.#xAxis.children.length === 0) {
      this.#spanSec = spanSec;
      this.#labelTime();
    }
    const stacks = this.#stack();
    this.#fitRange(stacks);
    for (const [i, paths] of this.#paths.entries()) this.#drawSeries(paths, stacks, i);
    this.#drawGrid();
    const marks = history.restarts.filter((at) => at > this.#endMs - spanSec * 1000);
    setAttribute(this.#restarts, 'd', marks.map((at) => `M${this.#x(at)} 0V${EXTENT}`).join(''));
    this.#read();
  }

  /** By series and point: from where to where it reaches. Lines begin nowhere.
   *  @returns {Stacks} */
  #stack() {
    const { series, kind } = this.#options;
    const floors = new Float64Array(this.#points.length);
    return series.map(({ value }) =>
      this.#points.map((point, i) => {
        const height = value(point);
        if (height === null) return null;
        if (kind === 'lines') return { from: 0, to: height };
        const from = floors[i] ?? 0;
        floors[i] = from + height;
        return { from, to: from + height };
      }),
    );
  }

  /** @param {Stacks} stacks */
  #fitRange(stacks) {
    let min = Number.POSITIVE_INFINITY;
    let max = 0;
    for (const stack of stacks) {
      for (const reach of stack) {
        if (reach === null) continue;
        if (reach.to > max) max = reach.to;
        if (reach.to < min && reach.to > 0) min = reach.to;
      }
    }
    const fitting = this.#options.scale === 'log' ? decadesAround(min, max) : { low: 0, top: roundTop(max) };
    const { low, top } = this.#range;
    const hasOutgrown = fitting.top > top || fitting.low < low;
    const isLoose = fitting.top < top || fitting.low > low;
    this.#shrinkable = isLoose && !hasOutgrown ? this.#shrinkable + 1 : 0;
    if (hasOutgrown && this.#options.scale === 'log') {
      this.#range = { low: Math.min(low, fitting.low), top: Math.max(top, fitting.top) };
    } else if (hasOutgrown || this.#shrinkable > SHRINK_AFTER) {
      this.#range = fitting;
      this.#shrinkable = 0;
    }
  }

  /** @param {{ line: SVGElement, area: SVGElement }} paths
   *  @param {Stacks} stacks
   *  @param {number} series */
  #drawSeries({ line, area }, stacks, series) {
    const stack = stacks[series] ?? [];
    const isArea = this.#options.kind === 'areas';
    let top = '';
    let shape = '';
    /** @type {string[]} */
    let floor = [];
    let lastAt = Number.NEGATIVE_INFINITY;
    const close = () => {
      if (floor.length > 0) shape += `L${floor.reverse().join('L')}Z`;
      floor = [];
    };
    let isThere = false;
    for (const [i, point] of this.#points.entries()) {
      const reach = stack[i];
      // A series that is nowhere to be seen needs no line along the floor.
      if (reach == null) {
        close();
        lastAt = Number.NEGATIVE_INFINITY;
        continue;
      }
      if (reach.to > reach.from) isThere = true;
      const x = this.#x(point.at);
      const y = this.#y(reach.to);
      const isTorn = point.at - lastAt > GAP_MS;
      if (isTorn) close();
      top += `${isTorn ? 'M' : 'L'}${x} ${y}`;
      if (isArea) {
        shape += `${isTorn ? 'M' : 'L'}${x} ${y}`;
        floor.push(`${x} ${this.#y(reach.from)}`);
      }
      lastAt = point.at;
    }
    close();
    setAttribute(line, 'd', isThere || !isArea ? top : '');
    if (isArea) setAttribute(area, 'd', isThere ? shape : '');
  }

  #drawGrid() {
    const { scale, format } = this.#options;
    const ticks = this.#ticks();
    setAttribute(this.#grid, 'd', ticks.map((value) => `M0 ${this.#y(value)}H${EXTENT}`).join(''));
    while (this.#yAxis.children.length > ticks.length) this.#yAxis.lastElementChild?.remove();
    for (const [i, value] of ticks.entries()) {
      const label = /** @type {HTMLElement} */ (this.#yAxis.children[i] ?? this.#yAxis.appendChild(h('span')));
      setText(label, scale === 'linear' ? tickText(value) : format(value));
      label.style.bottom = `${100 - this.#y(value) / (EXTENT / 100)}%`;
    }
  }

  #ticks() {
    const { low, top } = this.#range;
    if (this.#options.scale === 'linear') return [0, top / 2, top];
    const ticks = [];
    for (let value = low; value <= top * 1.001; value *= 10) ticks.push(value);
    return ticks;
  }

  #labelTime() {
    const spans = { 60: [60, 45, 30, 15], 300: [300, 240, 180, 120, 60], 900: [900, 600, 300] };
    const seconds = spans[/** @type {60} */ (this.#spanSec)] ?? [this.#spanSec];
    const labels = [...seconds, 0].map((sec, i) => {
      const text = sec === 0 ? 'now' : sec % 60 === 0 ? `−${sec / 60}\u202fmin` : `−${sec}\u202fs`;
      // Where there is little room, every other one will do.
      const label = h('span', { class: i % 2 === 1 && sec !== 0 ? 'minor' : undefined }, text);
      label.style.left = `${100 - (sec / this.#spanSec) * 100}%`;
      return label;
    });
    this.#xAxis.replaceChildren(...labels);
  }

  /** @param {number} at */
  #x(at) {
    return Math.round((1 - (this.#endMs - at) / (this.#spanSec * 1000)) * EXTENT * 10) / 10;
  }

  /** @param {number} value */
  #y(value) {
    const { low, top } = this.#range;
    const share =
      this.#options.scale === 'linear' ? value / top : Math.log10(Math.max(value, low) / low) / Math.log10(top / low);
    return Math.round((1 - Math.min(1, share)) * EXTENT * 10) / 10;
  }

  // ---- Reading it ----

  /** Shows the second of the cursor, or the last one, in the legend. */
  #read() {
    const { series, format, cursor } = this.#options;
    const point = cursor.at === null ? this.#points.at(-1) : this.#nearest(cursor.at);
    const isAsked = cursor.at !== null && point !== undefined;
    this.figure.classList.toggle('asked', isAsked);
    if (isAsked) this.#hairline.style.left = `${this.#x(point.at) / (EXTENT / 100)}%`;
    setText(this.#when, isAsked ? timeText(point.at) : '');
    const texts = series.map(({ value }) => (point === undefined ? '–' : format(value(point))));
    for (const [i, text] of texts.entries()) setText(/** @type {HTMLElement} */ (this.#values[i]), text);
    setAttribute(this.#area, 'aria-valuemin', '0');
    setAttribute(this.#area, 'aria-valuemax', String(Math.max(0, this.#points.length - 1)));
    const place = point === undefined ? 0 : this.#points.indexOf(point);
    setAttribute(this.#area, 'aria-valuenow', String(place));
    // Spoken when the reader asks, and not every second.
    if (isAsked || !this.#area.hasAttribute('aria-valuetext')) {
      const spoken = series.map(({ name }, i) => `${name} ${texts[i]}`).join(', ');
      setAttribute(
        this.#area,
        'aria-valuetext',
        `${point === undefined ? 'nothing yet' : timeText(point.at)}: ${spoken}`,
      );
    }
  }

  /** @param {number} at
   *  @returns {LivePoint | undefined} */
  #nearest(at) {
    /** @type {LivePoint | undefined} */
    let best;
    for (const point of this.#points) {
      if (best === undefined || Math.abs(point.at - at) <= Math.abs(best.at - at)) best = point;
    }
    return best;
  }

  #listen() {
    const { cursor } = this.#options;
    const follow = (/** @type {PointerEvent} */ event) => {
      const { left, width } = this.#area.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - left) / width));
      cursor.move(this.#nearest(this.#endMs - (1 - share) * this.#spanSec * 1000)?.at ?? null);
    };
    this.#area.addEventListener('pointermove', follow);
    this.#area.addEventListener('pointerdown', follow);
    this.#area.addEventListener('pointerleave', () => cursor.move(null));
    this.#area.addEventListener('blur', () => cursor.move(null));
    this.#area.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const points = this.#points;
    const { cursor } = this.#options;
    const last = points.length - 1;
    if (last < 0) return;
    const asked = cursor.at === null ? undefined : this.#nearest(cursor.at);
    const place = asked === undefined ? last : points.indexOf(asked);
    const target = {
      ArrowLeft: place - 1,
      ArrowDown: place - 1,
      ArrowRight: place + 1,
      ArrowUp: place + 1,
      PageUp: place + 30,
      PageDown: place - 30,
      Home: 0,
      End: last,
      Escape: null,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    cursor.move(target === null ? null : (points[Math.min(last, Math.max(0, target))]?.at ?? null));
  }
}

/** Powers of ten around the values, at least a factor of a hundred; some range where there are none.
 *  @param {number} min
 *  @param {number} max */
function decadesAround(min, max) {
  if (max === 0) return { low: 10, top: 1000 };
  const low = 10 ** Math.floor(Math.log10(min));
  const top = 10 ** Math.ceil(Math.log10(max) - 1e-9);
  return { low, top: Math.max(top, low * 100) };
}

/** A line without axes for a tile: values by their time, over the last `spanSec` before `endMs`.
 *  @returns {{ element: SVGElement, draw(values: readonly { at: number, value: number | null }[], endMs: number, spanSec: number): void }} */
export function sparkline() {
  const area = svg('path', { class: 'band s0' });
  const line = svg('path', { class: 'line s0' });
  const element = svg(
    'svg',
    { class: 'sparkline', viewBox: '0 0 100 30', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    area,
    line,
  );
  return {
    element,
    draw(values, endMs, spanSec) {
      const max = Math.max(...values.map(({ value }) => value ?? 0), 1e-9);
      let top = '';
      let shape = '';
      let x = 0;
      let lastAt = Number.NEGATIVE_INFINITY;
      for (const { at, value } of values) {
        if (value === null) continue;
        const isTorn = at - lastAt > GAP_MS;
        if (isTorn && shape !== '') shape += `V30Z`;
        x = Math.round((100 - ((endMs - at) / (spanSec * 1000)) * 100) * 10) / 10;
        const y = Math.round((29 - (value / max) * 26) * 10) / 10;
        top += `${isTorn ? 'M' : 'L'}${x} ${y}`;
        shape += `${isTorn ? `M${x} 30` : ''}L${x} ${y}`;
        lastAt = at;
      }
      setAttribute(line, 'd', top);
      setAttribute(area, 'd', shape === '' ? '' : `${shape}V30Z`);
    },
  };
}
