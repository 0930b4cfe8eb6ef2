/** What a server puts between the start line and the rest of what it forwards: one Via of its own, in a dialog-forming request
 *  one Record-Route too, and nothing else. Hot: once per forwarded request, allocates nothing. */

import { findNewline } from '../../src/base/newline.ts';
import type { Arena } from '../../src/memory/arena.ts';
import { sameBytes } from './byte-compare.ts';
import { serverRoute, serverVia, type Way } from './flow-settings.ts';

const CR = 0x0d;
const CAPITAL_R = 0x52;
const CAPITAL_V = 0x56;

/** Room in the arena for what the lines begin with. */
export const ADDED_LINES_BYTES = 128;

export class AddedLines {
  /** The Record-Route that `areServers` saw last: where its line begins, and its length with CRLF; 0: there was none. */
  routeAt = 0;
  routeBytes = 0;
  readonly #arena: Arena;
  readonly #view: DataView;
  readonly #hops: number;
  readonly #viaAt: number;
  readonly #viaBytes: number;
  readonly #recordRouteAt: number;
  readonly #recordRouteBytes: number;

  /** Keeps its constants at [at, at + ADDED_LINES_BYTES) of the arena. */
  constructor(arena: Arena, at: number, way: Way) {
    this.#arena = arena;
    this.#view = arena.view;
    this.#hops = way.hops;
    const via = `Via: ${serverVia(way)}`;
    const recordRoute = `Record-Route: ${serverRoute(way)}`;
    arena.bytes.set(Buffer.from(via + recordRoute), at);
    this.#viaAt = at;
    this.#viaBytes = via.length;
    this.#recordRouteAt = at + via.length;
    this.#recordRouteBytes = recordRoute.length;
  }

  /** Whether [start, end) is just that. `recordRoutes`: 0 or 1. */
  areServers(start: number, end: number, recordRoutes: number): boolean {
    const { bytes, words } = this.#arena;
    let vias = 0;
    let routes = 0;
    this.routeBytes = 0;
    for (let at = start; at < end; ) {
      const newline = findNewline(words, at, end);
      if (newline >= end || bytes[newline - 1] !== CR) return false;
      if (bytes[at] === CAPITAL_V) {
        if (newline - at <= this.#viaBytes || !sameBytes(this.#view, at, this.#viaAt, this.#viaBytes)) return false;
        vias++;
      } else if (bytes[at] === CAPITAL_R) {
        if (newline - at <= this.#recordRouteBytes) return false;
        if (!sameBytes(this.#view, at, this.#recordRouteAt, this.#recordRouteBytes)) return false;
        this.routeAt = at;
        this.routeBytes = newline + 1 - at;
        routes++;
      } else {
        return false;
      }
      at = newline + 1;
    }
    return vias === this.#hops && routes === recordRoutes * this.#hops;
  }
}
