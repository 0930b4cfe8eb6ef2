/** Messages that outlive their slot: blocks of a few sizes in the shard's part of the arena, so that they are parsed and sent
 *  from where they lie. Runs on the shard. Hot: a few times per transaction, allocates nothing.
 *
 *  A block begins with the header of a slot (layout.ts). Each size has a free list through the blocks themselves; what was
 *  never used is cut from the rest. A size keeps the blocks it once had, so a region's room is bounded and its use under a
 *  steady load steady, but blocks of one size never become blocks of another. */

import { assert } from '../base/assert.ts';
import type { Arena } from './arena.ts';
import { KEPT_STRIDE_BYTES, SLOT, SLOT_HEADER_BYTES } from './layout.ts';

/** In place of a block. */
export const NO_BLOCK = 0;

const STRIDES: readonly number[] = Object.values(KEPT_STRIDE_BYTES);
/** Payload room of the largest block. */
export const MAX_KEPT_BYTES = STRIDES.at(-1)! - SLOT_HEADER_BYTES;

/** Word of a free or released block that names the next one. */
const NEXT_WORD = SLOT.OWNER_WORD;

export class KeptMessages {
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #end: number;
  readonly #start: number;
  #unused: number;
  readonly #free = new Int32Array(STRIDES.length);
  /** Blocks given back that may still be read by the flush to come. */
  #released = NO_BLOCK;
  /** Blocks in use, those given back and not yet settled included. */
  count = 0;

  constructor(arena: Arena, shard: number) {
    this.#bytes = arena.bytes;
    this.#words = arena.words;
    this.#start = this.#unused = arena.map.kept + shard * arena.map.keptBytes;
    this.#end = this.#start + arena.map.keptBytes;
  }

  /** Bytes of the region that were ever used. */
  get reachedBytes(): number {
    return this.#unused - this.#start;
  }

  /** Whether blocks wait for `settle`. */
  get hasReleased(): boolean {
    return this.#released !== NO_BLOCK;
  }

  /** Takes a block with room for `length` bytes of payload. Returns its offset, NO_BLOCK if there is none. */
  take(length: number): number {
    const words = this.#words;
    const free = this.#free;
    let size = 0;
    while (length > STRIDES[size]! - SLOT_HEADER_BYTES) if (++size === STRIDES.length) return NO_BLOCK;
    for (let at = size; at < STRIDES.length; at++) {
      const block = free[at]!;
      if (block !== NO_BLOCK) {
        free[at] = words[(block >> 2) + NEXT_WORD]!;
        this.count++;
        return block;
      }
      // A larger block will do where there is nothing left to cut.
      if (at === size && this.#unused + STRIDES[size]! <= this.#end) {
        const cut = this.#unused;
        this.#unused += STRIDES[size]!;
        words[(cut >> 2) + SLOT.CLASS_WORD] = size;
        this.count++;
        return cut;
      }
    }
    return NO_BLOCK;
  }

  /** Keeps the datagram of a slot, header and payload. Returns the block, NO_BLOCK if there is no room. */
  keepSlot(slotWord: number): number {
    const words = this.#words;
    const length = words[slotWord + SLOT.LENGTH_WORD]!;
    const block = this.take(length);
    if (block === NO_BLOCK) return NO_BLOCK;
    const size = words[(block >> 2) + SLOT.CLASS_WORD]!;
    const slot = slotWord << 2;
    this.#bytes.copyWithin(block, slot, slot + SLOT_HEADER_BYTES + length);
    words[(block >> 2) + SLOT.CLASS_WORD] = size;
    return block;
  }

  /** Gives a block back. Its bytes stay until `settle`, for messages that wait for their flush. */
  release(block: number): void {
    assert(block !== NO_BLOCK, 'no block to release');
    this.#words[(block >> 2) + NEXT_WORD] = this.#released;
    this.#released = block;
  }

  /** After a flush, with nothing waiting for the next one: what was given back may be used again. */
  settle(): void {
    if (this.#released === NO_BLOCK) return;
    const words = this.#words;
    const free = this.#free;
    for (let block = this.#released; block !== NO_BLOCK; ) {
      const next = words[(block >> 2) + NEXT_WORD]!;
      const size = words[(block >> 2) + SLOT.CLASS_WORD]!;
      words[(block >> 2) + NEXT_WORD] = free[size]!;
      free[size] = block;
      this.count--;
      block = next;
    }
    this.#released = NO_BLOCK;
  }
}
