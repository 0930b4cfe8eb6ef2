/** Just enough of a datagram to dispatch it: is it SIP, and which call does it belong to. Runs on the dispatcher.
 *  Hot: once per datagram, allocates nothing. Everything about validity is the shard's business. */

import { hashBytes } from '../base/hash.ts';
import { findNewline } from '../base/newline.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** What a datagram is. SIP and STUN go to a shard; the others end at the dispatcher. */
export const DATAGRAM = { SIP: 0, STUN: 1, KEEPALIVE: 2, JUNK: 3 } as const;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
const STUN_HEADER_BYTES = 20;

/** Tells SIP from STUN (RFC 5389 section 6: the two top bits of the first byte are zero and the magic cookie follows),
 *  keep-alives (RFC 5626 section 4.4.1: nothing but CRLF) and junk (the first byte cannot begin a start line). */
export function classifyDatagram(bytes: Bytes, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
  if (at === end) return DATAGRAM.KEEPALIVE;
  const first = bytes[at]!;
  // A start line begins with a method or "SIP/2.0": a token character. Letters are by far the most.
  if ((first | 0x20) >= 0x61 && (first | 0x20) <= 0x7a) return DATAGRAM.SIP;
  if (first < 4 && at === start && end - start >= STUN_HEADER_BYTES && hasMagicCookie(bytes, start)) {
    return DATAGRAM.STUN;
  }
  return isTokenPunctuationOrDigit(first) ? DATAGRAM.SIP : DATAGRAM.JUNK;
}

/** Hash of the Call-ID of the message in [start, end), the same for every message of a call; 0 if there is none.
 *  Reads "Call-ID" and "i" in any case, with white space or folds around the colon, up to the end of the headers. */
export function hashCallId(bytes: Bytes, words: Words, start: number, end: number): number {
  let line = start;
  while (line < end && (bytes[line] === CR || bytes[line] === LF)) line++;
  for (;;) {
    line = findNewline(words, line, end) + 1;
    if (line >= end) return 0;
    const letter = bytes[line]! | 0x20;
    if (letter === 0x63) {
      if (isCallIdName(bytes, line)) {
        const value = valueAfterColon(bytes, line + 7, end);
        if (value !== 0) return hashBytes(words, value, wordEnd(bytes, value, end), 0);
      }
    } else if (letter === 0x69) {
      const value = valueAfterColon(bytes, line + 1, end);
      if (value !== 0) return hashBytes(words, value, wordEnd(bytes, value, end), 0);
    } else if (bytes[line] === CR || bytes[line] === LF) {
      return 0;
    }
  }
}

/** Where the Call-ID of a message in pieces begins, or 0: it is not in the piece [start, end). `isAtLineStart`: the piece begins
 *  a header line; otherwise, as the first one of a message, it begins within a line. */
export function findCallId(bytes: Bytes, words: Words, start: number, end: number, isAtLineStart: boolean): number {
  let line = isAtLineStart ? start : findNewline(words, start, end) + 1;
  for (; line < end; line = findNewline(words, line, end) + 1) {
    const letter = bytes[line]! | 0x20;
    let value = 0;
    if (letter === 0x63 && isCallIdName(bytes, line)) value = valueAfterColon(bytes, line + 7, end);
    else if (letter === 0x69) value = valueAfterColon(bytes, line + 1, end);
    else if (bytes[line] === CR || bytes[line] === LF) return 0;
    if (value !== 0) {
      foundCallIdEnd = wordEnd(bytes, value, end);
      return value;
    }
  }
  return 0;
}

/** Where the Call-ID found last ends. */
export let foundCallIdEnd = 0;

/** Whether a message begins as an INVITE does: a guess for who wants to know roughly what comes. */
export function looksLikeInvite(bytes: Bytes, start: number): boolean {
  return bytes[start] === 0x49 && bytes[start + 1] === 0x4e && bytes[start + 2] === 0x56; // "INV"
}

/** True for a request that begins something new, which may be shed under overload: not a response, not ACK, BYE, CANCEL
 *  or PRACK, and without a tag in its To (RFC 3261 section 12.2). Asked above the overload mark only. */
export function isSheddable(bytes: Bytes, words: Words, start: number, end: number): boolean {
  let line = start;
  while (line < end && (bytes[line] === CR || bytes[line] === LF)) line++;
  const isResponse = bytes[line + 3] === 0x2f && (bytes[line]! | 0x20) === 0x73; // "SIP/"
  if (isResponse || isPartOfSomething(bytes, line)) return false;
  for (;;) {
    line = findNewline(words, line, end) + 1;
    if (line >= end || bytes[line] === CR || bytes[line] === LF) return true;
    if ((bytes[line]! | 0x20) !== 0x74) continue;
    const value = valueAfterColon(bytes, line + ((bytes[line + 1]! | 0x20) === 0x6f ? 2 : 1), end);
    if (value !== 0) return !hasTag(bytes, value, end);
  }
}

/** ACK, BYE, CANCEL, PRACK: letters in capitals, as methods are compared. */
function isPartOfSomething(bytes: Bytes, at: number): boolean {
  const letters = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  return letters === 0x41434b20 || letters === 0x42594520 || letters === 0x43414e43 || letters === 0x50524143;
}

/** ";tag=" in the value at `start`, folds included. */
function hasTag(bytes: Bytes, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i] === LF && bytes[i + 1] !== SPACE && bytes[i + 1] !== TAB) return false;
    if (bytes[i] !== 0x3b) continue;
    while (i + 1 < end && isBlank(bytes[i + 1]!)) i++;
    if ((bytes[i + 1]! | 0x20) === 0x74 && (bytes[i + 2]! | 0x20) === 0x61 && (bytes[i + 3]! | 0x20) === 0x67)
      return true;
  }
  return false;
}

/** "Call-ID" in any case at `at`. Reading past the datagram's end finds bytes of the arena that do not match or are
 *  caught by `valueAfterColon`. */
function isCallIdName(bytes: Bytes, at: number): boolean {
  return (
    bytes[at + 4] === 0x2d &&
    (bytes[at + 1]! | 0x20) === 0x61 &&
    (bytes[at + 2]! | 0x20) === 0x6c &&
    (bytes[at + 3]! | 0x20) === 0x6c &&
    (bytes[at + 5]! | 0x20) === 0x69 &&
    (bytes[at + 6]! | 0x20) === 0x64
  );
}

/** Start of the value if only white space and a colon follow at `at`, else 0. */
function valueAfterColon(bytes: Bytes, at: number, end: number): number {
  let i = at;
  while (i < end && (bytes[i] === SPACE || bytes[i] === TAB)) i++;
  if (i >= end || bytes[i] !== COLON) return 0;
  i++;
  while (i < end && isBlank(bytes[i]!)) {
    // A line end that no white space follows is the end of an empty header, not a fold.
    if (bytes[i] === LF && bytes[i + 1] !== SPACE && bytes[i + 1] !== TAB) return 0;
    i++;
  }
  return i < end ? i : 0;
}

/** RFC 5389 section 6: 0x2112A442 in bytes 4 to 7. */
function hasMagicCookie(bytes: Bytes, start: number): boolean {
  return (
    bytes[start + 4] === 0x21 && bytes[start + 5] === 0x12 && bytes[start + 6] === 0xa4 && bytes[start + 7] === 0x42
  );
}

function wordEnd(bytes: Bytes, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i]! > SPACE) i++;
  return i;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR || byte === LF;
}

function isTokenPunctuationOrDigit(byte: number): boolean {
  // token = alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" (RFC 3261 25.1)
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x21 ||
    byte === 0x25 ||
    byte === 0x2a ||
    byte === 0x5f ||
    byte === 0x2b ||
    byte === 0x60 ||
    byte === 0x27 ||
    byte === 0x7e
  );
}
