/** All values of a delay: HdrHistograms added up, and read without rounding to percentiles first. Cold. */

import { decodeFromCompressedBase64, type JsHistogram } from 'hdr-histogram-js';
import type { Delay } from '../result.ts';

/** The bins of one or more histograms that are not empty, ascending. */
export class Distribution {
  readonly count: number;
  readonly minUs: number;
  readonly maxUs: number;
  readonly meanUs: number;
  /** Every part was counted from when its exchange was due. */
  readonly isCorrected: boolean;
  /** Upper edges of the bins, in microseconds. */
  readonly #valuesUs: Float64Array;
  /** How many values are in this bin or a lower one. */
  readonly #upTo: Float64Array;

  /** `delays`: one or more. Throws if a histogram cannot be decoded, or is not of as many values as its delay says. */
  constructor(delays: readonly Delay[]) {
    const bins = new Map<number, number>();
    for (const delay of delays) addBins(bins, delay);
    const ascending = [...bins].sort(([a], [b]) => a - b);
    this.#valuesUs = Float64Array.from(ascending, ([value]) => value);
    this.#upTo = new Float64Array(ascending.length);
    let count = 0;
    for (const [i, [, inBin]] of ascending.entries()) this.#upTo[i] = count += inBin;
    this.count = count;
    const filled = delays.filter((delay) => delay.count > 0);
    this.minUs = Math.min(...filled.map(({ minUs }) => minUs));
    this.maxUs = Math.max(...filled.map(({ maxUs }) => maxUs));
    this.meanUs = filled.reduce((sum, delay) => sum + delay.meanUs * delay.count, 0) / count;
    this.isCorrected = delays.every((delay) => delay.isCorrected);
  }

  /** The value that `percentile` (0 … 100) percent of all were not above, by HdrHistogram's rank; NaN if there are none. */
  percentileUs(percentile: number): number {
    if (this.count === 0) return Number.NaN;
    const rank = Math.min(this.count, Math.max(1, Math.floor((percentile / 100) * this.count + 0.5)));
    return Math.min(this.#valuesUs[this.#firstBinWith(rank)]!, this.maxUs);
  }

  /** Whether there are enough values for a percentile to be more than the maximum: one beyond it at the least. */
  reaches(percentile: number): boolean {
    return this.count * (100 - percentile) >= 100 - 1e-6;
  }

  /** The share of values not above `us`, 0 … 1. */
  shareUpTo(us: number): number {
    let low = 0;
    let high = this.#valuesUs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#valuesUs[middle]! <= us) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : this.#upTo[low - 1]! / this.count;
  }

  /** Upper edges of the bins that are not empty, ascending. */
  get edgesUs(): Readonly<Float64Array> {
    return this.#valuesUs;
  }

  #firstBinWith(rank: number): number {
    let low = 0;
    let high = this.#upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#upTo[middle]! >= rank) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function addBins(bins: Map<number, number>, delay: Delay): void {
  if (delay.count === 0) return;
  // Without WebAssembly, which is the default, it is always the one written in JavaScript.
  const histogram = decodeFromCompressedBase64(delay.histogram, 64) as JsHistogram;
  if (histogram.totalCount !== delay.count) {
    throw new Error(`it holds ${histogram.totalCount} values, and its delay says ${delay.count}`);
  }
  const iterator = histogram.recordedValuesIterator;
  iterator.reset();
  while (iterator.hasNext()) {
    const { valueIteratedTo, countAtValueIteratedTo } = iterator.next();
    bins.set(valueIteratedTo, (bins.get(valueIteratedTo) ?? 0) + countAtValueIteratedTo);
  }
}
