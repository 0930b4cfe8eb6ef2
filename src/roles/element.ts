/** The element (RFC 3261 section 6): takes one datagram after the other and gives each to the role that answers for it. It
 *  knows no thread, socket or clock: a shard runs it on real ones, a test on virtual ones. Hot, allocates nothing but for
 *  look-ups of host names. */

import { ascii } from '../base/ascii.ts';
import type { Config } from '../config/schema.ts';
import type { Arena } from '../memory/arena.ts';
import { SLOT, SLOT_HEADER_BYTES, slotOffset } from '../memory/layout.ts';
import { COUNTER, type Counters } from '../observe/counters.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { MessageEdits } from '../sip/message-edits.ts';
import { METHOD } from '../sip/methods.ts';
import { Outbound } from '../sip/outbound.ts';
import { MESSAGE_ERROR, parseMessage } from '../sip/parse-message.ts';
import { parseVia } from '../sip/via.ts';
import type { BoundSocket } from './bound-socket.ts';
import { Destination } from './destination.ts';
import { OwnAddresses } from './own-addresses.ts';
import type { ResolverPort } from './ports.ts';
import { REJECT, type Rejection } from './proxy/rejection.ts';
import { RequestForwarding } from './proxy/request-forwarding.ts';
import { ResponseForwarding } from './proxy/response-forwarding.ts';
import { OUTCOME, StatelessProxy } from './proxy/stateless.ts';
import { NextHops } from './proxy/target-set.ts';
import { ViaTemplates } from './proxy/via-templates.ts';
import { ReceivedRequest } from './received-request.ts';
import { Responder } from './responder.ts';
import { answerStun } from './stun.ts';
import { TrustedSources } from './trusted-sources.ts';
import { ViaMarker } from './via-marker.ts';

export interface ElementPorts {
  readonly config: Config;
  readonly sockets: readonly BoundSocket[];
  /** Literals of the machine's interfaces. */
  readonly localAddresses: readonly string[];
  readonly counters: Counters;
  readonly resolver: ResolverPort;
  /** Sends entries 0 … count − 1 of the shard's egress table and returns how many the kernel refused. */
  readonly flush: (outbound: Outbound) => number;
  /** Keeps a slot and calls `resume` with it once the promise settles. False: too many wait. */
  readonly park: (slot: number, untilResolved: Promise<void>) => boolean;
}

const OK = ascii('SIP/2.0 200 OK\r\n');
/** Section 11.2: what we accept ourselves. Allow is left out, being ambiguous from a proxy. */
const CAPABILITIES = ascii('Accept: */*\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: \r\n');
const NO_HEADERS = ascii('');
const RETRY_AFTER = ascii('Retry-After: 5\r\n');
const UNSUPPORTED = ascii('Unsupported: ');

/** errno of what a datagram is too long for. */
const EMSGSIZE = 90;
const EAGAIN = 11;
const MAX_UNDELIVERED = 512;

export class Element {
  readonly #arena: Arena;
  readonly #ports: ElementPorts;
  readonly #counters: Counters;
  readonly #request = new ReceivedRequest();
  readonly #edits = new MessageEdits();
  readonly #outbound: Outbound;
  readonly #destination: Destination;
  readonly #responder: Responder;
  readonly #proxy: StatelessProxy;
  readonly #responses: ResponseForwarding;
  /** (slot, errno) of requests the kernel refused, to be answered once their flush is over. */
  readonly #undelivered = new Int32Array(MAX_UNDELIVERED * 2);
  #undeliveredCount = 0;

  constructor(arena: Arena, shard: number, ports: ElementPorts) {
    const { config, sockets, localAddresses, counters } = ports;
    const { bytes, words } = arena;
    this.#arena = arena;
    this.#ports = ports;
    this.#counters = counters;
    const outbound = new Outbound(arena, shard, () => this.#flushOutbound());
    const edits = this.#edits;
    const destination = new Destination(bytes, words, sockets, ports.resolver);
    const own = new OwnAddresses(
      bytes,
      words,
      sockets,
      localAddresses,
      config.domains.map(({ name }) => name),
    );
    const trusted = new TrustedSources(words, config.trusted);
    const marker = new ViaMarker(arena, outbound);
    const templates = new ViaTemplates(arena, sockets, localAddresses);
    this.#outbound = outbound;
    this.#destination = destination;
    this.#responder = new Responder(arena, outbound, edits, marker, destination, config.server.name);
    this.#responses = new ResponseForwarding(
      arena,
      own,
      templates,
      trusted,
      sockets,
      destination,
      outbound,
      edits,
      counters,
    );
    this.#proxy = new StatelessProxy({
      arena,
      own,
      nextHops: new NextHops(config),
      trusted,
      destination,
      forwarding: new RequestForwarding(arena, outbound, edits, marker, templates, config.maxForwards),
      counters,
    });
  }

  /** Messages waiting for the next flush. */
  get outbound(): Outbound {
    return this.#outbound;
  }

  /** Serves the datagram in a slot. True: done with it once flushed. False: it waits for a look-up, `resume` follows. */
  serve(slot: number): boolean {
    return this.#serve(slot, true);
  }

  /** Serves a datagram whose look-up has settled. What is still not known by now counts as not found. */
  resume(slot: number): void {
    this.#serve(slot, false);
  }

  #serve(slot: number, mayPark: boolean): boolean {
    const { bytes, words, map } = this.#arena;
    const offset = slotOffset(map, slot);
    const slotWord = offset >> 2;
    const start = offset + SLOT_HEADER_BYTES;
    const end = start + words[slotWord + SLOT.LENGTH_WORD]!;
    if (bytes[start]! < 4) {
      answerStun(this.#arena, slotWord, start, end, this.#outbound, this.#counters);
      return true;
    }
    const request = this.#request;
    const error = parseMessage(bytes, words, start, end, request.index);
    if (error === MESSAGE_ERROR.NOT_SIP) {
      this.#counters.count(COUNTER.junk_datagrams_total);
      return true;
    }
    if (request.index.isRequest) return this.#serveRequest(slot, slotWord, error, mayPark);
    return this.#serveResponse(slot, slotWord, error, mayPark);
  }

  #serveRequest(slot: number, slotWord: number, error: number, mayPark: boolean): boolean {
    const counters = this.#counters;
    const request = this.#request;
    if (mayPark) counters.count(COUNTER.requests_received_total);
    request.begin(slot, slotWord);
    if (!this.#readTopVia()) {
      this.#answerBrokenVia();
      return true;
    }
    switch (this.#proxy.process(request, error)) {
      case OUTCOME.FORWARDED:
        counters.count(COUNTER.requests_forwarded_total);
        return true;
      case OUTCOME.FOR_OURSELVES:
        this.#answerForOurselves();
        return true;
      case OUTCOME.PENDING:
        if (!mayPark) this.#reject(REJECT.unresolvable);
        else if (this.#park(slot)) return false;
        else this.#reject(REJECT.noRoom);
        return true;
      default:
        this.#answer(this.#proxy.rejection);
        return true;
    }
  }

  #serveResponse(slot: number, slotWord: number, error: number, mayPark: boolean): boolean {
    const counters = this.#counters;
    if (mayPark) counters.count(COUNTER.responses_received_total);
    if (error !== MESSAGE_ERROR.NONE) {
      // Section 18.3: a response that ends before its body does is discarded; so are other broken ones.
      counters.count(COUNTER.malformed_responses_total);
      return true;
    }
    if (this.#responses.forward(this.#request.index, slotWord) !== OUTCOME.PENDING) return true;
    if (mayPark && this.#park(slot)) return false;
    counters.count(mayPark ? COUNTER.parked_exhausted_total : COUNTER.unresolvable_total);
    return true;
  }

  /** Sends what waits and answers the requests that the kernel refused to take. */
  flush(): void {
    if (this.#outbound.count > 0) this.#flushOutbound();
    if (this.#undeliveredCount > 0) this.#answerUndelivered();
  }

  #flushOutbound(): void {
    const outbound = this.#outbound;
    if (this.#ports.flush(outbound) > 0) this.#noteFailures();
    outbound.clear();
  }

  /** Cold. Views are in use while this runs: answers have to wait. */
  #noteFailures(): void {
    const outbound = this.#outbound;
    for (let entry = 0; entry < outbound.count; entry++) {
      const errno = outbound.resultOf(entry);
      if (errno === 0) continue;
      const isCongestion = errno === EAGAIN;
      this.#counters.count(isCongestion ? COUNTER.send_congested_total : COUNTER.send_errors_total);
      const slot = outbound.tagOf(entry) - 1;
      if (slot < 0 || isCongestion || this.#undeliveredCount === MAX_UNDELIVERED) continue;
      this.#undelivered[this.#undeliveredCount * 2] = slot;
      this.#undelivered[this.#undeliveredCount * 2 + 1] = errno;
      this.#undeliveredCount++;
    }
  }

  /** Section 16.9: a transport error counts as a 503, which a proxy passes on as 500. Cold. */
  #answerUndelivered(): void {
    const { bytes, words, map } = this.#arena;
    const request = this.#request;
    const count = this.#undeliveredCount;
    this.#undeliveredCount = 0;
    for (let i = 0; i < count; i++) {
      const slot = this.#undelivered[i * 2]!;
      const offset = slotOffset(map, slot);
      const start = offset + SLOT_HEADER_BYTES;
      parseMessage(bytes, words, start, start + words[(offset >> 2) + SLOT.LENGTH_WORD]!, request.index);
      request.begin(slot, offset >> 2);
      if (!this.#readTopVia()) continue;
      this.#proxy.identify(request);
      const rejection = this.#undelivered[i * 2 + 1] === EMSGSIZE ? REJECT.tooLarge : REJECT.unreachable;
      this.#responder.respond(request, rejection.statusLine, NO_HEADERS);
    }
    if (this.#outbound.count > 0) this.#flushOutbound();
  }

  #park(slot: number): boolean {
    const { pendingHost, pendingPort } = this.#destination;
    return this.#ports.park(slot, this.#ports.resolver.whenResolved(pendingHost, pendingPort));
  }

  #readTopVia(): boolean {
    const { index, topVia } = this.#request;
    const header = index.first[HEADER_ID.VIA]!;
    return header !== -1 && parseVia(this.#arena.bytes, index.valueStart(header), index.valueEnd(header), topVia) >= 0;
  }

  /** An OPTIONS to us (section 11.2): 200 with what we can do, or 420 if it requires what we cannot (8.2.2.3). */
  #answerForOurselves(): void {
    const request = this.#request;
    if (request.index.find(this.#arena.bytes, HEADER_ID.REQUIRE) !== -1) {
      this.#counters.count(REJECT.badExtension.counter);
      this.#responder.respond(request, REJECT.badExtension.statusLine, this.#unsupported(HEADER_ID.REQUIRE));
      return;
    }
    this.#counters.count(COUNTER.requests_answered_total);
    this.#responder.respond(request, OK, CAPABILITIES);
  }

  /** Without a Via nobody can tell what an answer belongs to; with a broken one it can, and the datagram has a source. */
  #answerBrokenVia(): void {
    const request = this.#request;
    if (request.index.first[HEADER_ID.VIA] === -1 || request.index.method === METHOD.ACK) {
      this.#counters.count(COUNTER.unanswerable_total);
      return;
    }
    this.#counters.count(REJECT.malformedVia.counter);
    this.#responder.respondToSource(request, REJECT.malformedVia.statusLine);
  }

  #reject(rejection: Rejection): void {
    this.#counters.count(rejection.counter);
    this.#answer(rejection);
  }

  /** Section 17: an ACK is never answered, whatever is wrong with it. */
  #answer(rejection: Rejection): void {
    const request = this.#request;
    if (request.index.method === METHOD.ACK) {
      this.#counters.count(COUNTER.bad_acks_dropped_total);
      return;
    }
    const isBadExtension = rejection === REJECT.badExtension;
    const headers = isBadExtension
      ? this.#unsupported(HEADER_ID.PROXY_REQUIRE)
      : rejection.status === 503
        ? RETRY_AFTER
        : NO_HEADERS;
    this.#responder.respond(request, rejection.statusLine, headers);
  }

  /** Unsupported with every option-tag of every Require or Proxy-Require (section 20.40): none is known here. Cold. */
  #unsupported(id: number): Uint8Array {
    const { index } = this.#request;
    const values: Uint8Array[] = [];
    for (let header = index.first[id]!; header !== -1; header = index.next(header)) {
      if (index.valueEnd(header) === index.valueStart(header)) continue;
      if (values.length > 0) values.push(ascii(', '));
      values.push(this.#arena.bytes.slice(index.valueStart(header), index.valueEnd(header)));
    }
    return Uint8Array.from([UNSUPPORTED, ...values, ascii('\r\n')].flatMap((part) => [...part]));
  }
}
