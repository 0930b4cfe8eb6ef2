/** What becomes of a request before it is forwarded: validation 16.3, route preprocessing 16.4, and where it goes by Route,
 *  Request-URI or the next hops of our domains (RFC 3261 16.5, 16.6 steps 6 and 7). The same for both modes; only the choice
 *  among next hops differs. Runs on the shard. Hot, allocates nothing. */

import { hashBytes } from '../../base/hash.ts';
import type { Arena } from '../../memory/arena.ts';
import { NO_BLOCK } from '../../memory/kept-messages.ts';
import { SLOT } from '../../memory/layout.ts';
import type { Counters } from '../../observe/counters.ts';
import { loopHash } from '../../sip/branch.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { METHOD } from '../../sip/methods.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import { isReliable, isSecure, isWebSocket } from '../../sip/transport.ts';
import { HOST_KIND, parseUri, SCHEME, secureTransportOf, TRANSPORT, transportAskedBy, UriView } from '../../sip/uri.ts';
import { ACCESS, type Authentication } from '../authentication.ts';
import type { Destination } from '../destination.ts';
import { NO_SOCKET } from '../destination.ts';
import type { DialogTokens } from '../dialog-tokens.ts';
import type { DomainServices } from '../domain-services.ts';
import type { FlowTokens } from '../flow-tokens.ts';
import type { LocatedUser } from '../located-user.ts';
import { FOREIGN, type OwnAddresses } from '../own-addresses.ts';
import { FOUND, PENDING } from '../ports.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { REJECT, type Rejection } from '../rejection.ts';
import type { TrustedSources } from '../trusted-sources.ts';
import { identify, isLoop } from './identity.ts';
import { maxBreadthOf } from './request-forwarding.ts';
import { checkMaxForwards, checkProxyRequire, checkScheme, checkSyntax } from './request-validation.ts';
import { popRoute, preprocessRoute, readRoute } from './route-preprocessing.ts';
import type { TargetBlocks } from './target-blocks.ts';
import type { NextHop } from './target-set.ts';
import { USER, type Users } from './users.ts';

/** What becomes of a request. FORWARDED: it can go to `destination` by `socket`. FORKED: its user has contacts, fixed ones
 *  (`user`) or registered ones (`located`). REDIRECTED: the same, and the answer names them. REGISTER: for the registrar of
 *  `domain`. CHALLENGED: by `authentication`. ASKING: the caller is being looked up there. */
export const OUTCOME = {
  FORWARDED: 0,
  REJECTED: 1,
  FOR_OURSELVES: 2,
  PENDING: 3,
  FORKED: 4,
  REDIRECTED: 5,
  REGISTER: 6,
  CHALLENGED: 7,
  ASKING: 8,
} as const;

export interface RoutingParts {
  readonly arena: Arena;
  readonly own: OwnAddresses;
  readonly users: Users;
  readonly services: DomainServices;
  readonly located: LocatedUser;
  readonly targetBlocks: TargetBlocks;
  readonly trusted: TrustedSources;
  readonly flowTokens: FlowTokens;
  /** null: our Record-Routes do not say which dialog they are of. */
  readonly dialogTokens: DialogTokens | null;
  /** null: nothing is asked of anybody. */
  readonly authentication: Authentication | null;
  readonly destination: Destination;
  readonly counters: Counters;
  /** This server stays in dialogs. */
  readonly isRecordRouting: boolean;
  /** Requests have transactions. */
  readonly isStateful: boolean;
  /** One of the next hops of a domain (below 0: the common ones), or null. */
  readonly chooseHop: (domain: number, selector: number) => NextHop | null;
}

export class RequestRouting {
  readonly #parts: RoutingParts;
  readonly #routeUri = new UriView();
  readonly #pathValue = new NameAddrView();
  /** There is a transport for sips URIs. */
  readonly #hasSecure: boolean;
  readonly #hasWebSockets: boolean;
  /** Why the last request was rejected. */
  rejection: Rejection = REJECT.requestLine;
  /** The socket the request leaves by. */
  socket = NO_SOCKET;
  /** The first Route's URI if it has no lr, else null. */
  strictUri: UriView | null = null;
  /** The next hop of ours that was chosen; null where Route or Request-URI said where to. */
  hop: NextHop | null = null;
  /** After FORKED and REDIRECTED: for `Users.contactsOf`; below 0: he has no fixed contacts. */
  user: number = USER.KNOWN;
  /** After REGISTER: as of `OwnAddresses.domainOf`. */
  domain = FOREIGN;

  constructor(parts: RoutingParts) {
    this.#parts = parts;
    const { destination } = parts;
    this.#hasSecure = destination.hasTransport(TRANSPORT.TLS) || destination.hasTransport(TRANSPORT.WSS);
    this.#hasWebSockets = destination.hasTransport(TRANSPORT.WS) || destination.hasTransport(TRANSPORT.WSS);
  }

  /** Takes a request whose top Via has been read, and whose transaction key, through the sections in their order. `error` is
   *  what `parseMessage` found. Returns an OUTCOME; PENDING: a name is being looked up, see `destination`. */
  process(request: ReceivedRequest, error: number): number {
    const valid = this.validate(request, error);
    if (valid !== OUTCOME.FORWARDED) return valid;
    const access = this.#authenticate(request);
    return access === OUTCOME.FORWARDED ? this.#choose(request) : access;
  }

  /** Whether a request may pass through this server that another one is to decide about: all of `process` but where to. FORWARDED:
   *  it may. */
  admit(request: ReceivedRequest, error: number): number {
    const valid = this.validate(request, error);
    if (valid !== OUTCOME.FORWARDED) return valid;
    const access = this.#authenticate(request);
    if (access !== OUTCOME.FORWARDED) return access;
    const { services } = this.#parts;
    const { method } = request.index;
    const domain = this.domainOf(request);
    const isElsewhere = request.routeHeader !== -1 || isPredetermined(request);
    const isRegister = method === METHOD.REGISTER && services.isRegistrar(domain);
    if (!isElsewhere && (isRegister || domain !== FOREIGN)) {
      const isForUs = method === METHOD.OPTIONS && request.uri.userStart === -1;
      return isForUs ? OUTCOME.FOR_OURSELVES : OUTCOME.FORWARDED;
    }
    if (!isElsewhere && services.isOpen && this.#locateUser(request)) return OUTCOME.FORWARDED;
    return this.#mayRelay(request) ? OUTCOME.FORWARDED : this.#reject(REJECT.relayDenied);
  }

  /** 16.3 step 6. A REGISTER is the registrar's, or is forwarded to one. */
  #authenticate(request: ReceivedRequest): number {
    const { authentication } = this.#parts;
    if (authentication === null || request.index.method === METHOD.REGISTER) return OUTCOME.FORWARDED;
    switch (authentication.checkProxied(request)) {
      case ACCESS.GRANTED:
        return OUTCOME.FORWARDED;
      case ACCESS.CHALLENGED:
        return OUTCOME.CHALLENGED;
      case ACCESS.PENDING:
        return OUTCOME.ASKING;
      default:
        return this.#reject(authentication.rejection);
    }
  }

  /** Fills the request's transaction key: what tells it from others, and what the To tag of an answer is made of. */
  identify(request: ReceivedRequest): void {
    identify(this.#parts.arena, request);
  }

  /** 16.3 and 16.4. FORWARDED: nothing speaks against forwarding it. */
  validate(request: ReceivedRequest, error: number): number {
    const { arena, own } = this.#parts;
    const malformed = checkSyntax(arena.bytes, request, error);
    if (malformed !== null) return this.#reject(malformed);
    const scheme = checkScheme(request, this.#hasSecure);
    if (scheme !== null) return this.#reject(scheme);
    const spent = checkMaxForwards(request);
    if (spent !== null && !this.#mayEndHere(request)) return this.#rejectSpent(request, spent);
    request.loop = loopHash(arena.words, request.index, arena.words[request.slotWord + SLOT.SOCKET_WORD]!);
    if (isLoop(arena, request, own)) return this.#reject(REJECT.loopDetected);
    const limit = this.#checkLimits(request);
    if (limit !== null && !this.#mayEndHere(request)) return this.#reject(limit);
    const preprocessed = this.#preprocess(request);
    if ((spent ?? limit) === null || preprocessed !== OUTCOME.FORWARDED) return preprocessed;
    const isForUs = this.#mayEndHere(request) && request.routeHeader === -1 && !isPredetermined(request);
    if (isForUs) return preprocessed;
    return spent === null ? this.#reject(limit!) : this.#rejectSpent(request, spent);
  }

  /** 16.3 step 5, and RFC 5393 5.3.3. */
  #checkLimits(request: ReceivedRequest): Rejection | null {
    const { arena } = this.#parts;
    const extension = checkProxyRequire(request);
    if (extension !== null || request.index.first[HEADER_ID.MAX_BREADTH] === -1) return extension;
    return maxBreadthOf(arena.bytes, request, 1) === 0 ? REJECT.maxBreadthExceeded : null;
  }

  /** A registrar and a redirect server do not ask how far and how broad a request may still go, and what proxies must know: it
   *  goes no further (8.2.2.3, 8.3). */
  #mayEndHere(request: ReceivedRequest): boolean {
    const { services } = this.#parts;
    const domain = this.domainOf(request);
    return request.index.method === METHOD.REGISTER ? services.isRegistrar(domain) : services.isRedirect(domain);
  }

  /** 16.3 step 3 lets a proxy answer an OPTIONS for others; only who asks for this server itself means it (RFC 4475 3.3.11). */
  #rejectSpent(request: ReceivedRequest, spent: Rejection): number {
    const { index, uri } = request;
    const isForUs = index.method === METHOD.OPTIONS && uri.userStart === -1 && this.domainOf(request) !== FOREIGN;
    return isForUs ? OUTCOME.FOR_OURSELVES : this.#reject(spent);
  }

  /** Reads a request that was validated before once more, from where it is kept. */
  revisit(request: ReceivedRequest): void {
    const { arena } = this.#parts;
    checkSyntax(arena.bytes, request, 0);
    request.loop = loopHash(arena.words, request.index, arena.words[request.slotWord + SLOT.SOCKET_WORD]!);
    this.#preprocess(request);
  }

  /** 16.4. */
  #preprocess(request: ReceivedRequest): number {
    const { arena, own, flowTokens, dialogTokens } = this.#parts;
    const route = preprocessRoute(arena.bytes, request, own, flowTokens, dialogTokens);
    if (route !== null) return this.#reject(route);
    if (request.cutHeader === -1) return OUTCOME.FORWARDED;
    // The Request-URI is another one now: "as if it received this modified request".
    const repaired = checkScheme(request, this.#hasSecure);
    return repaired === null ? OUTCOME.FORWARDED : this.#reject(repaired);
  }

  /** 16.5, and steps 6 and 7 of 16.6. */
  #choose(request: ReceivedRequest): number {
    this.hop = null;
    this.strictUri = null;
    if (request.hasFlowRoute) return this.#followToken(request, 0);
    if (request.routeHeader === -1) return this.#followUri(request);
    if (!this.#mayRelay(request)) return this.#reject(REJECT.relayDenied);
    return this.#followRoute(request, 0);
  }

  /** Where a request goes whose Request-URI is a target that was decided upon: by its Route, else by that URI. `attempt`: how
   *  many destinations of that name have failed before (RFC 3263 4.3). REJECTED: there is none, or no more. */
  locate(request: ReceivedRequest, attempt: number): number {
    this.hop = null;
    this.strictUri = null;
    if (request.hasFlowRoute) return this.#followToken(request, attempt);
    if (request.pathEnd > request.pathStart) return this.#followPath(request, attempt);
    if (request.flow !== 0) return this.#followFlow(request, attempt);
    if (request.routeHeader !== -1) return this.#followRoute(request, attempt);
    const found = this.#findUri(request.uri, request, attempt);
    return found === OUTCOME.FORWARDED ? this.#chooseSocket(request) : found;
  }

  /** RFC 3327 5.4: the first of the Path says where to. Departs from it in that a URI there without lr is taken for a loose
   *  router too: strict ones do not know Path. */
  #followPath(request: ReceivedRequest, attempt: number): number {
    const { arena } = this.#parts;
    const value = this.#pathValue;
    if (parseNameAddr(arena.bytes, request.pathStart, request.pathEnd, value) < 0)
      return this.#reject(REJECT.malformedRoute);
    const uri = this.#routeUri;
    if (parseUri(arena.bytes, value.uriStart, value.uriEnd, uri) < 0) return this.#reject(REJECT.malformedRoute);
    const found = this.#findUri(uri, request, attempt);
    return found === OUTCOME.FORWARDED ? this.#chooseSocket(request) : found;
  }

  /** RFC 5626 7: by the socket and to the address that the REGISTER came by and from, or by its connection. A client that asked for
   *  no flow is reached by its contact too, once the connection is gone. */
  #followFlow(request: ReceivedRequest, attempt: number): number {
    const { arena, destination, targetBlocks } = this.#parts;
    const { flow } = request;
    const socket = destination.setFlow(flow >> 2);
    if (socket === NO_SOCKET) return this.#reject(REJECT.unreachable);
    this.socket = socket;
    const { transport, family } = destination;
    if (!this.#isSecureEnough(request)) return this.#reject(REJECT.sipsNotAllowed);
    if (!isReliable(transport) || targetBlocks.isFlowOnly(flow)) {
      return attempt === 0 ? OUTCOME.FORWARDED : this.#reject(REJECT.unresolvable);
    }
    // To where the contact says by the same transport: then a new connection can take the place of the old one at once.
    const isFound = this.#findUri(request.uri, request, 0) === OUTCOME.FORWARDED;
    const canReopen = isFound && destination.transport === transport && destination.family === family;
    if (attempt === 0) {
      if (canReopen) destination.scope = arena.words[(flow >> 2) + SLOT.CONNECTION_WORD]!;
      else destination.setFlow(flow >> 2);
      return OUTCOME.FORWARDED;
    }
    request.flow = NO_BLOCK;
    const found = this.#findUri(request.uri, request, canReopen ? attempt : attempt - 1);
    return found === OUTCOME.FORWARDED ? this.#chooseSocket(request) : found;
  }

  /** RFC 5626 5.3.1: by the flow that a Route of ours named, to whomever. Whoever has the token has it from the client's registrar or
   *  from a dialog with the client, so nobody is asked whether he may relay. In a dialog, the Request-URI is where the client
   *  thinks that it can be reached, which is tried once the flow is gone; if that leads nowhere, too, the flow has failed. */
  #followToken(request: ReceivedRequest, attempt: number): number {
    const { destination } = this.#parts;
    if (attempt === 0) {
      this.socket = destination.setRoute(request.flowRoute, 0);
      destination.isOnlyConnection = isReliable(destination.transport);
      return this.#isSecureEnough(request) ? OUTCOME.FORWARDED : this.#reject(REJECT.sipsNotAllowed);
    }
    if (request.to.tagStart === -1) return this.#reject(REJECT.flowFailed);
    request.hasFlowRoute = false;
    request.hasLostFlow = true;
    if (request.routeHeader !== -1) return this.#followRoute(request, attempt - 1);
    const found = this.#findUri(request.uri, request, attempt - 1);
    return found === OUTCOME.FORWARDED ? this.#chooseSocket(request) : found;
  }

  /** Where a request goes by a next hop of ours, or by what follows `attempt` destinations of its name. */
  locateHop(request: ReceivedRequest, hop: NextHop, attempt: number): number {
    const { destination } = this.#parts;
    this.hop = hop;
    this.strictUri = null;
    const transport = request.uri.scheme === SCHEME.SIPS ? TRANSPORT.TLS : hop.transport;
    if (transport !== TRANSPORT.NONE && !destination.hasTransport(transport)) {
      return this.#reject(REJECT.unsupportedTransport);
    }
    if (hop.family !== 0) {
      if (attempt > 0) return this.#reject(REJECT.unresolvable);
      destination.setAddress(hop.family, hop.port, transport, hop.words);
      return this.#chooseSocket(request);
    }
    const selector = this.selectorOf(request);
    const found = this.#outcomeOf(destination.findName(hop.host, hop.port, transport, selector, attempt));
    return found === OUTCOME.FORWARDED ? this.#chooseSocket(request) : found;
  }

  /** The first Route value says where to; a strict router there gets the message in the form it expects. */
  #followRoute(request: ReceivedRequest, attempt: number): number {
    const { arena } = this.#parts;
    const uri = this.#routeUri;
    if (!readRoute(arena.bytes, request, uri)) return this.#reject(REJECT.malformedRoute);
    const result = this.#findUri(uri, request, attempt);
    if (result !== OUTCOME.FORWARDED) return result;
    this.#makeStrict(request, uri);
    return this.#chooseSocket(request);
  }

  /** The domain of ours that a request's URI is in. */
  domainOf(request: ReceivedRequest): number {
    const { uri } = request;
    if (uri.scheme === SCHEME.TEL) return FOREIGN;
    const { isMaddrStripped, slotWord } = request;
    const { own } = this.#parts;
    const domain = own.domainOf(uri, uri.port, transportAskedBy(uri), slotWord);
    // 16.4: as if maddr, port and transport had not been there. An address of ours is one of ours with them, too.
    return isMaddrStripped && domain === FOREIGN ? own.domainOf(uri, -1, TRANSPORT.NONE, slotWord) : domain;
  }

  /** 16.5: whether this server is responsible for the Request-URI: for others nobody but its own server may name another target. A
   *  telephone number goes where we say. Cold. */
  isResponsibleFor(request: ReceivedRequest): boolean {
    if (isPredetermined(request)) return false;
    if (request.uri.scheme === SCHEME.TEL || this.domainOf(request) !== FOREIGN) return true;
    return this.#parts.services.isOpen && this.#locateUser(request);
  }

  #makeStrict(request: ReceivedRequest, uri: UriView): void {
    if (uri.isLoose) return;
    this.strictUri = uri;
    popRoute(this.#parts.arena.bytes, request);
  }

  /** For a request whose destination is known: what its first Route makes of it. */
  repeatRoute(request: ReceivedRequest): void {
    this.strictUri = null;
    if (request.routeHeader === -1) return;
    if (readRoute(this.#parts.arena.bytes, request, this.#routeUri)) this.#makeStrict(request, this.#routeUri);
  }

  /** Without a Route: a foreign Request-URI goes where it says, a domain of ours to one of its next hops. */
  #followUri(request: ReceivedRequest): number {
    const { trusted, services } = this.#parts;
    const { uri } = request;
    const { method } = request.index;
    const isTel = uri.scheme === SCHEME.TEL;
    const domain = this.domainOf(request);
    if (method === METHOD.REGISTER && !isTel && services.isRegistrar(domain)) {
      this.domain = domain;
      return OUTCOME.REGISTER;
    }
    const isElsewhere = isPredetermined(request);
    if (!isTel && (domain === FOREIGN || isElsewhere)) {
      // Who has registered here is ours.
      if (services.isOpen && !isElsewhere && this.#locateUser(request)) return OUTCOME.FORKED;
      if (!this.#mayRelay(request)) return this.#reject(REJECT.relayDenied);
      const result = this.#findUri(uri, request, 0);
      return result === OUTCOME.FORWARDED ? this.#chooseSocket(request) : result;
    }
    // A telephone number belongs to no domain of ours, and calls to it may cost money.
    if (isTel && !request.isAuthenticated && !trusted.has(request.slotWord)) return this.#reject(REJECT.relayDenied);
    // Section 11: an OPTIONS to us and nobody behind us.
    if (uri.userStart === -1 && method === METHOD.OPTIONS) return OUTCOME.FOR_OURSELVES;
    if (!isTel) {
      const found = this.#findUser(request, domain);
      if (found !== OUTCOME.FORWARDED) return found;
    }
    const hop = this.#parts.chooseHop(domain, this.selectorOf(request));
    if (hop === null) {
      return this.#reject(isTel ? REJECT.uriScheme : nowhere(method));
    }
    return this.locateHop(request, hop, 0);
  }

  /** 16.5: the contacts of a user of ours. FORWARDED: he has none, and next hops may know more. */
  #findUser(request: ReceivedRequest, domain: number): number {
    const { arena, users, services, located } = this.#parts;
    const { uri } = request;
    this.user = users.hasLists ? users.find(domain, arena.bytes, uri.userStart, uri.userEnd) : USER.KNOWN;
    if (this.user === USER.UNKNOWN) return this.#reject(REJECT.unknownUser);
    if (services.isRegistrar(domain)) located.find(uri);
    else located.forget();
    // RFC 5630 5.3: nobody is called by less than what the caller asks for.
    const isInsecure = uri.scheme === SCHEME.SIPS && located.count > 0 && located.sipCount === 0 && this.user < 0;
    if (isInsecure && !services.isRedirect(domain)) return this.#reject(REJECT.sipsNotAllowed);
    if (services.isRedirect(domain)) {
      return located.count > 0 || this.user >= 0 ? OUTCOME.REDIRECTED : this.#reject(REJECT.noTarget);
    }
    return located.sipCount > 0 || this.user >= 0 ? OUTCOME.FORKED : OUTCOME.FORWARDED;
  }

  #locateUser(request: ReceivedRequest): boolean {
    const { located } = this.#parts;
    this.user = USER.KNOWN;
    located.find(request.uri);
    return located.sipCount > 0;
  }

  /** Where a request goes that may have one target only, after FORKED: to the registered contact with the highest q. */
  followBest(request: ReceivedRequest): number {
    const { located, targetBlocks } = this.#parts;
    const binding = located.best();
    if (binding === null) return this.#reject(REJECT.noTarget);
    const block = targetBlocks.ofBinding(binding);
    if (block === NO_BLOCK) return this.#reject(REJECT.exhausted);
    // Given back at once: it stays as it is until the flush, and the request is sent with that.
    targetBlocks.release(block);
    return this.follow(request, block);
  }

  /** To the target in a block. */
  follow(request: ReceivedRequest, block: number): number {
    return this.#parts.targetBlocks.aim(request, block) ? this.locate(request, 0) : this.#reject(REJECT.noTarget);
  }

  /** To anywhere: for trusted sources, and within a dialog whose route leads over this server by its own Record-Route. A To tag
   *  and our Route can be made up, but no element begins a call because of a request that claims to be within one. */
  #mayRelay(request: ReceivedRequest): boolean {
    const { trusted, isRecordRouting, isStateful } = this.#parts;
    if (request.isAuthenticated || trusted.has(request.slotWord)) return true;
    if (!isStateful && this.#belongsToAuthenticated(request)) return true;
    return isRecordRouting && request.hadOwnRoute && request.to.tagStart !== -1;
  }

  /** Without transactions nobody knows which INVITE an ACK or a CANCEL belongs to. Those of our users, whose INVITEs were asked for
   *  credentials, go where these went (22.1): they begin nothing. */
  #belongsToAuthenticated(request: ReceivedRequest): boolean {
    const { method } = request.index;
    if (method !== METHOD.ACK && method !== METHOD.CANCEL) return false;
    return this.#parts.authentication?.asksCaller(request, METHOD.INVITE) === true;
  }

  /** RFC 7118 9.2: a sips URI does not go by a WebSocket that is not secure, to whomever it belongs. */
  #isSecureEnough(request: ReceivedRequest): boolean {
    const { transport } = this.#parts.destination;
    return request.uri.scheme !== SCHEME.SIPS || !isWebSocket(transport) || isSecure(transport);
  }

  /** RFC 3263 for a URI: its maddr or host, its port, its transport. FORWARDED here means found. */
  #findUri(uri: UriView, request: ReceivedRequest, attempt: number): number {
    const { destination } = this.#parts;
    const transport = this.#transportOf(uri, request);
    if (isWebSocket(transport)) {
      const isGone = uri === request.uri && this.#hasWebSockets;
      return this.#reject(isGone ? REJECT.noTarget : REJECT.unsupportedTransport);
    }
    if (transport !== TRANSPORT.NONE && !destination.hasTransport(transport)) {
      return this.#reject(REJECT.unsupportedTransport);
    }
    const isStripped = uri === request.uri && request.isMaddrStripped;
    // An IPv4 address needs no choosing.
    const selector = uri.hostKind === HOST_KIND.IPV4 && uri.maddrStart === -1 ? 0 : this.selectorOf(request);
    return this.#outcomeOf(
      uri.maddrStart === -1 || isStripped
        ? destination.findHost(uri, isStripped ? -1 : uri.port, transport, selector, attempt)
        : destination.find(uri.maddrStart, uri.maddrEnd, uri.port, transport, selector, attempt),
    );
  }

  /** Step 7 of 16.6: what the URI asks for, but TLS if the Request-URI is a sips one. WS and WSS: nobody is called by WebSocket; who is
   *  reached by one is reached by his flow, and is not there without it. */
  #transportOf(uri: UriView, request: ReceivedRequest): number {
    const { scheme } = uri;
    if (scheme !== SCHEME.SIP && scheme !== SCHEME.SIPS) return TRANSPORT.OTHER;
    const isSips = request.uri.scheme === SCHEME.SIPS;
    const isStripped = uri === request.uri && request.isMaddrStripped;
    if (isStripped) return isSips ? TRANSPORT.TLS : TRANSPORT.NONE;
    return isSips ? secureTransportOf(uri.transport) : transportAskedBy(uri);
  }

  #outcomeOf(found: number): number {
    if (found === FOUND) return OUTCOME.FORWARDED;
    return found === PENDING ? OUTCOME.PENDING : this.#reject(REJECT.unresolvable);
  }

  /** The same number for every message of a call. */
  selectorOf(request: ReceivedRequest): number {
    const { index } = request;
    const callId = index.first[HEADER_ID.CALL_ID]!;
    return hashBytes(this.#parts.arena.words, index.valueStart(callId), index.valueEnd(callId), 0);
  }

  #chooseSocket(request: ReceivedRequest): number {
    const { arena, destination } = this.#parts;
    this.socket = destination.socketFrom(arena.words[request.slotWord + SLOT.SOCKET_WORD]!);
    if (this.socket !== NO_SOCKET) return OUTCOME.FORWARDED;
    const isKnown = destination.hasTransport(destination.transport);
    return this.#reject(isKnown ? REJECT.unreachable : REJECT.unsupportedTransport);
  }

  /** Counted by whoever answers: a branch that cannot be begun is no rejected request. */
  #reject(rejection: Rejection): number {
    this.rejection = rejection;
    return OUTCOME.REJECTED;
  }
}

/** 16.5: a maddr in the Request-URI is the only target. */
function isPredetermined({ uri, isMaddrStripped }: ReceivedRequest): boolean {
  return uri.maddrStart !== -1 && !isMaddrStripped;
}

/** The answer where there is nobody to send a request to. A CANCEL that got here found no transaction to cancel (9.2). */
function nowhere(method: number): Rejection {
  if (method === METHOD.REGISTER) return REJECT.notRegistrar;
  return method === METHOD.CANCEL ? REJECT.noTransaction : REJECT.noTarget;
}
