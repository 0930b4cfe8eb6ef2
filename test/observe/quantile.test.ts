/** Quantiles of differences of histograms, against the values themselves. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKET_BOUNDS_US, bucketOf, type HistogramReading } from '../../src/observe/histograms.ts';
import { countOf, histogramSince, quantileUs } from '../../src/observe/quantile.ts';

function histogramOf(...valuesUs: number[]): HistogramReading {
  const counts = new Float64Array(BUCKET_BOUNDS_US.length + 1);
  for (const us of valuesUs) counts[bucketOf(us)]!++;
  return { sumUs: valuesUs.reduce((sum, us) => sum + us, 0), counts };
}

describe('quantileUs', () => {
  it('is null of nothing', () => {
    expect(quantileUs(histogramOf(), 0.99)).toBeNull();
  });

  it('takes values to lie evenly in their bucket, as histogram_quantile does', () => {
    // 32 to 48 µs, four values: the second of them is half-way.
    expect(quantileUs(histogramOf(40, 40, 40, 40), 0.5)).toBe(40);
    expect(quantileUs(histogramOf(40, 40, 40, 40), 1)).toBe(48);
    expect(quantileUs(histogramOf(3, 1000), 0.5)).toBe(16);
  });

  it('says the last bound of what lies beyond it', () => {
    expect(quantileUs(histogramOf(2 ** 31), 0.5)).toBe(2 ** 28);
  });

  it('is in the bucket of the value that has that rank', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 2 ** 28 - 1 }), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(0.5, 0.9, 0.99, 0.999, 1),
        (values, q) => {
          const ranked = values.toSorted((a, b) => a - b);
          const bucket = bucketOf(ranked[Math.ceil(q * values.length) - 1]!);
          const found = quantileUs(histogramOf(...values), q)!;
          expect(found).toBeGreaterThan(bucket === 0 ? -1 : BUCKET_BOUNDS_US[bucket - 1]!);
          expect(found).toBeLessThanOrEqual(BUCKET_BOUNDS_US[bucket]!);
        },
      ),
    );
  });
});

describe('histogramSince', () => {
  it('leaves what was there before out', () => {
    const since = histogramSince(histogramOf(20, 20, 5000), histogramOf(20));
    expect(since).toEqual(histogramOf(20, 5000));
    expect(countOf(since)).toBe(2);
  });

  it('takes all of a histogram that began anew', () => {
    expect(histogramSince(histogramOf(20), histogramOf(20, 20, 300))).toEqual(histogramOf(20));
  });
});
