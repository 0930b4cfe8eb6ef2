/** Messages on their way out of one shard: each a destination and a list of spans of the arena, sent together by one
 *  sendmmsg per flush. Spans point at the datagram as it arrived, or at text of our own in the shard's scratch.
 *  Runs on the shard. Hot: once per message sent, allocates nothing. */

import type { Literal } from '../base/ascii.ts';
import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/spans.ts';
import type { Arena } from '../memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_ENTRIES,
  EGRESS_FLAG,
  EGRESS_MARK_SHIFT,
  EGRESS_SPANS,
  EGRESS_STRIDE_BYTES,
  MAX_DATAGRAM_BYTES,
  SCRATCH_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
} from '../memory/layout.ts';

/** Each entry has a place of its own for the lines put on top of a request, so that only the branch changes from one message
 *  to the next: room for two Record-Routes and a Via with the longest of host names. An odd number of cache lines. */
export const VIA_BYTES = 17 * 64;
/** Words of an entry that say where it goes: socket, family, port, address, local address, scope. */
export const ROUTE_WORDS = 12;
const TEXT_OFFSET = EGRESS_ENTRIES * VIA_BYTES;
/** Room for one message made of more spans than an entry holds: more than the longest that can be sent. */
const STAGE_BYTES = MAX_DATAGRAM_BYTES + 1;
/** What `begin` leaves: a stage, and text of our own, of which the longest repeats header values of the request. */
const TEXT_RESERVE_BYTES = 3 * STAGE_BYTES;

/** Whether a message that is sent belongs to a call that is traced. FIND: its Call-ID tells (observe/trace/call-trace.ts). */
export const TRACE_MARK = { NO: 0, YES: 1, FIND: 2 } as const;

const ZERO = 0x30;
const FOUR_ZEROS = 0x30303030;
const FOUR_SIXES = 0x06060606;
const FOUR_ONES = 0x01010101;
/** From behind 9 to `a`. */
const TO_LETTER = 39;
/** Longer spans are left to the runtime, which copies faster once it has begun (perf/micro/base/spans.bench.ts). */
const MAX_COPIED_BYTES = 256;

/** Lines of ours with a Via and its branch, ready to be stamped. */
export interface ViaTemplate {
  /** Unique among the templates of one shard, at least 1. */
  readonly id: number;
  readonly text: Literal;
  /** Where in `text` the changing part of the branch begins. */
  readonly branchAt: number;
  /** Where the eight digits of the connection that the request came by; −1: the Via does not say it. */
  readonly connectionAt: number;
}

export class Outbound {
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #view: DataView<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #egressWord: number;
  readonly #viaArea: number;
  readonly #textStart: number;
  readonly #textLimit: number;
  readonly #textEnd: number;
  readonly #flush: () => void;
  /** Template whose bytes an entry's Via area holds. */
  readonly #viaOwner = new Int32Array(EGRESS_ENTRIES);
  /** First word of the entry being made. */
  #entry: number;
  #spanCount = 0;
  /** Bits of EGRESS_FLAG. */
  #flags = 0;
  /** Where the message begins: 1 behind the name of a server. */
  #firstSpan = 0;
  #cursor: number;
  /** Where the stage of the message begins; 0: it has none. */
  #stage = 0;
  #stageLength = 0;
  readonly #traceMarks = new Uint8Array(EGRESS_ENTRIES);
  readonly #traceCalls = new Int32Array(EGRESS_ENTRIES);
  /** Messages committed and not yet flushed. */
  count = 0;
  /** TRACE_MARK of the messages that are committed from now on. */
  traceMark: number = TRACE_MARK.NO;
  /** The call of those that are marked YES: the trace's hash of its Call-ID. */
  traceCall = 0;

  /** `flush` sends entries 0 … count − 1 and calls `clear`; it is called when the table or the scratch is full. */
  constructor(arena: Arena, shard: number, flush: () => void) {
    this.#bytes = arena.bytes;
    this.#view = arena.view;
    this.#words = arena.words;
    this.#egressWord = (arena.map.egress + shard * EGRESS_BYTES) >> 2;
    this.#viaArea = arena.map.scratch + shard * SCRATCH_BYTES;
    this.#textStart = this.#viaArea + TEXT_OFFSET;
    this.#textEnd = this.#viaArea + SCRATCH_BYTES;
    this.#textLimit = this.#textEnd - TEXT_RESERVE_BYTES;
    this.#flush = flush;
    this.#entry = this.#egressWord;
    this.#cursor = this.#textStart;
  }

  /** Begins a message. What was begun and not committed is forgotten. */
  begin(): void {
    if (this.count === EGRESS_ENTRIES || this.#cursor > this.#textLimit) {
      this.#flush();
      assert(this.count === 0, 'a flush must clear the outbound table');
    }
    this.#entry = this.#egressWord + this.count * (EGRESS_STRIDE_BYTES >> 2);
    this.#spanCount = 0;
    this.#stage = 0;
    this.#flags = 0;
    this.#firstSpan = 0;
  }

  /** Appends the arena's bytes [start, end). A span that continues the last one is joined to it. */
  keep(start: number, end: number): void {
    if (end <= start) return;
    const words = this.#words;
    const span = this.#entry + EGRESS.SPANS_WORD + (this.#spanCount << 1);
    if (this.#spanCount > 0 && words[span - 2]! + words[span - 1]! === start && this.#stage === 0) {
      words[span - 1]! += end - start;
      return;
    }
    if (this.#spanCount === EGRESS_SPANS) {
      this.#keepStaged(start, end);
      return;
    }
    words[span] = start;
    words[span + 1] = end - start;
    this.#spanCount++;
  }

  /** Writes a Via line of ours into the entry's own place: `template` with 26 hexadecimal digits in its branch, `high` `low`
   *  `loop` and the low byte of `origin`, and where it has a place for that, `connection`. Returns where it begins; it is
   *  `template.text.length` long. */
  stampVia(template: ViaTemplate, high: number, low: number, loop: number, origin: number, connection: number): number {
    const area = this.#viaArea + this.count * VIA_BYTES;
    if (this.#viaOwner[this.count] !== template.id) {
      template.text.copyTo(this.#view, area);
      this.#viaOwner[this.count] = template.id;
    }
    const at = area + template.branchAt;
    this.#hexWord(at, high);
    this.#hexWord(at + 8, low);
    this.#hexWord(at + 16, loop);
    this.#view.setInt16(at + 24, fourHexDigits((origin & 0xff) << 8), true);
    if (template.connectionAt !== -1) this.#hexWord(area + template.connectionAt, connection);
    return area;
  }

  /** Where the next text goes. Text is written with `put…` and appended with `keep(from, outbound.cursor)`. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Writes constant text. */
  put(text: Literal): void {
    this.#cursor = text.copyTo(this.#view, this.#cursor);
  }

  /** Writes a copy of the arena's bytes [start, end). */
  putCopy(start: number, end: number): void {
    this.putFrom(this.#view, start, end);
  }

  /** Writes a copy of the bytes [start, end) of `text`. */
  putFrom(text: DataView, start: number, end: number): void {
    // What lies behind is another shard's.
    assert(this.#cursor + end - start <= this.#textEnd, 'more text than one message can have');
    this.#cursor = copyBytes(text, start, end, this.#view, this.#cursor);
  }

  /** Writes a non-negative integer in decimal. */
  putDecimal(value: number): void {
    const from = this.#cursor;
    let digits = 1;
    for (let rest = value; rest >= 10; rest = (rest / 10) | 0) digits++;
    let rest = value;
    for (let i = from + digits - 1; i >= from; i--) {
      const next = (rest / 10) | 0;
      this.#bytes[i] = ZERO + rest - next * 10;
      rest = next;
    }
    this.#cursor = from + digits;
  }

  /** Writes eight hexadecimal digits. */
  putHex(value: number): void {
    this.#hexWord(this.#cursor, value);
    this.#cursor += 8;
  }

  /** Takes over text that somebody else wrote at `cursor`, up to `end`. */
  putWritten(end: number): void {
    this.#cursor = end;
  }

  /** Writes and appends constant text. */
  keepText(text: Literal): void {
    const from = this.#cursor;
    this.put(text);
    this.keep(from, this.#cursor);
  }

  /** Sends from `socket` to an address: four words in network order, IPv4 in the first. The kernel chooses the local
   *  address unless `from` is called. */
  to(
    socket: number,
    family: number,
    port: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    scope: number,
  ): void {
    const words = this.#words;
    const entry = this.#entry;
    words[entry + EGRESS.SOCKET_WORD] = socket;
    words[entry + EGRESS.FAMILY_WORD] = family;
    words[entry + EGRESS.PORT_WORD] = port;
    words[entry + EGRESS.ADDRESS_WORD] = a0;
    words[entry + EGRESS.ADDRESS_WORD + 1] = a1;
    words[entry + EGRESS.ADDRESS_WORD + 2] = a2;
    words[entry + EGRESS.ADDRESS_WORD + 3] = a3;
    words[entry + EGRESS.SCOPE_WORD] = scope;
    this.from(0, 0, 0, 0);
  }

  /** Sends back to `port` of the source of a datagram, from where it arrived. `slotWord`: first word of its header. */
  toSource(slotWord: number, port: number): void {
    const words = this.#words;
    const source = slotWord + SLOT.SOURCE_WORD;
    this.to(
      words[slotWord + SLOT.SOCKET_WORD]!,
      words[slotWord + SLOT.FAMILY_WORD]!,
      port,
      words[source]!,
      words[source + 1]!,
      words[source + 2]!,
      words[source + 3]!,
      words[slotWord + SLOT.SCOPE_WORD]!,
    );
    this.fromLocalOf(slotWord);
  }

  /** By the connection that `scope` named, or not at all (RFC 5626 5.3). Of the message begun. */
  byConnectionOnly(): void {
    this.#flags |= EGRESS_FLAG.ONLY_CONNECTION;
  }

  /** The request leaves by TCP for its length alone (RFC 3261 18.1.1). Of the message begun. */
  byTcpForLength(): void {
    this.#flags |= EGRESS_FLAG.MOVED;
  }

  /** The message begun may leave before those that were committed before it: nobody waits for it and for another one of its call. */
  inAnyOrder(): void {
    this.#flags |= EGRESS_FLAG.ANY_ORDER;
  }

  /** The server that the message goes to must have a certificate for this name (RFC 5922 7.3). Of the message begun, before anything
   *  is appended to it: the name travels as its first span (layout.ts), and is no part of what `length` and `keepIn` say. */
  toServer(name: string): void {
    assert(this.#spanCount === 0, 'the name of the server comes first');
    const from = this.#cursor;
    for (let i = 0; i < name.length; i++) this.#bytes[from + i] = name.charCodeAt(i);
    // One byte is left out, so that what comes next is not joined to it.
    this.#cursor = from + name.length + 1;
    this.keep(from, from + name.length);
    this.#flags |= EGRESS_FLAG.NAMED;
    this.#firstSpan = 1;
  }

  /** The local address to send from, on a wildcard socket; all zeros leave it to the kernel. */
  from(l0: number, l1: number, l2: number, l3: number): void {
    const words = this.#words;
    const local = this.#entry + EGRESS.LOCAL_WORD;
    words[local] = l0;
    words[local + 1] = l1;
    words[local + 2] = l2;
    words[local + 3] = l3;
  }

  /** Sends from the local address at which the datagram of a slot arrived. */
  fromLocalOf(slotWord: number): void {
    const words = this.#words;
    const local = slotWord + SLOT.LOCAL_WORD;
    this.from(words[local]!, words[local + 1]!, words[local + 2]!, words[local + 3]!);
  }

  /** Sends where a transaction's record says: ROUTE_WORDS of it from `at`, as `saveRoute` wrote them. */
  toRoute(record: Int32Array, at: number): void {
    const words = this.#words;
    const route = this.#entry + EGRESS.SOCKET_WORD;
    for (let i = 0; i < ROUTE_WORDS; i++) words[route + i] = record[at + i]!;
  }

  /** Writes where the message goes, as far as `to` and `from` have said, into a transaction's record. */
  saveRoute(record: Int32Array, at: number): void {
    const words = this.#words;
    const route = this.#entry + EGRESS.SOCKET_WORD;
    for (let i = 0; i < ROUTE_WORDS; i++) record[at + i] = words[route + i]!;
  }

  /** Length in bytes of the message begun or committed last. */
  get length(): number {
    const words = this.#words;
    if (this.#stage !== 0) return this.#stageLength;
    let length = 0;
    for (let i = this.#firstSpan, span = this.#entry + EGRESS.SPANS_WORD; i < this.#spanCount; i++)
      length += words[span + 2 * i + 1]!;
    return length;
  }

  /** Copies the message committed last into a block of kept messages, which has room for its `length`: where it goes into
   *  the header, the pieces behind it. */
  keepIn(block: number): void {
    const words = this.#words;
    const bytes = this.#bytes;
    const view = this.#view;
    const header = block >> 2;
    for (let i = 0; i < ROUTE_WORDS; i++) {
      words[header + SLOT.SOCKET_WORD + i] = words[this.#entry + EGRESS.SOCKET_WORD + i]!;
    }
    let at = block + SLOT_HEADER_BYTES;
    const first = this.#firstSpan;
    const end = this.#stage === 0 ? this.#spanCount : first + 1;
    for (let i = first, span = this.#entry + EGRESS.SPANS_WORD + 2 * first; i < end; i++, span += 2) {
      const start = words[span]!;
      const length = words[span + 1]!;
      if (length <= MAX_COPIED_BYTES) copyBytes(view, start, start + length, view, at);
      else bytes.copyWithin(at, start, start + length);
      at += length;
    }
    words[header + SLOT.LENGTH_WORD] = at - block - SLOT_HEADER_BYTES;
  }

  /** Sends a block that `keepIn` filled once more. */
  sendKept(block: number, tag: number): void {
    const words = this.#words;
    this.begin();
    const start = block + SLOT_HEADER_BYTES;
    this.keep(start, start + words[(block >> 2) + SLOT.LENGTH_WORD]!);
    const route = this.#entry + EGRESS.SOCKET_WORD;
    for (let i = 0, from = (block >> 2) + SLOT.SOCKET_WORD; i < ROUTE_WORDS; i++) words[route + i] = words[from + i]!;
    this.commit(tag);
  }

  /** Adds the message to the flush. `tag` comes back with its result; 0 if nobody asks. `mark`: its low 24 bits come back with it,
   *  where the result takes so long that the tag may be somebody else's by then. */
  commit(tag: number, mark = 0): void {
    const words = this.#words;
    words[this.#entry + EGRESS.SPAN_COUNT_WORD] = this.#stage === 0 ? this.#spanCount : this.#firstSpan + 1;
    words[this.#entry + EGRESS.TAG_WORD] = tag;
    words[this.#entry + EGRESS.FLAGS_WORD] = this.#flags | (mark << EGRESS_MARK_SHIFT);
    this.#traceMarks[this.count] = this.traceMark;
    if (this.traceMark === TRACE_MARK.YES) this.#traceCalls[this.count] = this.traceCall;
    this.count++;
  }

  /** Takes the message committed last out of the flush: it was only needed for `keepIn`. */
  uncommit(): void {
    assert(this.count > 0, 'no message to take out');
    this.count--;
  }

  /** Where the first piece of an entry begins. */
  startOf(entry: number): number {
    return this.#words[this.#egressWord + entry * (EGRESS_STRIDE_BYTES >> 2) + EGRESS.SPANS_WORD]!;
  }

  /** errno of a flushed entry, 0 if it was sent. */
  resultOf(entry: number): number {
    return this.#words[this.#egressWord + entry * (EGRESS_STRIDE_BYTES >> 2) + EGRESS.RESULT_WORD]!;
  }

  /** First word of an entry, as in layout.ts. */
  entryWord(entry: number): number {
    return this.#egressWord + entry * (EGRESS_STRIDE_BYTES >> 2);
  }

  /** Of a message that is marked YES. */
  traceCallOf(entry: number): number {
    return this.#traceCalls[entry]!;
  }

  traceMarkOf(entry: number): number {
    return this.#traceMarks[entry]!;
  }

  tagOf(entry: number): number {
    return this.#words[this.#egressWord + entry * (EGRESS_STRIDE_BYTES >> 2) + EGRESS.TAG_WORD]!;
  }

  /** Forgets every message after a flush. */
  clear(): void {
    this.count = 0;
    this.#cursor = this.#textStart;
  }

  /** Cold: a message of more pieces than an entry holds is copied together, each piece once. What would be longer than any
   *  datagram is cut at the stage's end, which is too long as well: the kernel refuses it and says so. */
  #keepStaged(start: number, end: number): void {
    const words = this.#words;
    const span = this.#entry + EGRESS.SPANS_WORD;
    if (this.#stage === 0) {
      this.#stage = this.#cursor;
      this.#stageLength = 0;
      this.#cursor += STAGE_BYTES;
      for (let i = this.#firstSpan; i < EGRESS_SPANS; i++) {
        const from = words[span + 2 * i]!;
        this.#stagePiece(from, from + words[span + 2 * i + 1]!);
      }
    }
    this.#stagePiece(start, end);
    words[span + 2 * this.#firstSpan] = this.#stage;
    words[span + 2 * this.#firstSpan + 1] = this.#stageLength;
  }

  #stagePiece(start: number, end: number): void {
    const length = Math.min(end - start, STAGE_BYTES - this.#stageLength);
    this.#bytes.copyWithin(this.#stage + this.#stageLength, start, start + length);
    this.#stageLength += length;
  }

  #hexWord(at: number, value: number): void {
    this.#view.setInt32(at, fourHexDigits(value >>> 16), true);
    this.#view.setInt32(at + 4, fourHexDigits(value & 0xffff), true);
  }
}

/** The digits of the lower 16 bits, small letters, the first in the lowest byte. All four at once: a digit above 9, to which 6
 *  is added, has a bit more, and gets what leads to the letters. */
function fourHexDigits(value: number): number {
  const digits = (value >>> 12) | ((value & 0xf00) >>> 0) | ((value & 0xf0) << 12) | ((value & 0xf) << 24);
  return digits + FOUR_ZEROS + (((digits + FOUR_SIXES) >>> 4) & FOUR_ONES) * TO_LETTER;
}
