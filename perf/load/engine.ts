/** The load engine: UAC and UAS in one thread that never sleeps, so that it adds no wake-up to what it measures. A process of
 *  its own, pinned to a CPU by who starts it (turn.ts):
 *
 *    node perf/load/engine.ts LOAD-AS-JSON      prints an EngineResult for each stage, as JSON
 *
 *  Closed loop: `window` exchanges are in flight, a finished one starts the next. Open loop: exchanges start at `rate`
 *  whatever comes back, and latency counts from when one was due, so that a stall is charged to all it held up. First it waits
 *  until the server answers at all, and registers the users; then each stage has a warm-up, the measured window, and a drain. The figures of the server's
 *  processes are read here, at the very edges of the window and of each second in it. Nothing is sent twice: what takes longer
 *  than PATIENCE_MS has failed. Loopback only.
 *
 *  Hot: everything that `spin` calls but `sampleSecond` and `giveUpOverdue` runs per message and allocates nothing. */

import { getHeapStatistics } from 'node:v8';
import { createArena } from '../../src/memory/arena.ts';
import { RECEIVE_BATCH, SLOT_STRIDE_BYTES, slotOffset } from '../../src/memory/layout.ts';
import type { DelayName, Sample } from '../bench/result.ts';
import { dropsAt } from '../bench/udp-sockets.ts';
import type { EngineResult, Load, Stage } from './engine-result.ts';
import { type Flow, type FlowParts, Tally } from './flow.ts';
import type { HistogramFigures } from './histogram.ts';
import {
  busyNsOf,
  cpuNsOf,
  cpuNsOfThisThread,
  processTree,
  residentKibOf,
  threadDifferences,
  threadsOf,
} from './process-figures.ts';
import { createFlows } from './scenarios.ts';
import { TcpNetwork } from './tcp-network.ts';
import { MAX_STARTS, UdpNetwork } from './udp-network.ts';

const START_LIMIT_MS = 10_000;
/** Once it answers, what it says must be right so soon. */
const RIGHT_LIMIT_MS = 2000;
/** Of all users' registrations. */
const BEFORE_LIMIT_MS = 60_000;
/** An exchange that takes longer has failed. While the server starts, it is tried again sooner. */
const PATIENCE_MS = 1000;
const START_PATIENCE_MS = 100;
const OVERDUE_CHECK_US = 20_000;
const SAMPLE_US = 1_000_000;
/** Where a window is shorter, nothing is read in the middle of it. */
const LEAST_SAMPLE_MS = 500;
const NEVER = 0x7fffffff;
/** How many exchanges of one index a flow can have before it comes to the numbers of the other one. */
const FLOW_GENERATIONS = 0x4000_0000;

/** What one exchange has room for: all its messages, once. */
const EXCHANGE_BYTES = 6144;

/** Ends a spin before its time: once anything came back, after the first finished exchange, or once nothing is left to start or in flight. */
type Until = 'time' | 'answered' | 'first' | 'empty';

const load = JSON.parse(process.argv[2] ?? 'null') as Load;
/** The most that are ever in flight. */
const room = Math.max(...load.stages.map(({ window }) => window));
const roomSlots = Math.ceil(((room + 1) * EXCHANGE_BYTES) / SLOT_STRIDE_BYTES);
const isTcp = load.way.transport === 'tcp';
/** The first slots are the network's. */
const networkSlots = isTcp ? TcpNetwork.slots(load.way) : 2 * RECEIVE_BATCH;
const arena = createArena({ shardCount: 1, slotCount: networkSlots + 2 * roomSlots, jumboCount: 1 });
const tally = new Tally();
const beganAtMs = performance.now();
const network = isTcp ? new TcpNetwork(arena, load.way, clockUs) : new UdpNetwork(arena, load.way, clockUs);
const { client, agent } = network;
const flows = createFlows(load.scenario, load.isFloor, load.users, partsFor);

/** The server's processes, once all are there. */
let pids = load.pids;
let flow: Flow = flows.before ?? flows.main;
let sent = 0;
let skipped = 0;
let busyUs = 0;
/** How many exchanges may be in flight now. */
let limit = 0;
let patienceMs = START_PATIENCE_MS;
let isOpen = false;
/** Open loop: when the next exchange is due and how long it is from one to the next, in microseconds. In an array because
 *  each fraction in a `let` is an object. */
const schedule = new Float64Array(2);
const DUE_AT = 0;
const INTERVAL = 1;
/** When the second that is being counted ends; never outside of the window. */
let sampleAt = NEVER;
let windowBeganAt = 0;
/** Counts at the beginning of the second. */
let sampled = { atMs: 0, successful: 0, failed: 0, retransmissions: 0, busyUs: 0, serverCpuNs: 0 };
let series: Sample[] = [];

try {
  run();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}

function run(): void {
  // Until the server answers: one exchange at a time, and nothing that fails counts.
  limit = 1;
  spin(START_LIMIT_MS, 'answered');
  spin(RIGHT_LIMIT_MS, 'first');
  if (tally.successful === 0)
    throw new Error(`nothing right came back from 127.0.0.1:${load.way.serverPort}${causes()}`);
  drain();
  // A server may open its port before it has all its processes.
  pids = [...new Set(load.pids.flatMap(processTree))];
  forgetFailures();

  patienceMs = PATIENCE_MS;
  if (flows.before !== null) {
    limit = Math.min(room, 64);
    flows.before.restart();
    spin(BEFORE_LIMIT_MS, 'empty');
    if (flow.hasMore || tally.failed > 0) throw new Error(`not all of ${load.users} users could register${causes()}`);
    flow = flows.main;
  }
  process.stdout.write(`${JSON.stringify(load.stages.map(play))}\n`);
}

function forgetFailures(): void {
  tally.failed = tally.retransmissions = tally.stale = 0;
  tally.causes.clear();
}

function play({ window, rate, warmUpMs, durationMs }: Stage): EngineResult {
  forgetFailures();
  limit = window;
  isOpen = rate > 0;
  schedule[DUE_AT] = clockUs();
  if (isOpen) schedule[INTERVAL] = 1e6 / rate;
  spin(warmUpMs, 'time');
  tally.stale = 0;
  flows.atWindow();
  flow.clearDelays();

  const begin = edge();
  skipped = 0;
  beginSeries(begin, durationMs);
  const allocatedBefore = getHeapStatistics().total_allocated_bytes;
  spin(durationMs, flow.hasMore && load.scenario === 'register-insert' ? 'empty' : 'time');
  const allocatedBytes = getHeapStatistics().total_allocated_bytes - allocatedBefore;
  const end = edge();
  if (end.atMs - sampled.atMs >= LEAST_SAMPLE_MS) sampleSecond();
  sampleAt = NEVER;
  const delays: { [name in DelayName]?: HistogramFigures } = {};
  for (const [name, delay] of flow.delays) delays[name] = delay.toJSON();
  const transit = flow.transit.toJSON();
  const skippedInWindow = skipped;

  drain();

  const serverCpuNs = end.serverCpuNs - begin.serverCpuNs;
  const wallMs = end.atMs - begin.atMs;
  return {
    wallMs,
    started: end.started - begin.started,
    successful: end.successful - begin.successful,
    skipped: skippedInWindow,
    sent: end.sent - begin.sent,
    received: end.received - begin.received,
    failed: tally.failed,
    failuresByCause: Object.fromEntries(tally.causes),
    retransmissions: tally.retransmissions,
    stale: tally.stale,
    serverCpuNs,
    threads: threadDifferences(begin.threads, end.threads),
    foreignCpuNs: Math.max(0, end.busyNs - begin.busyNs - serverCpuNs),
    residentKib: [begin.residentKib, end.residentKib],
    generatorOnCpu: (end.ownCpuNs - begin.ownCpuNs) / 1e6 / wallMs,
    generatorBusy: (end.busyUs - begin.busyUs) / 1000 / wallMs,
    generatorAllocatedBytes: allocatedBytes,
    serverDrops: end.serverDrops - begin.serverDrops,
    ownDrops: end.ownDrops - begin.ownDrops,
    receiveBufferBytes: network.receiveBufferBytes,
    delays,
    transit,
    series,
  };
}

/** Starts nothing more and waits for what is in flight. */
function drain(): void {
  const limitBefore = limit;
  limit = 0;
  spin(patienceMs, 'empty');
  flow.giveUpAll();
  limit = limitBefore;
}

function causes(): string {
  if (tally.causes.size === 0) return '';
  return ` (${Array.from(tally.causes, ([cause, count]) => `${count} × ${cause}`).join(', ')})`;
}

/** Everything that is counted or read, at one moment. */
function edge() {
  const { way, serverCpus } = load;
  return {
    serverDrops: isTcp ? 0 : dropsAt(way.serverPort),
    ownDrops: isTcp ? 0 : dropsAt(way.clientPort) + dropsAt(way.agentPort),
    residentKib: residentKibOf(pids),
    threads: threadsOf(pids),
    busyNs: serverCpus.reduce((sum, cpu) => sum + busyNsOf(cpu), 0),
    serverCpuNs: cpuNsOf(pids),
    ownCpuNs: cpuNsOfThisThread(),
    atMs: performance.now(),
    started: tally.started,
    successful: tally.successful,
    received: tally.received,
    sent,
    busyUs,
  };
}

/** Microseconds since the engine began, whole ones. Good for half an hour. */
function clockUs(): number {
  return ((performance.now() - beganAtMs) * 1000) | 0;
}

/** The hot loop. Ends after `forMs`, or earlier as `until` says. */
function spin(forMs: number, until: Until): void {
  let before = clockUs();
  const end = before + forMs * 1000;
  let overdueCheckAt = before + OVERDUE_CHECK_US;
  while (before < end) {
    const count = network.receive(flow);
    const now = network.nowUs;
    tally.received += count;
    if (limit > 0) startDue(count > 0 ? clockUs() : now);
    const toSend = agent.count + client.count;
    if (toSend > 0) flush();
    if (count + toSend > 0) {
      const after = clockUs();
      busyUs += after - before;
      before = after;
    } else {
      before = now;
    }
    if (now >= overdueCheckAt) {
      flow.giveUpOverdue(now, patienceMs * 1000);
      overdueCheckAt = now + OVERDUE_CHECK_US;
    }
    if (now >= sampleAt) sampleSecond();
    if (until === 'answered' && tally.received > 0) return;
    if (until === 'first' && tally.successful > 0) return;
    if (until === 'empty' && flow.inFlight === 0 && (limit === 0 || !flow.hasMore)) return;
  }
}

function flush(): void {
  sent += network.flush();
  flow.afterSending();
}

/** Starts the exchanges that may start now. */
function startDue(now: number): void {
  let starts = MAX_STARTS - client.count;
  if (starts > RECEIVE_BATCH) starts = RECEIVE_BATCH;
  if (!isOpen) {
    if (flow.inFlight >= limit) return;
    while (flow.inFlight < limit && starts-- > 0 && flow.hasMore) flow.start(now);
    return;
  }
  while (schedule[DUE_AT]! <= now && starts-- > 0) {
    if (flow.inFlight < limit && flow.hasMore) flow.start(schedule[DUE_AT]! | 0);
    else skipped++;
    schedule[DUE_AT]! += schedule[INTERVAL]!;
  }
}

// ---- The series -----------------------------------------------------------------------------------------------------

function beginSeries({ atMs, successful, busyUs, serverCpuNs }: ReturnType<typeof edge>, durationMs: number): void {
  series = [];
  windowBeganAt = atMs;
  const { failed, retransmissions } = tally;
  sampled = { atMs, successful, failed, retransmissions, busyUs, serverCpuNs };
  sampleAt = durationMs * 1000 < SAMPLE_US + LEAST_SAMPLE_MS * 1000 ? NEVER : clockUs() + SAMPLE_US;
}

/** Cold: once a second, it reads some files. */
function sampleSecond(): void {
  const atMs = performance.now();
  const { successful, failed, retransmissions } = tally;
  const serverCpuNs = cpuNsOf(pids);
  const lengthMs = atMs - sampled.atMs;
  const { second } = flow;
  const orNull = (us: number) => (second.total === 0 ? null : us);
  series.push({
    atMs: atMs - windowBeganAt,
    lengthMs,
    successful: successful - sampled.successful,
    failed: failed - sampled.failed,
    retransmissions: retransmissions - sampled.retransmissions,
    p50Us: orNull(second.percentileUs(0.5)),
    p99Us: orNull(second.percentileUs(0.99)),
    maxUs: orNull(second.maxUs),
    serverCpuShare: (serverCpuNs - sampled.serverCpuNs) / 1e6 / lengthMs,
    generatorCpuShare: (busyUs - sampled.busyUs) / 1000 / lengthMs,
  });
  second.clear();
  sampled = { atMs, successful, failed, retransmissions, busyUs, serverCpuNs };
  sampleAt += SAMPLE_US;
}

// ---- Memory ---------------------------------------------------------------------------------------------

function partsFor(i: 0 | 1): FlowParts {
  const at = slotOffset(arena.map, networkSlots + i * roomSlots);
  const print = (line: string) => process.stderr.write(`${line}\n`);
  const firstGeneration = i * FLOW_GENERATIONS;
  return { arena, at, window: room, firstGeneration, way: load.way, client, agent, tally, print };
}
