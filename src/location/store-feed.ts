/** What the shards tell the store thread, and what it tells them: which AoRs have changed, and how far that is in the store.
 *  One SharedArrayBuffer for all shards, each with a ring of its own: one producer, one consumer. Hot on the shard: once per
 *  REGISTER, allocates nothing. No Node.
 *
 *  An entry names an AoR; what it has now, the store thread looks up in the location table when it comes to it. So an entry
 *  can be applied late, twice or in another order, and several of one AoR are one.
 *
 *  A position is a word of a ring, counted on and on (mod 2³²). The sequence of a change is the position behind its entry,
 *  and the head is advanced only when a commit has brought the entries before it into the store. So one word says both what
 *  is committed and what can be overwritten: there are no two counts that a death between them could set apart. A shard's
 *  successor goes on at the tail; the store thread's at the head, and reads again what was not committed.
 *
 *  Order. The producer writes an entry plainly, then stores the tail; the consumer loads the tail, then reads. The consumer
 *  stores the head after it has read; the producer loads the head before it writes there again. The update of the table comes
 *  before the store of the tail, so a look-up after the load of the tail finds it or a later one. No two plain accesses
 *  race, on any CPU (as in entries.ts; test/location-store/feed-interleaving.test.ts walks through it).
 *
 *  Sleep. Consumer: store sleep = 1, then load every tail (and LOST). Producer: store the tail (or LOST), then load sleep. All
 *  are sequentially consistent, so one sees the other, and `exchange(sleep, 0)` decides who owns the wake (slot-ring.ts).
 *
 *  Without the store. While the state is not RUNNING, everything counts as committed: the server runs from memory. FAILED:
 *  entries that find no room are dropped, and LOST says so; the store thread writes the whole table before it is RUNNING
 *  again, and begins anew where LOST was set meanwhile. A producer that saw FAILED and drops after RUNNING sets LOST as well,
 *  which is looked at before every sleep. */

import { assert } from '../base/assert.ts';
import { MAX_AOR_BYTES } from './table-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** OFF: there is no store. RUNNING: what is committed is in the store. FAILED: the server runs from memory. */
export const STORE_STATE = { OFF: 0, RUNNING: 1, FAILED: 2 } as const;
export type StoreState = (typeof STORE_STATE)[keyof typeof STORE_STATE];

const FEED_MAGIC = 0x46656564; // "Feed"
/** Two cache lines, as in memory/layout.ts. */
const PADDING_WORDS = 32;

/** ```
 *  HEADER     word 0 magic | 1 shards | 2 words of a ring; then state, sleep, and stop with ended, two cache lines apart
 *  RING × n   tail, lost (the shard's) | two cache lines on: head (the store thread's) | two more: the entries
 *  entry      word 0 length of the AoR in bytes | 1… the AoR, padded with zeros; goes round the end of the ring
 *  ``` */
const FEED = {
  MAGIC_WORD: 0,
  SHARD_COUNT_WORD: 1,
  RING_WORDS_WORD: 2,
  STATE_WORD: PADDING_WORDS,
  SLEEP_WORD: 2 * PADDING_WORDS,
  STOP_WORD: 3 * PADDING_WORDS,
  /** The store thread has ended in order. */
  ENDED_WORD: 3 * PADDING_WORDS + 1,
  /** The journal is not to be cleared: another process reads the store. */
  HOLD_WORD: 3 * PADDING_WORDS + 2,
} as const;
const FEED_WORDS = 4 * PADDING_WORDS;
const RING = {
  TAIL_WORD: 0,
  LOST_WORD: 1,
  HEAD_WORD: PADDING_WORDS,
  ENTRIES_WORD: 2 * PADDING_WORDS,
} as const;

/** Some 25,000 changes of AoRs of usual length that wait for a commit. */
const FEED_RING_BYTES = 1024 * 1024;
const MIN_RING_BYTES = 4 * 1024;
/** In place of an AoR's length. */
export const NO_ENTRY = -1;

/** Allocates and labels a feed, its state OFF. `ringBytes`: a power of two, 4 KiB or more. */
export function createStoreFeed(shardCount: number, ringBytes = FEED_RING_BYTES): SharedArrayBuffer {
  assert(shardCount >= 1, 'a feed needs a shard');
  assert(ringBytes >= MIN_RING_BYTES && (ringBytes & (ringBytes - 1)) === 0, 'ringBytes must be a power of two');
  const ringWords = ringBytes >> 2;
  const buffer = new SharedArrayBuffer((FEED_WORDS + shardCount * (RING.ENTRIES_WORD + ringWords)) * 4);
  const words = new Int32Array(buffer);
  words[FEED.MAGIC_WORD] = FEED_MAGIC;
  words[FEED.SHARD_COUNT_WORD] = shardCount;
  words[FEED.RING_WORDS_WORD] = ringWords;
  return buffer;
}

/** Words of an entry for an AoR of so many bytes. */
function entryWords(aorBytes: number): number {
  return 1 + ((aorBytes + 3) >> 2);
}

function ringWord(words: Words, shard: number): number {
  assert(words[FEED.MAGIC_WORD] === FEED_MAGIC, 'not a store feed');
  assert(shard >= 0 && shard < words[FEED.SHARD_COUNT_WORD]!, 'the feed knows no such shard');
  return FEED_WORDS + shard * (RING.ENTRIES_WORD + words[FEED.RING_WORDS_WORD]!);
}

/** Ends the sleep of the store thread, if it sleeps. */
function wake(words: Words): void {
  // Partner: FeedConsumer.trySleep's store of sleep before its load of what it would be woken for.
  if (Atomics.load(words, FEED.SLEEP_WORD) === 1 && Atomics.exchange(words, FEED.SLEEP_WORD, 0) === 1) {
    Atomics.notify(words, FEED.SLEEP_WORD);
  }
}

/** A shard's end. After its `LocationTable.update` was DONE it appends the AoR, and answers the REGISTER once that is
 *  committed. One thread at a time; a successor continues where its predecessor published. */
export class FeedProducer {
  readonly #words: Words;
  readonly #tailWord: number;
  readonly #lostWord: number;
  readonly #headWord: number;
  readonly #entriesWord: number;
  readonly #mask: number;
  #tail: number;
  #head: number;
  #isNews = false;

  constructor(words: Words, shard: number) {
    const ring = ringWord(words, shard);
    this.#words = words;
    this.#tailWord = ring + RING.TAIL_WORD;
    this.#lostWord = ring + RING.LOST_WORD;
    this.#headWord = ring + RING.HEAD_WORD;
    this.#entriesWord = ring + RING.ENTRIES_WORD;
    this.#mask = words[FEED.RING_WORDS_WORD]! - 1;
    this.#tail = Atomics.load(words, this.#tailWord);
    this.#head = Atomics.load(words, this.#headWord);
  }

  /** False: the store is behind by a whole ring. Ask before the table is updated, and turn the REGISTER away. */
  hasRoom(aorBytes: number): boolean {
    return this.#isFree(entryWords(aorBytes)) || this.state !== STORE_STATE.RUNNING;
  }

  /** Tells the store thread that the AoR in [start, end) of `bytes` has changed. Returns the change's sequence. Without room
   *  the store thread is told that something was lost, and sees to it by writing the whole table. */
  append(bytes: Uint8Array, start: number, end: number): number {
    const sequence = this.add(bytes, start, end);
    this.announce();
    return sequence;
  }

  /** Wakes the store thread for what was added, if it sleeps: a system call, and on a shared core a change of threads. If nobody
   *  does, it looks by itself before long. */
  announce(): void {
    if (!this.#isNews) return;
    this.#isNews = false;
    wake(this.#words);
  }

  /** `append` for several in turn, of which only the last wakes: `announce` follows. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const words = this.#words;
    const aorBytes = end - start;
    assert(aorBytes >= 1 && aorBytes <= MAX_AOR_BYTES, 'an AoR that can be in no table');
    if (this.state === STORE_STATE.OFF) return this.#tail;
    const count = entryWords(aorBytes);
    if (!this.#isFree(count)) {
      // Partner: FeedConsumer.trySleep and FeedConsumer.takeLost.
      Atomics.store(words, this.#lostWord, 1);
      this.#isNews = true;
      return this.#tail;
    }
    const entries = this.#entriesWord;
    const mask = this.#mask;
    let position = this.#tail;
    words[entries + (position++ & mask)] = aorBytes;
    for (let at = start; at < end; at += 4) words[entries + (position++ & mask)] = packWord(bytes, at, end);
    this.#tail = position | 0;
    // Publishes the entry, and the update of the table before it, to FeedConsumer.open.
    Atomics.store(words, this.#tailWord, this.#tail);
    this.#isNews = true;
    return this.#tail;
  }

  /** True once a change is in the store, or the server runs from memory. Asked before 2³¹ words of entries more were
   *  appended. */
  isCommitted(sequence: number): boolean {
    if (((this.#head - sequence) | 0) >= 0) return true;
    // Partner: FeedConsumer.commit.
    this.#head = Atomics.load(this.#words, this.#headWord);
    return ((this.#head - sequence) | 0) >= 0 || this.state !== STORE_STATE.RUNNING;
  }

  /** The sequence of the change appended last, by a predecessor too. */
  get appended(): number {
    return this.#tail;
  }

  get state(): StoreState {
    // Partner: FeedConsumer.state.
    return Atomics.load(this.#words, FEED.STATE_WORD) as StoreState;
  }

  #isFree(count: number): boolean {
    const room = this.#mask + 1 - count;
    if (((this.#tail - this.#head) | 0) <= room) return true;
    // Partner: FeedConsumer.commit: what lies before the head was read.
    this.#head = Atomics.load(this.#words, this.#headWord);
    return ((this.#tail - this.#head) | 0) <= room;
  }
}

/** Up to four bytes as a word, little-endian, zeros behind `end`. */
function packWord(bytes: Uint8Array, at: number, end: number): number {
  let word = bytes[at]!;
  if (at + 1 < end) word |= bytes[at + 1]! << 8;
  if (at + 2 < end) word |= bytes[at + 2]! << 16;
  if (at + 3 < end) word |= bytes[at + 3]! << 24;
  return word;
}

/** The store thread's end: `open(shard)`, `take` until NO_ENTRY, and after the commit `commit(shard)`. */
export class FeedConsumer {
  readonly shardCount: number;
  readonly #words: Words;
  readonly #rings: readonly number[];
  readonly #mask: number;
  /** Per shard: the position to read next, and the tail as `open` saw it. */
  readonly #next: Int32Array;
  readonly #tail: Int32Array;

  /** Begins at what was not committed. */
  constructor(words: Words) {
    this.#words = words;
    this.shardCount = words[FEED.SHARD_COUNT_WORD]!;
    this.#rings = Array.from({ length: this.shardCount }, (_, shard) => ringWord(words, shard));
    this.#mask = words[FEED.RING_WORDS_WORD]! - 1;
    this.#next = new Int32Array(this.shardCount);
    this.#tail = new Int32Array(this.shardCount);
    for (let shard = 0; shard < this.shardCount; shard++) this.rewind(shard);
  }

  /** Looks at what a shard has appended. True: there is something to take. */
  open(shard: number): boolean {
    // Partner: FeedProducer.append.
    this.#tail[shard] = Atomics.load(this.#words, this.#rings[shard]! + RING.TAIL_WORD);
    return this.#tail[shard] !== this.#next[shard];
  }

  /** Copies the next AoR of what `open` saw to `target`, from word `at` on, padded with zeros. Returns its length in bytes,
   *  or NO_ENTRY. */
  take(shard: number, target: Int32Array, at: number): number {
    if (this.#next[shard] === this.#tail[shard]) return NO_ENTRY;
    const words = this.#words;
    const mask = this.#mask;
    const entries = this.#rings[shard]! + RING.ENTRIES_WORD;
    let position = this.#next[shard]!;
    const aorBytes = words[entries + (position++ & mask)]!;
    assert(aorBytes >= 1 && aorBytes <= MAX_AOR_BYTES, 'the feed holds no such AoR');
    const count = entryWords(aorBytes) - 1;
    for (let i = 0; i < count; i++) target[at + i] = words[entries + (position++ & mask)]!;
    this.#next[shard] = position | 0;
    return aorBytes;
  }

  /** What was taken from this shard is in the store. True: that is news for the shard, which may wait for it. */
  commit(shard: number): boolean {
    const headWord = this.#rings[shard]! + RING.HEAD_WORD;
    if (Atomics.load(this.#words, headWord) === this.#next[shard]) return false;
    // Publishes to FeedProducer.isCommitted that the changes are committed, and to its append that their room is free.
    Atomics.store(this.#words, headWord, this.#next[shard]!);
    return true;
  }

  /** What was taken from this shard since its last commit is to be taken once more. */
  rewind(shard: number): void {
    this.#next[shard] = this.#tail[shard] = Atomics.load(this.#words, this.#rings[shard]! + RING.HEAD_WORD);
  }

  /** True if a change was dropped since the last call. Ask before the table is walked through. */
  takeLost(): boolean {
    let isLost = false;
    // Partner: FeedProducer.append. Its update of the table comes before: a walk after this finds it.
    for (const ring of this.#rings) if (Atomics.exchange(this.#words, ring + RING.LOST_WORD, 0) !== 0) isLost = true;
    return isLost;
  }

  get state(): StoreState {
    return Atomics.load(this.#words, FEED.STATE_WORD) as StoreState;
  }

  set state(state: StoreState) {
    // Partner: FeedProducer.state.
    Atomics.store(this.#words, FEED.STATE_WORD, state);
  }

  get isStopping(): boolean {
    return Atomics.load(this.#words, FEED.STOP_WORD) !== 0;
  }

  get isHeld(): boolean {
    return Atomics.load(this.#words, FEED.HOLD_WORD) !== 0;
  }

  /** After the last commit, and with the store closed. */
  end(): void {
    // Partner: FeedControl.awaitEnd.
    Atomics.store(this.#words, FEED.ENDED_WORD, 1);
    Atomics.notify(this.#words, FEED.ENDED_WORD);
  }

  /** True: asleep, and `sleep` may follow; who appends will wake. False: something came meanwhile. */
  trySleep(): boolean {
    const words = this.#words;
    // Partner: `wake`, after the store of what it wakes for.
    Atomics.store(words, FEED.SLEEP_WORD, 1);
    if (!this.#isAwaited()) return true;
    // Lost the exchange: a producer took the wake; the sleep ends at once, or never begins.
    return Atomics.exchange(words, FEED.SLEEP_WORD, 0) === 0;
  }

  /** Blocks until woken, `timeoutMs` at the most. */
  sleep(timeoutMs: number): void {
    Atomics.wait(this.#words, FEED.SLEEP_WORD, 1, timeoutMs);
    Atomics.store(this.#words, FEED.SLEEP_WORD, 0);
  }

  #isAwaited(): boolean {
    const words = this.#words;
    if (Atomics.load(words, FEED.STOP_WORD) !== 0) return true;
    for (let shard = 0; shard < this.shardCount; shard++) {
      const ring = this.#rings[shard]!;
      if (Atomics.load(words, ring + RING.TAIL_WORD) !== this.#next[shard]) return true;
      if (Atomics.load(words, ring + RING.LOST_WORD) !== 0) return true;
    }
    return false;
  }
}

/** The supervisor's end. */
export class FeedControl {
  readonly #words: Words;

  constructor(words: Words) {
    this.#words = words;
  }

  get state(): StoreState {
    return Atomics.load(this.#words, FEED.STATE_WORD) as StoreState;
  }

  /** For when there is no store thread any more to say so. */
  set state(state: StoreState) {
    Atomics.store(this.#words, FEED.STATE_WORD, state);
  }

  /** For a store thread that begins after another one has ended. */
  begin(): void {
    Atomics.store(this.#words, FEED.STOP_WORD, 0);
    Atomics.store(this.#words, FEED.ENDED_WORD, 0);
    Atomics.store(this.#words, FEED.HOLD_WORD, 0);
  }

  /** Has the store thread keep all of the journal, or clear it again. */
  hold(isHeld: boolean): void {
    // Partner: FeedConsumer.isHeld.
    Atomics.store(this.#words, FEED.HOLD_WORD, Number(isHeld));
  }

  /** Has the store thread commit what the rings hold, and end. */
  stop(): void {
    // Partner: FeedConsumer.trySleep.
    Atomics.store(this.#words, FEED.STOP_WORD, 1);
    wake(this.#words);
  }

  /** Blocks until the store thread has ended, `timeoutMs` at the most. False: it has not. */
  awaitEnd(timeoutMs: number): boolean {
    // Partner: FeedConsumer.end.
    return Atomics.wait(this.#words, FEED.ENDED_WORD, 0, timeoutMs) !== 'timed-out';
  }
}
