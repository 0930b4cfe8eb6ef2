/** From single times to histograms; and coordinated omission, on exchanges whose stall is known. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  delayOf,
  histogramOf,
  histogramsOf,
  latenessUs,
  mergedDelay,
  newHistogram,
  samplesOf,
} from '../../perf/bench/delays.ts';

const RATE = { ratePerSec: 1000, grainUs: 0 };
const EVERYTHING = { beginUs: 0, endUs: 1e12 };

/** Exchanges 1 … n at 1000 a second, begun when `begin` says, each answered after `tookUs`. */
function exchanges(count: number, begin: (dueUs: number) => number, tookUs: number) {
  const numbers = Float64Array.from({ length: count }, (_, i) => i + 1);
  const begun = numbers.map((number) => begin(number * 1000));
  return { count, numbers, times: [begun, begun.map((time) => time + tookUs)] };
}

const OPTIONS = { delays: { response: { from: 0, to: [1] } } };

describe('lateness', () => {
  it('is none at the rate, wherever its clock begins', () => {
    const { numbers, times } = exchanges(100, (dueUs) => dueUs + 123_456, 0);
    expect(Math.max(...latenessUs(numbers, times[0]!, 1000, 0))).toBe(0);
  });

  it('of a stall is charged to all that waited in it', () => {
    // From 20 to 50 ms nothing is begun; then all of it at once.
    const { numbers, times } = exchanges(100, (dueUs) => (dueUs >= 20_000 && dueUs < 50_000 ? 50_000 : dueUs), 0);
    const lateness = latenessUs(numbers, times[0]!, 1000, 0);
    expect([18, 19, 34, 48, 49].map((i) => lateness[i])).toEqual([0, 30_000, 15_000, 1000, 0]);
  });

  it('of a burst within the grain is how SIPp sends', () => {
    const { numbers, times } = exchanges(100, (dueUs) => Math.ceil(dueUs / 5000) * 5000, 0);
    expect(Math.max(...latenessUs(numbers, times[0]!, 1000, 5000))).toBe(0);
    expect(Math.max(...latenessUs(numbers, times[0]!, 1000, 0))).toBe(4000);
  });

  it('that stays is what was dropped at a full window, and charged to nobody', () => {
    const { numbers, times } = exchanges(100, (dueUs) => (dueUs < 50_000 ? dueUs : dueUs + 40_000), 0);
    expect(Math.max(...latenessUs(numbers, times[0]!, 1000, 0))).toBe(0);
  });

  it('is unknown without a rate', () => {
    const { numbers, times } = exchanges(3, () => 0, 0);
    expect([...latenessUs(numbers, times[0]!, null, 0)]).toEqual([0, 0, 0]);
  });
});

describe('samples', () => {
  it('count from when the exchange was due, and from when it was sent without a rate', () => {
    const stalled = exchanges(100, (dueUs) => (dueUs >= 20_000 && dueUs < 50_000 ? 50_000 : dueUs), 700);
    const open = samplesOf(stalled, OPTIONS, RATE, EVERYTHING).map(({ us }) => us);
    const closed = samplesOf(stalled, OPTIONS, { ...RATE, ratePerSec: null }, EVERYTHING).map(({ us }) => us);
    expect(Math.max(...open)).toBe(30_700);
    expect(Math.max(...closed)).toBe(700);
  });

  it('are those of exchanges that ended in the window', () => {
    const window = { beginUs: 10_000, endUs: 20_000 };
    expect(
      samplesOf(
        exchanges(100, (dueUs) => dueUs, 0),
        OPTIONS,
        RATE,
        window,
      ),
    ).toHaveLength(10);
  });

  it('end with the first response that there was', () => {
    const times = [
      [0, 0],
      [Number.NaN, 300],
      [500, 900],
    ].map((column) => Float64Array.from(column));
    const call = { delays: { sessionRequest: { from: 0, to: [1, 2] } } };
    const samples = samplesOf(
      { count: 2, numbers: Float64Array.of(1, 2), times },
      call,
      { ratePerSec: null, grainUs: 0 },
      EVERYTHING,
    );
    expect(samples.map(({ us }) => us)).toEqual([500, 300]);
  });
});

describe('histograms', () => {
  const delayOfValues = (values: readonly number[]) => {
    const histogram = newHistogram();
    for (const value of values) histogram.recordValue(value);
    return delayOf(histogram, true);
  };

  it('of turns add up to that of all their values; percentiles are read from the sum', () => {
    const values = fc.array(fc.integer({ min: 1, max: 60_000_000 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(values, values, (one, other) => {
        const merged = mergedDelay([delayOfValues(one), delayOfValues(other)])!;
        const { percentilesUs, count } = delayOfValues([...one, ...other]);
        expect([merged.count, merged.percentilesUs]).toEqual([count, percentilesUs]);
      }),
      { numRuns: 30 },
    );
  });

  it('differ from an average of percentiles', () => {
    const quick = delayOfValues(Array.from({ length: 99 }, () => 100));
    const slow = delayOfValues([90_000]);
    const merged = mergedDelay([quick, slow])!;
    expect(merged.percentilesUs['50']).toBe(100);
    expect(merged.maxUs).toBeGreaterThan(89_000);
  });

  it('come back from their text, to three digits', () => {
    const delay = delayOfValues([17, 123_456]);
    const back = histogramOf(delay);
    expect([back.totalCount, back.getValueAtPercentile(50)]).toEqual([2, 17]);
    expect(Math.abs(back.maxValue / 123_456 - 1)).toBeLessThan(0.001);
  });

  it('of nothing is none', () => {
    expect(mergedDelay([])).toBeNull();
    expect(delayOf(newHistogram(), false)).toMatchObject({ count: 0, minUs: 0, maxUs: 0, meanUs: 0 });
  });

  it('are one for each name, and what is negative counts as nothing', () => {
    const histograms = histogramsOf([
      { name: 'setup', endUs: 1, us: -3 },
      { name: 'response', endUs: 1, us: 5 },
    ]);
    expect([...histograms].map(([name, { maxValue }]) => [name, maxValue])).toEqual([
      ['setup', 0],
      ['response', 5],
    ]);
  });
});
