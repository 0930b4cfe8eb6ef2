/** The element (RFC 3261 section 6): takes one datagram after the other and gives each to the role that answers for it. It
 *  knows no thread, socket or clock: a shard runs it on real ones, a test on virtual ones. Hot, allocates nothing but for
 *  look-ups of host names. */

import { realmsOf } from '../auth/configured.ts';
import type { Config } from '../config/schema.ts';
import type { LocationTable } from '../location/location-table.ts';
import type { FeedProducer } from '../location/store-feed.ts';
import type { Arena } from '../memory/arena.ts';
import { KeptMessages } from '../memory/kept-messages.ts';
import { SLOT, SLOT_HEADER_BYTES, slotOffset } from '../memory/layout.ts';
import { COUNTER, type Counters } from '../observe/counters.ts';
import { Histograms } from '../observe/histograms.ts';
import type { CallTrace } from '../observe/trace/call-trace.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { MessageEdits } from '../sip/message-edits.ts';
import { METHOD } from '../sip/methods.ts';
import { Outbound, TRACE_MARK } from '../sip/outbound.ts';
import { MESSAGE_ERROR, parseMessage } from '../sip/parse-message.ts';
import { parseVia } from '../sip/via.ts';
import { ACCESS, Authentication, type AuthPorts } from './authentication.ts';
import type { BoundSocket } from './bound-socket.ts';
import { Destination } from './destination.ts';
import { DomainServices } from './domain-services.ts';
import { LocatedUser } from './located-user.ts';
import { OwnAddresses } from './own-addresses.ts';
import type { ElementClock, ResolverPort } from './ports.ts';
import { CLIENT_TAG } from './proxy/branches.ts';
import { HopHealth } from './proxy/hop-health.ts';
import { RequestForwarding } from './proxy/request-forwarding.ts';
import { ResponseForwarding } from './proxy/response-forwarding.ts';
import { OUTCOME, RequestRouting } from './proxy/routing.ts';
import { SERVED } from './proxy/served.ts';
import { StatefulProxy } from './proxy/stateful.ts';
import { StatelessProxy } from './proxy/stateless.ts';
import { TargetBlocks } from './proxy/target-blocks.ts';
import { NextHops } from './proxy/target-set.ts';
import { type FileUsers, Users } from './proxy/users.ts';
import { ViaTemplates } from './proxy/via-templates.ts';
import { ReceivedRequest } from './received-request.ts';
import { Redirect } from './redirect/redirect.ts';
import { Registrar } from './registrar/registrar.ts';
import { StoredAnswers } from './registrar/stored-answers.ts';
import { REJECT, type Rejection } from './rejection.ts';
import { Responder } from './responder.ts';
import { answerStun } from './stun.ts';
import { TrustedSources } from './trusted-sources.ts';
import { ViaMarker } from './via-marker.ts';

/** Records and blocks in use. */
export interface Occupancy {
  readonly serverTransactions: number;
  readonly clientTransactions: number;
  readonly keptMessages: number;
}

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
  /** Calls `resume`, and flushes, once the promise settles. False: too many wait. */
  readonly defer: (resume: () => void, untilResolved: Promise<void>) => boolean;
  /** 32 bits nobody can guess. */
  readonly random: () => number;
  /** The location table, of this thread; its texts come from the arena. The caller passes its quiescent points. */
  readonly location: LocationTable;
  /** This shard's end of the feed of the location store; null: there is no store. */
  readonly feed: FeedProducer | null;
  /** Who is in the files of users; null: there are none. */
  readonly fileUsers: FileUsers | null;
  /** What shards share of authentication; null: no domain asks for any. */
  readonly auth: AuthPorts | null;
  /** Settles once the users are known that the source of HA1s said PENDING about. */
  readonly whenUsersKnown: () => Promise<void>;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** Where messages are kept for who watches; what was flushed is told to it by the caller. */
  readonly trace?: CallTrace | null;
}

/** errno of what a datagram is too long for. */
const EMSGSIZE = 90;
const EAGAIN = 11;
/** The store wakes a shard whose answers wait for it; this is for the case that it died before it could. */
const STORE_CHECK_MS = 100;
const MAX_UNDELIVERED = 512;
const UNDELIVERED_WORDS = 3;

export class Element {
  readonly #arena: Arena;
  readonly #ports: ElementPorts;
  readonly #trace: CallTrace | null;
  readonly #counters: Counters;
  readonly #request = new ReceivedRequest();
  readonly #edits = new MessageEdits();
  readonly #outbound: Outbound;
  readonly #destination: Destination;
  readonly #responder: Responder;
  readonly #routing: RequestRouting;
  readonly #stateless: StatelessProxy;
  /** null in stateless mode. */
  readonly #stateful: StatefulProxy | null;
  readonly #registrar: Registrar;
  readonly #authentication: Authentication | null;
  /** Slots that wait for a user look-up; they may wait for a name after that. */
  readonly #asking = new Set<number>();
  #isDraining = false;
  readonly #answers: StoredAnswers | null;
  readonly #feed: FeedProducer | null;
  readonly #kept: KeptMessages;
  readonly #responses: ResponseForwarding;
  readonly #clock: ElementClock = { nowMs: 0, nowUs: 0 };
  /** (tag, errno, cookie of a client transaction) of requests the kernel refused, to be dealt with once their flush is over: by
   *  then the record may be another transaction's. Two, since dealing with one may bring others. */
  #undelivered = new Int32Array(MAX_UNDELIVERED * UNDELIVERED_WORDS);
  #beingAnswered = new Int32Array(MAX_UNDELIVERED * UNDELIVERED_WORDS);
  #undeliveredCount = 0;

  constructor(arena: Arena, shard: number, ports: ElementPorts) {
    const { config, sockets, localAddresses, counters } = ports;
    const { bytes, words } = arena;
    this.#arena = arena;
    this.#ports = ports;
    this.#trace = ports.trace ?? null;
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
    const templates = new ViaTemplates(arena, sockets, localAddresses, config.maxBreadth);
    const nextHops = new NextHops(config);
    const health = new HopHealth(nextHops.count, config.nextHopRestSec * 1000);
    const users = new Users(config, ports.fileUsers);
    const kept = new KeptMessages(arena, shard);
    const targetBlocks = new TargetBlocks(arena, kept);
    const { location, feed, wallMs } = ports;
    const isWaiting = feed !== null && config.location.acknowledge === 'stored';
    const answers = isWaiting ? new StoredAnswers(feed, kept, outbound) : null;
    const located = new LocatedUser(arena, outbound, location, feed, wallMs);
    const isStateful = config.mode === 'stateful';
    const clock = this.#clock;
    // A destination of its own: a 100 is addressed between the choice of a next hop and the forwarding to it.
    const returns = new Destination(bytes, words, sockets, ports.resolver);
    const responder = new Responder(arena, outbound, edits, marker, returns, config.server.name);
    const authentication =
      ports.auth === null
        ? null
        : new Authentication({
            arena,
            outbound,
            responder,
            own,
            counters,
            realms: realmsOf(config, ports.auth.algorithmsOf),
            ports: ports.auth,
            wallMs,
            config,
          });
    this.#authentication = authentication;
    const routing = new RequestRouting({
      arena,
      own,
      users,
      services: new DomainServices(config),
      located,
      targetBlocks,
      authentication,
      trusted,
      destination,
      counters,
      isRecordRouting: isStateful && config.recordRoute.length > 0,
      isStateful,
      // 16.11: without transactions the choice depends on the call alone.
      chooseHop: isStateful
        ? (domain, selector) => nextHops.first(domain, selector, health, clock.nowMs)
        : (domain, selector) => nextHops.choose(domain, selector),
    });
    const forwarding = new RequestForwarding(arena, outbound, edits, marker, templates, authentication, {
      maxForwards: config.maxForwards,
      maxBreadth: config.maxBreadth,
      recordRoute: isStateful ? config.recordRoute : [],
    });
    this.#outbound = outbound;
    this.#destination = destination;
    this.#responder = responder;
    this.#routing = routing;
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
    const redirect = new Redirect(arena, outbound, responder, located);
    this.#kept = kept;
    this.#answers = answers;
    this.#feed = feed;
    this.#registrar = new Registrar({
      arena,
      outbound,
      responder,
      location,
      own,
      users,
      counters,
      wallMs,
      authentication,
      settings: config.registrar,
      feed,
      answers,
    });
    this.#stateless = new StatelessProxy({
      routing,
      destination,
      forwarding,
      responder,
      redirect,
      authentication,
      users,
      counters,
    });
    this.#stateful = isStateful
      ? new StatefulProxy({
          arena,
          kept,
          targetBlocks,
          outbound,
          edits,
          destination,
          routing,
          forwarding,
          responder,
          templates,
          own,
          users,
          located,
          redirect,
          authentication,
          nextHops,
          health,
          clock,
          counters,
          histograms: new Histograms(arena, shard),
          random: ports.random,
          whenResolved: (resume) => ports.defer(resume, this.#whenResolved()),
          settings: { ...config, transactions: config.limits.transactions },
        })
      : null;
  }

  /** Sets the clock, in whole milliseconds since the shard began, and fires the timers that are due. To be called before each
   *  batch of datagrams and when `nextDeadlineMs` has come; `flush` follows. True: more timers are due. `nowUs`: the same
   *  instant on the clock of the slots' receive time. */
  advance(nowMs: number, nowUs: number = nowMs * 1000): boolean {
    this.#clock.nowMs = nowMs;
    this.#clock.nowUs = nowUs | 0;
    this.#outbound.traceMark = TRACE_MARK.FIND;
    this.#answers?.release();
    return this.#stateful?.advance() ?? false;
  }

  /** When `advance` should be called at the latest; Infinity: nothing waits for the clock. */
  nextDeadlineMs(): number {
    const timersMs = this.#stateful === null ? Number.POSITIVE_INFINITY : this.#stateful.nextDeadlineMs();
    const isWaiting = this.#answers?.isWaiting === true;
    return isWaiting ? Math.min(timersMs, this.#clock.nowMs + STORE_CHECK_MS) : timersMs;
  }

  /** Too much waits to be served: until told otherwise, what begins something new is answered 503. */
  setOverloaded(isOverloaded: boolean): void {
    if (this.#stateful !== null) this.#stateful.isOverloaded = isOverloaded;
  }

  /** From now on, or no longer: what begins something new is answered 503, or passed on to the peer. A stateless proxy goes on with
   *  what it forwards: it cannot tell a request that is sent again from a new one. */
  setDraining(isDraining: boolean): void {
    this.#isDraining = isDraining;
    if (this.#stateful !== null) this.#stateful.isDraining = isDraining;
  }

  /** What is not over yet: transactions that wait for a final response or its ACK, and answers that wait for the store. Cold. */
  pending(): number {
    return (this.#stateful?.pending() ?? 0) + this.pendingAnswers;
  }

  /** Answers that wait for the store. */
  get pendingAnswers(): number {
    return this.#answers?.count ?? 0;
  }

  /** A destination cannot be reached: family, port and address in `words` from `familyAt`, as in a slot. The dispatcher says
   *  it by a slot without a payload. */
  noteUnreachable(words: Int32Array, familyAt: number): void {
    this.#outbound.traceMark = TRACE_MARK.FIND;
    this.#stateful?.noteUnreachable(words, familyAt);
  }

  /** What the stateful proxy holds; all zero in stateless mode. */
  occupancy(): Occupancy {
    const transactions = this.#stateful?.occupancy() ?? { serverTransactions: 0, clientTransactions: 0 };
    return { ...transactions, keptMessages: this.#kept.count };
  }

  /** Messages waiting for the next flush. */
  get outbound(): Outbound {
    return this.#outbound;
  }

  /** Serves the datagram in a slot. True: done with it once flushed. False: it waits for a look-up, `resume` follows. */
  serve(slot: number): boolean {
    return this.#serve(slot, true, true);
  }

  /** Serves a datagram whose look-up has settled. What is still not known by now counts as not found. True: done with it.
   *  False: it waits for another look-up now. */
  resume(slot: number): boolean {
    // Whoever waited for a user may still have to wait for a name.
    return this.#serve(slot, this.#asking.delete(slot), false);
  }

  #serve(slot: number, mayPark: boolean, isNew: boolean): boolean {
    const { bytes, words, map } = this.#arena;
    const offset = slotOffset(map, slot);
    const slotWord = offset >> 2;
    const start = offset + SLOT_HEADER_BYTES;
    const end = start + words[slotWord + SLOT.LENGTH_WORD]!;
    if (end === start) {
      this.noteUnreachable(words, slotWord + SLOT.FAMILY_WORD);
      return true;
    }
    this.#clock.nowUs = words[slotWord + SLOT.TIME_WORD]!;
    if (bytes[start]! < 4) {
      this.#outbound.traceMark = TRACE_MARK.NO;
      answerStun(this.#arena, slotWord, start, end, this.#outbound, this.#counters);
      return true;
    }
    const request = this.#request;
    const error = parseMessage(bytes, words, start, end, request.index);
    if (error === MESSAGE_ERROR.NOT_SIP) {
      this.#counters.count(COUNTER.junk_datagrams_total);
      return true;
    }
    if (this.#trace !== null) this.#outbound.traceMark = this.#trace.received(request.index, slotWord, isNew);
    if (request.index.isRequest) return this.#serveRequest(slot, slotWord, error, mayPark, isNew);
    return this.#serveResponse(slot, slotWord, error, mayPark);
  }

  #serveRequest(slot: number, slotWord: number, error: number, mayPark: boolean, isNew: boolean): boolean {
    const counters = this.#counters;
    const request = this.#request;
    if (isNew) {
      counters.count(COUNTER.requests_received_total);
      counters.count(COUNTER.other_requests_total + request.index.method);
    }
    request.begin(slot, slotWord);
    if (!this.#readTopVia()) {
      this.#answerBrokenVia();
      return true;
    }
    const stateful = this.#stateful;
    const served =
      stateful === null ? this.#stateless.receive(request, error) : stateful.receive(request, error, mayPark);
    switch (served) {
      case SERVED.DONE:
        return true;
      case SERVED.FOR_OURSELVES:
        if (this.#isDraining) this.#reject(REJECT.draining);
        else this.#answerForOurselves();
        return true;
      case SERVED.PENDING:
        if (!mayPark) this.#reject(REJECT.unresolvable);
        else if (this.#park(slot)) return false;
        else this.#reject(REJECT.noRoom);
        return true;
      case SERVED.REGISTER:
        if (!this.#isDraining) return this.#register(slot, isNew);
        this.#reject(REJECT.draining);
        return true;
      case SERVED.ASKING:
        return this.#ask(slot, isNew);
      default:
        this.#answer((stateful ?? this.#stateless).rejection);
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
    if (this.#stateful !== null) {
      this.#stateful.receiveResponse(this.#request.index, slotWord);
      return true;
    }
    if (this.#responses.forward(this.#request.index, slotWord) !== OUTCOME.PENDING) return true;
    if (mayPark && this.#park(slot)) return false;
    counters.count(mayPark ? COUNTER.parked_exhausted_total : COUNTER.unresolvable_total);
    return true;
  }

  /** Sends what waits, answers the requests that the kernel refused to take, and wakes the store for what has changed. */
  flush(): void {
    this.#feed?.announce();
    if (this.#outbound.count > 0) this.#flushOutbound();
    // What is tried elsewhere may be refused there, too.
    while (this.#undeliveredCount > 0) this.#answerUndelivered();
    this.#kept.settle();
  }

  /** The messages kept by this shard's transactions and waiting answers. */
  get kept(): KeptMessages {
    return this.#kept;
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
      const tag = outbound.tagOf(entry);
      if (tag === 0 || isCongestion || this.#undeliveredCount === MAX_UNDELIVERED) continue;
      const at = this.#undeliveredCount++ * UNDELIVERED_WORDS;
      this.#undelivered[at] = tag;
      this.#undelivered[at + 1] = errno;
      this.#undelivered[at + 2] = (tag & CLIENT_TAG) === 0 ? 0 : this.#stateful!.cookieOf(tag);
    }
  }

  /** Section 16.9: a transport error counts as a 503, which a proxy passes on as 500. Cold. */
  #answerUndelivered(): void {
    const { bytes, words, map } = this.#arena;
    const request = this.#request;
    const count = this.#undeliveredCount;
    const undelivered = this.#undelivered;
    this.#undelivered = this.#beingAnswered;
    this.#beingAnswered = undelivered;
    this.#undeliveredCount = 0;
    this.#outbound.traceMark = TRACE_MARK.FIND;
    for (let at = 0; at < count * UNDELIVERED_WORDS; at += UNDELIVERED_WORDS) {
      const tag = undelivered[at]!;
      const isTooLarge = undelivered[at + 1] === EMSGSIZE;
      if ((tag & CLIENT_TAG) !== 0) {
        if (this.#stateful!.cookieOf(tag) === undelivered[at + 2]) this.#stateful!.transportFailed(tag, isTooLarge);
        continue;
      }
      const slot = tag - 1;
      const offset = slotOffset(map, slot);
      const start = offset + SLOT_HEADER_BYTES;
      parseMessage(bytes, words, start, start + words[(offset >> 2) + SLOT.LENGTH_WORD]!, request.index);
      request.begin(slot, offset >> 2);
      if (!this.#readTopVia()) continue;
      this.#routing.identify(request);
      this.#responder.reject(request, isTooLarge ? REJECT.tooLarge : REJECT.unreachable);
    }
    if (this.#outbound.count > 0) this.#flushOutbound();
  }

  #park(slot: number): boolean {
    return this.#ports.park(slot, this.#whenResolved());
  }

  /** The look-up that the destination waits for. */
  #whenResolved(): Promise<void> {
    const { pendingHost, pendingPort } = this.#destination;
    return this.#ports.resolver.whenResolved(pendingHost, pendingPort);
  }

  #readTopVia(): boolean {
    const { index, topVia } = this.#request;
    const header = index.first[HEADER_ID.VIA]!;
    return header !== -1 && parseVia(this.#arena.bytes, index.valueStart(header), index.valueEnd(header), topVia) >= 0;
  }

  /** 10.3. */
  #register(slot: number, mayAsk: boolean): boolean {
    const request = this.#request;
    const { domain } = this.#routing;
    if (!this.#registrar.checkRequire(request)) return true;
    const authentication = this.#authentication;
    const access = authentication === null ? ACCESS.GRANTED : authentication.checkRegister(request, domain);
    if (access === ACCESS.GRANTED) this.#registrar.register(request, domain);
    else if (access === ACCESS.REPEATED && this.#registrar.answerAgain(request, domain)) return true;
    else if (access === ACCESS.REPEATED) authentication!.challengeStale(request);
    else if (access === ACCESS.CHALLENGED) authentication!.challenge(request);
    else if (access === ACCESS.PENDING) return this.#ask(slot, mayAsk);
    else this.#reject(authentication!.rejection);
    return true;
  }

  /** Has a request wait for what is known of its user. Cold. */
  #ask(slot: number, mayAsk: boolean): boolean {
    const isWaiting = mayAsk && this.#ports.park(slot, this.#ports.whenUsersKnown());
    if (isWaiting) this.#asking.add(slot);
    else this.#reject(mayAsk ? REJECT.noRoom : REJECT.usersUnavailable);
    return !isWaiting;
  }

  /** An OPTIONS to us (section 11.2): 200 with what we can do, or 420 if it requires what we cannot (8.2.2.3). */
  #answerForOurselves(): void {
    const request = this.#request;
    if (request.index.find(this.#arena.bytes, HEADER_ID.REQUIRE) !== -1) {
      this.#counters.count(REJECT.badExtension.counter);
      this.#responder.rejectRequire(request, REJECT.badExtension);
      return;
    }
    this.#counters.count(COUNTER.requests_answered_total);
    this.#responder.describe(request);
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
    if (this.#request.index.method === METHOD.ACK) this.#counters.count(COUNTER.bad_acks_dropped_total);
    else this.#responder.reject(this.#request, rejection);
  }
}
