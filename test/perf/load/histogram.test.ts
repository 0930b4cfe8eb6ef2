import fc from 'fast-check';
import * as hdr from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { delayOf } from '../../../perf/load/delays.ts';
import { Histogram } from '../../../perf/load/histogram.ts';

const latencies = fc.array(fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 200_000_000 })), {
  minLength: 1,
});

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

describe('histogram', () => {
  it('has every percentile within 0.2 % of the one of the sorted values, and exactly below 512 µs', () => {
    fc.assert(
      fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
        const found = histogramOf(values).percentileUs(share);
        if (exact < 512) expect(found).toBe(exact);
        else expect(Math.abs(found - exact) / exact).toBeLessThan(0.0021);
      }),
    );
  });

  it('of two turns added is that of both', () => {
    fc.assert(
      fc.property(latencies, latencies, (a, b) => {
        const sum = histogramOf(a);
        sum.add(histogramOf(b).toJSON());
        expect(sum.toJSON()).toEqual(histogramOf([...a, ...b]).toJSON());
      }),
    );
  });

  it('takes what is out of its range for the nearest there is, and has nothing once cleared', () => {
    const histogram = histogramOf([-5, 2_000_000_000]);
    expect([histogram.minUs, histogram.maxUs]).toEqual([0, 200_000_000]);
    histogram.clear();
    expect(histogram.total).toBe(0);
    expect(histogram.percentileUs(0.5)).toBeNaN();
  });
});

describe('delay', () => {
  it('is an HdrHistogram of the same count, whose percentiles are within 0.3 % of ours', () => {
    fc.assert(
      fc.property(latencies, (values) => {
        const histogram = histogramOf(values);
        const delay = delayOf(histogram.toJSON(), true)!;
        const decoded = hdr.decodeFromCompressedBase64(delay.histogram);
        expect(decoded.totalCount).toBe(values.length);
        expect([delay.count, delay.minUs, delay.maxUs]).toEqual([
          values.length,
          Math.min(...values),
          Math.max(...values),
        ]);
        expect(delay.meanUs).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 3);
        const ours = histogram.percentileUs(0.5);
        expect(Math.abs(delay.percentilesUs['50']! - ours)).toBeLessThanOrEqual(1 + ours * 0.003);
        expect(delay.isCorrected).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('is none where nothing was recorded', () => {
    expect(delayOf(new Histogram().toJSON(), false)).toBeNull();
  });
});
