/** The values behind /metrics: reads the arena and what the main thread knows. Main thread, cold: a scrape reads shared memory
 *  and asks no other thread for anything. */

import type { Arena } from '../memory/arena.ts';
import { countersOffset, DISPATCHER, ingressRingOffset, RING, SHARD, shardOffset } from '../memory/layout.ts';
import { COUNTER, COUNTER_NAMES, type CounterName, connectionCount } from '../observe/counters.ts';
import { Exposition } from '../observe/exposition.ts';
import { HISTOGRAM, Histograms, readHistogram } from '../observe/histograms.ts';
import { METRIC, metricOfCounter, threadName, threadsCounting } from '../observe/metrics.ts';
import { rejectMarkOf, shedMarkOf } from './ring-marks.ts';
import type { ConfigOperations } from './running-server.ts';
import type { ShownSources } from './shown-sources.ts';
import type { ShardStatus } from './supervisor.ts';
import { cpuNsOfThread } from './thread-cpu.ts';
import type { ListedCertificate } from './tls/certificate-files.ts';

export interface MetricsSources extends ShownSources {
  readonly version: string;
  readonly startedAtMs: number;
  readonly isReady: () => boolean;
  readonly configuration: Pick<ConfigOperations, 'state'> & { readonly takenAtMs: number };
  readonly certificates: () => readonly ListedCertificate[];
  readonly banCount: () => number;
  readonly storeStates: readonly string[];
}

const US = 1e6;
/** What is shown of histograms: from a bound to a bound. */
const TRANSIT_RANGE = { fromUs: 16, toUs: 2 ** 20 } as const;
const TRANSACTION_RANGE = { fromUs: 2 ** 8, toUs: 2 ** 28 } as const;
const LOOP_RANGE = { fromUs: 2 ** 10, toUs: 2 ** 24 } as const;

const HIGH_WATER_WINDOW_MS = 15_000;
const LOOP_CHECK_MS = 100;

export class ServerMetrics {
  readonly #sources: MetricsSources;
  readonly #arena: Arena;
  readonly #exposition = new Exposition();
  readonly #hasDispatcher: boolean;
  /** High-water marks of the window before this one. */
  readonly #ringHighBefore: Int32Array;
  readonly #timers: NodeJS.Timeout[] = [];
  #shards: readonly ShardStatus[] = [];

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    this.#arena = sources.arena;
    this.#hasDispatcher = sources.isDispatcherUp() !== null;
    this.#ringHighBefore = new Int32Array(sources.arena.map.shardCount);
    this.#addProcess();
    this.#addTraffic();
    this.#addPools();
    this.#addLocation();
    this.#addShards();
    for (const name of COUNTER_NAMES) this.#addCounter(name);
  }

  /** The text for Prometheus. */
  render(): string {
    this.#sources.refresh();
    this.#shards = this.#sources.shards();
    return this.#exposition.render();
  }

  /** Begins what has to be watched between scrapes. `isScraped`: also what nobody but /metrics tells. */
  start(isScraped: boolean): void {
    this.#timers.push(setInterval(() => this.#rollWindow(), HIGH_WATER_WINDOW_MS).unref());
    if (!isScraped) return;
    const histograms = new Histograms(this.#arena, this.#arena.map.shardCount + 1);
    let dueMs = performance.now() + LOOP_CHECK_MS;
    const check = () => {
      const nowMs = performance.now();
      histograms.record(HISTOGRAM.LOOP_DELAY, Math.max(0, Math.round((nowMs - dueMs) * 1000)));
      dueMs = nowMs + LOOP_CHECK_MS;
    };
    this.#timers.push(setInterval(check, LOOP_CHECK_MS).unref());
  }

  /** Most datagrams that waited for a shard at once, in the last 15 to 30 s. */
  ringHighOf(shard: number): number {
    return Math.max(this.#ringHighBefore[shard]!, this.#arena.words[this.#ringHighWord(shard)]!);
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #addProcess(): void {
    const { version, config, startedAtMs, isReady, configuration } = this.#sources;
    const page = this.#exposition;
    const build = { version, node: process.version.slice(1), mode: config.mode };
    page.add(METRIC.buildInfo, build, () => 1);
    page.add(METRIC.ready, {}, () => Number(isReady()));
    page.add(METRIC.uptime, {}, () => (Date.now() - startedAtMs) / 1000);
    page.add(METRIC.configGeneration, {}, () => configuration.state().generation);
    page.add(METRIC.configHash, {}, () => Number.parseInt(configuration.state().hash, 16));
    page.add(METRIC.configTime, {}, () => configuration.takenAtMs / 1000);
    page.add(METRIC.configNeedsRestart, {}, () => configuration.state().needsRestart.length);
    page.add(METRIC.residentMemory, {}, () => process.memoryUsage.rss());
    page.add(METRIC.cpu, {}, () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / US;
    });
    page.add(METRIC.startTime, {}, () => startedAtMs / 1000);
    const main = this.#arena.map.shardCount + 1;
    page.addHistogram(METRIC.loopDelay, {}, LOOP_RANGE, () => readHistogram(this.#arena, main, HISTOGRAM.LOOP_DELAY));
  }

  #addTraffic(): void {
    const page = this.#exposition;
    const arena = this.#arena;
    for (const { text, receiveBufferBytes, drops, queuedBytes, received } of this.#sources.sockets) {
      page.add(METRIC.socketDatagrams, { socket: text }, received);
      page.add(METRIC.receiveQueue, { socket: text }, queuedBytes);
      page.add(METRIC.kernelDrops, { socket: text }, drops);
      page.add(METRIC.receiveBuffer, { socket: text }, () => receiveBufferBytes);
    }
    for (const [i, { file }] of this.#sources.certificates().entries()) {
      page.add(
        METRIC.certificateExpiry,
        { certificate: file },
        () => Date.parse(this.#sources.certificates()[i]!.notAfter) / 1000,
      );
    }
    page.add(METRIC.connections, {}, () => connectionCount(arena));
    page.add(METRIC.connectionsLimit, {}, () => this.#sources.config.streams.connections);
    this.#eachShard((thread, shard) => {
      page.addHistogram(METRIC.transit, { thread }, TRANSIT_RANGE, () =>
        readHistogram(arena, shard, HISTOGRAM.TRANSIT),
      );
    });
    for (const [kind, id] of [
      ['invite', HISTOGRAM.INVITE],
      ['other', HISTOGRAM.NON_INVITE],
    ] as const) {
      page.addHistogram(METRIC.transaction, { kind }, TRANSACTION_RANGE, () => {
        const sum = readHistogram(arena, 0, id);
        for (let shard = 1; shard < arena.map.shardCount; shard++) readHistogram(arena, shard, id, sum);
        return sum;
      });
    }
  }

  #addPools(): void {
    const page = this.#exposition;
    const { map, words } = this.#arena;
    const { limits, mode } = this.#sources.config;
    const control = map.dispatcher >> 2;
    page.add(METRIC.slotsFree, {}, () => words[control + DISPATCHER.FREE_SLOTS_WORD]!);
    page.add(METRIC.slots, {}, () => map.slotCount);
    page.add(METRIC.jumbosFree, {}, () => words[control + DISPATCHER.FREE_JUMBOS_WORD]!);
    page.add(METRIC.jumbos, {}, () => map.jumboCount);
    page.add(METRIC.transactionsLimit, {}, () => (mode === 'stateful' ? limits.transactions : 0));
    page.add(METRIC.keptMemoryLimit, {}, () => map.keptBytes);
    this.#eachShard((thread, shard) => {
      const word = shardOffset(map, shard) >> 2;
      for (const side of ['server', 'client'] as const) {
        const begun = COUNTER[`${side}_transactions_total`];
        const ended = COUNTER[`${side}_transactions_ended_total`];
        page.add(METRIC.transactions, { side, thread }, () => {
          // In this order: one that begins and ends in between must not make it negative.
          const over = this.#counter(shard, ended);
          return this.#counter(shard, begun) - over;
        });
      }
      page.add(METRIC.keptMessages, { thread }, () => words[word + SHARD.KEPT_BLOCKS_WORD]!);
      page.add(METRIC.keptMemory, { thread }, () => words[word + SHARD.KEPT_KIB_WORD]! * 1024);
      page.add(METRIC.parked, { thread }, () => words[word + SHARD.PARKED_WORD]!);
    });
  }

  #addLocation(): void {
    const page = this.#exposition;
    const { aorCount, bindingCount, banCount, storeState, storeStates, config } = this.#sources;
    page.add(METRIC.bans, {}, banCount);
    page.add(METRIC.aors, {}, aorCount);
    page.add(METRIC.bindings, {}, bindingCount);
    page.add(METRIC.locationLimit, {}, () => config.location.capacity);
    for (const state of storeStates) page.add(METRIC.storeState, { state }, () => Number(storeState() === state));
  }

  #addShards(): void {
    const page = this.#exposition;
    const { map, words } = this.#arena;
    const { limits } = this.#sources.config;
    const { isDispatcherUp } = this.#sources;
    if (this.#hasDispatcher) {
      page.add(METRIC.threadUp, { thread: 'dispatcher' }, () => Number(isDispatcherUp()));
      page.add(METRIC.threadCpu, { thread: 'dispatcher' }, () =>
        cpuSecondsOf(words[(map.dispatcher >> 2) + DISPATCHER.THREAD_ID_WORD]!),
      );
    }
    // The kernel calls a process's first thread by the number of the process.
    page.add(METRIC.threadCpu, { thread: 'main' }, () => cpuSecondsOf(process.pid));
    page.add(METRIC.ringRejectMark, {}, () => rejectMarkOf(map.slotCount, limits.rejectMark));
    page.add(METRIC.ringShedMark, {}, () => shedMarkOf(map.slotCount, limits.overloadMark));
    this.#eachShard((thread, shard) => {
      const ring = ingressRingOffset(map, shard) >> 2;
      page.add(METRIC.threadUp, { thread }, () => Number(this.#shards[shard]?.isRunning ?? false));
      page.add(METRIC.shardStarts, { thread }, () => this.#shards[shard]?.starts ?? 0);
      page.add(METRIC.shardCrashes, { thread }, () => this.#shards[shard]?.crashes ?? 0);
      page.add(METRIC.ringDepth, { thread }, () => {
        const head = Atomics.load(words, ring + RING.HEAD_WORD);
        return (Atomics.load(words, ring + RING.TAIL_WORD) - head) | 0;
      });
      page.add(METRIC.ringHigh, { thread }, () => this.ringHighOf(shard));
      page.add(METRIC.threadCpu, { thread }, () =>
        cpuSecondsOf(words[(shardOffset(map, shard) >> 2) + SHARD.THREAD_ID_WORD]!),
      );
    });
  }

  #addCounter(name: CounterName): void {
    const shown = metricOfCounter(name);
    if (shown === null) return;
    const { shardCount } = this.#arena.map;
    for (const thread of threadsCounting(name, shardCount, this.#hasDispatcher)) {
      const labels = { ...shown.labels, thread: threadName(thread, shardCount) };
      this.#exposition.add(shown.metric, labels, () => this.#counter(thread, COUNTER[name]));
    }
  }

  #counter(thread: number, id: number): number {
    return this.#arena.doubles[countersOffset(this.#arena.map, thread) / 8 + id]!;
  }

  #eachShard(visit: (thread: string, shard: number) => void): void {
    const { shardCount } = this.#arena.map;
    for (let shard = 0; shard < shardCount; shard++) visit(threadName(shard, shardCount), shard);
  }

  #ringHighWord(shard: number): number {
    return (shardOffset(this.#arena.map, shard) >> 2) + SHARD.RING_HIGH_WORD;
  }

  /** A mark that never falls would say nothing after the first busy minute, and one that falls with each scrape nothing to the
   *  second who scrapes. */
  #rollWindow(): void {
    for (let shard = 0; shard < this.#ringHighBefore.length; shard++) {
      this.#ringHighBefore[shard] = Atomics.exchange(this.#arena.words, this.#ringHighWord(shard), 0);
    }
  }
}

function cpuSecondsOf(threadId: number): number {
  return cpuNsOfThread(threadId) / 1e9;
}
