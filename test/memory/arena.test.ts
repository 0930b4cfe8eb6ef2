/** The arena: made, labelled, opened from another thread, refused where it is none. */

import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { FIRST_LINE } from '../../src/base/cache-lines.ts';
import { createArena, openArena } from '../../src/memory/arena.ts';
import { HEADER, LAYOUT_MAGIC, LAYOUT_VERSION, mapArena, slotOffset } from '../../src/memory/layout.ts';

const SHAPE = { shardCount: 2, slotCount: 300, jumboCount: 3 };

describe('createArena', () => {
  it('makes one buffer of the size that the map says, all zeros but for the header', () => {
    const { buffer, bytes, words, doubles, map } = createArena(SHAPE);
    expect(map).toEqual(mapArena(SHAPE));
    expect(buffer.byteLength).toBe(FIRST_LINE + map.totalBytes);
    for (const view of [bytes, words, doubles]) {
      expect(view.buffer).toBe(buffer);
      expect([view.byteOffset, view.byteLength]).toEqual([FIRST_LINE, map.totalBytes]);
    }
    expect(words.subarray(HEADER.PLAN_WORD + 1).every((word) => word === 0)).toBe(true);
  });

  it('writes into the header what the addon checks', () => {
    const { words, map } = createArena(SHAPE);
    expect(words[HEADER.MAGIC_WORD]).toBe(LAYOUT_MAGIC);
    expect(words[HEADER.VERSION_WORD]).toBe(LAYOUT_VERSION);
    expect(words[HEADER.TOTAL_KIB_WORD]! * 1024).toBe(map.totalBytes);
    expect(words[HEADER.SHARD_COUNT_WORD]).toBe(2);
    expect(words[HEADER.SLOT_COUNT_WORD]).toBe(300);
    expect(words[HEADER.JUMBO_COUNT_WORD]).toBe(3);
    expect(words[HEADER.RING_CAPACITY_WORD]).toBe(512);
    expect(words[HEADER.SLOTS_WORD]).toBe(slotOffset(map, 0));
    expect(words[HEADER.JUMBOS_WORD]).toBe(slotOffset(map, 300));
    expect(words[HEADER.SPILL_WORD]).toBe(map.spill);
    expect(words[HEADER.EGRESS_WORD]).toBe(map.egress);
    expect(words[HEADER.SCRATCH_WORD]).toBe(map.scratch);
    expect(words[HEADER.PLAN_WORD]).toBe(map.plan);
  });
});

describe('openArena', () => {
  it('gives the same map and views of the same memory', () => {
    const arena = createArena(SHAPE);
    const opened = openArena(arena.buffer);
    expect(opened.map).toEqual(arena.map);
    opened.bytes[slotOffset(opened.map, 7)] = 77;
    expect(arena.bytes[slotOffset(arena.map, 7)]).toBe(77);
  });

  it('does so in another thread', async () => {
    const arena = createArena(SHAPE);
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       import(workerData.module).then(({ openArena }) => {
         const arena = openArena(workerData.buffer);
         arena.words[arena.map.scratch >> 2] = arena.map.totalBytes;
       });`,
      { eval: true, workerData: { module: import.meta.resolve('../../src/memory/arena.ts'), buffer: arena.buffer } },
    );
    await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    expect(arena.words[arena.map.scratch >> 2]).toBe(arena.map.totalBytes);
  });

  it('refuses memory that is no arena', () => {
    expect(() => openArena(new SharedArrayBuffer(4096))).toThrow(AssertionError);
  });

  it('refuses an arena of another version', () => {
    const { buffer, words } = createArena(SHAPE);
    words[HEADER.VERSION_WORD] = LAYOUT_VERSION + 1;
    expect(() => openArena(buffer)).toThrow('another layout version');
  });

  it('refuses an arena that is shorter than its header says', () => {
    const { buffer, words } = createArena(SHAPE);
    words[HEADER.SHARD_COUNT_WORD] = 3;
    expect(() => openArena(buffer)).toThrow('disagree about the size');
  });
});
