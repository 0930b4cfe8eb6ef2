/** Histograms in shared memory: which bucket a duration falls into, and that threads keep to their own block. */

import { getHeapStatistics } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import { BUCKET_BOUNDS_US, bucketOf, HISTOGRAM, Histograms, readHistogram } from '../../src/observe/histograms.ts';

const SHAPE = { shardCount: 2, slotCount: 128, jumboCount: 1 };

const CALLS = 200_000;
/** V8's own bookkeeping; the smallest object takes 12 bytes. */
const TOLERATED_BYTES_PER_CALL = 4;

describe('the bucket of a duration', () => {
  it('is the first whose bound is above it', () => {
    const byLooking = (us: number) => {
      const found = BUCKET_BOUNDS_US.findIndex((bound) => us < bound);
      return found === -1 ? BUCKET_BOUNDS_US.length : found;
    };
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (us) => bucketOf(us) === byLooking(us)));
    fc.assert(fc.property(fc.integer({ min: 0, max: 4096 }), (us) => bucketOf(us) === byLooking(us)));
    for (const bound of BUCKET_BOUNDS_US) {
      for (const us of [bound - 1, bound, bound + 1]) expect(bucketOf(us), `${us} µs`).toBe(byLooking(us));
    }
  });

  it('has bounds that rise by half or by a third', () => {
    for (const [i, bound] of BUCKET_BOUNDS_US.entries()) {
      expect(Number.isInteger(bound)).toBe(true);
      if (i > 0) expect([1.5, 4 / 3]).toContain(bound / BUCKET_BOUNDS_US[i - 1]!);
    }
  });
});

describe('histograms', () => {
  it('hold the sum and the count of what was recorded, apart by thread and id', () => {
    const arena = createArena(SHAPE);
    const [first, second] = [new Histograms(arena, 0), new Histograms(arena, 1)];
    for (const us of [0, 15, 16, 2 ** 32 - 1]) first.record(HISTOGRAM.TRANSIT, us);
    second.record(HISTOGRAM.TRANSIT, 100);
    second.record(HISTOGRAM.INVITE, 7);
    const { sumUs, counts } = readHistogram(arena, 0, HISTOGRAM.TRANSIT);
    expect(sumUs).toBe(31 + 2 ** 32 - 1);
    expect([counts[0], counts[1], counts.at(-1)]).toEqual([2, 1, 1]);
    expect(counts.reduce((a, b) => a + b)).toBe(4);
    const both = readHistogram(arena, 1, HISTOGRAM.TRANSIT, readHistogram(arena, 0, HISTOGRAM.TRANSIT));
    expect(both.counts.reduce((a, b) => a + b)).toBe(5);
    expect(readHistogram(arena, 0, HISTOGRAM.INVITE).sumUs).toBe(0);
    expect(readHistogram(arena, 1, HISTOGRAM.INVITE).sumUs).toBe(7);
  });

  it('are recorded without a byte of garbage', () => {
    const histograms = new Histograms(createArena(SHAPE), 0);
    let least = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5; attempt++) {
      const before = getHeapStatistics().total_allocated_bytes;
      for (let i = 0; i < CALLS; i++) histograms.record(HISTOGRAM.TRANSIT, (i * 7919) & 0xfffff);
      least = Math.min(least, (getHeapStatistics().total_allocated_bytes - before) / CALLS);
    }
    expect(least).toBeLessThan(TOLERATED_BYTES_PER_CALL);
  });
});
