/** What a shard keeps of its messages, in the ring of the trace: what arrived as it arrived, and what it sent as it left. Runs
 *  on the shard. Hot, allocates nothing: for a message that is not kept, a hash of its Call-ID; for one that is, a copy.
 *
 *  A message is kept if its call is sampled, or matches a live filter. Whether what is sent is kept was mostly decided by the
 *  message in hand (TRACE_MARK); what timers send has its Call-ID looked at. Keep-alives, junk and what is shed never come this
 *  far: the intake counts them. */

import type { Arena } from '../../memory/arena.ts';
import { EGRESS, MAX_SOCKETS, SLOT, SLOT_HEADER_BYTES } from '../../memory/layout.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { type Outbound, TRACE_MARK } from '../../sip/outbound.ts';
import { findCallId, foundCallIdEnd } from '../../sip/scan.ts';
import { TRANSPORT } from '../../sip/transport.ts';
import { COUNTER, type Counters } from '../counters.ts';
import { FilterCopy, hashTracedCallId } from './trace-filters.ts';
import { FLAG, RECORD, RECORD_HEADER_BYTES, ringWord, TRACE_RING, type TraceMemory } from './trace-layout.ts';
import { TraceRingWriter } from './trace-ring.ts';

/** Words from the socket to the scope, alike in slots, egress entries and records. */
const PLACE_WORDS = 12;
/** Connections whose ports are known at once, a power of two: the numbers of those that live are mostly next to each other. */
const PORTS = 4096;
const LF = 0x0a;

export class CallTrace {
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #ring: TraceRingWriter;
  readonly #filters: FilterCopy;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #doubles: Float64Array<SharedArrayBuffer>;
  readonly #messageBytes: number;
  readonly #exportedWord: number;
  /** 1 for the index of a stream socket. */
  readonly #isStream = new Uint8Array(MAX_SOCKETS);
  /** Connections by the low bits of their numbers: a number, and the port at the other end. null: there are no streams. */
  readonly #ports: Int32Array | null;
  /** The clock of the slots' receive time, µs, all bits of it. The shard sets it once a cycle, and before each flush. */
  nowUs = 0;

  constructor(
    memory: TraceMemory,
    arena: Arena,
    shard: number,
    counters: Counters,
    sockets: readonly { readonly socket: number; readonly transport: number }[],
  ) {
    this.#arena = arena;
    this.#counters = counters;
    this.#ring = new TraceRingWriter(memory, shard);
    this.#filters = new FilterCopy(memory, arena);
    this.#words = memory.words;
    this.#doubles = memory.doubles;
    this.#messageBytes = memory.map.messageBytes;
    this.#exportedWord = ringWord(memory.map, shard) + TRACE_RING.EXPORTED_WORD;
    for (const { socket, transport } of sockets) this.#isStream[socket] = Number(transport !== TRANSPORT.UDP);
    this.#ports = this.#isStream.includes(1) ? new Int32Array(2 * PORTS) : null;
  }

  /** A message is about to be served: keeps it, if it is one to keep and `isNew`, and has what it brings about marked. */
  received(index: MessageIndex, slotWord: number, isNew: boolean, outbound: Outbound): void {
    const filters = this.#filters;
    filters.refresh();
    if (this.#arena.words[slotWord + SLOT.CONNECTION_WORD] !== 0) this.#noteConnection(slotWord);
    const header = index.first[HEADER_ID.CALL_ID]!;
    const hash =
      header === -1 ? 0 : hashTracedCallId(this.#arena.words, index.valueStart(header), index.valueEnd(header));
    const bits = filters.ofArrived(hash, index, slotWord);
    if (bits === 0 && !filters.isSampled(hash)) {
      outbound.traceMark = TRACE_MARK.NO;
      return;
    }
    outbound.traceMark = TRACE_MARK.YES;
    outbound.traceCall = hash;
    if (isNew) this.#keepReceived(slotWord, hash, bits);
  }

  /** Messages were flushed: keeps those of marked calls, with what the kernel said. */
  sent(outbound: Outbound): void {
    this.#filters.refresh();
    for (let entry = 0; entry < outbound.count; entry++) {
      const mark = outbound.traceMarkOf(entry);
      if (mark === TRACE_MARK.NO) continue;
      const entryWord = outbound.entryWord(entry);
      const isKnown = mark === TRACE_MARK.YES;
      this.#keepSent(entryWord, isKnown ? outbound.traceCallOf(entry) : this.#callIdOf(entryWord), isKnown);
    }
  }

  #keepReceived(slotWord: number, hash: number, bits: number): void {
    const { words, bytes } = this.#arena;
    const length = words[slotWord + SLOT.LENGTH_WORD]!;
    const kept = Math.min(length, this.#messageBytes);
    const record = this.#ring.claim(kept);
    const start = slotWord * 4 + SLOT_HEADER_BYTES;
    this.#ring.copy(words, bytes, start, start + kept, record + RECORD_HEADER_BYTES);
    const agoUs = ((this.nowUs | 0) - words[slotWord + SLOT.TIME_WORD]!) | 0;
    this.#words[(record >> 2) + RECORD.ERROR_WORD] = 0;
    this.#finish(
      record,
      length,
      kept,
      hash,
      bits,
      slotWord + SLOT.SOCKET_WORD,
      words[slotWord + SLOT.PORT_WORD]!,
      agoUs,
    );
  }

  /** `isWanted`: that its call is to be kept was decided before. */
  #keepSent(entryWord: number, hash: number, isWanted: boolean): void {
    const { words, bytes } = this.#arena;
    const bits = this.#filters.ofSent(hash);
    if (!isWanted && bits === 0 && !this.#filters.isSampled(hash)) return;
    const spans = words[entryWord + EGRESS.SPAN_COUNT_WORD]!;
    let length = 0;
    for (let i = 0, span = entryWord + EGRESS.SPANS_WORD; i < spans; i++) length += words[span + 2 * i + 1]!;
    const kept = Math.min(length, this.#messageBytes);
    const record = this.#ring.claim(kept);
    let at = record + RECORD_HEADER_BYTES;
    const end = at + kept;
    for (let i = 0, span = entryWord + EGRESS.SPANS_WORD; i < spans && at < end; i++, span += 2) {
      const start = words[span]!;
      at = this.#ring.copy(words, bytes, start, start + Math.min(words[span + 1]!, end - at), at);
    }
    this.#words[(record >> 2) + RECORD.ERROR_WORD] = words[entryWord + EGRESS.RESULT_WORD]!;
    this.#finish(
      record,
      length,
      kept,
      hash,
      bits | FLAG.IS_SENT,
      entryWord + EGRESS.SOCKET_WORD,
      this.#portOf(entryWord),
      0,
    );
  }

  #noteConnection(slotWord: number): void {
    const { words } = this.#arena;
    const ports = this.#ports;
    if (ports === null || this.#isStream[words[slotWord + SLOT.SOCKET_WORD]!] === 0) return;
    const number = words[slotWord + SLOT.CONNECTION_WORD]!;
    const at = (number & (PORTS - 1)) << 1;
    ports[at] = number;
    ports[at + 1] = words[slotWord + SLOT.PORT_WORD]!;
  }

  /** Where a message goes to. The entry of a response by a stream has the port of the Via, for a connection that has to be opened (RFC
   *  3261 18.2.2); it goes by that of the request, whose other end is told by what came by it. */
  #portOf(entryWord: number): number {
    const { words } = this.#arena;
    const ports = this.#ports;
    const number = words[entryWord + EGRESS.CONNECTION_WORD]!;
    const at = (number & (PORTS - 1)) << 1;
    const isKnown =
      ports !== null &&
      number !== 0 &&
      ports[at] === number &&
      this.#isStream[words[entryWord + EGRESS.SOCKET_WORD]!] === 1;
    return isKnown ? ports[at + 1]! : words[entryWord + EGRESS.PORT_WORD]!;
  }

  #finish(
    record: number,
    length: number,
    kept: number,
    hash: number,
    flags: number,
    placeWord: number,
    port: number,
    agoUs: number,
  ): void {
    const words = this.#words;
    const header = record >> 2;
    const isForExport = this.#filters.isForExport(hash);
    words[header + RECORD.FLAGS_WORD] = isForExport ? flags | FLAG.IS_FOR_EXPORT : flags;
    // Nobody but the export thread looks at the count, and only after the record was published.
    if (isForExport) words[header + RECORD.EXPORT_WORD] = words[this.#exportedWord]!++;
    words[header + RECORD.LENGTH_WORD] = length;
    words[header + RECORD.KEPT_WORD] = kept;
    words[header + RECORD.CALL_ID_WORD] = hash;
    for (let i = 0; i < PLACE_WORDS; i++) {
      words[header + RECORD.SOCKET_WORD + i] = this.#arena.words[placeWord + i]!;
    }
    words[header + RECORD.PORT_WORD] = port;
    this.#doubles[record / 8 + RECORD.TIME_DOUBLE] = this.nowUs - agoUs;
    this.#ring.publish();
    this.#counters.count(COUNTER.traced_messages_total);
  }

  /** Hash of the Call-ID of a message in pieces, 0 if it has none. A piece begins within a line or at the start of one, and a
   *  Call-ID, which nothing is ever done to, lies in one piece. */
  #callIdOf(entryWord: number): number {
    const { words, bytes } = this.#arena;
    const spans = words[entryWord + EGRESS.SPAN_COUNT_WORD]!;
    let isAtLineStart = false;
    for (let i = 0, span = entryWord + EGRESS.SPANS_WORD; i < spans; i++, span += 2) {
      const start = words[span]!;
      const end = start + words[span + 1]!;
      const value = findCallId(bytes, words, start, end, isAtLineStart);
      if (value > 0) return hashTracedCallId(words, value, foundCallIdEnd);
      isAtLineStart = bytes[end - 1] === LF;
    }
    return 0;
  }
}
