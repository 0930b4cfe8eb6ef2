/** Messages as a capture file that Wireshark and tshark read: classic pcap, microseconds, raw IP (LINKTYPE_RAW). IP and UDP headers
 *  are made up from the addresses, whatever the message travelled by, and their checksums are right. Cold, pure. */

const MAGIC_US = 0xa1b2c3d4;
const LINKTYPE_RAW = 101;
const MAX_PACKET_BYTES = 65_535;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const UDP_HEADER_BYTES = 8;
const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const UDP = 17;
const HOP_LIMIT = 64;

export interface CapturedMessage {
  /** µs since 1970. */
  readonly timeUs: number;
  readonly source: CapturedEnd;
  readonly destination: CapturedEnd;
  /** Length of the message as it was; `bytes` may be fewer. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

export interface CapturedEnd {
  /** 4 or 16 bytes, at both ends the same. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** What a file begins with. */
export function pcapHeader(): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  header.writeUInt32LE(MAGIC_US, 0);
  header.writeUInt16LE(2, 4); // version 2.4
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(MAX_PACKET_BYTES, 16);
  header.writeUInt32LE(LINKTYPE_RAW, 20);
  return header;
}

/** One packet. A message that was cut short is a packet that was. */
export function pcapRecord({ timeUs, source, destination, length, bytes }: CapturedMessage): Buffer {
  const isIpv6 = source.address.length === 16;
  const ipBytes = isIpv6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
  const room = MAX_PACKET_BYTES - ipBytes - UDP_HEADER_BYTES;
  const payload = bytes.subarray(0, room);
  const udpLength = UDP_HEADER_BYTES + Math.min(Math.max(length, payload.length), room);
  const headerBytes = ipBytes + UDP_HEADER_BYTES;
  const record = Buffer.alloc(RECORD_HEADER_BYTES + headerBytes + payload.length);
  record.writeUInt32LE(Math.floor(timeUs / 1e6), 0);
  record.writeUInt32LE(timeUs % 1e6, 4);
  record.writeUInt32LE(headerBytes + payload.length, 8);
  record.writeUInt32LE(ipBytes + udpLength, 12);
  const packet = record.subarray(RECORD_HEADER_BYTES);
  if (isIpv6) writeIpv6(packet, source.address, destination.address, udpLength);
  else writeIpv4(packet, source.address, destination.address, udpLength);
  const udp = packet.subarray(ipBytes);
  udp.writeUInt16BE(source.port, 0);
  udp.writeUInt16BE(destination.port, 2);
  udp.writeUInt16BE(udpLength, 4);
  udp.set(payload, UDP_HEADER_BYTES);
  // Of a packet that was cut nobody can tell; 0 is none (RFC 768).
  const isWhole = udpLength === UDP_HEADER_BYTES + payload.length;
  if (isWhole) udp.writeUInt16BE(udpChecksum(source.address, destination.address, udp), 6);
  return record;
}

function writeIpv4(packet: Buffer, source: Uint8Array, destination: Uint8Array, udpLength: number): void {
  packet[0] = 0x45;
  packet.writeUInt16BE(IPV4_HEADER_BYTES + udpLength, 2);
  packet[8] = HOP_LIMIT;
  packet[9] = UDP;
  packet.set(source, 12);
  packet.set(destination, 16);
  packet.writeUInt16BE(~sumOf(packet.subarray(0, IPV4_HEADER_BYTES)) & 0xffff, 10);
}

function writeIpv6(packet: Buffer, source: Uint8Array, destination: Uint8Array, udpLength: number): void {
  packet[0] = 0x60;
  packet.writeUInt16BE(udpLength, 4);
  packet[6] = UDP;
  packet[7] = HOP_LIMIT;
  packet.set(source, 8);
  packet.set(destination, 24);
}

/** RFC 768, RFC 8200 8.1: over a header of addresses, length and protocol, and the datagram; 0 is written as all ones. */
function udpChecksum(source: Uint8Array, destination: Uint8Array, datagram: Uint8Array): number {
  const sum = sumOf(datagram, sumOf(source) + sumOf(destination) + UDP + datagram.length);
  return (~sum & 0xffff) === 0 ? 0xffff : ~sum & 0xffff;
}

/** One's complement sum of 16-bit words. */
function sumOf(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return sum;
}
