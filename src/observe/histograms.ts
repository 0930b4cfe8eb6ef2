/** Histograms of durations, in a thread's block of the arena: written by that thread only, as plain Float64 additions, and
 *  read by anyone. All have the same buckets, two for each doubling, so that the bucket of a value is a count of leading
 *  zeros. Hot: `record` is two additions, and allocates nothing.
 *
 *  ```
 *  double 0 sum, µs | 1 below 16 µs | 2 below 24 | 3 below 32 | 4 below 48 | … | 50 below 2²⁸ µs (268 s) | 51 the rest
 *  ``` */

import type { Arena } from '../memory/arena.ts';
import { HISTOGRAM_DOUBLES, HISTOGRAMS_PER_THREAD, histogramsOffset } from '../memory/layout.ts';

/** Ids, by what is measured. */
export const HISTOGRAM = {
  /** From a datagram's receipt to the flush that sent what came of it. */
  TRANSIT: 0,
  /** From an INVITE's receipt to its final response. */
  INVITE: 1,
  /** The same of other requests. */
  NON_INVITE: 2,
  /** How late a timer of the main thread was. */
  LOOP_DELAY: 3,
} as const;

const FIRST_OCTAVE = 4;
const LAST_OCTAVE = 28;
const FIRST_BOUND_US = 2 ** FIRST_OCTAVE;
const LAST_BOUND_US = 2 ** LAST_OCTAVE;

/** Upper bounds of the buckets in microseconds, ascending. One more bucket is behind the last. */
export const BUCKET_BOUNDS_US: readonly number[] = Array.from(
  { length: 2 * (LAST_OCTAVE - FIRST_OCTAVE) + 1 },
  (_, i) => (i % 2 === 0 ? 1 : 1.5) * 2 ** (FIRST_OCTAVE + (i >> 1)),
);

/** The bucket of a duration in whole microseconds, 0 … 2³² − 1: the first whose bound is above it. */
export function bucketOf(us: number): number {
  if (us < FIRST_BOUND_US) return 0;
  if (us >= LAST_BOUND_US) return 2 * (LAST_OCTAVE - FIRST_OCTAVE) + 1;
  const octave = 31 - Math.clz32(us);
  return 2 * (octave - FIRST_OCTAVE) + 1 + ((us >>> (octave - 1)) & 1);
}

/** One thread's block. `thread` as in counters.ts. */
export class Histograms {
  readonly #doubles: Float64Array<SharedArrayBuffer>;
  readonly #first: number;

  constructor(arena: Arena, thread: number) {
    this.#doubles = arena.doubles;
    this.#first = histogramsOffset(arena.map, thread) / 8;
  }

  /** Adds a duration in whole microseconds, 0 … 2³² − 1. */
  record(id: number, us: number): void {
    const doubles = this.#doubles;
    const sum = this.#first + id * HISTOGRAM_DOUBLES;
    doubles[sum]! += us;
    doubles[sum + 1 + bucketOf(us)]!++;
  }
}

/** What a histogram holds, of one thread or of several added up. */
export interface HistogramReading {
  sumUs: number;
  /** By bucket, not cumulative; one more than there are bounds. */
  readonly counts: Float64Array;
}

/** Adds a thread's histogram to `reading`, a new one by default. Cold. */
export function readHistogram(
  arena: Arena,
  thread: number,
  id: number,
  reading: HistogramReading = { sumUs: 0, counts: new Float64Array(BUCKET_BOUNDS_US.length + 1) },
): HistogramReading {
  const sum = histogramsOffset(arena.map, thread) / 8 + id * HISTOGRAM_DOUBLES;
  reading.sumUs += arena.doubles[sum]!;
  for (let i = 0; i < reading.counts.length; i++) reading.counts[i]! += arena.doubles[sum + 1 + i]!;
  return reading;
}

if (Object.keys(HISTOGRAM).length > HISTOGRAMS_PER_THREAD) throw new Error('more histograms than a thread block holds');
if (BUCKET_BOUNDS_US.length + 2 > HISTOGRAM_DOUBLES) throw new Error('more buckets than a histogram holds');
