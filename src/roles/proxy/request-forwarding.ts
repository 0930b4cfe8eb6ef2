/** Request forwarding (RFC 3261 16.6): the steps that change the message, as edits over the bytes that arrived. Everything
 *  else leaves byte for byte as it came. Runs on the shard. Hot: once per request, allocates nothing. */

import { literal } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import type { MessageEdits } from '../../sip/message-edits.ts';
import { METHOD as METHODS, methodBits } from '../../sip/methods.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { defaultPortOf, isReliable, isSecure } from '../../sip/transport.ts';
import { parseUri, SCHEME, transportAskedBy, UriView } from '../../sip/uri.ts';
import type { Authentication } from '../authentication.ts';
import { addContentLength } from '../content-length.ts';
import { type Destination, NO_SOCKET } from '../destination.ts';
import type { ReceivedRequest } from '../received-request.ts';
import type { ViaMarker } from '../via-marker.ts';
import { type FlowRoutes, SIDE } from './flow-routes.ts';
import { endOfRoutes, readRoute } from './route-preprocessing.ts';
import { PLACE_WORDS, type UnreachablePlaces } from './unreachable.ts';
import { EXTRA, type ViaTemplates } from './via-templates.ts';

const ROUTE_NAME = literal('Route: ');
const ROUTE = literal('Route: <');
const ROUTE_END = literal('>\r\n');
const MAX_FORWARDS = literal('Max-Forwards: ');
const MAX_BREADTH = literal('Max-Breadth: ');
const ZERO = 0x30;
/** In place of a breadth: the request's own, or the default. */
export const WHOLE_BREADTH = 0;
/** More than any setting allows. */
const TOO_BROAD = 1_000_000_000;
/** How long a place is spared attempts by TCP after one that failed: as long as a transaction lasts, by default. */
const TCP_REST_MS = 32_000;
/** What is put on a request beside its template and its Path at the most: parameters of the Via, Max-Forwards, Max-Breadth; the Record-Routes
 *  of a dialog by flows, or a Path. */
const SMALL_CHANGE_BYTES = 256;
const FLOW_ROUTES_BYTES = 1024;
const CRLF = literal('\r\n');
const VERSION = literal('SIP/2.0');
const SEMICOLON = 0x3b;
const METHOD = ';method=';
const MADDR = ';maddr=';

export interface ForwardingSettings {
  /** What a request gets that came without (step 3). */
  readonly maxForwards: number;
  /** RFC 5393 5.3.3. */
  readonly maxBreadth: number;
  /** Methods that get a Record-Route (step 4). */
  readonly recordRoute: readonly string[];
  /** Longer requests leave by TCP (18.1.1); Infinity: none. */
  readonly maxUdpRequestBytes: number;
}

export class RequestForwarding {
  readonly #arena: Arena;
  readonly #outbound: Outbound;
  readonly #edits: MessageEdits;
  readonly #marker: ViaMarker;
  readonly #templates: ViaTemplates;
  /** null: nobody is asked for credentials, so none that pass are for us. */
  readonly #authentication: Authentication | null;
  readonly #maxForwards: number;
  readonly #maxBreadth: number;
  readonly #maxUdpRequestBytes: number;
  readonly #withoutTcp: UnreachablePlaces;
  readonly #flowRoutes: FlowRoutes;
  readonly #path = new NameAddrView();
  readonly #routeUri = new UriView();
  /** A place as `UnreachablePlaces` compares it. */
  readonly #place = new Int32Array(PLACE_WORDS);
  /** Bit 1 << id of each method that gets a Record-Route. */
  readonly #recordRouted: number;
  /** The request forwarded last left by TCP for its length alone. */
  hasMoved = false;
  /** How long the request composed last is at the most: the pieces of those that may be too long are added up, and of no others. */
  #mostBytes = 0;

  /** `withoutTcp`: where a request that was moved to TCP could not be delivered. */
  constructor(
    arena: Arena,
    withoutTcp: UnreachablePlaces,
    flowRoutes: FlowRoutes,
    outbound: Outbound,
    edits: MessageEdits,
    marker: ViaMarker,
    templates: ViaTemplates,
    authentication: Authentication | null,
    settings: ForwardingSettings,
  ) {
    this.#arena = arena;
    this.#withoutTcp = withoutTcp;
    this.#flowRoutes = flowRoutes;
    this.#maxUdpRequestBytes = settings.maxUdpRequestBytes;
    this.#outbound = outbound;
    this.#edits = edits;
    this.#marker = marker;
    this.#templates = templates;
    this.#authentication = authentication;
    this.#maxForwards = settings.maxForwards;
    this.#maxBreadth = settings.maxBreadth;
    this.#recordRouted = methodBits(settings.recordRoute);
  }

  /** Sends the request to `destination` by `socket`, or by TCP if it is too long for UDP. `strictUri`: the first Route's if it has no
   *  lr (step 6), else null. `high` and `low` tell the transaction in the branch. `breadth`: WHOLE_BREADTH or this branch's
   *  share of a fork. `tag` comes back if it could not be delivered, with `mark` (as of `Outbound.commit`).
   *
   *  Departs from RFC 3261 16.11, CANCEL and ACK of an INVITE that was moved: without transactions they go by UDP, being short, since
   *  nothing is known of the INVITE any more. Its branch and, where UDP and TCP have one port, its sent-by they have, by which
   *  17.2.3 matches them. */
  forward(
    request: ReceivedRequest,
    destination: Destination,
    socket: number,
    strictUri: UriView | null,
    high: number,
    low: number,
    breadth: number,
    tag: number,
    mark: number,
  ): void {
    this.#compose(request, destination, socket, strictUri, high, low, breadth);
    this.hasMoved = false;
    if (destination.mayMove && this.#mostBytes > this.#maxUdpRequestBytes && this.#isTooLong()) {
      const tcpSocket = this.#moveToTcp(request, destination);
      // The Via says TCP now, which makes another message of it (18.1.1).
      this.hasMoved = tcpSocket !== NO_SOCKET;
      if (this.hasMoved) {
        this.#compose(request, destination, tcpSocket, strictUri, high, low, breadth);
        this.#outbound.byTcpForLength();
      }
    }
    this.#outbound.commit(tag, mark);
  }

  #isTooLong(): boolean {
    return this.#outbound.length > this.#maxUdpRequestBytes;
  }

  /** The TCP socket for a request that is too long for UDP; NO_SOCKET: there is none, or nobody at that place takes it. */
  #moveToTcp(request: ReceivedRequest, destination: Destination): number {
    destination.copyPlace(this.#place);
    if (this.#withoutTcp.isKnown(this.#place, 0, TCP_REST_MS)) return NO_SOCKET;
    return destination.tcpSocketFrom(this.#arena.words[request.slotWord + SLOT.SOCKET_WORD]!);
  }

  #compose(
    request: ReceivedRequest,
    destination: Destination,
    socket: number,
    strictUri: UriView | null,
    high: number,
    low: number,
    breadth: number,
  ): void {
    const { index, slotWord } = request;
    const outbound = this.#outbound;
    const edits = this.#edits;
    outbound.begin();
    if (destination.name !== '' && isSecure(destination.transport)) outbound.toServer(destination.name);
    edits.clear();

    // Step 2, and step 6 for a strict next hop: what the start line says.
    const target = strictUri ?? request.uri;
    const isMaddrStripped = strictUri === null && request.isMaddrStripped;
    if (isMaddrStripped || target.methodStart !== -1 || target.headersStart !== -1) {
      const from = outbound.cursor;
      this.#putRequestUri(target, isMaddrStripped);
      edits.replace(index.uriStart, index.uriEnd, from, outbound.cursor);
    } else if (target.start !== index.uriStart) {
      edits.replace(index.uriStart, index.uriEnd, target.start, target.end);
    }

    // Section 7.1: read in any case, sent in capitals.
    if (index.hasOddVersion) {
      const from = outbound.cursor;
      outbound.put(VERSION);
      edits.replace(index.uriEnd + 1, index.uriEnd + 1 + VERSION.length, from, outbound.cursor);
    }

    // Steps 4 and 8, before the Vias that are there; and section 18.2.1 on the topmost of those.
    const via = index.lineStart(index.first[HEADER_ID.VIA]!);
    const words = this.#arena.words;
    const isFromLocal = destination.isFromLocal(socket, slotWord);
    const recordRoute = this.#recordRouteOf(request, target);
    const sides = recordRoute === EXTRA.NONE ? SIDE.NONE : this.#flowRoutes.sidesOf(request);
    // With a flow or a dialog in it a Record-Route is no template's.
    const isWritten = recordRoute !== EXTRA.NONE && !this.#flowRoutes.isPlain(sides);
    const plain = isWritten ? recordRoute & ~EXTRA.RECORD_ROUTE : recordRoute;
    const extras = plain | this.#maxBreadthOf(request, breadth);
    const template = this.#templates.of(socket, destination.family, slotWord, isFromLocal, extras);
    const ingress = words[slotWord + SLOT.SOCKET_WORD]!;
    const ours = outbound.stampVia(template, high, low, request.loop, ingress, words[slotWord + SLOT.CONNECTION_WORD]!);
    if (isWritten) this.#flowRoutes.addRecordRoutes(request, template, sides, via);
    else if (index.method === METHODS.REGISTER) this.#flowRoutes.addPath(request, template, via);
    edits.insert(via, ours, ours + template.text.length);
    this.#marker.mark(request.topVia, slotWord, edits);

    if (request.pathEnd > request.pathStart) this.#insertPath(request, via);
    this.#editMaxForwards(request);
    this.#authentication?.removeCredentials(index, edits);
    if (index.first[HEADER_ID.ROUTE] !== -1) this.#editRoutes(request, strictUri !== null);
    // Step 9.
    if (isReliable(destination.transport)) addContentLength(index, edits, outbound);

    const received = index.end - index.start + request.pathEnd - request.pathStart;
    this.#mostBytes = received + template.text.length + SMALL_CHANGE_BYTES;
    if (isWritten || index.method === METHODS.REGISTER) this.#mostBytes += FLOW_ROUTES_BYTES;
    if (strictUri !== null) this.#mostBytes += received;
    edits.apply(outbound, index.start, index.end);
    const { family, port, a0, a1, a2, a3, scope } = destination;
    outbound.to(socket, family, port, a0, a1, a2, a3, scope);
    if (destination.isOnlyConnection) outbound.byConnectionOnly();
    if (request.flow !== 0) outbound.fromLocalOf(request.flow >> 2);
    else if (request.hasFlowRoute) this.#fromFlow(request.flowRoute);
    else if (isFromLocal) outbound.fromLocalOf(slotWord);
  }

  #fromFlow(route: Int32Array): void {
    const at = SLOT.LOCAL_WORD - SLOT.SOCKET_WORD;
    this.#outbound.from(route[at]!, route[at + 1]!, route[at + 2]!, route[at + 3]!);
  }

  /** RFC 3327 5.4: before the Routes that are there; no other place in the message matters. */
  #insertPath(request: ReceivedRequest, at: number): void {
    const outbound = this.#outbound;
    const from = outbound.cursor;
    outbound.put(ROUTE_NAME);
    outbound.putCopy(request.pathStart, request.pathEnd);
    outbound.put(CRLF);
    this.#edits.insert(at, from, outbound.cursor);
  }

  /** Step 4: for requests of methods that form a dialog. Within one it changes nobody's route set (12.2.1.1), but who has lost his
   *  dialogs finds it there; and a NOTIFY may form one although its To has the subscriber's tag (RFC 6665 4.3). A sips one where the
   *  Request-URI is one, `target` as it leaves, or the topmost Route. */
  #recordRouteOf(request: ReceivedRequest, target: UriView): number {
    const { method } = request.index;
    if (((this.#recordRouted >>> method) & 1) === 0 || method === METHODS.OTHER) return EXTRA.NONE;
    if (request.isPassedOn) return EXTRA.NONE;
    const isSips = target.scheme === SCHEME.SIPS || request.uri.scheme === SCHEME.SIPS || this.#isNextSips(request);
    return isSips ? EXTRA.RECORD_ROUTE | EXTRA.SIPS : EXTRA.RECORD_ROUTE;
  }

  /** The topmost Route that it leaves with is a sips URI. */
  #isNextSips(request: ReceivedRequest): boolean {
    const { bytes } = this.#arena;
    const uri = this.#routeUri;
    if (request.pathEnd > request.pathStart) {
      const path = this.#path;
      if (parseNameAddr(bytes, request.pathStart, request.pathEnd, path) < 0) return false;
      return parseUri(bytes, path.uriStart, path.uriEnd, uri) >= 0 && uri.scheme === SCHEME.SIPS;
    }
    if (request.routeHeader === -1) return false;
    return readRoute(bytes, request, uri) && uri.scheme === SCHEME.SIPS;
  }

  /** RFC 5393 5.3.3: every request but CANCEL has one Max-Breadth, no larger than ours. */
  #maxBreadthOf(request: ReceivedRequest, breadth: number): number {
    const { index } = request;
    const header = index.first[HEADER_ID.MAX_BREADTH]!;
    if (header === -1 && (breadth === WHOLE_BREADTH || breadth === this.#maxBreadth)) {
      return index.method === METHODS.CANCEL ? EXTRA.NONE : EXTRA.MAX_BREADTH;
    }
    const isRepeated = (index.repeated & (1 << HEADER_ID.MAX_BREADTH)) !== 0;
    const received = maxBreadthOf(this.#arena.bytes, request, this.#maxBreadth);
    const isRight = breadth === WHOLE_BREADTH || breadth === received;
    if (isRight && !isRepeated && received <= this.#maxBreadth) return EXTRA.NONE;
    this.#editMaxBreadth(request, breadth === WHOLE_BREADTH ? Math.min(received, this.#maxBreadth) : breadth);
    return EXTRA.NONE;
  }

  /** Cold. */
  #editMaxBreadth(request: ReceivedRequest, breadth: number): void {
    const { index } = request;
    const outbound = this.#outbound;
    const from = outbound.cursor;
    outbound.put(MAX_BREADTH);
    outbound.putDecimal(breadth);
    outbound.put(CRLF);
    this.#edits.insert(index.lineStart(index.first[HEADER_ID.VIA]!), from, outbound.cursor);
    for (let header = index.first[HEADER_ID.MAX_BREADTH]!; header !== -1; header = index.next(header)) {
      this.#edits.remove(index.lineStart(header), index.lineEnd(header));
    }
  }

  /** Step 3. */
  #editMaxForwards(request: ReceivedRequest): void {
    const { index, maxForwardsHeader: header } = request;
    const outbound = this.#outbound;
    const from = outbound.cursor;
    if (header !== -1) {
      outbound.putDecimal(request.maxForwards - 1);
      this.#edits.replace(index.valueStart(header), index.valueEnd(header), from, outbound.cursor);
      return;
    }
    outbound.put(MAX_FORWARDS);
    outbound.putDecimal(this.#maxForwards);
    outbound.put(CRLF);
    this.#edits.insert(index.lineStart(index.first[HEADER_ID.VIA]!), from, outbound.cursor);
  }

  /** Section 16.4 and step 6: values popped at the front, one cut off at the end, for a strict next hop the target added as
   *  the last. */
  #editRoutes(request: ReceivedRequest, isNextHopStrict: boolean): void {
    const { index } = request;
    const edits = this.#edits;
    let hasReached = false;
    let last = -1;
    for (let header = index.first[HEADER_ID.ROUTE]!; header !== -1; header = index.next(header)) {
      last = header;
      const start = index.valueStart(header);
      if (header === request.routeHeader) hasReached = true;
      const end = endOfRoutes(request, header);
      const from = header === request.routeHeader ? request.routeStart : start;
      if (!hasReached || from >= end) {
        edits.remove(index.lineStart(header), index.lineEnd(header));
        continue;
      }
      if (from > start) edits.remove(start, from);
      if (end < index.valueEnd(header)) edits.remove(end, index.valueEnd(header));
    }
    if (!isNextHopStrict) return;
    const outbound = this.#outbound;
    const from = outbound.cursor;
    outbound.put(ROUTE);
    this.#putRequestUri(request.uri, request.isMaddrStripped);
    outbound.put(ROUTE_END);
    edits.insert(index.lineEnd(last), from, outbound.cursor);
  }

  /** A URI as it may stand in a Request-URI: without headers and a method parameter (step 2, table 1 of section 19.1.1)
   *  and, where section 16.4 says so, without its maddr, its transport and a port that is not the default. Cold. */
  #putRequestUri(uri: UriView, isMaddrStripped: boolean): void {
    const { bytes } = this.#arena;
    const outbound = this.#outbound;
    const end = uri.headersStart === -1 ? uri.end : uri.headersStart - 1;
    const paramsStart = uri.paramsStart === -1 ? end : uri.paramsStart;
    const isPortStripped = isMaddrStripped && uri.port !== defaultPortOf(transportAskedBy(uri));
    outbound.putCopy(uri.start, isPortStripped ? uri.hostEnd : paramsStart);
    for (let start = paramsStart; start < end; ) {
      let next = start + 1;
      while (next < end && bytes[next] !== SEMICOLON) next++;
      const isMethod = start + METHOD.length === uri.methodStart;
      const isMaddr = start + MADDR.length === uri.maddrStart;
      const isStripped = isMethod || (isMaddrStripped && (isMaddr || isTransport(bytes, start + 1)));
      if (!isStripped) outbound.putCopy(start, next);
      start = next;
    }
  }
}

/** The breadth a request came with; `otherwise` where it says none. It may be larger than what is allowed, and what is no
 *  number of nine digits at most counts as such, so that it is overwritten. */
export function maxBreadthOf(
  bytes: Uint8Array<SharedArrayBuffer>,
  request: ReceivedRequest,
  otherwise: number,
): number {
  const { index } = request;
  const header = index.first[HEADER_ID.MAX_BREADTH]!;
  if (header === -1) return otherwise;
  const start = index.valueStart(header);
  const end = index.valueEnd(header);
  if (end === start || end - start > 9) return TOO_BROAD;
  let breadth = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return TOO_BROAD;
    breadth = breadth * 10 + digit;
  }
  return breadth;
}

/** "tran" in any case: no other parameter of RFC 3261 begins so. */
function isTransport(bytes: Uint8Array<SharedArrayBuffer>, at: number): boolean {
  return (
    (bytes[at]! | 0x20) === 0x74 &&
    (bytes[at + 1]! | 0x20) === 0x72 &&
    (bytes[at + 2]! | 0x20) === 0x61 &&
    (bytes[at + 3]! | 0x20) === 0x6e
  );
}
