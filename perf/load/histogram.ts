/** Latencies in microseconds, in logarithmic bins with 256 linear steps each: exact up to 511 µs, then at most 0.2 % off. Histograms of several turns are added,
 *  percentiles are read from the sum and never averaged. Hot: `record` runs a few times per exchange and allocates nothing;
 *  at the edge (delays.ts) it becomes an HdrHistogram. */

const STEP_BITS = 8;
const STEPS = 1 << STEP_BITS;
const BINS = (32 - STEP_BITS) << STEP_BITS;
const LONGEST_US = 200_000_000;

/** What a histogram is between processes. */
export interface HistogramFigures {
  /** (bin, count) of the bins that are not empty. */
  readonly bins: readonly (readonly [bin: number, count: number])[];
  readonly sumUs: number;
  readonly minUs: number;
  readonly maxUs: number;
}

export class Histogram {
  total = 0;
  minUs = LONGEST_US;
  maxUs = 0;
  readonly #counts = new Float64Array(BINS);
  readonly #sum = new Float64Array(1);

  get sumUs(): number {
    return this.#sum[0]!;
  }

  /** Whole microseconds, 0 … 200,000,000; what lies outside counts as the nearest of them. */
  record(us: number): void {
    const value = Math.min(Math.max(us, 0), LONGEST_US) | 0;
    this.#counts[binOf(value)]!++;
    this.total++;
    this.#sum[0]! += value;
    if (value < this.minUs) this.minUs = value;
    if (value > this.maxUs) this.maxUs = value;
  }

  add(figures: HistogramFigures): void {
    for (const [bin, count] of figures.bins) {
      this.#counts[bin]! += count;
      this.total += count;
    }
    this.#sum[0]! += figures.sumUs;
    this.minUs = Math.min(this.minUs, figures.minUs);
    this.maxUs = Math.max(this.maxUs, figures.maxUs);
  }

  clear(): void {
    this.#counts.fill(0);
    this.total = 0;
    this.#sum[0] = 0;
    this.minUs = LONGEST_US;
    this.maxUs = 0;
  }

  /** The latency in microseconds that `share` (0 … 1) of all were not above; NaN if there are none. */
  percentileUs(share: number): number {
    if (this.total === 0) return Number.NaN;
    let left = Math.max(1, Math.ceil(share * this.total));
    for (let bin = 0; bin < BINS; bin++) {
      left -= this.#counts[bin]!;
      if (left <= 0) return Math.min(middleUsOf(bin), this.maxUs);
    }
    return Number.NaN;
  }

  toJSON(): HistogramFigures {
    const bins: [number, number][] = [];
    for (let bin = 0; bin < BINS; bin++) if (this.#counts[bin]! > 0) bins.push([bin, this.#counts[bin]!]);
    return { bins, sumUs: this.sumUs, minUs: this.minUs, maxUs: this.maxUs };
  }
}

function binOf(us: number): number {
  if (us < STEPS) return us;
  const exponent = 31 - Math.clz32(us) - STEP_BITS;
  return ((exponent + 1) << STEP_BITS) + ((us >>> exponent) & (STEPS - 1));
}

/** In microseconds, what the latencies in a bin are taken for. */
export function middleUsOf(bin: number): number {
  const exponent = (bin >> STEP_BITS) - 1;
  if (exponent <= 0) return bin;
  return (STEPS + (bin & (STEPS - 1)) + 0.5) * 2 ** exponent;
}
