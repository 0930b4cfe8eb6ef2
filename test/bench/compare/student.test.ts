import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binomialTest, studentQuantile, studentTail } from '../../../perf/bench/compare/student.ts';

describe('Student’s t', () => {
  // From the tables of any textbook.
  it.each([
    [0.025, 1, 12.706],
    [0.005, 2, 9.925],
    [0.005, 4, 4.604],
    [0.025, 10, 2.228],
    [0.005, 30, 2.75],
    [0.025, 1e6, 1.96],
  ])('%f of it with %i degrees of freedom lie above %f', (tail, degrees, quantile) => {
    expect(studentQuantile(tail, degrees)).toBeCloseTo(quantile, 3);
  });

  it('quantile and tail are each other’s inverse', () => {
    const tails = fc.double({ min: 1e-4, max: 0.49, noNaN: true });
    fc.assert(
      fc.property(tails, fc.double({ min: 1, max: 500, noNaN: true }), (tail, degrees) => {
        expect(studentTail(studentQuantile(tail, degrees), degrees)).toBeCloseTo(tail, 8);
      }),
    );
  });
});

describe('the binomial test', () => {
  // 7 heads of 10: R's binom.test(7, 10) says 0.3437; 10 of 10: 2 / 1024; 1 of 100 at 5 %: 0.06953.
  it.each([
    [7, 10, 0.5, 0.34375],
    [10, 10, 0.5, 2 / 1024],
    [5, 10, 0.5, 1],
    [0, 0, 0.5, 1],
  ])('%i of %i at %f: p = %f', (k, n, p, expected) => {
    expect(binomialTest(k, n, p)).toBeCloseTo(expected, 6);
  });

  it('is the sum of all draws as improbable, or more', () => {
    const choose = (n: number, k: number) => {
      let ways = 1;
      for (let i = 1; i <= k; i++) ways = (ways * (n - k + i)) / i;
      return ways;
    };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), fc.double({ min: 0.1, max: 0.9 }), (n, seed, p) => {
        const k = seed % (n + 1);
        const density = (i: number) => choose(n, i) * p ** i * (1 - p) ** (n - i);
        let sum = 0;
        for (let i = 0; i <= n; i++) if (density(i) <= density(k) * (1 + 1e-7)) sum += density(i);
        expect(binomialTest(k, n, p)).toBeCloseTo(sum, 6);
      }),
    );
  });

  it('takes no time for millions', () => {
    const before = performance.now();
    expect(binomialTest(5_010_000, 10_000_000, 0.5)).toBeLessThan(1e-9);
    expect(performance.now() - before).toBeLessThan(1000);
  });
});
