/** The target set of a request while it is worked off (RFC 3261 16.5, 16.6, 16.7 steps 4 and 6): forks in parallel by equal q
 *  and one q after the other, contacts of 3xx responses, other next hops after a failure (RFC 3263 4.3), and the shares of
 *  the Max-Breadth (RFC 5393 5.3.3). Runs on the shard. Cold: only what one branch cannot settle comes here. */

import type { BindingView } from '../../location/bindings.ts';
import type { Arena } from '../../memory/arena.ts';
import { type KeptMessages, NO_BLOCK } from '../../memory/kept-messages.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { instanceIdOf } from '../../sip/instance-id.ts';
import { skipLws } from '../../sip/lexis.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import { ParamView, readParam } from '../../sip/params.ts';
import { parseQ, Q_ONE } from '../../sip/q-value.ts';
import { parseUri, SCHEME, UriView } from '../../sip/uri.ts';
import { equalUris } from '../../sip/uri-equality.ts';
import { CLIENT, type ClientTransactions } from '../../transaction/client-transactions.ts';
import { SERVER, type ServerTransactions } from '../../transaction/server-transactions.ts';
import type { Clock } from '../../transaction/transaction-records.ts';
import type { Destination } from '../destination.ts';
import type { LocatedUser } from '../located-user.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { type Branches, CONTEXT } from './branches.ts';
import type { HopHealth } from './hop-health.ts';
import { maxBreadthOf, WHOLE_BREADTH } from './request-forwarding.ts';
import { MAX_TARGETS, ResponseContext, type Target } from './response-context.ts';
import { OUTCOME, type RequestRouting } from './routing.ts';
import type { TargetBlocks } from './target-blocks.ts';
import type { NextHop, NextHops } from './target-set.ts';
import type { FixedContact } from './users.ts';

export interface TargetsParts {
  readonly arena: Arena;
  readonly kept: KeptMessages;
  readonly targetBlocks: TargetBlocks;
  readonly located: LocatedUser;
  readonly servers: ServerTransactions;
  readonly clients: ClientTransactions;
  readonly contexts: Map<number, ResponseContext>;
  readonly branches: Branches;
  readonly routing: RequestRouting;
  readonly destination: Destination;
  readonly nextHops: NextHops;
  readonly health: HopHealth;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly maxBreadth: number;
  /** Calls `resume` once the look-up that `destination` is waiting for has settled. False: too many wait. */
  readonly whenResolved: (resume: () => void) => boolean;
  /** A branch that waited was begun or given up: the request may have nothing pending now. */
  readonly onSettled: (server: number) => void;
}

const Q_LETTER = 0x71;
/** What becomes of a contact of a 3xx. KNOWN: it is a target already, or was. LEFT: it is none for us. */
const CONTACT = { ADDED: 0, KNOWN: 1, LEFT: 2 } as const;

/** Of the arena. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** A Contact header field of a 3xx, and those of its values that nobody here follows. */
export interface LeftContacts {
  readonly header: number;
  readonly values: readonly Span[];
}

interface Registered {
  readonly updatedMs: number;
  readonly target: Target;
}

function byPreference(a: Registered, b: Registered): number {
  return b.target.q - a.target.q || b.updatedMs - a.updatedMs;
}

export class Targets {
  readonly #parts: TargetsParts;
  readonly #contact = new NameAddrView();
  readonly #param = new ParamView();
  readonly #uri = new UriView();
  /** Of the 3xx that was followed last, for as long as that is in hand. */
  leftContacts: LeftContacts[] = [];
  /** A branch that has waited for a look-up does not wait again: what is not known then counts as not found. */
  #mayWait = true;

  constructor(parts: TargetsParts) {
    this.#parts = parts;
  }

  /** The context of a request that needs one from now on. */
  contextOf(server: number): ResponseContext {
    const { servers, contexts } = this.#parts;
    let context = contexts.get(server);
    if (context === undefined) {
      context = new ResponseContext();
      contexts.set(server, context);
      const at = servers.at(server);
      servers.words[at + SERVER.FLAGS]! |= CONTEXT.EXTENDED;
      const block = servers.words[at + SERVER.TARGET]!;
      servers.words[at + SERVER.TARGET] = NO_BLOCK;
      if (block !== NO_BLOCK) context.noteBegun({ block, q: Q_ONE });
    }
    return context;
  }

  /** `hop`: id + 1, 0 for none. */
  recover(hop: number): void {
    if (hop !== 0) this.#parts.health.recover(hop - 1);
  }

  fail(hop: number): void {
    if (hop !== 0) this.#parts.health.fail(hop - 1, this.#parts.clock.nowMs);
  }

  /** Puts the fixed contacts of a user into the target set. */
  addFixed(server: number, contacts: readonly FixedContact[]): void {
    const { targetBlocks } = this.#parts;
    const context = this.contextOf(server);
    for (const { uri, q } of contacts) {
      const block = context.targets.length < MAX_TARGETS ? targetBlocks.ofText(uri) : NO_BLOCK;
      if (block !== NO_BLOCK) context.add({ block, q });
    }
  }

  /** Puts the bindings of a user into the target set, from where `view` stands on: those that a SIP request can be sent to. Of
   *  several of one instance, whether flows or not, the one that is preferred, else the latest, while the others wait for its failure
   *  (RFC 5626 7). */
  addBindings(server: number, view: BindingView, nowMs: number): void {
    const { targetBlocks, located } = this.#parts;
    const context = this.contextOf(server);
    const instances = new Map<string, Registered[]>();
    while (view.next()) {
      if (view.remainingMs(nowMs) <= 0 || !located.isReachable(view)) continue;
      const block = context.targets.length < MAX_TARGETS ? targetBlocks.ofBinding(view) : NO_BLOCK;
      if (block === NO_BLOCK) continue;
      const target = { block, q: view.q };
      if (view.instanceStart === view.instanceEnd) {
        this.#addUnlessThere(context, target);
        continue;
      }
      const instance = instanceIdOf(view.bytes, view.instanceStart, view.instanceEnd);
      const others = instances.get(instance);
      if (others === undefined) instances.set(instance, [{ updatedMs: view.updatedMs, target }]);
      else others.push({ updatedMs: view.updatedMs, target });
    }
    for (const ofInstance of instances.values()) {
      const [first, ...others] = ofInstance.sort(byPreference).map(({ target }) => target);
      context.add(first!);
      if (others.length > 0) context.ofSameInstance.set(first!.block, others);
    }
  }

  /** RFC 5626 7: after a 430, or no answer, another target of the same instance. True: it is in the target set. */
  addOfSameInstance(server: number, branch: number): boolean {
    const { clients, contexts } = this.#parts;
    const context = contexts.get(server);
    const [next, ...others] = context?.ofSameInstance.get(clients.words[clients.at(branch) + CLIENT.TARGET]!) ?? [];
    if (context === undefined || next === undefined || context.isClosed) return false;
    context.add({ ...next, q: context.q });
    context.ofSameInstance.set(next.block, others);
    return true;
  }

  /** The transport says that a target cannot be reached: of a flow, that it is no more. */
  loseFlow(server: number, block: number): void {
    const { branches, targetBlocks, located } = this.#parts;
    if (block !== NO_BLOCK && targetBlocks.isFlow(block) && branches.read(server)) {
      located.loseFlow(branches.kept.uri, block >> 2);
    }
  }

  /** 16.5: each URI once. */
  #addUnlessThere(context: ResponseContext, target: Target): void {
    const { targetBlocks, kept } = this.#parts;
    if (this.#isTarget(context, targetBlocks.uriStart(target.block), targetBlocks.uriEnd(target.block))) {
      kept.release(target.block);
    } else {
      context.add(target);
    }
  }

  #isTarget(context: ResponseContext, start: number, end: number): boolean {
    const { arena, targetBlocks } = this.#parts;
    return context.targets.some(({ block }) =>
      equalUris(arena.bytes, start, end, targetBlocks.uriStart(block), targetBlocks.uriEnd(block)),
    );
  }

  /** 16.7 step 4: puts the contacts of a 3xx into the target set, none that was there before, if the Request-URI is ours to answer for
   *  (16.5). True: there are new ones, and `leftContacts` has what the response says beside those and the known ones. */
  addContacts(server: number, index: MessageIndex): boolean {
    const { arena, branches, routing, counters } = this.#parts;
    // 305 names a proxy and not a target, 380 describes a service in its body.
    if (index.statusCode === 305 || index.statusCode === 380) return false;
    if (!branches.read(server) || !routing.isResponsibleFor(branches.kept)) return false;
    const { bytes } = arena;
    const context = this.contextOf(server);
    if (context.isClosed) return false;
    let added = 0;
    this.leftContacts = [];
    for (let header = index.find(bytes, HEADER_ID.CONTACT); header !== -1; header = index.next(header)) {
      const end = index.valueEnd(header);
      const values: Span[] = [];
      for (let start = index.valueStart(header); start < end; start = this.#contact.end + 1) {
        const isRead = parseNameAddr(bytes, start, end, this.#contact) >= 0;
        const fate = isRead ? this.#addContact(server, context, this.#contact) : CONTACT.LEFT;
        if (fate === CONTACT.ADDED) added++;
        if (fate === CONTACT.LEFT) values.push({ start, end: isRead ? this.#contact.end : end });
        if (!isRead) break;
      }
      this.leftContacts.push({ header, values });
    }
    counters.add(COUNTER.redirects_followed_total, added);
    return added > 0;
  }

  /** Begins what may run now: all of the next q once nothing is pending, more of the current q as breadth comes back. True:
   *  something was begun or waits for a look-up. */
  begin(server: number, context: ResponseContext): boolean {
    const { servers, branches, counters } = this.#parts;
    const at = servers.at(server);
    let begun = 0;
    while (context.nextTarget < context.targets.length) {
      const target = context.targets[context.nextTarget]!;
      const isIdle = servers.words[at + SERVER.PENDING] === 0 && context.waiting === 0;
      if (!isIdle && target.q !== context.q) break;
      if (!branches.read(server)) break;
      const share = this.#shareOf(context, target.q);
      if (share < 0) break;
      context.nextTarget++;
      context.q = target.q;
      if (this.#beginAt(server, context, target.block, share)) begun++;
    }
    if (begun > 1) counters.count(COUNTER.forks_total);
    return begun > 0;
  }

  /** RFC 3263 4.3: sends what a branch got no answer to, or a 503, to the next place; `isByUdp`: to the same, by UDP although it is
   *  too long for it (18.1.1). False: there is none. */
  failOver(server: number, branch: number, isByUdp: boolean): boolean {
    const { servers, clients, contexts, branches, targetBlocks, counters } = this.#parts;
    const isOver = CONTEXT.DECIDED | CONTEXT.CANCELLED;
    if ((servers.words[servers.at(server) + SERVER.FLAGS]! & isOver) !== 0) return false;
    // 16.7 step 5: nothing new after a 6xx.
    if (contexts.get(server)?.isClosed === true) return false;
    const at = clients.at(branch);
    const hop = clients.words[at + CLIENT.HOP]! - 1;
    const target = clients.words[at + CLIENT.TARGET]!;
    const breadth = clients.words[at + CLIENT.BREADTH]!;
    if (!branches.read(server)) return false;
    const request = branches.kept;
    if (target !== NO_BLOCK) targetBlocks.aim(request, target);
    const attempt = clients.words[at + CLIENT.ATTEMPT]! + (isByUdp ? 0 : 1);
    const isBegun = this.#tryFrom(server, request, target, hop, attempt, breadth, isByUdp);
    if (!isBegun) return false;
    counters.count(COUNTER.failovers_total);
    if (breadth !== WHOLE_BREADTH) this.contextOf(server).breadthInUse += breadth;
    return true;
  }

  /** Has a branch wait for the look-up that `destination` speaks of, and `retry` it then; `retry` says whether it could be
   *  begun. False: too many wait. */
  wait(server: number, retry: () => boolean): boolean {
    const { servers, contexts, onSettled } = this.#parts;
    if (!this.#mayWait) return false;
    const context = this.contextOf(server);
    const isTaken = this.#parts.whenResolved(() => {
      // The record may be another request's by now.
      if (contexts.get(server) !== context) return;
      context.waiting--;
      if ((servers.words[servers.at(server) + SERVER.FLAGS]! & CONTEXT.DECIDED) !== 0) return;
      this.#mayWait = false;
      if (context.isClosed || !retry()) this.#noteUnreachable(server);
      this.#mayWait = true;
      onSettled(server);
    });
    if (isTaken) context.waiting++;
    return isTaken;
  }

  /** The place a branch went to, then the others: the next destination of the same name, then of the next hops. */
  #tryFrom(
    server: number,
    request: ReceivedRequest,
    target: number,
    hop: number,
    attempt: number,
    breadth: number,
    isByUdp: boolean,
  ): boolean {
    const { routing, branches, destination } = this.#parts;
    if (hop === -1) {
      const outcome = routing.locate(request, attempt);
      if (isByUdp) destination.mayMove = false;
      if (outcome === OUTCOME.FORWARDED) return branches.begin(server, request, target, -1, attempt, breadth);
      if (outcome !== OUTCOME.PENDING) return false;
      return this.wait(server, () => this.#retry(server, target, hop, attempt, breadth, isByUdp));
    }
    const context = this.contextOf(server);
    context.hops ??= this.#hopsOf(request);
    context.triedHops.add(hop);
    let next: NextHop | undefined = context.hops.find(({ id }) => id === hop);
    for (let n = attempt; next !== undefined; n = 0) {
      const outcome = routing.locateHop(request, next, n);
      const isSamePlace = isByUdp && next.id === hop && n === attempt;
      if (isSamePlace) destination.mayMove = false;
      if (outcome === OUTCOME.FORWARDED) return branches.begin(server, request, target, next.id, n, breadth);
      if (outcome === OUTCOME.PENDING) {
        const { id } = next;
        return this.wait(server, () => this.#retry(server, target, id, n, breadth, isSamePlace));
      }
      next = context.hops.find(({ id }) => !context.triedHops.has(id));
      if (next !== undefined) context.triedHops.add(next.id);
    }
    return false;
  }

  #retry(server: number, target: number, hop: number, attempt: number, breadth: number, isByUdp: boolean): boolean {
    const { branches, targetBlocks } = this.#parts;
    if (!branches.read(server)) return false;
    if (target !== NO_BLOCK) targetBlocks.aim(branches.kept, target);
    return this.#tryFrom(server, branches.kept, target, hop, attempt, breadth, isByUdp);
  }

  /** The request in `branches.kept` goes to one target. */
  #beginAt(server: number, context: ResponseContext, block: number, share: number): boolean {
    const { branches, targetBlocks } = this.#parts;
    const { kept } = branches;
    const isBegun = targetBlocks.aim(kept, block) && this.#tryFrom(server, kept, block, -1, 0, share, false);
    if (!isBegun) this.#noteUnreachable(server);
    else if (share !== WHOLE_BREADTH) context.breadthInUse += share;
    return isBegun;
  }

  /** A target that could not be tried counts as one that failed (16.9), unless a better answer is there. */
  #noteUnreachable(server: number): void {
    const { servers } = this.#parts;
    const at = servers.at(server) + SERVER.BEST_STATUS;
    if (servers.words[at] === 0) servers.words[at] = 503;
  }

  /** What the next target of the q gets of the breadth: WHOLE_BREADTH for one alone, −1 if none is left. The request is in
   *  `branches.kept`. */
  #shareOf(context: ResponseContext, q: number): number {
    const { arena, branches, maxBreadth } = this.#parts;
    let sharers = 0;
    while (context.targets[context.nextTarget + sharers]?.q === q) sharers++;
    if (sharers === 1 && context.breadthInUse === 0) return WHOLE_BREADTH;
    const whole = Math.min(maxBreadthOf(arena.bytes, branches.kept, maxBreadth), maxBreadth);
    const left = whole - context.breadthInUse;
    return left < 1 ? -1 : Math.max(1, Math.trunc(left / sharers));
  }

  #hopsOf(request: ReceivedRequest): NextHop[] {
    const { routing, nextHops, health, clock } = this.#parts;
    return nextHops.order(routing.domainOf(request), routing.selectorOf(request), health, clock.nowMs);
  }

  /** One of CONTACT. */
  #addContact(server: number, context: ResponseContext, contact: NameAddrView): number {
    const { arena, targetBlocks, branches } = this.#parts;
    const { bytes } = arena;
    const { uriStart, uriEnd } = contact;
    if (parseUri(bytes, uriStart, uriEnd, this.#uri) < 0 || this.#uri.scheme > SCHEME.SIPS) return CONTACT.LEFT;
    // RFC 5630 5.3: from sip to sips and back only the caller goes.
    if (!branches.read(server)) return CONTACT.LEFT;
    if ((this.#uri.scheme === SCHEME.SIPS) !== (branches.kept.uri.scheme === SCHEME.SIPS)) return CONTACT.LEFT;
    if (this.#isKnown(server, context, uriStart, uriEnd)) return CONTACT.KNOWN;
    const block = context.targets.length < MAX_TARGETS ? targetBlocks.ofSpan(uriStart, uriEnd) : NO_BLOCK;
    if (block === NO_BLOCK) return CONTACT.LEFT;
    context.add({ block, q: this.#qOf(contact) });
    return CONTACT.ADDED;
  }

  /** 16.5: no URI is tried twice; the Request-URI itself was tried, too. */
  #isKnown(server: number, context: ResponseContext, start: number, end: number): boolean {
    const { arena, branches } = this.#parts;
    if (!branches.read(server)) return true;
    const { uri } = branches.kept;
    return equalUris(arena.bytes, start, end, uri.start, uri.end) || this.#isTarget(context, start, end);
  }

  /** In thousandths. */
  #qOf(contact: NameAddrView): number {
    const { bytes } = this.#parts.arena;
    const param = this.#param;
    for (let at = contact.paramsStart; at !== -1 && at < contact.paramsEnd; ) {
      const next = readParam(bytes, skipLws(bytes, at + 1, contact.paramsEnd), contact.paramsEnd, param);
      if (next < 0) break;
      const isQ = param.nameEnd - param.nameStart === 1 && (bytes[param.nameStart]! | 0x20) === Q_LETTER;
      if (isQ && param.valueStart !== -1) return parseQ(bytes, param.valueStart, param.valueEnd);
      at = next;
    }
    return Q_ONE;
  }
}
