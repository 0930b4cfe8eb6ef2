/** Address blocks such as `10.0.0.0/8` and `fd00::/8`. Cold: parsed once, matched over `bytes` by whoever is hot. */

import { isIPv4, isIPv6 } from 'node:net';
import { canonicalHost } from './listen-point.ts';

export interface Cidr {
  readonly family: 4 | 6;
  /** 4 or 16 bytes in network order; the bits beyond the prefix are zero. */
  readonly bytes: Uint8Array;
  readonly prefixBits: number;
}

/** The block (a bare address is a block of one), or a sentence that says what is wrong with `text`. */
export function parseCidr(text: string): Cidr | string {
  const shown = JSON.stringify(text);
  const [, address, prefix] = /^([^/]*)(?:\/(.*))?$/.exec(text) ?? [];
  if (address === undefined || address.includes('%') || (!isIPv4(address) && !isIPv6(address))) {
    return `${shown} is not an address block`;
  }
  const family = isIPv4(address) ? 4 : 6;
  const bytes = family === 4 ? Uint8Array.from(address.split('.'), Number) : ipv6Bytes(address);
  const bits = bytes.length * 8;
  const prefixBits = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (!(prefixBits <= bits)) return `${shown}: the prefix of an IPv${family} block is 0 to ${bits}`;
  if (family === 6 && bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) {
    return `${shown}: IPv4 sources are seen as IPv4; write ${bytes.subarray(12).join('.')} without ::ffff:`;
  }
  const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixBits - i * 8))));
  if (masked.some((byte, i) => byte !== bytes[i])) {
    return `${shown} has bits beyond its prefix; did you mean ${formatAddress(masked)}/${prefixBits} or ${address}?`;
  }
  return { family, bytes, prefixBits };
}

/** As `parseCidr` reads it; a block of one is its address alone. */
export function formatCidr({ bytes, prefixBits }: Cidr): string {
  return prefixBits === bytes.length * 8 ? formatAddress(bytes) : `${formatAddress(bytes)}/${prefixBits}`;
}

/** Whether some address is in both. */
export function overlapCidrs(a: Cidr, b: Cidr): boolean {
  if (a.family !== b.family) return false;
  const prefixBits = Math.min(a.prefixBits, b.prefixBits);
  return a.bytes.every((byte, i) => {
    const mask = (0xff00 >> Math.min(8, Math.max(0, prefixBits - i * 8))) & 255;
    return ((byte ^ b.bytes[i]!) & mask) === 0;
  });
}

function ipv6Bytes(address: string): Uint8Array {
  const [head, tail] = canonicalHost(address).split('::'); // canonical: groups of hex only, no dotted quad
  const before = groups(head);
  const after = groups(tail);
  const words = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255]));
}

function groups(text: string | undefined): number[] {
  return text === undefined || text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return canonicalHost(words.join(':'));
}
