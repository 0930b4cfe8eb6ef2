/** Whose limit a search has found: that of the device under test, or that of the testbed. Pure and cold.
 *
 *  RFC 7502 6.1 gives the measure: the rate of the testbed alone. A device cannot be faster than what loads it, and a result
 *  no further below the baseline than the algorithm's own step tells nothing of the device. */

import type { LimitedBy } from '../result.ts';
import type { Search, Trial, TrialOutcome } from './establishment-rate.ts';

/** What a trial has to say about it. */
export interface LimitedOutcome extends TrialOutcome {
  /** Sessions that the tester attempted in each second; null: too few to tell. */
  readonly attemptedPerSec: number | null;
  /** Of this trial. */
  readonly limitedBy: LimitedBy;
}

export interface Limit {
  readonly limitedBy: LimitedBy;
  /** One sentence or two. */
  readonly reason: string;
}

/** What 6.1 found. `is it`: this search is 6.1 itself. `not measured`. `not defined`: a registration, for which the RFC has no
 *  baseline. */
export type Baseline = number | 'is it' | 'not measured' | 'not defined';

/** The algorithm goes up and down by a tenth. */
const STEP = 0.1;

export function limitOf({ ratePerSec, end, trials }: Search<LimitedOutcome>, baseline: Baseline): Limit {
  const failedAbove = trials.filter((trial) => !trial.hasPassed && trial.ratePerSec > ratePerSec);
  const lowest = failedAbove.toSorted((a, b) => a.ratePerSec - b.ratePerSec)[0];
  if (ratePerSec > 0 && lowest === undefined && end === 'out of trials') {
    return { limitedBy: 'rate', reason: 'No rate failed before the trials ran out: R is a lower bound.' };
  }
  if (baseline === 'is it') return { limitedBy: 'generator', reason: 'R is that of the testbed: there was no DUT.' };
  if (lowest !== undefined && lowest.outcome.failed === 0) return notOffered(lowest);
  if (typeof baseline === 'number' && ratePerSec > baseline * (1 - STEP)) {
    return {
      limitedBy: 'generator',
      reason: `Limited by the testbed: without a DUT (6.1) it reaches ${baseline} a second, less than a step more. R is a lower bound of the DUT's.`,
    };
  }
  const { limitedBy, sentence } = byCpu(failedAbove.map(({ outcome }) => outcome.limitedBy));
  return { limitedBy, reason: `${sentence} ${baselineSentence(baseline, ratePerSec)}` };
}

function notOffered({ ratePerSec, outcome: { attemptedPerSec } }: Trial<LimitedOutcome>): Limit {
  const offered = Math.round(attemptedPerSec ?? 0);
  return {
    limitedBy: 'generator',
    reason: `Limited by the testbed: asked for ${ratePerSec} a second, it attempted ${offered} and none failed. R is a lower bound of the DUT's.`,
  };
}

/** By what most of the failed trials say. */
function byCpu(limits: readonly LimitedBy[]): { readonly limitedBy: LimitedBy; readonly sentence: string } {
  const isMostly = (limit: LimitedBy) => limits.filter((other) => other === limit).length * 2 > limits.length;
  if (isMostly('generator')) {
    return {
      limitedBy: 'generator',
      sentence: 'Limited by the testbed: above R the tester, not the DUT, had no CPU left.',
    };
  }
  if (isMostly('server')) {
    return { limitedBy: 'server', sentence: 'Limited by the DUT: above R it had no CPU left.' };
  }
  if (isMostly('others')) {
    return { limitedBy: 'others', sentence: 'R is too low: above it, other programs took CPU from the DUT.' };
  }
  return { limitedBy: 'unknown', sentence: 'What limited the trials above R cannot be told from CPU.' };
}

function baselineSentence(baseline: Baseline, ratePerSec: number): string {
  switch (baseline) {
    case 'is it':
      return '';
    case 'not defined':
      return 'The RFC has no baseline for registrations.';
    case 'not measured':
      return 'It is not shown that the testbed could do more: its baseline (6.1) was not measured.';
    default: {
      const times = ratePerSec > 0 ? `, ${(baseline / ratePerSec).toFixed(1)} times R` : '';
      return `The testbed without a DUT (6.1) reaches ${baseline} a second${times}.`;
    }
  }
}
