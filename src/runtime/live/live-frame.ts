/** A second of the live page: differences between readings, as what people read. Pure, cold. This is also what goes over the wire:
 *  `/live.json`, and the events of `/live/events`. Rates are per second; durations are in microseconds, sizes in bytes. */

import { COUNTER, type CounterName } from '../../observe/counters.ts';
import type { DistinctError } from '../../observe/distinct-errors.ts';
import type { HistogramReading } from '../../observe/histograms.ts';
import { countOf, histogramSince, quantileUs } from '../../observe/quantile.ts';
import { MANY_PORTS } from '../../observe/top-sources.ts';
import { METHOD_NAMES } from '../../sip/methods.ts';
import type { ListedHop } from '../shard-service.ts';
import type { LiveReading, ShardReading, ThreadReading } from './live-reading.ts';

/** Readings that percentiles and top talkers are about: what a second brings is too little to tell a p99. */
export const WINDOW_READINGS = 10;
const MAX_TALKERS = 12;

/** What does not change while the server runs. */
export interface LiveFacts {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly mode: string;
  readonly startedAtMs: number;
  readonly listening: readonly string[];
  /** Slots queued at a shard above which new requests are answered 503, and dropped. */
  readonly ringRejectMark: number;
  readonly ringShedMark: number;
  readonly slots: number;
  readonly jumbos: number;
  /** Of each shard; 0: stateless. */
  readonly transactionsLimit: number;
  readonly keptBytesLimit: number;
  readonly parkedLimit: number;
  /** Connections at once. */
  readonly connectionsLimit: number;
  readonly aorsLimit: number;
}

/** Percentiles of the last readings. */
export interface Latency {
  readonly perSec: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

/** A point of the charts: little, because there are many. */
export interface LivePoint {
  /** Milliseconds since 1970, the end of the second it is about. */
  readonly at: number;
  /** By METHOD of sip/methods.ts. */
  readonly requests: readonly number[];
  /** 1xx to 6xx. */
  readonly responses: readonly number[];
  /** Datagrams, and messages of streams. */
  readonly received: number;
  readonly sent: number;
  /** null: none came in the last readings. */
  readonly transit: Latency | null;
  readonly invite: Latency | null;
  readonly other: Latency | null;
  readonly aors: number;
  /** Datagrams that were lost here: in the kernel, at full tables, above the overload mark, at a full send buffer. */
  readonly lost: number;
}

/** Something that a healthy server has little of. */
export interface Signal {
  readonly perSec: number;
  readonly total: number;
}

export interface ThreadLoad {
  readonly isRunning: boolean;
  /** Shares of a core; null: not known. */
  readonly cpu: number | null;
  /** Share of the time in which it waited for a core. */
  readonly waiting: number | null;
}

export interface LiveShard extends ThreadLoad {
  readonly starts: number;
  readonly crashes: number;
  readonly messagesPerSec: number;
  readonly p99Us: number | null;
  readonly ringDepth: number;
  readonly ringHigh: number;
  readonly parked: number;
  readonly transactions: number;
  readonly keptBytes: number;
}

export interface Talker {
  readonly address: string;
  /** null: several. */
  readonly port: number | null;
  readonly perSec: number;
  /** Of all that came, 0 to 1. */
  readonly share: number;
}

/** null stands for what only a difference can tell, in the first frame. */
export interface LiveFrame {
  readonly at: number;
  readonly uptimeSec: number;
  /** Empty: the server is ready. */
  readonly notReadyBecause: readonly string[];
  readonly point: LivePoint | null;
  /** Datagrams and messages of streams since the start. */
  readonly receivedTotal: number;
  readonly signals: Readonly<Record<SignalName, Signal>>;
  readonly shards: readonly LiveShard[];
  /** null: there is none. */
  readonly dispatcher: ThreadLoad | null;
  /** null: there are none. */
  readonly streams:
    | (ThreadLoad & { readonly connections: number; readonly accepted: Signal; readonly opened: Signal })
    | null;
  readonly main: ThreadLoad & { readonly lateP99Us: number | null };
  readonly sockets: readonly {
    readonly text: string;
    readonly receiveBufferBytes: number;
    /** What waits in the receive buffer, as the kernel counts it: it is full at twice `receiveBufferBytes`. */
    readonly queuedBytes: number;
    readonly receivedPerSec: number;
    readonly drops: Signal;
  }[];
  readonly slotsFree: number;
  readonly jumbosFree: number;
  readonly location: {
    readonly aors: number;
    readonly bindings: number;
    readonly store: string;
    readonly changes: Signal;
    readonly queries: Signal;
    readonly refused: Signal;
  };
  readonly residentBytes: number;
  /** Pages that are open. */
  readonly watchers: number;
  readonly talkers: readonly Talker[] | null;
  /** As the shards saw them a second ago; null: they have not said. */
  readonly hops: readonly ListedHop[] | null;
  /** The latest first. */
  readonly errors: readonly DistinctError[];
}

/** What a frame tells beside the readings. */
export interface FrameContext {
  readonly startedAtMs: number;
  readonly watchers: number;
  readonly errors: readonly DistinctError[];
  readonly hops: readonly ListedHop[] | null;
}

/** In the order of their weight. */
export const SIGNAL_NAMES = [
  'kernel_drops_total',
  'slots_exhausted_total',
  'jumbo_exhausted_total',
  'shed_requests_total',
  'filtered_requests_total',
  'overload_rejected_total',
  'drain_rejected_total',
  'transactions_exhausted_total',
  'parked_exhausted_total',
  'send_congested_total',
  'send_errors_total',
  'stream_refused_total',
  'stream_undelivered_total',
  'icmp_errors_total',
  'timeouts_total',
  'failovers_total',
  'unresolvable_total',
  'request_retransmissions_total',
  'retransmissions_sent_total',
  'malformed_requests_total',
  'malformed_responses_total',
  'junk_datagrams_total',
  'loops_detected_total',
  'too_many_hops_total',
  'banned_datagrams_total',
  'relay_denied_total',
  'wrong_credentials_total',
  'forged_responses_total',
  'stray_responses_total',
] as const satisfies readonly CounterName[];

export type SignalName = (typeof SIGNAL_NAMES)[number];

const LOST = [
  COUNTER.kernel_drops_total,
  COUNTER.jumbo_exhausted_total,
  COUNTER.shed_requests_total,
  COUNTER.filtered_requests_total,
  COUNTER.parked_exhausted_total,
  COUNTER.send_congested_total,
] as const;
const RECEIVED = [COUNTER.datagrams_received_total, COUNTER.stream_messages_received_total] as const;
const SENT = [COUNTER.datagrams_sent_total, COUNTER.stream_messages_sent_total] as const;
const CLASSES = 6;

/** What `readings`, oldest first and a second apart, tell of their last second and of the time from the first to the last. */
export function frameOf(
  readings: readonly LiveReading[],
  { startedAtMs, watchers, errors, hops }: FrameContext,
): LiveFrame {
  const now = readings.at(-1)!;
  const before = readings.at(-2) ?? null;
  const first = readings[0]!;
  const sec = before === null ? 0 : (now.monotonicMs - before.monotonicMs) / 1000;
  const signalOf = (id: number): Signal => signal(now.counters[id]!, before?.counters[id] ?? null, sec);
  return {
    at: now.wallMs,
    uptimeSec: Math.max(0, (now.wallMs - startedAtMs) / 1000),
    notReadyBecause: now.notReadyBecause,
    point: before === null ? null : pointOf(now, before, first, sec),
    receivedTotal: RECEIVED.reduce((sum, id) => sum + now.counters[id]!, 0),
    signals: Object.fromEntries(SIGNAL_NAMES.map((name) => [name, signalOf(COUNTER[name])])) as Record<
      SignalName,
      Signal
    >,
    shards: now.shards.map((shard, i) => shardOf(shard, before?.shards[i] ?? null, first.shards[i] ?? null, sec)),
    dispatcher: now.dispatcher === null ? null : threadLoad(now.dispatcher, before?.dispatcher ?? null, sec),
    streams:
      now.streams === null
        ? null
        : {
            ...threadLoad(now.streams, before?.streams ?? null, sec),
            connections: now.streams.connections,
            accepted: signalOf(COUNTER.stream_accepted_total),
            opened: signalOf(COUNTER.stream_opened_total),
          },
    main: {
      ...threadLoad(
        { isRunning: true, threadId: 1, cpu: now.mainCpu },
        before === null ? null : { isRunning: true, threadId: 1, cpu: before.mainCpu },
        sec,
      ),
      lateP99Us: quantileUs(histogramSince(now.loopDelay, first.loopDelay), 0.99),
    },
    sockets: now.sockets.map(({ text, receiveBufferBytes, queuedBytes, drops, received }, i) => ({
      text,
      receiveBufferBytes,
      queuedBytes,
      receivedPerSec: signal(received, before?.sockets[i]?.received ?? null, sec).perSec,
      drops: signal(drops, before?.sockets[i]?.drops ?? null, sec),
    })),
    slotsFree: now.slotsFree,
    jumbosFree: now.jumbosFree,
    location: {
      aors: now.aors,
      bindings: now.bindings,
      store: now.storeState,
      changes: signalOf(COUNTER.registrations_total),
      queries: signalOf(COUNTER.registration_queries_total),
      refused: signalOf(COUNTER.registrations_refused_total),
    },
    residentBytes: now.residentBytes,
    watchers,
    talkers: before === null ? null : talkersOf(readings),
    hops,
    errors,
  };
}

function pointOf(now: LiveReading, before: LiveReading, first: LiveReading, sec: number): LivePoint {
  const rate = (id: number) => perSec(now.counters[id]!, before.counters[id]!, sec);
  const rateOfAll = (ids: readonly number[]) => rounded(ids.reduce((sum, id) => sum + rate(id), 0));
  const windowSec = (now.monotonicMs - first.monotonicMs) / 1000;
  return {
    at: now.wallMs,
    requests: METHOD_NAMES.map((_, method) => rate(COUNTER.other_requests_total + method)),
    responses: Array.from({ length: CLASSES }, (_, i) => rate(COUNTER.responses_1xx_total + i)),
    received: rateOfAll(RECEIVED),
    sent: rateOfAll(SENT),
    transit: latencyOf(transitSince(now, first), windowSec),
    invite: latencyOf(histogramSince(now.invite, first.invite), windowSec),
    other: latencyOf(histogramSince(now.other, first.other), windowSec),
    aors: now.aors,
    lost: rateOfAll(LOST),
  };
}

/** Of all shards. */
function transitSince(now: LiveReading, first: LiveReading): HistogramReading {
  const parts = now.shards.map(({ transit }, i) => {
    const earlier = first.shards[i];
    return earlier === undefined ? transit : histogramSince(transit, earlier.transit);
  });
  const counts = new Float64Array(parts[0]?.counts.length ?? 0);
  for (const part of parts) for (const [i, count] of part.counts.entries()) counts[i]! += count;
  return { sumUs: parts.reduce((sum, { sumUs }) => sum + sumUs, 0), counts };
}

function latencyOf(histogram: HistogramReading, windowSec: number): Latency | null {
  const p50Us = quantileUs(histogram, 0.5);
  if (p50Us === null) return null;
  return {
    perSec: rounded(countOf(histogram) / windowSec),
    p50Us: rounded(p50Us),
    p90Us: rounded(quantileUs(histogram, 0.9)!),
    p99Us: rounded(quantileUs(histogram, 0.99)!),
    p999Us: rounded(quantileUs(histogram, 0.999)!),
  };
}

function shardOf(now: ShardReading, before: ShardReading | null, first: ShardReading | null, sec: number): LiveShard {
  const p99Us = first === null ? null : quantileUs(histogramSince(now.transit, first.transit), 0.99);
  return {
    ...threadLoad(now, before, sec),
    starts: now.starts,
    crashes: now.crashes,
    messagesPerSec: before === null ? 0 : perSec(now.messages, before.messages, sec),
    p99Us: p99Us === null ? null : rounded(p99Us),
    ringDepth: now.ringDepth,
    ringHigh: now.ringHigh,
    parked: now.parked,
    transactions: now.transactions,
    keptBytes: now.keptBytes,
  };
}

/** A successor has a clock of its own: what its predecessor has used is no difference to it. */
function threadLoad(now: ThreadReading, before: ThreadReading | null, sec: number): ThreadLoad {
  const { isRunning } = now;
  if (now.cpu === null || before?.cpu == null || now.threadId !== before.threadId) {
    return { isRunning, cpu: null, waiting: null };
  }
  return {
    isRunning,
    cpu: share(now.cpu.ranNs - before.cpu.ranNs, sec),
    waiting: share(now.cpu.waitedNs - before.cpu.waitedNs, sec),
  };
}

function share(ns: number, sec: number): number {
  return Number(Math.min(1, Math.max(0, ns / 1e9 / sec)).toFixed(4));
}

/** Of the seconds that the readings are about; the sketch is a second behind, and the first two have none. */
function talkersOf(readings: readonly LiveReading[]): Talker[] {
  const weights = new Map<string, { weight: number; port: number | null }>();
  const seconds = readings.slice(2);
  let total = 0;
  for (const { topSources } of seconds) {
    for (const { address, port, weight, excess } of topSources) {
      const known = weights.get(address);
      const shown = port === MANY_PORTS ? null : port;
      const isSame = known === undefined || known.port === shown;
      weights.set(address, { weight: (known?.weight ?? 0) + weight - excess, port: isSame ? shown : null });
      total += weight - excess;
    }
  }
  return [...weights]
    .map(([address, { weight, port }]) => ({
      address,
      port,
      perSec: rounded(weight / seconds.length),
      share: Number((weight / total).toFixed(4)),
    }))
    .sort((a, b) => b.perSec - a.perSec || (a.address < b.address ? -1 : 1))
    .slice(0, MAX_TALKERS);
}

/** Without a reading before, nothing is known to have happened. */
function signal(now: number, before: number | null, sec: number): Signal {
  return { perSec: before === null ? 0 : perSec(now, before, sec), total: now };
}

/** A total that has fallen began anew, and all of it is of this second: the kernel's counts of drops have 32 bits. */
function perSec(now: number, before: number, sec: number): number {
  return rounded((now >= before ? now - before : now) / sec);
}

/** Three digits behind the point are more than anyone reads, and shorter on the wire. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
