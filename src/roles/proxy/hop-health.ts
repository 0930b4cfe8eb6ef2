/** Which next hops rest after a failure (RFC 3263 4.3, RFC 3261 21.5.4): a shard's own view of them, by the `id` of NextHop.
 *  Runs on the shard. Hot: once per request, allocates nothing. */

import { assert } from '../../base/assert.ts';

export class HopHealth {
  /** When the rest of each next hop ends, in ms. */
  readonly #restEndMs: Float64Array;
  readonly #restMs: number;

  /** For next hops with ids below `hopCount`. With a `restMs` of 0 none ever rests. */
  constructor(hopCount: number, restMs: number) {
    assert(restMs >= 0, 'restMs out of range');
    this.#restEndMs = new Float64Array(hopCount).fill(Number.NEGATIVE_INFINITY);
    this.#restMs = restMs;
  }

  /** It timed out, was unreachable or answered 503: it rests from now on. `nowMs` is of a clock that neither goes back
   *  nor wraps. */
  fail(id: number, nowMs: number): void {
    assert(id < this.#restEndMs.length, 'no such next hop');
    this.#restEndMs[id] = nowMs + this.#restMs;
  }

  /** It answered: its rest, if any, is over. */
  recover(id: number): void {
    assert(id < this.#restEndMs.length, 'no such next hop');
    this.#restEndMs[id] = Number.NEGATIVE_INFINITY;
  }

  isResting(id: number, nowMs: number): boolean {
    return nowMs < this.#restEndMs[id]!;
  }
}
