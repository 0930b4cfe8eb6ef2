/** Every offset, size and flag of the location table, a SharedArrayBuffer of its own beside the arena.
 *
 *  ```
 *  byte 0      HEADER      the figures of this table, written once; then four shared words, two cache lines apart
 *              THREAD × n  what one thread announces, its limbo, the heads of its free lists
 *              BUCKETS     a cache line each: seven entries (hash, reference), and how far its AoRs reach
 *              RECORDS     blocks of whole cache lines, cut as they are first needed
 *  ```
 *  A record, or a block without one, is known by its line: its offset in the table divided by 64. All offsets here are
 *  indices of Int32 words. The kernel gives the pages as they are first touched; they may be huge ones
 *  (runtime/location-service.ts). */

import { assert } from '../base/assert.ts';

export const TABLE_MAGIC = 0x4c6f6361; // "Loca"
export const TABLE_VERSION = 2;

/** In place of a line. */
export const NO_RECORD = 0;

/** A line is 1 << LINE_SHIFT words: one cache line. */
export const LINE_SHIFT = 4;
const LINE_WORDS = 1 << LINE_SHIFT;
export const LINE_BYTES = LINE_WORDS * 4;
/** Two cache lines, as in memory/layout.ts. */
const PADDING_WORDS = 32;

export const TABLE = {
  MAGIC_WORD: 0,
  VERSION_WORD: 1,
  CAPACITY_WORD: 2,
  THREAD_COUNT_WORD: 3,
  RECORD_BYTES_WORD: 4,
  SPARE_BYTES_WORD: 5,
  SEED_WORD: 6,
  /** The epoch: odd, grows by EPOCH_STEP, wraps. */
  EPOCH_WORD: PADDING_WORDS,
  /** The first line that no block was ever cut from. */
  UNUSED_WORD: 2 * PADDING_WORDS,
  /** AoRs in the table, those about to be put in included. */
  COUNT_WORD: 3 * PADDING_WORDS,
  /** The bucket that the next step of the sweep begins at, modulo their number. */
  SWEEP_WORD: 4 * PADDING_WORDS,
} as const;
export const TABLE_WORDS = 5 * PADDING_WORDS;

/** Odd numbers only, so that 0 is never an epoch. */
export const FIRST_EPOCH = 1;
export const EPOCH_STEP = 2;

/** Sizes of blocks in lines: one by one up to 8, then four to each doubling, so that at most a fifth of one is left over. */
export const BLOCK_LINES: readonly number[] = [
  ...[1, 2, 3, 4],
  ...[1, 2, 4, 8, 16, 32, 64, 128].flatMap((step) => [5 * step, 6 * step, 7 * step, 8 * step]),
];
export const MAX_RECORD_LINES = 1024;
export const MAX_RECORD_WORDS = MAX_RECORD_LINES * LINE_WORDS;

/** ```
 *  word 0 epoch that this thread announced, 0: none | 1 entry it is about to put an AoR into (its word), 0: none
 *       2 oldest block in its limbo | 3 bindings it has added less those it has removed | 32… heads of its free lists, one per size of block
 *  ``` */
export const THREAD = {
  EPOCH_WORD: 0,
  ENTRY_WORD: 1,
  LIMBO_WORD: 2,
  BINDINGS_WORD: 3,
  FREE_WORD: PADDING_WORDS,
} as const;
export const THREAD_WORDS = roundUp(THREAD.FREE_WORD + BLOCK_LINES.length, PADDING_WORDS);

/** ```
 *  word 0 hash | 1 reference | … | 12 hash | 13 reference | 14 reach | 15 spare
 *  ```
 *  The home of an AoR is one bucket; `reach` is how many buckets behind it may hold an AoR of this home. It never falls, so
 *  an entry that became free is as good as one never used: there are no tombstones to step over or to clear away. */
export const BUCKET_ENTRIES = 7;
export const BUCKET_REACH_WORD = BUCKET_ENTRIES * 2;
/** A home that would reach further has no room: never met below the capacity, at which four in seven entries are in use. */
export const MAX_REACH = 64;
const AORS_PER_BUCKET = 4;

/** A reference is `line << 2 | state`; 0 is a free entry, and −1 − thread one that this thread is filling in. */
export const STATE = {
  /** The record of an AoR in the table. */
  MEMBER: 0,
  /** An AoR that is being put in: for readers not there yet. */
  TENTATIVE: 1,
  /** One that must not come in, as the AoR is there already. Whoever put it there takes it away. */
  REFUSED: 2,
} as const;
export const STATE_BITS = 2;
export const STATE_MASK = (1 << STATE_BITS) - 1;
export const FREE_ENTRY = 0;

/** What a block begins with.
 *  ```
 *  word 0 next block of a free list or limbo (by Atomics only) | 1 size, owner << 8 | 2 epoch in which it was retired
 *       3 hash | 4 length of the AoR in bytes, number of bindings << 16 | 5 length of the record in words
 *       6 when its first binding expires, in seconds, rounded down | 7… the AoR, padded with zeros; the bindings
 *  ``` */
export const RECORD = {
  LINK_WORD: 0,
  BLOCK_WORD: 1,
  RETIRED_WORD: 2,
  HASH_WORD: 3,
  COUNTS_WORD: 4,
  LENGTH_WORD: 5,
  EXPIRES_SEC_WORD: 6,
  AOR_WORD: 7,
} as const;

/** ```
 *  word 0 length in words | 1, 2 expiry, ms | 3, 4 last update, ms (low word first) | 5 CSeq | 6 q × 1000
 *       7 connection | 8 reg-id | 9 port, family << 16, transport << 20, socket << 24 | 10 length of contact, of Call-ID << 16
 *       11 of Path, of instance << 16 | 12 of User-Agent, of parameters << 16 | 13 which transaction it is of
 *       14 BINDING_FLAG | 15… IPv4: source, local address; IPv6: four words of each, scope id
 *       … the texts in the order of their lengths, back to back, padded
 *  ``` */
export const BINDING = {
  LENGTH_WORD: 0,
  EXPIRES_WORD: 1,
  UPDATED_WORD: 3,
  CSEQ_WORD: 5,
  Q_WORD: 6,
  CONNECTION_WORD: 7,
  REG_ID_WORD: 8,
  RECEIVED_WORD: 9,
  CONTACT_WORD: 10,
  PATH_WORD: 11,
  USER_AGENT_WORD: 12,
  TRANSACTION_WORD: 13,
  FLAGS_WORD: 14,
  ADDRESSES_WORD: 15,
} as const;

/** What is known of a binding beyond what its REGISTER said, in bits. */
export const BINDING_FLAG = {
  /** It is reached at the address and by the socket that its REGISTER came from, whatever its contact says. */
  AT_SOURCE: 1,
} as const;

/** Longer ones are not taken: a canonical AoR, and any text of a binding. */
export const MAX_AOR_BYTES = 1023;
export const MAX_TEXT_BYTES = 0xffff;

const MAX_THREADS = 128;
/** Room for a record, by default: a softphone behind one proxy takes 4 lines, one with Path and instance 6. */
export const RECORD_BYTES = 352;
/** Room for what one thread retires while another stands still, by default: some thousand records. */
export const SPARE_BYTES = 1024 * 1024;

export interface TableShape {
  /** AoRs that the table holds at the most. */
  readonly capacity: number;
  /** Threads with a LocationTable of their own. */
  readonly threadCount: number;
  /** Room for the record of one AoR on average. */
  readonly recordBytes?: number;
  /** Room beyond that for each thread, as retired records wait for the slowest. */
  readonly spareBytes?: number;
}

export interface TableMap extends TableShape {
  readonly recordBytes: number;
  readonly spareBytes: number;
  readonly bucketCount: number;
  readonly threads: number;
  readonly buckets: number;
  /** Lines from which blocks are cut. */
  readonly firstLine: number;
  readonly endLine: number;
  readonly wordCount: number;
}

/** Where everything lies in a table of this shape. Pure: every thread computes the same map. */
export function mapTable(shape: TableShape): TableMap {
  const { capacity, threadCount, recordBytes = RECORD_BYTES, spareBytes = SPARE_BYTES } = shape;
  assert(capacity >= 1 && Number.isInteger(capacity), 'capacity out of range');
  assert(threadCount >= 1 && threadCount <= MAX_THREADS, 'threadCount out of range');
  assert(recordBytes >= LINE_BYTES && Number.isInteger(recordBytes), 'recordBytes out of range');
  assert(spareBytes >= 0 && Number.isInteger(spareBytes), 'spareBytes out of range');
  const bucketCount = Math.ceil(capacity / AORS_PER_BUCKET);
  const threads = TABLE_WORDS;
  const buckets = threads + threadCount * THREAD_WORDS;
  const firstLine = (buckets >> LINE_SHIFT) + bucketCount;
  const endLine = firstLine + Math.ceil((capacity * recordBytes + threadCount * spareBytes) / LINE_BYTES);
  assert(endLine < 2 ** 27, 'a location table must be smaller than 8 GiB');
  const wordCount = endLine * LINE_WORDS;
  return {
    capacity,
    threadCount,
    recordBytes,
    spareBytes,
    bucketCount,
    threads,
    buckets,
    firstLine,
    endLine,
    wordCount,
  };
}

/** The first word of a thread's slot. */
export function threadWord(map: TableMap, thread: number): number {
  return map.threads + thread * THREAD_WORDS;
}

/** The smallest size of block that holds so many lines: an index of BLOCK_LINES. */
export function blockSizeOf(lines: number): number {
  if (lines <= 8) return lines - 1;
  const step = 29 - Math.clz32(lines - 1);
  return 8 + (step - 1) * 4 + ((lines - 1) >> step) - 4;
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
