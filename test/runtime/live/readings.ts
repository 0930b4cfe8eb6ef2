/** Readings for tests of the live page: of a server of one shard at rest, but for what is said. */

import { COUNTER, COUNTER_NAMES, type CounterName } from '../../../src/observe/counters.ts';
import { BUCKET_BOUNDS_US, bucketOf, type HistogramReading } from '../../../src/observe/histograms.ts';
import type { LiveFacts } from '../../../src/runtime/live/live-frame.ts';
import type { LiveReading, ShardReading } from '../../../src/runtime/live/live-reading.ts';

export const STARTED_AT_MS = 1_795_000_000_000;

export const FACTS: LiveFacts = {
  version: '0.1.0',
  node: '26.10.0',
  pid: 4711,
  mode: 'stateful',
  startedAtMs: STARTED_AT_MS,
  listening: ['udp:127.0.0.1:5060'],
  ringRejectMark: 1024,
  ringShedMark: 2048,
  slots: 16_384,
  jumbos: 256,
  transactionsLimit: 1000,
  keptBytesLimit: 1024,
  parkedLimit: 64,
  connectionsLimit: 100,
  aorsLimit: 1000,
};

export function histogramOf(...valuesUs: number[]): HistogramReading {
  const counts = new Float64Array(BUCKET_BOUNDS_US.length + 1);
  for (const us of valuesUs) counts[bucketOf(us)]!++;
  return { sumUs: valuesUs.reduce((sum, us) => sum + us, 0), counts };
}

export function shardReading(said: Partial<ShardReading> = {}): ShardReading {
  return {
    isRunning: true,
    starts: 1,
    crashes: 0,
    threadId: 100,
    cpu: { ranNs: 0, waitedNs: 0 },
    messages: 0,
    ringDepth: 0,
    ringHigh: 0,
    parked: 0,
    transactions: 0,
    keptBytes: 0,
    transit: histogramOf(),
    ...said,
  };
}

export interface Said extends Partial<Omit<LiveReading, 'counters'>> {
  readonly counters?: Partial<Record<CounterName, number>>;
}

/** `second`: since the start. */
export function reading(second: number, { counters = {}, ...said }: Said = {}): LiveReading {
  const totals = new Float64Array(COUNTER_NAMES.length);
  for (const [name, value] of Object.entries(counters)) totals[COUNTER[name as CounterName]] = value;
  return {
    monotonicMs: 5000 + second * 1000,
    wallMs: STARTED_AT_MS + second * 1000,
    notReadyBecause: [],
    counters: totals,
    invite: histogramOf(),
    other: histogramOf(),
    loopDelay: histogramOf(),
    shards: [shardReading()],
    dispatcher: null,
    streams: null,
    mainCpu: null,
    sockets: [],
    slotsFree: 16_384,
    jumbosFree: 256,
    aors: 0,
    bindings: 0,
    storeState: 'off',
    residentBytes: 1 << 20,
    topSources: [],
    ...said,
  };
}
