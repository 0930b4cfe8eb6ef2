/** host and port, as they stand in URIs and in Via (RFC 3261 25.1). Runs on the shard.
 *  Hot: several times per datagram, allocates nothing. */

import { DIGIT, HOST, HOST_DIGIT, HOST_HYPHEN, HOST_LETTER } from '../base/char-class.ts';
import { isIpv6, scanIpv4, scannedIpv4Word } from './ip-address.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** NONE: there is no host. An IPv6 reference includes its brackets. */
export const HOST_KIND = { NONE: 0, NAME: 1, IPV4: 2, IPV6: 3 } as const;

const ZERO = 0x30;
const HYPHEN = 0x2d;
const LEFT_BRACKET = 0x5b;
const RIGHT_BRACKET = 0x5d;
/** The longest IPv6 address, "0000:0000:0000:0000:0000:ffff:255.255.255.255", and one colon more. */
const MAX_IPV6_BYTES = 46;

let scannedKind: number = HOST_KIND.NONE;
let scannedWord = 0;
let scannedPortNumber = -1;

/** HOST_KIND of the host that `scanHost` accepted last. */
export function scannedHostKind(): number {
  return scannedKind;
}

/** The address of the host that `scanHost` accepted last, as a word in network order; 0 unless it is IPv4. */
export function scannedHostWord(): number {
  return scannedWord;
}

/** End of the host that begins at `start`, or −1 if there is none. What may follow a host is the caller's business.
 *
 *  Departs from RFC 3261 25.1: labels may hold `_`, and the last label may begin with a digit as RFC 1123 section 2.1
 *  allows (containers are named so), provided it is not a number, which only an IPv4 address ends with. */
export function scanHost(bytes: Bytes, start: number, end: number): number {
  if (start >= end) return -1;
  const first = bytes[start]!;
  scannedWord = 0;
  if (first === LEFT_BRACKET) {
    scannedKind = HOST_KIND.IPV6;
    return scanIpv6Reference(bytes, start, end);
  }
  if (HOST[first] === HOST_DIGIT) {
    const at = scanIpv4(bytes, start, end);
    if (at !== -1 && (at === end || HOST[bytes[at]!] === 0)) {
      scannedKind = HOST_KIND.IPV4;
      scannedWord = scannedIpv4Word();
      return at;
    }
  }
  scannedKind = HOST_KIND.NAME;
  return scanHostname(bytes, start, end);
}

/** *( domainlabel "." ) toplabel [ "." ] */
function scanHostname(bytes: Bytes, start: number, end: number): number {
  let at = start;
  let label = start;
  for (;;) {
    // A label begins and ends with a letter or digit.
    label = at;
    let kind = 0;
    for (;;) {
      while (at < end && isAlphanumeric((kind = HOST[bytes[at]!]!))) at++;
      if (at === end || kind !== HOST_HYPHEN) break;
      if (at === label) return -1;
      at++;
    }
    if (at === label || bytes[at - 1] === HYPHEN) return -1;
    if (at === end || kind === 0) return isNumber(bytes, label, at) ? -1 : at;
    at++;
    // The dot may be the last.
    if (at === end || HOST[bytes[at]!] === 0) return isNumber(bytes, label, at - 1) ? -1 : at;
  }
}

/** A letter or a digit, by its class. */
function isAlphanumeric(kind: number): boolean {
  return (kind - 1) >>> 0 < HOST_LETTER;
}

function isNumber(bytes: Bytes, start: number, end: number): boolean {
  return scanDigits(bytes, start, end) === end;
}

/** The port in [start, end), 1 … 65535 with any leading zeros, or −1 if it is none. */
export function parsePort(bytes: Bytes, start: number, end: number): number {
  return scanPort(bytes, start, end) === end ? scannedPortNumber : -1;
}

/** End of the port, 1 … 65535 with any leading zeros, that begins at `start`; −1 if there is none. */
export function scanPort(bytes: Bytes, start: number, end: number): number {
  let port = 0;
  let at = start;
  for (; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) break;
    port = port * 10 + digit;
    if (port > 65_535) return -1;
  }
  scannedPortNumber = port;
  return port > 0 ? at : -1;
}

/** The port that `scanPort` accepted last. */
export function scannedPort(): number {
  return scannedPortNumber;
}

/** End of the digits that begin at `start`. */
function scanDigits(bytes: Bytes, start: number, end: number): number {
  let at = start;
  while (at < end && DIGIT[bytes[at]!] === 1) at++;
  return at;
}

function scanIpv6Reference(bytes: Bytes, start: number, end: number): number {
  let at = start + 1;
  const limit = Math.min(end, at + MAX_IPV6_BYTES + 1);
  while (at < limit && bytes[at] !== RIGHT_BRACKET) at++;
  return at < limit && isIpv6(bytes, start + 1, at) ? at + 1 : -1;
}
