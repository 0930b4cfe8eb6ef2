/** Latencies in logarithmic bins with 64 linear steps each: at most 1.6 % off. Histograms of several rounds are added,
 *  percentiles are read from the sum and never averaged. Hot: `record` runs twice per exchange and allocates nothing. */

const STEP_BITS = 6;
const STEPS = 1 << STEP_BITS;
const BINS = (32 - STEP_BITS) << STEP_BITS;
const UNITS_PER_MS = 10_000;

/** What a histogram is between processes: (bin, count) of the bins that are not empty. */
export type HistogramBins = readonly (readonly [bin: number, count: number])[];

export class Histogram {
  readonly #counts = new Float64Array(BINS);
  #total = 0;

  /** `ms`: 0 … 200,000; what lies outside counts as the nearest of them. */
  record(ms: number): void {
    this.#counts[binOf(Math.min(Math.max(ms, 0), 200_000) * UNITS_PER_MS)]!++;
    this.#total++;
  }

  add(bins: HistogramBins): void {
    for (const [bin, count] of bins) {
      this.#counts[bin]! += count;
      this.#total += count;
    }
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** The latency in microseconds that `share` (0 … 1) of all were not above; NaN if there are none. */
  percentileUs(share: number): number {
    let left = Math.ceil(share * this.#total);
    if (this.#total === 0) return Number.NaN;
    for (let bin = 0; bin < BINS; bin++) {
      left -= this.#counts[bin]!;
      if (left <= 0) return (middleOf(bin) * 1000) / UNITS_PER_MS;
    }
    return Number.NaN;
  }

  toJSON(): HistogramBins {
    const bins: [number, number][] = [];
    for (let bin = 0; bin < BINS; bin++) if (this.#counts[bin]! > 0) bins.push([bin, this.#counts[bin]!]);
    return bins;
  }
}

function binOf(units: number): number {
  const whole = units | 0;
  if (whole < STEPS) return whole;
  const exponent = 31 - Math.clz32(whole) - STEP_BITS;
  return ((exponent + 1) << STEP_BITS) + ((whole >>> exponent) & (STEPS - 1));
}

function middleOf(bin: number): number {
  const exponent = (bin >> STEP_BITS) - 1;
  if (exponent < 0) return bin + 0.5;
  return (STEPS + (bin & (STEPS - 1)) + 0.5) * 2 ** exponent;
}
