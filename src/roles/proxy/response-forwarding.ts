/** Responses through a stateless proxy (RFC 3261 16.11): the topmost Via must be ours and is removed, the next one says where
 *  to (18.2.2, RFC 3581 section 4), and ours by which connection the request came. Nothing else is touched or kept. Runs on the
 *  shard. Hot, allocates nothing. */

import { literal } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { BRANCH_PREFIX, CHANGING_DIGITS, isHex, readHex, SOCKET_DIGITS } from '../../sip/branch.ts';
import { CSeqView, parseCSeq } from '../../sip/cseq.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { HOST_KIND } from '../../sip/host.ts';
import { skipLws } from '../../sip/lexis.ts';
import type { MessageEdits } from '../../sip/message-edits.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { defaultPortOf, isReliable, TRANSPORT } from '../../sip/transport.ts';
import { parseVia, ViaView } from '../../sip/via.ts';
import type { BoundSocket } from '../bound-socket.ts';
import { addContentLength } from '../content-length.ts';
import { type Destination, NO_SOCKET } from '../destination.ts';
import type { OwnAddresses } from '../own-addresses.ts';
import { FOUND, PENDING } from '../ports.ts';
import type { TrustedSources } from '../trusted-sources.ts';
import { isOwnVia } from './identity.ts';
import { OUTCOME } from './routing.ts';
import type { ViaTemplates } from './via-templates.ts';

/** Section 7.1: read in any case, sent in capitals. */
const VERSION = literal('SIP/2.0');
const ORIGIN_AT = BRANCH_PREFIX.length + CHANGING_DIGITS - SOCKET_DIGITS;
const LOCAL_AT = BRANCH_PREFIX.length + CHANGING_DIGITS;
const WORD_DIGITS = 8;
const MARK = BRANCH_PREFIX.charCodeAt(BRANCH_PREFIX.length - 1);

export class ResponseForwarding {
  readonly #arena: Arena;
  readonly #own: OwnAddresses;
  readonly #templates: ViaTemplates;
  readonly #trusted: TrustedSources;
  readonly #sockets: readonly BoundSocket[];
  readonly #destination: Destination;
  readonly #outbound: Outbound;
  readonly #edits: MessageEdits;
  readonly #counters: Counters;
  /** The branch of the last Via of ours that was removed. */
  #branchStart = -1;
  #branchEnd = -1;
  /** The connection that it names; 0: none. */
  #connection = 0;
  readonly #next = new ViaView();
  readonly #cseq = new CSeqView();

  constructor(
    arena: Arena,
    own: OwnAddresses,
    templates: ViaTemplates,
    trusted: TrustedSources,
    sockets: readonly BoundSocket[],
    destination: Destination,
    outbound: Outbound,
    edits: MessageEdits,
    counters: Counters,
  ) {
    this.#arena = arena;
    this.#own = own;
    this.#templates = templates;
    this.#trusted = trusted;
    this.#sockets = sockets;
    this.#destination = destination;
    this.#outbound = outbound;
    this.#edits = edits;
    this.#counters = counters;
  }

  /** Forwards the response in `index` or drops and counts it. PENDING: a host name is being looked up. */
  forward(index: MessageIndex, slotWord: number): number {
    this.#edits.clear();
    if (!this.#hasCSeq(index)) return this.#drop(COUNTER.malformed_responses_total);
    const refusal = this.#popOurVias(index, slotWord);
    if (refusal !== -1) return this.#drop(refusal);
    const next = this.#next;
    const origin = this.#origin();
    // By the transport that the request came by, whatever its Via says, as our own answers go, and since a load balancer may have
    // ended TLS before us; where we cannot know it, by what the Via says.
    const transport = origin === -1 ? next.transport : this.#sockets[origin]!.transport;
    const isStream = isReliable(transport);
    if (!isStream && transport !== TRANSPORT.UDP) return this.#drop(COUNTER.unsupported_transport_total);
    // A Via with a name in it has a received of ours if it ever passed through here (18.2.1). Without one nobody but a trusted
    // element has us look names up: a stranger could fill the waiting room with made-up responses.
    const hasMaddr = next.maddrStart !== -1 && !isStream;
    const isNamed = next.receivedStart === -1 && !hasMaddr && next.hostKind === HOST_KIND.NAME;
    if (isNamed && !this.#trusted.has(slotWord)) return this.#drop(COUNTER.stray_responses_total);
    const found = isStream ? this.#findConnection(next, transport) : this.#find(next);
    if (found === PENDING) return OUTCOME.PENDING;
    if (found !== FOUND) return this.#drop(COUNTER.unresolvable_total);
    return this.#send(index, slotWord, origin);
  }

  /** RFC 4475 3.1.2.5: nobody could make anything of a response without one. */
  #hasCSeq(index: MessageIndex): boolean {
    const header = index.first[HEADER_ID.CSEQ]!;
    if (header === -1) return false;
    return parseCSeq(this.#arena.bytes, index.valueStart(header), index.valueEnd(header), this.#cseq) >= 0;
  }

  /** Removes the topmost Via, which must be ours, and reads the one that comes next. Returns −1, or the counter that says why
   *  not.
   *
   *  Departs from RFC 3261 16.11: Vias of ours below the topmost (a spiral that nobody else was part of, or a forgery) go with
   *  it, instead of the response coming back to us for each. The outcome is the same, and a forged response of 2,000 Vias
   *  is not 2,000 datagrams. */
  #popOurVias(index: MessageIndex, slotWord: number): number {
    const { bytes } = this.#arena;
    const next = this.#next;
    let header = index.first[HEADER_ID.VIA]!;
    if (header === -1) return COUNTER.malformed_responses_total;
    let start = index.valueStart(header);
    let isPopped = false;
    for (;;) {
      const end = index.valueEnd(header);
      let viaEnd = end;
      const branch = this.#templates.branchOfOwnVia(start, end);
      if (branch !== -1) {
        this.#branchStart = branch;
        this.#branchEnd = this.#templates.branchEnd;
        this.#connection = this.#templates.connection;
      } else {
        if (parseVia(bytes, start, end, next) < 0) return COUNTER.malformed_responses_total;
        if (!isOwnVia(this.#own, next, slotWord)) return isPopped ? -1 : COUNTER.stray_responses_total;
        this.#branchStart = next.branchStart;
        this.#branchEnd = next.branchEnd;
        this.#connection = next.connection;
        viaEnd = next.end;
      }
      isPopped = true;
      if (viaEnd < end) {
        // Behind the comma.
        const following = skipLws(bytes, viaEnd + 1, end);
        this.#edits.remove(start, following);
        start = following;
        continue;
      }
      this.#edits.remove(start, index.lineEnd(header));
      this.#edits.remove(index.lineStart(header), index.valueStart(header));
      header = index.next(header);
      // Nothing below ours: the request was our own, and we send none.
      if (header === -1) return COUNTER.stray_responses_total;
      start = index.valueStart(header);
    }
  }

  /** Section 18.2.2: maddr, else received with rport or the sent-by's port, else the sent-by by RFC 3263 section 5. */
  #find(via: ViaView): number {
    const destination = this.#destination;
    const sentByPort = via.port === -1 ? defaultPortOf(TRANSPORT.UDP) : via.port;
    if (via.maddrStart !== -1) {
      return destination.find(via.maddrStart, via.maddrEnd, sentByPort, TRANSPORT.UDP, 0);
    }
    if (via.receivedStart !== -1) {
      const port = via.rport > 0 ? via.rport : sentByPort;
      return destination.find(via.receivedStart, via.receivedEnd, port, TRANSPORT.UDP, 0);
    }
    return destination.findHost(via, via.port, TRANSPORT.UDP, 0);
  }

  /** Section 18.2.2 for a stream: the connection the request came by, and for the case that it is gone the received with the
   *  sent-by's port, or the sent-by by RFC 3263 section 5. */
  #findConnection(via: ViaView, transport: number): number {
    const destination = this.#destination;
    const sentByPort = via.port === -1 ? defaultPortOf(transport) : via.port;
    const found =
      via.receivedStart === -1
        ? destination.findHost(via, via.port, transport, 0)
        : destination.find(via.receivedStart, via.receivedEnd, sentByPort, transport, 0);
    destination.scope = this.#connection;
    return found;
  }

  /** The socket that the request came to, by our branch; −1: it does not say. Only the digits that are used are looked at: a
   *  branch that only looks like ours gains nothing by it. */
  #origin(): number {
    const { bytes } = this.#arena;
    const start = this.#branchStart;
    const end = this.#branchEnd;
    const isOurBranch =
      end - start >= LOCAL_AT &&
      bytes[start + BRANCH_PREFIX.length - 1] === MARK &&
      isHex(bytes, start + ORIGIN_AT, end);
    if (!isOurBranch) return -1;
    const origin = readHex(bytes, start + ORIGIN_AT, start + LOCAL_AT);
    return origin < this.#sockets.length ? origin : -1;
  }

  /** From the socket, and on a wildcard the local address, at which the request arrived. */
  #send(index: MessageIndex, slotWord: number, origin: number): number {
    const { words } = this.#arena;
    const destination = this.#destination;
    const outbound = this.#outbound;
    const ingress = words[slotWord + SLOT.SOCKET_WORD]!;
    const socket = destination.socketFrom(origin === -1 ? ingress : origin);
    if (socket === NO_SOCKET) return this.#drop(COUNTER.send_errors_total);

    outbound.begin();
    if (index.hasOddVersion) {
      const from = outbound.cursor;
      outbound.put(VERSION);
      this.#edits.replace(index.start, index.start + VERSION.length, from, outbound.cursor);
    }
    if (isReliable(destination.transport)) addContentLength(index, this.#edits, outbound);
    this.#edits.apply(outbound, index.start, index.end);
    const { family, port, a0, a1, a2, a3, scope } = destination;
    outbound.to(socket, family, port, a0, a1, a2, a3, scope);
    if (socket === origin && this.#sockets[socket]!.isWildcard) {
      this.#setLocal(this.#branchStart + LOCAL_AT, this.#branchEnd);
    }
    outbound.commit(0);
    this.#counters.count(COUNTER.responses_forwarded_total);
    return OUTCOME.FORWARDED;
  }

  /** The local address written behind the changing digits, if it has the length of one of the destination's family. */
  #setLocal(start: number, end: number): void {
    const digits = end - start;
    if (digits !== (this.#destination.family === 4 ? 1 : 4) * WORD_DIGITS) return;
    const word = (i: number) => (digits > i * WORD_DIGITS ? this.#networkWord(start + i * WORD_DIGITS) : 0);
    this.#outbound.from(word(0), word(1), word(2), word(3));
  }

  /** Eight digits, the first two being the first byte in the network. */
  #networkWord(start: number): number {
    const value = readHex(this.#arena.bytes, start, start + WORD_DIGITS);
    return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
  }

  #drop(counter: number): number {
    this.#counters.count(counter);
    return OUTCOME.REJECTED;
  }
}
