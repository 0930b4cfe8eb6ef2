/** When two URIs are the same (RFC 3261 19.1.4; hosts: RFC 5954 section 4.2; tel: RFC 3966 section 4). Runs on the shard.
 *  Allocates nothing. Not transitive: a URI without a parameter equals two that give it different values. */

import { ascii } from '../base/ascii.ts';
import { HEX, LOWER, PHONE_DIGIT } from '../base/char-class.ts';
import { HOST_KIND } from './host.ts';
import { parseIpAddress } from './ip-address.ts';
import { isWord } from './lexis.ts';
import { parseUri, SCHEME, URI_ERROR, UriView } from './uri.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** Parameters or headers of one URI that are compared by name. With more of them, which no one sends in earnest, only
 *  URIs of the same bytes are equal: comparing each with each must not take long. */
const MAX_PARTS = 32;
/** start, end of the name, start, end of the value (−1 without one). */
const WORDS_PER_PART = 4;

const PERCENT = 0x25;
const AMPERSAND = 0x26;
const PLUS = 0x2b;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUAL = 0x3d;

/** reserved of RFC 2396: such a character and its escape are two things. */
const RESERVED = new Uint8Array(256);
for (const character of ';/?:@&=+$,') RESERVED[character.charCodeAt(0)] = 1;
/** Told apart from the plain character by this. */
const ESCAPED_RESERVED = 0x100;

/** Parameters that one URI may not have without the other. */
const NEVER_IGNORED = ['user', 'ttl', 'method', 'maddr', 'transport'].map(ascii);
const PHONE_CONTEXT = ascii('phone-context');
const EXTENSION = ascii('ext');

const viewA = new UriView();
const viewB = new UriView();
const partsA = new Int32Array(MAX_PARTS * WORDS_PER_PART);
const partsB = new Int32Array(MAX_PARTS * WORDS_PER_PART);
const addresses = new Int32Array(new SharedArrayBuffer(32));

/** True if the URIs in [aStart, aEnd) and [bStart, bEnd) are equivalent. A URI that cannot be read equals only the same
 *  bytes; URIs of an unknown scheme are compared byte by byte after the scheme. */
export function equalUris(bytes: Bytes, aStart: number, aEnd: number, bStart: number, bEnd: number): boolean {
  // Also what makes a URI with a repeated parameter equal itself.
  if (equalBytes(bytes, aStart, aEnd, bStart, bEnd)) return true;
  const a = viewA;
  const b = viewB;
  const isReadable =
    parseUri(bytes, aStart, aEnd, a) === URI_ERROR.NONE && parseUri(bytes, bStart, bEnd, b) === URI_ERROR.NONE;
  if (!isReadable || a.scheme !== b.scheme) return false;
  if (a.scheme === SCHEME.TEL) return equalTels(bytes, a, b);
  if (a.scheme === SCHEME.OTHER) return equalOthers(bytes, a, b);
  return (
    equalSpans(bytes, a.userStart, a.userEnd, b.userStart, b.userEnd, true) &&
    equalSpans(bytes, a.passwordStart, a.passwordEnd, b.passwordStart, b.passwordEnd, true) &&
    equalHosts(bytes, a, b) &&
    a.port === b.port &&
    equalParams(bytes, a, b) &&
    equalHeaders(bytes, a, b)
  );
}

/** Different texts of one address are the same host (RFC 5954 section 4.2). */
function equalHosts(bytes: Bytes, a: UriView, b: UriView): boolean {
  if (a.hostKind !== b.hostKind) return false;
  if (a.hostKind === HOST_KIND.NAME) return equalSpans(bytes, a.hostStart, a.hostEnd, b.hostStart, b.hostEnd, false);
  parseIpAddress(bytes, a.hostStart, a.hostEnd, addresses, 0);
  parseIpAddress(bytes, b.hostStart, b.hostEnd, addresses, 4);
  for (let word = 0; word < 4; word++) if (addresses[word] !== addresses[word + 4]) return false;
  return true;
}

/** A parameter of both must match; one of those above must be in both or in neither; any other is ignored. */
function equalParams(bytes: Bytes, a: UriView, b: UriView): boolean {
  const countA = splitParts(bytes, a.paramsStart, a.paramsEnd, SEMICOLON, partsA);
  const countB = splitParts(bytes, b.paramsStart, b.paramsEnd, SEMICOLON, partsB);
  if (countA < 0 || countB < 0) return false;
  return isCovered(bytes, partsA, countA, partsB, countB) && isCovered(bytes, partsB, countB, partsA, countA);
}

function isCovered(bytes: Bytes, parts: Int32Array, count: number, others: Int32Array, otherCount: number): boolean {
  for (let part = 0; part < count; part++) {
    const other = findName(bytes, parts, part, others, otherCount);
    if (other === -1 ? isNeverIgnored(bytes, parts, part) : !equalValues(bytes, parts, part, others, other))
      return false;
  }
  return true;
}

function isNeverIgnored(bytes: Bytes, parts: Int32Array, part: number): boolean {
  for (const name of NEVER_IGNORED) if (isNamed(bytes, parts, part, name)) return true;
  return false;
}

/** Headers are never ignored, and one that stands twice must stand twice in the other too. The rules of section 20 for
 *  each field are reduced to the general one of section 7.3.1: case does not matter. */
function equalHeaders(bytes: Bytes, a: UriView, b: UriView): boolean {
  const countA = splitParts(bytes, a.headersStart, a.headersEnd, AMPERSAND, partsA);
  const countB = splitParts(bytes, b.headersStart, b.headersEnd, AMPERSAND, partsB);
  if (countA < 0 || countB < 0) return false;
  if (countA !== countB) return false;
  for (let part = 0; part < countA; part++) {
    const inA = countEqual(bytes, partsA, part, partsA, countA);
    if (inA !== countEqual(bytes, partsA, part, partsB, countB)) return false;
  }
  return true;
}

function countEqual(bytes: Bytes, parts: Int32Array, part: number, others: Int32Array, otherCount: number): number {
  let count = 0;
  for (let other = 0; other < otherCount; other++) {
    if (equalNames(bytes, parts, part, others, other) && equalValues(bytes, parts, part, others, other)) count++;
  }
  return count;
}

/** Both global or both local, the same digits without visual separators, the same parameters in any order. */
function equalTels(bytes: Bytes, a: UriView, b: UriView): boolean {
  if (!equalNumbers(bytes, a.userStart, a.userEnd, b.userStart, b.userEnd)) return false;
  const countA = splitParts(bytes, a.paramsStart, a.paramsEnd, SEMICOLON, partsA);
  const countB = splitParts(bytes, b.paramsStart, b.paramsEnd, SEMICOLON, partsB);
  if (countA < 0 || countB < 0) return false;
  if (countA !== countB) return false;
  for (let part = 0; part < countA; part++) {
    const other = findName(bytes, partsA, part, partsB, countB);
    if (other === -1 || !equalTelValues(bytes, part, other)) return false;
  }
  return true;
}

function equalTelValues(bytes: Bytes, part: number, other: number): boolean {
  const start = partsA[part * WORDS_PER_PART + 2]!;
  const otherStart = partsB[other * WORDS_PER_PART + 2]!;
  const isNumber =
    start !== -1 &&
    otherStart !== -1 &&
    (isNamed(bytes, partsA, part, EXTENSION) ||
      (isNamed(bytes, partsA, part, PHONE_CONTEXT) && bytes[start] === PLUS && bytes[otherStart] === PLUS));
  if (!isNumber) return equalValues(bytes, partsA, part, partsB, other);
  const end = partsA[part * WORDS_PER_PART + 3]!;
  return equalNumbers(bytes, start, end, otherStart, partsB[other * WORDS_PER_PART + 3]!);
}

/** The scheme in any case, then byte by byte. */
function equalOthers(bytes: Bytes, a: UriView, b: UriView): boolean {
  if (a.end - a.start !== b.end - b.start) return false;
  let at = a.start;
  let other = b.start;
  while (bytes[at] !== COLON) if (LOWER[bytes[at++]!] !== LOWER[bytes[other++]!]) return false;
  return equalBytes(bytes, at, a.end, other, b.end);
}

// ---- Names and values -----------------------------------------------------------------------------------------------

/** Puts the spans of the parts of [start, end), parted by `separator`, into `parts`. Returns how many there are, −1 if
 *  more than MAX_PARTS. The span may be absent (−1, −1) and may begin with the separator. */
function splitParts(bytes: Bytes, start: number, end: number, separator: number, parts: Int32Array): number {
  if (start === -1) return 0;
  let count = 0;
  let at = bytes[start] === separator ? start + 1 : start;
  while (at < end) {
    if (count === MAX_PARTS) return -1;
    const part = count++ * WORDS_PER_PART;
    parts[part] = at;
    while (at < end && bytes[at] !== EQUAL && bytes[at] !== separator) at++;
    parts[part + 1] = at;
    const hasValue = at < end && bytes[at] === EQUAL;
    parts[part + 2] = hasValue ? at + 1 : -1;
    while (at < end && bytes[at] !== separator) at++;
    parts[part + 3] = hasValue ? at : -1;
    at++;
  }
  return count;
}

function findName(bytes: Bytes, parts: Int32Array, part: number, others: Int32Array, otherCount: number): number {
  for (let other = 0; other < otherCount; other++) if (equalNames(bytes, parts, part, others, other)) return other;
  return -1;
}

function equalNames(bytes: Bytes, parts: Int32Array, part: number, others: Int32Array, other: number): boolean {
  const a = part * WORDS_PER_PART;
  const b = other * WORDS_PER_PART;
  return equalSpans(bytes, parts[a]!, parts[a + 1]!, others[b]!, others[b + 1]!, false);
}

function equalValues(bytes: Bytes, parts: Int32Array, part: number, others: Int32Array, other: number): boolean {
  const a = part * WORDS_PER_PART + 2;
  const b = other * WORDS_PER_PART + 2;
  return equalSpans(bytes, parts[a]!, parts[a + 1]!, others[b]!, others[b + 1]!, false);
}

/** True if the part has this name, however escaped. */
function isNamed(bytes: Bytes, parts: Int32Array, part: number, name: Uint8Array): boolean {
  let at = parts[part * WORDS_PER_PART]!;
  const end = parts[part * WORDS_PER_PART + 1]!;
  if (end - at === name.length) return isWord(bytes, at, end, name);
  for (let i = 0; i < name.length; i++) {
    if (at >= end || LOWER[characterAt(bytes, at) & 255] !== name[i]) return false;
    at += bytes[at] === PERCENT ? 3 : 1;
  }
  return at === end;
}

/** Compares two spans of valid URI characters. An absent span, −1, equals only another; an empty one is not absent. */
function equalSpans(
  bytes: Bytes,
  aStart: number,
  aEnd: number,
  bStart: number,
  bEnd: number,
  isCaseSensitive: boolean,
): boolean {
  if (aStart === -1 || bStart === -1) return aStart === bStart;
  let a = aStart;
  let b = bStart;
  while (a < aEnd && b < bEnd) {
    const inA = characterAt(bytes, a);
    const inB = characterAt(bytes, b);
    if (inA !== inB && (isCaseSensitive || foldCase(inA) !== foldCase(inB))) return false;
    a += bytes[a] === PERCENT ? 3 : 1;
    b += bytes[b] === PERCENT ? 3 : 1;
  }
  return a === aEnd && b === bEnd;
}

/** What a byte or escape stands for; an escaped reserved character stands for itself alone. */
function characterAt(bytes: Bytes, at: number): number {
  const byte = bytes[at]!;
  if (byte !== PERCENT) return byte;
  const escaped = (HEX[bytes[at + 1]!]! << 4) | HEX[bytes[at + 2]!]!;
  return RESERVED[escaped] === 1 ? escaped | ESCAPED_RESERVED : escaped;
}

function foldCase(character: number): number {
  return character < 256 ? LOWER[character]! : character;
}

function equalNumbers(bytes: Bytes, aStart: number, aEnd: number, bStart: number, bEnd: number): boolean {
  let a = aStart;
  let b = bStart;
  for (;;) {
    while (a < aEnd && isSeparator(bytes[a]!)) a++;
    while (b < bEnd && isSeparator(bytes[b]!)) b++;
    if (a === aEnd || b === bEnd) return a === aEnd && b === bEnd;
    if (LOWER[bytes[a++]!] !== LOWER[bytes[b++]!]) return false;
  }
}

/** visual-separator: what a phonedigit may be besides a digit. */
function isSeparator(byte: number): boolean {
  return PHONE_DIGIT[byte] === 1 && (byte < 0x30 || byte > 0x39);
}

function equalBytes(bytes: Bytes, aStart: number, aEnd: number, bStart: number, bEnd: number): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false;
  for (let a = aStart, b = bStart; a < aEnd; a++, b++) if (bytes[a] !== bytes[b]) return false;
  return true;
}
