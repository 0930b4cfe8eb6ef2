/** The threads of the stress test: one dispatcher and several shards that move slots round over real rings in a real
 *  arena, as in the server but with a futex word for an eventfd. Each slot carries a pattern made from a serial number:
 *  the dispatcher writes it, the shard checks it and leaves its complement, the dispatcher checks that when the slot is
 *  home. What is wrong is thrown, and so reaches the test as the thread's `error` event. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../src/base/assert.ts';
import { type Arena, openArena } from '../../src/memory/arena.ts';
import {
  ingressRingOffset,
  OWNER_DISPATCHER,
  returnRingOffset,
  SCRATCH_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import * as slotRing from '../../src/memory/slot-ring.ts';
import { loadRing, type Mutation, type RingClasses } from './ring-source.ts';

export interface StressTask {
  readonly arena: SharedArrayBuffer;
  readonly role: 'dispatcher' | 'shard';
  readonly shard: number;
  readonly durationMs: number;
  /** A shard that sleeps this long while slots are out has missed its wake-up. */
  readonly watchdogMs: number;
  readonly seed: number;
  readonly mutation: Mutation | null;
  /** What a shard does wrong on purpose. */
  readonly misdeed: 'none' | 'returns a slot twice' | 'returns a slot before it is done with it';
}

/** What a thread did, posted at its end. */
export interface StressReport {
  readonly role: StressTask['role'];
  readonly slotsMoved: number;
  /** Times the dispatcher waited until every slot was home: each is a trial of the wake-up. */
  readonly trials: number;
  /** Signals the dispatcher sent, or wakes a shard had. */
  readonly signals: number;
}

const PATTERN_WORDS = 64;
const MAX_BURST = 8;
/** Widens the gap that a mutation opens, so that it is hit soon on a busy machine too. */
const SPIN_COUNT = 20_000;

/** Words of our own, in the scratch of each shard. */
const WAKE_WORD = 0;
const STOP_WORD = 32;
const READY_WORD = 64;

const START_MS = 8000;

class Xorshift {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}

function scratchWord(arena: Arena, shard: number): number {
  return (arena.map.scratch + shard * SCRATCH_BYTES) >> 2;
}

function payloadWord(arena: Arena, slot: number): number {
  return (slotOffset(arena.map, slot) + SLOT_HEADER_BYTES) >> 2;
}

function pattern(serial: number, i: number): number {
  return Math.imul(serial, 0x9e3779b1) ^ Math.imul(i + 1, 0x85ebca6b);
}

function spin(count: number): void {
  let work = 0;
  for (let i = 0; i < count; i++) work += i & 3;
  assert(work >= 0, 'unreachable');
}

function dispatch(task: StressTask, arena: Arena, { RingProducer, RingConsumer }: RingClasses): StressReport {
  const { words, map } = arena;
  const random = new Xorshift(task.seed);
  const ingress = Array.from(
    { length: map.shardCount },
    (_, shard) => new RingProducer(words, ingressRingOffset(map, shard), map.ringCapacity),
  );
  const returns = Array.from(
    { length: map.shardCount },
    (_, shard) => new RingConsumer(words, returnRingOffset(map, shard), map.ringCapacity),
  );
  const free = Array.from({ length: map.slotCount }, (_, slot) => slot);
  for (const slot of free) words[(slotOffset(map, slot) >> 2) + SLOT.OWNER_WORD] = OWNER_DISPATCHER;
  let serial = 0;
  let trials = 0;
  let signals = 0;

  function send(shard: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const slot = free.pop()!;
      const header = slotOffset(map, slot) >> 2;
      const payload = payloadWord(arena, slot);
      serial = (serial + 1) | 0;
      for (let at = 0; at < PATTERN_WORDS; at++) words[payload + at] = pattern(serial, at);
      words[header + SLOT.LENGTH_WORD] = serial;
      words[header + SLOT.OWNER_WORD] = shard;
      ingress[shard]!.offer(slot);
    }
    if (!ingress[shard]!.publish()) return;
    signals++;
    const unread = Atomics.add(words, scratchWord(arena, shard) + WAKE_WORD, 1);
    assert(unread === 0, 'two signals for one sleep');
    Atomics.notify(words, scratchWord(arena, shard) + WAKE_WORD);
  }

  function takeHome(): void {
    for (const [shard, ring] of returns.entries()) {
      const count = ring.poll();
      for (let i = 0; i < count; i++) {
        const slot = ring.take();
        const header = slotOffset(map, slot) >> 2;
        assert(words[header + SLOT.OWNER_WORD] === shard, 'a slot came home that was not out: double free');
        words[header + SLOT.OWNER_WORD] = OWNER_DISPATCHER;
        const payload = payloadWord(arena, slot);
        const was = words[header + SLOT.LENGTH_WORD]!;
        for (let at = 0; at < PATTERN_WORDS; at++) {
          assert(words[payload + at] === ~pattern(was, at), 'torn slot: it came home with another pattern');
        }
        free.push(slot);
      }
      if (count > 0) ring.release();
    }
  }

  function awaitAll(): void {
    const deadline = performance.now() + task.watchdogMs;
    for (let polls = 0; free.length < map.slotCount; polls++) {
      takeHome();
      if ((polls & 1023) === 1023) assert(performance.now() < deadline, 'lost wake-up: slots stay out');
    }
    trials++;
  }

  for (let shard = 0; shard < map.shardCount; shard++) {
    Atomics.wait(words, scratchWord(arena, shard) + READY_WORD, 0, START_MS);
  }
  try {
    const end = performance.now() + task.durationMs;
    while (performance.now() < end) {
      for (let round = 0; round < 20; round++) {
        for (let shard = 0; shard < map.shardCount; shard++) {
          const count = 1 + random.below(MAX_BURST);
          if (free.length >= count) send(shard, count);
        }
        takeHome();
        spin(random.below(400));
        // Half the rounds wait for everything, so that no later publish makes up for a wake-up that was lost.
        if (random.below(2) === 0) awaitAll();
      }
    }
    awaitAll();
  } finally {
    for (let shard = 0; shard < map.shardCount; shard++) {
      Atomics.store(words, scratchWord(arena, shard) + STOP_WORD, 1);
      Atomics.store(words, scratchWord(arena, shard) + WAKE_WORD, 1);
      Atomics.notify(words, scratchWord(arena, shard) + WAKE_WORD);
    }
  }
  return { role: 'dispatcher', slotsMoved: serial, trials, signals };
}

function serve(task: StressTask, arena: Arena, { RingProducer, RingConsumer }: RingClasses): StressReport {
  const { words, map } = arena;
  const { shard } = task;
  const scratch = scratchWord(arena, shard);
  const ingress = new RingConsumer(words, ingressRingOffset(map, shard), map.ringCapacity);
  const returns = new RingProducer(words, returnRingOffset(map, shard), map.ringCapacity);
  const inHand: number[] = [];
  let lastSerial = 0;
  let slotsMoved = 0;
  let givenBack = 0;
  let signals = 0;

  function check(slot: number): void {
    const header = slotOffset(map, slot) >> 2;
    const payload = payloadWord(arena, slot);
    const serial = words[header + SLOT.LENGTH_WORD]!;
    assert(words[header + SLOT.OWNER_WORD] === shard, 'a slot of another owner');
    assert(((serial - lastSerial) | 0) > 0, 'out of order, or served twice');
    lastSerial = serial;
    for (let at = 0; at < PATTERN_WORDS; at++) {
      if (task.misdeed === 'returns a slot before it is done with it') spin(20);
      assert(words[payload + at] === pattern(serial, at), 'torn slot: another pattern than was sent');
      words[payload + at] = ~pattern(serial, at);
    }
  }

  function giveBack(slot: number): void {
    returns.offer(slot);
    if (task.misdeed === 'returns a slot twice' && ++givenBack === 1000) returns.offer(slot);
  }

  function serveAll(): void {
    for (let count = ingress.poll(); count > 0; count = ingress.poll()) {
      for (; count > 0; count--) {
        const slot = ingress.take();
        slotsMoved++;
        if (task.misdeed === 'returns a slot before it is done with it') {
          returns.offer(slot);
          returns.publish();
        }
        check(slot);
        inHand.push(slot);
      }
      ingress.release();
      if (task.misdeed !== 'returns a slot before it is done with it') for (const slot of inHand) giveBack(slot);
      inHand.length = 0;
      returns.publish();
    }
  }

  Atomics.store(words, scratch + READY_WORD, 1);
  Atomics.notify(words, scratch + READY_WORD);
  while (Atomics.load(words, scratch + STOP_WORD) === 0) {
    serveAll();
    if (!ingress.trySleep()) continue;
    // Reads the stand-in for the eventfd empty, or waits until it can.
    while (Atomics.exchange(words, scratch + WAKE_WORD, 0) === 0) Atomics.wait(words, scratch + WAKE_WORD, 0);
    signals++;
  }
  return { role: 'shard', slotsMoved, trials: 0, signals };
}

if (!isMainThread && (workerData as StressTask | null)?.role !== undefined) {
  const task = workerData as StressTask;
  const arena = openArena(task.arena);
  const ring = task.mutation === null ? slotRing : loadRing(Atomics, task.mutation, SPIN_COUNT);
  parentPort?.postMessage(task.role === 'dispatcher' ? dispatch(task, arena, ring) : serve(task, arena, ring));
}
