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
const LENGTH_AT = 4;
const CHUNK_HEADER_BYTES = 6;
/** Nobody's Call-ID is as long; those that pretend to be shall leave room for the message. */
const MAX_CALL_ID_BYTES = 1024;
/** What the 16 bits of the length hold; a UDP datagram holds a little less, over IPv4 65,507 bytes. */
export const MAX_HEP_BYTES = 65_507;

export interface HepAgent {
  readonly captureId: number;
  readonly authKey: string | undefined;
}

/** What a packet is made of. One object serves for all of them. */
export interface HepMessage {
  /** Since 1970. */
  timeUs: number;
  /** It travelled by TCP, or by what lies on TCP. */
  isStream: boolean;
  /** 4 or 16 bytes, and so has the destination. */
  source: Uint8Array;
  sourcePort: number;
  destination: Uint8Array;
  destinationPort: number;
  /** The message in [start, end) of these, and in it the Call-ID; −1: there is none. */
  bytes: Uint8Array;
  start: number;
  end: number;
  callIdStart: number;
  callIdEnd: number;
}

/** What comes before the Call-ID in packets of one family, and where in it the values go that each message has of its own. */
interface Template {
  readonly bytes: Buffer;
  readonly at: { readonly [chunk in keyof typeof CHUNK]?: number };
}

/** Makes the packets of one agent. */
export class HepEncoder {
  readonly #ipv4: Template;
  readonly #ipv6: Template;

  constructor(agent: HepAgent) {
    this.#ipv4 = templateOf(agent, FAMILY_IPV4);
    this.#ipv6 = templateOf(agent, FAMILY_IPV6);
  }

  /** Writes the packet to `at`, where there is room for MAX_HEP_BYTES. Returns where it ends. A message that is too long for a packet
   *  loses its end. Allocates hardly anything. */
  write(message: HepMessage, to: Uint8Array, at: number): number {
    const { timeUs, source, destination, bytes, start, callIdStart } = message;
    const isIpv6 = source.length === 16;
    const { bytes: head, at: places } = isIpv6 ? this.#ipv6 : this.#ipv4;
    const callIdBytes = Math.min(message.callIdEnd - callIdStart, MAX_CALL_ID_BYTES);
    const used = head.length + (callIdStart === -1 ? 0 : CHUNK_HEADER_BYTES + callIdBytes) + CHUNK_HEADER_BYTES;
    const payloadBytes = Math.min(message.end - start, MAX_HEP_BYTES - used);
    to.set(head, at);
    setUint16(to, at + LENGTH_AT, used + payloadBytes);
    to[at + places.PROTOCOL!] = message.isStream ? IP_TCP : IP_UDP;
    copy(source, 0, source.length, to, at + (isIpv6 ? places.IPV6_SOURCE : places.IPV4_SOURCE)!);
    copy(destination, 0, source.length, to, at + (isIpv6 ? places.IPV6_DESTINATION : places.IPV4_DESTINATION)!);
    setUint16(to, at + places.SOURCE_PORT!, message.sourcePort);
    setUint16(to, at + places.DESTINATION_PORT!, message.destinationPort);
    const seconds = Math.floor(timeUs / 1e6);
    setUint32(to, at + places.SECONDS!, seconds);
    setUint32(to, at + places.MICROSECONDS!, Math.floor(timeUs - seconds * 1e6));
    let end = at + head.length;
    if (callIdStart !== -1) {
      end = putHead(to, end, CHUNK.CORRELATION_ID, callIdBytes);
      end = copy(bytes, callIdStart, callIdStart + callIdBytes, to, end);
    }
    end = putHead(to, end, CHUNK.PAYLOAD, payloadBytes);
    to.set(bytes.subarray(start, start + payloadBytes), end);
    return end + payloadBytes;
  }
}

/** A few bytes. Returns where the copy ends. */
function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  for (let i = start; i < end; i++) to[at + i - start] = from[i]!;
  return at + end - start;
}

function templateOf({ captureId, authKey }: HepAgent, family: number): Template {
  const [source, destination] =
    family === FAMILY_IPV6
      ? (['IPV6_SOURCE', 'IPV6_DESTINATION'] as const)
      : (['IPV4_SOURCE', 'IPV4_DESTINATION'] as const);
  const address = Buffer.alloc(family === FAMILY_IPV6 ? 16 : 4);
  const chunks: readonly (readonly [keyof typeof CHUNK, Buffer])[] = [
    ['FAMILY', Buffer.of(family)],
    ['PROTOCOL', Buffer.alloc(1)],
    [source, address],
    [destination, address],
    ['SOURCE_PORT', Buffer.alloc(2)],
    ['DESTINATION_PORT', Buffer.alloc(2)],
    ['SECONDS', Buffer.alloc(4)],
    ['MICROSECONDS', Buffer.alloc(4)],
    ['PROTOCOL_TYPE', Buffer.of(TYPE_SIP)],
    ['CAPTURE_ID', uint32(captureId)],
    ...(authKey === undefined ? [] : [['AUTH_KEY', Buffer.from(authKey)] as const]),
  ];
  const length = chunks.reduce((sum, [, value]) => sum + CHUNK_HEADER_BYTES + value.length, HEADER_BYTES);
  const bytes = Buffer.alloc(length);
  bytes.write('HEP3', 'latin1');
  const places: { -readonly [chunk in keyof typeof CHUNK]?: number } = {};
  let end = HEADER_BYTES;
  for (const [chunk, value] of chunks) {
    const at = putHead(bytes, end, CHUNK[chunk], value.length);
    places[chunk] = at;
    end = at + value.copy(bytes, at);
  }
  return { bytes, at: places };
}

/** Writes the head of a chunk; returns where its value goes. */
function putHead(packet: Uint8Array, at: number, type: number, length: number): number {
  setUint16(packet, at, VENDOR_GENERIC);
  setUint16(packet, at + 2, type);
  setUint16(packet, at + 4, CHUNK_HEADER_BYTES + length);
  return at + CHUNK_HEADER_BYTES;
}

function setUint16(packet: Uint8Array, at: number, value: number): void {
  packet[at] = value >> 8;
  packet[at + 1] = value;
}

function setUint32(packet: Uint8Array, at: number, value: number): void {
  packet[at] = value >>> 24;
  packet[at + 1] = value >> 16;
  packet[at + 2] = value >> 8;
  packet[at + 3] = value;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
