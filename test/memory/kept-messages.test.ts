/** Blocks for messages that outlive their slot: sizes, reuse, exhaustion, and a list of live blocks as the model. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { createArena } from '../../src/memory/arena.ts';
import { KeptMessages, MAX_KEPT_BYTES, NO_BLOCK } from '../../src/memory/kept-messages.ts';
import {
  JUMBO_PAYLOAD_BYTES,
  KEPT_STRIDE_BYTES,
  MAX_DATAGRAM_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';

const STRIDES: readonly number[] = Object.values(KEPT_STRIDE_BYTES);
const ROOMS = STRIDES.map((stride) => stride - SLOT_HEADER_BYTES);
const { SMALL, MEDIUM, LARGE, JUMBO } = KEPT_STRIDE_BYTES;

function newKept(keptKib = 256, shard = 0, shardCount = 1) {
  const arena = createArena({ shardCount, slotCount: 128, jumboCount: 1, keptBytes: keptKib * 1024 });
  const kept = new KeptMessages(arena, shard);
  const start = arena.map.kept + shard * arena.map.keptBytes;
  return { arena, kept, start, end: start + arena.map.keptBytes };
}

/** Blocks for `length` bytes until there are no more. */
function takeAll(kept: KeptMessages, length: number): number[] {
  const blocks: number[] = [];
  for (let block = kept.take(length); block !== NO_BLOCK; block = kept.take(length)) blocks.push(block);
  return blocks;
}

function giveBack(kept: KeptMessages, blocks: readonly number[]): void {
  for (const block of blocks) kept.release(block);
  kept.settle();
}

describe('sizes', () => {
  it.each([
    [0, SMALL],
    [1, SMALL],
    [SMALL - SLOT_HEADER_BYTES, SMALL],
    [SMALL - SLOT_HEADER_BYTES + 1, MEDIUM],
    [900, MEDIUM],
    [MEDIUM - SLOT_HEADER_BYTES, MEDIUM],
    [MEDIUM - SLOT_HEADER_BYTES + 1, LARGE],
    [SLOT_PAYLOAD_BYTES, LARGE],
    [SLOT_PAYLOAD_BYTES + 1, JUMBO],
    [MAX_DATAGRAM_BYTES, JUMBO],
    [MAX_KEPT_BYTES, JUMBO],
  ])('%i bytes take a block of %i', (length, stride) => {
    const { kept } = newKept();
    expect(kept.take(length)).not.toBe(NO_BLOCK);
    expect(kept.reachedBytes).toBe(stride);
  });

  it('end at MAX_KEPT_BYTES', () => {
    const { kept } = newKept();
    expect(kept.take(MAX_KEPT_BYTES + 1)).toBe(NO_BLOCK);
    expect([kept.count, kept.reachedBytes]).toEqual([0, 0]);
  });

  it('grow, and hold whatever a slot holds', () => {
    expect([...STRIDES].sort((a, b) => a - b)).toEqual(STRIDES);
    expect(ROOMS).toContain(SLOT_PAYLOAD_BYTES);
    expect(MAX_KEPT_BYTES).toBeGreaterThanOrEqual(JUMBO_PAYLOAD_BYTES);
  });
});

describe('take', () => {
  it('cuts new blocks one after the other, from the shard’s own part of the arena', () => {
    const { kept, start, end } = newKept(128, 1, 3);
    const blocks = [kept.take(100), kept.take(900), kept.take(2000), kept.take(100)];
    expect(blocks).toEqual([start, start + SMALL, start + SMALL + MEDIUM, start + SMALL + MEDIUM + LARGE]);
    for (const block of takeAll(kept, 10)) expect(block + SMALL).toBeLessThanOrEqual(end);
  });

  it('gives no block where a shard keeps nothing', () => {
    const { kept } = newKept(0);
    expect(kept.take(1)).toBe(NO_BLOCK);
  });

  it('gives as many blocks as there is room for, then none', () => {
    const { kept } = newKept(64);
    expect(takeAll(kept, 500)).toHaveLength(Math.floor((64 * 1024) / SMALL));
    expect(kept.count).toBe(Math.floor((64 * 1024) / SMALL));
  });

  it('cuts smaller blocks from what is too little for larger ones', () => {
    const { kept } = newKept(64);
    expect(kept.take(60_000)).toBe(NO_BLOCK);
    const large = takeAll(kept, 2000);
    expect(large).toHaveLength(Math.floor((64 * 1024) / LARGE));
    expect(takeAll(kept, 900)).toHaveLength(Math.floor(((64 * 1024) % LARGE) / MEDIUM));
  });

  it('prefers a block of its size that was used to one cut anew', () => {
    const { kept } = newKept();
    const block = kept.take(100);
    kept.take(100);
    giveBack(kept, [block]);
    expect(kept.take(400)).toBe(block);
    expect(kept.reachedBytes).toBe(2 * SMALL);
  });

  it('cuts a small block rather than use a larger one', () => {
    const { kept } = newKept();
    const large = kept.take(2000);
    giveBack(kept, [large]);
    expect(kept.take(100)).not.toBe(large);
  });

  it('uses a larger block when small ones are gone, which stays a large one', () => {
    const { kept } = newKept(64);
    const large = kept.take(2000);
    takeAll(kept, 100);
    giveBack(kept, [large]);
    expect(kept.take(100)).toBe(large);
    expect(kept.take(100)).toBe(NO_BLOCK);
    giveBack(kept, [large]);
    expect(kept.take(2000)).toBe(large);
  });

  it('uses the smallest of the larger blocks', () => {
    const { kept } = newKept();
    const [jumbo, large, medium] = [kept.take(60_000), kept.take(2000), kept.take(900)];
    takeAll(kept, 100);
    giveBack(kept, [jumbo, medium, large]);
    expect([1, 2, 3, 4].map(() => kept.take(100))).toEqual([medium, large, jumbo, NO_BLOCK]);
  });

  it('never uses a smaller block', () => {
    const { kept } = newKept(64);
    giveBack(kept, takeAll(kept, 100));
    expect(kept.take(900)).toBe(NO_BLOCK);
  });
});

describe('release and settle', () => {
  it('leave what was released alone until settle, for the flush that may still read it', () => {
    const { arena, kept } = newKept(64);
    const blocks = takeAll(kept, 500);
    const block = blocks[7]!;
    arena.bytes.fill(0xab, block + SLOT_HEADER_BYTES, block + SMALL);
    for (let word = 0; word < SLOT.OWNER_WORD; word++) arena.words[(block >> 2) + word] = 1000 + word;
    kept.release(block);
    expect(kept.take(500)).toBe(NO_BLOCK);
    expect(kept.count).toBe(blocks.length);
    expect(new Set(arena.bytes.subarray(block + SLOT_HEADER_BYTES, block + SMALL))).toEqual(new Set([0xab]));
    // Destination and length as well: an egress entry may be made of them.
    for (let word = 0; word < SLOT.OWNER_WORD; word++) expect(arena.words[(block >> 2) + word]).toBe(1000 + word);
    kept.settle();
    expect(kept.count).toBe(blocks.length - 1);
    expect(kept.take(500)).toBe(block);
  });

  it('settle with nothing released does nothing', () => {
    const { kept } = newKept();
    const block = kept.take(10);
    kept.settle();
    kept.settle();
    expect(kept.count).toBe(1);
    expect(kept.take(10)).not.toBe(block);
  });

  it('release takes no NO_BLOCK', () => {
    expect(() => newKept().kept.release(NO_BLOCK)).toThrow(AssertionError);
  });

  it('reach no further under a steady load', () => {
    const { kept } = newKept();
    const load = () => [100, 900, 100, 2000, 500, 900].map((length) => kept.take(length));
    giveBack(kept, load());
    const reached = kept.reachedBytes;
    for (let n = 0; n < 1000; n++) giveBack(kept, load());
    expect([kept.reachedBytes, kept.count]).toEqual([reached, 0]);
  });
});

describe('keepSlot', () => {
  it.each([1, 512, 900, SLOT_PAYLOAD_BYTES, MAX_DATAGRAM_BYTES])('copies header and payload of %i bytes', (length) => {
    const { arena, kept } = newKept();
    const { bytes, words, map } = arena;
    const offset = slotOffset(map, length > SLOT_PAYLOAD_BYTES ? map.slotCount : 3);
    for (let i = 0; i < SLOT_HEADER_BYTES + length; i++) bytes[offset + i] = (i * 7) & 0xff;
    words[(offset >> 2) + SLOT.LENGTH_WORD] = length;
    const block = kept.keepSlot(offset >> 2);
    const header = (at: number) => words.slice(at >> 2, (at >> 2) + SLOT.OWNER_WORD);
    expect(header(block)).toEqual(header(offset));
    const payload = (at: number) => bytes.subarray(at + SLOT_HEADER_BYTES, at + SLOT_HEADER_BYTES + length);
    expect(Buffer.compare(payload(block), payload(offset))).toBe(0);
    // The slot's own last words have not overwritten what size the block has.
    giveBack(kept, [block]);
    expect(kept.take(length)).toBe(block);
  });

  it('gives no block, and touches nothing, where there is no room', () => {
    const { arena, kept } = newKept(64);
    takeAll(kept, 1);
    const before = arena.bytes.slice(arena.map.kept);
    arena.words[(slotOffset(arena.map, 0) >> 2) + SLOT.LENGTH_WORD] = 300;
    expect(kept.keepSlot(slotOffset(arena.map, 0) >> 2)).toBe(NO_BLOCK);
    expect(Buffer.compare(arena.bytes.subarray(arena.map.kept), before)).toBe(0);
  });
});

describe('any taking and giving back', () => {
  it('lets no two live blocks overlap, loses nothing, and gives none only where there is none', () => {
    const length = fc.oneof(fc.nat(520), fc.nat(1100), fc.nat(2400), fc.nat(MAX_KEPT_BYTES));
    const operation = fc.oneof(
      { weight: 6, arbitrary: fc.record({ take: length }) },
      { weight: 4, arbitrary: fc.record({ release: fc.nat(1000) }) },
      { weight: 1, arbitrary: fc.constant({ settle: true as const }) },
    );
    const keptKib = fc.constantFrom(8, 33, 140);
    fc.assert(
      fc.property(keptKib, fc.array(operation, { maxLength: 150 }), (kib, operations) => {
        const { arena, kept, start, end } = newKept(kib);
        const { bytes } = arena;
        /** Block → size, of those in use, released, and free. */
        const live = new Map<number, number>();
        const released = new Map<number, number>();
        const free = new Map<number, number>();
        const sizes = new Map<number, number>();
        let unused = start;
        let mark = 0;
        const marks = new Map<number, { readonly length: number; readonly mark: number }>();
        const isMarked = (block: number) => {
          const { length, mark } = marks.get(block)!;
          return bytes.subarray(block + SLOT_HEADER_BYTES, block + SLOT_HEADER_BYTES + length).every((b) => b === mark);
        };
        for (const one of operations) {
          if ('take' in one) {
            const size = ROOMS.findIndex((room) => one.take <= room);
            const isCut = ![...free.values()].includes(size) && unused + STRIDES[size]! <= end;
            const isThere = isCut || [...free.values()].some((other) => other >= size);
            const block = kept.take(one.take);
            expect(block !== NO_BLOCK, 'there is a block').toBe(isThere);
            if (block === NO_BLOCK) continue;
            if (isCut) {
              expect(block).toBe(unused);
              unused += STRIDES[size]!;
              sizes.set(block, size);
            } else {
              const larger = [...free.values()].filter((other) => other >= size);
              expect(free.get(block), 'the smallest that will do').toBe(Math.min(...larger));
              free.delete(block);
            }
            live.set(block, sizes.get(block)!);
            mark = (mark + 1) & 0xff;
            marks.set(block, { length: one.take, mark });
            bytes.fill(mark, block + SLOT_HEADER_BYTES, block + SLOT_HEADER_BYTES + one.take);
          } else if ('release' in one) {
            const block = [...live.keys()][one.release % Math.max(1, live.size)];
            if (block === undefined) continue;
            kept.release(block);
            released.set(block, live.get(block)!);
            live.delete(block);
          } else {
            kept.settle();
            for (const [block, size] of released) free.set(block, size);
            released.clear();
          }
          expect(kept.count).toBe(live.size + released.size);
          expect(kept.reachedBytes).toBe(unused - start);
        }
        // What was written into each is still there, so none lies in another.
        for (const block of [...live.keys(), ...released.keys()]) expect(isMarked(block)).toBe(true);
        giveBack(kept, [...live.keys()]);
        expect(kept.count).toBe(0);
        const again = [...sizes].map(([, size]) => kept.take(ROOMS[size]!));
        expect(again.sort()).toEqual([...sizes.keys()].sort());
        expect(kept.reachedBytes).toBe(unused - start);
      }),
      { numRuns: 200 },
    );
  });
});
