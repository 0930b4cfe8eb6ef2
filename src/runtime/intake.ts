/** The intake: takes datagrams off the sockets and hands each to the shard of its Call-ID. Belongs to one thread: the
 *  dispatcher's, or, where one shard has all the calls and no core to share them with, the shard's own (shard.ts). Hot.
 *
 *  One round: slots that came home, a batch from the kernel, each datagram classified and offered, rings published. */

import { assert } from '../base/assert.ts';
import type { Arena } from '../memory/arena.ts';
import {
  DISPATCHER,
  ingressRingOffset,
  OWNER_DISPATCHER,
  RECEIVE_BATCH,
  RETURNED,
  returnRingOffset,
  SHARD,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  SPILL_BYTES,
  shardOffset,
  slotOffset,
  streamInboundOffset,
} from '../memory/layout.ts';
import { MessageConsumer } from '../memory/message-ring.ts';
import { RingConsumer, RingProducer } from '../memory/slot-ring.ts';
import { COUNTER, type Counters } from '../observe/counters.ts';
import { TopSourcesWriter } from '../observe/top-sources.ts';
import { classifyDatagram, DATAGRAM, hashCallId, isSheddable, looksLikeInvite } from '../sip/scan.ts';
import type { BanTable } from './bans/ban-table.ts';
import type { IntakeKernel } from './intake-kernel.ts';
import type { DroppingSocket } from './overload/filter-drops.ts';
import { KernelShedding, removeFilters } from './overload/kernel-shedding.ts';

/** What `receive` returns when every slot is in the shards' hands. */
export const OUT_OF_SLOTS = -1;

/** Pause then, so that they can come home. */
export const OUT_OF_SLOTS_NAP_US = 200;

export interface IntakeOptions {
  readonly arena: Arena;
  /** The thread's own: counted here are datagrams and what becomes of them. */
  readonly counters: Counters;
  readonly shardFds: readonly number[];
  /** Slots queued at one shard above which new requests are shed. */
  readonly overloadMark: number;
  /** Where it says who sends most; null: nobody ever asks. */
  readonly topSources: SharedArrayBuffer | null;
  readonly sockets: readonly DroppingSocket[];
  /** Slots queued at every shard above which the kernel is to drop new INVITEs; null: it is not to. */
  readonly kernelMark: number | null;
  readonly kernel: IntakeKernel;
}

/** Messages of streams taken in a round at the most. */
const STREAM_BATCH = RECEIVE_BATCH;
/** Pause when there was no slot for the next of them. */
const STREAM_RETRY_MS = 1;

/** Slots that are offered to the kernel where hardly any datagrams come. Each costs it and us some cache lines, which are cold then. */
const NARROW_BATCH = 8;

export class Intake {
  readonly #arena: Arena;
  readonly #kernel: IntakeKernel;
  readonly #shardFds: readonly number[];
  readonly #overloadMark: number;
  readonly #control: number;
  readonly #plan: number;
  readonly #counters: Counters;
  readonly #rings: RingProducer[] = [];
  readonly #returns: RingConsumer[] = [];
  /** Shards that got something in this batch. */
  readonly #touched: Uint8Array;
  readonly #returned: Int32Array;
  readonly #freeSlots: Int32Array;
  #freeSlotCount = 0;
  readonly #freeJumbos: Int32Array;
  #freeJumboCount = 0;
  /** Slots that the receive plan names. */
  #planned = 0;
  /** How many of them the next round offers: all of them, but few where hardly any datagrams came last. */
  #width = RECEIVE_BATCH;
  readonly #topSources: TopSourcesWriter | null;
  readonly #sockets: readonly DroppingSocket[];
  readonly #shedding: KernelShedding | null;
  #isFull = false;
  #isInvited = false;
  /** null: nobody is banned. */
  #bans: BanTable | null = null;
  /** What connections have brought; null: there are no streams. */
  readonly #streams: MessageConsumer | null;
  /** Some of it was left for the next round. */
  #hasStreamed = false;

  /** The arena must be attached to the calling thread, and its sockets added. */
  constructor(options: IntakeOptions) {
    const { arena, counters, shardFds, overloadMark, topSources, sockets, kernelMark, kernel } = options;
    const { map, words } = arena;
    this.#arena = arena;
    this.#kernel = kernel;
    this.#shardFds = shardFds;
    this.#overloadMark = overloadMark;
    this.#control = map.dispatcher >> 2;
    this.#plan = map.plan >> 2;
    this.#counters = counters;
    this.#topSources = topSources === null ? null : new TopSourcesWriter(topSources);
    this.#sockets = sockets;
    this.#shedding =
      kernelMark === null ? null : new KernelShedding({ arena, counters, sockets, mark: kernelMark, kernel });
    this.#touched = new Uint8Array(map.shardCount);
    this.#returned = new Int32Array(map.ringCapacity);
    this.#freeSlots = new Int32Array(map.slotCount);
    this.#freeJumbos = new Int32Array(map.jumboCount);
    this.#streams = map.hasStreams ? new MessageConsumer(words, streamInboundOffset(map)) : null;
    for (let shard = 0; shard < map.shardCount; shard++) {
      this.#rings.push(new RingProducer(words, ingressRingOffset(map, shard), map.ringCapacity));
      this.#returns.push(new RingConsumer(words, returnRingOffset(map, shard), map.ringCapacity));
    }
    // What no shard owns is free: all of it at the start, the rest after the death of a predecessor.
    for (let slot = map.slotCount + map.jumboCount - 1; slot >= 0; slot--) {
      if (words[this.#ownerWord(slot)] === OWNER_DISPATCHER) this.#keep(slot);
    }
  }

  /** The last batch was as large as there was room for: more may wait. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Whether an INVITE has come since this was last asked. */
  takeInvited(): boolean {
    const isInvited = this.#isInvited;
    this.#isInvited = false;
    return isInvited;
  }

  /** From the next datagram on, those from a source in the table are dropped. */
  useBans(bans: BanTable | null): void {
    this.#bans = bans;
  }

  /** Whether the sockets are this thread's alone, or, as at first and from a takeover on, another's. Cold. */
  useSockets(areOurs: boolean): void {
    if (this.#shedding === null) {
      if (areOurs) removeFilters(this.#sockets, this.#kernel);
    } else if (areOurs) {
      this.#shedding.start();
    } else {
      this.#shedding.stop();
    }
  }

  /** One round. Waits `waitMs` for the first datagram (−1: without limit, 0: not at all). Returns how many came, messages of
   *  streams included, or OUT_OF_SLOTS. */
  receive(waitMs: number): number {
    const shedding = this.#shedding;
    if (shedding === null) return this.#receive(waitMs);
    const count = this.#receive(shedding.bounded(waitMs));
    if (shedding.isOn || this.#areAllAbove(shedding.mark)) this.#lookAtDepth(shedding);
    return count;
  }

  #areAllAbove(mark: number): boolean {
    const rings = this.#rings;
    for (let shard = 0; shard < rings.length; shard++) if (!rings[shard]!.isAbove(mark)) return false;
    return true;
  }

  #lookAtDepth(shedding: KernelShedding): void {
    const rings = this.#rings;
    let least = Number.POSITIVE_INFINITY;
    let released = 0;
    for (let shard = 0; shard < rings.length; shard++) {
      least = Math.min(least, rings[shard]!.depth());
      released += rings[shard]!.released;
    }
    shedding.look(least, released / rings.length, performance.now());
  }

  #receive(waitMs: number): number {
    const { words } = this.#arena;
    this.#collectReturns();
    const streams = this.#streams;
    let streamed = streams !== null && (streams.isNotified() || this.#hasStreamed) ? this.#takeStreamed(streams) : 0;
    while (this.#planned < RECEIVE_BATCH && this.#freeSlotCount > 0) {
      words[this.#plan + this.#planned++] = this.#freeSlots[--this.#freeSlotCount]!;
    }
    words[this.#control + DISPATCHER.FREE_SLOTS_WORD] = this.#freeSlotCount + this.#planned;
    words[this.#control + DISPATCHER.FREE_JUMBOS_WORD] = this.#freeJumboCount;
    if (this.#planned === 0) {
      this.#counters.count(COUNTER.slots_exhausted_total);
      this.#isFull = false;
      return OUT_OF_SLOTS;
    }
    const mayWait = streamed === 0 && waitMs !== 0;
    const width = Math.min(this.#planned, this.#width);
    const count = this.#kernel.receiveBatch(width, mayWait ? (this.#hasStreamed ? STREAM_RETRY_MS : waitMs) : 0);
    if (mayWait && streams?.isNotified()) streamed = this.#takeStreamed(streams);
    this.#isFull = count === width || this.#hasStreamed;
    this.#width = count > NARROW_BATCH >> 1 ? RECEIVE_BATCH : NARROW_BATCH;
    if (count === 0) return streamed;
    this.#dispatch(count);
    // The latest that were planned come next: where datagrams are few, they land in slots that the cache still has.
    for (let i = 0; i < count; i++) words[this.#plan + i] = words[this.#plan + --this.#planned]!;
    return count + streamed;
  }

  /** Messages of streams: each is copied into a slot, as if recvmmsg had brought it. Returns how many. Where there is no slot for
   *  one, it waits in its ring; when that is full, connections are not read on. */
  #takeStreamed(streams: MessageConsumer): number {
    const topSources = this.#topSources?.isWatched() ? this.#topSources : null;
    let count = 0;
    let offset = streams.next();
    try {
      for (; offset !== -1 && count < STREAM_BATCH; offset = streams.next()) {
        const slot = this.#slotFor(this.#arena.words[offset >> 2]!);
        if (slot === -1) break;
        const isNew = this.#copyRecord(offset, slot);
        // Released before anything is done with it: should this thread die of it, its successor does not meet it.
        streams.release();
        count++;
        if (!isNew) {
          this.#giveFate(slot);
          continue;
        }
        if (topSources !== null) this.#noteSource(topSources, slot, 1);
        this.#give(slot);
      }
    } finally {
      this.#publish();
    }
    this.#hasStreamed = offset !== -1;
    return count;
  }

  /** A free slot for so many bytes, −1: there is none. A batch is left to datagrams, which cannot wait. */
  #slotFor(length: number): number {
    if (length > SLOT_PAYLOAD_BYTES) return this.#freeJumboCount > 0 ? this.#freeJumbos[--this.#freeJumboCount]! : -1;
    return this.#freeSlotCount > RECEIVE_BATCH ? this.#freeSlots[--this.#freeSlotCount]! : -1;
  }

  /** Copies a record into a slot, its owner included. False: it has no message that a connection has brought. */
  #copyRecord(offset: number, slot: number): boolean {
    const { bytes, words, map } = this.#arena;
    const at = offset >> 2;
    const length = words[at + SLOT.LENGTH_WORD]!;
    bytes.copyWithin(slotOffset(map, slot), offset, offset + SLOT_HEADER_BYTES + length);
    return length > 0 && words[at + SLOT.FAULT_WORD]! < RETURNED.MOVED;
  }

  /** What became of a message that a shard has sent over a stream, or the request that it was made of: that shard's. */
  #giveFate(slot: number): void {
    const shard = this.#arena.words[this.#ownerWord(slot)]!;
    this.#rings[shard]!.offer(slot);
    this.#touched[shard] = 1;
  }

  #dispatch(count: number): void {
    const { words } = this.#arena;
    this.#counters.count(COUNTER.receive_batches_total);
    this.#counters.add(COUNTER.datagrams_received_total, count);
    const topSources = this.#topSources;
    // One of the batch stands for all of it.
    if (topSources?.isWatched()) this.#noteSource(topSources, words[this.#plan + topSources.pick(count)]!, count);
    try {
      for (let i = 0; i < count; i++) this.#dispatchOne(words[this.#plan + i]!, i);
    } finally {
      // Also if this thread dies of one of them: what was offered is a shard's already, and nobody would ever find it.
      this.#publish();
    }
  }

  #noteSource(topSources: TopSourcesWriter, slot: number, weight: number): void {
    const { words, map } = this.#arena;
    const at = slotOffset(map, slot) >> 2;
    topSources.add(words, at + SLOT.SOURCE_WORD, words[at + SLOT.FAMILY_WORD]!, words[at + SLOT.PORT_WORD]!, weight);
  }

  #publish(): void {
    for (let shard = 0; shard < this.#rings.length; shard++) {
      if (this.#touched[shard] === 0) continue;
      this.#touched[shard] = 0;
      if (this.#rings[shard]!.publish()) {
        this.#counters.count(COUNTER.wakeups_total);
        this.#kernel.signal(this.#shardFds[shard]!);
      }
    }
  }

  /** Tells every shard of a destination that cannot be reached (family, port, four words of address): a slot without a payload,
   *  from there. Without a free slot they find out by their timers. Cold. */
  tellUnreachable(socket: number, unreachable: Int32Array): void {
    const { words, map } = this.#arena;
    for (let shard = 0; shard < this.#rings.length && this.#freeSlotCount > 0; shard++) {
      const slot = this.#freeSlots[--this.#freeSlotCount]!;
      const at = slotOffset(map, slot) >> 2;
      words[at + SLOT.LENGTH_WORD] = 0;
      words[at + SLOT.SOCKET_WORD] = socket;
      words[at + SLOT.FAMILY_WORD] = unreachable[0]!;
      words[at + SLOT.PORT_WORD] = unreachable[1]!;
      for (let i = 0; i < 4; i++) words[at + SLOT.SOURCE_WORD + i] = unreachable[2 + i]!;
      words[at + SLOT.OWNER_WORD] = shard;
      this.#rings[shard]!.offer(slot);
      this.#touched[shard] = 1;
    }
    this.#publish();
  }

  #dispatchOne(slot: number, position: number): void {
    const { words, map } = this.#arena;
    const at = slotOffset(map, slot) >> 2;
    words[this.#control + DISPATCHER.SOCKET_COUNTS_WORD + words[at + SLOT.SOCKET_WORD]!]!++;
    const length = words[at + SLOT.LENGTH_WORD]!;
    const taken = length > SLOT_PAYLOAD_BYTES ? this.#moveToJumbo(slot, position) : slot;
    if (taken !== -1) this.#give(taken);
  }

  /** Gives what a slot has to the shard of its Call-ID, or drops it and keeps the slot. */
  #give(taken: number): void {
    const { bytes, words, map } = this.#arena;
    const offset = slotOffset(map, taken);
    if (this.#bans?.hasSource(words, offset >> 2) === true) {
      this.#counters.count(COUNTER.banned_datagrams_total);
      this.#keep(taken);
      return;
    }
    const start = offset + SLOT_HEADER_BYTES;
    const end = start + words[(offset >> 2) + SLOT.LENGTH_WORD]!;
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
    if (ring.isAbove(this.#overloadMark) && (kind === DATAGRAM.STUN || isSheddable(bytes, words, start, end))) {
      this.#counters.count(COUNTER.shed_requests_total);
      this.#keep(taken);
      return;
    }
    if (looksLikeInvite(bytes, start)) this.#isInvited = true;
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
  sweep(shard: number): void {
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
  }

  #ownerWord(slot: number): number {
    return (slotOffset(this.#arena.map, slot) >> 2) + SLOT.OWNER_WORD;
  }
}
