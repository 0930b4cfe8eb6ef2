/** A whole benchmark: the baseline, then all rounds, in which the contestants have their turns one after the other, every
 *  second round in the reverse order. Cold. */

import { BenchError } from './bench-error.ts';
import { type ContestantKind, type RunningContestant, startContestant } from './contestant.ts';
import { limitBeside } from './limit.ts';
import { describeMachine } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { untilAnswering } from './options-ping.ts';
import { rateOf } from './report/summary.ts';
import { type BenchResult, type Contestant, type LimitedBy, RESULT_FORMAT, type Turn } from './result.ts';
import { servicesOf } from './scenario.ts';
import { HOW_TO_INSTALL, sippVersion } from './sipp-process.ts';
import { type Load, type Progress, playTurn } from './turn.ts';
import { textOf } from './udp-sockets.ts';

/** The baseline need only show what the load can do. */
const BASELINE_DURATION_MS = 2000;
const BASELINE_WARM_UP_MS = 1000;
const BASELINE_AMOUNT_SEC = 2;
const ANSWER_LIMIT_MS = 2000;
/** A server that has used less of its CPUs can do much more. */
const FAR_SHARE = 0.75;

export interface TurnProgress extends Progress {
  readonly contestant: string;
  readonly role: Contestant['role'];
  readonly round: number;
  readonly rounds: number;
  /** Of the measured window with its warm-up; null: until all exchanges are through. */
  readonly totalMs: number | null;
}

/** Throws a BenchError with one line if SIPp or a server cannot be started. */
export async function runBench(
  options: BenchOptions,
  command: string,
  onProgress: (progress: TurnProgress) => void,
): Promise<BenchResult> {
  if (sippVersion() === null) throw new BenchError(`there is no SIPp on the PATH: ${HOW_TO_INSTALL}`);
  const run = new Run(options, onProgress);
  const startedAt = new Date().toISOString();
  await run.play();
  const { load, scenario, title, transport } = options;
  return {
    format: RESULT_FORMAT,
    title,
    startedAt,
    machine: describeMachine(sippVersion()),
    load: {
      scenario,
      generator: 'sipp',
      transport,
      ratePerSec: load.ratePerSec,
      window: load.window,
      connections: load.connections * load.parts.length,
      users: load.parts.some((part) => part.scenario.hasUsers) ? load.users.length : null,
      durationMs: load.amount === null ? load.durationMs : null,
      amount: load.amount,
      warmUpMs: load.warmUpMs,
      command,
    },
    contestants: run.contestants,
    turns: run.turns,
    search: null,
    warnings: [...new Set(run.warnings)],
  };
}

class Run {
  readonly #options: BenchOptions;
  readonly #onProgress: (progress: TurnProgress) => void;
  readonly #contestants = new Map<string, Contestant>();
  readonly turns: Turn[] = [];
  readonly warnings: string[] = [];
  #hasBailedOut = false;

  constructor(options: BenchOptions, onProgress: (progress: TurnProgress) => void) {
    this.#options = options;
    this.#onProgress = onProgress;
  }

  /** The subject first, then whom it is compared with, then the baseline. */
  get contestants(): readonly Contestant[] {
    const order: readonly Contestant['role'][] = ['subject', 'against', 'relay', 'baseline'];
    return [...this.#contestants.values()].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
  }

  async play(): Promise<void> {
    const { subject, against, rounds, hasBaseline } = this.#options;
    await this.#checkTarget(subject);
    if (hasBaseline) {
      const sharesCpus = subject.kind === 'running';
      await this.#turn({ kind: 'baseline', sharesCpus }, 'baseline', 0, this.#baselineLoad());
    }
    for (let round = 0; round < rounds && !this.#hasBailedOut; round++) {
      const pair: (readonly [ContestantKind, Contestant['role']])[] = [[subject, 'subject']];
      if (against !== null) pair.push([against, 'against']);
      // Whatever drifts over the run hits both alike.
      if (round % 2 === 1) pair.reverse();
      for (const [kind, role] of pair) await this.#turn(kind, role, round, this.#options.load);
    }
  }

  async #checkTarget(subject: ContestantKind): Promise<void> {
    if (subject.kind !== 'running') return;
    const presence = await untilAnswering(subject.at, ANSWER_LIMIT_MS);
    if (presence === 'refused')
      throw new BenchError(`nobody listens on UDP at ${textOf(subject.at)}: start the server first`);
    if (presence === 'silent') {
      this.warnings.push(`${textOf(subject.at)} did not answer an OPTIONS within ${ANSWER_LIMIT_MS / 1000} s`);
    }
  }

  #baselineLoad(): Load {
    const { load } = this.#options;
    const { ratePerSec, amount } = load;
    const least = ratePerSec === null ? Infinity : Math.max(1, Math.ceil(ratePerSec * BASELINE_AMOUNT_SEC));
    return {
      ...load,
      durationMs: Math.min(load.durationMs, BASELINE_DURATION_MS),
      warmUpMs: Math.min(load.warmUpMs, BASELINE_WARM_UP_MS),
      amount: amount === null ? null : Math.min(amount, least),
    };
  }

  async #turn(kind: ContestantKind, role: Contestant['role'], round: number, load: Load): Promise<void> {
    const server = await this.#start(kind, role);
    try {
      const { name } = server.contestant;
      const totalMs = load.amount === null ? load.warmUpMs + load.durationMs : null;
      const { rounds } = this.#options;
      const played = await playTurn(server, round, load, (progress) =>
        this.#onProgress({ ...progress, contestant: name, role, round, rounds, totalMs }),
      );
      const turn = { ...played.turn, limitedBy: this.#limitOf(played.turn, role) };
      this.turns.push(turn);
      this.warnings.push(...played.warnings, ...this.#doubtsOf(turn, role, server));
      if (!played.hasBailedOut) return;
      this.#hasBailedOut = true;
      this.warnings.push(
        `${name}: ended early, since ${played.turn.exchanges.failed} exchanges had failed (--bailout)`,
      );
    } finally {
      await server.stop();
    }
  }

  #limitOf(turn: Turn, role: Contestant['role']): LimitedBy {
    const baseline = this.#contestants.get('baseline')?.name;
    const alone = this.turns.find(({ contestant }) => contestant === baseline);
    if (alone === undefined || role === 'baseline') return turn.limitedBy;
    return limitBeside(turn.limitedBy, rateOf(turn), rateOf(alone));
  }

  #doubtsOf(turn: Turn, role: Contestant['role'], { cpus }: RunningContestant): string[] {
    const { ratePerSec } = this.#options.load;
    if (role === 'baseline') {
      if (ratePerSec === null || turn.limitedBy === 'rate') return [];
      const alone = Math.floor(rateOf(turn));
      return [`even without a server the load came to ${alone} a second of ${ratePerSec}: give a lower --rate`];
    }
    const serverShare = turn.cpu.serverNs === null ? null : turn.cpu.serverNs / 1e6 / turn.wallMs;
    const isFarFromLimit = serverShare !== null && cpus.server !== null && serverShare < FAR_SHARE * cpus.server.length;
    if (turn.limitedBy !== 'generator' || !isFarFromLimit || role !== 'subject') return [];
    return [
      'SIPp was at its limit while the server was far from its own: `npm run perf`, the load engine in a clone of Strowger, drives a server further',
    ];
  }

  async #start(kind: ContestantKind, role: Contestant['role']): Promise<RunningContestant> {
    const { load } = this.#options;
    const needs = { services: servicesOf(load.parts), domain: load.domain, users: load.users, password: load.password };
    const started = await startContestant(kind, role, needs);
    const server = { ...started, contestant: { ...started.contestant, name: this.#nameOf(started.contestant) } };
    // Ports differ from turn to turn; the first is as good as any.
    if (!this.#contestants.has(role)) this.#contestants.set(role, server.contestant);
    return server;
  }

  /** Turns know their contestant by its name, so two that are called alike must not be. */
  #nameOf({ name, role }: Contestant): string {
    const isTaken = [...this.#contestants.values()].some((other) => other.role !== role && other.name === name);
    return isTaken ? `${name} (${role})` : name;
  }
}
