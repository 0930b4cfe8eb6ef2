/** What the turns of each contestant come to: medians and ranges over the rounds for rates and CPU, added histograms for
 *  delays. Cold. */

import {
  type BenchResult,
  type Contestant,
  DELAYS,
  type Delay,
  type DelayName,
  type LimitedBy,
  type Turn,
} from '../result.ts';
import { Distribution } from './distribution.ts';
import { DELAYS_BY_WEIGHT } from './vocabulary.ts';

/** A figure of several rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** One for each round, in their order. */
  readonly values: readonly number[];
}

export interface ContestantSummary {
  readonly contestant: Contestant;
  /** Its place among the contestants; decides its colour. */
  readonly index: number;
  readonly turns: readonly Turn[];
  /** Successful exchanges a second. */
  readonly rate: Spread;
  /** Sent and received by the load, a second. */
  readonly messageRate: Spread;
  /** CPU time of the server's processes per successful exchange; null: not known of each round. */
  readonly cpuUs: Spread | null;
  readonly started: number;
  readonly successful: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failuresByCause: readonly (readonly [cause: string, count: number])[];
  readonly retransmissions: number;
  /** Null: not known of each round. */
  readonly serverDrops: number | null;
  readonly generatorDrops: number;
  readonly delays: ReadonlyMap<DelayName, Distribution>;
  /** What limited the turns, and how many of them: whatever takes most from the figures first. */
  readonly limits: readonly (readonly [limit: LimitedBy, turns: number])[];
}

/** Whatever takes most from the figures first. */
const LIMITS_BY_HARM: readonly LimitedBy[] = ['generator', 'others', 'neither', 'unknown', 'rate', 'server'];

/** One for each contestant that had a turn, in their order. Throws if a histogram cannot be decoded. */
export function summarize(result: BenchResult): readonly ContestantSummary[] {
  return result.contestants.flatMap((contestant, index) => {
    const turns = result.turns.filter((turn) => turn.contestant === contestant.name);
    return turns.length === 0 ? [] : [summarizeTurns(contestant, index, turns)];
  });
}

function summarizeTurns(contestant: Contestant, index: number, turns: readonly Turn[]): ContestantSummary {
  const total = (count: (turn: Turn) => number) => turns.reduce((sum, turn) => sum + count(turn), 0);
  return {
    contestant,
    index,
    turns,
    rate: spreadOf(turns.map(rateOf))!,
    messageRate: spreadOf(turns.map(({ messages, wallMs }) => ((messages.sent + messages.received) / wallMs) * 1000))!,
    cpuUs: spreadOf(turns.map(cpuUsOf)),
    started: total(startedOf),
    successful: total(({ exchanges }) => exchanges.successful),
    failed: total(({ exchanges }) => exchanges.failed),
    skipped: total(({ exchanges }) => exchanges.skipped),
    failuresByCause: causesOf(turns),
    retransmissions: total(({ messages }) => messages.retransmissions),
    serverDrops: turns.some(({ drops }) => drops.server === null) ? null : total(({ drops }) => drops.server!),
    generatorDrops: total(({ drops }) => drops.generator),
    delays: delaysOf(turns),
    limits: LIMITS_BY_HARM.flatMap((limit) => {
      const count = turns.filter(({ limitedBy }) => limitedBy === limit).length;
      return count === 0 ? [] : [[limit, count] as const];
    }),
  };
}

/** With those that began before the window and failed within it: no more can fail than have begun. */
export function startedOf({ exchanges: { started, failed } }: Turn): number {
  return Math.max(started, failed);
}

/** Successful exchanges a second. */
export function rateOf({ exchanges, wallMs }: Turn): number {
  return (exchanges.successful / wallMs) * 1000;
}

/** CPU time of the server per successful exchange, in microseconds; null: not known, or there was none. */
export function cpuUsOf({ cpu, exchanges }: Turn): number | null {
  if (cpu.serverNs === null || exchanges.successful === 0) return null;
  return cpu.serverNs / 1000 / exchanges.successful;
}

/** Null if a value is missing, or all. */
export function spreadOf(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0 || known.length < values.length) return null;
  return { median: medianOf(known), min: Math.min(...known), max: Math.max(...known), values: known };
}

/** Of one value or more. */
export function medianOf(values: readonly number[]): number {
  const ascending = [...values].sort((a, b) => a - b);
  const upper = ascending.length >> 1;
  return ascending.length % 2 === 1 ? ascending[upper]! : (ascending[upper - 1]! + ascending[upper]!) / 2;
}

/** By round, what `figure` is of `other` in multiples of what it is of `one`: rounds that both played, null if there are none.
 *  Both played them one after the other, so a slow quarter of an hour of the machine is in both. */
export function ratioOf(
  other: ContestantSummary,
  one: ContestantSummary,
  figure: (turn: Turn) => number | null,
): Spread | null {
  const ratios = one.turns.flatMap((turn) => {
    const beside = other.turns.find(({ round }) => round === turn.round);
    const below = figure(turn);
    const above = beside === undefined ? null : figure(beside);
    return above === null || below === null || below === 0 ? [] : [above / below];
  });
  return spreadOf(ratios);
}

/** What limits a contestant's figures: the worst of its turns. */
export function worstLimitOf({ limits }: ContestantSummary): LimitedBy {
  return limits[0]![0];
}

/** Whether its rate is a lower bound only. The baseline's is not: what the load can do by itself is what it measures. */
export function isLowerBound(summary: ContestantSummary): boolean {
  if (summary.contestant.role === 'baseline' || summary.successful === 0) return false;
  return summary.limits.some(([limit]) => limit === 'generator' || limit === 'neither');
}

/** The delay that the scenario is mainly about; null: none was recorded. */
export function mainDelayOf(summaries: readonly ContestantSummary[]): DelayName | null {
  return DELAYS_BY_WEIGHT.find((name) => summaries.some(({ delays }) => delays.has(name))) ?? null;
}

function causesOf(turns: readonly Turn[]): [string, number][] {
  const causes = new Map<string, number>();
  for (const { exchanges } of turns) {
    for (const [cause, count] of Object.entries(exchanges.failuresByCause)) {
      if (count > 0) causes.set(cause, (causes.get(cause) ?? 0) + count);
    }
  }
  return [...causes].sort(([, a], [, b]) => b - a);
}

function delaysOf(turns: readonly Turn[]): Map<DelayName, Distribution> {
  const delays = new Map<DelayName, Distribution>();
  for (const name of DELAYS) {
    const parts = turns.map((turn) => turn.delays[name]).filter((delay): delay is Delay => delay !== undefined);
    if (parts.some(({ count }) => count > 0)) delays.set(name, new Distribution(parts));
  }
  return delays;
}
