/** One pass over a datagram that fills a `MessageIndex`: start line, header lines with folds, empty line, body
 *  (RFC 3261 sections 7, 7.3.1, 18.3, 25.1). Runs on the shard. Hot: once per datagram, allocates nothing.
 *
 *  Only the headers that a proxy reads of every message are told by name here, four bytes at a time; the others are told
 *  when somebody asks for one. */

import { TOKEN } from '../base/char-class.ts';
import { findNewline } from '../base/newline.ts';
import { HEADER_ID } from './header-table.ts';
import { MAX_HEADERS, type MessageIndex, UNIDENTIFIED } from './message-index.ts';
import { methodIdOf } from './methods.ts';
import { FRAME_FAULT } from './stream-framing.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** What is wrong with a message, the first thing found. `NONE` is 0, the others negative; `NOT_SIP` cannot be answered. */
export const MESSAGE_ERROR = {
  NONE: 0,
  NOT_SIP: -1,
  REQUEST_LINE: -2,
  VERSION: -3,
  HEADER_LINE: -4,
  NO_EMPTY_LINE: -5,
  TOO_MANY_HEADERS: -6,
  CONTENT_LENGTH: -7,
  SHORT_BODY: -8,
  STATUS_LINE: -9,
  SEVERAL_CONTENT_LENGTHS: -10,
  LINE_END: -11,
  // Of streams, where `errorOfFault` finds them.
  NO_CONTENT_LENGTH: -12,
  TOO_LARGE: -13,
  // Of WebSockets, where `hasSeveralMessages` finds it.
  SEVERAL_MESSAGES: -14,
} as const;

/** A request line without any "SIP/". */
const NO_VERSION = -100;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
const ZERO = 0x30;

/** "SIP/" as a little-endian word of lower-case letters, and "2.0". */
const SIP_SLASH = 0x2f706973;
const SIP_SLASH_CASE = 0x00202020;

/** What is wrong with a message of a stream whose framing found `fault` (FRAME_FAULT), given what `parseMessage` made of its
 *  header section. Cold. */
export function errorOfFault(fault: number, error: number): number {
  if (fault === FRAME_FAULT.TOO_LARGE) return MESSAGE_ERROR.TOO_LARGE;
  if (error !== MESSAGE_ERROR.NONE) return error;
  return fault === FRAME_FAULT.NO_CONTENT_LENGTH ? MESSAGE_ERROR.NO_CONTENT_LENGTH : MESSAGE_ERROR.CONTENT_LENGTH;
}

/** RFC 7118 4.2: a WebSocket message is one SIP message. True if there is more behind the one in `index`, other than line ends, up to
 *  `end`. */
export function hasSeveralMessages(bytes: Bytes, index: MessageIndex, end: number): boolean {
  let at = index.end;
  while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
  return at < end;
}

/** Indexes the message in [start, end). Returns MESSAGE_ERROR.NONE or the first error; what could be read is in the
 *  index either way, so that a broken request can be answered. */
export function parseMessage(bytes: Bytes, words: Words, start: number, end: number, index: MessageIndex): number {
  let at = start;
  // Section 7.5: CRLF before the start line is ignored.
  while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
  index.reset(at, end);
  const newline = findNewline(words, at, end);
  if (newline === end) return MESSAGE_ERROR.NOT_SIP;
  // Lines end in CRLF (section 7). A lone LF would be a line end to some and none to others: a way to smuggle headers.
  if (bytes[newline - 1] !== CR) return rejectLineEnd(bytes, words, at, end, newline, index);
  const lineEnd = newline - 1;
  index.headersStart = newline + 1;
  const startLineError =
    (unalignedWord(words, at) | SIP_SLASH_CASE) === SIP_SLASH
      ? readStatusLine(bytes, at, lineEnd, index)
      : readRequestLine(bytes, at, lineEnd, index);
  if (startLineError === MESSAGE_ERROR.NOT_SIP) return startLineError;
  const headerError = readHeaders(bytes, words, newline + 1, end, index);
  if (startLineError === NO_VERSION) return errorWithoutVersion(index);
  if (startLineError !== MESSAGE_ERROR.NONE) return startLineError;
  if (headerError !== MESSAGE_ERROR.NONE) return headerError;
  return readContentLength(bytes, index);
}

/** Cold: somebody waits for an answer to what has a Via, though it lacks its version. */
function errorWithoutVersion(index: MessageIndex): number {
  return index.first[HEADER_ID.VIA] === -1 ? MESSAGE_ERROR.NOT_SIP : MESSAGE_ERROR.REQUEST_LINE;
}

/** Cold: a start line that ends in LF alone. What follows is still read, so that a request can be answered. */
function rejectLineEnd(
  bytes: Bytes,
  words: Words,
  start: number,
  end: number,
  newline: number,
  index: MessageIndex,
): number {
  index.headersStart = newline + 1;
  const isResponse = (unalignedWord(words, start) | SIP_SLASH_CASE) === SIP_SLASH;
  const error = isResponse
    ? readStatusLine(bytes, start, newline, index)
    : readRequestLine(bytes, start, newline, index);
  if (error === MESSAGE_ERROR.NOT_SIP) return error;
  readHeaders(bytes, words, newline + 1, end, index);
  return error === NO_VERSION ? errorWithoutVersion(index) : MESSAGE_ERROR.LINE_END;
}

/** Request-Line = Method SP Request-URI SP SIP-Version CRLF; exactly one SP each (section 7.1). */
function readRequestLine(bytes: Bytes, start: number, end: number, index: MessageIndex): number {
  let at = start;
  while (TOKEN[bytes[at]!] === 1) at++;
  if (at === start || at >= end || bytes[at] !== SPACE) return MESSAGE_ERROR.NOT_SIP;
  index.isRequest = true;
  index.methodStart = start;
  index.methodEnd = at;
  index.method = methodIdOf(bytes, start, at);
  const uriStart = at + 1;
  const version = end - 7;
  index.uriStart = uriStart;
  // The usual case: the line ends in " SIP/2.0", and what stands before it is the URI, whose own grammar has no blanks.
  if (
    version - 1 > uriStart &&
    bytes[version - 1] === SPACE &&
    bytes[version - 2]! > SPACE &&
    bytes[uriStart]! > SPACE &&
    isSipSlash(bytes, version) &&
    bytes[version + 4] === 0x32 &&
    bytes[version + 5] === 0x2e &&
    bytes[version + 6] === ZERO
  ) {
    index.hasOddVersion = ((bytes[version]! | bytes[version + 1]! | bytes[version + 2]!) & 0x20) !== 0;
    index.uriEnd = version - 1;
    return MESSAGE_ERROR.NONE;
  }
  at = uriStart;
  while (at < end && bytes[at]! > SPACE) at++;
  index.uriEnd = at;
  return explainRequestLine(bytes, at, end, uriStart);
}

/** Cold: a request line that is not right. SIP of another version is 505's case, a line without any "SIP/" may be no SIP. */
function explainRequestLine(bytes: Bytes, uriEnd: number, end: number, uriStart: number): number {
  let version = end;
  while (version > uriStart && bytes[version - 1]! > SPACE) version--;
  if (version === uriStart || !isSipSlash(bytes, version)) {
    for (let i = uriStart; i + 4 < end; i++) if (isSipSlash(bytes, i)) return MESSAGE_ERROR.REQUEST_LINE;
    return NO_VERSION;
  }
  const isWellSpaced = version === uriEnd + 1 && bytes[uriEnd] === SPACE && uriEnd > uriStart;
  if (!isWellSpaced) return MESSAGE_ERROR.REQUEST_LINE;
  // SIP-Version = "SIP" "/" 1*DIGIT "." 1*DIGIT
  let at = version + 4;
  const major = at;
  while (at < end && isDigit(bytes[at]!)) at++;
  if (at === major || at >= end || bytes[at] !== 0x2e) return MESSAGE_ERROR.REQUEST_LINE;
  const minor = ++at;
  while (at < end && isDigit(bytes[at]!)) at++;
  return at === end && at > minor ? MESSAGE_ERROR.VERSION : MESSAGE_ERROR.REQUEST_LINE;
}

/** Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF (section 7.2). The reason phrase may be empty. */
function readStatusLine(bytes: Bytes, start: number, end: number, index: MessageIndex): number {
  const isVersion2 =
    end - start >= 11 &&
    bytes[start + 4] === 0x32 &&
    bytes[start + 5] === 0x2e &&
    bytes[start + 6] === ZERO &&
    bytes[start + 7] === SPACE;
  if (!isVersion2) return MESSAGE_ERROR.STATUS_LINE;
  const hundreds = bytes[start + 8]! - ZERO;
  const tens = bytes[start + 9]! - ZERO;
  const ones = bytes[start + 10]! - ZERO;
  if (hundreds < 1 || hundreds > 6 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return MESSAGE_ERROR.STATUS_LINE;
  if (end - start > 11 && bytes[start + 11] !== SPACE) return MESSAGE_ERROR.STATUS_LINE;
  index.statusCode = hundreds * 100 + tens * 10 + ones;
  index.hasOddVersion = ((bytes[start]! | bytes[start + 1]! | bytes[start + 2]!) & 0x20) !== 0;
  return MESSAGE_ERROR.NONE;
}

/** Header lines up to the empty one. A line that begins with white space continues the one before (section 7.3.1). */
function readHeaders(bytes: Bytes, words: Words, start: number, end: number, index: MessageIndex): number {
  const { table, first } = index;
  let error: number = MESSAGE_ERROR.NONE;
  let line = start;
  let count = 0;
  let repeated = 0;
  let hasLoneLineFeed = false;
  for (; line < end && bytes[line]! >= SPACE; count++) {
    if (count === MAX_HEADERS) {
      error = MESSAGE_ERROR.TOO_MANY_HEADERS;
      break;
    }
    // The name and the colon. A line that is no header is refused rather than passed on: who knows what the next element
    // would read in it.
    let id = coreIdAt(bytes, words, line);
    let colon = line + matchedLength;
    if (id === UNIDENTIFIED) {
      colon = line;
      while (TOKEN[bytes[colon]!] === 1) colon++;
    }
    if (bytes[colon] !== COLON || colon === line || colon >= end) {
      const nameEnd = colon;
      colon = skipBlanks(bytes, colon, end);
      if (nameEnd === line || colon >= end || bytes[colon] !== COLON) {
        if (error === MESSAGE_ERROR.NONE) error = MESSAGE_ERROR.HEADER_LINE;
        id = UNIDENTIFIED;
        colon = line - 1;
      }
    }
    let value = colon + 1;
    // One space before the value is what nearly everybody writes.
    if (bytes[value] === SPACE) value++;

    // The end of the line, over any folds.
    let newline = findNewline(words, value, end);
    if (bytes[newline - 1] !== CR && newline < end) hasLoneLineFeed = true;
    while (newline + 1 < end && isWhiteSpace(bytes[newline + 1]!)) {
      newline = findNewline(words, newline + 1, end);
      if (bytes[newline - 1] !== CR && newline < end) hasLoneLineFeed = true;
    }
    let valueEnd = newline - 1;
    if (bytes[value]! <= SPACE || bytes[valueEnd - 1]! <= SPACE || newline >= end) {
      valueEnd = newline < end ? newline : end;
      while (valueEnd > value && isBlank(bytes[valueEnd - 1]!)) valueEnd--;
      while (value < valueEnd && isBlank(bytes[value]!)) value++;
      if (value > valueEnd) value = valueEnd;
    }

    const at = count << 2;
    table[at] = id;
    table[at + 1] = line;
    table[at + 2] = value;
    table[at + 3] = valueEnd;
    if (first[id] === -1) first[id] = count;
    else if (id !== UNIDENTIFIED) repeated |= 1 << id;
    line = newline < end ? newline + 1 : end;
  }
  table[(count << 2) + 1] = line;
  index.headerCount = count;
  index.hasLoneLineFeed = hasLoneLineFeed;
  if (hasLoneLineFeed && error !== MESSAGE_ERROR.TOO_MANY_HEADERS) error = MESSAGE_ERROR.LINE_END;
  index.repeated = repeated;
  return endHeaders(bytes, line, end, error, index);
}

/** The empty line, or what stands in its place. */
function endHeaders(bytes: Bytes, line: number, end: number, error: number, index: MessageIndex): number {
  index.headersEnd = line;
  index.bodyStart = line;
  if (error === MESSAGE_ERROR.TOO_MANY_HEADERS) return error;
  if (line + 1 < end && bytes[line] === CR && bytes[line + 1] === LF) {
    index.bodyStart = line + 2;
    return error;
  }
  if (error !== MESSAGE_ERROR.NONE) return error;
  if (line >= end) return MESSAGE_ERROR.NO_EMPTY_LINE;
  return bytes[line] === LF ? MESSAGE_ERROR.LINE_END : MESSAGE_ERROR.HEADER_LINE;
}

function skipBlanks(bytes: Bytes, at: number, end: number): number {
  let i = at;
  while (i < end && isWhiteSpace(bytes[i]!)) i++;
  return i;
}

function isWhiteSpace(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** Section 18.3: what lies beyond the Content-Length is discarded, too short a body is an error; without the header the
 *  body reaches to the end of the datagram. */
function readContentLength(bytes: Bytes, index: MessageIndex): number {
  const header = index.first[HEADER_ID.CONTENT_LENGTH]!;
  if (header === -1) return MESSAGE_ERROR.NONE;
  if ((index.repeated & (1 << HEADER_ID.CONTENT_LENGTH)) !== 0) return MESSAGE_ERROR.SEVERAL_CONTENT_LENGTHS;
  let length = 0;
  const valueEnd = index.valueEnd(header);
  let at = index.valueStart(header);
  if (at === valueEnd) return MESSAGE_ERROR.CONTENT_LENGTH;
  for (; at < valueEnd; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return MESSAGE_ERROR.CONTENT_LENGTH;
    length = length * 10 + digit;
    if (length > 0x7fffffff) length = 0x7fffffff;
  }
  const bodyEnd = index.bodyStart + length;
  if (bodyEnd > index.end) return MESSAGE_ERROR.SHORT_BODY;
  index.end = bodyEnd;
  return MESSAGE_ERROR.NONE;
}

// ---- Header names that every message has, by words -----------------------------------------------------------------

/** Length of the name that `coreIdAt` found last. */
let matchedLength = 0;

/** First letters of core headers in either case, as small numbers for a jump table; 0: no core header begins so. */
const INITIAL = new Uint8Array(256);
const V = 1;
const M = 2;
const F = 3;
const T = 4;
const C = 5;
const I = 6;
const L = 7;
const R = 8;
const P = 9;
const U = 10;
const E = 11;
for (const [letter, initial] of Object.entries({ v: V, m: M, f: F, t: T, c: C, i: I, l: L, r: R, p: P, u: U, e: E })) {
  INITIAL[letter.charCodeAt(0)] = INITIAL[letter.toUpperCase().charCodeAt(0)] = initial;
}
/** Letters to fold in a word; a hyphen is compared as it is, lest CR pass for it. */
const ALL = 0x20202020;

/** Id of the core header whose name begins at `line`, or UNIDENTIFIED. Core are those that a proxy reads of every message;
 *  they are told by their first letter and compared four bytes at a time. The others wait until somebody asks for them
 *  (`MessageIndex.find`). */
function coreIdAt(bytes: Bytes, words: Words, line: number): number {
  const word = unalignedWord(words, line);
  const folded = word | ALL;
  const isCompact = isNameEnd((word >>> 8) & 0xff);
  switch (INITIAL[word & 0xff]) {
    case V:
      if ((folded & 0xffffff) === 0x616976 && isNameEnd(word >>> 24)) return matched(3, HEADER_ID.VIA);
      return isCompact ? matched(1, HEADER_ID.VIA) : UNIDENTIFIED;
    case M:
      if (isCompact) return matched(1, HEADER_ID.CONTACT);
      return (word | 0x00202020) === 0x2d78616d ? idAfterMax(bytes, words, line) : UNIDENTIFIED;
    case F:
      if (folded === 0x6d6f7266 && isNameEnd(bytes[line + 4]!)) return matched(4, HEADER_ID.FROM);
      return isCompact ? matched(1, HEADER_ID.FROM) : UNIDENTIFIED;
    case T:
      if ((folded & 0xffff) === 0x6f74 && isNameEnd((word >>> 16) & 0xff)) return matched(2, HEADER_ID.TO);
      return isCompact ? matched(1, HEADER_ID.TO) : UNIDENTIFIED;
    case C:
      return idAfterC(bytes, words, line, folded);
    case I:
      return isCompact ? matched(1, HEADER_ID.CALL_ID) : UNIDENTIFIED;
    case L:
      return isCompact ? matched(1, HEADER_ID.CONTENT_LENGTH) : UNIDENTIFIED;
    case R:
      return idAfterR(bytes, words, line, folded);
    case P:
      // "prox" "y-re" "quir" "e"
      if (folded === 0x786f7270 && (unalignedWord(words, line + 4) | 0x20200020) === 0x65722d79) {
        const isRequire = (unalignedWord(words, line + 8) | ALL) === 0x72697571 && (bytes[line + 12]! | 0x20) === 0x65;
        if (isRequire && isNameEnd(bytes[line + 13]!)) return matched(13, HEADER_ID.PROXY_REQUIRE);
      }
      return UNIDENTIFIED;
    case U:
      // "user" "-age" "nt"; the compact form is Allow-Events.
      if (folded === 0x72657375 && (unalignedWord(words, line + 4) | 0x20202000) === 0x6567612d) {
        const last = unalignedWord(words, line + 8);
        if (((last | 0x2020) & 0xffff) === 0x746e && isNameEnd((last >>> 16) & 0xff)) {
          return matched(10, HEADER_ID.USER_AGENT);
        }
      }
      return UNIDENTIFIED;
    case E: {
      // "expi" "res"; the compact form is Content-Encoding.
      if (folded !== 0x69707865) return UNIDENTIFIED;
      const rest = unalignedWord(words, line + 4);
      const isExpires = ((rest | ALL) & 0xffffff) === 0x736572 && isNameEnd(rest >>> 24);
      return isExpires ? matched(7, HEADER_ID.EXPIRES) : UNIDENTIFIED;
    }
    default:
      return UNIDENTIFIED;
  }
}

/** Max-Forwards, Max-Breadth. */
function idAfterMax(bytes: Bytes, words: Words, line: number): number {
  const second = unalignedWord(words, line + 4) | ALL;
  const third = unalignedWord(words, line + 8);
  // "forw" "ards"
  if (second === 0x77726f66) {
    const isForwards = (third | ALL) === 0x73647261 && isNameEnd(bytes[line + 12]!);
    return isForwards ? matched(12, HEADER_ID.MAX_FORWARDS) : UNIDENTIFIED;
  }
  // "brea" "dth"
  const isBreadth = second === 0x61657262 && ((third | ALL) & 0xffffff) === 0x687464 && isNameEnd(third >>> 24);
  return isBreadth ? matched(11, HEADER_ID.MAX_BREADTH) : UNIDENTIFIED;
}

/** Call-ID, CSeq, Contact, Content-Length. */
function idAfterC(bytes: Bytes, words: Words, line: number, folded: number): number {
  if (folded === 0x71657363) return isNameEnd(bytes[line + 4]!) ? matched(4, HEADER_ID.CSEQ) : UNIDENTIFIED;
  if (folded === 0x6c6c6163) {
    const rest = unalignedWord(words, line + 4);
    const isCallId = ((rest | 0x202000) & 0xffffff) === 0x64692d && isNameEnd(rest >>> 24);
    return isCallId ? matched(7, HEADER_ID.CALL_ID) : UNIDENTIFIED;
  }
  if (folded !== 0x746e6f63) return UNIDENTIFIED;
  const next = unalignedWord(words, line + 4);
  // "cont" "act"
  if (((next | ALL) & 0xffffff) === 0x746361 && isNameEnd(next >>> 24)) return matched(7, HEADER_ID.CONTACT);
  // "cont" "ent-" "leng" "th"
  if ((next | 0x00202020) !== 0x2d746e65 || (unalignedWord(words, line + 8) | ALL) !== 0x676e656c) return UNIDENTIFIED;
  const last = unalignedWord(words, line + 12);
  const isLength = ((last | 0x2020) & 0xffff) === 0x6874 && isNameEnd((last >>> 16) & 0xff);
  return isLength ? matched(14, HEADER_ID.CONTENT_LENGTH) : UNIDENTIFIED;
}

/** Route, Record-Route. */
function idAfterR(bytes: Bytes, words: Words, line: number, folded: number): number {
  if (folded === 0x74756f72) {
    const isRoute = (bytes[line + 4]! | 0x20) === 0x65 && isNameEnd(bytes[line + 5]!);
    return isRoute ? matched(5, HEADER_ID.ROUTE) : UNIDENTIFIED;
  }
  // "reco" "rd-r" "oute"
  if (folded !== 0x6f636572 || (unalignedWord(words, line + 4) | 0x20002020) !== 0x722d6472) return UNIDENTIFIED;
  const isRecordRoute = (unalignedWord(words, line + 8) | ALL) === 0x6574756f && isNameEnd(bytes[line + 12]!);
  return isRecordRoute ? matched(12, HEADER_ID.RECORD_ROUTE) : UNIDENTIFIED;
}

function matched(length: number, id: number): number {
  matchedLength = length;
  return id;
}

function isNameEnd(byte: number): boolean {
  return byte === COLON || byte === SPACE || byte === TAB;
}

/** The four bytes at `at`, little-endian, from the two aligned words that hold them. Without a branch: an alignment cannot be
 *  predicted, and `<< 32` would be `<< 0`, hence the shift in two steps. */
function unalignedWord(words: Words, at: number): number {
  const shift = (at & 3) << 3;
  const word = at >> 2;
  return (words[word]! >>> shift) | ((words[word + 1]! << 1) << (31 - shift));
}

function isSipSlash(bytes: Bytes, at: number): boolean {
  return (
    (bytes[at]! | 0x20) === 0x73 &&
    (bytes[at + 1]! | 0x20) === 0x69 &&
    (bytes[at + 2]! | 0x20) === 0x70 &&
    bytes[at + 3] === 0x2f
  );
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR || byte === LF;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
