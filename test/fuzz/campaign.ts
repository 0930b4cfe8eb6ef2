/** A run of the fuzzer: datagrams by seed, in batches, each looked at; failures are made small and kept. */

import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BATCH, type Datagram, type Delivery, FuzzedServer } from './fuzzed-server.ts';
import { faultOf } from './invariants.ts';
import { mutate } from './mutation.ts';
import { Random } from './random.ts';
import { readSeedMessages } from './seed-messages.ts';
import { runSession, SESSION } from './stateful-session.ts';

export interface Campaign {
  /** Datagram n has the seed `seed` + n, so any can be had again alone. */
  readonly seed: number;
  /** Datagrams at the most. */
  readonly count: number;
  readonly seconds: number;
  /** Called about once a second. */
  readonly report?: (result: CampaignResult) => void;
}

export interface Failure {
  readonly fault: string;
  readonly seed: number;
  /** The datagram alone shows it; else the whole batch that begins with `batchSeed` is needed. */
  readonly isAlone: boolean;
  readonly batchSeed: number;
  /** As small as it could be made, if alone. */
  readonly bytes: Uint8Array;
}

export interface CampaignResult {
  served: number;
  sent: number;
  elapsedMs: number;
  slowestMs: number;
  slowestSeed: number;
  heapGrowthBytes: number;
  readonly failures: Failure[];
}

/** A datagram that keeps the thread longer than this is a hang. */
const MAX_BUSY_MS = 50;
/** Kinds of failure after which a run gives up. */
const MAX_FAILURES = 20;
const MAX_SHRINKS = 3000;
/** Batches before the heap is looked at for the first time. */
const WARM_BATCHES = 200;
const WARM_SESSIONS = 8;
/** The last jumbo slot; the server gives them out from there only when all others are taken. */
const PAD = 256;

const seeds = readSeedMessages();

export function datagramOf(seed: number): Datagram {
  return { seed, bytes: mutate(new Random(seed), seeds) };
}

/** Serves datagrams until `count` or `seconds` is reached. Every kind of failure is kept once. */
export function runCampaign({ seed, count, seconds, report }: Campaign): CampaignResult {
  const result: CampaignResult = {
    served: 0,
    sent: 0,
    elapsedMs: 0,
    slowestMs: 0,
    slowestSeed: seed,
    heapGrowthBytes: 0,
    failures: [],
  };
  const kinds = new Set<string>();
  const startedMs = performance.now();
  let server = new FuzzedServer();
  let warmHeapBytes = 0;
  let reportedMs = startedMs;
  let shrinkingMs = 0;
  let isBroken = false;
  let batchSeed = seed;
  const inspect = (delivery: Delivery) => {
    result.sent += delivery.sent.length;
    if (delivery.busyMs > result.slowestMs) {
      result.slowestMs = delivery.busyMs;
      result.slowestSeed = delivery.datagram.seed;
    }
    const fault = faultOf(server.arena, delivery, PAD) ?? faultOfTime(delivery);
    if (fault === null) return;
    if (isFatal(fault)) isBroken = true;
    if (kinds.has(kindOf(fault))) return;
    kinds.add(kindOf(fault));
    const foundMs = performance.now();
    result.failures.push(keep(fault, delivery.datagram, batchSeed));
    shrinkingMs += performance.now() - foundMs;
  };
  for (let batch = 0; result.served < count && result.failures.length < MAX_FAILURES; batch++) {
    batchSeed = seed + result.served;
    const size = Math.min(BATCH, count - result.served);
    const datagrams = Array.from({ length: size }, (_, i) => datagramOf(batchSeed + i));
    result.served += size;
    server.serve(datagrams, result.served === count, inspect);
    if (isBroken) server = new FuzzedServer();
    isBroken = false;
    if (batch === WARM_BATCHES) warmHeapBytes = heapBytes();
    const nowMs = performance.now();
    result.elapsedMs = nowMs - startedMs - shrinkingMs;
    if (result.elapsedMs > seconds * 1000) break;
    if (nowMs - reportedMs > 1000) {
      reportedMs = nowMs;
      report?.(result);
    }
  }
  if (warmHeapBytes > 0) result.heapGrowthBytes = heapBytes() - warmHeapBytes;
  return result;
}

/** Sessions of the stateful proxy, one a seed, until `count` datagrams or `seconds` is reached. */
export function runSessions({ seed, count, seconds, report }: Campaign): CampaignResult {
  const result: CampaignResult = {
    served: 0,
    sent: 0,
    elapsedMs: 0,
    slowestMs: 0,
    slowestSeed: seed,
    heapGrowthBytes: 0,
    failures: [],
  };
  const kinds = new Set<string>();
  const startedMs = performance.now();
  let reportedMs = startedMs;
  let warmHeapBytes = 0;
  for (let session = 0; result.served < count && result.failures.length < MAX_FAILURES; session++) {
    const sessionSeed = seed + session;
    const { fault, bytes, served, sent, slowestMs } = runSession(sessionSeed, Math.min(SESSION, count - result.served));
    result.served += served;
    result.sent += sent;
    if (slowestMs > result.slowestMs) {
      result.slowestMs = slowestMs;
      result.slowestSeed = sessionSeed;
    }
    if (fault !== null && !kinds.has(kindOf(fault))) {
      kinds.add(kindOf(fault));
      result.failures.push({ fault, seed: sessionSeed, isAlone: false, batchSeed: sessionSeed, bytes });
    }
    if (session === WARM_SESSIONS) warmHeapBytes = heapBytes();
    const nowMs = performance.now();
    result.elapsedMs = nowMs - startedMs;
    if (result.elapsedMs > seconds * 1000) break;
    if (nowMs - reportedMs > 1000) {
      reportedMs = nowMs;
      report?.(result);
    }
  }
  if (warmHeapBytes > 0) result.heapGrowthBytes = heapBytes() - warmHeapBytes;
  return result;
}

let single = new FuzzedServer();

/** Delivers one datagram alone and says what is wrong. */
export function faultOfDatagram(datagram: Datagram): string | null {
  let fault: string | null = null;
  single.serve([datagram], true, (delivery) => {
    fault = faultOf(single.arena, delivery, PAD);
  });
  if (fault !== null && isFatal(fault)) single = new FuzzedServer();
  return fault;
}

/** An element that threw is in no state to go on. */
function isFatal(fault: string): boolean {
  return fault.includes('throws') || fault.includes('beyond');
}

function keep(fault: string, datagram: Datagram, batchSeed: number): Failure {
  const isAlone = fault === faultOfDatagram(datagram);
  const bytes = isAlone ? shrink(datagram, fault) : datagram.bytes;
  return { fault, seed: datagram.seed, isAlone, batchSeed, bytes };
}

/** Takes pieces out as long as the same fault is left, large ones first. */
function shrink({ seed, bytes }: Datagram, fault: string): Uint8Array {
  let smallest = bytes;
  let tries = 0;
  for (let piece = smallest.length >> 1; piece > 0 && tries < MAX_SHRINKS; piece >>= 1) {
    for (let at = 0; at < smallest.length && tries < MAX_SHRINKS; tries++) {
      const candidate = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + piece)]);
      if (faultOfDatagram({ seed, bytes: candidate }) === fault) smallest = candidate;
      else at += piece;
    }
  }
  return Uint8Array.from(smallest);
}

/** A busy machine can take any thread off its core: only what is slow three times is slow. */
function faultOfTime(delivery: Delivery): string | null {
  if (delivery.busyMs < MAX_BUSY_MS) return null;
  let leastMs = delivery.busyMs;
  for (let i = 0; i < 3; i++) {
    new FuzzedServer().serve([delivery.datagram], true, ({ busyMs }) => {
      leastMs = Math.min(leastMs, busyMs);
    });
  }
  return leastMs < MAX_BUSY_MS ? null : `a datagram takes ${leastMs.toFixed(0)} ms`;
}

function kindOf(fault: string): string {
  return fault.replace(/\d+/g, 'N');
}

let collect: (() => void) | undefined;

function heapBytes(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  return process.memoryUsage().heapUsed;
}
