/** The lines of a message that the server made itself: a 100, a 302, an answer to REGISTER. Their order is the server's, so
 *  they are looked up, not compared as a whole. Hot: once per such message, allocates nothing. */

import { findNewline } from '../../src/base/newline.ts';
import type { Arena } from '../../src/memory/arena.ts';

const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;

/** The lines that are looked at. Their names are written as RFC 3261 7.3.1 prefers and every server does. */
export const LINE = {
  VIA: 0,
  FROM: 1,
  TO: 2,
  CALL_ID: 3,
  CSEQ: 4,
  CONTACT: 5,
  CONTENT_LENGTH: 6,
  WWW_AUTHENTICATE: 7,
  RECORD_ROUTE: 8,
} as const;
const NAMES = ['Via', 'From', 'To', 'Call-ID', 'CSeq', 'Contact', 'Content-Length', 'WWW-Authenticate', 'Record-Route'];
const NAME_BYTES = NAMES.map((name) => new TextEncoder().encode(`${name}: `));

export class HeaderLines {
  /** Of LINE: where the first such line begins and ends (CRLF excluded), and how many there are. */
  readonly starts = new Int32Array(NAMES.length);
  readonly ends = new Int32Array(NAMES.length);
  readonly counts = new Int32Array(NAMES.length);
  bodyAt = 0;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Reads the header of [start, end), which must begin at its start line. False: it is no message of RFC 3261. */
  read(start: number, end: number): boolean {
    const { bytes, words } = this.#arena;
    this.counts.fill(0);
    let at = findNewline(words, start, end) + 1;
    while (at < end) {
      const newline = findNewline(words, at, end);
      if (newline >= end || bytes[newline - 1] !== CR) return false;
      if (newline === at + 1) {
        this.bodyAt = newline + 1;
        return true;
      }
      const line = this.#lineAt(at, newline - 1);
      if (line >= 0 && this.counts[line]!++ === 0) {
        this.starts[line] = at;
        this.ends[line] = newline - 1;
      }
      if (line < 0 && !this.#hasColon(at, newline)) return false;
      at = newline + 1;
    }
    return false;
  }

  /** Where the value of a line begins. */
  valueAt(line: number): number {
    return this.starts[line]! + NAME_BYTES[line]!.length;
  }

  #lineAt(at: number, end: number): number {
    const { bytes } = this.#arena;
    switch (bytes[at]) {
      case 0x56: // V
        return this.#isNamed(LINE.VIA, at, end);
      case 0x46: // F
        return this.#isNamed(LINE.FROM, at, end);
      case 0x54: // T
        return this.#isNamed(LINE.TO, at, end);
      case 0x57: // W
        return this.#isNamed(LINE.WWW_AUTHENTICATE, at, end);
      case 0x52: // R
        return this.#isNamed(LINE.RECORD_ROUTE, at, end);
      case 0x43: // C
        if (bytes[at + 1] === 0x53) return this.#isNamed(LINE.CSEQ, at, end);
        if (bytes[at + 1] === 0x61) return this.#isNamed(LINE.CALL_ID, at, end);
        if (bytes[at + 5] === 0x63) return this.#isNamed(LINE.CONTACT, at, end);
        return this.#isNamed(LINE.CONTENT_LENGTH, at, end);
      default:
        return -1;
    }
  }

  #isNamed(line: number, at: number, end: number): number {
    const { bytes } = this.#arena;
    const name = NAME_BYTES[line]!;
    if (end - at < name.length) return -1;
    for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return -1;
    return line;
  }

  /** A header line, or the continuation of one. */
  #hasColon(at: number, end: number): boolean {
    const { bytes } = this.#arena;
    if (bytes[at] === SPACE) return true;
    for (let i = at; i < end; i++) if (bytes[i] === COLON) return true;
    return false;
  }
}
