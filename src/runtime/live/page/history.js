/** The points that the charts draw, oldest first, and the starts of the server between them. */

/** @import { LivePoint } from '../live-frame.ts' */

const MAX_POINTS = 900;
/** Further apart than this, nobody knows what was between two points. */
export const GAP_MS = 2600;

export class History {
  /** @type {LivePoint[]} */
  points = [];
  /** When servers were started that were met here, in ms since 1970; the first one not among them.
   *  @type {number[]} */
  restarts = [];
  /** @type {number | null} */
  #startedAtMs = null;

  /** A server says hello: what it remembers is taken where nothing is known yet.
   *  @param {number} startedAtMs
   *  @param {readonly LivePoint[]} points */
  begin(startedAtMs, points) {
    if (this.#startedAtMs !== null && this.#startedAtMs !== startedAtMs) this.restarts.push(startedAtMs);
    this.#startedAtMs = startedAtMs;
    for (const point of points) this.push(point);
  }

  /** @param {LivePoint} point */
  push(point) {
    const last = this.points.at(-1);
    if (last !== undefined && point.at <= last.at) return;
    this.points.push(point);
    if (this.points.length > MAX_POINTS) this.points.shift();
  }

  /** The end of the time axis.
   *  @returns {number} */
  get endMs() {
    return this.points.at(-1)?.at ?? Date.now();
  }

  /** The points of the last `sec` seconds.
   *  @param {number} sec */
  last(sec) {
    const from = this.endMs - sec * 1000;
    return this.points.filter(({ at }) => at >= from);
  }
}
