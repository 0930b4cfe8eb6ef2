/** Where everything in one message lies: a reused table over the bytes as they arrived (RFC 3261 section 7).
 *  Filled by `parseMessage`; runs on the shard. Hot: once per datagram, allocates nothing. */

import { TOKEN } from '../base/char-class.ts';
import { HEADER_COUNT, headerIdOf } from './header-table.ts';

/** More header lines than this are refused: of any length, they would hardly fit into a datagram. */
export const MAX_HEADERS = 2048;

/** In place of an id: a header that is not one of the core and was not asked for yet. It has the last place of `first`. */
export const UNIDENTIFIED = HEADER_COUNT;

/** Ids that have a bit in `MessageIndex.repeated`: all those that are looked at in every message are among them. */
const REPEATED_BITS = 32;

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
  /** "SIP/2.0" stands there in other than capitals. */
  hasOddVersion = false;
  /** Some line ends in LF alone. */
  hasLoneLineFeed = false;
  /** 100 … 699 in a response. */
  statusCode = 0;
  /** First byte of the first header line. */
  headersStart = 0;
  /** The empty line that ends the headers (its first byte). */
  headersEnd = 0;
  bodyStart = 0;
  headerCount = 0;
  /** Bit 1 << id is set if the header with that id, below 32, stands there more than once; of those that are not core, once
   *  they are identified. */
  repeated = 0;

  /** Four words for each header: id, start of its line, start and end of its value; and the end of the last line behind. */
  readonly table = new Int32Array((MAX_HEADERS + 1) * 4);
  /** Index of the first header with a core id (Via, Max-Forwards, Max-Breadth, Route, Record-Route, From, To, Call-ID, CSeq,
   *  Contact, Content-Length, Expires, User-Agent, Proxy-Require), or −1. Others are here only after `find`. */
  readonly first = new Int32Array(HEADER_COUNT + 1).fill(-1);

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

  /** Index of the first header with any id, or −1. The first call for one that is not core tells all the rest by name. */
  find(bytes: Uint8Array<SharedArrayBuffer>, id: number): number {
    if (this.first[UNIDENTIFIED] !== -1) this.#identifyRest(bytes);
    return this.first[id]!;
  }

  #identifyRest(bytes: Uint8Array<SharedArrayBuffer>): void {
    const { table, first } = this;
    for (let header = first[UNIDENTIFIED]!; header < this.headerCount; header++) {
      if (this.idOf(header) !== UNIDENTIFIED) continue;
      const start = this.lineStart(header);
      let nameEnd = start;
      while (TOKEN[bytes[nameEnd]!] === 1) nameEnd++;
      const id = headerIdOf(bytes, start, nameEnd);
      table[(header << 2) + ID] = id;
      if (first[id] === -1) first[id] = header;
      else if (id < REPEATED_BITS) this.repeated |= 1 << id;
    }
    first[UNIDENTIFIED] = -1;
  }

  /** The next header with the same id, or −1. */
  next(header: number): number {
    const id = this.idOf(header);
    if (id < REPEATED_BITS && (this.repeated & (1 << id)) === 0) return -1;
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
    this.hasLoneLineFeed = false;
    this.method = 0;
    this.statusCode = 0;
    this.methodStart = this.methodEnd = this.uriStart = this.uriEnd = start;
    this.headersStart = this.headersEnd = this.bodyStart = end;
    table[LINE_START] = end;
  }
}
