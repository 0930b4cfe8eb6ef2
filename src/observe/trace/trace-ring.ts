/** A ring of records that its one writer never waits for: the newest stay, the oldest are overwritten, and any number of
 *  readers find out whether what they read was whole. The writer runs on a shard, hot, and allocates nothing; readers are cold.
 *
 *  Why a reader never takes a torn record for a whole one. The writer announces by CLAIMED what it is about to overwrite
 *  before it writes the first byte of it, and by NEXT that a record is whole after the last. A reader copies a record out and
 *  then looks at CLAIMED: as long as it is no more than the size of the ring beyond the record's position, nothing of the record
 *  was overwritten before the copy was done.
 *
 *  That needs an order that plain loads and stores do not have by themselves:
 *  - Writer: plain stores must not come before the store of CLAIMED. A sequentially consistent store alone lets later plain
 *    stores pass on ARM. So `claim` loads CLAIMED again: the load stays behind the store as both are sequentially consistent,
 *    and the plain stores stay behind the load, which acquires. On x86 the store is a full fence anyway.
 *  - Reader: plain loads must not come after the load of CLAIMED. So the reader adds 0 to it: a read-modify-write releases,
 *    and what it read is what stood there the moment it wrote (H.-J. Boehm, Can seqlocks get along with programming language
 *    memory models?, 2012, section 4).
 *  The index word of a record is overwritten by the record `entries` after it, whose claim comes after NEXT has got there: the
 *  same look at NEXT shows it. test/observe/trace/trace-ring-stress.test.ts tries all of it with threads. */

import {
  indexWord,
  RECORD,
  RECORD_HEADER_BYTES,
  RECORD_HEADER_WORDS,
  recordsOffset,
  ringWord,
  TRACE_RING,
  type TraceMemory,
  UNIT_BYTES,
} from './trace-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;
type Bytes = Uint8Array<SharedArrayBuffer>;

export class TraceRingWriter {
  readonly #words: Words;
  readonly #bytes: Bytes;
  readonly #nextWord: number;
  readonly #claimedWord: number;
  readonly #indexWord: number;
  readonly #records: number;
  readonly #ringBytes: number;
  readonly #unitMask: number;
  readonly #entryMask: number;
  #next: number;
  /** Where the next record may begin. */
  #position: number;
  /** Where the record in hand begins. */
  #begun = 0;
  #end = 0;

  /** Continues where a predecessor died: behind what it had claimed. */
  constructor({ map, words, bytes }: TraceMemory, shard: number) {
    this.#words = words;
    this.#bytes = bytes;
    this.#nextWord = ringWord(map, shard) + TRACE_RING.NEXT_WORD;
    this.#claimedWord = ringWord(map, shard) + TRACE_RING.CLAIMED_WORD;
    this.#indexWord = indexWord(map, shard);
    this.#records = recordsOffset(map, shard);
    this.#ringBytes = map.ringBytes;
    this.#unitMask = map.ringBytes / UNIT_BYTES - 1;
    this.#entryMask = map.entries - 1;
    this.#next = Atomics.load(words, this.#nextWord);
    this.#position = Atomics.load(words, this.#claimedWord);
  }

  /** Begins a record with room for `keptBytes` of a message. Returns where it begins, in bytes from the start of the memory; the
   *  caller fills in all but the sequence number, and publishes it. */
  claim(keptBytes: number): number {
    const words = this.#words;
    const size = (RECORD_HEADER_BYTES + keptBytes + UNIT_BYTES - 1) & -UNIT_BYTES;
    let position = this.#position;
    let at = (position & this.#unitMask) * UNIT_BYTES;
    if (at + size > this.#ringBytes) {
      position = (position + (this.#ringBytes - at) / UNIT_BYTES) | 0;
      at = 0;
    }
    this.#begun = position;
    this.#end = (position + size / UNIT_BYTES) | 0;
    // Partner: TraceRingReader.read's addition of 0, after its copy.
    Atomics.store(words, this.#claimedWord, this.#end);
    Atomics.load(words, this.#claimedWord);
    const start = this.#records + at;
    words[(start >> 2) + RECORD.SEQUENCE_WORD] = this.#next;
    return start;
  }

  /** Shows the record in hand to readers. */
  publish(): void {
    const words = this.#words;
    words[this.#indexWord + (this.#next & this.#entryMask)] = this.#begun;
    this.#position = this.#end;
    this.#next = (this.#next + 1) | 0;
    // Publishes the record and its index word to TraceRingReader.read.
    Atomics.store(words, this.#nextWord, this.#next);
  }

  /** Copies [start, end) of another memory to `to`, a word at a time wherever it lies. `words` reaches a word beyond `end`.
   *  Returns where the copy ends. */
  copy(words: Words, bytes: Bytes, start: number, end: number, to: number): number {
    const target = this.#bytes;
    const targetWords = this.#words;
    let from = start;
    let at = to;
    while ((at & 3) !== 0 && from < end) target[at++] = bytes[from++]!;
    if (from >= end) return at;
    // Each word is put together from two aligned ones, in two shifts so that an alignment of 0 needs no branch.
    const shift = (from & 3) << 3;
    const back = 31 - shift;
    let word = from >> 2;
    let low = words[word]!;
    const lastWord = (at >> 2) + ((end - from) >> 2);
    for (let targetWord = at >> 2; targetWord < lastWord; targetWord++) {
      const high = words[++word]!;
      targetWords[targetWord] = (low >>> shift) | ((high << 1) << back);
      low = high;
    }
    from += (lastWord << 2) - at;
    at = lastWord << 2;
    while (from < end) target[at++] = bytes[from++]!;
    return at;
  }
}

/** A record, copied out. */
export interface TraceRecord {
  readonly shard: number;
  /** As the shard counts them, 32 bits. */
  readonly sequence: number;
  /** RECORD words. */
  readonly header: Int32Array;
  /** µs of CLOCK_MONOTONIC. */
  readonly timeUs: number;
  /** The bytes of the message that are kept. */
  readonly bytes: Uint8Array;
}

export class TraceRingReader {
  readonly #memory: TraceMemory;
  readonly #shard: number;

  constructor(memory: TraceMemory, shard: number) {
    this.#memory = memory;
    this.#shard = shard;
  }

  /** The sequence number that the next record will have. */
  get next(): number {
    return Atomics.load(this.#memory.words, ringWord(this.#memory.map, this.#shard) + TRACE_RING.NEXT_WORD);
  }

  /** Units that were ever claimed: how much was written from one look to the next. */
  get claimed(): number {
    return Atomics.load(this.#memory.words, ringWord(this.#memory.map, this.#shard) + TRACE_RING.CLAIMED_WORD);
  }

  /** The earliest sequence number whose record may still be there; a writer may be about to overwrite it. */
  get first(): number {
    const { map } = this.#memory;
    const next = this.next;
    // Before the first round of the numbers there are no more than were written.
    const count = next >= 0 && next < map.entries ? next : map.entries - 1;
    const { claimed } = this;
    // Positions only grow: bisected is how many of the last records their bytes are still there of.
    let there = 0;
    let gone = count + 1;
    while (gone - there > 1) {
      const middle = (there + gone) >> 1;
      const isThere = ((claimed - this.#positionOf((next - middle) | 0)) | 0) <= map.ringBytes / UNIT_BYTES;
      if (isThere) there = middle;
      else gone = middle;
    }
    return (next - there) | 0;
  }

  /** The record, or null: it is not there any more, or not yet, or `wants` has refused its header, which may be torn then. */
  read(sequence: number, wants: (header: Int32Array) => boolean = () => true): TraceRecord | null {
    const { bytes, doubles } = this.#memory;
    const header = new Int32Array(RECORD_HEADER_WORDS);
    const start = this.readHeader(sequence, header);
    if (start === -1) return null;
    const timeUs = doubles[start / 8 + RECORD.TIME_DOUBLE]!;
    if (!wants(header)) return null;
    const copy = bytes.slice(start + RECORD_HEADER_BYTES, start + RECORD_HEADER_BYTES + header[RECORD.KEPT_WORD]!);
    return this.isWhole(sequence) ? { shard: this.#shard, sequence, header, timeUs, bytes: copy } : null;
  }

  /** Copies the header of a record, and returns where the record begins, in bytes from the start of the memory; −1: it is not there.
   *  What is read of it may be torn unless `isWhole` says otherwise afterwards; its bytes lie in the memory in any case. Allocates
   *  nothing. */
  readHeader(sequence: number, header: Int32Array): number {
    const { map, words } = this.#memory;
    if (!this.#isThere(sequence)) return -1;
    const at = (this.#positionOf(sequence) & (map.ringBytes / UNIT_BYTES - 1)) * UNIT_BYTES;
    if (at + RECORD_HEADER_BYTES > map.ringBytes) return -1;
    const start = recordsOffset(map, this.#shard) + at;
    for (let i = 0; i < RECORD_HEADER_WORDS; i++) header[i] = words[(start >> 2) + i]!;
    const kept = header[RECORD.KEPT_WORD]!;
    const isSound =
      header[RECORD.SEQUENCE_WORD] === sequence && kept >= 0 && at + RECORD_HEADER_BYTES + kept <= map.ringBytes;
    return isSound ? start : -1;
  }

  /** Whether nothing of a record was overwritten so far. */
  isWhole(sequence: number): boolean {
    const { map, words } = this.#memory;
    const position = this.#positionOf(sequence);
    // Partner: TraceRingWriter.claim. An addition and not a load: see above.
    const claimed = Atomics.add(words, ringWord(map, this.#shard) + TRACE_RING.CLAIMED_WORD, 0);
    return ((claimed - position) | 0) <= map.ringBytes / UNIT_BYTES && this.#isThere(sequence);
  }

  #positionOf(sequence: number): number {
    const { map, words } = this.#memory;
    return words[indexWord(map, this.#shard) + (sequence & (map.entries - 1))]!;
  }

  /** By the index: its word of a record is another's as soon as `entries` more have been published. */
  #isThere(sequence: number): boolean {
    const age = (this.next - sequence) | 0;
    return age > 0 && age < this.#memory.map.entries;
  }
}
