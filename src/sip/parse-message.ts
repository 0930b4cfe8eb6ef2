/** One pass over a datagram that fills a `MessageIndex`: start line, header lines with folds, empty line, body
 *  (RFC 3261 sections 7, 7.3.1, 18.3, 25.1). Runs on the shard. Hot: once per datagram, allocates nothing.
 *
 *  A header's name is recognised by words: its first four bytes, lower-cased, pick a bucket of names that begin so, and
 *  the rest is compared four bytes at a time. Only unknown names are walked byte by byte. */

import { TOKEN } from '../base/char-class.ts';
import { findNewline } from '../base/newline.ts';
import { HEADER_ID, HEADER_NAMES } from './header-table.ts';
import { MAX_HEADERS, type MessageIndex } from './message-index.ts';
import { methodIdOf } from './methods.ts';

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
} as const;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
const ZERO = 0x30;

/** "SIP/" as a little-endian word of lower-case letters, and "2.0". */
const SIP_SLASH = 0x2f706973;
const SIP_SLASH_CASE = 0x00202020;

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
  if (startLineError !== MESSAGE_ERROR.NONE) return startLineError;
  if (headerError !== MESSAGE_ERROR.NONE) return headerError;
  return readContentLength(bytes, index);
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
  return MESSAGE_ERROR.LINE_END;
}

/** Request-Line = Method SP Request-URI SP SIP-Version CRLF; exactly one SP each (section 7.1). */
function readRequestLine(bytes: Bytes, start: number, end: number, index: MessageIndex): number {
  let at = start;
  while (at < end && TOKEN[bytes[at]!] === 1) at++;
  if (at === start || at === end || bytes[at] !== SPACE) return MESSAGE_ERROR.NOT_SIP;
  index.isRequest = true;
  index.methodStart = start;
  index.methodEnd = at;
  index.method = methodIdOf(bytes, start, at);
  const uriStart = ++at;
  while (at < end && bytes[at]! > SPACE) at++;
  index.uriStart = uriStart;
  index.uriEnd = at;
  const version = at + 1;
  // The usual case first: one space and "SIP/2.0" up to the end of the line.
  if (at > uriStart && bytes[at] === SPACE && end - version === 7 && isSipSlash(bytes, version)) {
    if (bytes[version + 4] === 0x32 && bytes[version + 5] === 0x2e && bytes[version + 6] === ZERO) {
      index.hasOddVersion = ((bytes[version]! | bytes[version + 1]! | bytes[version + 2]!) & 0x20) !== 0;
      return MESSAGE_ERROR.NONE;
    }
  }
  return explainRequestLine(bytes, at, end, uriStart);
}

/** Cold: a request line that is not right. SIP of another version is 505's case, a line without any "SIP/" is no SIP. */
function explainRequestLine(bytes: Bytes, uriEnd: number, end: number, uriStart: number): number {
  let version = end;
  while (version > uriStart && bytes[version - 1]! > SPACE) version--;
  if (version === uriStart || !isSipSlash(bytes, version)) {
    for (let i = uriStart; i + 4 < end; i++) if (isSipSlash(bytes, i)) return MESSAGE_ERROR.REQUEST_LINE;
    return MESSAGE_ERROR.NOT_SIP;
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
  return MESSAGE_ERROR.NONE;
}

/** Header lines up to the empty one. A line that begins with white space continues the one before (section 7.3.1). */
function readHeaders(bytes: Bytes, words: Words, start: number, end: number, index: MessageIndex): number {
  let error: number = MESSAGE_ERROR.NONE;
  let line = start;
  for (;;) {
    if (line >= end) {
      index.headersEnd = index.bodyStart = end;
      return error === MESSAGE_ERROR.NONE ? MESSAGE_ERROR.NO_EMPTY_LINE : error;
    }
    const byte = bytes[line]!;
    if (byte === CR && line + 1 < end && bytes[line + 1] === LF) {
      index.headersEnd = line;
      index.bodyStart = line + 2;
      return error;
    }
    if (byte === LF) {
      index.headersEnd = line;
      index.bodyStart = line + 1;
      return MESSAGE_ERROR.LINE_END;
    }
    if (index.headerCount === MAX_HEADERS) {
      index.headersEnd = index.bodyStart = line;
      return MESSAGE_ERROR.TOO_MANY_HEADERS;
    }

    // The name, and where it ends.
    let id = headerIdAt(bytes, words, line);
    let colon: number;
    if (id > 0) {
      colon = line + matchedLength;
    } else {
      id = 0;
      colon = line;
      while (colon < end && TOKEN[bytes[colon]!] === 1) colon++;
      if (colon === line) error = MESSAGE_ERROR.HEADER_LINE;
    }
    while (colon < end && (bytes[colon] === SPACE || bytes[colon] === TAB)) colon++;
    let value = colon + 1;
    if (colon >= end || bytes[colon] !== COLON) {
      if (error === MESSAGE_ERROR.NONE) error = MESSAGE_ERROR.HEADER_LINE;
      id = 0;
      value = line;
    }

    // The end of the value, over any folds.
    let newline = findNewline(words, value, end);
    if (newline < end && bytes[newline - 1] !== CR) error = MESSAGE_ERROR.LINE_END;
    while (newline + 1 < end && (bytes[newline + 1] === SPACE || bytes[newline + 1] === TAB)) {
      newline = findNewline(words, newline + 1, end);
      if (newline < end && bytes[newline - 1] !== CR) error = MESSAGE_ERROR.LINE_END;
    }
    let valueEnd = newline;
    while (valueEnd > value && bytes[valueEnd - 1]! <= SPACE && isBlank(bytes[valueEnd - 1]!)) valueEnd--;
    while (value < valueEnd && bytes[value]! <= SPACE && isBlank(bytes[value]!)) value++;
    const next = newline < end ? newline + 1 : end;
    index.add(id, line, value, valueEnd, next);
    line = next;
  }
}

/** Section 18.3: what lies beyond the Content-Length is discarded, too short a body is an error; without the header the
 *  body reaches to the end of the datagram. */
function readContentLength(bytes: Bytes, index: MessageIndex): number {
  const header = index.first[HEADER_ID.CONTENT_LENGTH]!;
  if (header === -1) return MESSAGE_ERROR.NONE;
  if (index.next(header) !== -1) return MESSAGE_ERROR.SEVERAL_CONTENT_LENGTHS;
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

// ---- Header names by words ------------------------------------------------------------------------------------------

/** Names of four letters and more, in buckets by their first word; built once per thread from the header table. */
const BUCKET_BITS = 8;
const WORDS_PER_NAME = 8;
const MAX_NAMES = 256;
const buckets = new Int32Array(1 << BUCKET_BITS).fill(-1);
const nextInBucket = new Int32Array(MAX_NAMES);
const idOfName = new Int32Array(MAX_NAMES);
const lengthOfName = new Int32Array(MAX_NAMES);
/** Lower-cased words of each name and, per byte, 0x20 where it is a letter, so that case folds and nothing else does. */
const wordsOfName = new Int32Array(MAX_NAMES * WORDS_PER_NAME);
const foldOfName = new Int32Array(MAX_NAMES * WORDS_PER_NAME);
/** Ids of the compact forms, by their letter. */
const compactId = new Int32Array(128).fill(-1);
let nameCount = 0;

for (const [id, names] of HEADER_NAMES) {
  for (const name of names) addName(id, name.toLowerCase());
}

function addName(id: number, name: string): void {
  if (name.length === 1) compactId[name.charCodeAt(0)] = id;
  // "To" and "Via" are compared in place; a name too long for the table is read as an unknown header.
  if (name.length < 4 || name.length > WORDS_PER_NAME * 4) return;
  const entry = nameCount++;
  for (let word = 0; word < WORDS_PER_NAME; word++) {
    let letters = 0;
    let fold = 0;
    for (let byte = 0; byte < 4; byte++) {
      const code = name.charCodeAt(word * 4 + byte) | 0;
      letters |= code << (byte * 8);
      if (code >= 0x61 && code <= 0x7a) fold |= 0x20 << (byte * 8);
    }
    wordsOfName[entry * WORDS_PER_NAME + word] = letters;
    foldOfName[entry * WORDS_PER_NAME + word] = fold;
  }
  const bucket = bucketOf(wordsOfName[entry * WORDS_PER_NAME]!);
  idOfName[entry] = id;
  lengthOfName[entry] = name.length;
  nextInBucket[entry] = buckets[bucket]!;
  buckets[bucket] = entry;
}

function bucketOf(word: number): number {
  return Math.imul(word | 0x20202020, 0x9e3779b1) >>> (32 - BUCKET_BITS);
}

/** Length of the name that `headerIdAt` found last. */
let matchedLength = 0;

/** Id of the known header whose name begins at `line` and is followed by a colon or white space, or −1. */
function headerIdAt(bytes: Bytes, words: Words, line: number): number {
  const word = unalignedWord(words, line);
  const second = (word >>> 8) & 0xff;
  if (second === COLON || second === SPACE || second === TAB) {
    matchedLength = 1;
    const letter = (word & 0xff) | 0x20;
    return letter < 128 ? compactId[letter]! : -1;
  }
  if (((word | 0x202020) & 0xffffff) === 0x616976 && isNameEnd(word >>> 24)) {
    matchedLength = 3;
    return HEADER_ID.VIA;
  }
  if (((word | 0x2020) & 0xffff) === 0x6f74 && isNameEnd((word >>> 16) & 0xff)) {
    matchedLength = 2;
    return HEADER_ID.TO;
  }
  for (let entry = buckets[bucketOf(word)]!; entry !== -1; entry = nextInBucket[entry]!) {
    const length = lengthOfName[entry]!;
    if (isNameEnd(bytes[line + length]!) && isName(words, line, entry, length, word)) {
      matchedLength = length;
      return idOfName[entry]!;
    }
  }
  return -1;
}

function isNameEnd(byte: number): boolean {
  return byte === COLON || byte === SPACE || byte === TAB;
}

function isName(words: Words, line: number, entry: number, length: number, firstWord: number): boolean {
  let at = entry * WORDS_PER_NAME;
  if ((firstWord | foldOfName[at]!) !== wordsOfName[at]!) return false;
  let left = length - 4;
  for (let byte = line + 4; left > 0; byte += 4, left -= 4) {
    at++;
    const word = unalignedWord(words, byte) | foldOfName[at]!;
    const mask = left >= 4 ? -1 : (1 << (left << 3)) - 1;
    if ((word & mask) !== wordsOfName[at]!) return false;
  }
  return true;
}

/** The four bytes at `at`, little-endian, from the one or two aligned words that hold them. */
function unalignedWord(words: Words, at: number): number {
  const shift = (at & 3) << 3;
  const low = words[at >> 2]!;
  return shift === 0 ? low : (low >>> shift) | (words[(at >> 2) + 1]! << (32 - shift));
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
