/** What the live page is made of: one look at the arena and at what the main thread knows, as totals since the start and states of
 *  now. Main thread, cold: once a second while somebody watches. What it means, `frameOf` says (live-frame.ts). */

import {
  countersOffset,
  DISPATCHER,
  EXTRA_THREADS,
  ingressRingOffset,
  RING,
  SHARD,
  shardOffset,
} from '../../memory/layout.ts';
import { COUNTER, COUNTER_NAMES, connectionCount } from '../../observe/counters.ts';
import { HISTOGRAM, type HistogramReading, readHistogram } from '../../observe/histograms.ts';
import { type TopSource, TopSourcesReader } from '../../observe/top-sources.ts';
import type { ShownSources } from '../shown-sources.ts';
import type { ShardStatus } from '../supervisor.ts';
import { readThreadCpu, type ThreadCpu } from '../thread-cpu.ts';

export interface LiveSources extends ShownSources {
  /** All sockets, those of streams included. */
  readonly listening: readonly string[];
  readonly notReadyBecause: () => readonly string[];
  /** null: there are none. */
  readonly areStreamsUp: () => boolean | null;
  /** Most datagrams that waited for a shard at once, lately. */
  readonly ringHighOf: (shard: number) => number;
  /** null: nobody says who sends. */
  readonly topSources: SharedArrayBuffer | null;
}

export interface ThreadReading {
  readonly isRunning: boolean;
  readonly threadId: number;
  /** null: the kernel does not say. */
  readonly cpu: ThreadCpu | null;
}

export interface SocketReading {
  readonly text: string;
  readonly receiveBufferBytes: number;
  readonly queuedBytes: number;
  readonly drops: number;
  readonly received: number;
}

export interface ShardReading extends ThreadReading {
  readonly starts: number;
  readonly crashes: number;
  /** SIP messages parsed. */
  readonly messages: number;
  readonly ringDepth: number;
  readonly ringHigh: number;
  readonly parked: number;
  readonly transactions: number;
  readonly keptBytes: number;
  readonly transit: HistogramReading;
}

export interface LiveReading {
  /** Milliseconds of a clock that is never set. */
  readonly monotonicMs: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  readonly notReadyBecause: readonly string[];
  /** Sums over the threads, by COUNTER. */
  readonly counters: Float64Array;
  readonly invite: HistogramReading;
  readonly other: HistogramReading;
  readonly loopDelay: HistogramReading;
  readonly shards: readonly ShardReading[];
  /** null: there is none. */
  readonly dispatcher: ThreadReading | null;
  /** null: there are none. */
  readonly streams: (ThreadReading & { readonly connections: number }) | null;
  readonly mainCpu: ThreadCpu | null;
  readonly sockets: readonly SocketReading[];
  readonly slotsFree: number;
  readonly jumbosFree: number;
  readonly aors: number;
  readonly bindings: number;
  readonly storeState: string;
  readonly residentBytes: number;
  /** What came in the second before the last one. */
  readonly topSources: readonly TopSource[];
}

const MESSAGE_COUNTERS = [COUNTER.requests_received_total, COUNTER.responses_received_total] as const;

export class LiveReader {
  readonly #sources: LiveSources;
  readonly #topSources: TopSourcesReader | null;

  constructor(sources: LiveSources) {
    this.#sources = sources;
    this.#topSources = sources.topSources === null ? null : new TopSourcesReader(sources.topSources);
  }

  /** From now on `read` is called once a second. */
  watch(): void {
    this.#topSources?.watch();
  }

  /** Until the next `watch` it is not called. */
  rest(): void {
    this.#topSources?.rest();
  }

  read(): LiveReading {
    const {
      arena,
      sockets,
      notReadyBecause,
      isDispatcherUp,
      areStreamsUp,
      aorCount,
      bindingCount,
      storeState,
      refresh,
    } = this.#sources;
    const { map, words } = arena;
    refresh();
    const control = map.dispatcher >> 2;
    const main = map.shardCount + 1;
    const streams = this.#readThread(areStreamsUp(), DISPATCHER.STREAMS_THREAD_ID_WORD);
    return {
      monotonicMs: performance.now(),
      wallMs: Date.now(),
      notReadyBecause: notReadyBecause(),
      counters: this.#sumCounters(),
      invite: this.#sumHistograms(HISTOGRAM.INVITE),
      other: this.#sumHistograms(HISTOGRAM.NON_INVITE),
      loopDelay: readHistogram(arena, main, HISTOGRAM.LOOP_DELAY),
      shards: this.#sources.shards().map((status) => this.#readShard(status)),
      dispatcher: this.#readThread(isDispatcherUp(), DISPATCHER.THREAD_ID_WORD),
      streams: streams === null ? null : { ...streams, connections: connectionCount(arena) },
      mainCpu: readThreadCpu(process.pid),
      sockets: sockets.map(({ text, receiveBufferBytes, drops, queuedBytes, received }) => ({
        text,
        receiveBufferBytes,
        queuedBytes: queuedBytes(),
        drops: drops(),
        received: received(),
      })),
      slotsFree: words[control + DISPATCHER.FREE_SLOTS_WORD]!,
      jumbosFree: words[control + DISPATCHER.FREE_JUMBOS_WORD]!,
      aors: aorCount(),
      bindings: bindingCount(),
      storeState: storeState(),
      residentBytes: process.memoryUsage.rss(),
      topSources: this.#topSources?.take() ?? [],
    };
  }

  #readShard({ shard, isRunning, starts, crashes }: ShardStatus): ShardReading {
    const { map, words } = this.#sources.arena;
    const word = shardOffset(map, shard) >> 2;
    const ring = ingressRingOffset(map, shard) >> 2;
    const head = Atomics.load(words, ring + RING.HEAD_WORD);
    const threadId = words[word + SHARD.THREAD_ID_WORD]!;
    return {
      isRunning,
      starts,
      crashes,
      threadId,
      cpu: readThreadCpu(threadId),
      messages: MESSAGE_COUNTERS.reduce((sum, id) => sum + this.#counter(shard, id), 0),
      ringDepth: (Atomics.load(words, ring + RING.TAIL_WORD) - head) | 0,
      ringHigh: this.#sources.ringHighOf(shard),
      parked: words[word + SHARD.PARKED_WORD]!,
      transactions: this.#transactionsOf(shard),
      keptBytes: words[word + SHARD.KEPT_KIB_WORD]! * 1024,
      transit: readHistogram(this.#sources.arena, shard, HISTOGRAM.TRANSIT),
    };
  }

  /** null: there is no such thread. `idWord`: among DISPATCHER. */
  #readThread(isRunning: boolean | null, idWord: number): ThreadReading | null {
    const { words, map } = this.#sources.arena;
    if (isRunning === null) return null;
    const threadId = words[(map.dispatcher >> 2) + idWord]!;
    return { isRunning, threadId, cpu: readThreadCpu(threadId) };
  }

  /** Of the side that has more of them. */
  #transactionsOf(shard: number): number {
    // Ended first: one that begins and ends in between must not make it negative.
    const serversOver = this.#counter(shard, COUNTER.server_transactions_ended_total);
    const servers = this.#counter(shard, COUNTER.server_transactions_total) - serversOver;
    const clientsOver = this.#counter(shard, COUNTER.client_transactions_ended_total);
    return Math.max(servers, this.#counter(shard, COUNTER.client_transactions_total) - clientsOver);
  }

  #counter(thread: number, id: number): number {
    const { map, doubles } = this.#sources.arena;
    return doubles[countersOffset(map, thread) / 8 + id]!;
  }

  #sumCounters(): Float64Array {
    const sums = new Float64Array(COUNTER_NAMES.length);
    for (let thread = 0; thread < this.#sources.arena.map.shardCount + EXTRA_THREADS; thread++) {
      for (let id = 0; id < sums.length; id++) sums[id]! += this.#counter(thread, id);
    }
    return sums;
  }

  #sumHistograms(id: number): HistogramReading {
    const { arena } = this.#sources;
    const sum = readHistogram(arena, 0, id);
    for (let shard = 1; shard < arena.map.shardCount; shard++) readHistogram(arena, shard, id, sum);
    return sum;
  }
}
