/** The dispatcher: takes datagrams off the sockets and hands each to the shard of its Call-ID. A thread of its own, whose
 *  loop blocks in the addon; it hears of the outside through the arena's control words and its eventfd. Hot.
 *
 *  One cycle: slots that came home, a batch from the kernel, each datagram classified and offered, rings published, a nap
 *  or a yield. */

import { workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { type Arena, openArena } from '../memory/arena.ts';
import {
  DISPATCHER,
  ingressRingOffset,
  OWNER_DISPATCHER,
  RECEIVE_BATCH,
  returnRingOffset,
  SHARD,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  SPILL_BYTES,
  shardOffset,
  slotOffset,
} from '../memory/layout.ts';
import { RingConsumer, RingProducer } from '../memory/slot-ring.ts';
import { COUNTER, Counters } from '../observe/counters.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { classifyDatagram, DATAGRAM, hashCallId, isSheddable } from '../sip/scan.ts';
import { Nap } from './nap.ts';
import {
  addSocket,
  attach,
  nap,
  receiveBatch,
  scheduleThread,
  setWake,
  signal,
  socketErrors,
  yieldThread,
} from './udp-socket.ts';

export interface DispatcherTask {
  readonly arena: SharedArrayBuffer;
  readonly sockets: readonly (BoundSocket & { readonly fd: number })[];
  readonly wakeFd: number;
  readonly shardFds: readonly number[];
  /** 0: no naps. */
  readonly napUs: number;
  readonly batchScheduling: boolean;
  /** Slots queued at one shard above which new requests are shed. */
  readonly overloadMark: number;
}

/** Pause when every slot is in the shards' hands. */
const OUT_OF_SLOTS_NAP_US = 200;
const TIMER_SLACK_NS = 1000;

class Dispatcher {
  readonly #arena: Arena;
  readonly #task: DispatcherTask;
  readonly #control: number;
  readonly #plan: number;
  readonly #counters: Counters;
  /** ICMP errors already counted. */
  #errorsSeen = 0;
  readonly #nap: Nap;
  readonly #rings: RingProducer[] = [];
  readonly #returns: RingConsumer[] = [];
  /** Shards that got something in this batch. */
  readonly #touched: Uint8Array;
  readonly #returned: Int32Array;
  readonly #freeSlots: Int32Array;
  #freeSlotCount = 0;
  readonly #freeJumbos: Int32Array;
  #freeJumboCount = 0;

  constructor(task: DispatcherTask) {
    const arena = openArena(task.arena);
    const { map, words } = arena;
    this.#arena = arena;
    this.#task = task;
    this.#control = map.dispatcher >> 2;
    this.#plan = map.plan >> 2;
    this.#counters = new Counters(arena, map.shardCount);
    this.#nap = new Nap(task.napUs);
    this.#touched = new Uint8Array(map.shardCount);
    this.#returned = new Int32Array(map.ringCapacity);
    this.#freeSlots = new Int32Array(map.slotCount);
    this.#freeJumbos = new Int32Array(map.jumboCount);
    for (let shard = 0; shard < map.shardCount; shard++) {
      this.#rings.push(new RingProducer(words, ingressRingOffset(map, shard), map.ringCapacity));
      this.#returns.push(new RingConsumer(words, returnRingOffset(map, shard), map.ringCapacity));
    }
    // What no shard owns is free: all of it at the start, the rest after the death of a predecessor.
    for (let slot = map.slotCount + map.jumboCount - 1; slot >= 0; slot--) {
      if (words[this.#ownerWord(slot)] === OWNER_DISPATCHER) this.#keep(slot);
    }
  }

  run(): void {
    const { words } = this.#arena;
    attach(this.#arena.bytes);
    for (const socket of this.#task.sockets) addSocket(socket.socket, socket.fd, socket.family, socket.isWildcard);
    setWake(this.#task.wakeFd);
    // SCHED_BATCH: on a shared core the dispatcher must not preempt its own shards at every arrival.
    scheduleThread({ batch: this.#task.batchScheduling, timerSlackNs: TIMER_SLACK_NS });
    // A predecessor may have died between publishing and signalling: whoever sleeps on, looks once unasked.
    for (const fd of this.#task.shardFds) signal(fd);
    let planned = 0;
    while (Atomics.load(words, this.#control + DISPATCHER.STOP_WORD) === 0) {
      const request = Atomics.load(words, this.#control + DISPATCHER.SWEEP_REQUEST_WORD);
      if (request !== 0) this.#sweep(request - 1);
      this.#collectReturns();
      while (planned < RECEIVE_BATCH && this.#freeSlotCount > 0) {
        words[this.#plan + planned++] = this.#freeSlots[--this.#freeSlotCount]!;
      }
      words[this.#control + DISPATCHER.FREE_SLOTS_WORD] = this.#freeSlotCount + planned;
      if (planned === 0) {
        this.#counters.count(COUNTER.slots_exhausted_total);
        nap(OUT_OF_SLOTS_NAP_US);
        continue;
      }
      // Without a limit: a timeout would set a timer of the kernel's for every wait.
      const count = receiveBatch(planned, -1);
      if (count === 0) {
        this.#countErrors();
        continue;
      }
      this.#dispatch(count);
      const napUs = this.#nap.afterBatch(count, count === planned, performance.now() * 1000);
      planned -= count;
      words.copyWithin(this.#plan, this.#plan + count, this.#plan + count + planned);
      if (napUs > 0) {
        this.#counters.count(COUNTER.naps_total);
        nap(napUs);
      } else if (planned > 0) {
        // On a shared core the shards work first: meanwhile datagrams gather, and a batch of many costs less than many
        // of few. Elsewhere it costs a system call and changes nothing.
        yieldThread();
      }
    }
  }

  #dispatch(count: number): void {
    const { words } = this.#arena;
    this.#counters.count(COUNTER.receive_batches_total);
    this.#countErrors();
    this.#counters.add(COUNTER.datagrams_received_total, count);
    try {
      for (let i = 0; i < count; i++) this.#dispatchOne(words[this.#plan + i]!, i);
    } finally {
      // Also if this thread dies of one of them: what was offered is a shard's already, and nobody would ever find it.
      this.#publish();
    }
  }

  #publish(): void {
    for (let shard = 0; shard < this.#rings.length; shard++) {
      if (this.#touched[shard] === 0) continue;
      this.#touched[shard] = 0;
      if (this.#rings[shard]!.publish()) {
        this.#counters.count(COUNTER.wakeups_total);
        signal(this.#task.shardFds[shard]!);
      }
    }
  }

  /** ICMP errors that this thread took off the sockets' error queues; shards count theirs. */
  #countErrors(): void {
    let errors = 0;
    for (let i = 0; i < this.#task.sockets.length; i++) errors += socketErrors(this.#task.sockets[i]!.socket);
    this.#counters.add(COUNTER.icmp_errors_total, errors - this.#errorsSeen);
    this.#errorsSeen = errors;
  }

  #dispatchOne(slot: number, position: number): void {
    const { bytes, words, map } = this.#arena;
    let taken = slot;
    let offset = slotOffset(map, slot);
    const length = words[(offset >> 2) + SLOT.LENGTH_WORD]!;
    if (length > SLOT_PAYLOAD_BYTES) {
      taken = this.#moveToJumbo(slot, position);
      if (taken === -1) return;
      offset = slotOffset(map, taken);
    }
    const start = offset + SLOT_HEADER_BYTES;
    const end = start + length;
    const kind = classifyDatagram(bytes, start, end);
    if (kind > DATAGRAM.STUN) {
      this.#counters.count(kind === DATAGRAM.KEEPALIVE ? COUNTER.keepalives_total : COUNTER.junk_datagrams_total);
      this.#keep(taken);
      return;
    }
    const shardCount = this.#rings.length;
    // Where there is one shard only, there is nothing to choose by the Call-ID.
    const shard =
      shardCount === 1 ? 0 : this.#shardOf(kind === DATAGRAM.SIP ? hashCallId(bytes, words, start, end) : 0);
    const ring = this.#rings[shard]!;
    if (ring.isAbove(this.#task.overloadMark) && (kind === DATAGRAM.STUN || isSheddable(bytes, words, start, end))) {
      this.#counters.count(COUNTER.shed_requests_total);
      this.#keep(taken);
      return;
    }
    words[(offset >> 2) + SLOT.OWNER_WORD] = shard;
    ring.offer(taken);
    this.#touched[shard] = 1;
  }

  /** The high bits of hash × shardCount: a remainder without a division. */
  #shardOf(hash: number): number {
    return Math.trunc(((hash >>> 0) * this.#rings.length) / 0x1_0000_0000);
  }

  /** Puts the two parts of a large datagram together in a jumbo slot. Returns −1 if there is none free. */
  #moveToJumbo(slot: number, position: number): number {
    const { bytes, words, map } = this.#arena;
    const source = slotOffset(map, slot);
    const length = words[(source >> 2) + SLOT.LENGTH_WORD]!;
    if (this.#freeJumboCount === 0) {
      this.#counters.count(COUNTER.jumbo_exhausted_total);
      this.#keep(slot);
      return -1;
    }
    const jumbo = this.#freeJumbos[--this.#freeJumboCount]!;
    const target = slotOffset(map, jumbo);
    const head = SLOT_HEADER_BYTES + SLOT_PAYLOAD_BYTES;
    const spill = map.spill + position * SPILL_BYTES;
    bytes.copyWithin(target, source, source + head);
    bytes.copyWithin(target + head, spill, spill + length - SLOT_PAYLOAD_BYTES);
    this.#counters.count(COUNTER.jumbo_datagrams_total);
    this.#keep(slot);
    return jumbo;
  }

  #collectReturns(): void {
    const returns = this.#returns;
    for (let shard = 0; shard < returns.length; shard++) {
      const ring = returns[shard]!;
      const count = ring.poll();
      if (count === 0) continue;
      for (let i = 0; i < count; i++) this.#returned[i] = ring.take();
      // Released first: should this thread die here, the slots still belong to the shard and are swept one day.
      ring.release();
      for (let i = 0; i < count; i++) this.#takeBack(this.#returned[i]!);
    }
  }

  /** A slot comes home from a shard. */
  #takeBack(slot: number): void {
    const { words } = this.#arena;
    const owner = this.#ownerWord(slot);
    assert(words[owner] !== OWNER_DISPATCHER, 'a slot came home twice');
    words[owner] = OWNER_DISPATCHER;
    this.#keep(slot);
  }

  /** A slot that is the dispatcher's goes to the free ones. */
  #keep(slot: number): void {
    const { map } = this.#arena;
    if (slot < map.slotCount) this.#freeSlots[this.#freeSlotCount++] = slot;
    else this.#freeJumbos[this.#freeJumboCount++] = slot;
  }

  /** Takes back what a dead shard held: all it owns but for what waits in its ring for the successor. Cold. */
  #sweep(shard: number): void {
    const { words, map } = this.#arena;
    assert(shard >= 0 && shard < map.shardCount, 'no such shard to sweep');
    this.#collectReturns();
    const waiting = new Set<number>();
    const cursor = words[(shardOffset(map, shard) >> 2) + SHARD.CURSOR_WORD]!;
    const ring = new RingConsumer(words, ingressRingOffset(map, shard), map.ringCapacity, cursor);
    for (let left = ring.poll(); left > 0; left--) waiting.add(ring.take());
    let swept = 0;
    for (let slot = 0; slot < map.slotCount + map.jumboCount; slot++) {
      if (words[this.#ownerWord(slot)] === shard && !waiting.has(slot)) {
        this.#takeBack(slot);
        swept++;
      }
    }
    this.#counters.add(COUNTER.swept_slots_total, swept);
    Atomics.store(words, this.#control + DISPATCHER.SWEEP_REQUEST_WORD, 0);
    // Partner: the supervisor's wait in supervisor.ts.
    Atomics.add(words, this.#control + DISPATCHER.SWEEP_DONE_WORD, 1);
    Atomics.notify(words, this.#control + DISPATCHER.SWEEP_DONE_WORD);
  }

  #ownerWord(slot: number): number {
    return (slotOffset(this.#arena.map, slot) >> 2) + SLOT.OWNER_WORD;
  }
}

new Dispatcher(workerData as DispatcherTask).run();
