/** Route information preprocessing (RFC 3261 16.4): a strict router before us is repaired, a maddr that is ours is taken
 *  out of the Request-URI, Route values that are ours are popped. Nothing is edited here: the request notes what counts
 *  from now on, and request-forwarding.ts makes the edits. Runs on the shard. Hot, allocates nothing. */

import { HEADER_ID } from '../../sip/header-table.ts';
import { skipLws } from '../../sip/lexis.ts';
import { nextComma } from '../../sip/list.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import { parseUri, SCHEME, transportAskedBy, UriView } from '../../sip/uri.ts';
import type { DialogTokens } from '../dialog-tokens.ts';
import { type FlowTokens, TOKEN } from '../flow-tokens.ts';
import { FOREIGN, type OwnAddresses } from '../own-addresses.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { REJECT, type Rejection } from '../rejection.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const nameAddr = new NameAddrView();
const routeUri = new UriView();

/** Section 16.4. Fills the routing part of the request, whose `uri` holds the received Request-URI. `dialogs`: null: nobody wants to know
 *  whether our Route is of its dialog. */
export function preprocessRoute(
  bytes: Bytes,
  request: ReceivedRequest,
  own: OwnAddresses,
  tokens: FlowTokens,
  dialogs: DialogTokens | null,
): Rejection | null {
  const { index, uri } = request;
  const route = index.first[HEADER_ID.ROUTE]!;
  if (route === -1) {
    if (uri.maddrStart !== -1) stripOwnMaddr(request, own);
    return null;
  }
  request.routeHeader = route;
  request.routeStart = index.valueStart(route);
  if (uri.isLoose && uri.userStart === -1 && own.isOwnAddress(uri, uri.port, transportAskedBy(uri), request.slotWord)) {
    if (dialogs !== null) request.isOfOwnDialog = dialogs.isIn(uri, index);
    const rejection = repairStrictRoute(bytes, request);
    if (rejection !== null) return rejection;
  }
  if (uri.maddrStart !== -1) stripOwnMaddr(request, own);
  // The text asks for the first value. A second one that is ours too would only be sent to ourselves and popped there.
  while (request.routeHeader !== -1) {
    if (!readRoute(bytes, request, routeUri)) return REJECT.malformedRoute;
    if (routeUri.scheme > SCHEME.SIPS || !isForUs(request, own)) return null;
    request.hadOwnRoute = true;
    if (dialogs !== null && !request.isOfOwnDialog) request.isOfOwnDialog = dialogs.isIn(routeUri, index);
    const refusal = routeUri.userStart === -1 ? null : readToken(request, tokens);
    if (refusal !== null) return refusal;
    popRoute(bytes, request);
  }
  return null;
}

/** Whether the Route value in hand leads here: with a maddr it leads there, whatever its host (19.1.1). */
function isForUs({ slotWord }: ReceivedRequest, own: OwnAddresses): boolean {
  if (routeUri.maddrStart !== -1) return own.isMaddrOurs(routeUri, slotWord);
  return own.domainOf(routeUri, routeUri.port, transportAskedBy(routeUri), slotWord) !== FOREIGN;
}

/** RFC 5626 5.3: whether the Route value in hand names a flow. Of a request that comes by that flow it says nothing more. */
function readToken(request: ReceivedRequest, tokens: FlowTokens): Rejection | null {
  switch (tokens.read(routeUri.userStart, routeUri.userEnd)) {
    case TOKEN.FORGED:
      return REJECT.flowForged;
    case TOKEN.GONE:
      return REJECT.flowFailed;
    case TOKEN.VALID:
      if (tokens.isSource(request.slotWord)) return null;
      request.hasFlowRoute = true;
      request.flowRoute.set(tokens.route);
      return null;
    default:
      return null;
  }
}

/** Reads the first Route value that is left. False: it is malformed. */
export function readRoute(bytes: Bytes, request: ReceivedRequest, uri: UriView): boolean {
  const end = endOfRoutes(request, request.routeHeader);
  if (parseNameAddr(bytes, request.routeStart, end, nameAddr) < 0) return false;
  return parseUri(bytes, nameAddr.uriStart, nameAddr.uriEnd, uri) >= 0;
}

/** Takes off the first Route value that is left. */
export function popRoute(bytes: Bytes, request: ReceivedRequest): void {
  const { index } = request;
  const end = endOfRoutes(request, request.routeHeader);
  const comma = nextComma(bytes, request.routeStart, end);
  if (comma < end) {
    request.routeStart = skipLws(bytes, comma + 1, end);
    return;
  }
  if (request.routeHeader === request.cutHeader) {
    request.routeHeader = -1;
    return;
  }
  const next = index.next(request.routeHeader);
  const isCutAway = next === request.cutHeader && next !== -1 && request.cutStart === index.valueStart(next);
  request.routeHeader = isCutAway ? -1 : next;
  if (request.routeHeader !== -1) request.routeStart = index.valueStart(next);
}

/** Where the values of a Route header end that are still Route values. */
export function endOfRoutes(request: ReceivedRequest, header: number): number {
  return header === request.cutHeader ? request.cutStart : request.index.valueEnd(header);
}

/** A strict router has put our Record-Route value into the Request-URI and the real one last into the Route. */
function repairStrictRoute(bytes: Bytes, request: ReceivedRequest): Rejection | null {
  const { index, uri } = request;
  let last = request.routeHeader;
  for (let next = index.next(last); next !== -1; next = index.next(next)) last = next;
  const end = index.valueEnd(last);
  let start = index.valueStart(last);
  let cut = start;
  for (let comma = nextComma(bytes, start, end); comma < end; comma = nextComma(bytes, start, end)) {
    cut = comma;
    start = skipLws(bytes, comma + 1, end);
  }
  if (parseNameAddr(bytes, start, end, nameAddr) < 0 || nameAddr.end !== end) return REJECT.malformedRoute;
  if (parseUri(bytes, nameAddr.uriStart, nameAddr.uriEnd, uri) < 0) return REJECT.malformedRoute;
  request.hadOwnRoute = true;
  request.cutHeader = last;
  request.cutStart = cut;
  if (cut === index.valueStart(last) && last === request.routeHeader) request.routeHeader = -1;
  return null;
}

/** A maddr that names us, on the port and transport the request came by, says nothing more: it goes, and so do a port that
 *  is not the default and the transport. */
function stripOwnMaddr(request: ReceivedRequest, own: OwnAddresses): void {
  request.isMaddrStripped = own.isOwnMaddr(request.uri, request.slotWord);
}
