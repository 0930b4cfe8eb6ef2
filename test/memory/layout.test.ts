/** The layout: regions apart, aligned, with strides of an odd number of cache lines, for shapes small and large. */

import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import {
  type ArenaShape,
  COUNTERS_PER_THREAD,
  countersOffset,
  DISPATCHER,
  DISPATCHER_BYTES,
  EGRESS,
  EGRESS_BYTES,
  EGRESS_ENTRIES,
  EGRESS_SPANS,
  EGRESS_STRIDE_BYTES,
  EXTRA_THREADS,
  HEADER,
  HEADER_BYTES,
  HISTOGRAM_DOUBLES,
  HISTOGRAMS_PER_THREAD,
  histogramsOffset,
  ingressRingOffset,
  JUMBO_PAYLOAD_BYTES,
  JUMBO_STRIDE_BYTES,
  MAX_DATAGRAM_BYTES,
  MAX_SHARDS,
  MESSAGE_RING,
  MESSAGE_RING_BYTES,
  mapArena,
  PADDING_BYTES,
  RECEIVE_BATCH,
  RING,
  returnRingOffset,
  SCRATCH_BYTES,
  SHARD,
  SHARD_CONTROL_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  SLOT_STRIDE_BYTES,
  SPILL_BYTES,
  shardOffset,
  slotOffset,
  streamInboundOffset,
  streamOutboundOffset,
} from '../../src/memory/layout.ts';

const CACHE_LINE_BYTES = 64;
const PAGE_BYTES = 4096;

const SHAPES: readonly ArenaShape[] = [
  { shardCount: 1, slotCount: 2 * RECEIVE_BATCH, jumboCount: 1 },
  { shardCount: 2, slotCount: 16_384, jumboCount: 64 },
  { shardCount: 3, slotCount: 1000, jumboCount: 7, hasStreams: true },
  { shardCount: 7, slotCount: 8192, jumboCount: 1 },
  { shardCount: MAX_SHARDS, slotCount: 65_536, jumboCount: 255 },
];

interface Region {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Every piece of an arena that one thread or another writes, by the public offsets alone. */
function regionsOf(shape: ArenaShape): Region[] {
  const map = mapArena(shape);
  const region = (name: string, start: number, bytes: number): Region => ({ name, start, end: start + bytes });
  const each = (count: number, make: (index: number) => Region[]) =>
    Array.from({ length: count }, (_, i) => make(i)).flat();
  return [
    region('header', 0, HEADER_BYTES),
    region('dispatcher', map.dispatcher, DISPATCHER_BYTES),
    region('plan', map.plan, RECEIVE_BATCH * 4),
    ...each(shape.shardCount, (shard) => [
      region(`control of shard ${shard}`, shardOffset(map, shard), SHARD_CONTROL_BYTES),
      region(
        `ingress ring of shard ${shard}`,
        ingressRingOffset(map, shard),
        RING.ENTRIES_WORD * 4 + map.ringCapacity * 4,
      ),
      region(
        `return ring of shard ${shard}`,
        returnRingOffset(map, shard),
        RING.ENTRIES_WORD * 4 + map.ringCapacity * 4,
      ),
      region(`egress of shard ${shard}`, map.egress + shard * EGRESS_BYTES, EGRESS_BYTES),
      region(`scratch of shard ${shard}`, map.scratch + shard * SCRATCH_BYTES, SCRATCH_BYTES),
    ]),
    ...each(shape.shardCount + EXTRA_THREADS, (thread) => [
      region(`counters of thread ${thread}`, countersOffset(map, thread), COUNTERS_PER_THREAD * 8),
      region(
        `histograms of thread ${thread}`,
        histogramsOffset(map, thread),
        HISTOGRAMS_PER_THREAD * HISTOGRAM_DOUBLES * 8,
      ),
    ]),
    ...(shape.hasStreams === true
      ? [
          region(
            'ring of what streams bring',
            streamInboundOffset(map),
            MESSAGE_RING.RECORDS_WORD * 4 + MESSAGE_RING_BYTES,
          ),
          ...each(shape.shardCount, (shard) => [
            region(
              `ring of shard ${shard} to the streams`,
              streamOutboundOffset(map, shard),
              MESSAGE_RING.RECORDS_WORD * 4 + MESSAGE_RING_BYTES,
            ),
          ]),
        ]
      : []),
    ...each(RECEIVE_BATCH, (i) => [region(`spill ${i}`, map.spill + i * SPILL_BYTES, SPILL_BYTES)]),
    ...each(shape.slotCount, (i) => [region(`slot ${i}`, slotOffset(map, i), SLOT_STRIDE_BYTES)]),
    ...each(shape.jumboCount, (i) => [region(`jumbo ${i}`, slotOffset(map, shape.slotCount + i), JUMBO_STRIDE_BYTES)]),
  ];
}

describe.each(SHAPES)('an arena of $shardCount shards, $slotCount slots, $jumboCount jumbos', (shape) => {
  const map = mapArena(shape);

  it('has no two regions that overlap, and none beyond its end', () => {
    const regions = regionsOf(shape).sort((a, b) => a.start - b.start);
    const clashes = regions.slice(1).flatMap((next, i) => (next.start < regions[i]!.end ? [[regions[i]!, next]] : []));
    expect(clashes).toEqual([]);
    expect(regions.at(-1)!.end).toBeLessThanOrEqual(map.totalBytes);
  });

  it('starts what different threads write on different pairs of cache lines', () => {
    const offsets = [map.dispatcher, map.plan, map.counters];
    for (let shard = 0; shard < shape.shardCount; shard++) {
      offsets.push(shardOffset(map, shard), ingressRingOffset(map, shard), returnRingOffset(map, shard));
    }
    for (let thread = 0; thread < shape.shardCount + EXTRA_THREADS; thread++) {
      offsets.push(countersOffset(map, thread), histogramsOffset(map, thread));
    }
    expect(offsets.filter((offset) => offset % PADDING_BYTES !== 0)).toEqual([]);
  });

  it('starts its large regions on pages and its slots on cache lines', () => {
    expect([map.spill, map.jumbos, map.egress, map.scratch, map.totalBytes].filter((at) => at % PAGE_BYTES)).toEqual(
      [],
    );
    for (const slot of [0, 1, shape.slotCount - 1, shape.slotCount, shape.slotCount + shape.jumboCount - 1]) {
      expect(slotOffset(map, slot) % CACHE_LINE_BYTES).toBe(0);
    }
  });

  it('has rings that hold every slot number there is, and no more than twice that', () => {
    const slotCount = shape.slotCount + shape.jumboCount;
    expect(Math.log2(map.ringCapacity) % 1).toBe(0);
    expect(map.ringCapacity).toBeGreaterThanOrEqual(slotCount);
    expect(map.ringCapacity).toBeLessThan(2 * slotCount);
  });
});

describe('strides', () => {
  it('are odd numbers of cache lines for slots and jumbos', () => {
    expect(SLOT_STRIDE_BYTES % (2 * CACHE_LINE_BYTES)).toBe(CACHE_LINE_BYTES);
    expect(JUMBO_STRIDE_BYTES % (2 * CACHE_LINE_BYTES)).toBe(CACHE_LINE_BYTES);
  });

  it('are what header and payload take', () => {
    expect(SLOT_STRIDE_BYTES).toBe(SLOT_HEADER_BYTES + SLOT_PAYLOAD_BYTES);
    expect(JUMBO_STRIDE_BYTES).toBe(SLOT_HEADER_BYTES + JUMBO_PAYLOAD_BYTES);
  });

  it('keep egress entries on cache lines', () => {
    expect(EGRESS_STRIDE_BYTES % CACHE_LINE_BYTES).toBe(0);
    expect(EGRESS_BYTES).toBe(EGRESS_ENTRIES * EGRESS_STRIDE_BYTES);
  });

  it('leave room for the largest datagram in a jumbo, in a slot and its spill, and in the scratch', () => {
    expect(JUMBO_PAYLOAD_BYTES).toBeGreaterThanOrEqual(MAX_DATAGRAM_BYTES);
    expect(SLOT_PAYLOAD_BYTES + SPILL_BYTES).toBeGreaterThanOrEqual(MAX_DATAGRAM_BYTES);
    expect(SCRATCH_BYTES).toBeGreaterThanOrEqual(MAX_DATAGRAM_BYTES);
  });
});

describe('words', () => {
  /** Each field with the words it takes: four for an address, one for everything else. */
  function wordsOf(fields: Readonly<Record<string, number>>, addresses: readonly string[] = []): number[] {
    // Of streams, other names of words that datagrams have too: of the IPv6 zone, and of the size class of kept blocks.
    const { CONNECTION_WORD: _, FAULT_WORD: __, ...ownFields } = fields;
    return Object.entries(ownFields).flatMap(([name, word]) =>
      addresses.includes(name) ? [word, word + 1, word + 2, word + 3] : [word],
    );
  }

  it.each([
    { of: 'header', words: wordsOf(HEADER), bytes: HEADER_BYTES },
    { of: 'dispatcher', words: wordsOf(DISPATCHER), bytes: DISPATCHER_BYTES },
    { of: 'shard', words: wordsOf(SHARD), bytes: SHARD_CONTROL_BYTES },
    { of: 'slot', words: wordsOf(SLOT, ['SOURCE_WORD', 'LOCAL_WORD']), bytes: SLOT_HEADER_BYTES },
    { of: 'egress entry', words: wordsOf(EGRESS, ['ADDRESS_WORD', 'LOCAL_WORD']), bytes: EGRESS_STRIDE_BYTES },
  ])('of the $of are all different and within it', ({ words, bytes }) => {
    expect(new Set(words).size).toBe(words.length);
    expect(Math.min(...words)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...words)).toBeLessThan(bytes / 4);
  });

  it('of an egress entry leave room for all spans', () => {
    expect(EGRESS.SPANS_WORD + 2 * EGRESS_SPANS).toBeLessThanOrEqual(EGRESS_STRIDE_BYTES / 4);
  });

  it('of a message ring keep producer, consumer, the notice and records on pairs of cache lines of their own', () => {
    const { TAIL_WORD, HEAD_WORD, NOTIFIED_WORD, RECORDS_WORD } = MESSAGE_RING;
    const pairs = [TAIL_WORD, HEAD_WORD, NOTIFIED_WORD, RECORDS_WORD].map((word) => (word * 4) / PADDING_BYTES);
    expect(pairs).toEqual([0, 1, 2, 3]);
    expect(MESSAGE_RING_BYTES / 2).toBeGreaterThanOrEqual(SLOT_HEADER_BYTES + MAX_DATAGRAM_BYTES);
  });

  it('of a ring keep producer, consumer and entries on pairs of cache lines of their own', () => {
    const pair = (word: number) => Math.floor((word * 4) / PADDING_BYTES);
    expect(pair(RING.HEAD_WORD)).toBeGreaterThan(pair(RING.TAIL_WORD));
    expect(pair(RING.SLEEP_WORD)).toBe(pair(RING.HEAD_WORD));
    expect(pair(RING.ENTRIES_WORD)).toBeGreaterThan(pair(RING.SLEEP_WORD));
  });
});

describe('a shape that cannot be', () => {
  const FITS: ArenaShape = { shardCount: 1, slotCount: 1024, jumboCount: 1 };
  it.each([
    { what: 'no shard', shape: { ...FITS, shardCount: 0 } },
    { what: 'too many shards', shape: { ...FITS, shardCount: MAX_SHARDS + 1 } },
    { what: 'fewer slots than two batches', shape: { ...FITS, slotCount: 2 * RECEIVE_BATCH - 1 } },
    { what: 'no jumbo', shape: { ...FITS, jumboCount: 0 } },
    { what: 'more than 2 GiB', shape: { ...FITS, slotCount: 1_000_000 } },
  ])('is refused: $what', ({ shape }) => {
    expect(() => mapArena(shape)).toThrow(AssertionError);
  });

  it('is not this one', () => {
    expect(mapArena(FITS).slotCount).toBe(1024);
  });
});
