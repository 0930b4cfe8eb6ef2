/** Where messages begin and end in the bytes of a stream (RFC 3261 7.5, 18.3, 20.14; RFC 5626 3.5.1, 4.4.1). Runs on the thread of
 *  the streams. Hot: once per message, allocates nothing. A framer belongs to one connection and remembers how far it has read,
 *  so that of a message which comes byte by byte each byte is looked at once. Whether a message is valid is the shard's
 *  business; here it is only read what has to be understood to find its end. */

import { ascii } from '../base/ascii.ts';
import { LOWER, TOKEN } from '../base/char-class.ts';
import { findNewlineIn } from '../base/newline.ts';

/** What `next` finds at the front of the bytes. */
export const FRAME = {
  /** Nothing whole: more bytes are needed. */
  PARTIAL: 0,
  /** A message of `frameBytes`. */
  MESSAGE: 1,
  /** Line ends between messages, `frameBytes` of them: ignored. */
  LINE_ENDS: 2,
  /** The same, and they are a keep-alive, which is answered by one line end (RFC 5626 4.4.1). */
  PING: 3,
  /** The end of this message, and what follows, cannot be known: `fault` says why. Its header section has `frameBytes`, if it is
   *  one that can be answered; else they are 0. */
  FAULT: 4,
} as const;

/** What is wrong with a stream. Up to LAST_ANSWERABLE there is a whole header section. */
export const FRAME_FAULT = {
  NONE: 0,
  /** "If a stream-based protocol is used as transport, then the header field MUST be used" (20.14). */
  NO_CONTENT_LENGTH: 1,
  /** No number, a negative one, or several that differ. */
  BAD_CONTENT_LENGTH: 2,
  /** Headers and body together are longer than is allowed. */
  TOO_LARGE: 3,
  /** A line that ends in LF alone: to others it may not end there, and the message neither. */
  LINE_END: 4,
  LAST_ANSWERABLE: 4,
  /** No end of the headers within the limit. */
  LONG_HEADERS: 5,
  /** No SIP. */
  GARBAGE: 6,
} as const;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
const ZERO = 0x30;
const NINE = 0x39;
const SMALL_C = 0x63;
const SMALL_L = 0x6c;

/** Two line ends: a keep-alive. */
const PING_BYTES = 4;
const CONTENT_LENGTH = ascii('content-length');
const SIP_SLASH = ascii('sip/');
const SCHEMES = [ascii('sip:'), ascii('sips:')];
/** "SIP/2.0", with which a request line ends. */
const VERSION_BYTES = 7;
/** Content-Length before there is one, and after one that is wrong. */
const NO_LENGTH = -1;
const BAD_LENGTH = -2;
/** Any length from here on is too large, and nothing more is asked of it. */
const LENGTH_CEILING = 0x0fff_ffff;

export class StreamFramer {
  readonly #limit: number;
  /** Bytes of CR LF CR LF seen last, between messages. */
  #pingBytes = 0;
  /** Of the message at the front: where the first line begins that is not yet read, and how far that was looked at. */
  #line = 0;
  #scanned = 0;
  #contentLength = NO_LENGTH;
  #hasLoneLf = false;

  /** See FRAME. */
  frameBytes = 0;
  /** One of FRAME_FAULT. It stays. */
  fault: number = FRAME_FAULT.NONE;
  /** Bytes of the message at the front, once its headers are read; until then 0. */
  messageBytes = 0;

  /** `limit`: bytes of the longest message, headers and body together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a message has begun and is not whole. */
  get isWithin(): boolean {
    return this.#scanned > 0 || this.messageBytes > 0;
  }

  /** Looks at the bytes [start, end): those of the last call, less `frameBytes` of them if it found a frame, and whatever has come
   *  since. `view` is of the same bytes. Returns one of FRAME. */
  next(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    this.frameBytes = 0;
    if (this.fault !== FRAME_FAULT.NONE) return FRAME.FAULT;
    if (start === end) return FRAME.PARTIAL;
    if (!this.isWithin) {
      const first = bytes[start]!;
      if (first === CR || first === LF) return this.#skipLineEnds(bytes, start, end);
      this.#pingBytes = 0;
      if (TOKEN[first] === 0) return this.#fail(FRAME_FAULT.GARBAGE, 0);
    }
    if (this.messageBytes === 0) {
      this.#readHeaders(bytes, view, start, end);
      if (this.messageBytes === 0) return this.fault === FRAME_FAULT.NONE ? FRAME.PARTIAL : FRAME.FAULT;
    }
    if (end - start < this.messageBytes) return FRAME.PARTIAL;
    this.frameBytes = this.messageBytes;
    this.#line = this.#scanned = this.messageBytes = 0;
    this.#contentLength = NO_LENGTH;
    return FRAME.MESSAGE;
  }

  /** Section 7.5: line ends before a start line are ignored. Stops behind a keep-alive, so that each is answered. */
  #skipLineEnds(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    let matched = this.#pingBytes;
    while (at < end && matched < PING_BYTES) {
      const byte = bytes[at]!;
      if (byte === CR) matched = matched === 2 ? 3 : 1;
      else if (byte === LF) matched = (matched & 1) === 1 ? matched + 1 : 0;
      else break;
      at++;
    }
    this.frameBytes = at - start;
    const isPing = matched === PING_BYTES;
    this.#pingBytes = isPing ? 0 : matched;
    return isPing ? FRAME.PING : FRAME.LINE_ENDS;
  }

  /** Reads on to the empty line, and then sets `messageBytes` or `fault`. A line is whole once the byte after it shows that it is
   *  not folded (7.3.1). */
  #readHeaders(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    const have = Math.min(end - start, this.#limit);
    let at = this.#scanned;
    for (;;) {
      at = findNewlineIn(view, start + at, start + have) - start;
      if (at < have && this.#line === 0 && !mayStart(bytes, start, start + at)) {
        this.#fail(FRAME_FAULT.GARBAGE, 0);
        return;
      }
      const next = at + 1;
      // Behind an LF one byte tells whether there is a fold, and behind CR another one whether this is the empty line.
      const isMissing = next >= have || (bytes[start + next] === CR && next + 1 >= have);
      if (isMissing) {
        this.#scanned = Math.max(1, Math.min(at, have));
        if (have === this.#limit) this.#fail(FRAME_FAULT.LONG_HEADERS, 0);
        return;
      }
      const following = bytes[start + next]!;
      const isFold = this.#line > 0 && (following === SPACE || following === TAB);
      if (at === 0 || bytes[start + at - 1] !== CR) this.#hasLoneLf = true;
      if (!isFold) {
        if (this.#line > 0) this.#readHeader(bytes, start + this.#line, start + at);
        this.#line = next;
        if (following === LF) {
          this.#hasLoneLf = true;
          this.#headersEndAt(next + 1);
          return;
        }
        if (following === CR && bytes[start + next + 1] === LF) {
          this.#headersEndAt(next + 2);
          return;
        }
      }
      at = next;
    }
  }

  #headersEndAt(headerBytes: number): void {
    if (this.#hasLoneLf) this.#fail(FRAME_FAULT.LINE_END, headerBytes);
    else if (this.#contentLength === NO_LENGTH) this.#fail(FRAME_FAULT.NO_CONTENT_LENGTH, headerBytes);
    else if (this.#contentLength === BAD_LENGTH) this.#fail(FRAME_FAULT.BAD_CONTENT_LENGTH, headerBytes);
    else if (headerBytes + this.#contentLength > this.#limit) this.#fail(FRAME_FAULT.TOO_LARGE, headerBytes);
    else this.messageBytes = headerBytes + this.#contentLength;
  }

  /** The header line [start, end), its folds included, if it is a Content-Length. */
  #readHeader(bytes: Uint8Array, start: number, end: number): void {
    const first = LOWER[bytes[start]!];
    if (first !== SMALL_C && first !== SMALL_L) return;
    let at = first === SMALL_L ? start + 1 : start + CONTENT_LENGTH.length;
    if (first === SMALL_C && !isWordAt(bytes, start, end, CONTENT_LENGTH)) return;
    while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
    if (at >= end || bytes[at] !== COLON) return;
    const length = readLength(bytes, at + 1, end);
    const before = this.#contentLength;
    this.#contentLength = before === NO_LENGTH || before === length ? length : BAD_LENGTH;
  }

  #fail(fault: number, frameBytes: number): number {
    this.fault = fault;
    this.frameBytes = frameBytes;
    return FRAME.FAULT;
  }
}

/** 1*DIGIT between white space, capped; else BAD_LENGTH. */
function readLength(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(bytes[at]!)) at++;
  const digits = at;
  let length = 0;
  for (; at < end && bytes[at]! >= ZERO && bytes[at]! <= NINE; at++) {
    length = Math.min(LENGTH_CEILING, length * 10 + bytes[at]! - ZERO);
  }
  if (at === digits) return BAD_LENGTH;
  while (at < end && isBlank(bytes[at]!)) at++;
  return at === end ? length : BAD_LENGTH;
}

/** Whether [start, end) could be a request or a status line: "SIP/" is in it. */
export function isStartLine(bytes: Uint8Array, start: number, end: number): boolean {
  const lineEnd = bytes[end - 1] === CR ? end - 1 : end;
  if (isWordAt(bytes, start, lineEnd, SIP_SLASH)) return true;
  for (let at = lineEnd - VERSION_BYTES; at > start; at--) {
    if (isWordAt(bytes, at, lineEnd, SIP_SLASH)) return true;
  }
  return false;
}

function mayStart(bytes: Uint8Array, start: number, end: number): boolean {
  return isStartLine(bytes, start, end) || lacksVersion(bytes, start, end);
}

/** Whether [start, end) is a request line but for its version: the second word is a URI that only SIP has. Such a request is framed as
 *  any other, so that it is answered. */
function lacksVersion(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && TOKEN[bytes[at]!] === 1) at++;
  return at > start && bytes[at] === SPACE && SCHEMES.some((scheme) => isWordAt(bytes, at + 1, end, scheme));
}

/** In any case. */
function isWordAt(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start < word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if (LOWER[bytes[start + i]!] !== word[i]) return false;
  }
  return true;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === CR || byte === LF;
}
