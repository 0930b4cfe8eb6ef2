/** Responses through a stateless proxy (RFC 3261 16.11): the topmost Via must be ours and is removed, the next one says where
 *  to (18.2.2, RFC 3581 section 4). Nothing else is touched or kept. Runs on the shard. Hot, allocates nothing. */

import { ascii } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { BRANCH_PREFIX, CHANGING_DIGITS, isHex, readHex, SOCKET_DIGITS } from '../../sip/branch.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { HOST_KIND } from '../../sip/host.ts';
import { skipLws } from '../../sip/lexis.ts';
import type { MessageEdits } from '../../sip/message-edits.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { TRANSPORT } from '../../sip/transport.ts';
import { parseVia, ViaView } from '../../sip/via.ts';
import type { BoundSocket } from '../bound-socket.ts';
import { type Destination, NO_SOCKET } from '../destination.ts';
import { DEFAULT_PORT, type OwnAddresses } from '../own-addresses.ts';
import { FOUND, PENDING } from '../ports.ts';
import type { TrustedSources } from '../trusted-sources.ts';
import { OUTCOME } from './routing.ts';
import type { ViaTemplates } from './via-templates.ts';

/** Section 7.1: read in any case, sent in capitals. */
const VERSION = ascii('SIP/2.0');
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
  readonly #next = new ViaView();

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
    const refusal = this.#popOurVias(index, slotWord);
    if (refusal !== -1) return this.#drop(refusal);
    const next = this.#next;
    // Section 18.2.2: over a reliable transport a response goes back by the connection, never by UDP.
    if (next.transport !== TRANSPORT.UDP) return this.#drop(COUNTER.unsupported_transport_total);
    // A Via with a name in it has a received of ours if it ever passed through here (18.2.1). Without one nobody but a trusted
    // element has us look names up: a stranger could fill the waiting room with made-up responses.
    const isNamed = next.receivedStart === -1 && next.maddrStart === -1 && next.hostKind === HOST_KIND.NAME;
    if (isNamed && !this.#trusted.has(slotWord)) return this.#drop(COUNTER.stray_responses_total);
    const found = this.#find(next);
    if (found === PENDING) return OUTCOME.PENDING;
    if (found !== FOUND) return this.#drop(COUNTER.unresolvable_total);
    return this.#send(index, slotWord);
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
        this.#branchEnd = end;
      } else {
        if (parseVia(bytes, start, end, next) < 0) return COUNTER.malformed_responses_total;
        if (!this.#own.isOwnAddress(next, next.port, slotWord)) return isPopped ? -1 : COUNTER.stray_responses_total;
        this.#branchStart = next.branchStart;
        this.#branchEnd = next.branchEnd;
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
    if (via.maddrStart !== -1) {
      return destination.find(via.maddrStart, via.maddrEnd, via.port === -1 ? DEFAULT_PORT : via.port, 0);
    }
    if (via.receivedStart !== -1) {
      const sentByPort = via.port === -1 ? DEFAULT_PORT : via.port;
      return destination.find(via.receivedStart, via.receivedEnd, via.rport > 0 ? via.rport : sentByPort, 0);
    }
    return destination.findHost(via, via.port, 0);
  }

  /** From the socket, and on a wildcard the local address, at which the request arrived: our branch says which. */
  #send(index: MessageIndex, slotWord: number): number {
    const { bytes, words } = this.#arena;
    const branchStart = this.#branchStart;
    const branchEnd = this.#branchEnd;
    const destination = this.#destination;
    const outbound = this.#outbound;
    // Only the digits that are used are looked at: a branch that only looks like ours gains nothing by it.
    const isOurBranch =
      branchEnd - branchStart >= LOCAL_AT &&
      bytes[branchStart + BRANCH_PREFIX.length - 1] === MARK &&
      isHex(bytes, branchStart + ORIGIN_AT, branchEnd);
    let origin = isOurBranch ? readHex(bytes, branchStart + ORIGIN_AT, branchStart + LOCAL_AT) : -1;
    if (origin >= this.#sockets.length) origin = -1;
    const ingress = words[slotWord + SLOT.SOCKET_WORD]!;
    const socket = destination.socketFrom(origin === -1 ? ingress : origin);
    if (socket === NO_SOCKET) return this.#drop(COUNTER.send_errors_total);

    outbound.begin();
    if (index.hasOddVersion) {
      const from = outbound.cursor;
      outbound.put(VERSION);
      this.#edits.replace(index.start, index.start + VERSION.length, from, outbound.cursor);
    }
    this.#edits.apply(outbound, index.start, index.end);
    const { family, port, a0, a1, a2, a3, scope } = destination;
    outbound.to(socket, family, port, a0, a1, a2, a3, scope);
    if (socket === origin && this.#sockets[socket]!.isWildcard) this.#setLocal(branchStart + LOCAL_AT, branchEnd);
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
