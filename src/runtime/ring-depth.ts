/** What a shard concludes from how much waits in its ring: the high-water mark, and whether it has too much to do. Hot: once per
 *  cycle, allocates nothing. */

import type { Arena } from '../memory/arena.ts';
import { DISPATCHER, SHARD, shardOffset } from '../memory/layout.ts';

/** While the kernel drops new INVITEs, so that less waits, a quarter is enough for a 503. */
const SHEDDING_SHIFT = 2;

export class RingDepth {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #highWord: number;
  readonly #sheddingWord: number;
  readonly #rejectAbove: number;
  readonly #setOverloaded: (isOverloaded: boolean) => void;
  #isOverloaded = false;

  /** `rejectAbove`: so much is too much (rejectMarkOf); `setOverloaded` is told when that begins, and when half of it is left. */
  constructor(
    { words, map }: Arena,
    shard: number,
    rejectAbove: number,
    setOverloaded: (isOverloaded: boolean) => void,
  ) {
    this.#words = words;
    this.#highWord = (shardOffset(map, shard) >> 2) + SHARD.RING_HIGH_WORD;
    this.#sheddingWord = (map.dispatcher >> 2) + DISPATCHER.SHEDDING_WORD;
    this.#rejectAbove = rejectAbove;
    this.#setOverloaded = setOverloaded;
  }

  /** So much waits at the beginning of a cycle. */
  look(available: number): void {
    const words = this.#words;
    // Main starts anew by setting it to 0; should that be lost here, it does so again soon.
    if (available > words[this.#highWord]!) words[this.#highWord] = available;
    const rejectAbove = this.#rejectAbove >> (words[this.#sheddingWord] === 1 ? SHEDDING_SHIFT : 0);
    const isOverloaded = available > rejectAbove || (this.#isOverloaded && available >= rejectAbove >> 1);
    if (isOverloaded === this.#isOverloaded) return;
    this.#isOverloaded = isOverloaded;
    this.#setOverloaded(isOverloaded);
  }
}
