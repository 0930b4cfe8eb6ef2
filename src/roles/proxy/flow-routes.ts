/** Path and Record-Route URIs that name the flow to a client (RFC 5626 5.1, 5.3): an edge proxy's way back to who cannot be reached
 *  by his contact. Runs on the shard. Hot only in `sidesOf` of a client that is where its Via says; allocates nothing. */

import { ascii, literal } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { isWord, skipLws } from '../../sip/lexis.ts';
import type { MessageEdits } from '../../sip/message-edits.ts';
import { METHOD } from '../../sip/methods.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { ParamView, readParam } from '../../sip/params.ts';
import { isReliable, isWebSocket } from '../../sip/transport.ts';
import { parseUri, UriView } from '../../sip/uri.ts';
import type { BoundSocket } from '../bound-socket.ts';
import type { DialogTokens } from '../dialog-tokens.ts';
import type { FlowTokens } from '../flow-tokens.ts';
import type { ReceivedRequest } from '../received-request.ts';
import type { ViaMarker } from '../via-marker.ts';
import type { KnownTemplate, OwnUri } from './via-templates.ts';

/** Sides of a dialog whose Record-Route has to name a flow. */
export const SIDE = { NONE: 0, CALLER: 1, CALLEE: 2 } as const;

const RECORD_ROUTE = literal('Record-Route: <');
const PATH = literal('Path: <');
const AT = literal('@');
const END = literal('>\r\n');
const OB_END = literal(';ob>\r\n');
const OB = ascii(';ob');
const REG_ID = ascii('reg-id');

export class FlowRoutes {
  readonly #arena: Arena;
  readonly #sockets: readonly BoundSocket[];
  readonly #tokens: FlowTokens;
  /** null: Record-Routes do not say which dialog they are of. */
  readonly #dialogs: DialogTokens | null;
  readonly #marker: ViaMarker;
  readonly #outbound: Outbound;
  readonly #edits: MessageEdits;
  readonly #contact = new NameAddrView();
  readonly #uri = new UriView();
  readonly #param = new ParamView();

  constructor(
    arena: Arena,
    sockets: readonly BoundSocket[],
    tokens: FlowTokens,
    dialogs: DialogTokens | null,
    marker: ViaMarker,
    outbound: Outbound,
    edits: MessageEdits,
  ) {
    this.#arena = arena;
    this.#sockets = sockets;
    this.#tokens = tokens;
    this.#dialogs = dialogs;
    this.#marker = marker;
    this.#outbound = outbound;
    this.#edits = edits;
  }

  /** Which sides of the dialog that a request may begin are reached by a flow alone: SIDE bits. The callee's where the request leaves by one
   *  (5.3.1); the caller's where he says so by `ob` (5.3.2), or is not where his Via and his contact say. */
  sidesOf(request: ReceivedRequest): number {
    const callee = request.flow !== 0 || request.hasFlowRoute ? SIDE.CALLEE : SIDE.NONE;
    return this.#isCallerByFlow(request) ? callee | SIDE.CALLER : callee;
  }

  /** Whether a Record-Route is that of its template: it is the same for all dialogs. */
  isPlain(sides: number): boolean {
    return sides === SIDE.NONE && this.#dialogs === null;
  }

  /** Adds the Record-Routes: one for each side, that of the callee on top (RFC 5658), or one for both where they are the same. */
  addRecordRoutes(request: ReceivedRequest, template: KnownTemplate, sides: number, at: number): void {
    const outbound = this.#outbound;
    const from = outbound.cursor;
    outbound.put(RECORD_ROUTE);
    outbound.put(template.egressUri.scheme);
    if ((sides & SIDE.CALLEE) !== 0) this.#putCalleeToken(request);
    outbound.put(template.egressUri.place);
    this.#dialogs?.put(outbound, request.index);
    outbound.put(END);
    if (sides !== SIDE.NONE || !template.isOneSide) {
      outbound.put(RECORD_ROUTE);
      if ((sides & SIDE.CALLER) !== 0) this.#putWithSource(request, template.ingressUri);
      else {
        outbound.put(template.ingressUri.scheme);
        outbound.put(template.ingressUri.place);
      }
      this.#dialogs?.put(outbound, request.index);
      outbound.put(END);
    }
    this.#edits.insert(at, from, outbound.cursor);
  }

  /** 5.1: a REGISTER with a reg-id that comes from the client itself gets a Path back to it, in front of all others. */
  addPath(request: ReceivedRequest, template: KnownTemplate, at: number): void {
    if (request.index.method !== METHOD.REGISTER || !isFirstHop(request) || !this.#hasRegId(request)) return;
    const outbound = this.#outbound;
    const from = outbound.cursor;
    outbound.put(PATH);
    // Where the registrar reaches us, and from us on by which way the client came.
    this.#putWithSource(request, template.egressUri);
    outbound.put(OB_END);
    this.#edits.insert(at, from, outbound.cursor);
  }

  #putWithSource(request: ReceivedRequest, uri: OwnUri): void {
    const outbound = this.#outbound;
    outbound.put(uri.scheme);
    this.#tokens.put(outbound, this.#arena.words, request.slotWord + SLOT.SOCKET_WORD);
    outbound.put(AT);
    outbound.put(uri.place);
  }

  #putCalleeToken(request: ReceivedRequest): void {
    const outbound = this.#outbound;
    if (request.hasFlowRoute) this.#tokens.put(outbound, request.flowRoute, 0);
    else this.#tokens.put(outbound, this.#arena.words, (request.flow >> 2) + SLOT.SOCKET_WORD);
    outbound.put(AT);
  }

  #isCallerByFlow(request: ReceivedRequest): boolean {
    const { words, bytes } = this.#arena;
    const { topVia: via, slotWord } = request;
    const { transport } = this.#sockets[words[slotWord + SLOT.SOCKET_WORD]!]!;
    // Whatever comes by a WebSocket is reached by that one or not at all.
    if (isWebSocket(transport)) return true;
    const isStream = isReliable(transport);
    const isAtSource = this.#marker.isSource(via, slotWord);
    // Most callers by UDP are, and their contact is not even looked for.
    if ((isAtSource && !isStream) || !isFirstHop(request) || !this.#readContact(request)) return false;
    const uri = this.#uri;
    if (parseUri(bytes, this.#contact.uriStart, this.#contact.uriEnd, uri) < 0) return false;
    return this.#isOutbound(uri) || (!isAtSource && this.#isSameHost(request, uri));
  }

  /** A contact that is at another place than the Via is taken at its word. */
  #isSameHost({ topVia: via }: ReceivedRequest, uri: UriView): boolean {
    const { bytes } = this.#arena;
    const length = via.hostEnd - via.hostStart;
    if (uri.hostEnd - uri.hostStart !== length) return false;
    for (let i = 0; i < length; i++) {
      if ((bytes[via.hostStart + i]! | 0x20) !== (bytes[uri.hostStart + i]! | 0x20)) return false;
    }
    return true;
  }

  #isOutbound(uri: UriView): boolean {
    for (let at = uri.paramsStart; at !== -1 && at + OB.length <= uri.paramsEnd; at++) {
      const end = at + OB.length;
      const isWhole = end === uri.paramsEnd || this.#arena.bytes[end] === OB[0];
      if (isWhole && isWord(this.#arena.bytes, at, end, OB)) return true;
    }
    return false;
  }

  #hasRegId(request: ReceivedRequest): boolean {
    const { bytes } = this.#arena;
    const param = this.#param;
    if (!this.#readContact(request)) return false;
    const { paramsStart, paramsEnd } = this.#contact;
    for (let at = paramsStart; at !== -1 && at < paramsEnd; ) {
      const next = readParam(bytes, skipLws(bytes, at + 1, paramsEnd), paramsEnd, param);
      if (next < 0) return false;
      if (isWord(bytes, param.nameStart, param.nameEnd, REG_ID)) return true;
      at = next;
    }
    return false;
  }

  #readContact({ index }: ReceivedRequest): boolean {
    const { bytes } = this.#arena;
    const header = index.find(bytes, HEADER_ID.CONTACT);
    if (header === -1) return false;
    return parseNameAddr(bytes, index.valueStart(header), index.valueEnd(header), this.#contact) >= 0;
  }
}

/** The Via says that the request comes from the client itself. */
function isFirstHop({ index, topVia }: ReceivedRequest): boolean {
  const via = index.first[HEADER_ID.VIA]!;
  return index.next(via) === -1 && topVia.end >= index.valueEnd(via);
}
