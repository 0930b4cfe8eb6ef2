/** The load generator of perf:forward: UAC and UAS in one thread that never sleeps, so that it adds no wake-up to what it
 *  measures. A process of its own, pinned to a CPU by who starts it (contestants.ts):
 *
 *    node perf/forward/load.ts LOAD-AS-JSON      prints a LoadResult as JSON
 *
 *  Closed loop: `window` exchanges are in flight, a finished one starts the next. Open loop: exchanges start at `rate`
 *  whatever comes back, and latency counts from when one was due, so that a stall is charged to all it held up. Stages:
 *  until the server forwards at all, warm-up, the measured window, drain. The figures of the server's processes are read
 *  here, at the very edges of the window. Loopback only. */

import { createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_ENTRIES,
  EGRESS_STRIDE_BYTES,
  RECEIVE_BATCH,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { addSocket, attach, openUdp, receiveBatch, sendBatch } from '../../src/runtime/udp-socket.ts';
import { Exchanges, type Route } from './exchange.ts';
import { Histogram, type HistogramBins } from './histogram.ts';
import { busyNsOf, cpuNsOf, receiveDropsAt, residentKibOf } from './process-figures.ts';

export interface Load {
  readonly route: Route;
  /** Exchanges in flight: exactly so many in closed loop, at the most in open loop. */
  readonly window: number;
  /** Exchanges a second; 0 is closed loop. */
  readonly rate: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** The server's processes, and the CPU it is pinned to. */
  readonly pids: readonly number[];
  readonly serverCpu: number;
}

export interface LoadResult {
  readonly wallMs: number;
  /** Exchanges finished within the window. */
  readonly exchanges: number;
  /** Messages that the server forwarded within the window: requests at the UAS and responses at the UAC. */
  readonly messages: number;
  readonly serverCpuNs: number;
  /** Time that others took of the server's CPU. */
  readonly foreignCpuNs: number;
  readonly residentKib: readonly [begin: number, end: number];
  /** Share of the window that the generator spent on messages and not on looking for them. */
  readonly generatorBusy: number;
  /** Datagrams the kernel dropped at the server's socket, and at ours. */
  readonly serverDrops: number;
  readonly ownDrops: number;
  /** From warm-up to drain: messages that were not as expected, exchanges without an end, ones that were due but found
   *  the window full (open loop), messages of exchanges given up before. */
  readonly failed: number;
  readonly lost: number;
  readonly skipped: number;
  readonly stale: number;
  readonly transit: HistogramBins;
  readonly roundTrip: HistogramBins;
}

const START_LIMIT_MS = 10_000;
/** An exchange that takes longer is lost. While the server starts, it is tried again sooner. */
const PATIENCE_MS = 1000;
const START_PATIENCE_MS = 100;
const OVERDUE_CHECK_MS = 20;
const MAX_SAMPLES = 3;

/** Socket indices, and where the egress entries of each begin. */
const CLIENT = 0;
const AGENT = 1;
const CLIENT_ENTRIES = EGRESS_ENTRIES / 2;
const AGENT_ENTRIES = 0;
const ENTRY_WORDS = EGRESS_STRIDE_BYTES >> 2;

const STATE = { FREE: 0, SENT: 1, ANSWERED: 2 } as const;

const load = JSON.parse(process.argv[2] ?? 'null') as Load;
const arena = createArena({ shardCount: 1, slotCount: RECEIVE_BATCH + load.window + 64, jumboCount: 1 });
const { words, map } = arena;
const exchanges = new Exchanges(arena, load.route, RECEIVE_BATCH, load.window);
const states = new Uint8Array(load.window);
const startedAt = new Float64Array(load.window);
const freeIndices = Int32Array.from({ length: load.window }, (_, i) => load.window - 1 - i);
let freeCount = load.window;
/** Started in this turn, from `CLIENT_ENTRIES` on. */
const starting = new Int32Array(RECEIVE_BATCH);
const transit = new Histogram();
const roundTrip = new Histogram();

let finished = 0;
let forwarded = 0;
let failed = 0;
let lost = 0;
let skipped = 0;
let stale = 0;
let samples = 0;
let busyMs = 0;
/** How many exchanges may be in flight now. */
let limit = 0;
let patienceMs = START_PATIENCE_MS;
/** Open loop: when the next exchange is due. */
let dueAt = 0;
/** Open loop: from one exchange to the next; 0 is closed loop. */
let intervalMs = 0;

openSockets();
run();

function run(): void {
  // Until the server forwards: one exchange at a time, and nothing lost counts.
  limit = 1;
  spin(performance.now() + START_LIMIT_MS, true);
  if (finished === 0) throw new Error(`nothing came back from 127.0.0.1:${load.route.serverPort}`);
  failed = lost = 0;

  limit = load.window;
  patienceMs = PATIENCE_MS;
  if (load.rate > 0) intervalMs = 1000 / load.rate;
  spin((dueAt = performance.now()) + load.warmUpMs, false);
  stale = 0; // the tries while the server started
  transit.clear();
  roundTrip.clear();

  const begin = edge();
  spin(begin.atMs + load.durationMs, false);
  const end = edge();
  const result = { transit: transit.toJSON(), roundTrip: roundTrip.toJSON() };

  limit = 0;
  spin(performance.now() + PATIENCE_MS, false);
  lost += load.window - freeCount;

  const serverCpuNs = end.serverCpuNs - begin.serverCpuNs;
  const wallMs = end.atMs - begin.atMs;
  print({
    wallMs,
    exchanges: end.finished - begin.finished,
    messages: end.forwarded - begin.forwarded,
    serverCpuNs,
    foreignCpuNs: Math.max(0, end.busyNs - begin.busyNs - serverCpuNs),
    residentKib: [begin.residentKib, end.residentKib],
    generatorBusy: (end.busyMs - begin.busyMs) / wallMs,
    serverDrops: end.serverDrops - begin.serverDrops,
    ownDrops: end.ownDrops - begin.ownDrops,
    failed,
    lost,
    skipped,
    stale,
    ...result,
  });
}

function print(result: LoadResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Everything that is counted or read, at one moment. */
function edge() {
  const { pids, route, serverCpu } = load;
  return {
    serverDrops: receiveDropsAt(route.serverPort),
    ownDrops: receiveDropsAt(route.clientPort) + receiveDropsAt(route.agentPort),
    residentKib: residentKibOf(pids),
    busyNs: busyNsOf(serverCpu),
    serverCpuNs: cpuNsOf(pids),
    atMs: performance.now(),
    finished,
    forwarded,
    busyMs,
  };
}

/** The hot loop. Ends at `untilMs`, or once the first exchange is finished, or, without new ones, the last. */
function spin(untilMs: number, untilFirst: boolean): void {
  let before = performance.now();
  let overdueCheckAt = before + OVERDUE_CHECK_MS;
  while (before < untilMs) {
    const count = receiveBatch(RECEIVE_BATCH, 0);
    const now = performance.now();
    let answers = 0;
    for (let position = 0; position < count; position++) {
      const offset = slotOffset(map, position);
      const word = offset >> 2;
      const start = offset + SLOT_HEADER_BYTES;
      const end = start + Math.min(words[word + SLOT.LENGTH_WORD]!, SLOT_PAYLOAD_BYTES);
      if (words[word + SLOT.SOCKET_WORD] === CLIENT) finish(start, end, now);
      else if (answer(start, end, now, AGENT_ENTRIES + answers)) answers++;
    }
    if (answers > 0) sendBatch(0, AGENT_ENTRIES, answers);
    const starts = limit > 0 ? startDue(now) : 0;
    if (starts > 0) {
      sendBatch(0, CLIENT_ENTRIES, starts);
      for (let i = 0; i < starts; i++) exchanges.expect(starting[i]!);
    }
    if (count + starts > 0) {
      const after = performance.now();
      busyMs += after - before;
      before = after;
    } else {
      before = now;
    }
    if (now >= overdueCheckAt) {
      giveUpOverdue(now);
      overdueCheckAt = now + OVERDUE_CHECK_MS;
    }
    if (untilFirst && finished > 0) return;
    if (limit === 0 && freeCount === load.window) return;
  }
}

/** Puts the exchanges that may start now into the egress table; how many. */
function startDue(now: number): number {
  let room = Math.min(RECEIVE_BATCH, limit - (load.window - freeCount));
  let starts = 0;
  if (intervalMs === 0) {
    if (room <= 0) return 0;
    const at = performance.now();
    while (starts < room) start(starts++, at);
    return starts;
  }
  while (dueAt <= now && starts < RECEIVE_BATCH) {
    if (room-- > 0) start(starts++, dueAt);
    else skipped++;
    dueAt += intervalMs;
  }
  return starts;
}

function start(position: number, at: number): void {
  const index = freeIndices[--freeCount]!;
  exchanges.renew(index);
  states[index] = STATE.SENT;
  startedAt[index] = at;
  starting[position] = index;
  const spans = spansOf(CLIENT_ENTRIES + position);
  words[spans] = exchanges.requestStart(index);
  words[spans + 1] = exchanges.requestBytes;
}

/** The UAS: a request arrived. Its Vias go back as they came. True: there is an answer in egress entry `entry`. */
function answer(start: number, end: number, now: number, entry: number): boolean {
  const index = exchanges.indexOfRequest(end);
  if (index < 0 || !exchanges.isRequest(index, start, end)) return reject(start, end, true);
  if (states[index] !== STATE.SENT) return rejectAgain(start, end);
  states[index] = STATE.ANSWERED;
  forwarded++;
  transit.record(now - startedAt[index]!);
  const { requestViaAt, responseViaAt, viaBytes, responseBytes } = exchanges;
  const response = exchanges.responseStart(index);
  const viasStart = start + requestViaAt;
  const viasEnd = end - exchanges.requestBytes + requestViaAt + viaBytes;
  const rest = responseViaAt + viaBytes;
  const spans = spansOf(entry);
  words[spans] = response;
  words[spans + 1] = responseViaAt;
  words[spans + 2] = viasStart;
  words[spans + 3] = viasEnd - viasStart;
  words[spans + 4] = response + rest;
  words[spans + 5] = responseBytes - rest;
  return true;
}

/** The UAC: a response arrived. */
function finish(start: number, end: number, now: number): void {
  const index = exchanges.indexOfResponse(start);
  if (index < 0 || !exchanges.isResponse(index, start, end)) {
    reject(start, end, false);
    return;
  }
  if (states[index] !== STATE.ANSWERED) {
    rejectAgain(start, end);
    return;
  }
  forwarded++;
  finished++;
  roundTrip.record(now - startedAt[index]!);
  free(index);
}

function free(index: number): void {
  states[index] = STATE.FREE;
  freeIndices[freeCount++] = index;
}

/** Cold: not what was expected. */
function reject(start: number, end: number, isRequest: boolean): false {
  const received = exchanges.textOf(start, end);
  if (exchanges.isStale(received)) {
    stale++;
    return false;
  }
  failed++;
  printSample(`${isRequest ? 'at the UAS' : 'at the UAC'}: ${exchanges.explain(received, isRequest)}`, received);
  return false;
}

/** Cold: right in itself, but it is not its turn. */
function rejectAgain(start: number, end: number): false {
  failed++;
  printSample('a second time, or too late', exchanges.textOf(start, end));
  return false;
}

function printSample(reason: string, received: string): void {
  if (samples++ < MAX_SAMPLES) process.stderr.write(`failed ${reason}\n${received.replace(/^/gm, '  | ')}\n`);
}

/** Cold: every OVERDUE_CHECK_MS. */
function giveUpOverdue(now: number): void {
  for (let index = 0; index < load.window; index++) {
    if (states[index] === STATE.FREE || now - startedAt[index]! < patienceMs) continue;
    lost++;
    exchanges.giveUp(index);
    free(index);
  }
}

function spansOf(entry: number): number {
  return (map.egress >> 2) + entry * ENTRY_WORDS + EGRESS.SPANS_WORD;
}

/** Opens both ends, and writes all of the egress entries that stays the same. */
function openSockets(): void {
  const { clientPort, agentPort, serverPort } = load.route;
  attach(arena.bytes);
  for (const [index, port] of [clientPort, agentPort].entries()) {
    const { fd } = openUdp({
      host: '127.0.0.1',
      port,
      family: 4,
      dualStack: false,
      receiveBufferBytes: 4 << 20,
      sendBufferBytes: 4 << 20,
      dscp: 0,
      reusePort: false,
    });
    addSocket(index, fd, 4, false);
  }
  for (let i = 0; i < RECEIVE_BATCH; i++) {
    words[(map.plan >> 2) + i] = i;
    address(CLIENT_ENTRIES + i, CLIENT, 1, serverPort);
    address(AGENT_ENTRIES + i, AGENT, 3, serverPort);
  }
}

function address(entry: number, socket: number, spanCount: number, port: number): void {
  const word = (map.egress >> 2) + entry * ENTRY_WORDS;
  words[word + EGRESS.SPAN_COUNT_WORD] = spanCount;
  words[word + EGRESS.SOCKET_WORD] = socket;
  words[word + EGRESS.FAMILY_WORD] = 4;
  words[word + EGRESS.PORT_WORD] = port;
  arena.bytes.set([127, 0, 0, 1], (word + EGRESS.ADDRESS_WORD) * 4);
}
