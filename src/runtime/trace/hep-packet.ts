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
  const fixed = [
    chunk(CHUNK.FAMILY, uint8(isIpv6 ? FAMILY_IPV6 : FAMILY_IPV4)),
    chunk(CHUNK.PROTOCOL, uint8(isStream ? IP_TCP : IP_UDP)),
    chunk(isIpv6 ? CHUNK.IPV6_SOURCE : CHUNK.IPV4_SOURCE, source.address),
    chunk(isIpv6 ? CHUNK.IPV6_DESTINATION : CHUNK.IPV4_DESTINATION, destination.address),
    chunk(CHUNK.SOURCE_PORT, uint16(source.port)),
    chunk(CHUNK.DESTINATION_PORT, uint16(destination.port)),
    chunk(CHUNK.SECONDS, uint32(Math.floor(timeUs / 1e6))),
    chunk(CHUNK.MICROSECONDS, uint32(Math.floor(timeUs % 1e6))),
    chunk(CHUNK.PROTOCOL_TYPE, uint8(TYPE_SIP)),
    chunk(CHUNK.CAPTURE_ID, uint32(captureId)),
    ...(authKey === undefined ? [] : [chunk(CHUNK.AUTH_KEY, Buffer.from(authKey))]),
    ...(callId === null ? [] : [chunk(CHUNK.CORRELATION_ID, Buffer.from(callId, 'latin1'))]),
  ];
  const used = fixed.reduce((sum, { length }) => sum + length, HEADER_BYTES + CHUNK_HEADER_BYTES);
  const payload = chunk(CHUNK.PAYLOAD, bytes.subarray(0, Math.max(0, MAX_HEP_BYTES - used)));
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('HEP3', 'latin1');
  const packet = Buffer.concat([header, ...fixed, payload]);
  packet.writeUInt16BE(packet.length, 4);
  return packet;
}

function chunk(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(CHUNK_HEADER_BYTES + value.length);
  bytes.writeUInt16BE(VENDOR_GENERIC, 0);
  bytes.writeUInt16BE(type, 2);
  bytes.writeUInt16BE(bytes.length, 4);
  bytes.set(value, CHUNK_HEADER_BYTES);
  return bytes;
}

function uint8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}
