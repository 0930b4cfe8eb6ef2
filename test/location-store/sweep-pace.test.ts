import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SweepPace } from '../../src/runtime/location-store/sweep-pace.ts';

const PERIOD_MS = 30_000;

describe('the pace of the sweep', () => {
  it('passes every bucket once in a period, whatever its steps', () => {
    const step = fc.integer({ min: 1, max: 900 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000_000 }),
        fc.array(step, { minLength: 1, maxLength: 60 }),
        (buckets, steps) => {
          const pace = new SweepPace(buckets, PERIOD_MS, 1000);
          let nowMs = 1000;
          let passed = 0;
          for (const stepMs of steps) {
            nowMs += stepMs;
            passed += pace.take(nowMs, Number.MAX_SAFE_INTEGER);
          }
          const expected = (buckets * (nowMs - 1000)) / PERIOD_MS;
          expect(Math.abs(passed - expected)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  it('keeps to the limit of a step and makes up for it', () => {
    const pace = new SweepPace(30_000, PERIOD_MS, 0);
    expect(pace.take(100, 64)).toBe(64);
    expect(pace.take(100, 64)).toBe(36);
    expect(pace.take(100, 64)).toBe(0);
  });

  it('does not make up for more than one pass, nor for a clock that went back', () => {
    const pace = new SweepPace(1000, PERIOD_MS, 0);
    expect(pace.take(10 * PERIOD_MS, 5000)).toBe(1000);
    expect(pace.take(0, 5000)).toBe(0);
    expect(pace.take(PERIOD_MS / 1000, 5000)).toBe(1);
  });
});
