/** The element (RFC 3261 section 6): takes one datagram after the other and gives each to the role that answers for it. It
 *  knows no thread, socket or clock: a shard runs it on real ones, a test on virtual ones. Hot, allocates nothing but for
 *  look-ups of host names. */

import type { LocationTable } from '../location/location-table.ts';
import type { FeedProducer } from '../location/store-feed.ts';
import type { Arena } from '../memory/arena.ts';
import { KeptMessages } from '../memory/kept-messages.ts';
import {
  EGRESS_FLAG,
  EGRESS_MARK_SHIFT,
  MAX_SOCKETS,
  RETURNED,
  SLOT,
  SLOT_HEADER_BYTES,
  slotOffset,
  UNDELIVERED,
} from '../memory/layout.ts';
import { COUNTER, type Counters } from '../observe/counters.ts';
import { Histograms } from '../observe/histograms.ts';
import type { CallTrace } from '../observe/trace/call-trace.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { MessageEdits } from '../sip/message-edits.ts';
import { METHOD } from '../sip/methods.ts';
import { Outbound, TRACE_MARK } from '../sip/outbound.ts';
import { errorOfFault, hasSeveralMessages, MESSAGE_ERROR, parseMessage } from '../sip/parse-message.ts';
import { FRAME_FAULT } from '../sip/stream-framing.ts';
import { isWebSocket, TRANSPORT } from '../sip/transport.ts';
import { parseVia } from '../sip/via.ts';
import { AnswerLog, type AnswerLogPort } from './answer-log.ts';
import { ACCESS } from './authentication.ts';
import { type BoundSocket, inOneShape } from './bound-socket.ts';
import { isUndecodable } from './content-encoding.ts';
import { Destination } from './destination.ts';
import { DialogTokens } from './dialog-tokens.ts';
import { FlowTokens } from './flow-tokens.ts';
import { LocatedUser } from './located-user.ts';
import { OwnAddresses } from './own-addresses.ts';
import type { ElementClock, ResolverPort } from './ports.ts';
import { CLIENT_TAG } from './proxy/branches.ts';
import { KnownHops, type ListedHop } from './proxy/hop-health.ts';
import { identify } from './proxy/identity.ts';
import { Predecessor } from './proxy/predecessor.ts';
import { OUTCOME } from './proxy/routing.ts';
import { SERVED } from './proxy/served.ts';
import { TargetBlocks } from './proxy/target-blocks.ts';
import { TransactionLayer } from './proxy/transaction-layer.ts';
import type { TransactionPage, TransactionQuestion } from './proxy/transaction-list.ts';
import { UnreachablePlaces } from './proxy/unreachable.ts';
import { ReceivedRequest } from './received-request.ts';
import { RECENT, RecentRequests } from './recent-requests.ts';
import { StoredAnswers } from './registrar/stored-answers.ts';
import { REJECT, type Rejection } from './rejection.ts';
import { newTemplates, type Policy, type Snapshot, type SnapshotParts } from './snapshot.ts';
import { Snapshots } from './snapshots.ts';
import { answerStun } from './stun.ts';
import { ViaMarker } from './via-marker.ts';

/** Records and blocks in use. */
export interface Occupancy {
  readonly serverTransactions: number;
  readonly clientTransactions: number;
  readonly keptMessages: number;
}

export interface ElementPorts extends Policy {
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
  /** What signs flow tokens: SIPHASH_KEY_WORDS, the same on all shards. */
  readonly flowKey: Int32Array;
  /** The location table, of this thread; its texts come from the arena. The caller passes its quiescent points. */
  readonly location: LocationTable;
  /** This shard's end of the feed of the location store; null: there is no store. */
  readonly feed: FeedProducer | null;
  /** Settles once the users are known that the source of HA1s said PENDING about. */
  readonly whenUsersKnown: () => Promise<void>;
  /** Where to say whom we turn away; left out: nowhere. */
  readonly answerLog?: AnswerLogPort;
  /** Milliseconds since 1970. Asked once for each `advance`. */
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
  readonly #snapshots: Snapshots;
  /** null in stateless mode. */
  readonly #layer: TransactionLayer | null;
  /** Slots that wait for a user look-up; they may wait for a name after that. */
  readonly #asking = new Set<number>();
  #isDraining = false;
  readonly #hops = new KnownHops();
  readonly #answers: StoredAnswers | null;
  readonly #feed: FeedProducer | null;
  readonly #kept: KeptMessages;
  readonly #recent: RecentRequests;
  /** By socket. */
  readonly #isStream = new Uint8Array(MAX_SOCKETS);
  readonly #isWebSocket = new Uint8Array(MAX_SOCKETS);
  /** Who takes no TCP. */
  readonly #withoutTcp: UnreachablePlaces;
  readonly #clock: ElementClock = { nowMs: 0, nowUs: 0, wallMs: 0 };
  /** (tag, errno, cookie of a client transaction) of requests the kernel refused, to be dealt with once their flush is over: by
   *  then the record may be another transaction's. Two, since dealing with one may bring others. */
  #undelivered = new Int32Array(MAX_UNDELIVERED * UNDELIVERED_WORDS);
  #beingAnswered = new Int32Array(MAX_UNDELIVERED * UNDELIVERED_WORDS);
  #undeliveredCount = 0;

  constructor(arena: Arena, shard: number, ports: ElementPorts) {
    const { config, localAddresses, counters, location, feed } = ports;
    const sockets = ports.sockets.map(inOneShape);
    const { bytes, words } = arena;
    const outbound = new Outbound(arena, shard, () => this.#flushOutbound());
    const destination = new Destination(bytes, words, sockets, ports.resolver);
    const kept = new KeptMessages(arena, shard);
    const isWaiting = feed !== null && config.location.acknowledge === 'stored';
    const clock = this.#clock;
    clock.wallMs = ports.wallMs();
    const withoutTcp = new UnreachablePlaces(clock);
    this.#withoutTcp = withoutTcp;
    this.#arena = arena;
    for (const { socket, transport } of sockets) {
      this.#isStream[socket] = Number(transport !== TRANSPORT.UDP);
      this.#isWebSocket[socket] = Number(isWebSocket(transport));
    }
    this.#ports = ports;
    this.#trace = ports.trace ?? null;
    this.#counters = counters;
    this.#outbound = outbound;
    this.#destination = destination;
    this.#kept = kept;
    this.#recent = new RecentRequests(words);
    this.#feed = feed;
    this.#answers = isWaiting ? new StoredAnswers(feed, kept, outbound) : null;
    const parts: SnapshotParts = {
      arena,
      sockets,
      localAddresses,
      counters,
      histograms: new Histograms(arena, shard),
      answerLog: ports.answerLog === undefined ? null : new AnswerLog(arena, clock, ports.answerLog),
      outbound,
      edits: this.#edits,
      destination,
      returns: new Destination(bytes, words, sockets, ports.resolver),
      marker: new ViaMarker(arena, outbound),
      kept,
      targetBlocks: new TargetBlocks(arena, kept, sockets),
      location,
      located: new LocatedUser(arena, outbound, location, feed, clock),
      feed,
      answers: this.#answers,
      recent: this.#recent,
      hops: this.#hops,
      withoutTcp,
      flowTokens: new FlowTokens(bytes, words, sockets, ports.flowKey),
      dialogTokens: new DialogTokens(bytes, ports.flowKey),
      clock,
      whenResolved: (resume) => ports.defer(resume, this.#whenResolved()),
    };
    this.#layer =
      config.mode === 'stateless'
        ? null
        : new TransactionLayer({
            arena,
            clock,
            counters,
            withoutTcp,
            own: new OwnAddresses(bytes, words, sockets, localAddresses, []),
            templates: newTemplates(parts, config),
            transactions: config.limits.transactions,
            random: ports.random,
          });
    this.#snapshots = new Snapshots(parts, ports, this.#layer);
  }

  /** Exchanges the configuration. What is new begins with it, and what belongs to a transaction goes on with the one that it began
   *  with (RFC 3261 16.11 for a stateless proxy). The mode, the sockets and the limits stay as they were. Not within a
   *  datagram. */
  use(policy: Policy): void {
    this.#snapshots.use(policy);
  }

  /** Sets the clock, in whole milliseconds since the shard began, and fires the timers that are due. To be called before each
   *  batch of datagrams and when `nextDeadlineMs` has come; `flush` follows. True: more timers are due. `nowUs`: the same
   *  instant on the clock of the slots' receive time. */
  advance(nowMs: number, nowUs: number = nowMs * 1000): boolean {
    this.#clock.nowMs = nowMs;
    this.#clock.nowUs = nowUs | 0;
    this.#clock.wallMs = this.#ports.wallMs();
    this.#outbound.traceMark = TRACE_MARK.FIND;
    this.#answers?.release();
    const isMoreDue = this.#layer?.advance() ?? false;
    this.#snapshots.releaseUnused();
    return isMoreDue;
  }

  /** When `advance` should be called at the latest; Infinity: nothing waits for the clock. */
  nextDeadlineMs(): number {
    const timersMs = this.#layer === null ? this.#snapshots.nextReleaseMs() : this.#layer.nextDeadlineMs();
    const isWaiting = this.#answers?.isWaiting === true;
    return isWaiting ? Math.min(timersMs, this.#clock.nowMs + STORE_CHECK_MS) : timersMs;
  }

  /** Too much waits to be served: until told otherwise, what begins something new is answered 503. */
  setOverloaded(isOverloaded: boolean): void {
    if (this.#layer !== null) this.#layer.isOverloaded = isOverloaded;
  }

  /** From now on, or no longer: what begins something new is answered 503, or passed on to the peer. A stateless proxy goes on with
   *  what it forwards: it cannot tell a request that is sent again from a new one. */
  setDraining(isDraining: boolean): void {
    this.#isDraining = isDraining;
    if (this.#layer !== null) this.#layer.isDraining = isDraining;
  }

  /** Keys of all server transactions: for a server that hands over. Cold. */
  transactionKeys(): Int32Array {
    return this.#layer?.servers.keys() ?? new Int32Array(0);
  }

  /** Who goes on with the transactions from before this server took over: `createKeyTable` of their keys, and its index of each socket.
   *  null: nobody any more. */
  setPredecessor(task: { readonly keys: SharedArrayBuffer; readonly sockets: readonly number[] } | null): void {
    if (this.#layer === null) return;
    this.#layer.predecessor =
      task === null ? null : new Predecessor(this.#arena, this.#outbound, this.#counters, task.keys, task.sockets);
  }

  /** What is not over yet: transactions that wait for a final response or its ACK, and answers that wait for the store. Cold. */
  pending(): number {
    return (this.#layer?.pending() ?? 0) + this.pendingAnswers;
  }

  /** Answers that wait for the store. */
  get pendingAnswers(): number {
    return this.#answers?.count ?? 0;
  }

  /** A destination cannot be reached: family, port and address in `words` from `familyAt`, as in a slot. The dispatcher says
   *  it by a slot without a payload. */
  noteUnreachable(words: Int32Array, familyAt: number): void {
    this.#outbound.traceMark = TRACE_MARK.FIND;
    this.#layer?.noteUnreachable(words, familyAt);
  }

  /** What the stateful proxy holds; all zero in stateless mode. */
  occupancy(): Occupancy {
    const transactions = this.#layer?.occupancy() ?? { serverTransactions: 0, clientTransactions: 0 };
    return { ...transactions, keptMessages: this.#kept.count };
  }

  /** Configurations in use: the current one, and earlier ones that something still belongs to. */
  get snapshotCount(): number {
    return this.#snapshots.count;
  }

  /** Server transactions; none in stateless mode. `nowUs` is on the clock of the slots' receive time. Cold. */
  transactions(question: TransactionQuestion, nowUs: number): TransactionPage {
    return this.#layer?.list(question, nowUs) ?? { transactions: [], cursor: null };
  }

  /** What is known of each next hop; null in stateless mode, where nobody watches them. `nowMs`: as for `advance`. Cold. */
  hops(nowMs: number): ListedHop[] | null {
    return this.#layer === null ? null : this.#hops.list(nowMs);
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
      if (words[slotWord + SLOT.FAMILY_WORD] === 0) this.#noteUndelivered(slotWord);
      else this.noteUnreachable(words, slotWord + SLOT.FAMILY_WORD);
      return true;
    }
    this.#clock.nowUs = words[slotWord + SLOT.TIME_WORD]!;
    if (bytes[start]! < 4) {
      this.#outbound.traceMark = TRACE_MARK.NO;
      answerStun(this.#arena, slotWord, start, end, this.#outbound, this.#counters);
      return true;
    }
    const request = this.#request;
    let error = parseMessage(bytes, words, start, end, request.index);
    if (error === MESSAGE_ERROR.NOT_SIP) {
      this.#counters.count(COUNTER.junk_datagrams_total);
      return true;
    }
    const socket = words[slotWord + SLOT.SOCKET_WORD]!;
    const fault = words[slotWord + SLOT.FAULT_WORD]!;
    if (fault >= RETURNED.MOVED) return this.#serveReturned(slot, slotWord, fault, mayPark, isNew);
    if (this.#isStream[socket] === 1) {
      const isWhole = fault === FRAME_FAULT.NONE && error === MESSAGE_ERROR.NONE;
      if (fault !== FRAME_FAULT.NONE) error = errorOfFault(fault, error);
      else if (isWhole && this.#isWebSocket[socket] === 1 && hasSeveralMessages(bytes, request.index, end)) {
        error = MESSAGE_ERROR.SEVERAL_MESSAGES;
      }
    }
    if (this.#trace !== null) this.#trace.received(request.index, slotWord, isNew, this.#outbound);
    if (request.index.isRequest) return this.#serveRequest(slot, slotWord, error, mayPark, isNew);
    return this.#serveResponse(slot, slotWord, error, mayPark);
  }

  /** `isNew`: it has come now, and has not waited or come back. */
  #serveRequest(
    slot: number,
    slotWord: number,
    error: number,
    mayPark: boolean,
    isNew: boolean,
    mayAsk = isNew,
  ): boolean {
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
    const snapshot = this.#snapshotFor(request, isNew);
    const { stateful, stateless } = snapshot;
    const served = stateful === null ? stateless.receive(request, error) : stateful.receive(request, error, mayPark);
    switch (served) {
      case SERVED.DONE:
        return true;
      case SERVED.FOR_OURSELVES:
        if (this.#isDraining) this.#reject(snapshot, REJECT.draining);
        else this.#answerForOurselves(snapshot);
        return true;
      case SERVED.PENDING:
        if (!mayPark) this.#reject(snapshot, REJECT.unresolvable);
        else if (this.#park(slot)) return false;
        else this.#reject(snapshot, REJECT.noRoom);
        return true;
      case SERVED.REGISTER:
        if (!this.#isDraining) return this.#register(snapshot, slot, mayAsk);
        this.#reject(snapshot, REJECT.draining);
        return true;
      case SERVED.ASKING:
        return this.#ask(snapshot, slot, mayAsk);
      default:
        this.#answer(snapshot, (stateful ?? stateless).rejection);
        return true;
    }
  }

  /** The current one; without transactions, the one that the request's transaction began with. */
  #snapshotFor(request: ReceivedRequest, isNew: boolean): Snapshot {
    if (this.#layer !== null) return this.#snapshots.current;
    identify(this.#arena, request);
    const { method } = request.index;
    // An ACK and a CANCEL have the key of their INVITE.
    const isOwn = method !== METHOD.ACK && method !== METHOD.CANCEL;
    return this.#snapshots.of(request.transaction.high, request.transaction.low, isNew && isOwn);
  }

  #serveResponse(slot: number, slotWord: number, error: number, mayPark: boolean): boolean {
    const counters = this.#counters;
    if (mayPark) counters.count(COUNTER.responses_received_total);
    if (error !== MESSAGE_ERROR.NONE) {
      // Section 18.3: a response that ends before its body does is discarded; so are other broken ones.
      counters.count(COUNTER.malformed_responses_total);
      return true;
    }
    if (this.#layer !== null) {
      this.#layer.receiveResponse(this.#request.index, slotWord);
      return true;
    }
    if (this.#snapshots.current.responses.forward(this.#request.index, slotWord) !== OUTCOME.PENDING) return true;
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
      this.#noteFailure(tag, errno, (tag & CLIENT_TAG) === 0 ? 0 : this.#layer!.cookieOf(tag));
    }
  }

  /** A message could not be delivered over a stream: the slot at `slotWord` says which (UNDELIVERED of layout.ts). One whose
   *  transaction is over by now, or that is of none, is only counted. Cold. */
  #noteUndelivered(slotWord: number): void {
    const { words } = this.#arena;
    this.#counters.count(COUNTER.send_errors_total);
    const tag = words[slotWord + UNDELIVERED.TAG_WORD]!;
    const flags = words[slotWord + UNDELIVERED.FLAGS_WORD]!;
    const errno = words[slotWord + UNDELIVERED.ERRNO_WORD]!;
    // Without a transaction this is how a request that is too long for UDP goes by UDP all the same: it follows as it was received.
    const isTooLong = (tag & CLIENT_TAG) === 0 && errno !== EAGAIN && (flags & EGRESS_FLAG.MOVED) !== 0;
    if (isTooLong) this.#withoutTcp.note(words, slotWord + UNDELIVERED.PLACE_WORD);
    if ((tag & CLIENT_TAG) === 0 || this.#layer === null || this.#undeliveredCount === MAX_UNDELIVERED) return;
    const cookie = this.#layer.cookieOf(tag);
    if (((cookie << EGRESS_MARK_SHIFT) ^ flags) >>> EGRESS_MARK_SHIFT !== 0) return;
    this.#noteFailure(tag, errno, cookie);
  }

  #noteFailure(tag: number, errno: number, cookie: number): void {
    this.#layer?.noteIfWithoutTcp(tag, errno);
    const at = this.#undeliveredCount++ * UNDELIVERED_WORDS;
    this.#undelivered[at] = tag;
    this.#undelivered[at + 1] = errno;
    this.#undelivered[at + 2] = cookie;
  }

  /** A request that was sent over a stream without a transaction, and that could not be delivered, is back as it was received; RETURNED
   *  of layout.ts says why. One that went by TCP for its length alone goes by UDP (18.1.1), as if it had been sent again: the place was
   *  noted a moment ago. Others are answered as what the kernel refuses is; nobody answers an ACK. Cold. */
  #serveReturned(slot: number, slotWord: number, why: number, mayPark: boolean, mayAsk: boolean): boolean {
    if (this.#trace !== null) this.#trace.received(this.#request.index, slotWord, false, this.#outbound);
    if (why === RETURNED.MOVED) {
      return this.#serveRequest(slot, slotWord, MESSAGE_ERROR.NONE, mayPark, false, mayAsk);
    }
    const request = this.#request;
    request.begin(slot, slotWord);
    if (request.index.method === METHOD.ACK || !this.#readTopVia()) return true;
    const { responder } = this.#snapshotFor(request, false);
    if (why !== RETURNED.FLOW) {
      responder.reject(request, REJECT.unreachable);
      return true;
    }
    // RFC 5626 5.3.1: a 430 is for who has other flows to try, and sent the request the way of one. Who calls our user is told that he
    // is not there.
    this.#counters.count(COUNTER.requests_answered_total);
    responder.reject(request, request.index.first[HEADER_ID.ROUTE] === -1 ? REJECT.noTarget : REJECT.flowFailed);
    return true;
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
        if (this.#layer!.cookieOf(tag) === undelivered[at + 2]) this.#layer!.transportFailed(tag, isTooLarge);
        continue;
      }
      const slot = tag - 1;
      const offset = slotOffset(map, slot);
      const start = offset + SLOT_HEADER_BYTES;
      parseMessage(bytes, words, start, start + words[(offset >> 2) + SLOT.LENGTH_WORD]!, request.index);
      request.begin(slot, offset >> 2);
      if (request.index.method === METHOD.ACK || !this.#readTopVia()) continue;
      identify(this.#arena, request);
      this.#snapshots.current.responder.reject(request, isTooLarge ? REJECT.tooLarge : REJECT.unreachable);
    }
    if (this.#outbound.count > 0) this.#flushOutbound();
  }

  #park(slot: number): boolean {
    return this.#ports.park(slot, this.#whenResolved());
  }

  /** The look-up that the destination waits for. */
  #whenResolved(): Promise<void> {
    const { pendingHost, pendingPort, pendingTransport } = this.#destination;
    return this.#ports.resolver.whenResolved(pendingHost, pendingPort, pendingTransport);
  }

  #readTopVia(): boolean {
    const { index, topVia } = this.#request;
    const header = index.first[HEADER_ID.VIA]!;
    return header !== -1 && parseVia(this.#arena.bytes, index.valueStart(header), index.valueEnd(header), topVia) >= 0;
  }

  /** 10.3. */
  #register(snapshot: Snapshot, slot: number, mayAsk: boolean): boolean {
    const request = this.#request;
    const { authentication, registrar } = snapshot;
    const { domain } = snapshot.routing;
    if (!registrar.checkRequire(request)) return true;
    const access = authentication === null ? ACCESS.GRANTED : authentication.checkRegister(request, domain);
    if (access === ACCESS.GRANTED) registrar.register(request, domain);
    else if (access === ACCESS.REPEATED && registrar.answerAgain(request, domain)) return true;
    else if (access === ACCESS.REPEATED) authentication!.challengeStale(request);
    else if (access === ACCESS.CHALLENGED) authentication!.challenge(request);
    else if (access === ACCESS.PENDING) return this.#ask(snapshot, slot, mayAsk);
    else this.#reject(snapshot, authentication!.rejection);
    return true;
  }

  /** Has a request wait for what is known of its user. Cold. */
  #ask(snapshot: Snapshot, slot: number, mayAsk: boolean): boolean {
    const isWaiting = mayAsk && this.#ports.park(slot, this.#ports.whenUsersKnown());
    if (isWaiting) this.#asking.add(slot);
    else this.#reject(snapshot, mayAsk ? REJECT.noRoom : REJECT.usersUnavailable);
    return !isWaiting;
  }

  /** An OPTIONS to us (section 11.2): 200 with what we can do, 420 if it requires what we cannot (8.2.2.3), or 415 (8.2.3). */
  #answerForOurselves({ responder }: Snapshot): void {
    const request = this.#request;
    if (request.index.find(this.#arena.bytes, HEADER_ID.REQUIRE) !== -1) {
      this.#counters.count(REJECT.badExtension.counter);
      responder.rejectRequire(request, REJECT.badExtension);
      if (this.#layer !== null) this.#recent.refuse(request, REJECT.badExtension, this.#clock.wallMs);
      return;
    }
    if (this.#isMerged()) {
      this.#counters.count(REJECT.merged.counter);
      responder.reject(request, REJECT.merged);
      return;
    }
    this.#counters.count(COUNTER.requests_answered_total);
    if (isUndecodable(this.#arena.bytes, request.index)) responder.reject(request, REJECT.contentEncoding);
    else responder.describe(request);
  }

  /** 8.2.2.2, of an OPTIONS to us. Without transactions nothing is known of the others; by a stream theirs are over once they are
   *  answered (17.2.2: Timer J). */
  #isMerged(): boolean {
    const request = this.#request;
    const isByStream = this.#isStream[this.#arena.words[request.slotWord + SLOT.SOCKET_WORD]!] === 1;
    if (this.#layer === null || isByStream) return false;
    const nowMs = this.#clock.wallMs;
    const recent = this.#recent.find(request, nowMs);
    if (recent === RECENT.NEW) this.#recent.add(request, nowMs);
    return recent === RECENT.MERGED;
  }

  /** Without a Via nobody can tell what an answer belongs to; with a broken one it can, and the datagram has a source. */
  #answerBrokenVia(): void {
    const request = this.#request;
    if (request.index.first[HEADER_ID.VIA] === -1 || request.index.method === METHOD.ACK) {
      this.#counters.count(COUNTER.unanswerable_total);
      return;
    }
    this.#counters.count(REJECT.malformedVia.counter);
    this.#snapshots.current.responder.respondToSource(request, REJECT.malformedVia.statusLine);
  }

  #reject(snapshot: Snapshot, rejection: Rejection): void {
    this.#counters.count(rejection.counter);
    this.#answer(snapshot, rejection);
  }

  /** Section 17: an ACK is never answered, whatever is wrong with it. */
  #answer(snapshot: Snapshot, rejection: Rejection): void {
    if (this.#request.index.method === METHOD.ACK) this.#counters.count(COUNTER.bad_acks_dropped_total);
    else snapshot.responder.reject(this.#request, rejection);
  }
}
