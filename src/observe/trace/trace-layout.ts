/** Where things lie in the memory of the trace: a SharedArrayBuffer of its own beside the arena, made by the main thread.
 *
 *  ```
 *  byte 0    HEADER      the figures of this memory, what is kept, and the live filters: written by the main thread
 *            EXPORT      counts of the export thread
 *            RING × n    per shard: control words, index, records; written by that shard only
 *  ```
 *  Offsets are in bytes unless the name ends in `_WORD` (an index of Int32 words). */

import { assert } from '../../base/assert.ts';
import { MAX_SHARDS } from '../../memory/layout.ts';

const PADDING_BYTES = 128;

export const TRACE = {
  /** Counts changes of what is kept and of the filters; odd while the main thread makes one. */
  GENERATION_WORD: 0,
  SHARD_COUNT_WORD: 1,
  /** Bytes of records of each ring, a power of two. */
  RING_BYTES_WORD: 2,
  /** Bytes of a message that are kept at the most. */
  MESSAGE_BYTES_WORD: 3,
  /** One call in so many is kept; 0: none. */
  SAMPLE_WORD: 4,
  /** One call in so many is for the export; 0: none. */
  EXPORT_SAMPLE_WORD: 5,
  FILTERS_WORD: 32,
} as const;

/** Live filters at once: their bits stand in a byte of each record. */
export const MAX_FILTERS = 8;

/** A live filter: what a message must be for its call to be followed.
 *  ```
 *  word 0 CONDITION bits | 1 hash of the Call-ID | 2 hash of the user | 3 hash of the user's host
 *       4 family of the source | 5…8 source address | 9…12 mask
 *  ``` */
export const FILTER = {
  CONDITIONS_WORD: 0,
  CALL_ID_WORD: 1,
  USER_WORD: 2,
  HOST_WORD: 3,
  FAMILY_WORD: 4,
  ADDRESS_WORD: 5,
  MASK_WORD: 9,
} as const;
/** What a filter asks for. IN_USE alone: every message. */
export const CONDITION = { IN_USE: 1, CALL_ID: 2, USER: 4, HOST: 8, SOURCE: 16 } as const;
export const FILTER_WORDS = 16;

const HEADER_BYTES = (TRACE.FILTERS_WORD + MAX_FILTERS * FILTER_WORDS) * 4;

/** Doubles that the export thread counts in. */
export const EXPORT = { SENT: 0, DROPPED: 1, ERRORS: 2, CONNECTS: 3, IS_CONNECTED: 4 } as const;
const EXPORT_BYTES = PADDING_BYTES;

/** A ring: sequence number of the next record; units (of 8 bytes) that were ever claimed; messages for the export. All wrap. */
export const TRACE_RING = { NEXT_WORD: 0, EXPORTED_WORD: 1, CLAIMED_WORD: PADDING_BYTES / 4 } as const;
const RING_CONTROL_BYTES = 2 * PADDING_BYTES;

/** Records begin at multiples of it, and the positions in the index count in it. */
export const UNIT_BYTES = 8;

/** A record for each of so many bytes: below this length of records the index ends before the bytes do. */
const BYTES_PER_ENTRY = 256;

/** A message as it is kept. From SOCKET to SCOPE the words of a slot header or egress entry, in their order.
 *  ```
 *  word 0 sequence number | 1 flags | 2 length of the message | 3 bytes of it that are kept | 4 hash of the Call-ID
 *       5 errno of a message that was not sent | 6 socket | 7 family | 8 port | 9…12 peer | 13…16 local address | 17 scope
 *       18…19 a double: µs of CLOCK_MONOTONIC | 20 the how-manieth message for the export | 21…23 spare
 *  ```
 *  The bytes follow. */
export const RECORD = {
  SEQUENCE_WORD: 0,
  FLAGS_WORD: 1,
  LENGTH_WORD: 2,
  KEPT_WORD: 3,
  CALL_ID_WORD: 4,
  ERROR_WORD: 5,
  SOCKET_WORD: 6,
  FAMILY_WORD: 7,
  PORT_WORD: 8,
  PEER_WORD: 9,
  LOCAL_WORD: 13,
  SCOPE_WORD: 17,
  TIME_DOUBLE: 9,
  EXPORT_WORD: 20,
} as const;
export const RECORD_HEADER_BYTES = 96;
export const RECORD_HEADER_WORDS = RECORD_HEADER_BYTES / 4;
/** In FLAGS: the low byte has a bit for each live filter that the call matched. */
export const FLAG = { FILTERS: 0xff, IS_SENT: 0x100, IS_FOR_EXPORT: 0x200 } as const;

export interface TraceShape {
  readonly shardCount: number;
  /** A power of two. */
  readonly ringBytes: number;
  readonly messageBytes: number;
}

export interface TraceMap extends TraceShape {
  /** Records that a ring's index knows, a power of two. */
  readonly entries: number;
  readonly exportDouble: number;
  readonly rings: number;
  readonly ringStride: number;
  readonly totalBytes: number;
}

export const MIN_RING_BYTES = 64 * 1024;
/** A ring holds a few of the longest messages. */
const LONGEST_SHARE = 4;

export function mapTrace({ shardCount, ringBytes, messageBytes }: TraceShape): TraceMap {
  assert(shardCount >= 1 && shardCount <= MAX_SHARDS, 'shardCount out of range');
  assert(ringBytes >= MIN_RING_BYTES && (ringBytes & (ringBytes - 1)) === 0, 'ringBytes is not a power of two');
  const entries = ringBytes / BYTES_PER_ENTRY;
  const rings = HEADER_BYTES + EXPORT_BYTES;
  const ringStride = RING_CONTROL_BYTES + entries * 4 + ringBytes;
  return {
    shardCount,
    ringBytes,
    messageBytes: Math.min(messageBytes, ringBytes / LONGEST_SHARE),
    entries,
    exportDouble: HEADER_BYTES / 8,
    rings,
    ringStride,
    totalBytes: rings + shardCount * ringStride,
  };
}

export interface TraceMemory {
  readonly buffer: SharedArrayBuffer;
  readonly map: TraceMap;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly doubles: Float64Array<SharedArrayBuffer>;
}

/** All zeros but for its figures. */
export function createTrace(shape: TraceShape): TraceMemory {
  const map = mapTrace(shape);
  const memory = view(new SharedArrayBuffer(map.totalBytes), map);
  memory.words[TRACE.SHARD_COUNT_WORD] = map.shardCount;
  memory.words[TRACE.RING_BYTES_WORD] = map.ringBytes;
  memory.words[TRACE.MESSAGE_BYTES_WORD] = map.messageBytes;
  return memory;
}

/** What `createTrace` made, on another thread. */
export function openTrace(buffer: SharedArrayBuffer): TraceMemory {
  const words = new Int32Array(buffer);
  const map = mapTrace({
    shardCount: words[TRACE.SHARD_COUNT_WORD]!,
    ringBytes: words[TRACE.RING_BYTES_WORD]!,
    messageBytes: words[TRACE.MESSAGE_BYTES_WORD]!,
  });
  assert(buffer.byteLength === map.totalBytes, 'this is no memory of a trace');
  return view(buffer, map);
}

function view(buffer: SharedArrayBuffer, map: TraceMap): TraceMemory {
  return {
    buffer,
    map,
    words: new Int32Array(buffer),
    bytes: new Uint8Array(buffer),
    doubles: new Float64Array(buffer),
  };
}

/** Control words of a shard's ring. */
export function ringWord(map: TraceMap, shard: number): number {
  return (map.rings + shard * map.ringStride) >> 2;
}

/** The position of record s is in word s modulo `entries` of it. */
export function indexWord(map: TraceMap, shard: number): number {
  return ringWord(map, shard) + RING_CONTROL_BYTES / 4;
}

/** Offset in bytes of a ring's records: a record at position p begins p × UNIT_BYTES, modulo `ringBytes`, behind it. */
export function recordsOffset(map: TraceMap, shard: number): number {
  return map.rings + shard * map.ringStride + RING_CONTROL_BYTES + map.entries * 4;
}

/** The largest size of a ring that is no larger than `kib`. */
export function ringBytesOf(kib: number): number {
  let bytes = MIN_RING_BYTES;
  while (bytes * 2 <= kib * 1024) bytes *= 2;
  return bytes;
}
