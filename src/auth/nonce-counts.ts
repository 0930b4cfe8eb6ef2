/** Which nonce counts were used (RFC 7616 3.4 nc, 5.4, 5.5): a table of fixed size that all shards share without a lock, so that
 *  no request is accepted twice. Runs on the shard, one NonceCounts for each. Hot: once for each request that is authenticated
 *  or challenged, allocates nothing.
 *
 *  ```
 *  HEADER     magic, version, entries, salt (2 words); two lines on, the entry that is next
 *  ENTRY × n  a cache line each: generation | 4 marks of transactions | 11 words of used counts: tag << 16 | 16 bits
 *  ```
 *  A nonce is an entry and a generation: entries are given out in turn, and the generation says for the how-manieth time. Bit
 *  c & 15 of word c >> 4 of the used counts stands for count c, of the nonce whose generation has the low half `tag`. So one
 *  count of one nonce is one bit of one word, and it is accepted by the thread whose compare-exchange sets the bit: never
 *  twice, whatever else happens to the entry, and a thread that dies leaves nothing half done. A word that a later nonce has
 *  used is lost to the earlier one, which is then stale.
 *
 *  A tag has 16 bits and must not come round: a nonce is stale MAX_LAG generations later, and from time to time whoever gives
 *  out an entry clears the words that were last used before that. test/auth/nonce-interleavings.test.ts walks through it. */

import { randomBytes } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { allocateLines, wordsOf } from '../base/cache-lines.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** Counts above this are stale: the client gets a new nonce. 0 is the one use without qop. */
export const MAX_NONCE_COUNT = 11 * 16 - 1;
/** Nonces that can be in use at a time, by default: 4 MiB. */
const NONCE_ENTRIES = 65_536;
const MAX_NONCE_ENTRIES = 2 ** 24;

/** What the use of a nonce count comes to. */
export const USE = {
  FRESH: 0,
  /** The same request as before, by its transaction. */
  REPEATED: 1,
  REPLAYED: 2,
  /** The entry went on to later nonces, or the count is beyond MAX_NONCE_COUNT. */
  STALE: 3,
} as const;
export type Use = (typeof USE)[keyof typeof USE];

const TABLE_MAGIC = 0x4e6f6e63; // "Nonc"
const TABLE_VERSION = 1;
const HEADER = { MAGIC_WORD: 0, VERSION_WORD: 1, ENTRIES_WORD: 2, SALT_WORD: 3, NEXT_WORD: 32 } as const;
const HEADER_WORDS = 64;

const ENTRY = { GENERATION_WORD: 0, MARKS_WORD: 1, COUNTS_WORD: 5 } as const;
const ENTRY_SHIFT = 4;
const ENTRY_WORDS = 1 << ENTRY_SHIFT;
/** The last transactions of which a repetition is known: by the low bits of their nonce count. */
const MARKS_MASK = 3;
const BITS_MASK = 0xffff;

/** Generations that a nonce outlives at the most. */
const MAX_LAG = 2 ** 14;
/** Old words of an entry are cleared once in so many generations. */
const CLEARING_PERIOD = 2 ** 10;

/** A repetition counts as one for one to two of these periods: a client retransmits until
 *  Timer F or B fires, 32 s by default (RFC 3261 17.1.2.2, 17.1.1.2). */
const REPETITION_SHIFT_MS = 2 ** 15;

/** Allocates and labels the table for the counts of `entryCount` nonces, a power of two. */
export function createNonceTable(entryCount = NONCE_ENTRIES): SharedArrayBuffer {
  assert(entryCount >= 1 && entryCount <= MAX_NONCE_ENTRIES, 'entryCount out of range');
  assert((entryCount & (entryCount - 1)) === 0, 'entryCount must be a power of two');
  const buffer = allocateLines((HEADER_WORDS + entryCount * ENTRY_WORDS) * 4);
  const words = wordsOf(buffer);
  words[HEADER.MAGIC_WORD] = TABLE_MAGIC;
  words[HEADER.VERSION_WORD] = TABLE_VERSION;
  words[HEADER.ENTRIES_WORD] = entryCount;
  const salt = randomBytes(8);
  words[HEADER.SALT_WORD] = salt.readInt32LE(0);
  words[HEADER.SALT_WORD + 1] = salt.readInt32LE(4);
  return buffer;
}

export class NonceCounts {
  readonly #words: Words;
  readonly #entryMask: number;
  /** The nonce that `issue` gave out. */
  entry = 0;
  generation = 0;

  /** Opens the table on a thread. */
  constructor(words: Words) {
    assert(words[HEADER.MAGIC_WORD] === TABLE_MAGIC, 'not a table of nonces');
    assert(words[HEADER.VERSION_WORD] === TABLE_VERSION, 'a table of nonces of another version');
    this.#words = words;
    this.#entryMask = words[HEADER.ENTRIES_WORD]! - 1;
  }

  /** 64 random bits that no other table has: a nonce says which table knows of it. */
  get salt(): number {
    return this.#words[HEADER.SALT_WORD]!;
  }

  get moreSalt(): number {
    return this.#words[HEADER.SALT_WORD + 1]!;
  }

  /** Makes another nonce; `entry` and `generation` are it. */
  issue(): void {
    const words = this.#words;
    // Partner: the same in other threads; each gets another entry or generation.
    this.entry = Atomics.add(words, HEADER.NEXT_WORD, 1) & this.#entryMask;
    const first = entryWord(this.entry);
    this.generation = (Atomics.add(words, first + ENTRY.GENERATION_WORD, 1) + 1) | 0;
    if ((this.generation & (CLEARING_PERIOD - 1)) === 0) this.#clear(first);
  }

  /** Uses up `count` of a nonce, 0 … 2^32 − 1; 0 is the one use of a nonce without qop. Only for a request whose response was
   *  right: others must not use up anything. `transaction` is the same number for a retransmission of a request and for it
   *  alone, made so that nobody outside can find two requests with one number. */
  use(number: number, generation: number, count: number, transaction: number, nowMs: number): Use {
    if (count > MAX_NONCE_COUNT) return USE.STALE;
    const words = this.#words;
    const entry = entryWord(number);
    const word = entry + ENTRY.COUNTS_WORD + (count >> 4);
    const bit = 1 << (count & 15);
    const tag = generation << 16;
    const mark = entry + ENTRY.MARKS_WORD + (count & MARKS_MASK);
    if (this.#isOutlived(entry, generation)) return USE.STALE;
    for (;;) {
      const found = Atomics.load(words, word);
      const isFree = (found & BITS_MASK) === 0;
      const ahead = (found - tag) >> 16;
      if (!isFree && ahead > 0) return USE.STALE;
      const isSame = ahead === 0;
      if (isSame && (found & bit) !== 0) return this.#isMarked(mark, generation, count, transaction, nowMs);
      const next = (isSame ? found : tag) | bit;
      // Partner: the same in other threads, and in `#clear`. Who sets the bit has the count.
      if (Atomics.compareExchange(words, word, found, next) === found) break;
    }
    // Looked at again: a word is only cleared of tags that are outlived by then, so the bit was not set and cleared before.
    if (this.#isOutlived(entry, generation)) return USE.STALE;
    // A retransmission comes to the same shard, so it finds this; others find some other mark, which is none of theirs.
    Atomics.store(words, mark, markOf(transaction, generation, count, periodOf(nowMs)));
    return USE.FRESH;
  }

  #isOutlived(entry: number, generation: number): boolean {
    // Partner: the addition in `issue`.
    return (Atomics.load(this.#words, entry + ENTRY.GENERATION_WORD) - generation) >>> 0 > MAX_LAG;
  }

  #isMarked(mark: number, generation: number, count: number, transaction: number, nowMs: number): Use {
    const found = Atomics.load(this.#words, mark);
    const period = periodOf(nowMs);
    if (found === markOf(transaction, generation, count, period)) return USE.REPEATED;
    return found === markOf(transaction, generation, count, period - 1) ? USE.REPEATED : USE.REPLAYED;
  }

  /** Frees the words of an entry that nonces used which are outlived by now. */
  #clear(entry: number): void {
    const words = this.#words;
    for (let word = entry + ENTRY.COUNTS_WORD; word < entry + ENTRY_WORDS; word++) {
      const found = Atomics.load(words, word);
      // In this order: a tag that was in use before the generation was read is none of a later one.
      const generation = Atomics.load(words, entry + ENTRY.GENERATION_WORD);
      if (((generation << 16) - (found & ~BITS_MASK)) >> 16 <= MAX_LAG) continue;
      // Partner: the compare-exchange in `use`. If it fails, a nonce of now has the word.
      Atomics.compareExchange(words, word, found, 0);
    }
  }
}

function entryWord(number: number): number {
  return HEADER_WORDS + (number << ENTRY_SHIFT);
}

function periodOf(nowMs: number): number {
  return Math.floor(nowMs / REPETITION_SHIFT_MS);
}

function markOf(transaction: number, generation: number, count: number, period: number): number {
  let mark = Math.imul(transaction ^ Math.imul(generation, 0x9e3779b1), 0x85ebca6b);
  mark ^= mark >>> 13;
  mark = Math.imul(mark ^ Math.imul(count + (period << 8), 0xcc9e2d51), 0xc2b2ae35);
  return mark ^ (mark >>> 16);
}
