import { describe, expect, it } from 'vitest';
import { failureProbability, noiseOf, testDistributions } from '../../../perf/bench/compare/noise.ts';
import { Distribution } from '../../../perf/bench/report/distribution.ts';
import { delayOf, Random } from '../simulated-result.ts';

describe('noise', () => {
  it('is not known of a single round', () => {
    expect(noiseOf([100], [100, 101], true)).toBeNull();
    expect(failureProbability([{ failed: 1, started: 100 }], [{ failed: 0, started: 100 }])).toBeNull();
  });

  it('is Welch’s t interval over the logarithms', () => {
    // By hand: logarithms 0, 0.1, 0.2 on both sides, variance 0.01, error 2 × 0.01 / 3, 4 degrees, t = 4.604.
    const rounds = [1, Math.exp(0.1), Math.exp(0.2)];
    expect(noiseOf(rounds, rounds, false)).toBeCloseTo(4.6041 * Math.sqrt(0.02 / 3), 4);
    expect(noiseOf(rounds, rounds, true)).toBeGreaterThan(noiseOf(rounds, rounds, false)!);
  });

  it('does not depend on the unit, and shrinks with more rounds', () => {
    const rounds = [100, 104, 98, 101];
    const more = [...rounds, ...rounds];
    const noise = noiseOf(rounds, rounds, true)!;
    const inKilo = rounds.map((value) => value / 1000);
    expect(noiseOf(inKilo, inKilo, true)).toBeCloseTo(noise, 10);
    expect(noiseOf(more, more, true)).toBeLessThan(noise);
  });

  it('of rounds that were equal to the last digit is not nothing', () => {
    expect(noiseOf([100, 100], [100, 100], true)).toBeGreaterThan(0);
  });
});

describe('failures', () => {
  const rounds = (...failed: number[]) => failed.map((count) => ({ failed: count, started: 10_000 }));

  it('that were not there before are no chance', () => {
    expect(failureProbability(rounds(0, 0, 0), rounds(12, 9, 11))).toBeLessThan(0.001);
    expect(failureProbability(rounds(12, 9, 11), rounds(10, 13, 9))).toBeGreaterThan(0.5);
    expect(failureProbability(rounds(0, 0), rounds(0, 0))).toBe(1);
  });

  it('in one burst weigh less than the same number spread out', () => {
    const burst = failureProbability(rounds(0, 0, 0, 0), rounds(0, 60, 0, 0))!;
    const spread = failureProbability(rounds(0, 0, 0, 0), rounds(15, 14, 16, 15))!;
    expect(spread).toBeLessThan(1e-6);
    expect(burst).toBeGreaterThan(0.01);
  });
});

describe('whole distributions', () => {
  const random = new Random(3);
  const round = (medianUs: number) =>
    new Distribution([
      delayOf(Array.from({ length: 2000 }, () => Math.ceil(medianUs * Math.exp(random.normal() * 0.3)))),
    ]);
  const rounds = (medianUs: number, count: number) => Array.from({ length: count }, () => round(medianUs));

  it('that moved are told from chance, and which way', () => {
    const found = testDistributions(rounds(1000, 5), rounds(1200, 5));
    expect(found).toMatchObject({ isSlower: true, probability: 2 / 252 });
    // Log-normal: the difference is largest at the geometric mean, Φ(x) - Φ(-x) for x = ln 1.2 / 2 / 0.3.
    expect(found.distance).toBeCloseTo(0.2388, 1);
    expect(found.atUs / Math.sqrt(1000 * 1200)).toBeCloseTo(1, 0);
    expect(testDistributions(rounds(1000, 5), rounds(900, 5)).isSlower).toBe(false);
  });

  it('that did not move are not', () => {
    const { distance, probability } = testDistributions(rounds(1000, 5), rounds(1000, 5));
    expect(probability).toBeGreaterThan(0.01);
    expect(distance).toBeLessThan(0.05);
  });

  it('of so few rounds that chance could always do it are not judged', () => {
    expect(testDistributions(rounds(1000, 2), rounds(5000, 2)).probability).toBeNull();
  });

  it('get the same verdict every time, also where not all ways to deal are tried', () => {
    const [before, after] = [rounds(1000, 9), rounds(1020, 9)];
    expect(testDistributions(before, after)).toEqual(testDistributions(before, after));
  });
});
