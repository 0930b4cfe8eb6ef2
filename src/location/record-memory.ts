/** Blocks for records: taken, filled, published, retired, and after two epochs free again. Any thread. Hot: once per
 *  REGISTER, allocates nothing.
 *
 *  ```
 *  cut from the rest ─┐
 *                     ├→ in one thread's hand → in the table → limbo of who took it out → free list of that thread ─┐
 *                     └─────────────────────────────── pop, by any thread ←─────────────────────────────────────────┘
 *  ```
 *  Each thread has a free list for each size of block and gives what comes out of its limbo to them. It takes from them
 *  first; when the rest is used up it takes from the lists of others, or a larger block. So nothing is ever out of reach,
 *  and threads rarely meet.
 *
 *  ABA. `pop` loads a head, then the link of that block, then puts the link in place of the head. It would go wrong if the
 *  block were taken and came back to the head in between with another link. But a block comes to a free list only out of
 *  limbo, after every thread has passed a quiescent point since it was last taken out of the table; and no thread passes one
 *  within `pop`. So a block that was taken without having been used goes through limbo too.
 *
 *  A thread that dies leaves at most the one block behind that it had in its hand: its lists are in the table, its limbo is
 *  adopted. What blocks were cut small stays so: records that grew take new blocks, and small ones that are no longer needed
 *  wait for small records. */

import { assert } from '../base/assert.ts';
import { Epochs } from './epochs.ts';
import {
  BLOCK_LINES,
  blockSizeOf,
  LINE_SHIFT,
  NO_RECORD,
  RECORD,
  TABLE,
  type TableMap,
  THREAD,
  threadWord,
} from './table-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

const SIZE_MASK = 0xff;
const OWNER_SHIFT = 8;

export class RecordMemory {
  readonly #words: Words;
  readonly #map: TableMap;
  readonly #thread: number;
  readonly #epochs: Epochs;
  readonly #limboWord: number;
  /** The block retired last, whose link is the end of the limbo. */
  #limboEnd = NO_RECORD;

  constructor(words: Words, map: TableMap, thread: number, epochs: Epochs) {
    this.#words = words;
    this.#map = map;
    this.#thread = thread;
    this.#epochs = epochs;
    this.#limboWord = threadWord(map, thread) + THREAD.LIMBO_WORD;
    // What a predecessor left in limbo.
    for (let line = words[this.#limboWord]!; line !== NO_RECORD; ) {
      this.#limboEnd = line;
      line = Atomics.load(words, (line << LINE_SHIFT) + RECORD.LINK_WORD);
    }
  }

  /** Takes a block of at least so many lines; its contents are whatever they were. NO_RECORD if there is none. */
  take(lines: number): number {
    const words = this.#words;
    const size = blockSizeOf(lines);
    let line = this.#pop(this.#thread, size);
    if (line === NO_RECORD) line = this.#cut(size);
    if (line === NO_RECORD) line = this.#popAnywhere(size);
    if (line === NO_RECORD) return NO_RECORD;
    const block = (line << LINE_SHIFT) + RECORD.BLOCK_WORD;
    words[block] = (words[block]! & SIZE_MASK) | (this.#thread << OWNER_SHIFT);
    return line;
  }

  /** The thread that took this block. */
  ownerOf(line: number): number {
    return this.#words[(line << LINE_SHIFT) + RECORD.BLOCK_WORD]! >> OWNER_SHIFT;
  }

  /** Gives up a block that is in this thread's hand alone, or that this thread took out of the table. */
  retire(line: number): void {
    const words = this.#words;
    const word = line << LINE_SHIFT;
    // Links are plain to nobody: a `pop` that comes too late may still load this one.
    Atomics.store(words, word + RECORD.LINK_WORD, NO_RECORD);
    words[word + RECORD.RETIRED_WORD] = this.#epochs.now();
    if (this.#limboEnd === NO_RECORD) words[this.#limboWord] = line;
    else Atomics.store(words, (this.#limboEnd << LINE_SHIFT) + RECORD.LINK_WORD, line);
    this.#limboEnd = line;
  }

  /** Frees blocks of this thread's limbo whose time has come, `budget` at the most. */
  reclaim(budget: number): void {
    if (this.#limboEnd === NO_RECORD) return;
    const words = this.#words;
    const now = this.#epochs.advance();
    for (let left = budget; left > 0; left--) {
      const line = words[this.#limboWord]!;
      if (line === NO_RECORD || !Epochs.isOver(words[(line << LINE_SHIFT) + RECORD.RETIRED_WORD]!, now)) return;
      const next = Atomics.load(words, (line << LINE_SHIFT) + RECORD.LINK_WORD);
      // Out of limbo first: a thread that dies here loses the block rather than freeing it twice.
      words[this.#limboWord] = next;
      if (next === NO_RECORD) this.#limboEnd = NO_RECORD;
      this.#push(line);
    }
  }

  /** Moves the limbo of a thread that is dead into this one's. */
  adopt(thread: number): void {
    const words = this.#words;
    const limboWord = threadWord(this.#map, thread) + THREAD.LIMBO_WORD;
    for (let line = words[limboWord]!; line !== NO_RECORD; line = words[limboWord]!) {
      words[limboWord] = Atomics.load(words, (line << LINE_SHIFT) + RECORD.LINK_WORD);
      this.retire(line);
    }
  }

  #pop(thread: number, size: number): number {
    const words = this.#words;
    const headWord = threadWord(this.#map, thread) + THREAD.FREE_WORD + size;
    for (;;) {
      // Partner: the compare-exchange in `#push`, which publishes the link and the end of all use before.
      const line = Atomics.load(words, headWord);
      if (line === NO_RECORD) return NO_RECORD;
      const next = Atomics.load(words, (line << LINE_SHIFT) + RECORD.LINK_WORD);
      if (Atomics.compareExchange(words, headWord, line, next) === line) return line;
    }
  }

  #push(line: number): void {
    const words = this.#words;
    const word = line << LINE_SHIFT;
    const size = words[word + RECORD.BLOCK_WORD]! & SIZE_MASK;
    const headWord = threadWord(this.#map, this.#thread) + THREAD.FREE_WORD + size;
    for (;;) {
      const head = Atomics.load(words, headWord);
      Atomics.store(words, word + RECORD.LINK_WORD, head);
      // Publishes the block to `#pop` of any thread.
      if (Atomics.compareExchange(words, headWord, head, line) === head) return;
    }
  }

  #cut(size: number): number {
    const words = this.#words;
    const lines = BLOCK_LINES[size]!;
    for (;;) {
      // Partner: the same compare-exchange in other threads. It hands out numbers; no contents go with them.
      const line = Atomics.load(words, TABLE.UNUSED_WORD);
      if (line + lines > this.#map.endLine) return NO_RECORD;
      if (Atomics.compareExchange(words, TABLE.UNUSED_WORD, line, line + lines) !== line) continue;
      words[(line << LINE_SHIFT) + RECORD.BLOCK_WORD] = size;
      return line;
    }
  }

  #popAnywhere(atLeast: number): number {
    const { threadCount } = this.#map;
    for (let size = atLeast; size < BLOCK_LINES.length; size++) {
      for (let thread = 0; thread < threadCount; thread++) {
        const line = this.#pop(thread, size);
        if (line !== NO_RECORD) return line;
      }
    }
    return NO_RECORD;
  }

  /** What lies in limbos and in free lists; only while no other thread runs. Cold, for tests. */
  census(): { readonly limbo: ReadonlySet<number>; readonly free: ReadonlySet<number> } {
    const limbo = new Set<number>();
    const free = new Set<number>();
    for (let thread = 0; thread < this.#map.threadCount; thread++) {
      const slot = threadWord(this.#map, thread);
      this.#follow(this.#words[slot + THREAD.LIMBO_WORD]!, limbo);
      for (let size = 0; size < BLOCK_LINES.length; size++) {
        this.#follow(Atomics.load(this.#words, slot + THREAD.FREE_WORD + size), free);
      }
    }
    return { limbo, free };
  }

  #follow(from: number, lines: Set<number>): void {
    for (let line = from; line !== NO_RECORD; ) {
      assert(!lines.has(line), 'a block is in two lists, or twice in one');
      lines.add(line);
      line = Atomics.load(this.#words, (line << LINE_SHIFT) + RECORD.LINK_WORD);
    }
  }
}
