/** What the addon's tests stand on: one arena, sockets on loopback that close after each test, and plain words for slots
 *  and egress entries. */

import { afterEach } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_STRIDE_BYTES,
  RECEIVE_BATCH,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  SPILL_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import {
  addSocket,
  attach,
  close,
  openUdp,
  removeSocket,
  type UdpSocket,
  type UdpSocketOptions,
} from '../../src/runtime/udp-socket.ts';

export const arena = createArena({ shardCount: 2, slotCount: 256, jumboCount: 2 });
attach(arena.bytes);

/** The receive plan of all tests: position i goes to slot 100 + i. */
export const FIRST_SLOT = 100;
const plan = arena.map.plan >> 2;
for (let i = 0; i < RECEIVE_BATCH; i++) arena.words[plan + i] = FIRST_SLOT + i;

const DEFAULTS: UdpSocketOptions = {
  host: '127.0.0.1',
  port: 0,
  family: 4,
  dualStack: false,
  receiveBufferBytes: 1 << 20,
  sendBufferBytes: 1 << 20,
  dscp: 0,
  reusePort: false,
};

const opened: { index: number; fd: number }[] = [];
afterEach(() => {
  for (const { index, fd } of opened.splice(0)) {
    removeSocket(index);
    close(fd);
  }
});

/** Opens a socket and adds it under the next free index. */
export function open(options: Partial<UdpSocketOptions> = {}): UdpSocket & { index: number } {
  const all = { ...DEFAULTS, ...options };
  const socket = openUdp(all);
  const index = opened.length;
  opened.push({ index, fd: socket.fd });
  addSocket(index, socket.fd, all.family, all.host === '0.0.0.0' || all.host === '::');
  return { ...socket, index };
}

export interface Received {
  socket: number;
  family: number;
  port: number;
  source: number[];
  local: number[];
  scope: number;
  /** CLOCK_MONOTONIC, low 32 bits. */
  timeUs: number;
  payload: Buffer;
}

/** The datagram at `position` of the last batch, overflow included. */
export function received(position: number): Received {
  const offset = slotOffset(arena.map, FIRST_SLOT + position);
  const word = offset >> 2;
  const length = arena.words[word + SLOT.LENGTH_WORD]!;
  const family = arena.words[word + SLOT.FAMILY_WORD]!;
  const addressBytes = family === 4 ? 4 : 16;
  const text = (from: number, count: number) => Buffer.from(arena.bytes.slice(from, from + count));
  const spill = arena.map.spill + position * SPILL_BYTES;
  return {
    socket: arena.words[word + SLOT.SOCKET_WORD]!,
    family,
    port: arena.words[word + SLOT.PORT_WORD]!,
    source: [...text(offset + SLOT.SOURCE_WORD * 4, addressBytes)],
    local: [...text(offset + SLOT.LOCAL_WORD * 4, addressBytes)],
    scope: arena.words[word + SLOT.SCOPE_WORD]!,
    timeUs: arena.words[word + SLOT.TIME_WORD]!,
    payload: Buffer.concat([
      text(offset + SLOT_HEADER_BYTES, Math.min(length, SLOT_PAYLOAD_BYTES)),
      text(spill, Math.max(0, length - SLOT_PAYLOAD_BYTES)),
    ]),
  };
}

export interface Egress {
  socket: number;
  port: number;
  family?: number;
  address?: number[];
  local?: number[];
  scope?: number;
  /** Bits of EGRESS_FLAG. */
  flags?: number;
  /** Either bytes, which go to the scratch, or [offset, length] of the arena as it is. */
  spans: (Uint8Array | string | [number, number])[];
}

let scratchUsed = 0;

/** Writes egress entry `entry` of shard 0. */
export function putEgress(entry: number, { socket, port, family = 4, spans, ...rest }: Egress): void {
  if (entry === 0) scratchUsed = 0;
  const word = egressWord(entry);
  arena.words.fill(0, word, word + EGRESS_STRIDE_BYTES / 4);
  arena.words[word + EGRESS.SPAN_COUNT_WORD] = spans.length;
  arena.words[word + EGRESS.SOCKET_WORD] = socket;
  arena.words[word + EGRESS.FAMILY_WORD] = family;
  arena.words[word + EGRESS.PORT_WORD] = port;
  arena.words[word + EGRESS.SCOPE_WORD] = rest.scope ?? 0;
  arena.words[word + EGRESS.FLAGS_WORD] = rest.flags ?? 0;
  arena.words[word + EGRESS.RESULT_WORD] = -1;
  arena.bytes.set(rest.address ?? (family === 4 ? [127, 0, 0, 1] : IPV6_LOOPBACK), (word + EGRESS.ADDRESS_WORD) * 4);
  arena.bytes.set(rest.local ?? [], (word + EGRESS.LOCAL_WORD) * 4);
  spans.forEach((span, i) => {
    let [offset, length] = Array.isArray(span) ? span : [0, 0];
    if (!Array.isArray(span)) {
      const bytes = Buffer.from(span as Uint8Array);
      offset = arena.map.scratch + scratchUsed;
      length = bytes.length;
      arena.bytes.set(bytes, offset);
      scratchUsed += length;
    }
    arena.words[word + EGRESS.SPANS_WORD + 2 * i] = offset;
    arena.words[word + EGRESS.SPANS_WORD + 2 * i + 1] = length;
  });
}

export const IPV6_LOOPBACK = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

export function egressWord(entry: number, shard = 0): number {
  return (arena.map.egress + shard * EGRESS_BYTES + entry * EGRESS_STRIDE_BYTES) >> 2;
}

export function resultOf(entry: number): number {
  return arena.words[egressWord(entry) + EGRESS.RESULT_WORD]!;
}
