/** The credentials in one Authorization or Proxy-Authorization header field (RFC 3261 25.1, RFC 7616 3.4). Runs on the
 *  shard. Hot: once per request that is authenticated, allocates nothing.
 *
 *  ```
 *  Digest username="alice", realm="example.com", nonce="…", uri="sip:example.com", qop=auth, nc=00000001, …
 *  ```
 *  Departs from RFC 3261 25.1: any value may be a token or a quoted string, as phones quote qop, nc and algorithm; and
 *  elements of the list may be empty, which recipients must accept in HTTP (RFC 7616 2.2). */

import { ascii, type Literal } from '../base/ascii.ts';
import { LOWER, QUOTED, TOKEN } from '../base/char-class.ts';
import { equalBytes } from '../base/spans.ts';
import { isWord, skipLws, skipQuoted } from '../sip/lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** Bytes and the words over them; the arena is one. */
export interface Text {
  readonly bytes: Bytes;
  readonly view: DataView;
  readonly words: Int32Array<SharedArrayBuffer>;
}

export function textOver(buffer: SharedArrayBuffer): Text {
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer), words: new Int32Array(buffer) };
}

/** What is wrong with a header field. NONE is 0, the others negative. */
export const CREDENTIALS_ERROR = {
  NONE: 0,
  /** Not Digest. */
  OTHER_SCHEME: -1,
  MALFORMED: -2,
  /** username* (RFC 7616 3.4.4), which nobody sends who was not asked for it: we know names as they are in SIP. */
  EXTENDED_USERNAME: -3,
} as const;

/** The parameters that are looked at. */
export const FIELD = {
  USERNAME: 0,
  REALM: 1,
  NONCE: 2,
  URI: 3,
  RESPONSE: 4,
  ALGORITHM: 5,
  CNONCE: 6,
  OPAQUE: 7,
  QOP: 8,
  NC: 9,
} as const;
const FIELD_COUNT = 10;
const EXTENDED_USERNAME = FIELD_COUNT;
const OTHER_FIELD = -1;

const NAMES = [
  'username',
  'realm',
  'nonce',
  'uri',
  'response',
  'algorithm',
  'cnonce',
  'opaque',
  'qop',
  'nc',
  'username*',
];
const DIGEST = ascii('digest');

/** No two of them share both length and first letter, so these name the only candidate. */
const candidates = new Int8Array(16 * 32).fill(OTHER_FIELD);
/** The first and the last four bytes of each name as words; a shorter one is padded, and both are the same. */
const firstWords = new Int32Array(NAMES.length);
const lastWords = new Int32Array(NAMES.length);
/** The one byte of a name of nine that is in neither. */
const MIDDLE = 4;
const LONGEST = 9;
const CAPITALS = 0x20202020;

for (const [field, name] of NAMES.entries()) {
  candidates[candidateSlot(name.length, name.charCodeAt(0))] = field;
  const bytes = Buffer.from(name.padEnd(4, '\0'));
  firstWords[field] = bytes.readInt32LE(0);
  lastWords[field] = bytes.readInt32LE(Math.max(0, name.length - 4));
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DQUOTE = 0x22;
const COMMA = 0x2c;
const EQUAL = 0x3d;
const BACKSLASH = 0x5c;

/** One header field at a time. Spans are of `text`: the bytes that were read, or those that `unquote` wrote. */
export class DigestCredentials {
  text: Text;
  /** The value of `uri` where it was read, escapes and all; empty without one. */
  rawUriStart = 0;
  rawUriEnd = 0;
  /** No value has a quoted-pair or a fold in it: every span is what its quoted string stands for. */
  isPlain = true;
  /** Bit 1 << FIELD for what was there. */
  #present = 0;
  readonly #spans = new Int32Array(2 * (FIELD_COUNT + 1));

  constructor(text: Text) {
    this.text = text;
  }

  has(field: number): boolean {
    return (this.#present & (1 << field)) !== 0;
  }

  /** First byte of a value, behind its quote; 0 without one. */
  start(field: number): number {
    return this.#spans[field << 1]!;
  }

  end(field: number): number {
    return this.#spans[(field << 1) + 1]!;
  }

  lengthOf(field: number): number {
    return this.#spans[(field << 1) + 1]! - this.#spans[field << 1]!;
  }

  /** Reads the header value in [start, end) of `text`. Returns CREDENTIALS_ERROR.NONE or what is wrong first. A parameter
   *  that stands twice is malformed, since one program would take the first and another the last. */
  read(text: Text, start: number, end: number): number {
    const { bytes } = text;
    this.#forget(text);
    let at = start;
    while (at < end && TOKEN[bytes[at]!] === 1) at++;
    if (at === start) return CREDENTIALS_ERROR.MALFORMED;
    if (!isWord(bytes, start, at, DIGEST)) return CREDENTIALS_ERROR.OTHER_SCHEME;
    const first = skipLws(bytes, at, end);
    if (first === at || first === end) return CREDENTIALS_ERROR.MALFORMED;
    at = first;
    while (at < end) {
      if (bytes[at] === COMMA) {
        at = skipLws(bytes, at + 1, end);
        continue;
      }
      at = this.#readParam(text, at, end);
      if (at < 0 || (at < end && bytes[at] !== COMMA)) return CREDENTIALS_ERROR.MALFORMED;
    }
    if (this.has(EXTENDED_USERNAME)) {
      // RFC 7616 3.4: both are an error.
      return this.has(FIELD.USERNAME) ? CREDENTIALS_ERROR.MALFORMED : CREDENTIALS_ERROR.EXTENDED_USERNAME;
    }
    this.rawUriStart = this.start(FIELD.URI);
    this.rawUriEnd = this.end(FIELD.URI);
    return CREDENTIALS_ERROR.NONE;
  }

  /** Cold: makes the view plain. Copies every value to `scratch`, which has room for the header field, with quoted-pairs
   *  undone and a fold as one space. */
  unquote(scratch: Text): void {
    const { bytes } = this.text;
    const spans = this.#spans;
    let at = 0;
    for (let field = 0; field < FIELD_COUNT; field++) {
      const from = at;
      at = unquoteTo(bytes, this.start(field), this.end(field), scratch.bytes, at);
      spans[field << 1] = from;
      spans[(field << 1) + 1] = at;
    }
    this.text = scratch;
    this.isPlain = true;
  }

  /** Whether a field is just this text. */
  equals(field: number, value: Literal): boolean {
    if (this.lengthOf(field) !== value.length) return false;
    return equalBytes(value.view, 0, value.length, this.text.view, this.start(field));
  }

  #forget(text: Text): void {
    this.text = text;
    this.isPlain = true;
    this.#present = 0;
    for (let i = 0; i < 2 * FIELD_COUNT; i++) this.#spans[i] = 0;
    this.rawUriStart = this.rawUriEnd = 0;
  }

  /** auth-param = token EQUAL ( token / quoted-string ). Returns the index behind it and white space, −1 if it is none. */
  #readParam(text: Text, start: number, end: number): number {
    const { bytes } = text;
    let at = start;
    while (at < end && TOKEN[bytes[at]!] === 1) at++;
    const nameEnd = at;
    if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
    if (nameEnd === start || at >= end || bytes[at] !== EQUAL) return -1;
    at++;
    if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
    if (at >= end) return -1;
    const isQuoted = bytes[at] === DQUOTE;
    const valueStart = isQuoted ? at + 1 : at;
    if (isQuoted) {
      at = this.#skipQuoted(bytes, at, end);
      if (at < 0) return -1;
    } else {
      while (at < end && TOKEN[bytes[at]!] === 1) at++;
      if (at === valueStart) return -1;
    }
    const field = fieldOf(text, start, nameEnd);
    if (field !== OTHER_FIELD && !this.#keep(field, valueStart, isQuoted ? at - 1 : at)) return -1;
    return at < end && bytes[at]! <= SPACE ? skipLws(bytes, at, end) : at;
  }

  /** As `skipQuoted` of sip/lexis.ts, and notes what is not plain. */
  #skipQuoted(bytes: Bytes, quote: number, end: number): number {
    let at = quote + 1;
    while (at < end && QUOTED[bytes[at]!] === 1) at++;
    if (at < end && bytes[at] === DQUOTE) return at + 1;
    this.isPlain = false;
    return skipQuoted(bytes, quote, end);
  }

  #keep(field: number, start: number, end: number): boolean {
    const bit = 1 << field;
    if ((this.#present & bit) !== 0) return false;
    this.#present |= bit;
    this.#spans[field << 1] = start;
    this.#spans[(field << 1) + 1] = end;
    return true;
  }
}

/** Which parameter the token in [start, end) names. Four bytes are compared at a time, with bit 0x20 set: in a token that makes
 *  letters small and turns nothing else into a letter or a `*`. */
function fieldOf({ bytes, words }: Text, start: number, end: number): number {
  const length = end - start;
  if (length > LONGEST) return OTHER_FIELD;
  const field = candidates[candidateSlot(length, bytes[start]!)]!;
  if (field === OTHER_FIELD) return OTHER_FIELD;
  const first = wordAt(words, start) | CAPITALS;
  if (length < 4) {
    const mask = (1 << (length << 3)) - 1;
    return (first & mask) === firstWords[field] ? field : OTHER_FIELD;
  }
  const isIt = first === firstWords[field] && (wordAt(words, end - 4) | CAPITALS) === lastWords[field];
  if (!isIt) return OTHER_FIELD;
  if (length < LONGEST) return field;
  return LOWER[bytes[start + MIDDLE]!] === NAMES[field]!.charCodeAt(MIDDLE) ? field : OTHER_FIELD;
}

/** Four bytes at any alignment. */
function wordAt(words: Int32Array<SharedArrayBuffer>, at: number): number {
  const word = at >> 2;
  const shift = (at & 3) << 3;
  return (words[word]! >>> shift) | ((words[word + 1]! << 1) << (31 - shift));
}

function candidateSlot(length: number, firstByte: number): number {
  return (length << 5) | (firstByte & 31);
}

function unquoteTo(bytes: Bytes, start: number, end: number, target: Bytes, to: number): number {
  let at = to;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === CR || byte === LF) {
      while (i + 1 < end && isBlank(bytes[i + 1]!)) i++;
      target[at++] = SPACE;
    } else {
      if (byte === BACKSLASH) i++;
      target[at++] = bytes[i]!;
    }
  }
  return at;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === LF || byte === CR;
}
