import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ceilingOf, fitScalabilityLaw, kneeOf, peakOf, throughputOf } from '../../../perf/scale/scalability-law.ts';

const laws = fc.record({
  lambda: fc.double({ min: 100, max: 1e6, noNaN: true }),
  sigma: fc.double({ min: 0, max: 0.9, noNaN: true }),
  kappa: fc.double({ min: 0, max: 0.1, noNaN: true }),
});

describe('Universal Scalability Law', () => {
  it('is found again from points that follow it', () => {
    fc.assert(
      fc.property(laws, (law) => {
        const points = [1, 2, 3, 4, 8, 16].map((workers) => ({ workers, perSec: throughputOf(law, workers) }));
        const fit = fitScalabilityLaw(points);
        expect(fit.lambda / law.lambda).toBeCloseTo(1, 6);
        expect(fit.sigma).toBeCloseTo(law.sigma, 6);
        expect(fit.kappa).toBeCloseTo(law.kappa, 6);
        expect(fit.error).toBeLessThan(1e-6);
      }),
    );
  });

  it('never has a negative part, and says how far the points are off', () => {
    // Faster than linear, as no law can be.
    const fit = fitScalabilityLaw([1, 2, 3, 4].map((workers) => ({ workers, perSec: 100 * workers ** 1.2 })));
    expect([fit.sigma, fit.kappa]).toEqual([0, 0]);
    expect(fit.error).toBeGreaterThan(0.05);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1e6 }), { minLength: 3, maxLength: 9 }), (rates) => {
        const { lambda, sigma, kappa } = fitScalabilityLaw(rates.map((perSec, i) => ({ workers: i + 1, perSec })));
        expect(lambda).toBeGreaterThan(0);
        expect(Math.min(sigma, kappa)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('needs three numbers of workers', () => {
    const twice = [1, 2, 2].map((workers) => ({ workers, perSec: 100 }));
    expect(() => fitScalabilityLaw(twice)).toThrow('needs 3 numbers of workers, not 2');
  });

  it('has its most where one worker more or less brings less', () => {
    fc.assert(
      fc.property(laws, (law) => {
        const peak = peakOf(law);
        fc.pre(peak > 1 && Number.isFinite(peak));
        const most = throughputOf(law, peak) * (1 + 1e-9);
        expect(throughputOf(law, peak * 1.01)).toBeLessThanOrEqual(most);
        expect(throughputOf(law, peak / 1.01)).toBeLessThanOrEqual(most);
        expect(kneeOf(law)).toBeCloseTo(ceilingOf(law) / law.lambda, 9);
      }),
    );
  });

  it('without κ goes towards λ / σ (Amdahl), with neither grows without end', () => {
    const amdahl = { lambda: 100, sigma: 0.1, kappa: 0 };
    expect(peakOf(amdahl)).toBe(Number.POSITIVE_INFINITY);
    expect(ceilingOf(amdahl)).toBe(1000);
    expect(kneeOf(amdahl)).toBe(10);
    expect(throughputOf(amdahl, 1e9)).toBeCloseTo(1000, 3);
    expect(kneeOf({ lambda: 100, sigma: 0, kappa: 0 })).toBe(Number.POSITIVE_INFINITY);
  });
});
