/** When memory that a thread may still be reading can be used again. Any thread; `quiesce` once per duty cycle, hot.
 *
 *  There is one epoch, and each thread announces the one it last saw at a moment when it held no record: its quiescent
 *  point. The epoch moves on from e once every thread that is not resting announced e. A block that was taken out of the
 *  table, and then retired in epoch e, is reused in e + 2 steps: the first step may have counted an announcement from before
 *  the block was out, but the second counts only such as came after the first, and so after the block was out.
 *
 *  On weakly ordered CPUs: a reader's plain reads come before its announcement (a store of Atomics), which a later `advance`
 *  loads, whose compare-exchange makes the epoch that the retiring thread loads before it gives the block away. Each of these
 *  synchronizes with the one before, so the reads happen before the next owner's plain writes. */

import { EPOCH_STEP, TABLE, type TableMap, THREAD, threadWord } from './table-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

const RESTING = 0;

export class Epochs {
  readonly #words: Words;
  readonly #map: TableMap;
  readonly #ownWord: number;
  #announced = RESTING;

  constructor(words: Words, map: TableMap, thread: number) {
    this.#words = words;
    this.#map = map;
    this.#ownWord = threadWord(map, thread) + THREAD.EPOCH_WORD;
  }

  /** A quiescent point: this thread holds no record from before. */
  quiesce(): void {
    const now = this.now();
    if (now === this.#announced) return;
    this.#announced = now;
    // Releases what this thread read to `advance` of any thread. One that joins by a stale epoch only holds others up.
    Atomics.store(this.#words, this.#ownWord, now);
  }

  /** The thread holds no record, and will hold none until it calls `quiesce`: nobody waits for it. */
  rest(): void {
    this.#announced = RESTING;
    // As in `quiesce`: partner of `advance`.
    Atomics.store(this.#words, this.#ownWord, RESTING);
  }

  get isResting(): boolean {
    return this.#announced === RESTING;
  }

  now(): number {
    // Partner: the compare-exchange in `advance`.
    return Atomics.load(this.#words, TABLE.EPOCH_WORD);
  }

  /** Moves the epoch on if every thread has seen it. Returns the epoch. */
  advance(): number {
    const words = this.#words;
    const now = this.now();
    for (let thread = 0; thread < this.#map.threadCount; thread++) {
      // Partner: the stores in `quiesce` and `rest`.
      const announced = Atomics.load(words, threadWord(this.#map, thread) + THREAD.EPOCH_WORD);
      if (announced !== now && announced !== RESTING) return now;
    }
    const next = (now + EPOCH_STEP) | 0;
    // Hands on, to whoever loads this epoch, all that was read before it. Where another thread was faster, its epoch will do.
    const found = Atomics.compareExchange(words, TABLE.EPOCH_WORD, now, next);
    return found === now ? next : found;
  }

  /** True if a block retired in epoch `retired` can be reused in epoch `now`. */
  static isOver(retired: number, now: number): boolean {
    return ((now - retired) | 0) >= 2 * EPOCH_STEP;
  }

  /** Instead of a dead thread: it holds nothing any more. */
  endOf(thread: number): void {
    Atomics.store(this.#words, threadWord(this.#map, thread) + THREAD.EPOCH_WORD, RESTING);
  }
}
