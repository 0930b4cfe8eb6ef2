/** From the turns of all contestants to figures and a table: medians and ranges of what each turn gave, ratios within a
 *  round, percentiles from added histograms. */

import { Histogram } from './histogram.ts';
import type { LoadResult } from './load.ts';

/** A server that had less of its CPU was not saturated. */
const SATURATED_SHARE = 0.95;
/** A generator that was busy for longer may have been what held things up. */
const BUSY_SHARE = 0.9;
/** Others took so much of the server's CPU that the turn is a poor one. */
const DISTURBED_SHARE = 0.05;
const KEPT_RATE_SHARE = 0.99;

export interface Turn {
  readonly contestant: string;
  readonly round: number;
  readonly result: LoadResult;
}

export type Bottleneck = 'server' | 'generator' | 'rate' | 'others' | 'neither';

interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export interface Summary {
  readonly contestant: string;
  readonly turns: number;
  readonly messagesPerSec: Spread;
  readonly cpuUsPerMessage: Spread;
  /** Of CPU per message, within the same round. */
  readonly timesRelay: Spread | null;
  readonly timesKamailio: Spread | null;
  readonly serverShare: Spread;
  readonly generatorBusy: Spread;
  readonly transitUs: Percentiles;
  readonly roundTripUs: Percentiles;
  readonly bottleneck: Bottleneck;
  readonly disturbedTurns: number;
  readonly residentMib: number;
  readonly residentGrowthMib: number;
  readonly failed: number;
  readonly lost: number;
  readonly skipped: number;
  readonly stale: number;
  readonly serverDrops: number;
  readonly ownDrops: number;
}

export function summarize(contestant: string, turns: readonly Turn[], rate: number): Summary {
  const own = turns.filter((turn) => turn.contestant === contestant);
  const results = own.map(({ result }) => result);
  const sum = (count: (result: LoadResult) => number) => results.reduce((total, result) => total + count(result), 0);
  const ratios = (other: string) => {
    if (other === contestant) return null;
    const pairs = own.flatMap(({ round, result }) => {
      const partner = turns.find((turn) => turn.contestant === other && turn.round === round);
      return partner === undefined ? [] : [cpuUsPerMessage(result) / cpuUsPerMessage(partner.result)];
    });
    return pairs.length === 0 ? null : spread(pairs);
  };
  const bottlenecks = results.map((result) => bottleneckOf(result, rate));
  return {
    contestant,
    turns: own.length,
    messagesPerSec: spread(results.map(({ messages, wallMs }) => (messages * 1000) / wallMs)),
    cpuUsPerMessage: spread(results.map(cpuUsPerMessage)),
    timesRelay: ratios('relay'),
    timesKamailio: ratios('kamailio'),
    serverShare: spread(results.map(serverShare)),
    generatorBusy: spread(results.map(({ generatorBusy }) => generatorBusy)),
    transitUs: percentiles(results.map(({ transit }) => transit)),
    roundTripUs: percentiles(results.map(({ roundTrip }) => roundTrip)),
    bottleneck: mostOften(bottlenecks),
    disturbedTurns: results.filter((result) => foreignShare(result) > DISTURBED_SHARE).length,
    residentMib: median(results.map(({ residentKib }) => residentKib[1] / 1024)),
    residentGrowthMib: median(results.map(({ residentKib }) => (residentKib[1] - residentKib[0]) / 1024)),
    failed: sum(({ failed }) => failed),
    lost: sum(({ lost }) => lost),
    skipped: sum(({ skipped }) => skipped),
    stale: sum(({ stale }) => stale),
    serverDrops: sum(({ serverDrops }) => serverDrops),
    ownDrops: sum(({ ownDrops }) => ownDrops),
  };
}

export function cpuUsPerMessage({ serverCpuNs, messages }: LoadResult): number {
  return serverCpuNs / 1000 / messages;
}

function serverShare({ serverCpuNs, wallMs }: LoadResult): number {
  return serverCpuNs / 1e6 / wallMs;
}

/** Check that the server, not the client, is at 100 %. */
function bottleneckOf(result: LoadResult, rate: number): Bottleneck {
  if (rate > 0 && (result.exchanges * 1000) / result.wallMs >= KEPT_RATE_SHARE * rate) return 'rate';
  if (serverShare(result) >= SATURATED_SHARE) return 'server';
  if (serverShare(result) + foreignShare(result) >= SATURATED_SHARE) return 'others';
  return result.generatorBusy > BUSY_SHARE ? 'generator' : 'neither';
}

function foreignShare({ foreignCpuNs, wallMs }: LoadResult): number {
  return foreignCpuNs / 1e6 / wallMs;
}

export function renderTable(summaries: readonly Summary[]): string {
  const rows = summaries.map((summary) => [
    summary.contestant,
    range(summary.messagesPerSec, 0),
    range(summary.cpuUsPerMessage, 2),
    summary.timesRelay === null ? '' : range(summary.timesRelay, 2),
    summary.timesKamailio === null ? '' : range(summary.timesKamailio, 2),
    `${percent(summary.serverShare.median)}`,
    `${percent(summary.generatorBusy.median)}`,
    summary.bottleneck,
    threeOf(summary.transitUs),
    threeOf(summary.roundTripUs),
    `${summary.residentMib.toFixed(0)} (${signed(summary.residentGrowthMib)})`,
  ]);
  const heads = [
    '',
    'messages/s',
    'CPU µs/message',
    '× relay',
    '× kamailio',
    'server',
    'generator',
    'limited by',
    'transit µs p50 / p99 / p99.9',
    'round trip µs',
    'RSS MiB',
  ];
  return [...columns([heads, ...rows]), ...summaries.flatMap(notesOf)].join('\n');
}

function notesOf(summary: Summary): string[] {
  const counts: [number, string][] = [
    [summary.failed, 'messages were not as they should be'],
    [summary.lost, 'exchanges were lost'],
    [summary.skipped, 'exchanges were due while the window was full'],
    [summary.stale, 'messages came after their exchange was given up'],
    [summary.serverDrops, "datagrams were dropped at the server's full receive buffer"],
    [summary.ownDrops, "datagrams were dropped at the generator's full receive buffer"],
    [summary.disturbedTurns, `of ${summary.turns} turns shared the CPU with other programs`],
    [
      summary.bottleneck === 'generator' ? 1 : 0,
      'warning: the generator was the limit, so the server slept in between',
    ],
  ];
  return counts.filter(([count]) => count > 0).map(([count, what]) => `${summary.contestant}: ${count} ${what}`);
}

function columns(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('   '),
  );
}

function percentiles(histograms: readonly LoadResult['transit'][]): Percentiles {
  const all = new Histogram();
  for (const bins of histograms) all.add(bins);
  return { p50: all.percentileUs(0.5), p99: all.percentileUs(0.99), p999: all.percentileUs(0.999) };
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

function mostOften(bottlenecks: readonly Bottleneck[]): Bottleneck {
  const count = (one: Bottleneck) => bottlenecks.filter((other) => other === one).length;
  return bottlenecks.toSorted((a, b) => count(b) - count(a))[0]!;
}

function range({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} [${min.toFixed(digits)}–${max.toFixed(digits)}]`;
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
