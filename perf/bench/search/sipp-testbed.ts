/** The testbed of a search (RFC 7502, Figures 1 and 3): SIPp plays the emulated agents, a contestant is the device under test, or
 *  there is none. A device is up for a whole test case; every trial has SIPp processes of its own. Cold. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ContestantKind, type RunningContestant, startContestant } from '../contestant.ts';
import { removeFolder, temporaryFolder } from '../owned-process.ts';
import type { Contestant } from '../result.ts';
import type { Scenario, Service } from '../scenario.ts';
import { GRAIN_US } from '../sipp-process.ts';
import { type Load, type PlayedTurn, playTurn } from '../turn.ts';
import { registration, sessionUac, sessionUas, silence, TIME_COUNT } from './scenarios.ts';
import type { Device, Testbed, TrialFigures, TrialOrder, TrialProgress } from './search.ts';
import type { TestCase } from './test-cases.ts';

/** A tester that is slower than this has not offered the rate. */
const OFFERED_SHARE = 0.98;
/** Step 2 of 6.7: at least. */
const EXPIRES_SEC = 3600;
/** What the end of a session takes longer than its threshold, before it counts as failed. */
const DRAIN_MS = 2000;
/** Of Strowger's `location.capacity`. */
const CAPACITY = { least: 1_000_000, most: 16_000_000 } as const;

export interface TestbedOptions {
  /** What 6.2 and the later cases are played on. */
  readonly subject: ContestantKind;
  readonly role: Contestant['role'];
  /** Of the bench command: connections, domain, password and bailout are its, the rest is the trial's. */
  readonly load: Load;
  /** How many AoRs there are in all trials together, at the most. */
  readonly mostUsers: number;
}

/** Test cases of which each has a device afresh. Those that it opens reject with one line if a server or SIPp do not start. */
export function sippTestbed(options: TestbedOptions): Testbed {
  return {
    open: async (testCase) => {
      const { load, role } = options;
      const kind = kindFor(testCase, options);
      const services = servicesFor(testCase);
      const needs = { services, domain: load.domain, users: [], password: load.password };
      const server = await startContestant(kind, testCase.hasDut ? role : 'baseline', needs);
      return new SippDevice(server, kind, load);
    },
  };
}

function kindFor(testCase: TestCase, { subject, mostUsers }: TestbedOptions): ContestantKind {
  if (!testCase.hasDut) return { kind: 'baseline' };
  if (subject.kind !== 'strowger') return subject;
  const args = [...subject.args];
  if (testCase.id === 'extra') args.push('--mode', 'stateless');
  if (testCase.what === 'registration' && !args.some((arg) => arg.startsWith('location.capacity='))) {
    const capacity = Math.min(CAPACITY.most, Math.max(CAPACITY.least, mostUsers));
    args.push('--set', `location.capacity=${capacity}`);
  }
  return { kind: 'strowger', args };
}

function servicesFor({ what }: TestCase): ReadonlySet<Service> {
  return new Set<Service>(what === 'session' ? [] : ['register']);
}

class SippDevice implements Device {
  readonly #server: RunningContestant;
  readonly #kind: ContestantKind;
  readonly #load: Load;
  readonly #folder = temporaryFolder();
  readonly transport = 'UDP';
  readonly connections = null;

  constructor(server: RunningContestant, kind: ContestantKind, load: Load) {
    this.#server = server;
    this.#kind = kind;
    this.#load = load;
  }

  get contestant(): Contestant {
    return this.#server.contestant;
  }

  get notes(): readonly string[] {
    const { version, command, name } = this.contestant;
    const { connections } = this.#load;
    const notes = [`The tester was SIPp, ${connections} ${connections === 1 ? 'process' : 'processes'} on each side.`];
    if (this.#kind.kind === 'baseline') return notes;
    notes.push(command === null ? 'The DUT ran already.' : `The DUT was started as: ${command}`);
    if (version !== null) notes.push(`The DUT is ${name} ${version}.`);
    if (this.#kind.kind === 'strowger' || this.#kind.kind === 'kamailio') {
      notes.push('Back end: none. Bindings in memory alone, requests not authenticated.');
    }
    return notes;
  }

  async run(order: TrialOrder, onProgress: (progress: TrialProgress) => void): Promise<TrialFigures> {
    const load = this.#loadOf(order);
    const played = await playTurn(this.#server, 0, load, ({ successful, failed }) =>
      onProgress({ established: successful, failed }),
    );
    return figuresOf(played, order);
  }

  #loadOf({ testCase, ratePerSec, sessions, userPrefix, ...times }: TrialOrder): Load {
    const { connections } = this.#load;
    const width = String(sessions + connections).length;
    return {
      ...this.#load,
      parts: [{ scenario: this.#scenario(testCase, times), share: 1 }],
      ratePerSec,
      // Open loop: nothing that is slow holds up the attempts.
      window: Math.max(sessions, connections),
      amount: sessions,
      warmUpMs: 0,
      drainMs: 1000 * times.establishmentThresholdSec + DRAIN_MS,
      // One more for each process, so that none runs out of users and begins with its first again.
      users:
        testCase.what === 'session'
          ? []
          : Array.from({ length: sessions + connections }, (_, i) => userPrefix + String(i + 1).padStart(width, '0')),
      holdMs: 0,
      playsUas: true,
    };
  }

  #scenario(
    testCase: TestCase,
    {
      sessionDurationSec,
      establishmentThresholdSec,
    }: Pick<TrialOrder, 'sessionDurationSec' | 'establishmentThresholdSec'>,
  ): Scenario {
    const thresholdMs = Math.round(1000 * establishmentThresholdSec);
    const common = {
      name: testCase.id,
      services: [...servicesFor(testCase)],
      registersFirst: false,
      timeCount: TIME_COUNT,
    };
    const span = { from: 0, to: [1] };
    if (testCase.what !== 'session') {
      return {
        ...common,
        uacFile: this.#write('register.xml', registration({ expiresSec: EXPIRES_SEC, thresholdMs })),
        uasFile: null,
        baselineUasFile: null,
        hasUsers: true,
        delays: { registrationRequest: span },
        mainDelay: 'registrationRequest',
      };
    }
    const audioFile = testCase.media === null ? null : this.#write('silence.ul', silence());
    const durationMs = Math.round(1000 * sessionDurationSec);
    const uasFile = this.#write('uas.xml', sessionUas({ audioFile }));
    return {
      ...common,
      uacFile: this.#write('uac.xml', sessionUac({ audioFile, durationMs, thresholdMs })),
      uasFile,
      baselineUasFile: uasFile,
      hasUsers: false,
      delays: { sessionRequest: span },
      mainDelay: 'sessionRequest',
    };
  }

  #write(name: string, content: string | Uint8Array): string {
    const file = join(this.#folder, name);
    writeFileSync(file, content);
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    removeFolder(this.#folder);
  }
}

/** A session that was not even begun has failed as well: the turn was ended early. */
function figuresOf({ turn, attemptedPerSec }: PlayedTurn, { ratePerSec, sessions }: TrialOrder): TrialFigures {
  const { successful, failuresByCause } = turn.exchanges;
  return {
    failed: sessions - Math.min(sessions, successful),
    wasOffered: wasOffered(ratePerSec, attemptedPerSec, sessions),
    attemptedPerSec,
    limitedBy: turn.limitedBy,
    failuresByCause,
    retransmissions: turn.messages.retransmissions,
    turn,
  };
}

/** Whether the tester was as fast as it was told, within the grain of its clock. Too few sessions to tell count as offered. */
export function wasOffered(ratePerSec: number, attemptedPerSec: number | null, sessions: number): boolean {
  if (attemptedPerSec === null) return true;
  const dueMs = (1000 * sessions) / ratePerSec;
  const tookMs = (1000 * sessions) / attemptedPerSec;
  return tookMs <= dueMs / OFFERED_SHARE + (2 * GRAIN_US) / 1000;
}
