import { describe, expect, it } from 'vitest';
import type { LimitedBy } from '../../../../perf/bench/result.ts';
import type { Search } from '../../../../perf/bench/search/establishment-rate.ts';
import { type LimitedOutcome, limitOf } from '../../../../perf/bench/search/limit.ts';
import { wasOffered } from '../../../../perf/bench/search/sipp-testbed.ts';

/** A search that found 1000 a second; the trials above it, in any order. */
function searchWith(
  above: readonly (readonly [ratePerSec: number, failed: number, limitedBy: LimitedBy])[],
  end: Search<LimitedOutcome>['end'] = 'converged',
): Search<LimitedOutcome> {
  return {
    ratePerSec: 1000,
    end,
    hasStalled: false,
    trials: above.map(([ratePerSec, failed, limitedBy]) => ({
      ratePerSec,
      sessions: 500,
      hasPassed: false,
      outcome: { failed, wasOffered: failed > 0, attemptedPerSec: 950, limitedBy },
    })),
  };
}

const FAILED_BY_SERVER = searchWith([
  [1210, 4, 'server'],
  [1100, 2, 'server'],
  [1150, 1, 'generator'],
]);

describe('whose limit was found', () => {
  it('is the device where it had no CPU left, and the baseline is far away', () => {
    expect(limitOf(FAILED_BY_SERVER, 3000)).toEqual({
      limitedBy: 'server',
      reason:
        'Limited by the DUT: above R it had no CPU left. The testbed without a DUT (6.1) reaches 3000 a second, 3.0 times R.',
    });
  });

  it('is the testbed where its baseline is no more than the algorithm’s own step away, whatever CPU says', () => {
    expect(limitOf(FAILED_BY_SERVER, 1100).limitedBy).toBe('generator');
    expect(limitOf(FAILED_BY_SERVER, 1120).limitedBy).toBe('server');
  });

  it('is the testbed where the lowest rate above could not be offered, which says nothing of the device', () => {
    const limit = limitOf(
      searchWith([
        [1210, 3, 'server'],
        [1100, 0, 'server'],
      ]),
      9000,
    );
    expect(limit.limitedBy).toBe('generator');
    expect(limit.reason).toContain('asked for 1100 a second, it attempted 950 and none failed');
  });

  it('is the testbed where the tester had no CPU left', () => {
    expect(limitOf(searchWith([[1100, 3, 'generator']]), 9000).limitedBy).toBe('generator');
  });

  it('is not known where CPU says nothing, and says so', () => {
    expect(limitOf(searchWith([[1100, 3, 'neither']]), 'not measured')).toEqual({
      limitedBy: 'unknown',
      reason:
        'What limited the trials above R cannot be told from CPU. It is not shown that the testbed could do more: its baseline (6.1) was not measured.',
    });
  });

  it('is the number of trials where no rate failed, which is a lower bound', () => {
    expect(limitOf(searchWith([], 'out of trials'), 9000)).toMatchObject({ limitedBy: 'rate' });
    expect(limitOf(searchWith([[1100, 3, 'server']], 'out of trials'), 9000).limitedBy).toBe('server');
  });

  it('is that of the testbed by definition in 6.1, and has no baseline in a registration', () => {
    expect(limitOf(FAILED_BY_SERVER, 'is it').reason).toBe('R is that of the testbed: there was no DUT.');
    expect(limitOf(FAILED_BY_SERVER, 'not defined').reason).toContain('no baseline for registrations');
  });
});

describe('a rate that was offered', () => {
  it('may be missed by two of a hundred, not by three', () => {
    expect(wasOffered(1000, 981, 50_000)).toBe(true);
    expect(wasOffered(1000, 970, 50_000)).toBe(false);
    expect(wasOffered(1000, 1200, 50_000)).toBe(true);
  });

  it('is judged no finer than the grain of the tester’s clock', () => {
    expect(wasOffered(1000, 920, 100)).toBe(true);
    expect(wasOffered(1000, 850, 100)).toBe(false);
  });

  it('is believed where there is too little to tell', () => {
    expect(wasOffered(1000, null, 1)).toBe(true);
  });
});
