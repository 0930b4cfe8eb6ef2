/** The benchmarking algorithm of RFC 7502 4.10: the largest session attempt rate, R, at which none of N sessions fails. It
 *  knows neither SIP nor processes: whoever calls it hands in the trial. Cold: once for each trial of seconds.
 *
 *  It is the RFC's pseudocode line by line, with three guards that the pseudocode leaves out. A rate of less than one
 *  session a second is not tried: nothing was found. A number of trials ends a search whose device under test has no
 *  limit. And a rate that the tester could not offer has not been passed, whatever became of the sessions. */

/** Parameters of test (RFC 7502 4.10), by the RFC's letters in brackets. */
export interface SearchParameters {
  /** [N] Sessions attempted in each trial, from 1. */
  readonly sessions: number;
  /** [r] Session attempt rate of the first trial, sessions a second; whole, and so large that `increaseWeight` of it is
   *  at least 1, else the rate would never grow. */
  readonly initialRatePerSec: number;
  /** [w] Traffic increase weight, above 0 up to 1. Halved at each failed trial, down to 0.10. */
  readonly increaseWeight: number;
  /** [d] Traffic decrease weight, above 0 up to 1. Halved at each failed trial, down to 0.10. */
  readonly decreaseWeight: number;
  /** [count] Passed trials at no more than the best rate, until the algorithm has converged: 10 in the RFC. */
  readonly passesToConverge: number;
  /** Not the RFC's: after so many trials the search ends without having converged. */
  readonly maxTrials: number;
}

/** The RFC's values. */
export const RFC_PARAMETERS: Readonly<Omit<SearchParameters, 'maxTrials'>> = {
  sessions: 50_000,
  initialRatePerSec: 100,
  increaseWeight: 0.1,
  decreaseWeight: 0.1,
  passesToConverge: 10,
};

/** What neither weight falls below. */
const LEAST_WEIGHT = 0.1;

/** [d] as the RFC derives it from [w]. */
export function decreaseWeightOf(increaseWeight: number): number {
  return Math.max(LEAST_WEIGHT, increaseWeight / 2);
}

/** What a trial must tell; it may tell more. */
export interface TrialOutcome {
  /** Session attempt failures (RFC 7501 3.1.8). */
  readonly failed: number;
  /** False: the tester attempted the sessions at a lower rate than asked for, so the trial shows nothing about that rate. */
  readonly wasOffered: boolean;
}

/** Attempts `sessions` sessions at `ratePerSec`. A rejection ends the search and is passed on. */
export type RunTrial<Outcome extends TrialOutcome> = (ratePerSec: number, sessions: number) => Promise<Outcome>;

export interface Trial<Outcome extends TrialOutcome> {
  readonly ratePerSec: number;
  readonly sessions: number;
  readonly hasPassed: boolean;
  readonly outcome: Outcome;
}

/** How a search ended. `converged`: as in the RFC. `nothing passed`: the rate fell below one session a second.
 *  `out of trials`: `maxTrials` came first, and the rate is the best until then. */
export type SearchEnd = 'converged' | 'nothing passed' | 'out of trials';

export interface Search<Outcome extends TrialOutcome> {
  /** [R] The highest rate that passed; 0: none did. */
  readonly ratePerSec: number;
  readonly end: SearchEnd;
  /** The increase was less than one session a second at some passed trial (the RFC's note: "will not converge"): the rate
   *  is a lower bound. */
  readonly hasStalled: boolean;
  /** In the order in which they were run. */
  readonly trials: readonly Trial<Outcome>[];
}

/** [max_sps] Throws a RangeError if the parameters cannot be meant. */
export async function findEstablishmentRate<Outcome extends TrialOutcome>(
  run: RunTrial<Outcome>,
  parameters: SearchParameters,
): Promise<Search<Outcome>> {
  checkParameters(parameters);
  const { sessions, passesToConverge, maxTrials } = parameters;
  let rate = parameters.initialRatePerSec;
  let increaseWeight = parameters.increaseWeight;
  let decreaseWeight = parameters.decreaseWeight;
  let bestRate = 0;
  let passesBelowBest = 0;
  let hasStalled = false;
  const trials: Trial<Outcome>[] = [];
  const ended = (end: SearchEnd) => ({ ratePerSec: bestRate, end, hasStalled, trials });

  while (trials.length < maxTrials) {
    if (rate < 1) return ended('nothing passed');
    const trial = await runOne(run, rate, sessions);
    trials.push(trial);
    if (trial.hasPassed) {
      if (rate > bestRate) bestRate = rate;
      else if (++passesBelowBest >= passesToConverge) return ended('converged');
      const increased = Math.floor(rate + increaseWeight * rate);
      hasStalled ||= increased === rate;
      rate = increased;
    } else {
      rate = Math.floor(rate - decreaseWeight * rate);
      decreaseWeight = Math.max(LEAST_WEIGHT, decreaseWeight / 2);
      increaseWeight = Math.max(LEAST_WEIGHT, increaseWeight / 2);
    }
  }
  return ended('out of trials');
}

/** Throws a RangeError, one line, by the words of `SearchParameters`. */
export function checkParameters(parameters: SearchParameters): void {
  const { sessions, initialRatePerSec, increaseWeight, decreaseWeight, passesToConverge, maxTrials } = parameters;
  for (const [name, value] of Object.entries({ sessions, initialRatePerSec, passesToConverge, maxTrials })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`${name} is a whole number from 1, not ${value}`);
  }
  for (const [name, value] of Object.entries({ increaseWeight, decreaseWeight })) {
    if (!(value > 0 && value <= 1)) throw new RangeError(`${name} is above 0 and up to 1, not ${value}`);
  }
  if (Math.floor(initialRatePerSec + increaseWeight * initialRatePerSec) === initialRatePerSec) {
    const least = Math.ceil(1 / increaseWeight);
    throw new RangeError(
      `initialRatePerSec ${initialRatePerSec} never grows by ${increaseWeight} of itself; it takes at least ${least}`,
    );
  }
}

// ---- Beyond the RFC -------------------------------------------------------------------------------------------------

export interface Refinement<Outcome extends TrialOutcome> {
  /** The highest rate that passed; the search's own, if no trial in between did. */
  readonly ratePerSec: number;
  /** The lowest that failed above it. */
  readonly failedRatePerSec: number;
  readonly trials: readonly Trial<Outcome>[];
}

/** Bisection between the rate that the search found and the lowest that failed above it, until they are no further apart
 *  than `resolution` (a share of the rate, above 0) or 1. Not part of RFC 7502, whose steps are tenths: each rate is tried
 *  once, so one unlucky trial is enough to end too low. Null where there is nothing between: no rate passed, or none
 *  failed above it. */
export async function refineRate<Outcome extends TrialOutcome>(
  run: RunTrial<Outcome>,
  { ratePerSec: found, trials: searched }: Search<Outcome>,
  { sessions, resolution }: { readonly sessions: number; readonly resolution: number },
): Promise<Refinement<Outcome> | null> {
  const failedAbove = searched.filter((trial) => !trial.hasPassed && trial.ratePerSec > found);
  if (found === 0 || failedAbove.length === 0) return null;
  let passed = found;
  let failed = Math.min(...failedAbove.map((trial) => trial.ratePerSec));
  const trials: Trial<Outcome>[] = [];
  while (failed - passed > Math.max(1, resolution * passed)) {
    const trial = await runOne(run, Math.floor((passed + failed) / 2), sessions);
    trials.push(trial);
    if (trial.hasPassed) passed = trial.ratePerSec;
    else failed = trial.ratePerSec;
  }
  return { ratePerSec: passed, failedRatePerSec: failed, trials };
}

async function runOne<Outcome extends TrialOutcome>(
  run: RunTrial<Outcome>,
  ratePerSec: number,
  sessions: number,
): Promise<Trial<Outcome>> {
  const outcome = await run(ratePerSec, sessions);
  return { ratePerSec, sessions, hasPassed: outcome.failed === 0 && outcome.wasOffered, outcome };
}
