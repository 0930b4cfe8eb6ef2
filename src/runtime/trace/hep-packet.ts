/** HEP3 packets for Homer and others: `HEP3`, the total length, and chunks of vendor, type, length and value, all in network order
 *  (HEP/EEP Encapsulation Protocol, revision 36). Cold, pure.
 *
 *  | type | what | bytes |
 *  |---|---|---|
 *  | 1 | IP family: 2 IPv4, 10 IPv6 | 1 |
 *  | 2 | IP protocol: 17 UDP, 6 TCP | 1 |
 *  | 3, 4 | IPv4 source and destination | 4 |
 *  | 5, 6 | IPv6 source and destination | 16 |
 *  | 7, 8 | source and destination port | 2 |
 *  | 9, 10 | seconds since 1970, and µs | 4 |
 *  | 11 | protocol: 1 SIP | 1 |
 *  | 12 | capture agent | 4 |
 *  | 14 | authentication key | n |
 *  | 15 | the message | n |
 *  | 17 | correlation: the Call-ID | n |
 */

import type { CapturedMessage } from './pcap.ts';

const VENDOR_GENERIC = 0;
const CHUNK = {
  FAMILY: 1,
  PROTOCOL: 2,
  IPV4_SOURCE: 3,
  IPV4_DESTINATION: 4,
  IPV6_SOURCE: 5,
  IPV6_DESTINATION: 6,
  SOURCE_PORT: 7,
  DESTINATION_PORT: 8,
  SECONDS: 9,
  MICROSECONDS: 10,
  PROTOCOL_TYPE: 11,
  CAPTURE_ID: 12,
  AUTH_KEY: 14,
  PAYLOAD: 15,
  CORRELATION_ID: 17,
} as const;
const FAMILY_IPV4 = 2;
const FAMILY_IPV6 = 10;
const IP_UDP = 17;
const IP_TCP = 6;
const TYPE_SIP = 1;
const HEADER_BYTES = 6;
const CHUNK_HEADER_BYTES = 6;
/** Chunks before those that may be missing: family, protocol, two addresses, two ports, two of the time, type and agent. */
const FIXED_CHUNKS = 10;
/** Of their values, but for the addresses. */
const FIXED_VALUE_BYTES = 1 + 1 + 2 + 2 + 4 + 4 + 1 + 4;
/** Nobody's Call-ID is as long; those that pretend to be shall leave room for the message. */
const MAX_CALL_ID_BYTES = 1024;
/** What the 16 bits of the length hold; a UDP datagram holds a little less, over IPv4 65,507 bytes. */
export const MAX_HEP_BYTES = 65_507;

export interface HepAgent {
  readonly captureId: number;
  readonly authKey: string | undefined;
}

/** `isStream`: it travelled by TCP, or by what lies on TCP. A message that is too long for a packet loses its end. */
export function hepPacket(
  { timeUs, source, destination, bytes }: CapturedMessage,
  isStream: boolean,
  callId: string | null,
  { captureId, authKey }: HepAgent,
): Buffer {
  const isIpv6 = source.address.length === 16;
  const key = authKey === undefined ? null : Buffer.from(authKey);
  const correlation = callId === null ? null : Buffer.from(callId.slice(0, MAX_CALL_ID_BYTES), 'latin1');
  const used =
    HEADER_BYTES +
    FIXED_CHUNKS * CHUNK_HEADER_BYTES +
    FIXED_VALUE_BYTES +
    2 * source.address.length +
    (key === null ? 0 : CHUNK_HEADER_BYTES + key.length) +
    (correlation === null ? 0 : CHUNK_HEADER_BYTES + correlation.length);
  const payload = bytes.subarray(0, MAX_HEP_BYTES - used - CHUNK_HEADER_BYTES);
  const packet = Buffer.allocUnsafe(used + CHUNK_HEADER_BYTES + payload.length);
  packet.write('HEP3', 'latin1');
  packet.writeUInt16BE(packet.length, 4);
  let at = HEADER_BYTES;
  at = putUint8(packet, at, CHUNK.FAMILY, isIpv6 ? FAMILY_IPV6 : FAMILY_IPV4);
  at = putUint8(packet, at, CHUNK.PROTOCOL, isStream ? IP_TCP : IP_UDP);
  at = putBytes(packet, at, isIpv6 ? CHUNK.IPV6_SOURCE : CHUNK.IPV4_SOURCE, source.address);
  at = putBytes(packet, at, isIpv6 ? CHUNK.IPV6_DESTINATION : CHUNK.IPV4_DESTINATION, destination.address);
  at = putUint16(packet, at, CHUNK.SOURCE_PORT, source.port);
  at = putUint16(packet, at, CHUNK.DESTINATION_PORT, destination.port);
  at = putUint32(packet, at, CHUNK.SECONDS, Math.floor(timeUs / 1e6));
  at = putUint32(packet, at, CHUNK.MICROSECONDS, Math.floor(timeUs % 1e6));
  at = putUint8(packet, at, CHUNK.PROTOCOL_TYPE, TYPE_SIP);
  at = putUint32(packet, at, CHUNK.CAPTURE_ID, captureId);
  if (key !== null) at = putBytes(packet, at, CHUNK.AUTH_KEY, key);
  if (correlation !== null) at = putBytes(packet, at, CHUNK.CORRELATION_ID, correlation);
  putBytes(packet, at, CHUNK.PAYLOAD, payload);
  return packet;
}

/** Writes the head of a chunk; returns where its value goes. */
function putHead(packet: Buffer, at: number, type: number, length: number): number {
  packet.writeUInt16BE(VENDOR_GENERIC, at);
  packet.writeUInt16BE(type, at + 2);
  packet.writeUInt16BE(CHUNK_HEADER_BYTES + length, at + 4);
  return at + CHUNK_HEADER_BYTES;
}

function putUint8(packet: Buffer, at: number, type: number, value: number): number {
  return packet.writeUInt8(value, putHead(packet, at, type, 1));
}

function putUint16(packet: Buffer, at: number, type: number, value: number): number {
  return packet.writeUInt16BE(value, putHead(packet, at, type, 2));
}

function putUint32(packet: Buffer, at: number, type: number, value: number): number {
  return packet.writeUInt32BE(value, putHead(packet, at, type, 4));
}

function putBytes(packet: Buffer, at: number, type: number, value: Uint8Array): number {
  const start = putHead(packet, at, type, value.length);
  packet.set(value, start);
  return start + value.length;
}
