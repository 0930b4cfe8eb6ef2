/** IP addresses as text and as words (RFC 3261 25.1, RFC 4291 2.2, RFC 5952). Runs on the shard.
 *  Hot: once or twice per datagram, allocates nothing.
 *
 *  An address in words is four Int32 whose bytes are in network order, as in a slot's header; IPv4 fills the first and
 *  the others are zero. */

import { HEX, NOT_HEX } from '../base/char-class.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;
const LEFT_BRACKET = 0x5b;
const RIGHT_BRACKET = 0x5d;
const GROUPS = 8;

/** Longest text a formatter writes: an IPv6 reference with an IPv4 tail. */
export const MAX_ADDRESS_BYTES = 47;

/** The 16-bit groups of the IPv6 address read last. */
const groups = new Uint16Array(GROUPS);

let scannedWord = 0;

/** End of the IPv4address that begins at `start`, four decimal numbers of one to three digits up to 255; or −1. */
export function scanIpv4(bytes: Bytes, start: number, end: number): number {
  let at = start;
  let word = 0;
  for (let part = 0; part < 4; part++) {
    if (part > 0) {
      if (at >= end || bytes[at] !== DOT) return -1;
      at++;
    }
    const limit = Math.min(end, at + 3);
    const partStart = at;
    let value = 0;
    for (; at < limit; at++) {
      const digit = bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === partStart || value > 255) return -1;
    word |= value << (part << 3);
  }
  scannedWord = word;
  return at;
}

/** The address that `scanIpv4` accepted last, as a word in network order. */
export function scannedIpv4Word(): number {
  return scannedWord;
}

/** True if [start, end) is an IPv4address. */
export function isIpv4(bytes: Bytes, start: number, end: number): boolean {
  return scanIpv4(bytes, start, end) === end;
}

/** True if [start, end) is an IPv6address, without brackets and without a zone. */
export function isIpv6(bytes: Bytes, start: number, end: number): boolean {
  return readIpv6(bytes, start, end);
}

/** Writes the IPv4 address in [start, end) to words[at … at + 3] and returns 4, or returns 0 and writes nothing. */
function parseIpv4(bytes: Bytes, start: number, end: number, words: Words, at: number): number {
  if (!isIpv4(bytes, start, end)) return 0;
  words[at] = scannedWord;
  words[at + 1] = words[at + 2] = words[at + 3] = 0;
  return 4;
}

/** Writes the IPv6 address in [start, end) to words[at … at + 3] and returns 6, or returns 0 and writes nothing. */
function parseIpv6(bytes: Bytes, start: number, end: number, words: Words, at: number): number {
  if (!readIpv6(bytes, start, end)) return 0;
  for (let word = 0; word < 4; word++) {
    words[at + word] = swapBytes(groups[word * 2]!) | (swapBytes(groups[word * 2 + 1]!) << 16);
  }
  return 6;
}

/** Writes the address in [start, end), IPv4 or IPv6 with or without brackets, to words[at … at + 3]. Returns its family,
 *  4 or 6, or 0 if it is no address; then nothing is written. */
export function parseIpAddress(bytes: Bytes, start: number, end: number, words: Words, at: number): number {
  if (end - start < 2) return 0;
  if (bytes[start] === LEFT_BRACKET) {
    return bytes[end - 1] === RIGHT_BRACKET ? parseIpv6(bytes, start + 1, end - 1, words, at) : 0;
  }
  const family = parseIpv4(bytes, start, end, words, at);
  return family !== 0 ? family : parseIpv6(bytes, start, end, words, at);
}

/** Writes the address of words[at] in dotted decimals to `bytes` from `to` on; returns the end. */
function formatIpv4(words: Words, at: number, bytes: Bytes, to: number): number {
  const word = words[at]!;
  let end = formatDecimal(word & 255, bytes, to);
  bytes[end++] = DOT;
  end = formatDecimal((word >>> 8) & 255, bytes, end);
  bytes[end++] = DOT;
  end = formatDecimal((word >>> 16) & 255, bytes, end);
  bytes[end++] = DOT;
  return formatDecimal(word >>> 24, bytes, end);
}

/** Writes the address of words[at … at + 3] as RFC 5952 has it to `bytes` from `to` on; returns the end. An IPv4-mapped
 *  address has its tail in decimals (RFC 5952 section 5). No brackets. */
function formatIpv6(words: Words, at: number, bytes: Bytes, to: number): number {
  for (let word = 0; word < 4; word++) {
    groups[word * 2] = swapBytes(words[at + word]! & 0xffff);
    groups[word * 2 + 1] = swapBytes(words[at + word]! >>> 16);
  }
  const isMapped = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff << 16;
  const count = isMapped ? 6 : GROUPS;
  // The first of the longest runs of two or more zero groups becomes "::" (RFC 5952 section 4.2).
  let gap = -1;
  let gapLength = 1;
  for (let i = 0; i < count; ) {
    let next = i;
    while (next < count && groups[next] === 0) next++;
    if (next - i > gapLength) {
      gap = i;
      gapLength = next - i;
    }
    i = next === i ? i + 1 : next;
  }
  let end = to;
  for (let i = 0; i < count; ) {
    if (i === gap) {
      bytes[end++] = COLON;
      bytes[end++] = COLON;
      i += gapLength;
    } else {
      if (i > 0 && i !== gap + gapLength) bytes[end++] = COLON;
      end = formatHex(groups[i]!, bytes, end);
      i++;
    }
  }
  if (!isMapped) return end;
  bytes[end++] = COLON;
  return formatIpv4(words, at + 3, bytes, end);
}

/** Writes the address of a family, 4 or 6, as it stands in `received`: without brackets. Returns the end. */
export function formatIpAddress(words: Words, at: number, family: number, bytes: Bytes, to: number): number {
  return family === 4 ? formatIpv4(words, at, bytes, to) : formatIpv6(words, at, bytes, to);
}

/** Writes the address of a family, 4 or 6, as a host: IPv6 in brackets. Returns the end. */
export function formatIpHost(words: Words, at: number, family: number, bytes: Bytes, to: number): number {
  if (family === 4) return formatIpv4(words, at, bytes, to);
  bytes[to] = LEFT_BRACKET;
  const end = formatIpv6(words, at, bytes, to + 1);
  bytes[end] = RIGHT_BRACKET;
  return end + 1;
}

/** hexpart [ ":" IPv4address ] into `groups`. Departs from RFC 4291: ":::" before an IPv4 tail reads as "::", which the
 *  grammar of RFC 3261 asked for by mistake and RFC 5118 section 4.10 wants tolerated. */
function readIpv6(bytes: Bytes, start: number, end: number): boolean {
  let at = start;
  let count = 0;
  let gap = -1;
  if (at + 1 < end && bytes[at] === COLON && bytes[at + 1] === COLON) {
    gap = 0;
    at = skipThirdColon(bytes, at + 2, end);
    if (at === end) {
      groups.fill(0);
      return true;
    }
  }
  while (at < end) {
    const groupStart = at;
    let value = 0;
    while (at < end && at - groupStart < 5 && HEX[bytes[at]!] !== NOT_HEX) value = (value << 4) | HEX[bytes[at++]!]!;
    if (at > groupStart && at < end && bytes[at] === DOT) {
      if (count > GROUPS - 2 || !isIpv4(bytes, groupStart, end)) return false;
      const tail = scannedWord;
      groups[count++] = swapBytes(tail & 0xffff);
      groups[count++] = swapBytes(tail >>> 16);
      at = end;
      break;
    }
    if (at === groupStart || at - groupStart > 4 || count === GROUPS) return false;
    groups[count++] = value;
    if (at === end) break;
    if (bytes[at] !== COLON) return false;
    at++;
    if (at === end) return false;
    if (bytes[at] === COLON) {
      if (gap !== -1) return false;
      gap = count;
      at = skipThirdColon(bytes, at + 1, end);
    }
  }
  if (gap === -1) return count === GROUPS;
  if (count === GROUPS) return false;
  const shift = GROUPS - count;
  for (let i = count - 1; i >= gap; i--) groups[i + shift] = groups[i]!;
  for (let i = gap; i < gap + shift; i++) groups[i] = 0;
  return true;
}

function skipThirdColon(bytes: Bytes, at: number, end: number): number {
  return at < end && bytes[at] === COLON && isIpv4(bytes, at + 1, end) ? at + 1 : at;
}

function swapBytes(group: number): number {
  return ((group & 0xff) << 8) | (group >>> 8);
}

function formatDecimal(value: number, bytes: Bytes, to: number): number {
  let end = to;
  if (value >= 100) bytes[end++] = ZERO + ((value / 100) | 0);
  if (value >= 10) bytes[end++] = ZERO + (((value / 10) | 0) % 10);
  bytes[end++] = ZERO + (value % 10);
  return end;
}

function formatHex(value: number, bytes: Bytes, to: number): number {
  let end = to;
  for (let shift = value > 0xfff ? 12 : value > 0xff ? 8 : value > 0xf ? 4 : 0; shift >= 0; shift -= 4) {
    const digit = (value >>> shift) & 15;
    bytes[end++] = digit < 10 ? ZERO + digit : 0x57 + digit;
  }
  return end;
}
