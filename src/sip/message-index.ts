/** Where everything in one message lies: a reused table over the bytes as they arrived (RFC 3261 section 7).
 *  Filled by `parseMessage`; runs on the shard. Hot: once per datagram, allocates nothing. */

import { HEADER_COUNT } from './header-table.ts';

/** More header lines than this are refused; Kamailio and Asterisk stop far earlier. */
export const MAX_HEADERS = 512;

/** Fields of one header in `MessageIndex.table`. */
const ID = 0;
const LINE_START = 1;
const VALUE_START = 2;
const VALUE_END = 3;

/** All offsets are absolute in the arena and valid until the slot is given back. */
export class MessageIndex {
  start = 0;
  /** End of the message: octets beyond the Content-Length are outside (section 18.3). */
  end = 0;
  isRequest = false;
  /** METHOD id of a request. */
  method = 0;
  methodStart = 0;
  methodEnd = 0;
  uriStart = 0;
  uriEnd = 0;
  /** "SIP/2.0" of a request stands there in other than capitals. */
  hasOddVersion = false;
  /** 100 … 699 in a response. */
  statusCode = 0;
  /** First byte of the first header line. */
  headersStart = 0;
  /** The empty line that ends the headers (its first byte). */
  headersEnd = 0;
  bodyStart = 0;
  headerCount = 0;

  readonly table = new Int32Array((MAX_HEADERS + 1) * 4);
  /** Index of the first header with an id, or −1. */
  readonly first = new Int32Array(HEADER_COUNT).fill(-1);

  idOf(header: number): number {
    return this.table[(header << 2) + ID]!;
  }

  lineStart(header: number): number {
    return this.table[(header << 2) + LINE_START]!;
  }

  /** One past the CRLF of the header's last line. */
  lineEnd(header: number): number {
    return this.table[((header + 1) << 2) + LINE_START]!;
  }

  /** White space around the value is outside. */
  valueStart(header: number): number {
    return this.table[(header << 2) + VALUE_START]!;
  }

  valueEnd(header: number): number {
    return this.table[(header << 2) + VALUE_END]!;
  }

  /** The next header with the same id, or −1. */
  next(header: number): number {
    const id = this.idOf(header);
    for (let i = header + 1; i < this.headerCount; i++) {
      if (this.table[(i << 2) + ID] === id) return i;
    }
    return -1;
  }

  /** Forgets the previous message. */
  reset(start: number, end: number): void {
    const { table, first } = this;
    for (let i = this.headerCount - 1; i >= 0; i--) first[table[i << 2]!] = -1;
    this.headerCount = 0;
    this.start = start;
    this.end = end;
    this.isRequest = false;
    this.hasOddVersion = false;
    this.method = 0;
    this.statusCode = 0;
    this.methodStart = this.methodEnd = this.uriStart = this.uriEnd = start;
    this.headersStart = this.headersEnd = this.bodyStart = end;
    table[LINE_START] = end;
  }

  add(id: number, lineStart: number, valueStart: number, valueEnd: number, lineEnd: number): void {
    const { table, first } = this;
    const header = this.headerCount++;
    const at = header << 2;
    table[at + ID] = id;
    table[at + LINE_START] = lineStart;
    table[at + VALUE_START] = valueStart;
    table[at + VALUE_END] = valueEnd;
    table[at + 4 + LINE_START] = lineEnd;
    if (first[id] === -1) first[id] = header;
  }
}
