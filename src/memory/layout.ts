/** Every shared offset, size and flag. One SharedArrayBuffer, the arena, holds all that threads share; this file says
 *  where everything in it lies. `native/src/layout.h` is generated from it (`npm run generate`), a test checks that it is
 *  fresh, and the addon compares magic, version and the header's figures when a thread attaches.
 *
 *  ```
 *  byte 0      HEADER      the figures of this arena, written once by `createArena`
 *              DISPATCHER  control words, the receive plan
 *              SHARD × n   control words; ingress ring (dispatcher → shard); return ring (shard → dispatcher)
 *              COUNTERS    Float64 × COUNTERS_PER_THREAD for each thread, written by that thread only
 *              HISTOGRAMS  Float64 × HISTOGRAM_DOUBLES × HISTOGRAMS_PER_THREAD, likewise
 *              SPILL       where recvmmsg puts what does not fit a slot, one per batch position
 *              SLOTS       header + payload, stride an odd number of cache lines
 *              JUMBOS      the same with room for the largest datagram
 *              EGRESS × n  per shard: messages waiting for sendmmsg, as spans of the arena
 *              SCRATCH × n per shard: text of our own that those spans point at
 *              KEPT × n    per shard: messages that transactions keep, in blocks that begin like a slot
 *              STREAMS     where there are stream sockets: a message ring from their thread to the intake, then one from
 *                          each shard to that thread
 *  ```
 *  Offsets are in bytes from the start of the arena unless the name ends in `_WORD` (an index of Int32 words).
 *  A slot is known by its number: 0 … slotCount − 1 are ordinary, slotCount … slotCount + jumboCount − 1 are jumbos. */

import { assert } from '../base/assert.ts';

export const LAYOUT_MAGIC = 0x53747267; // "Strg"
export const LAYOUT_VERSION = 6;

/** Two cache lines: the adjacent-line prefetcher makes pairs of 64-byte lines travel together. */
export const PADDING_BYTES = 128;
const PAGE_BYTES = 4096;

// ---- Header: what this arena looks like -----------------------------------------------------------------------------

export const HEADER_BYTES = 512;
export const HEADER = {
  MAGIC_WORD: 0,
  VERSION_WORD: 1,
  TOTAL_KIB_WORD: 2,
  SHARD_COUNT_WORD: 3,
  SLOT_COUNT_WORD: 4,
  JUMBO_COUNT_WORD: 5,
  RING_CAPACITY_WORD: 6,
  SLOTS_WORD: 7, // offset of slot 0, in bytes
  JUMBOS_WORD: 8, // offset of the first jumbo, in bytes
  SPILL_WORD: 9, // offset of spill area 0, in bytes
  EGRESS_WORD: 10, // offset of shard 0's egress table, in bytes
  SCRATCH_WORD: 11, // offset of shard 0's scratch, in bytes
  PLAN_WORD: 12, // offset of the receive plan, in bytes
  KEPT_KIB_WORD: 13, // kept messages of each shard
  HAS_STREAMS_WORD: 14, // 1: there are message rings
} as const;

// ---- Slots ----------------------------------------------------------------------------------------------------------

/** ```
 *  word 0 length | 1 socket | 2 family (4, 6) | 3 source port | 4…7 source address | 8…11 local address
 *       12 scope id, of a stream the connection number | 13 receive time, µs of CLOCK_MONOTONIC, low 32 bits | 14 owner
 *       15 size class of a kept block, of a stream what is wrong with the message (FRAME_FAULT), or RETURNED
 *  ```
 *  A slot of length 0 brings no datagram: its source is a destination that ICMP said cannot be reached, or, if its family is
 *  0, it is the fate of one message that was sent over a stream (UNDELIVERED).
 *  The connection number of a stream is not 0, begins at random and does not come again soon: whoever keeps it asks for that
 *  connection, and for no other that has its place later.
 *  Addresses are bytes in network order, IPv4 in the first word. The local address is all zeros unless the socket is
 *  bound to a wildcard. An IPv4 datagram on a dual-stack socket has family 4. The payload follows the header. */
export const SLOT = {
  LENGTH_WORD: 0,
  SOCKET_WORD: 1,
  FAMILY_WORD: 2,
  PORT_WORD: 3,
  SOURCE_WORD: 4,
  LOCAL_WORD: 8,
  SCOPE_WORD: 12,
  /** The same word of what came by a stream socket. */
  CONNECTION_WORD: 12,
  TIME_WORD: 13,
  OWNER_WORD: 14,
  CLASS_WORD: 15,
  /** The same word of what was received: of a stream one of FRAME_FAULT (sip/stream-framing.ts), of a datagram 0; of a request that
   *  is here for the second time one of RETURNED. */
  FAULT_WORD: 15,
} as const;

/** Of a request that a shard has sent over a stream without a transaction, that could not be delivered, and that is back as it was
 *  received; all are above FRAME_FAULT. MOVED: it went by TCP for its length alone, and may go by UDP. FLOW: the connection it had to go by is
 *  gone. UNDELIVERED: any other. */
export const RETURNED = { MOVED: 0x100, FLOW: 0x101, UNDELIVERED: 0x102 } as const;

/** Words of a slot of length 0 and family 0: a message to a stream that could not be delivered. */
export const UNDELIVERED = {
  /** The tag of its egress entry. */
  TAG_WORD: 4,
  /** Its EGRESS.FLAGS_WORD, with the mark of the sender. */
  FLAGS_WORD: 5,
  ERRNO_WORD: 6,
  /** Where it was to go: family, port, four words of the address. */
  PLACE_WORD: 7,
} as const;
export const SLOT_HEADER_BYTES = 64;

/** Payload room of an ordinary slot. 37 cache lines in all: odd, so that slots spread over all cache sets. */
export const SLOT_PAYLOAD_BYTES = 2304;
export const SLOT_STRIDE_BYTES = SLOT_HEADER_BYTES + SLOT_PAYLOAD_BYTES;

/** The largest UDP datagram is 65,507 bytes (IPv4) or 65,527 (IPv6). */
export const MAX_DATAGRAM_BYTES = 65_535;
export const JUMBO_PAYLOAD_BYTES = 65_536;
export const JUMBO_STRIDE_BYTES = SLOT_HEADER_BYTES + JUMBO_PAYLOAD_BYTES;
export const SPILL_BYTES = 65_536;

/** The dispatcher's own mark in SLOT.OWNER_WORD; a shard's is its index. */
export const OWNER_DISPATCHER = -1;

// ---- Receive plan ---------------------------------------------------------------------------------------------------

/** Datagrams per recvmmsg at the most. Word i of the plan names the slot for the i-th datagram of the batch. */
export const RECEIVE_BATCH = 64;

// ---- Dispatcher and shard control -----------------------------------------------------------------------------------

export const DISPATCHER = {
  STOP_WORD: 0, // 1: take no more datagrams and return
  SWEEP_REQUEST_WORD: 1, // shard index + 1 whose slots are to be swept, 0: none
  SWEEP_DONE_WORD: 2, // count of sweeps done, for Atomics.wait
  FREE_SLOTS_WORD: 3, // slots in the dispatcher's hand, for statistics
  FREE_JUMBOS_WORD: 4, // the same of jumbo slots
  COMMANDS_WORD: 5, // count of commands sent to the dispatcher's port
  THREAD_ID_WORD: 6, // the kernel's id of the dispatcher's thread, for statistics
  STREAMS_THREAD_ID_WORD: 7, // that of the streams' thread
  SHEDDING_WORD: 8, // 1: the kernel drops some of the new INVITEs, as every shard has too much to do
  FILTER_EPOCH_WORD: 9, // odd: only the intake knows which drops were the filter's (runtime/overload/filter-drops.ts)
  SOCKET_COUNTS_WORD: 64, // datagrams that came by each socket, × MAX_SOCKETS, low 32 bits
  FILTERED_WORD: 128, // of those that the kernel dropped: the filter's, × MAX_SOCKETS, low 32 bits
  OVERFLOWS_WORD: 192, // the others, × MAX_SOCKETS, while the epoch is odd
} as const;
export const DISPATCHER_BYTES = 1024;

export const SHARD = {
  /** Sequence number (as the ring counts) of the datagram after the one in hand: what a successor starts from. */
  CURSOR_WORD: 0,
  /** The slot in hand + 1, 0: none. Saved as a crash vector by the supervisor. */
  IN_HAND_WORD: 1,
  /** Counts duty cycles: it stands still in a stuck shard although its ring fills. */
  CYCLES_WORD: 2,
  /** How often this shard was started. */
  INCARNATION_WORD: 3,
  /** One of SHARD_STATE. */
  STATE_WORD: 4,
  // For statistics, written by the shard once a cycle at the most:
  /** Most datagrams that waited in the ring at the start of a cycle, since main set this to 0. */
  RING_HIGH_WORD: 5,
  /** Blocks of kept messages in use. */
  KEPT_BLOCKS_WORD: 6,
  /** KiB of the room for kept messages that were ever used. */
  KEPT_KIB_WORD: 7,
  /** Messages that wait for a look-up. */
  PARKED_WORD: 8,
  /** The kernel's id of the shard's thread. */
  THREAD_ID_WORD: 9,
  /** Least urgent lines about calls that the log wants, as pino numbers them, written by main; 0: none. */
  LOG_LEVEL_WORD: 10,
} as const;
export const SHARD_STATE = { DOWN: 0, RUNNING: 1, STOPPED: 2 } as const;
export const SHARD_CONTROL_BYTES = PADDING_BYTES;

/** A single-producer single-consumer ring of Int32. Producer's and consumer's words lie two cache lines apart.
 *  ```
 *  byte 0    tail (producer)                | padding
 *  byte 128  head (consumer), sleep (both)  | padding
 *  byte 256  entries, Int32 × capacity
 *  ``` */
export const RING = {
  TAIL_WORD: 0,
  HEAD_WORD: PADDING_BYTES / 4,
  SLEEP_WORD: PADDING_BYTES / 4 + 1,
  ENTRIES_WORD: (2 * PADDING_BYTES) / 4,
} as const;

// ---- Counters -------------------------------------------------------------------------------------------------------

export const COUNTERS_PER_THREAD = 256;
/** Threads that count beside the shards: the dispatcher, the main thread and that of the streams. */
export const EXTRA_THREADS = 3;

/** A histogram: the sum of all values, then the count of each bucket (observe/histograms.ts). */
export const HISTOGRAM_DOUBLES = 64;
export const HISTOGRAMS_PER_THREAD = 4;

// ---- Egress ---------------------------------------------------------------------------------------------------------

/** Messages a shard can hold for one flush. */
export const EGRESS_ENTRIES = 256;
/** Pieces a message can be made of (iovecs of its sendmmsg). */
export const EGRESS_SPANS = 40;

/** ```
 *  word 0 span count | 1 socket | 2 family | 3 port | 4…7 address | 8…11 local address | 12 scope id, of a
 *       stream the connection number | 13 result: 0 sent, else errno | 14 tag for the caller |
 *       15 EGRESS_FLAG bits, the sender's mark << EGRESS_MARK_SHIFT
 *       16… spans: (offset in bytes, length in bytes) × EGRESS_SPANS
 *  ```
 *  Of a stream socket: by the connection of that number if it lives; else, or if it is 0, by any living one of the same
 *  transport to the address and port; else by a new one that is opened to there. */
export const EGRESS = {
  SPAN_COUNT_WORD: 0,
  SOCKET_WORD: 1,
  FAMILY_WORD: 2,
  PORT_WORD: 3,
  ADDRESS_WORD: 4,
  LOCAL_WORD: 8,
  SCOPE_WORD: 12,
  /** The same word of what leaves by a stream socket. */
  CONNECTION_WORD: 12,
  RESULT_WORD: 13,
  TAG_WORD: 14,
  FLAGS_WORD: 15,
  SPANS_WORD: 16,
} as const;

/** Bits of EGRESS.FLAGS_WORD. ONLY_CONNECTION: by the connection of that number or not at all (RFC 5626 5.3: a flow).
 *  NAMED: the first span is not part of the message, but the domain that the certificate of the server must be for (RFC 5922 7.3).
 *  MOVED: a request that leaves by TCP for its length alone (RFC 3261 18.1.1). WITH_ORIGIN, of a record only: the request as it was
 *  received comes first. ANY_ORDER: it may leave before what was committed before it. */
export const EGRESS_FLAG = { ONLY_CONNECTION: 1, NAMED: 2, MOVED: 4, WITH_ORIGIN: 8, ANY_ORDER: 16 } as const;
/** The mark comes back with the tag of a message that could not be delivered: it tells whether the tag is still the same one's. */
export const EGRESS_MARK_SHIFT = 8;
/** Bit of EGRESS.SOCKET_WORD: sendmmsg passes over the entry, whose message has gone to a stream. */
export const ELSEWHERE = 0x4000_0000;

export const EGRESS_STRIDE_BYTES = (EGRESS.SPANS_WORD + 2 * EGRESS_SPANS) * 4;
export const EGRESS_BYTES = EGRESS_ENTRIES * EGRESS_STRIDE_BYTES;

/** Text of our own for one flush: Via lines, whole local responses. One message needs MAX_DATAGRAM_BYTES at the most. */
export const SCRATCH_BYTES = 1024 * 1024;

// ---- Kept messages --------------------------------------------------------------------------------------------------

/** Blocks in which a shard's transactions keep requests and responses. A block begins with the header of a slot: a kept
 *  request has that of the datagram it came in, a kept response has in the same words where it goes to. Strides are odd
 *  numbers of cache lines, as those of slots. */
export const KEPT_STRIDE_BYTES = {
  SMALL: 9 * 64,
  MEDIUM: 17 * 64,
  LARGE: SLOT_STRIDE_BYTES,
  JUMBO: JUMBO_STRIDE_BYTES,
} as const;

// ---- Streams --------------------------------------------------------------------------------------------------------

/** A single-producer single-consumer ring of messages (memory/message-ring.ts).
 *  ```
 *  byte 0    tail (producer)    | padding
 *  byte 128  head (consumer)    | padding
 *  byte 256  notified (both)    | padding
 *  byte 384  records, each the header of a slot and a payload, rounded up to a cache line
 *  ```
 *  Tail and head count bytes, mod 2³². A record never wraps: one of kind PADDING fills the end of the ring. */
export const MESSAGE_RING = {
  TAIL_WORD: 0,
  HEAD_WORD: PADDING_BYTES / 4,
  NOTIFIED_WORD: (2 * PADDING_BYTES) / 4,
  RECORDS_WORD: (3 * PADDING_BYTES) / 4,
} as const;

/** A record begins with the header of a slot. Its length is that of the payload, or PADDING. To the intake it is the whole
 *  header, with the shard of an UNDELIVERED or RETURNED one for an owner; from a shard it is words 1 … 12 of the egress entry, then
 *  its tag, the length of a domain name before the message, and its flags. Its payload is the origin, if it is WITH_ORIGIN: the slot
 *  of the request as it was received, header and all; then the name; then the message. */
export const RECORD = {
  TAG_WORD: 13,
  /** How long the name is that comes before the message. */
  NAME_BYTES_WORD: 14,
  FLAGS_WORD: 15,
} as const;
export const RECORD_PADDING = -1;

/** Room for the records of one ring, a power of two. */
export const MESSAGE_RING_BYTES = 2 * 1024 * 1024;
const MESSAGE_RING_STRIDE = MESSAGE_RING.RECORDS_WORD * 4 + MESSAGE_RING_BYTES;

// ---- Limits ---------------------------------------------------------------------------------------------------------

export const MAX_SHARDS = 64;
export const MAX_SOCKETS = 64;
/** Behind the sockets: the relay between a server and the one that has taken over from it (runtime/takeover/). */
export const RELAY_SOCKET = MAX_SOCKETS;
export const SOCKET_PLACES = MAX_SOCKETS + 1;

// ---- The map of one arena -------------------------------------------------------------------------------------------

export interface ArenaShape {
  /** 1 … MAX_SHARDS. */
  readonly shardCount: number;
  /** Ordinary slots, at least 2 × RECEIVE_BATCH. */
  readonly slotCount: number;
  /** Slots for datagrams longer than SLOT_PAYLOAD_BYTES, at least 1. */
  readonly jumboCount: number;
  /** Room for the messages that each shard keeps, a multiple of 1024; none without transactions. */
  readonly keptBytes?: number;
  /** There are sockets of streams. */
  readonly hasStreams?: boolean;
}

export interface ArenaMap extends ArenaShape {
  readonly keptBytes: number;
  readonly hasStreams: boolean;
  readonly totalBytes: number;
  /** A power of two that holds every slot number at once, so that a ring is never the reason to lose one. */
  readonly ringCapacity: number;
  readonly ringBytes: number;
  readonly dispatcher: number;
  readonly plan: number;
  readonly shards: number;
  readonly shardBytes: number;
  readonly counters: number;
  readonly histograms: number;
  readonly spill: number;
  readonly slots: number;
  readonly jumbos: number;
  readonly egress: number;
  readonly scratch: number;
  readonly kept: number;
  readonly streams: number;
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Where everything lies in an arena of this shape. Pure: every thread computes the same map. */
export function mapArena(shape: ArenaShape): ArenaMap {
  const { shardCount, slotCount, jumboCount, keptBytes = 0, hasStreams = false } = shape;
  assert(shardCount >= 1 && shardCount <= MAX_SHARDS, 'shardCount out of range');
  assert(slotCount >= 2 * RECEIVE_BATCH, 'slotCount too small');
  assert(jumboCount >= 1, 'jumboCount too small');
  assert(keptBytes >= 0 && keptBytes % 1024 === 0, 'keptBytes out of range');
  let ringCapacity = 1;
  while (ringCapacity < slotCount + jumboCount) ringCapacity *= 2;
  const ringBytes = RING.ENTRIES_WORD * 4 + roundUp(ringCapacity * 4, PADDING_BYTES);
  const shardBytes = SHARD_CONTROL_BYTES + 2 * ringBytes;
  const dispatcher = HEADER_BYTES;
  const plan = dispatcher + DISPATCHER_BYTES;
  const shards = plan + roundUp(RECEIVE_BATCH * 4, PADDING_BYTES);
  const counters = shards + shardCount * shardBytes;
  const threadCount = shardCount + EXTRA_THREADS;
  const histograms = counters + threadCount * COUNTERS_PER_THREAD * 8;
  const spill = roundUp(histograms + threadCount * HISTOGRAMS_PER_THREAD * HISTOGRAM_DOUBLES * 8, PAGE_BYTES);
  const slots = spill + RECEIVE_BATCH * SPILL_BYTES;
  const jumbos = roundUp(slots + slotCount * SLOT_STRIDE_BYTES, PAGE_BYTES);
  const egress = roundUp(jumbos + jumboCount * JUMBO_STRIDE_BYTES, PAGE_BYTES);
  const scratch = roundUp(egress + shardCount * EGRESS_BYTES, PAGE_BYTES);
  const kept = roundUp(scratch + shardCount * SCRATCH_BYTES, PAGE_BYTES);
  const streams = roundUp(kept + shardCount * keptBytes, PAGE_BYTES);
  const totalBytes = roundUp(streams + (hasStreams ? (shardCount + 1) * MESSAGE_RING_STRIDE : 0), PAGE_BYTES);
  assert(totalBytes < 2 ** 31, 'an arena must be smaller than 2 GiB');
  return {
    shardCount,
    slotCount,
    jumboCount,
    keptBytes,
    hasStreams,
    totalBytes,
    ringCapacity,
    ringBytes,
    dispatcher,
    plan,
    shards,
    shardBytes,
    counters,
    histograms,
    spill,
    slots,
    jumbos,
    egress,
    scratch,
    kept,
    streams,
  };
}

/** Offset of a slot's header. */
export function slotOffset(map: ArenaMap, slot: number): number {
  return slot < map.slotCount
    ? map.slots + slot * SLOT_STRIDE_BYTES
    : map.jumbos + (slot - map.slotCount) * JUMBO_STRIDE_BYTES;
}

/** Offset of shard `shard`'s control words; its ingress ring and then its return ring follow. */
export function shardOffset(map: ArenaMap, shard: number): number {
  return map.shards + shard * map.shardBytes;
}

export function ingressRingOffset(map: ArenaMap, shard: number): number {
  return shardOffset(map, shard) + SHARD_CONTROL_BYTES;
}

export function returnRingOffset(map: ArenaMap, shard: number): number {
  return shardOffset(map, shard) + SHARD_CONTROL_BYTES + map.ringBytes;
}

/** The ring from the thread of the streams to the intake. */
export function streamInboundOffset(map: ArenaMap): number {
  return map.streams;
}

/** The ring from a shard to the thread of the streams. */
export function streamOutboundOffset(map: ArenaMap, shard: number): number {
  return map.streams + (shard + 1) * MESSAGE_RING_STRIDE;
}

/** Offset of a thread's counters: the shards' first, then the dispatcher's, the main thread's and that of the streams. */
export function countersOffset(map: ArenaMap, thread: number): number {
  return map.counters + thread * COUNTERS_PER_THREAD * 8;
}

/** Offset of a thread's histograms, the threads in the same order. */
export function histogramsOffset(map: ArenaMap, thread: number): number {
  return map.histograms + thread * HISTOGRAMS_PER_THREAD * HISTOGRAM_DOUBLES * 8;
}
