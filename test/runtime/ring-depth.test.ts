import { describe, expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import { DISPATCHER, SHARD, shardOffset } from '../../src/memory/layout.ts';
import { RingDepth } from '../../src/runtime/ring-depth.ts';

const REJECT_ABOVE = 100;

function open() {
  const arena = createArena({ shardCount: 2, slotCount: 256, jumboCount: 1, keptBytes: 64 * 1024 });
  const { words, map } = arena;
  const told: boolean[] = [];
  const depth = new RingDepth(arena, 1, REJECT_ABOVE, (isOverloaded) => told.push(isOverloaded));
  const high = (shardOffset(map, 1) >> 2) + SHARD.RING_HIGH_WORD;
  const shedding = (map.dispatcher >> 2) + DISPATCHER.SHEDDING_WORD;
  return { words, told, depth, high, shedding };
}

describe('what waits in a ring', () => {
  it('is too much above the mark, until less than half of that is left; it is told once each time', () => {
    const { told, depth } = open();
    for (const available of [1, 100, 101, 250, 100, 50]) depth.look(available);
    expect(told).toEqual([true]);
    depth.look(49);
    depth.look(100);
    expect(told).toEqual([true, false]);
    depth.look(101);
    expect(told).toEqual([true, false, true]);
  });

  it('is too much from a quarter on while the kernel drops', () => {
    const { words, told, depth, shedding } = open();
    words[shedding] = 1;
    depth.look(25);
    expect(told).toEqual([]);
    depth.look(26);
    depth.look(12);
    expect(told).toEqual([true]);
    depth.look(11);
    expect(told).toEqual([true, false]);
  });

  it('has a high-water mark, which begins anew where another thread says so', () => {
    const { words, depth, high } = open();
    for (const available of [3, 7, 5]) depth.look(available);
    expect(words[high]).toBe(7);
    words[high] = 0;
    depth.look(4);
    expect(words[high]).toBe(4);
  });
});
