/** A search by RFC 7502: the algorithm played on a device for each test case, its trials told as they come, the form filled
 *  in. Cold. It knows trials and forms, and neither SIPp nor processes: those are the testbed's (sipp-testbed.ts). */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant, SearchResult, SearchTrial, Turn } from '../result.ts';
import {
  findEstablishmentRate,
  type Refinement,
  refineRate,
  type Search,
  type SearchParameters,
  type Trial,
} from './establishment-rate.ts';
import { type Benchmarks, benchmarkRows, renderForm, setupRows, type TestSetup } from './form.ts';
import { type Baseline, type LimitedOutcome, limitOf } from './limit.ts';
import { REREGISTRATION_WAIT_SEC, STATELESS_NOTE, type TestCase } from './test-cases.ts';

/** The rate is to last "a defined, extended period" (RFC 7502 4.10); the RFC's own N and r make minutes. */
const EXTENDED_SEC = 5;

export interface SearchOptions {
  readonly cases: readonly TestCase[];
  readonly parameters: SearchParameters;
  /** Share of the rate at which the bisection ends; null: none is wanted. */
  readonly resolution: number | null;
  /** From the ACK to the BYE; without media, and with. */
  readonly sessionDurationSec: { readonly plain: number; readonly media: number };
  readonly establishmentThresholdSec: number;
  /** Between the registrations of 6.7 and 6.8. */
  readonly reregistrationWaitSec: number;
}

/** What the testbed is asked for. */
export interface TrialOrder {
  readonly testCase: TestCase;
  readonly ratePerSec: number;
  readonly sessions: number;
  readonly sessionDurationSec: number;
  readonly establishmentThresholdSec: number;
  /** What the users' names begin with. Registrations: other AoRs for other prefixes, the same for the same one. */
  readonly userPrefix: string;
}

export interface TrialFigures extends LimitedOutcome {
  readonly failuresByCause: { readonly [cause: string]: number };
  readonly retransmissions: number;
  /** All that was measured. */
  readonly turn: Turn;
}

/** So far in a trial. */
export interface TrialProgress {
  readonly established: number;
  readonly failed: number;
}

/** A device under test that is up, or the testbed alone; it ends when it is disposed of. */
export interface Device extends AsyncDisposable {
  readonly contestant: Contestant;
  readonly transport: TestSetup['transport'];
  readonly connections: TestSetup['connections'];
  /** Sentences for the form: version, back-end processing. */
  readonly notes: readonly string[];
  /** Rejects if the trial could not be made. */
  run(order: TrialOrder, onProgress: (progress: TrialProgress) => void): Promise<TrialFigures>;
}

export interface Testbed {
  /** The device for a case, afresh. */
  open(testCase: TestCase): Promise<Device>;
}

/** Where the user looks. */
export interface Display {
  line(text: string): void;
  /** Replaces the status before; for as long as nothing else is shown. */
  status(text: string): void;
}

export interface FoundRate {
  readonly contestant: Contestant;
  readonly result: SearchResult;
  /** The best trial that passed at R; null: none did. */
  readonly turn: Turn | null;
}

/** Plays the cases in their order and says how they go. `before`: what was found already, by this or on other contestants.
 *  Rejects with the testbed's error. */
export async function searchAll(
  testbed: Testbed,
  options: SearchOptions,
  display: Display,
  before: readonly FoundRate[] = [],
): Promise<FoundRate[]> {
  const found: FoundRate[] = [];
  const again = options.cases.find(({ what }) => what === 're-registration');
  for (const testCase of options.cases) {
    if (testCase.what === 're-registration') continue; // It follows the registrations, on the same device.
    await using device = await testbed.open(testCase);
    const session = new DeviceSearch(device, options, display);
    found.push(await session.search(testCase, [...before, ...found]));
    if (testCase.what !== 'registration' || again === undefined) continue;
    if (session.hasRegistered) found.push(await session.search(again, [...before, ...found]));
    else
      display.line(`RFC 7502 ${again.id} is left out: there are no users to register again, since 6.7 found no rate.`);
  }
  return found;
}

/** Users of a trial, all registered. */
interface RegisteredUsers {
  readonly prefix: string;
  readonly sinceMs: number;
}

/** What is searched on one device while it is up. */
class DeviceSearch {
  readonly #device: Device;
  readonly #options: SearchOptions;
  readonly #display: Display;
  /** Of the last trial of 6.7 that passed. */
  #registered: RegisteredUsers | null = null;
  #trialCount = 0;

  constructor(device: Device, options: SearchOptions, display: Display) {
    this.#device = device;
    this.#options = options;
    this.#display = display;
  }

  get hasRegistered(): boolean {
    return this.#registered !== null;
  }

  async search(testCase: TestCase, before: readonly FoundRate[]): Promise<FoundRate> {
    this.#trialCount = 0;
    const device = this.#device;
    const { parameters, resolution } = this.#options;
    const title = titleOf(device, testCase);
    this.#say('', title, introduction(parameters, testCase), '');
    const waited = testCase.what === 're-registration' ? [await this.#waitForReregistration()] : [];
    const run = (ratePerSec: number, sessions: number) => this.#run(testCase, ratePerSec, sessions);
    const search = await findEstablishmentRate(run, parameters);
    const refinement = await this.#refine(run, search);

    const limit = limitOf(search, baselineFor(testCase, before));
    const notes = [...notesOf(testCase, search, limit.reason, parameters.sessions), ...waited, ...device.notes];
    const setup = setupOf(testCase, device, this.#options, search);
    const benchmarks = benchmarksOf(testCase, search, this.#sameContestant(before), notes);
    this.#say('', renderForm(title, setup, benchmarks), '', ...ending(search, refinement, resolution));
    const best = search.trials.find(({ hasPassed, ratePerSec }) => hasPassed && ratePerSec === search.ratePerSec);
    return {
      contestant: device.contestant,
      turn: best?.outcome.turn ?? null,
      result: {
        contestant: device.contestant.name,
        testCase: testCase.id,
        parameters: parametersOf(setup, parameters),
        trials: [...search.trials.map(trialOf(false)), ...(refinement?.trials ?? []).map(trialOf(true))],
        establishmentRatePerSec: search.ratePerSec,
        refinedRatePerSec: refinement?.ratePerSec ?? null,
        form: benchmarkRows(benchmarks),
        limitedBy: limit.limitedBy,
      },
    };
  }

  #say(...lines: readonly string[]): void {
    for (const line of lines) this.#display.line(line);
  }

  #sameContestant(before: readonly FoundRate[]): readonly FoundRate[] {
    return before.filter(({ contestant }) => contestant.name === this.#device.contestant.name);
  }

  async #run(testCase: TestCase, ratePerSec: number, sessions: number): Promise<TrialFigures> {
    const { sessionDurationSec, establishmentThresholdSec } = this.#options;
    const number = ++this.#trialCount;
    // No AoR is registered twice in 6.7; 6.8 takes those of its last passed trial again.
    const userPrefix = testCase.what === 're-registration' ? this.#registered!.prefix : `trial${number}-`;
    const order: TrialOrder = {
      testCase,
      ratePerSec,
      sessions,
      sessionDurationSec: testCase.media === null ? sessionDurationSec.plain : sessionDurationSec.media,
      establishmentThresholdSec,
      userPrefix,
    };
    const figures = await this.#device.run(order, ({ established, failed }) =>
      this.#display.status(
        `  trial ${number}: ${ratePerSec} a second, ${established} of ${sessions} established, ${failed} failed`,
      ),
    );
    const hasPassed = figures.failed === 0 && figures.wasOffered;
    if (testCase.what === 'registration' && hasPassed) {
      this.#registered = { prefix: userPrefix, sinceMs: performance.now() };
    }
    this.#say(trialLine(number, ratePerSec, sessions, figures));
    return figures;
  }

  /** Returns the note about it. */
  async #waitForReregistration(): Promise<string> {
    const { sinceMs } = this.#registered!;
    const untilMs = sinceMs + 1000 * this.#options.reregistrationWaitSec;
    for (let leftMs = untilMs - performance.now(); leftMs > 0; leftMs = untilMs - performance.now()) {
      this.#display.status(`  ${Math.ceil(leftMs / 1000)} s until the same users register again`);
      await sleep(Math.min(1000, leftMs));
    }
    const sec = Math.round((performance.now() - sinceMs) / 1000);
    const { least, most } = REREGISTRATION_WAIT_SEC;
    const asAsked = `Re-registration began ${sec} s after the registration of the same AoRs`;
    return sec >= least && sec <= most ? `${asAsked}.` : `${asAsked}; the RFC wants ${least} to ${most} s.`;
  }

  /** Null: not wanted, or nothing to refine. */
  async #refine(
    run: (ratePerSec: number, sessions: number) => Promise<TrialFigures>,
    search: Search<TrialFigures>,
  ): Promise<Refinement<TrialFigures> | null> {
    const { resolution, parameters } = this.#options;
    if (resolution === null) return null;
    if (search.ratePerSec > 0) this.#say('', '  Bisection, beyond the RFC:', '');
    return refineRate(run, search, { sessions: parameters.sessions, resolution });
  }
}

// ---- What is shown --------------------------------------------------------------------------------------------------

function titleOf({ contestant }: Device, { id, title }: TestCase): string {
  return `${contestant.name}, ${id === 'extra' ? 'EXTRA ROW beside RFC 7502' : `RFC 7502 ${id}`}: ${title}`;
}

function introduction(parameters: SearchParameters, { what }: TestCase): string {
  const { sessions, initialRatePerSec, increaseWeight, decreaseWeight, passesToConverge } = parameters;
  const of = what === 'session' ? 'sessions' : 'registrations';
  return `  N = ${sessions} ${of} in each trial, r = ${initialRatePerSec} a second, w = ${increaseWeight}, d = ${decreaseWeight}, converged after ${passesToConverge} passed at no more than the best`;
}

/** One trial: its rate, and what became of it. */
function trialLine(number: number, ratePerSec: number, sessions: number, figures: TrialFigures): string {
  const { failed, wasOffered, attemptedPerSec, failuresByCause, retransmissions } = figures;
  const causes = Object.entries(failuresByCause).map(([cause, count]) => `${cause} ${count}`);
  const outcome =
    failed > 0
      ? `failed: ${failed} of ${sessions}${causes.length > 0 ? ` (${causes.join(', ')})` : ''}`
      : wasOffered
        ? 'passed'
        : `not offered: the tester attempted ${Math.round(attemptedPerSec ?? 0)} a second`;
  const again = retransmissions > 0 ? `, ${retransmissions} retransmissions` : '';
  return `  ${`trial ${number}`.padEnd(10)}${`${ratePerSec} a second`.padStart(16)}   ${outcome}${again}`;
}

function ending(
  { ratePerSec, end, hasStalled }: Search<TrialFigures>,
  refinement: Refinement<TrialFigures> | null,
  resolution: number | null,
): string[] {
  const lines = [ratePerSec > 0 ? `  R = ${ratePerSec} a second by RFC 7502` : '  R was not found'];
  if (end === 'out of trials') lines[0] += ', not converged: the trials ran out';
  if (hasStalled) lines[0] += ', a lower bound: a tenth of the rate is less than one';
  if (refinement !== null) {
    const { ratePerSec: refined, failedRatePerSec } = refinement;
    lines.push(
      `  Refined by bisection, which is not the RFC's: ${refined} a second passed, ${failedRatePerSec} did not`,
    );
  } else if (resolution !== null && ratePerSec > 0) {
    lines.push('  Not refined: no trial failed above R');
  }
  return lines;
}

// ---- What is written down -------------------------------------------------------------------------------------------

function trialOf(isRefinement: boolean): (trial: Trial<TrialFigures>) => SearchTrial {
  return ({ ratePerSec, sessions, hasPassed, outcome: { failed, attemptedPerSec } }) => ({
    ratePerSec,
    attemptedPerSec,
    sessions,
    failed,
    hasPassed,
    isRefinement,
  });
}

function setupOf(testCase: TestCase, device: Device, options: SearchOptions, search: Search<TrialFigures>): TestSetup {
  const { parameters, sessionDurationSec, establishmentThresholdSec } = options;
  return {
    transport: device.transport,
    connections: device.connections,
    initialRatePerSec: parameters.initialRatePerSec,
    sessionDurationSec:
      testCase.what !== 'session'
        ? null
        : testCase.media === null
          ? sessionDurationSec.plain
          : sessionDurationSec.media,
    sessionsPerTrial: parameters.sessions,
    trials: search.trials.length,
    media: testCase.media,
    establishmentThresholdSec,
  };
}

/** The form's, and those of the algorithm that it does not ask for. */
function parametersOf(setup: TestSetup, parameters: SearchParameters): { [name: string]: string } {
  const { increaseWeight, decreaseWeight, passesToConverge, maxTrials } = parameters;
  return {
    ...Object.fromEntries(setupRows(setup).map(({ row, value }) => [row, value])),
    'Traffic increase weight (w)': String(increaseWeight),
    'Traffic decrease weight (d)': String(decreaseWeight),
    'Passed trials to converge (count)': String(passesToConverge),
    'Most trials (not of the RFC)': String(maxTrials),
  };
}

function baselineFor(testCase: TestCase, before: readonly FoundRate[]): Baseline {
  if (testCase.what !== 'session') return 'not defined';
  if (!testCase.hasDut) return 'is it';
  const baseline = before.find(({ result }) => result.testCase === '6.1');
  return baseline?.result.establishmentRatePerSec ?? 'not measured';
}

/** 6.8 reports the rate of 6.7 beside its own, for comparison. */
function benchmarksOf(
  testCase: TestCase,
  { ratePerSec }: Search<TrialFigures>,
  before: readonly FoundRate[],
  notes: readonly string[],
): Benchmarks {
  const registration = before.find(({ result }) => result.testCase === '6.7')?.result.establishmentRatePerSec ?? null;
  const isSession = testCase.what === 'session';
  return {
    sessionEstablishmentRatePerSec: isSession ? ratePerSec : null,
    isMediaRelay: isSession ? false : null,
    registrationRatePerSec: testCase.what === 'registration' ? ratePerSec : isSession ? null : registration,
    reregistrationRatePerSec: testCase.what === 're-registration' ? ratePerSec : null,
    notes,
  };
}

function notesOf(
  testCase: TestCase,
  { end, hasStalled, ratePerSec }: Search<TrialFigures>,
  reason: string,
  sessions: number,
): string[] {
  const notes: string[] = [];
  if (testCase.id === 'extra') notes.push(STATELESS_NOTE);
  notes.push(reason.trim());
  const lastsSec = sessions / ratePerSec;
  if (ratePerSec > 0 && lastsSec < EXTENDED_SEC) {
    notes.push(
      `At R, N sessions take only ${lastsSec.toPrecision(2)} s, which queues may absorb: a larger N shows whether the rate lasts.`,
    );
  }
  if (testCase.media !== null) {
    notes.push(
      'Media goes between the agents, beside the DUT; it costs the tester CPU, which the baseline (6.1) leaves out.',
    );
  }
  if (end === 'out of trials') notes.push('The algorithm did not converge: the trials ran out.');
  if (hasStalled) notes.push('The rate was too small to grow by its weight (RFC 7502 4.10): R is a lower bound.');
  return notes;
}
