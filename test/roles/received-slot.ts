/** A slot of a small arena as recvmmsg leaves it, for tests of roles that read a datagram's header. */

import { isIPv6 } from 'node:net';
import { type Arena, createArena } from '../../src/memory/arena.ts';
import { SLOT, SLOT_HEADER_BYTES, slotOffset } from '../../src/memory/layout.ts';
import { addressBytes } from '../flows/virtual-network.ts';

export interface Arrival {
  readonly from?: string;
  readonly port?: number;
  readonly socket?: number;
  /** The address it was sent to, as a wildcard socket reports it. */
  readonly local?: string;
}

export const arena: Arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
/** First word of the slot's header; its payload begins at `payload`. */
export const slotWord = slotOffset(arena.map, 0) >> 2;
export const payload = slotOffset(arena.map, 0) + SLOT_HEADER_BYTES;

/** Puts a datagram into the slot and returns its end. */
export function arrive(
  content: string | Uint8Array,
  { from = '192.0.2.10', port = 5060, socket = 0, local }: Arrival = {},
): number {
  const { bytes, words } = arena;
  const datagram = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  words.fill(0, slotWord, slotWord + SLOT_HEADER_BYTES / 4);
  words[slotWord + SLOT.LENGTH_WORD] = datagram.length;
  words[slotWord + SLOT.SOCKET_WORD] = socket;
  words[slotWord + SLOT.FAMILY_WORD] = isIPv6(from) ? 6 : 4;
  words[slotWord + SLOT.PORT_WORD] = port;
  bytes.set(addressBytes(from), (slotWord + SLOT.SOURCE_WORD) * 4);
  if (local !== undefined) bytes.set(addressBytes(local), (slotWord + SLOT.LOCAL_WORD) * 4);
  bytes.set(datagram, payload);
  return payload + datagram.length;
}
