import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Axis,
  linearAxis,
  logAxis,
  ninesOf,
  percentileAxis,
  percentileOfNines,
  timeAxis,
} from '../../../perf/bench/report/axis.ts';

const labels = ({ ticks }: Axis) => ticks.map(({ label }) => label.replaceAll('\u00a0', ' '));
const positive = fc.double({ min: 1e-3, max: 1e9, noNaN: true });

describe('axes', () => {
  it('a linear one goes from 0 to a round value', () => {
    expect(labels(linearAxis('', 12_400, String))).toEqual(['0', '5000', '10000', '15000']);
    expect(linearAxis('', 12_400, String).place(7500)).toBe(0.5);
    expect(labels(linearAxis('', 0, String))).toContain('1');
  });

  it('one of time ends where the time does', () => {
    const axis = timeAxis('', 9500, String);
    expect(axis.place(9500)).toBe(1);
    expect(labels(axis)).toEqual(['0', '2000', '4000', '6000', '8000']);
  });

  it('a logarithmic one gives every decade the same room', () => {
    const axis = logAxis('', 100, 100_000, String);
    expect(labels(axis)).toEqual(['100', '1000', '10000', '100000']);
    expect([100, 1000, 10_000, 100_000].map((value) => Number(axis.place(value).toFixed(6)))).toEqual([
      ...[0, 0.333333, 0.666667, 1],
    ]);
  });

  it('on one of percentiles each step is a tenth of what is left', () => {
    const axis = percentileAxis('', 10_000);
    expect([90, 99, 99.9, 99.99].map((percentile) => Number(axis.place(percentile).toFixed(6)))).toEqual([
      ...[0.25, 0.5, 0.75, 1],
    ]);
    expect(labels(axis)).toEqual(['50 %', '90 %', '99 %', '99.9 %', '99.99 %']);
    expect(labels(percentileAxis('', 999))).not.toContain('99.9 %');
    expect(percentileOfNines(ninesOf(99.95))).toBeCloseTo(99.95, 9);
  });

  it('all values up to the maximum lie on it, in their order, and so do all ticks', () => {
    fc.assert(
      fc.property(positive, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }), (max, shares) => {
        const axes = [
          linearAxis('', max, String),
          timeAxis('', max, String),
          logAxis('', Math.max(1e-3, max / 50), max, String),
        ];
        for (const axis of axes) {
          const places = [...shares, 1].sort((a, b) => a - b).map((share) => axis.place(share * max));
          expect(places).toEqual([...places].sort((a, b) => a - b));
          expect(places.every((place) => place >= 0 && place <= 1)).toBe(true);
          expect(axis.ticks.length).toBeGreaterThanOrEqual(2);
          expect(axis.ticks.every(({ at }) => at >= 0 && at <= 1 + 1e-9)).toBe(true);
        }
      }),
    );
  });
});
