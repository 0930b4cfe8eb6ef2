/** Quantiles of what came into a histogram between two readings of it. Pure, cold. */

import { BUCKET_BOUNDS_US, type HistogramReading } from './histograms.ts';

/** What `later` has more than `earlier`. A histogram that has less than before began anew: then all of it. */
export function histogramSince(later: HistogramReading, earlier: HistogramReading): HistogramReading {
  const hasBegunAnew = later.counts.some((count, i) => count < earlier.counts[i]!);
  if (hasBegunAnew) return later;
  return {
    sumUs: later.sumUs - earlier.sumUs,
    counts: later.counts.map((count, i) => count - earlier.counts[i]!),
  };
}

/** How many values a histogram has. */
export function countOf({ counts }: HistogramReading): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The value in microseconds that a share `q` (0 … 1) of all lie at or below, as Prometheus' histogram_quantile finds it: as if values
 *  lay evenly within their bucket. null: there are none. What lies beyond the last bound is given as that bound. */
export function quantileUs(histogram: HistogramReading, q: number): number | null {
  const { counts } = histogram;
  const count = countOf(histogram);
  if (count === 0) return null;
  const rank = q * count;
  let below = 0;
  for (const [bucket, upper] of BUCKET_BOUNDS_US.entries()) {
    const inside = counts[bucket]!;
    if (inside > 0 && below + inside >= rank) {
      const lower = bucket === 0 ? 0 : BUCKET_BOUNDS_US[bucket - 1]!;
      return lower + (upper - lower) * ((rank - below) / inside);
    }
    below += inside;
  }
  return BUCKET_BOUNDS_US.at(-1)!;
}
