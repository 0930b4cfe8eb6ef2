import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decreaseWeightOf,
  findEstablishmentRate,
  RFC_PARAMETERS,
  refineRate,
  type SearchParameters,
  type TrialOutcome,
} from '../../../../perf/bench/search/establishment-rate.ts';

const PARAMETERS: SearchParameters = { ...RFC_PARAMETERS, maxTrials: 1000 };

/** A device under test that sets up every session until `limitPerSec`, and beyond that fails the excess. */
function deviceWithLimit(limitPerSec: number) {
  return async (ratePerSec: number, sessions: number): Promise<TrialOutcome> => ({
    failed: Math.ceil(sessions * Math.max(0, 1 - limitPerSec / ratePerSec)),
    wasOffered: true,
  });
}

/** The simulation of RFC 7502 Appendix A, find_R, from R into TypeScript and otherwise as it is there. */
function findRateOfAppendix(dutMaxSps: number, r: number, w = 0.1): number {
  let oldR = 0;
  let count = 0;
  let d = Math.max(0.1, w / 2);
  while (true) {
    if (r <= dutMaxSps) {
      if (r > oldR) oldR = r;
      else {
        count = count + 1;
        if (count >= 10) return Math.max(r, oldR);
      }
      r = Math.floor(r + w * r);
    } else {
      r = Math.floor(r - d * r);
      d = Math.max(0.1, d / 2);
      w = Math.max(0.1, w / 2);
    }
  }
}

/** Numbers from a seed, 0 to below 1. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const weights = fc.double({ min: 0.1, max: 1, noNaN: true });

describe('RFC 7502 4.10, the benchmarking algorithm', () => {
  it('finds 458 where the RFC does: a limit of 460, from 100', async () => {
    const search = await findEstablishmentRate(deviceWithLimit(460), PARAMETERS);
    expect(search).toMatchObject({ ratePerSec: 458, end: 'converged', hasStalled: false });
    expect(search.trials.map(({ ratePerSec }) => ratePerSec)).toEqual([
      100, 110, 121, 133, 146, 160, 176, 193, 212, 233, 256, 281, 309, 339, 372, 409, 449, 493, 443, 487, 438, 481, 432,
      475, 427, 469, 422, 464, 417, 458, 503, 452, 497, 447, 491, 441, 485, 436,
    ]);
    expect(search.trials.filter(({ hasPassed }) => !hasPassed).map(({ ratePerSec }) => ratePerSec)).toEqual([
      493, 487, 481, 475, 469, 464, 503, 497, 491, 485,
    ]);
  });

  it('attempts N sessions in every trial', async () => {
    const { trials } = await findEstablishmentRate(deviceWithLimit(250), { ...PARAMETERS, sessions: 777 });
    expect(new Set(trials.map(({ sessions }) => sessions))).toEqual(new Set([777]));
  });

  it('agrees with the simulation of Appendix A for any limit, start and weight', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10, max: 50_000 }),
        fc.integer({ min: 10, max: 50_000 }),
        weights,
        async (limit, r, w) => {
          const parameters = {
            ...PARAMETERS,
            initialRatePerSec: r,
            increaseWeight: w,
            decreaseWeight: decreaseWeightOf(w),
          };
          const { ratePerSec } = await findEstablishmentRate(deviceWithLimit(limit), parameters);
          expect(ratePerSec).toBe(findRateOfAppendix(limit, r, w));
        },
      ),
    );
  });

  it('ends, at no more than the limit and within a tenth of it', async () => {
    await fc.assert(
      fc.asyncProperty(
        // A decrease from above it leaves at least 10, below which a tenth is less than a session and the rate stops growing.
        fc.integer({ min: 20, max: 50_000 }),
        fc.integer({ min: 10, max: 50_000 }),
        weights,
        weights,
        async (limit, initialRatePerSec, increaseWeight, decreaseWeight) => {
          // A decrease by more than half may end the search far below, as the RFC's own d, half of w, never does.
          fc.pre(decreaseWeight <= 0.5);
          const parameters = { ...PARAMETERS, initialRatePerSec, increaseWeight, decreaseWeight };
          const { ratePerSec, end, trials } = await findEstablishmentRate(deviceWithLimit(limit), parameters);
          expect(end).toBe('converged');
          expect(ratePerSec).toBeLessThanOrEqual(limit);
          expect(ratePerSec).toBeGreaterThanOrEqual(Math.floor(0.9 * limit));
          expect(trials.length).toBeLessThan(200);
        },
      ),
    );
  });

  it('ends with noise too, at a rate that has passed and that no other passed rate exceeds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 100, max: 20_000 }),
        fc.integer(),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        async (limit, seed, noise) => {
          const random = randomFrom(seed);
          const isBelow = deviceWithLimit(limit);
          const noisy = async (ratePerSec: number, sessions: number): Promise<TrialOutcome> =>
            random() < noise ? { failed: 1, wasOffered: true } : isBelow(ratePerSec, sessions);
          const { ratePerSec, end, trials } = await findEstablishmentRate(noisy, PARAMETERS);
          const passed = trials.filter(({ hasPassed }) => hasPassed).map((trial) => trial.ratePerSec);
          expect(end).not.toBe('out of trials');
          expect(ratePerSec).toBe(Math.max(0, ...passed));
          expect(ratePerSec).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });

  it('one failed session of N fails the trial', async () => {
    const failsOne = async (ratePerSec: number) => ({ failed: ratePerSec > 300 ? 1 : 0, wasOffered: true });
    const { ratePerSec } = await findEstablishmentRate(failsOne, PARAMETERS);
    expect(ratePerSec).toBe(findRateOfAppendix(300, 100));
  });

  it('a rate that the tester did not offer has not passed, even if no session failed', async () => {
    const slowTester = async (ratePerSec: number) => ({ failed: 0, wasOffered: ratePerSec <= 300 });
    const { ratePerSec } = await findEstablishmentRate(slowTester, PARAMETERS);
    expect(ratePerSec).toBe(findRateOfAppendix(300, 100));
  });

  it('a device that fails every session has no rate, and is not asked for less than one session a second', async () => {
    const { ratePerSec, end, trials } = await findEstablishmentRate(deviceWithLimit(0), PARAMETERS);
    expect({ ratePerSec, end }).toEqual({ ratePerSec: 0, end: 'nothing passed' });
    expect(trials.at(-1)!.ratePerSec).toBe(1);
  });

  it('a device without a limit ends with the trials, and says so', async () => {
    const { ratePerSec, end } = await findEstablishmentRate(deviceWithLimit(Infinity), { ...PARAMETERS, maxTrials: 5 });
    expect({ ratePerSec, end }).toEqual({ ratePerSec: 146, end: 'out of trials' });
  });

  it('says that the rate stopped growing below ten, where a tenth is less than a session', async () => {
    const search = await findEstablishmentRate(deviceWithLimit(9), PARAMETERS);
    expect(search).toMatchObject({ ratePerSec: 9, hasStalled: true, end: 'converged' });
    expect(await findEstablishmentRate(deviceWithLimit(4), PARAMETERS)).toMatchObject({
      ratePerSec: 4,
      hasStalled: true,
    });
  });

  it('refuses a start that would never grow, and other parameters that cannot be meant', async () => {
    const refused = (changes: Partial<SearchParameters>) =>
      expect(findEstablishmentRate(deviceWithLimit(460), { ...PARAMETERS, ...changes })).rejects.toThrow(RangeError);
    await refused({ initialRatePerSec: 9 });
    await refused({ initialRatePerSec: 99.5 });
    await refused({ sessions: 0 });
    await refused({ increaseWeight: 0 });
    await refused({ increaseWeight: 1.01 });
    await refused({ decreaseWeight: Number.NaN });
    await refused({ passesToConverge: 0 });
    await refused({ maxTrials: 0 });
  });

  it('passes on why a trial could not be run', async () => {
    const broken = () => Promise.reject(new Error('no sipp'));
    await expect(findEstablishmentRate(broken, PARAMETERS)).rejects.toThrow('no sipp');
  });
});

describe('the refined bisection', () => {
  it('comes as near to the limit as its resolution', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 20, max: 50_000 }),
        fc.double({ min: 0.001, max: 0.1, noNaN: true }),
        async (limit, resolution) => {
          const run = deviceWithLimit(limit);
          const search = await findEstablishmentRate(run, PARAMETERS);
          const refined = await refineRate(run, search, { sessions: 1000, resolution });
          expect(refined).not.toBeNull();
          expect(refined!.ratePerSec).toBeGreaterThanOrEqual(search.ratePerSec);
          expect(refined!.ratePerSec).toBeLessThanOrEqual(limit);
          expect(refined!.failedRatePerSec).toBeGreaterThan(limit);
          const gap = refined!.failedRatePerSec - refined!.ratePerSec;
          expect(gap).toBeLessThanOrEqual(Math.max(1, resolution * refined!.ratePerSec));
          expect(refined!.trials.length).toBeLessThan(20);
        },
      ),
    );
  });

  it('finds 460 itself where the algorithm stops at 458', async () => {
    const run = deviceWithLimit(460);
    const refined = await refineRate(run, await findEstablishmentRate(run, PARAMETERS), {
      sessions: 1,
      resolution: 0.001,
    });
    expect(refined).toMatchObject({ ratePerSec: 460, failedRatePerSec: 461 });
  });

  it('has nothing to do where nothing failed above, or nothing passed', async () => {
    const unlimited = await findEstablishmentRate(deviceWithLimit(Infinity), { ...PARAMETERS, maxTrials: 5 });
    const never = await findEstablishmentRate(deviceWithLimit(0), PARAMETERS);
    const how = { sessions: 10, resolution: 0.01 };
    expect(await refineRate(deviceWithLimit(Infinity), unlimited, how)).toBeNull();
    expect(await refineRate(deviceWithLimit(0), never, how)).toBeNull();
  });
});
