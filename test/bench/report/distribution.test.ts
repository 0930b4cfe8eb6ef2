import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Distribution } from '../../../perf/bench/report/distribution.ts';
import { delayOf } from '../simulated-result.ts';

const values = fc.array(fc.integer({ min: 1, max: 40_000_000 }), { minLength: 1, maxLength: 300 });

/** The value that so many percent are not above, from the values themselves. */
function exactPercentile(ascending: readonly number[], percentile: number): number {
  const rank = Math.min(ascending.length, Math.max(1, Math.floor((percentile / 100) * ascending.length + 0.5)));
  return ascending[rank - 1]!;
}

describe('a distribution', () => {
  it('of several histograms has the percentiles of all their values, within three digits', () => {
    fc.assert(
      fc.property(values, values, fc.double({ min: 0, max: 100, noNaN: true }), (one, other, percentile) => {
        const both = new Distribution([delayOf(one), delayOf(other)]);
        const ascending = [...one, ...other].sort((a, b) => a - b);
        expect(both.count).toBe(ascending.length);
        expect([both.minUs, both.maxUs]).toEqual([ascending[0], ascending.at(-1)]);
        const exact = exactPercentile(ascending, percentile);
        expect(Math.abs(both.percentileUs(percentile) - exact)).toBeLessThanOrEqual(exact / 1000 + 1);
      }),
      { numRuns: 50 },
    );
  });

  it('is not the mean of percentiles: a slow tenth shows whole', () => {
    const calm = delayOf(Array.from({ length: 900 }, () => 100));
    const stalled = delayOf(Array.from({ length: 100 }, () => 10_000));
    const both = new Distribution([calm, stalled]);
    expect(both.percentileUs(50)).toBe(100);
    expect(both.percentileUs(99) / 10_000).toBeCloseTo(1, 2);
    expect(both.shareUpTo(5000)).toBe(0.9);
    expect([both.shareUpTo(1), both.shareUpTo(20_000)]).toEqual([0, 1]);
    expect(both.meanUs).toBe(1090);
  });

  it('claims a percentile only with a value beyond it', () => {
    const hundred = new Distribution([delayOf(Array.from({ length: 100 }, (_, i) => i + 1))]);
    expect([50, 99, 99.1, 99.9].map((percentile) => hundred.reaches(percentile))).toEqual([true, true, false, false]);
  });

  it('is corrected only if all of it is', () => {
    expect(new Distribution([delayOf([1], true), delayOf([2], true)]).isCorrected).toBe(true);
    expect(new Distribution([delayOf([1], true), delayOf([2], false)]).isCorrected).toBe(false);
  });

  it('of a histogram that has other values than its delay says is refused', () => {
    expect(() => new Distribution([{ ...delayOf([1, 2, 3]), count: 4 }])).toThrow('it holds 3 values');
  });
});
