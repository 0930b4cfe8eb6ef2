/** The stateful proxy (RFC 3261 16.2): each request opens a server transaction, each target it goes to a client transaction,
 *  and what comes back is settled between them (response-processing.ts). Retransmissions end here, an ACK to our own final
 *  responses too, a CANCEL is answered hop by hop (16.10). One for each snapshot of the configuration, around the transactions of
 *  the shard (transaction-layer.ts). Runs on the shard. Hot, allocates nothing for a request with one target. */

import { ascii, Literal } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { type KeptMessages, NO_BLOCK } from '../../memory/kept-messages.ts';
import { SLOT } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import type { Histograms } from '../../observe/histograms.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import type { MessageEdits } from '../../sip/message-edits.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { METHOD } from '../../sip/methods.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { Q_ONE } from '../../sip/q-value.ts';
import { isReliable } from '../../sip/transport.ts';
import { ACTION } from '../../transaction/actions.ts';
import { CLIENT_EVENT } from '../../transaction/client-events.ts';
import { CLIENT, type ClientTransactions, clientMachines } from '../../transaction/client-transactions.ts';
import { SERVER_EVENT } from '../../transaction/server-events.ts';
import { SERVER, type ServerTransactions, serverMachines } from '../../transaction/server-transactions.ts';
import { TimerValues } from '../../transaction/timer-settings.ts';
import { FIRED, NO_RECORD, RECORD, type TimedMachines } from '../../transaction/transaction-records.ts';
import type { Authentication } from '../authentication.ts';
import type { BoundSocket } from '../bound-socket.ts';
import type { Destination } from '../destination.ts';
import type { LocatedUser } from '../located-user.ts';
import type { ElementClock } from '../ports.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { RECENT, type RecentRequests } from '../recent-requests.ts';
import type { Redirect } from '../redirect/redirect.ts';
import { REJECT, type Rejection } from '../rejection.ts';
import type { Responder } from '../responder.ts';
import { Branches, CONTEXT } from './branches.ts';
import type { HopHealth } from './hop-health.ts';
import { identifyAcknowledged } from './identity.ts';
import { type RequestForwarding, WHOLE_BREADTH } from './request-forwarding.ts';
import { checkSyntax } from './request-validation.ts';
import { MAX_TARGETS } from './response-context.ts';
import { ResponseProcessing } from './response-processing.ts';
import { OUTCOME, type RequestRouting } from './routing.ts';
import { SERVED } from './served.ts';
import type { TargetBlocks } from './target-blocks.ts';
import type { NextHops } from './target-set.ts';
import { Targets } from './targets.ts';
import { TICK_MS, type TransactionLayer } from './transaction-layer.ts';
import type { Users } from './users.ts';

export interface StatefulSettings {
  readonly timers: { readonly t1Ms: number; readonly t2Ms: number; readonly t4Ms: number; readonly timerCSec: number };
  readonly redirects: 'pass' | 'recurse';
  readonly maxBreadth: number;
  /** Who gets what is new while this server drains; none: it is answered 503. */
  readonly drain: { readonly peer?: string | undefined };
}

export interface StatefulProxyParts {
  readonly arena: Arena;
  readonly sockets: readonly BoundSocket[];
  readonly outbound: Outbound;
  readonly edits: MessageEdits;
  readonly destination: Destination;
  readonly routing: RequestRouting;
  readonly forwarding: RequestForwarding;
  readonly responder: Responder;
  readonly users: Users;
  readonly located: LocatedUser;
  readonly redirect: Redirect;
  readonly recent: RecentRequests;
  readonly authentication: Authentication | null;
  readonly kept: KeptMessages;
  readonly targetBlocks: TargetBlocks;
  readonly nextHops: NextHops;
  readonly health: HopHealth;
  readonly layer: TransactionLayer;
  readonly clock: ElementClock;
  readonly counters: Counters;
  readonly histograms: Histograms;
  /** Calls `resume` once the look-up that `destination` waits for has settled. False: too many wait. */
  readonly whenResolved: (resume: () => void) => boolean;
  readonly settings: StatefulSettings;
}

const REASON = HEADER_ID.REASON;

export class StatefulProxy {
  readonly #parts: StatefulProxyParts;
  readonly #kept: KeptMessages;
  readonly #layer: TransactionLayer;
  readonly #servers: ServerTransactions;
  readonly #clients: ClientTransactions;
  readonly #branches: Branches;
  readonly #targets: Targets;
  readonly #responses: ResponseProcessing;
  /** Of the transactions that begin with this snapshot. */
  readonly serverMachines: TimedMachines;
  readonly clientMachines: TimedMachines;
  /** Value of the Route by which what is new gets to the peer while the server drains; null: there is no peer. */
  readonly #peerRoute: Uint8Array | null;
  /** Why the last request was rejected. */
  rejection: Rejection = REJECT.requestLine;

  constructor(parts: StatefulProxyParts) {
    const { settings, layer } = parts;
    const { t1Ms, t2Ms, t4Ms, timerCSec } = settings.timers;
    const { peer } = settings.drain;
    this.#peerRoute = peer === undefined ? null : ascii(`<${peer};lr>`);
    this.#parts = parts;
    this.#kept = parts.kept;
    this.#layer = layer;
    this.#servers = layer.servers;
    this.#clients = layer.clients;
    const timers = new TimerValues(t1Ms, t2Ms, t4Ms);
    this.serverMachines = serverMachines(timers);
    this.clientMachines = clientMachines(timers);
    const shared = {
      ...parts,
      servers: layer.servers,
      clients: layer.clients,
      contexts: layer.contexts,
      matching: layer.matching,
      timers,
      timerCMs: timerCSec * 1000,
    };
    this.#branches = new Branches(shared);
    this.#targets = new Targets({
      ...shared,
      branches: this.#branches,
      maxBreadth: settings.maxBreadth,
      onSettled: (server) => this.#responses.conclude(server),
    });
    this.#responses = new ResponseProcessing({
      ...shared,
      branches: this.#branches,
      targets: this.#targets,
      isRecursing: settings.redirects === 'recurse',
    });
  }

  /** Takes a request whose top Via has been read. `error` is what `parseMessage` found. Returns one of SERVED. `mayWait`:
   *  false for one that has waited for a look-up. */
  receive(request: ReceivedRequest, error: number, mayWait: boolean): number {
    const { routing, counters } = this.#parts;
    const { method } = request.index;
    routing.identify(request);
    if (method === METHOD.ACK) return this.#receiveAck(request, error);
    if (method === METHOD.CANCEL) return this.#receiveCancel(request, error);
    const { high, low } = request.transaction;
    const known = this.#servers.find(high, low, method);
    if (known !== NO_RECORD) {
      this.#absorb(known, request);
      return SERVED.DONE;
    }
    if (this.#layer.passToPredecessor(request)) return SERVED.DONE;
    if (this.#layer.isDraining && isSheddable(request, method, this.#parts.responder))
      return this.#turnAway(request, error);
    if (
      this.#layer.isOverloaded &&
      this.#layer.isTurnToReject() &&
      isSheddable(request, method, this.#parts.responder)
    ) {
      counters.count(REJECT.overloaded.counter);
      this.rejection = REJECT.overloaded;
      return SERVED.REJECTED;
    }
    const outcome = routing.process(request, error);
    if (method !== METHOD.INVITE && this.#wasRefused(request)) return SERVED.REJECTED;
    if (outcome === OUTCOME.FORWARDED) return this.#forward(request);
    if (outcome === OUTCOME.FOR_OURSELVES) return SERVED.FOR_OURSELVES;
    if (outcome === OUTCOME.FORKED) return this.#fork(request);
    if (outcome === OUTCOME.REGISTER) return SERVED.REGISTER;
    if (outcome === OUTCOME.REDIRECTED) return this.#redirect(request);
    if (outcome === OUTCOME.CHALLENGED) return this.#challenge(request);
    if (outcome === OUTCOME.ASKING) return SERVED.ASKING;
    if (outcome === OUTCOME.PENDING) {
      if (!mayWait) return this.#reject(request, REJECT.unresolvable);
      return method === METHOD.INVITE ? this.#forwardLater(request) : SERVED.PENDING;
    }
    counters.count(routing.rejection.counter);
    return this.#reject(request, routing.rejection);
  }

  /** Takes a response without a syntax error to a client transaction of this snapshot. */
  receiveResponse(branch: number, index: MessageIndex): void {
    this.#responses.receive(branch, index);
  }

  /** The kernel refused what a client transaction of this snapshot sent. */
  transportFailed(branch: number, isTooLarge: boolean): void {
    this.#responses.transportFailed(branch, isTooLarge);
  }

  /** The client has cancelled a server transaction of this snapshot (16.10). `reason`: Reason header lines to be passed on. */
  cancel(server: number, reason: Literal | null): void {
    this.#responses.cancel(server, reason);
  }

  /** While the server drains. The 503 goes without a transaction (8.2.7), as there is to be an end of them. Who may not use this
   *  server may not use the peer through it either, which trusts it. */
  #turnAway(request: ReceivedRequest, error: number): number {
    const { routing, counters } = this.#parts;
    const outcome = this.#peerRoute === null ? OUTCOME.FOR_OURSELVES : routing.admit(request, error);
    if (outcome === OUTCOME.FORWARDED) return this.#passOn(request, this.#peerRoute!);
    if (outcome === OUTCOME.CHALLENGED) return this.#challenge(request);
    if (outcome === OUTCOME.ASKING) return SERVED.ASKING;
    this.rejection = outcome === OUTCOME.REJECTED ? routing.rejection : REJECT.draining;
    counters.count(this.rejection.counter);
    return SERVED.REJECTED;
  }

  /** To the peer of a server that drains: by a Route, and without a Record-Route of ours. */
  #passOn(request: ReceivedRequest, peerRoute: Uint8Array): number {
    const { targetBlocks, counters } = this.#parts;
    const server = this.#open(request);
    if (server === NO_RECORD) return this.#refuse();
    this.#servers.words[this.#servers.at(server) + SERVER.FLAGS]! |= CONTEXT.PASSED_ON;
    counters.count(COUNTER.drain_passed_on_total);
    const { start, end } = request.uri;
    if (!this.#forwardTo(server, request, targetBlocks.ofRouted(start, end, peerRoute))) {
      this.#responses.conclude(server);
    }
    return SERVED.DONE;
  }

  /** 16.6 for one target, the usual case. */
  #forward(request: ReceivedRequest): number {
    const { routing } = this.#parts;
    const server = this.#open(request);
    if (server === NO_RECORD) return this.#refuse();
    const hop = routing.hop === null ? -1 : routing.hop.id;
    if (!this.#branches.begin(server, request, NO_BLOCK, hop, 0, WHOLE_BREADTH)) {
      this.#responses.answer(server, REJECT.exhausted);
    }
    this.#parts.counters.count(COUNTER.requests_forwarded_total);
    return SERVED.DONE;
  }

  /** For a user with contacts, registered or fixed. */
  #fork(request: ReceivedRequest): number {
    const { users, routing, located, targetBlocks, counters } = this.#parts;
    const { user } = routing;
    const server = this.#open(request);
    if (server === NO_RECORD) return this.#refuse();
    counters.count(COUNTER.requests_forwarded_total);
    if (located.sipCount === 1 && user < 0) {
      if (this.#forwardTo(server, request, targetBlocks.ofBinding(located.best()!))) return SERVED.DONE;
    } else {
      this.#targets.addFixed(server, users.contactsOf(user));
      if (located.sipCount > 0) this.#targets.addBindings(server, located.open(), located.nowMs);
    }
    this.#responses.conclude(server);
    return SERVED.DONE;
  }

  /** To a single target, such as the only contact a user has, the usual case: without a response context. False: it is in one, to
   *  be begun. */
  #forwardTo(server: number, request: ReceivedRequest, block: number): boolean {
    const { routing, targetBlocks } = this.#parts;
    const servers = this.#servers;
    if (block === NO_BLOCK) {
      this.#responses.answer(server, REJECT.exhausted);
      return true;
    }
    request.isPassedOn = (servers.words[servers.at(server) + SERVER.FLAGS]! & CONTEXT.PASSED_ON) !== 0;
    const isFound = targetBlocks.aim(request, block) && routing.locate(request, 0) === OUTCOME.FORWARDED;
    if (!isFound) {
      this.#targets.contextOf(server).add({ block, q: Q_ONE });
      return false;
    }
    servers.words[servers.at(server) + SERVER.TARGET] = block;
    if (!this.#branches.begin(server, request, block, -1, 0, WHOLE_BREADTH)) {
      this.#responses.answer(server, REJECT.exhausted);
    }
    return true;
  }

  /** 22.3. */
  #challenge(request: ReceivedRequest): number {
    this.#parts.authentication!.challenge(request);
    const server = this.#openFinal(request);
    if (server !== NO_RECORD) this.#keepFinal(server);
    return SERVED.DONE;
  }

  /** 8.3, 8.2.2.2. */
  #redirect(request: ReceivedRequest): number {
    const { routing, redirect, users, counters, recent, clock } = this.#parts;
    const nowMs = clock.wallMs;
    if (recent.find(request, nowMs) === RECENT.MERGED) {
      counters.count(REJECT.merged.counter);
      return this.#reject(request, REJECT.merged);
    }
    const rejection = redirect.redirect(request, users.contactsOf(routing.user));
    if (rejection !== null) {
      counters.count(rejection.counter);
      return this.#reject(request, rejection);
    }
    counters.count(COUNTER.redirected_total);
    recent.add(request, nowMs);
    const server = this.#openFinal(request);
    if (server !== NO_RECORD) this.#keepFinal(server);
    return SERVED.DONE;
  }

  /** An INVITE gets its 100 before the name of its next hop is known. Cold. */
  #forwardLater(request: ReceivedRequest): number {
    const { routing, counters } = this.#parts;
    const server = this.#open(request);
    if (server === NO_RECORD) return this.#refuse();
    const retry = () => {
      if (!this.#branches.read(server)) return false;
      if (routing.process(this.#branches.kept, 0) !== OUTCOME.FORWARDED) {
        counters.count(COUNTER.unresolvable_total);
        return false;
      }
      const hop = routing.hop === null ? -1 : routing.hop.id;
      return this.#branches.begin(server, this.#branches.kept, NO_BLOCK, hop, 0, WHOLE_BREADTH);
    };
    if (this.#targets.wait(server, retry)) counters.count(COUNTER.requests_forwarded_total);
    else this.#responses.answer(server, REJECT.noRoom);
    return SERVED.DONE;
  }

  /** Opens the server transaction: keeps the request, notes where responses go, says 100 to an INVITE (16.2: at once, which
   *  is within 200 ms). NO_RECORD: there is no room for another one. */
  #open(request: ReceivedRequest): number {
    const { outbound, responder, counters } = this.#parts;
    const servers = this.#servers;
    if (!this.#hasRoomFor(request)) return NO_RECORD;
    const block = this.#kept.keepSlot(request.slotWord);
    if (block === NO_BLOCK) return NO_RECORD;
    const { high, low } = request.transaction;
    const { method } = request.index;
    const server = servers.open(high, low, method, this.#isByStream(request));
    const at = servers.at(server);
    servers.words[at + SERVER.REQUEST] = block;
    counters.count(COUNTER.server_transactions_total);
    if (method === METHOD.INVITE) {
      responder.respondTrying(request);
    } else {
      outbound.begin();
      responder.address(request);
    }
    outbound.saveRoute(servers.words, at + RECORD.ROUTE);
    return server;
  }

  /** 17.2: nothing that came by a reliable transport comes again. */
  #isByStream({ slotWord }: ReceivedRequest): boolean {
    const { arena, sockets } = this.#parts;
    return isReliable(sockets[arena.words[slotWord + SLOT.SOCKET_WORD]!]!.transport);
  }

  /** The last transactions are kept for what belongs to a call: a BYE that is refused leaves a call that nobody can end. */
  #hasRoomFor(request: ReceivedRequest): boolean {
    const inUse = Math.max(this.#servers.count, this.#clients.count);
    if (inUse < this.#layer.newBelow) return true;
    return inUse < this.#servers.capacity && !isSheddable(request, request.index.method, this.#parts.responder);
  }

  /** No room: the answer costs as little as can be, and running calls go on. */
  #refuse(): number {
    this.#parts.counters.count(COUNTER.transactions_exhausted_total);
    this.rejection = REJECT.exhausted;
    return SERVED.REJECTED;
  }

  /** 17.2.2: a request that is no INVITE comes again, and is refused again, whatever has changed meanwhile. The registrar sees to its
   *  own. */
  #wasRefused(request: ReceivedRequest): boolean {
    const { recent, clock, counters } = this.#parts;
    if (!recent.hasRefusals(clock.wallMs) || !request.isSound || request.index.method === METHOD.REGISTER) return false;
    if (recent.find(request, clock.wallMs) !== RECENT.REFUSED) return false;
    counters.count(COUNTER.request_retransmissions_total);
    this.rejection = recent.refusal;
    return true;
  }

  /** A final response of our own. To an INVITE it is sent again until the ACK comes (17.2.1), which needs a transaction; of
   *  others it is remembered for their retransmissions. */
  #reject(request: ReceivedRequest, rejection: Rejection): number {
    const { recent, clock } = this.#parts;
    this.rejection = rejection;
    if (request.isSound && request.index.method !== METHOD.INVITE) recent.refuse(request, rejection, clock.wallMs);
    const server = this.#openFinal(request);
    if (server === NO_RECORD) return SERVED.REJECTED;
    this.#parts.responder.reject(request, rejection);
    this.#keepFinal(server);
    return SERVED.DONE;
  }

  /** Opens the server transaction of an INVITE that is answered at once. NO_RECORD: the answer goes without one. */
  #openFinal(request: ReceivedRequest): number {
    if (request.index.method !== METHOD.INVITE || !this.#hasRoomFor(request)) return NO_RECORD;
    const servers = this.#servers;
    const { high, low } = request.transaction;
    const server = servers.open(high, low, METHOD.INVITE, this.#isByStream(request));
    servers.words[servers.at(server) + SERVER.FLAGS]! |= CONTEXT.DECIDED;
    this.#parts.counters.count(COUNTER.server_transactions_total);
    return server;
  }

  /** Keeps the answer that was committed last for what `#openFinal` opened. */
  #keepFinal(server: number): void {
    const servers = this.#servers;
    this.#parts.outbound.saveRoute(servers.words, servers.at(server) + RECORD.ROUTE);
    this.#responses.keepFinal(server);
  }

  /** A request came again (17.2.1, 17.2.2). */
  #absorb(server: number, request: ReceivedRequest): void {
    const { counters, outbound, responder } = this.#parts;
    counters.count(COUNTER.request_retransmissions_total);
    const actions = this.#servers.put(server, SERVER_EVENT.REQUEST);
    if ((actions & ACTION.TRYING) !== 0) responder.respondTrying(request);
    if ((actions & ACTION.RETRANSMIT) === 0) return;
    const block = this.#servers.words[this.#servers.at(server) + SERVER.RESPONSE]!;
    counters.count(COUNTER.response_retransmissions_total);
    if (block !== NO_BLOCK) outbound.sendKept(block, 0);
    else if (request.index.method === METHOD.INVITE) responder.respondTrying(request);
  }

  /** 17.2.1: an ACK to a final response of this transaction ends here. Any other belongs to a 2xx. */
  #receiveAck(request: ReceivedRequest, error: number): number {
    const { arena } = this.#parts;
    const { high, low } = request.transaction;
    let server = this.#servers.find(high, low, METHOD.INVITE);
    if (server === NO_RECORD && this.#layer.passToPredecessor(request)) return SERVED.DONE;
    if (server === NO_RECORD && identifyAcknowledged(arena, request)) {
      server = this.#servers.find(request.transaction.high, request.transaction.low, METHOD.INVITE);
      if (server === NO_RECORD && this.#layer.passToPredecessor(request)) return SERVED.DONE;
    }
    if (server === NO_RECORD) return this.#forwardAck(request, error, high, low);
    const actions = this.#servers.put(server, SERVER_EVENT.ACK);
    this.#releaseAcknowledged(server);
    if ((actions & ACTION.PASS_UP) === 0) return SERVED.DONE;
    return this.#layer.proxyOf(server).#forwardAck(request, error, high, low);
  }

  /** The ACK to a 2xx is forwarded like a request of its own, without a transaction (16.2). */
  #forwardAck(request: ReceivedRequest, error: number, high: number, low: number): number {
    const { routing, forwarding, destination, counters, responder } = this.#parts;
    if (error === 0 && responder.isOwnTag(request)) return SERVED.DONE;
    let outcome = routing.process(request, error);
    if (outcome === OUTCOME.FORKED) outcome = this.#followSole(request);
    if (outcome === OUTCOME.FORKED) return this.#forwardAckToAll(request, high, low);
    if (outcome === OUTCOME.PENDING) return SERVED.PENDING;
    if (outcome === OUTCOME.FORWARDED) {
      // Comes back if it is too long for UDP and finds no TCP (18.1.1); nobody answers it.
      const tag = request.slot + 1;
      forwarding.forward(request, destination, routing.socket, routing.strictUri, high, low, WHOLE_BREADTH, tag, 0);
      counters.count(COUNTER.requests_forwarded_total);
      return SERVED.DONE;
    }
    this.rejection = outcome === OUTCOME.REJECTED ? routing.rejection : REJECT.noTarget;
    counters.count(this.rejection.counter);
    return SERVED.REJECTED;
  }

  /** To the only contact that a user has, registered or fixed. FORKED: he has several. */
  #followSole(request: ReceivedRequest): number {
    const { located, routing, targetBlocks, users } = this.#parts;
    const fixed = users.contactsOf(routing.user);
    if (located.sipCount + fixed.length !== 1) return OUTCOME.FORKED;
    if (located.sipCount === 1) return routing.followBest(request);
    const block = targetBlocks.ofText(fixed[0]!.uri);
    if (block === NO_BLOCK) return OUTCOME.FORKED;
    // It stays as it is until the flush.
    targetBlocks.release(block);
    return routing.follow(request, block);
  }

  /** An ACK to a 2xx should name the contact that sent it (12.2.1.1). One that names the user goes to all who may have, and means
   *  nothing to the others. Those that cannot be had at once, or are too long for UDP and find no TCP, are lost: nobody answers
   *  an ACK, and the 2xx comes again. Cold. */
  #forwardAckToAll(request: ReceivedRequest, high: number, low: number): number {
    const { targetBlocks, routing, forwarding, destination, counters } = this.#parts;
    const blocks = this.#targetsOf(routing.user);
    let isPending = false;
    let sent = 0;
    for (const [i, block] of blocks.entries()) {
      const outcome = routing.follow(request, block);
      if (outcome === OUTCOME.FORWARDED) {
        // 16.6 step 8: each of its own.
        const own = high ^ i;
        forwarding.forward(request, destination, routing.socket, routing.strictUri, own, low, WHOLE_BREADTH, 0, 0);
        sent++;
      } else if (outcome === OUTCOME.PENDING) {
        isPending = true;
      }
    }
    // They stay as they are until the flush.
    for (const block of blocks) targetBlocks.release(block);
    if (sent === 0 && isPending) return SERVED.PENDING;
    counters.add(COUNTER.requests_forwarded_total, sent);
    counters.add(COUNTER.bad_acks_dropped_total, blocks.length - sent);
    return SERVED.DONE;
  }

  /** Blocks of the contacts of a user that a request can be sent to, fixed and registered. */
  #targetsOf(user: number): number[] {
    const { located, targetBlocks, users } = this.#parts;
    const blocks = users.contactsOf(user).map(({ uri }) => targetBlocks.ofText(uri));
    const view = located.open();
    while (view.next() && blocks.length < MAX_TARGETS) {
      if (view.remainingMs(located.nowMs) > 0 && located.isReachable(view)) blocks.push(targetBlocks.ofBinding(view));
    }
    return blocks.filter((block) => block !== NO_BLOCK);
  }

  /** Timer I lingers to absorb more ACKs; the response is not needed for that. */
  #releaseAcknowledged(server: number): void {
    const servers = this.#servers;
    if (!servers.isConfirmed(server)) return;
    const at = servers.at(server) + SERVER.RESPONSE;
    if (servers.words[at] !== NO_BLOCK) this.#kept.release(servers.words[at]!);
    servers.words[at] = NO_BLOCK;
  }

  /** 16.10: 200 at once, and what still rings is cancelled. One that matches nothing is forwarded without a transaction. */
  #receiveCancel(request: ReceivedRequest, error: number): number {
    const { arena, routing, forwarding, destination, responder, counters } = this.#parts;
    const { high, low } = request.transaction;
    const malformed = checkSyntax(arena.bytes, request, error);
    if (malformed !== null) {
      counters.count(malformed.counter);
      this.rejection = malformed;
      return SERVED.REJECTED;
    }
    const server = this.#servers.findCancelled(high, low);
    if (server !== NO_RECORD) {
      counters.count(COUNTER.cancels_received_total);
      responder.accept(request);
      // 9.2: a CANCEL has no effect on anything but an INVITE.
      if (this.#servers.words[this.#servers.at(server) + SERVER.METHOD] === METHOD.INVITE) {
        this.#layer.proxyOf(server).cancel(server, this.#reasonOf(request.index));
      }
      return SERVED.DONE;
    }
    if (this.#layer.passToPredecessor(request)) return SERVED.DONE;
    // 9.2: it was answered without a transaction.
    if (this.#parts.recent.hasAnswered(request, this.#parts.clock.wallMs)) {
      counters.count(COUNTER.cancels_received_total);
      responder.accept(request);
      return SERVED.DONE;
    }
    let outcome = routing.process(request, error);
    if (outcome === OUTCOME.FORKED) outcome = this.#followSole(request);
    if (outcome === OUTCOME.PENDING) return SERVED.PENDING;
    if (outcome === OUTCOME.FORWARDED) {
      const { socket, strictUri } = routing;
      forwarding.forward(request, destination, socket, strictUri, high, low, WHOLE_BREADTH, request.slot + 1, 0);
      counters.count(COUNTER.requests_forwarded_total);
      return SERVED.DONE;
    }
    this.rejection = outcome === OUTCOME.REJECTED ? routing.rejection : REJECT.noTransaction;
    counters.count(this.rejection.counter);
    return SERVED.REJECTED;
  }

  /** Reason header lines, to be passed on (RFC 3326 section 2). Cold. */
  #reasonOf(index: MessageIndex): Literal | null {
    const { bytes } = this.#parts.arena;
    const lines: number[] = [];
    for (let header = index.find(bytes, REASON); header !== -1; header = index.next(header)) {
      lines.push(...bytes.subarray(index.lineStart(header), index.lineEnd(header)));
    }
    return lines.length === 0 ? null : new Literal(Uint8Array.from(lines));
  }

  /** The timer of a server transaction of this snapshot has fired. */
  serverTimer(server: number): void {
    const servers = this.#servers;
    const { counters, outbound } = this.#parts;
    for (let fired = servers.fired(server); fired !== FIRED.NOTHING; fired = servers.fired(server)) {
      const actions = servers.put(server, SERVER_TIMER_EVENTS[fired]!);
      if ((actions & ACTION.RETRANSMIT) !== 0) {
        const block = servers.words[servers.at(server) + SERVER.RESPONSE]!;
        counters.count(COUNTER.response_retransmissions_total);
        if (block !== NO_BLOCK) outbound.sendKept(block, 0);
      }
      if ((actions & ACTION.TRYING) !== 0) this.#tryAgain(server);
      if ((actions & ACTION.REPORT_TIMEOUT) !== 0) counters.count(COUNTER.unacknowledged_total);
      if (servers.stateOf(server) === 0) {
        this.#branches.settleServer(server);
        return;
      }
    }
  }

  /** RFC 4320 4.1: 100 to something else than an INVITE once the client's Timer E has reached T2. Cold. */
  #tryAgain(server: number): void {
    if (this.#branches.read(server)) this.#parts.responder.respondTrying(this.#branches.kept);
  }

  /** What was sent last came back as undeliverable: instead of sending it again the transaction fails (17.1.4). Not a CANCEL:
   *  it goes by the route of its INVITE, from where a provisional response came. */
  #isUnreachable(branch: number): boolean {
    const { words } = this.#clients;
    const at = this.#clients.at(branch);
    if (words[at + CLIENT.METHOD] === METHOD.CANCEL) return false;
    return this.#layer.unreachable.isKnown(words, at + RECORD.ROUTE, words[at + RECORD.INTERVAL]! + 2 * TICK_MS);
  }

  /** The same of a client transaction. */
  clientTimer(branch: number): void {
    const clients = this.#clients;
    for (let fired = clients.fired(branch); fired !== FIRED.NOTHING; fired = clients.fired(branch)) {
      if (fired === FIRED.WATCH) this.#responses.clientWatch(branch);
      else if (fired === FIRED.RETRANSMIT && this.#isUnreachable(branch))
        this.#responses.transportFailed(branch, false);
      else this.#responses.clientTimer(branch, CLIENT_TIMER_EVENTS[fired]!);
      if (clients.stateOf(branch) === 0) return;
    }
  }
}

/** A request that begins something new: not BYE or PRACK, and without a tag in its To (12.2). */
function isSheddable(request: ReceivedRequest, method: number, responder: Responder): boolean {
  return method !== METHOD.BYE && method !== METHOD.PRACK && !responder.hasToTag(request);
}

const SERVER_TIMER_EVENTS: Readonly<Record<number, number>> = {
  [FIRED.RETRANSMIT]: SERVER_EVENT.TIMER_RETRANSMIT,
  [FIRED.TIMEOUT]: SERVER_EVENT.TIMER_TIMEOUT,
  [FIRED.LINGER]: SERVER_EVENT.TIMER_LINGER,
};
const CLIENT_TIMER_EVENTS: Readonly<Record<number, number>> = {
  [FIRED.RETRANSMIT]: CLIENT_EVENT.TIMER_RETRANSMIT,
  [FIRED.TIMEOUT]: CLIENT_EVENT.TIMER_TIMEOUT,
  [FIRED.LINGER]: CLIENT_EVENT.TIMER_LINGER,
};
