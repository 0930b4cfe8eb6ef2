/** The stateless proxy (RFC 3261 16.11): validation 16.3, routing 16.4 and 16.5, forwarding 16.6, responses by their next
 *  Via. Everything it decides follows from the message and the configuration, so a retransmission, the CANCEL and the ACK
 *  of an INVITE go where the INVITE went. Runs on the shard. Hot, allocates nothing. */

import { hashBytes } from '../../base/hash.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import type { Counters } from '../../observe/counters.ts';
import { loopHash } from '../../sip/branch.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { METHOD } from '../../sip/methods.ts';
import { HOST_KIND, SCHEME, TRANSPORT, UriView } from '../../sip/uri.ts';
import type { Destination } from '../destination.ts';
import { NO_SOCKET } from '../destination.ts';
import { FOREIGN, type OwnAddresses } from '../own-addresses.ts';
import { FOUND, PENDING } from '../ports.ts';
import type { ReceivedRequest } from '../received-request.ts';
import type { TrustedSources } from '../trusted-sources.ts';
import { identify, isLoop } from './identity.ts';
import { REJECT, type Rejection } from './rejection.ts';
import type { RequestForwarding } from './request-forwarding.ts';
import { checkMaxForwards, checkProxyRequire, checkScheme, checkSyntax } from './request-validation.ts';
import { popRoute, preprocessRoute, readRoute } from './route-preprocessing.ts';
import type { NextHops } from './target-set.ts';

/** What became of a request. */
export const OUTCOME = { FORWARDED: 0, REJECTED: 1, FOR_OURSELVES: 2, PENDING: 3 } as const;

export interface StatelessProxyParts {
  readonly arena: Arena;
  readonly own: OwnAddresses;
  readonly nextHops: NextHops;
  readonly trusted: TrustedSources;
  readonly destination: Destination;
  readonly forwarding: RequestForwarding;
  readonly counters: Counters;
}

export class StatelessProxy {
  readonly #parts: StatelessProxyParts;
  readonly #routeUri = new UriView();
  /** Why the last request was rejected. */
  rejection: Rejection = REJECT.requestLine;

  constructor(parts: StatelessProxyParts) {
    this.#parts = parts;
  }

  /** Takes a request whose top Via has been read through the sections in their order. `error` is what `parseMessage`
   *  found. Returns an OUTCOME; PENDING: a name is being looked up, see `destination`. */
  process(request: ReceivedRequest, error: number): number {
    const { arena, own } = this.#parts;
    this.identify(request);

    // 16.3
    const malformed = checkSyntax(arena.bytes, request, error);
    if (malformed !== null) return this.#reject(malformed);
    const scheme = checkScheme(request);
    if (scheme !== null) return this.#reject(scheme);
    const spent = checkMaxForwards(request);
    if (spent !== null) {
      return request.index.method === METHOD.OPTIONS ? OUTCOME.FOR_OURSELVES : this.#reject(spent);
    }
    request.loop = loopHash(arena.words, request.index, arena.words[request.slotWord + SLOT.SOCKET_WORD]!);
    if (isLoop(arena, request, own)) return this.#reject(REJECT.loopDetected);
    const extension = checkProxyRequire(request);
    if (extension !== null) return this.#reject(extension);

    // 16.4
    const route = preprocessRoute(arena.bytes, request, own);
    if (route !== null) return this.#reject(route);
    if (request.cutHeader !== -1) {
      // The Request-URI is another one now: "as if it received this modified request".
      const repaired = checkScheme(request);
      if (repaired !== null) return this.#reject(repaired);
    }
    return request.routeHeader === -1 ? this.#followUri(request) : this.#followRoute(request);
  }

  /** Fills the request's transaction key (16.11): what tells it from others, and what the To tag of an answer is made of. */
  identify(request: ReceivedRequest): void {
    identify(this.#parts.arena, request);
  }

  /** 16.6 steps 6 and 7 with a Route: its first value says where to; a strict router there gets the message in the form
   *  it expects. */
  #followRoute(request: ReceivedRequest): number {
    const { arena, trusted, destination, forwarding } = this.#parts;
    const uri = this.#routeUri;
    if (!readRoute(arena.bytes, request, uri)) return this.#reject(REJECT.malformedRoute);
    if (!trusted.has(request.slotWord)) return this.#reject(REJECT.relayDenied);
    const result = this.#findUri(uri, request);
    if (result !== OUTCOME.FORWARDED) return result;
    const socket = this.#socket(request);
    if (socket === NO_SOCKET) return this.#reject(REJECT.unreachable);
    const strictUri = uri.isLoose ? null : uri;
    if (strictUri !== null) popRoute(arena.bytes, request);
    forwarding.forward(request, destination, socket, strictUri, tagOf(request));
    return OUTCOME.FORWARDED;
  }

  /** 16.5 without a Route: a foreign Request-URI goes where it says, a domain of ours to one of its next hops. */
  #followUri(request: ReceivedRequest): number {
    const { own, nextHops, trusted, destination } = this.#parts;
    const { uri } = request;
    const isTel = uri.scheme === SCHEME.TEL;
    const port = request.isMaddrStripped ? -1 : uri.port;
    const domain = isTel ? FOREIGN : own.domainOf(uri, port, request.slotWord);
    const isPredetermined = uri.maddrStart !== -1 && !request.isMaddrStripped;
    if (!isTel && (domain === FOREIGN || isPredetermined)) {
      if (!trusted.has(request.slotWord)) return this.#reject(REJECT.relayDenied);
      const result = this.#findUri(uri, request);
      return result === OUTCOME.FORWARDED ? this.#send(request) : result;
    }
    // A telephone number belongs to no domain of ours, and calls to it may cost money.
    if (isTel && !trusted.has(request.slotWord)) return this.#reject(REJECT.relayDenied);
    // Section 11: an OPTIONS to us and nobody behind us.
    if (uri.userStart === -1 && request.index.method === METHOD.OPTIONS) return OUTCOME.FOR_OURSELVES;
    const selector = this.#selector(request);
    const hop = nextHops.choose(domain, selector);
    if (hop === null) return this.#reject(isTel ? REJECT.uriScheme : REJECT.noTarget);
    if (hop.family !== 0) {
      destination.setAddress(hop.family, hop.port, hop.words);
      return this.#send(request);
    }
    const result = this.#outcomeOf(destination.findName(hop.host, hop.port, selector));
    return result === OUTCOME.FORWARDED ? this.#send(request) : result;
  }

  #send(request: ReceivedRequest): number {
    const { destination, forwarding } = this.#parts;
    const socket = this.#socket(request);
    if (socket === NO_SOCKET) return this.#reject(REJECT.unreachable);
    forwarding.forward(request, destination, socket, null, tagOf(request));
    return OUTCOME.FORWARDED;
  }

  /** RFC 3263 for a URI: its maddr or host, its port, its transport. FORWARDED here means found. */
  #findUri(uri: UriView, request: ReceivedRequest): number {
    const { destination } = this.#parts;
    const isUdp = uri.transport <= TRANSPORT.UDP; // or none named
    if (uri.scheme !== SCHEME.SIP || !isUdp) return this.#reject(REJECT.unsupportedTransport);
    const isStripped = uri === request.uri && request.isMaddrStripped;
    // An IPv4 address needs no choosing.
    const selector = uri.hostKind === HOST_KIND.IPV4 && uri.maddrStart === -1 ? 0 : this.#selector(request);
    return this.#outcomeOf(
      uri.maddrStart === -1 || isStripped
        ? destination.findHost(uri, isStripped ? -1 : uri.port, selector)
        : destination.find(uri.maddrStart, uri.maddrEnd, uri.port, selector),
    );
  }

  #outcomeOf(found: number): number {
    if (found === FOUND) return OUTCOME.FORWARDED;
    return found === PENDING ? OUTCOME.PENDING : this.#reject(REJECT.unresolvable);
  }

  /** The same number for every message of a call. */
  #selector(request: ReceivedRequest): number {
    const { index } = request;
    const callId = index.first[HEADER_ID.CALL_ID]!;
    return hashBytes(this.#parts.arena.words, index.valueStart(callId), index.valueEnd(callId), 0);
  }

  #socket(request: ReceivedRequest): number {
    return this.#parts.destination.socketFrom(this.#parts.arena.words[request.slotWord + SLOT.SOCKET_WORD]!);
  }

  #reject(rejection: Rejection): number {
    this.rejection = rejection;
    this.#parts.counters.count(rejection.counter);
    return OUTCOME.REJECTED;
  }
}

/** Comes back with the request if the kernel refuses it; an ACK is never answered, so nobody asks for it. */
function tagOf(request: ReceivedRequest): number {
  return request.index.method === METHOD.ACK ? 0 : request.slot + 1;
}
