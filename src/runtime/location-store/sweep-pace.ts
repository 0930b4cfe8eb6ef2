/** How many buckets of the location table the next step of the sweep looks at, so that all of it is passed once in a
 *  period however large it is, and no step takes long. Pure. */

export class SweepPace {
  readonly #bucketCount: number;
  readonly #periodMs: number;
  #lastMs: number;
  /** Buckets that are due, and a part of one. */
  #due = 0;

  constructor(bucketCount: number, periodMs: number, nowMs: number) {
    this.#bucketCount = bucketCount;
    this.#periodMs = periodMs;
    this.#lastMs = nowMs;
  }

  /** Buckets that are due at `nowMs` (any clock that does not go back), `limit` at the most; what exceeds it stays due, but for
   *  more than one whole pass. */
  take(nowMs: number, limit: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    this.#due = Math.min(this.#bucketCount, this.#due + (elapsedMs * this.#bucketCount) / this.#periodMs);
    const count = Math.min(limit, Math.floor(this.#due));
    this.#due -= count;
    return count;
  }
}
