/** The check of what a server answers itself to a request of ours (RFC 3261 8.2.6): Via, From, Call-ID and CSeq as they were
 *  sent, To too but for a tag, no body. Hot: once per such response, allocates nothing. */

import type { Arena } from '../../src/memory/arena.ts';
import { sameBytes } from './byte-compare.ts';
import { HeaderLines, LINE } from './header-lines.ts';

const TAG = new TextEncoder().encode(';tag=');
const ZERO = 0x30;

/** Lines that come back as they were sent, and what a wrong one is counted as. */
const ECHOED = [LINE.VIA, LINE.CALL_ID, LINE.CSEQ, LINE.FROM] as const;
const CAUSES = ['via', 'call-id', 'cseq', 'from'] as const;
const ECHOED_NAMES = ['\r\nVia: ', '\r\nCall-ID: ', '\r\nCSeq: ', '\r\nFrom: '] as const;

export class ServerAnswers {
  readonly lines: HeaderLines;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #toAt: number;
  readonly #toBytes: number;

  /** `request`: the text of the request, as its exchange has it. */
  constructor(arena: Arena, request: string) {
    this.lines = new HeaderLines(arena);
    this.#bytes = arena.bytes;
    this.#view = arena.view;
    this.#starts = Int32Array.from(ECHOED_NAMES, (name) => request.indexOf(name) + 2);
    this.#lengths = Int32Array.from(this.#starts, (start) => request.indexOf('\r\n', start) - start);
    this.#toAt = request.indexOf('\r\nTo: ') + 2;
    this.#toBytes = request.indexOf('\r\n', this.#toAt) - this.#toAt;
  }

  /** Reads a response; where its number is in the top Via if `numberAt` is that within the line, or −1 if it cannot be read. */
  read(start: number, end: number, numberAt: number): number {
    if (!this.lines.read(start, end) || this.lines.counts[LINE.VIA] === 0) return -1;
    const at = this.lines.starts[LINE.VIA]! + numberAt;
    return at < this.lines.ends[LINE.VIA]! ? at : -1;
  }

  /** What is wrong with the response just read, as the answer to the request at `request`; null: nothing. */
  causeOf(request: number, end: number, needsTag: boolean): string | null {
    const { lines } = this;
    for (let i = 0; i < ECHOED.length; i++) {
      const line = ECHOED[i]!;
      const start = lines.starts[line]!;
      const length = this.#lengths[i]!;
      if (lines.counts[line] !== 1 || lines.ends[line]! - start !== length) return CAUSES[i]!;
      if (!sameBytes(this.#view, start, request + this.#starts[i]!, length)) return CAUSES[i]!;
    }
    if (lines.counts[LINE.TO] !== 1 || !this.#isTo(request, needsTag)) return 'to';
    if (lines.counts[LINE.RECORD_ROUTE] !== 0) return 'record-route';
    if (lines.counts[LINE.CONTENT_LENGTH] !== 1 || !this.#saysNoBody()) return 'content-length';
    return lines.bodyAt === end ? null : 'body';
  }

  #isTo(request: number, needsTag: boolean): boolean {
    const start = this.lines.starts[LINE.TO]!;
    const end = this.lines.ends[LINE.TO]!;
    const tagAt = start + this.#toBytes;
    if (end < tagAt || !sameBytes(this.#view, start, request + this.#toAt, this.#toBytes)) return false;
    if (end === tagAt) return !needsTag;
    if (end - tagAt <= TAG.length) return false;
    for (let i = 0; i < TAG.length; i++) if (this.#bytes[tagAt + i] !== TAG[i]) return false;
    return true;
  }

  #saysNoBody(): boolean {
    const at = this.lines.valueAt(LINE.CONTENT_LENGTH);
    return this.lines.ends[LINE.CONTENT_LENGTH]! === at + 1 && this.#bytes[at] === ZERO;
  }
}

/** The three digits of a status line, or −1: 'SIP/2.0 ' and they. */
export function statusAt(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 12 || bytes[start] !== 0x53 || bytes[start + 7] !== 0x20) return -1;
  const hundreds = bytes[start + 8]! - 0x30;
  const tens = bytes[start + 9]! - 0x30;
  const ones = bytes[start + 10]! - 0x30;
  const status = hundreds * 100 + tens * 10 + ones;
  return status >= 100 && status < 700 ? status : -1;
}
