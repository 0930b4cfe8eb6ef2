/** A single-producer, single-consumer ring of slot numbers, and how its consumer is woken. Hot on dispatcher and shard.
 *
 *  Producer and consumer each keep a private copy of their own index and publish it once per batch; an index only
 *  grows (mod 2³²), the entry is index & mask. The capacity holds every slot number there is, so a ring is never full:
 *  `offer` asserts it.
 *
 *  Sleep and wake-up. Consumer: store sleep = 1, then load tail. Producer: store tail, then load sleep. All four are
 *  sequentially consistent, so at least one of them sees the other, and `exchange(sleep, 0)` decides who owns the wake:
 *  never a lost wake-up, at most one signal per sleep (test/interleaving/wake-up.test.ts lists the outcomes). */

import { assert } from '../base/assert.ts';
import { RING } from './layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** The producer's end. One thread at a time. */
export class RingProducer {
  readonly #words: Words;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #sleepWord: number;
  readonly #entriesWord: number;
  readonly #mask: number;
  #tail: number;
  #head: number;
  #published: number;

  /** `offset` in bytes (see layout.ts), `capacity` a power of two. Continues where a predecessor published. */
  constructor(words: Words, offset: number, capacity: number) {
    assert((capacity & (capacity - 1)) === 0, 'ring capacity must be a power of two');
    const word = offset >> 2;
    this.#words = words;
    this.#tailWord = word + RING.TAIL_WORD;
    this.#headWord = word + RING.HEAD_WORD;
    this.#sleepWord = word + RING.SLEEP_WORD;
    this.#entriesWord = word + RING.ENTRIES_WORD;
    this.#mask = capacity - 1;
    this.#tail = this.#published = Atomics.load(words, this.#tailWord);
    this.#head = Atomics.load(words, this.#headWord);
  }

  /** Appends `value`; the consumer sees it after `publish`. */
  offer(value: number): void {
    if (((this.#tail - this.#head) | 0) > this.#mask) {
      this.#head = Atomics.load(this.#words, this.#headWord);
      assert(((this.#tail - this.#head) | 0) <= this.#mask, 'slot ring overflow: a slot number was offered twice');
    }
    this.#words[this.#entriesWord + (this.#tail & this.#mask)] = value;
    this.#tail = (this.#tail + 1) | 0;
  }

  /** Publishes what was offered. True: the consumer sleeps and this caller must signal it. */
  publish(): boolean {
    if (this.#tail === this.#published) return false;
    // Publishes the entries to RingConsumer.poll.
    Atomics.store(this.#words, this.#tailWord, this.#tail);
    this.#published = this.#tail;
    // Partner: RingConsumer.trySleep's store of sleep before its load of tail.
    return Atomics.load(this.#words, this.#sleepWord) === 1 && Atomics.exchange(this.#words, this.#sleepWord, 0) === 1;
  }

  /** Entries the consumer has not yet released, offered but unpublished ones included. */
  depth(): number {
    this.#head = Atomics.load(this.#words, this.#headWord);
    return (this.#tail - this.#head) | 0;
  }

  /** How many the consumer had released at the last look at it (mod 2³²). */
  get released(): number {
    return this.#head;
  }

  /** True if more than `mark` entries wait. Asks the consumer's word only when the last known head does not settle it. */
  isAbove(mark: number): boolean {
    return ((this.#tail - this.#head) | 0) > mark && this.depth() > mark;
  }
}

/** The consumer's end. One thread at a time. */
export class RingConsumer {
  readonly #words: Words;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #sleepWord: number;
  readonly #entriesWord: number;
  readonly #mask: number;
  /** Sequence number of the next entry `take` returns. */
  #next: number;
  #tail: number;

  /** Continues at the published head, or at `start` where a predecessor died on the way. */
  constructor(words: Words, offset: number, capacity: number, start?: number) {
    assert((capacity & (capacity - 1)) === 0, 'ring capacity must be a power of two');
    const word = offset >> 2;
    this.#words = words;
    this.#tailWord = word + RING.TAIL_WORD;
    this.#headWord = word + RING.HEAD_WORD;
    this.#sleepWord = word + RING.SLEEP_WORD;
    this.#entriesWord = word + RING.ENTRIES_WORD;
    this.#mask = capacity - 1;
    this.#next = this.#tail = start ?? Atomics.load(words, this.#headWord);
    if (start !== undefined) Atomics.store(words, this.#headWord, start);
  }

  /** How many entries can be taken now. */
  poll(): number {
    // Partner: RingProducer.publish.
    this.#tail = Atomics.load(this.#words, this.#tailWord);
    return (this.#tail - this.#next) | 0;
  }

  /** The next entry; only after `poll` promised it. */
  take(): number {
    const value = this.#words[this.#entriesWord + (this.#next & this.#mask)]!;
    this.#next = (this.#next + 1) | 0;
    return value;
  }

  /** Sequence number of the entry `take` returns next. */
  get next(): number {
    return this.#next;
  }

  /** Hands the entries taken so far back to the producer for reuse. */
  release(): void {
    Atomics.store(this.#words, this.#headWord, this.#next);
  }

  /** True: asleep, a producer's publish will signal. False: something came meanwhile, poll again. */
  trySleep(): boolean {
    // Partner: RingProducer.publish's load of sleep after its store of tail.
    Atomics.store(this.#words, this.#sleepWord, 1);
    if (((Atomics.load(this.#words, this.#tailWord) - this.#next) | 0) === 0) return true;
    // Lost the exchange: the producer took the wake and its signal is on the way, so sleeping is right.
    return Atomics.exchange(this.#words, this.#sleepWord, 0) === 0;
  }
}
