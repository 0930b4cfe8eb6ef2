/** What `strowger bench --search 7502` was asked for: its flags, with the RFC's values as defaults. Cold. */

import { type GivenOptions, OptionsError } from '../options.ts';
import { checkParameters, decreaseWeightOf, RFC_PARAMETERS, type SearchParameters } from './establishment-rate.ts';
import type { SearchOptions } from './search.ts';
import { parseTestCases, REREGISTRATION_WAIT_SEC, type TestCase } from './test-cases.ts';

/** Flags of the bench command that a search does not take, and what to do instead. */
const LEFT_OUT: { readonly [name: string]: string } = {
  scenario: 'it plays test cases: give --cases',
  duration: 'a trial ends with its sessions: give --amount',
  warmup: 'every session of a trial counts: leave it out',
  window: 'a session attempt waits for no other: leave it out',
  users: 'there are as many as registrations: give --amount',
  uas: 'the RFC has an agent of its own answer: leave it out',
  rounds: 'it repeats trials until it has converged: give --passes',
  'no-baseline': 'the baseline is test case 6.1: leave it out of --cases',
};

const DEFAULT_CASES = '6.1,6.2';
const DEFAULT_MAX_TRIALS = 200;
/** Timer B and Timer F (RFC 7501 3.3.2). */
const DEFAULT_THRESHOLD_SEC = 32;
const DEFAULT_RESOLUTION = 0.01;
/** Time for packets to flow. */
const DEFAULT_MEDIA_SEC = 1;

/** Flags that mean something only beside --search. */
const SEARCH_ONLY = ['cases', 'increase', 'decrease', 'passes', 'trials', 'threshold', 'refine', 'wait'] as const;

/** Null: no search was asked for. --amount is the RFC's N, --rate its r, --hold the session duration; --connections, --bailout,
 *  --domain and --against are as without a search. Throws an OptionsError. */
export function readSearchOptions(given: GivenOptions): SearchOptions | null {
  if (given.valueFor('search') !== undefined) return readAll(given);
  const alone = SEARCH_ONLY.find((name) => given.valueFor(name) !== undefined);
  if (alone !== undefined) throw new OptionsError(`--${alone} goes with --search 7502 only`);
  return null;
}

function readAll(given: GivenOptions): SearchOptions {
  const algorithm = given.valueFor('search');
  if (algorithm !== '7502') throw new OptionsError(`--search is 7502, for the algorithm of that RFC, not ${algorithm}`);
  for (const [name, instead] of Object.entries(LEFT_OUT)) {
    if (given.valueFor(name) === undefined && !given.has(name)) continue;
    throw new OptionsError(`--${name} does not go with --search 7502: ${instead}`);
  }
  const cases = readCases(given.valueFor('cases') ?? DEFAULT_CASES);
  checkMode(given.serverArgs, cases);
  const increaseWeight = numberIn(given, 'increase', 0, 1) ?? RFC_PARAMETERS.increaseWeight;
  const parameters: SearchParameters = {
    sessions: numberIn(given, 'amount', 1, 1e8) ?? RFC_PARAMETERS.sessions,
    initialRatePerSec: numberIn(given, 'rate', 1, 1e6) ?? RFC_PARAMETERS.initialRatePerSec,
    increaseWeight,
    decreaseWeight: numberIn(given, 'decrease', 0, 1) ?? decreaseWeightOf(increaseWeight),
    passesToConverge: numberIn(given, 'passes', 1, 1e6) ?? RFC_PARAMETERS.passesToConverge,
    maxTrials: numberIn(given, 'trials', 1, 1e6) ?? DEFAULT_MAX_TRIALS,
  };
  try {
    checkParameters(parameters);
  } catch (error) {
    throw new OptionsError(inFlags((error as Error).message));
  }
  const holdMs = numberIn(given, 'hold', 0, 3_600_000);
  return {
    cases,
    parameters,
    resolution:
      given.valueFor('refine') === 'off' ? null : (numberIn(given, 'refine', 0.0001, 1) ?? DEFAULT_RESOLUTION),
    sessionDurationSec: {
      plain: (holdMs ?? 0) / 1000,
      media: holdMs === undefined ? DEFAULT_MEDIA_SEC : holdMs / 1000,
    },
    establishmentThresholdSec: numberIn(given, 'threshold', 0.1, 3600) ?? DEFAULT_THRESHOLD_SEC,
    reregistrationWaitSec: numberIn(given, 'wait', 0, REREGISTRATION_WAIT_SEC.most) ?? REREGISTRATION_WAIT_SEC.least,
  };
}

function readCases(text: string): TestCase[] {
  try {
    return parseTestCases(text);
  } catch (error) {
    throw new OptionsError(`--cases: ${(error as Error).message}`);
  }
}

/** The case says which mode is measured. */
function checkMode(serverArgs: readonly string[], cases: readonly TestCase[]): void {
  const isStateless =
    serverArgs.includes('--mode=stateless') || serverArgs[serverArgs.indexOf('--mode') + 1] === 'stateless';
  if (!isStateless || cases.every(({ id }) => id === 'extra' || id === '6.1')) return;
  throw new OptionsError(
    'RFC 7502 does not count stateless proxies among its devices: for one, give --cases 6.1,extra',
  );
}

function numberIn(given: GivenOptions, name: string, least: number, most: number): number | undefined {
  const text = given.valueFor(name);
  if (text === undefined) return undefined;
  const value = /^(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new OptionsError(`--${name} is a number from ${least} to ${most}, not ${text}`);
}

const FLAG_OF: { readonly [name in keyof SearchParameters]: string } = {
  sessions: '--amount',
  initialRatePerSec: '--rate',
  increaseWeight: '--increase',
  decreaseWeight: '--decrease',
  passesToConverge: '--passes',
  maxTrials: '--trials',
};

/** A message about parameters, by the names that the user knows. */
function inFlags(message: string): string {
  return message.replace(/\w+/g, (word) =>
    Object.hasOwn(FLAG_OF, word) ? FLAG_OF[word as keyof typeof FLAG_OF] : word,
  );
}
