/** From the turns of all contestants to figures and a table: medians and ranges of what each turn gave, ratios within a
 *  round, percentiles from added histograms. Pure. */

import type { DelayName, LimitedBy } from '../bench/result.ts';
import type { EngineResult } from './engine-result.ts';
import { cpuUsPerExchange, exchangesPerSec, isDisturbed, limitOf, messagesPerSec, serverShare } from './figures.ts';
import { Histogram, type HistogramFigures } from './histogram.ts';
import { medianOf, type Spread, spreadOf, textOfSpread } from './spread.ts';
import { textTable } from './text-table.ts';

/** A contestant's part in a round. */
export interface RoundResult {
  readonly contestant: string;
  readonly round: number;
  readonly result: EngineResult;
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export interface Summary {
  readonly contestant: string;
  readonly turns: number;
  readonly exchangesPerSec: Spread;
  readonly messagesPerSec: Spread;
  readonly cpuUsPerExchange: Spread;
  /** Of CPU per exchange, within the same round. */
  readonly timesRelay: Spread | null;
  readonly timesKamailio: Spread | null;
  readonly serverShare: Spread;
  readonly generatorBusy: Spread;
  /** Of the scenario's main delay. */
  readonly delayUs: Percentiles;
  readonly limitedBy: LimitedBy;
  readonly disturbedTurns: number;
  readonly residentMib: number;
  readonly residentGrowthMib: number;
  readonly failed: number;
  readonly failuresByCause: ReadonlyMap<string, number>;
  readonly retransmissions: number;
  readonly skipped: number;
  readonly stale: number;
  readonly serverDrops: number;
  readonly ownDrops: number;
}

export interface Conditions {
  /** Exchanges a second; 0: closed loop. */
  readonly rate: number;
  readonly serverCpus: number;
  readonly mainDelay: DelayName;
}

export function summarize(contestant: string, turns: readonly RoundResult[], conditions: Conditions): Summary {
  const own = turns.filter((turn) => turn.contestant === contestant);
  const results = own.map(({ result }) => result);
  const sum = (count: (result: EngineResult) => number) => results.reduce((total, result) => total + count(result), 0);
  const spread = (figure: (result: EngineResult) => number) => spreadOf(results.map(figure));
  const ratios = (other: string) => {
    const values = other === contestant ? [] : ratiosOf(contestant, other, turns);
    return values.length === 0 ? null : spreadOf(values);
  };
  const causes = new Map<string, number>();
  for (const [cause, count] of results.flatMap(({ failuresByCause }) => Object.entries(failuresByCause))) {
    causes.set(cause, (causes.get(cause) ?? 0) + count);
  }
  return {
    contestant,
    turns: own.length,
    exchangesPerSec: spread(exchangesPerSec),
    messagesPerSec: spread(messagesPerSec),
    cpuUsPerExchange: spread(cpuUsPerExchange),
    timesRelay: ratios('relay'),
    timesKamailio: ratios('kamailio'),
    serverShare: spread(serverShare),
    generatorBusy: spread(({ generatorBusy }) => generatorBusy),
    delayUs: percentiles(results.map(({ delays }) => delays[conditions.mainDelay])),
    limitedBy: mostOften(results.map((result) => limitOf(result, conditions.rate, conditions.serverCpus))),
    disturbedTurns: results.filter((result) => isDisturbed(result, conditions.serverCpus)).length,
    residentMib: medianOf(results.map(({ residentKib }) => residentKib[1] / 1024)),
    residentGrowthMib: medianOf(results.map(({ residentKib }) => (residentKib[1] - residentKib[0]) / 1024)),
    failed: sum(({ failed }) => failed),
    failuresByCause: causes,
    retransmissions: sum(({ retransmissions }) => retransmissions),
    skipped: sum(({ skipped }) => skipped),
    stale: sum(({ stale }) => stale),
    serverDrops: sum(({ serverDrops }) => serverDrops),
    ownDrops: sum(({ ownDrops }) => ownDrops),
  };
}

/** CPU per exchange of one contestant as a multiple of another's, one for each round that both played. */
export function ratiosOf(contestant: string, other: string, turns: readonly RoundResult[]): number[] {
  return turns.flatMap((turn) => {
    if (turn.contestant !== contestant) return [];
    const partner = turns.find(({ contestant: name, round }) => name === other && round === turn.round);
    return partner === undefined ? [] : [cpuUsPerExchange(turn.result) / cpuUsPerExchange(partner.result)];
  });
}

export function renderTable(summaries: readonly Summary[]): string {
  const rows = summaries.map((summary) => [
    summary.contestant,
    summary.exchangesPerSec.median.toFixed(0),
    summary.messagesPerSec.median.toFixed(0),
    textOfSpread(summary.cpuUsPerExchange, 2),
    summary.timesRelay === null ? '' : textOfSpread(summary.timesRelay, 2),
    summary.timesKamailio === null ? '' : textOfSpread(summary.timesKamailio, 2),
    `${percent(summary.serverShare.median)}`,
    `${percent(summary.generatorBusy.median)}`,
    summary.limitedBy,
    threeOf(summary.delayUs),
    `${summary.residentMib.toFixed(0)} (${signed(summary.residentGrowthMib)})`,
  ]);
  const heads = [
    '',
    'exchanges/s',
    'messages/s',
    'CPU µs/exchange',
    '× relay',
    '× kamailio',
    'server',
    'generator',
    'limited by',
    'delay µs p50 / p99 / p99.9',
    'RSS MiB',
  ];
  return [...textTable([heads, ...rows]), ...summaries.flatMap(notesOf)].join('\n');
}

/** One sentence each: whatever makes the figures worth less than they look. */
export function notesOf(summary: Summary): string[] {
  const causes = Array.from(summary.failuresByCause, ([cause, count]) => `${count} × ${cause}`).join(', ');
  const counts: [number, string][] = [
    [summary.failed, `failed: ${causes}`],
    [summary.retransmissions, 'messages came more than once'],
    [summary.skipped, 'exchanges were due while the window was full'],
    [summary.stale, 'messages came after their exchange was given up'],
    [summary.serverDrops, "datagrams were dropped at the server's full receive buffer"],
    [summary.ownDrops, "datagrams were dropped at the generator's full receive buffer"],
    [summary.disturbedTurns, `of ${summary.turns} turns shared the CPU with other programs`],
  ];
  const notes = counts.filter(([count]) => count > 0).map(([count, what]) => `${summary.contestant}: ${count} ${what}`);
  if (summary.limitedBy !== 'generator') return notes;
  return [...notes, `${summary.contestant}: the generator was the limit, so the server slept in between`];
}

function percentiles(histograms: readonly (HistogramFigures | undefined)[]): Percentiles {
  const all = new Histogram();
  for (const figures of histograms) if (figures !== undefined) all.add(figures);
  return { p50: all.percentileUs(0.5), p99: all.percentileUs(0.99), p999: all.percentileUs(0.999) };
}

function mostOften(limits: readonly LimitedBy[]): LimitedBy {
  const count = (one: LimitedBy) => limits.filter((other) => other === one).length;
  return limits.toSorted((a, b) => count(b) - count(a))[0]!;
}

function threeOf({ p50, p99, p999 }: Percentiles): string {
  return [p50, p99, p999].map((us) => us.toFixed(0)).join(' / ');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function signed(mib: number): string {
  return `${mib < 0 ? '−' : '+'}${Math.abs(mib).toFixed(1)}`;
}
