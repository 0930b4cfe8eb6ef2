/** Responses of this server's own (RFC 3261 8.2.6, 8.2.7): status line, Vias, From, To with a tag, Call-ID and CSeq of the
 *  request as spans of the request itself. Nothing is kept here: made again, a response is the same. Runs on the shard. Hot for
 *  redirect servers and registrars; allocates nothing. */

import { ascii, Literal, literal } from '../base/ascii.ts';
import { TOKEN } from '../base/char-class.ts';
import type { Arena } from '../memory/arena.ts';
import { SLOT } from '../memory/layout.ts';
import { isHex, readHex } from '../sip/branch.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import type { MessageEdits } from '../sip/message-edits.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import { METHOD } from '../sip/methods.ts';
import { NameAddrView, parseNameAddr } from '../sip/name-addr.ts';
import type { Outbound } from '../sip/outbound.ts';
import { defaultPortOf, isReliable } from '../sip/transport.ts';
import { RPORT_ABSENT } from '../sip/via.ts';
import type { AnswerLog } from './answer-log.ts';
import type { BoundSocket } from './bound-socket.ts';
import type { Destination } from './destination.ts';
import { FOUND } from './ports.ts';
import type { ReceivedRequest } from './received-request.ts';
import type { Rejection } from './rejection.ts';
import type { ViaMarker } from './via-marker.ts';

const CRLF = literal('\r\n');
const OK = literal('SIP/2.0 200 OK\r\n');
/** Section 11.2: what we accept ourselves. Allow is left out, being ambiguous from a proxy. */
const CAPABILITIES = literal('Accept: */*\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\nSupported: \r\n');
const RETRY_AFTER = literal('Retry-After: 5\r\n');
const UNSUPPORTED = ascii('Unsupported: ');
const TAG_DIGITS = 16;
const TRYING = literal('SIP/2.0 100 Trying\r\n');
const TIMESTAMP = ascii('timestamp');
const NO_HEADERS = literal('');
const TAG = literal(';tag=');
const NO_BODY = 'Content-Length: 0\r\n\r\n';
const CONTENT_LENGTH_0 = literal(NO_BODY);
const CR = 0x0d;
const LF = 0x0a;

export class Responder {
  readonly #arena: Arena;
  readonly #outbound: Outbound;
  readonly #edits: MessageEdits;
  readonly #marker: ViaMarker;
  readonly #destination: Destination;
  readonly #sockets: readonly BoundSocket[];
  readonly #server: Literal;
  /** What ends a response without headers of its own. */
  readonly #trailer: Literal;
  readonly #to = new NameAddrView();
  /** null: nobody wants to know whom we turn away. */
  readonly answerLog: AnswerLog | null;

  /** `server`: value of the Server header, '' for none. */
  constructor(
    arena: Arena,
    outbound: Outbound,
    edits: MessageEdits,
    marker: ViaMarker,
    destination: Destination,
    sockets: readonly BoundSocket[],
    server: string,
    answerLog: AnswerLog | null = null,
  ) {
    this.answerLog = answerLog;
    this.#arena = arena;
    this.#outbound = outbound;
    this.#edits = edits;
    this.#marker = marker;
    this.#destination = destination;
    this.#sockets = sockets;
    const line = server === '' ? '' : `Server: ${server}\r\n`;
    this.#server = literal(line);
    this.#trailer = literal(`${line}${NO_BODY}`);
  }

  /** Answers a request whose top Via could be read. `headers`: whole lines of our own, or an empty array. */
  respond(request: ReceivedRequest, statusLine: Literal, headers: Literal): void {
    this.begin(request, statusLine);
    this.#finish(headers);
    this.#commit(request);
  }

  /** Begins an answer whose own headers the caller appends to `outbound`; `end` follows. */
  begin(request: ReceivedRequest, statusLine: Literal): void {
    this.#outbound.begin();
    this.#outbound.keepText(statusLine);
    this.#keepVias(request);
    this.#keepNames(request);
  }

  /** Ends and sends what `begin` began. */
  end(request: ReceivedRequest): void {
    this.#outbound.keepText(this.#trailer);
    this.#commit(request);
  }

  /** Answers with a rejection: a 420 names what is not supported (section 20.40), a 503 says when to come again. */
  reject(request: ReceivedRequest, rejection: Rejection): void {
    this.answerLog?.note(request, rejection);
    const headers =
      rejection.status === 420
        ? this.#unsupported(request.index, HEADER_ID.PROXY_REQUIRE)
        : rejection.status === 503
          ? RETRY_AFTER
          : rejection.headers;
    this.respond(request, rejection.statusLine, headers);
  }

  /** Answers an OPTIONS for ourselves (section 11.2): 200 with what we can do. */
  describe(request: ReceivedRequest): void {
    this.respond(request, OK, CAPABILITIES);
  }

  /** Answers a request to ourselves that requires what we cannot (8.2.2.3). */
  rejectRequire(request: ReceivedRequest, rejection: Rejection): void {
    this.respond(request, rejection.statusLine, this.#unsupported(request.index, HEADER_ID.REQUIRE));
  }

  /** 200 to a CANCEL (section 9.2). */
  accept(request: ReceivedRequest): void {
    this.respond(request, OK, NO_HEADERS);
  }

  /** True if the request is part of a dialog, or answers a response. */
  hasToTag(request: ReceivedRequest): boolean {
    const { index } = request;
    const header = index.first[HEADER_ID.TO]!;
    if (header === -1) return false;
    const isRead = parseNameAddr(this.#arena.bytes, index.valueStart(header), index.valueEnd(header), this.#to) >= 0;
    return isRead && this.#to.tagStart !== -1;
  }

  /** True if the To tag of a request is one that `respond` gave in the same transaction: an ACK to our own response. */
  isOwnTag(request: ReceivedRequest): boolean {
    const { transaction } = request;
    const { bytes } = this.#arena;
    const to = this.#to;
    if (!this.hasToTag(request) || to.tagEnd - to.tagStart !== TAG_DIGITS || !isHex(bytes, to.tagStart, to.tagEnd))
      return false;
    const half = to.tagStart + TAG_DIGITS / 2;
    return (
      readHex(bytes, to.tagStart, half) === transaction.high && readHex(bytes, half, to.tagEnd) === transaction.low
    );
  }

  /** Unsupported with every option-tag of every Require or Proxy-Require (section 20.40): none is known here. Cold. */
  #unsupported(index: MessageIndex, id: number): Literal {
    const { bytes } = this.#arena;
    const values: Uint8Array[] = [];
    for (let header = index.first[id]!; header !== -1; header = index.next(header)) {
      if (index.valueEnd(header) === index.valueStart(header)) continue;
      if (values.length > 0) values.push(ascii(', '));
      values.push(bytes.slice(index.valueStart(header), index.valueEnd(header)));
    }
    return new Literal(Uint8Array.from([UNSUPPORTED, ...values, ascii('\r\n')].flatMap((part) => [...part])));
  }

  /** Says 100 to a request (sections 8.2.6.1, 16.2): without a tag in To, with the Timestamp it came with. */
  respondTrying(request: ReceivedRequest): void {
    const { index } = request;
    const outbound = this.#outbound;
    outbound.begin();
    outbound.keepText(TRYING);
    this.#keepVias(request);
    this.#keepLine(index, index.first[HEADER_ID.FROM]!);
    this.#keepLine(index, index.first[HEADER_ID.TO]!);
    this.#keepLine(index, index.first[HEADER_ID.CALL_ID]!);
    this.#keepLine(index, index.first[HEADER_ID.CSEQ]!);
    const timestamp = findTimestamp(this.#arena.bytes, index);
    if (timestamp !== -1) this.#keepLine(index, timestamp);
    outbound.keepText(this.#trailer);
    this.address(request);
    outbound.commit(0);
  }

  /** Answers a request whose top Via is broken: every Via as it is, to where the datagram came from. */
  respondToSource(request: ReceivedRequest, statusLine: Literal): void {
    const { index, slotWord } = request;
    this.#outbound.begin();
    this.#outbound.keepText(statusLine);
    for (let via = index.first[HEADER_ID.VIA]!; via !== -1; via = index.next(via)) this.#keepLine(index, via);
    this.#keepNames(request);
    this.#finish(NO_HEADERS);
    this.#outbound.toSource(slotWord, this.#arena.words[slotWord + SLOT.PORT_WORD]!);
    this.#outbound.commit(0);
  }

  /** What is answered once and for all has nothing to do with the order of other answers. */
  #commit(request: ReceivedRequest): void {
    const { method } = request.index;
    this.address(request);
    if (method !== METHOD.INVITE && method !== METHOD.CANCEL) this.#outbound.inAnyOrder();
    this.#outbound.commit(0);
  }

  /** From, To, Call-ID and CSeq (section 8.2.6.2). */
  #keepNames(request: ReceivedRequest): void {
    const { index } = request;
    this.#keepLine(index, index.first[HEADER_ID.FROM]!);
    this.#keepTo(request);
    this.#keepLine(index, index.first[HEADER_ID.CALL_ID]!);
    this.#keepLine(index, index.first[HEADER_ID.CSEQ]!);
  }

  #finish(headers: Literal): void {
    const outbound = this.#outbound;
    const from = outbound.cursor;
    outbound.put(headers);
    outbound.put(this.#server);
    outbound.put(CONTENT_LENGTH_0);
    outbound.keep(from, outbound.cursor);
  }

  /** All Via lines in their order, the first with its marks (section 8.2.6.2). */
  #keepVias(request: ReceivedRequest): void {
    const { index } = request;
    const top = index.first[HEADER_ID.VIA]!;
    this.#edits.clear();
    if (index.hasLoneLineFeed) {
      for (let via = top; via !== -1; via = index.next(via)) this.#keepLine(index, via);
      return;
    }
    this.#marker.mark(request.topVia, request.slotWord, this.#edits);
    this.#edits.apply(this.#outbound, index.lineStart(top), index.valueEnd(top));
    this.#keepLineEnd(index, top);
    for (let via = index.next(top); via !== -1; via = index.next(via)) this.#keepLine(index, via);
  }

  /** To with a tag: the request's, or one that is the same for every retransmission (section 8.2.7). */
  #keepTo(request: ReceivedRequest): void {
    const { index } = request;
    const header = index.first[HEADER_ID.TO]!;
    if (header === -1) return;
    const outbound = this.#outbound;
    const isTagged = request.isSound ? request.to.tagStart !== -1 : !this.#lacksTag(index, header);
    this.#keepValue(index, header);
    if (!isTagged) {
      const from = outbound.cursor;
      outbound.put(TAG);
      outbound.putHex(request.transaction.high);
      outbound.putHex(request.transaction.low);
      outbound.keep(from, outbound.cursor);
    }
    this.#keepLineEnd(index, header);
  }

  /** Of a request that was refused for its syntax, or before that was checked. What cannot be read gets no tag. Cold. */
  #lacksTag(index: MessageIndex, header: number): boolean {
    const start = index.valueStart(header);
    const end = index.valueEnd(header);
    return parseNameAddr(this.#arena.bytes, start, end, this.#to) >= 0 && this.#to.tagStart === -1;
  }

  #keepLine(index: MessageIndex, header: number): void {
    if (header === -1) return;
    this.#keepValue(index, header);
    this.#keepLineEnd(index, header);
  }

  /** A header up to the end of its value. A request refused for a line that ends in LF alone may have one in a fold: it is
   *  not repeated. */
  #keepValue(index: MessageIndex, header: number): void {
    const { bytes } = this.#arena;
    const end = index.valueEnd(header);
    let from = index.lineStart(header);
    for (let at = from; index.hasLoneLineFeed && at < end; at++) {
      if (bytes[at] !== LF || bytes[at - 1] === CR) continue;
      this.#outbound.keep(from, at);
      this.#outbound.keepText(CRLF);
      from = at + 1;
    }
    this.#outbound.keep(from, end);
  }

  /** The line's own CRLF where it has one, else ours. */
  #keepLineEnd(index: MessageIndex, header: number): void {
    const end = index.valueEnd(header);
    const { bytes } = this.#arena;
    const isPlain = index.lineEnd(header) === end + 2 && bytes[end] === CR && bytes[end + 1] === LF;
    if (isPlain) this.#outbound.keep(end, end + 2);
    else this.#outbound.keepText(CRLF);
  }

  /** Section 18.2.2 and RFC 3581 section 4. Over UDP to the maddr, else to the source; to its port if rport was asked for, else to
   *  that of the sent-by. Over a stream by the connection of the request, or a new one to the source and the sent-by's port.
   *  From the socket and address at which the request arrived. Of the message begun.
   *
   *  Departs from RFC 3261 18.2.2, a source that takes no new connection either: the name in the sent-by is not looked up then. Anybody
   *  could so have this server connect to whom it can reach and send there a text of his own.
   *
   *  Departs from RFC 3261 18.2.2, a response over UDP that an ICMP error comes back for: it is not sent to another server of the sent-by's
   *  name either (RFC 3263 5). ICMP says that nobody is at a place, not which response was meant, and there is another place only
   *  where the sent-by is a name with several servers. A client that lives sends its request again, and its response goes to where
   *  that came from; the response to an INVITE is sent again without it. */
  address(request: ReceivedRequest): void {
    const { topVia: via, slotWord } = request;
    const { words } = this.#arena;
    const outbound = this.#outbound;
    const destination = this.#destination;
    const ingress = words[slotWord + SLOT.SOCKET_WORD]!;
    const { transport } = this.#sockets[ingress]!;
    const sentByPort = via.port === -1 ? defaultPortOf(transport) : via.port;
    if (isReliable(transport)) {
      outbound.toSource(slotWord, sentByPort);
      return;
    }
    const { maddrStart, maddrEnd } = via;
    if (maddrStart !== -1 && destination.find(maddrStart, maddrEnd, sentByPort, transport, 0) === FOUND) {
      const socket = destination.socketFrom(ingress);
      const { family, port, a0, a1, a2, a3, scope } = destination;
      outbound.to(socket === -1 ? ingress : socket, family, port, a0, a1, a2, a3, scope);
      return;
    }
    const isSymmetric = via.rport !== RPORT_ABSENT;
    outbound.toSource(slotWord, isSymmetric ? words[slotWord + SLOT.PORT_WORD]! : sentByPort);
  }
}

/** The Timestamp header, −1 without one: looked for by itself, since telling all headers by name for it would cost every call
 *  more than all else in its 100. */
function findTimestamp(bytes: Uint8Array<SharedArrayBuffer>, index: MessageIndex): number {
  for (let header = 0; header < index.headerCount; header++) {
    const line = index.lineStart(header);
    if ((bytes[line]! | 0x20) !== TIMESTAMP[0]) continue;
    let at = 1;
    while (at < TIMESTAMP.length && (bytes[line + at]! | 0x20) === TIMESTAMP[at]) at++;
    if (at === TIMESTAMP.length && TOKEN[bytes[line + at]!] !== 1) return header;
  }
  return -1;
}
