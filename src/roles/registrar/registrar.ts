/** The registrar (RFC 3261 10.3): its steps in their order. Runs on the shard. Hot: once per REGISTER, allocates nothing for one
 *  that is in order.
 *
 *  It keeps no transaction: each binding says which request wrote it and when, so a REGISTER that comes again is known and gets the
 *  answer that it got (8.2.7, 17.2.2), unless another has changed the bindings meanwhile. All changes of a request are one swap of the
 *  AoR's record, so they are made all or not at all. */

import { ascii, type Literal, literal } from '../../base/ascii.ts';
import { equalBytes } from '../../base/spans.ts';
import type { Config } from '../../config/schema.ts';
import { BindingView, NewBinding, type RecordDraft } from '../../location/bindings.ts';
import { type LocationTable, UPDATE } from '../../location/location-table.ts';
import type { FeedProducer } from '../../location/store-feed.ts';
import { BINDING_FLAG, NO_RECORD } from '../../location/table-layout.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { writeAddressOfRecordOf } from '../../sip/address-of-record.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { HOST_KIND } from '../../sip/host.ts';
import { equalInstanceIds } from '../../sip/instance-id.ts';
import { isWord } from '../../sip/lexis.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { nextToken, TokenView } from '../../sip/token-list.ts';
import { defaultPortOf, isReliable, isSecure, isWebSocket, TRANSPORT } from '../../sip/transport.ts';
import { parseUri, SCHEME, transportAskedBy, URI_ERROR, UriView } from '../../sip/uri.ts';
import { equalUris } from '../../sip/uri-equality.ts';
import { RPORT_ABSENT } from '../../sip/via.ts';
import type { Authentication } from '../authentication.ts';
import type { BoundSocket } from '../bound-socket.ts';
import { isUndecodable } from '../content-encoding.ts';
import { unsupportedOf } from '../option-tags.ts';
import { FOREIGN, type OwnAddresses } from '../own-addresses.ts';
import type { ElementClock } from '../ports.ts';
import { USER, type Users } from '../proxy/users.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { RECENT, type RecentRequests } from '../recent-requests.ts';
import { REJECT, type Rejection } from '../rejection.ts';
import type { Responder } from '../responder.ts';
import type { ViaMarker } from '../via-marker.ts';
import { putBindings } from './binding-list.ts';
import { CONTACTS, type RequestedContact, RequestedContacts } from './requested-contacts.ts';
import type { StoredAnswers } from './stored-answers.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

export interface RegistrarParts {
  readonly arena: Arena;
  readonly sockets: readonly BoundSocket[];
  readonly outbound: Outbound;
  readonly responder: Responder;
  readonly location: LocationTable;
  readonly own: OwnAddresses;
  readonly marker: ViaMarker;
  readonly users: Users;
  readonly counters: Counters;
  /** Its wall clock is not set back by a restart. */
  readonly clock: ElementClock;
  readonly authentication: Authentication | null;
  readonly settings: Config['registrar'];
  /** null: bindings are in memory alone. */
  readonly feed: FeedProducer | null;
  /** null: answers do not wait for the store. */
  readonly answers: StoredAnswers | null;
  readonly recent: RecentRequests;
}

const OK = literal('SIP/2.0 200 OK\r\n');
const SUPPORTED_TAGS = ['path', 'outbound'].map(ascii);
const PATH_TAG = ascii('path');
const OUTBOUND_TAG = ascii('outbound');
const COMMA = literal(', ');
const UNSUPPORTED_PATH = literal('Unsupported: path\r\n');
const OB = ascii('ob');
const NO_HEADERS = literal('');
/** Longer ones are cut: it is for people who look at a list. */
const MAX_USER_AGENT_BYTES = 128;

export class Registrar {
  readonly #parts: RegistrarParts;
  readonly #contacts: RequestedContacts;
  readonly #view: BindingView;
  readonly #binding = new NewBinding();
  readonly #token = new TokenView();
  /** Of the To of the request in hand. */
  readonly #to = new UriView();
  readonly #pathValue = new NameAddrView();
  readonly #pathUri = new UriView();
  /** There is a secure transport. */
  readonly #hasSecure: boolean;
  readonly #minExpires: Literal;
  readonly #serviceRoutes: Literal;
  /** With the Flow-Timer of RFC 5626 6. */
  readonly #requireOutbound: Literal;
  /** "Date: …\r\n" of one second. */
  #date: Literal = NO_HEADERS;
  #dateSec = -1;
  // Of the request in hand:
  #request: ReceivedRequest | null = null;
  #nowMs = 0;
  /** All of its Path is sips; none is, too. */
  #isPathSips = true;
  /** The instance and reg-id of its contacts count (RFC 5626 6). */
  #isOutbound = false;
  /** Why `#write` said no; null: the request came again, or asks for nothing new. */
  #refusal: Rejection | null = null;
  readonly #write = (current: BindingView, next: RecordDraft): boolean => this.#decide(current, next);

  constructor(parts: RegistrarParts) {
    const { minExpiresSec, serviceRoutes, flowTimerSec } = parts.settings;
    this.#parts = parts;
    this.#contacts = new RequestedContacts(parts.arena.bytes, parts.outbound);
    this.#view = new BindingView(parts.location);
    this.#hasSecure = parts.sockets.some(({ transport }) => isSecure(transport));
    this.#minExpires = literal(`Min-Expires: ${minExpiresSec}\r\n`);
    const flowTimer = flowTimerSec === 0 ? '' : `Flow-Timer: ${flowTimerSec}\r\n`;
    this.#requireOutbound = literal(`Require: outbound\r\n${flowTimer}`);
    this.#serviceRoutes = literal(serviceRoutes.map((uri) => `Service-Route: <${uri}>\r\n`).join(''));
  }

  /** Step 2. False: answered 420. */
  checkRequire(request: ReceivedRequest): boolean {
    const { arena, responder, counters } = this.#parts;
    const unsupported = unsupportedOf(arena.bytes, request.index, SUPPORTED_TAGS);
    if (unsupported === null) return true;
    counters.count(REJECT.badExtension.counter);
    responder.respond(request, REJECT.badExtension.statusLine, unsupported);
    this.#parts.recent.refuse(request, REJECT.badExtension, this.#parts.clock.wallMs);
    return false;
  }

  /** Answers a REGISTER that was authenticated before, if it was carried out or refused then. False: it is not known any more. */
  answerAgain(request: ReceivedRequest, domain: number): boolean {
    const { arena, recent, clock } = this.#parts;
    const known = recent.find(request, clock.wallMs);
    if (known === RECENT.REFUSED) {
      this.#reject(request, recent.refusal);
      return true;
    }
    const isQuery = request.index.find(arena.bytes, HEADER_ID.CONTACT) === -1;
    if (!isQuery && known !== RECENT.REPEATED) return false;
    this.register(request, domain);
    return true;
  }

  /** Steps 4 to 8, for a REGISTER whose Request-URI is in `domain`. It is answered. */
  register(request: ReceivedRequest, domain: number): void {
    const { outbound } = this.#parts;
    this.#request = request;
    this.#isOutbound = false;
    // Opens the text area for what is put together before there is an answer.
    outbound.begin();
    const rejection = this.#register(request, domain);
    if (rejection === null) return;
    this.#reject(request, rejection);
    this.#parts.recent.refuse(request, rejection, this.#parts.clock.wallMs);
  }

  #register(request: ReceivedRequest, domain: number): Rejection | null {
    const { arena, outbound, location, feed, counters, settings } = this.#parts;
    const { index } = request;
    const { bytes } = arena;

    const to = this.#to;
    if (parseUri(bytes, request.to.uriStart, request.to.uriEnd, to) !== URI_ERROR.NONE) return REJECT.malformedTo;
    const aorStart = outbound.cursor;
    const length = writeAddressOfRecordOf(bytes, to, bytes, aorStart);
    const aorEnd = aorStart + Math.max(0, length);
    // Step 4.
    if (this.#parts.authentication?.mayRegister(aorStart, aorEnd) === false) return REJECT.forbidden;
    const refusal = this.#checkAddress(request, domain);
    if (refusal !== null) return refusal;
    outbound.putWritten(aorEnd);
    if (isUndecodable(bytes, index)) return REJECT.contentEncoding;

    this.#nowMs = this.#parts.clock.wallMs;
    const path = index.find(bytes, HEADER_ID.PATH);
    this.#isPathSips = true;
    if (path !== -1 && !this.#isPath(index, path)) return REJECT.malformedPath;
    switch (this.#contacts.read(index, settings.defaultExpiresSec)) {
      case CONTACTS.MALFORMED:
        return REJECT.malformedContact;
      case CONTACTS.BAD_STAR:
        return REJECT.badStar;
      case CONTACTS.TOO_MANY:
        return REJECT.tooManyContacts;
    }
    if (this.#contacts.count === 0 && !this.#contacts.isStar) {
      return this.#repeat(request, aorStart, aorEnd);
    }

    if (this.#isInsecure(request)) return REJECT.insecureBinding;
    const brief = this.#adjustExpiries();
    if (brief !== null) return brief;
    if (path !== -1 && !this.#supports(index, PATH_TAG)) return REJECT.badExtension;
    const outboundRefusal = this.#decideOutbound(request, path);
    if (outboundRefusal !== null) return outboundRefusal;

    const known = this.#parts.recent.find(request, this.#nowMs);
    if (known === RECENT.REPEATED) return this.#repeat(request, aorStart, aorEnd);
    if (known === RECENT.REFUSED) return this.#parts.recent.refusal;
    if (feed !== null && !feed.hasRoom(length)) return REJECT.storeBehind;
    this.#fillBinding(request, path);
    switch (location.update(aorStart, aorEnd, this.#write)) {
      case UPDATE.FULL:
        return REJECT.locationFull;
      case UPDATE.TOO_LARGE:
        return REJECT.bindingTooLarge;
      case UPDATE.UNCHANGED:
        return this.#refusal ?? this.#repeat(request, aorStart, aorEnd);
      default:
        counters.count(COUNTER.registrations_total);
        this.#parts.recent.add(request, this.#nowMs);
        feed?.add(bytes, aorStart, aorEnd);
        return this.#answer(request, location.updated);
    }
  }

  /** Step 8 where nothing was to be done, or has been done: then the answer is that of then (17.2.2), as long as what the request wrote
   *  is there, which says when that was. */
  #repeat(request: ReceivedRequest, aorStart: number, aorEnd: number): null {
    const { location, counters } = this.#parts;
    counters.count(COUNTER.registration_queries_total);
    const record = location.lookup(aorStart, aorEnd);
    const view = this.#view;
    for (view.open(record); view.next(); ) if (this.#isWriter(request, view)) this.#nowMs = view.updatedMs;
    return this.#answer(request, record);
  }

  /** Step 5: the address-of-record is one of the domain in the Request-URI, and of a user that there is. */
  #checkAddress(request: ReceivedRequest, domain: number): Rejection | null {
    const { arena, users } = this.#parts;
    const to = this.#to;
    // 10.2: the To is a SIP or SIPS URI (RFC 4475 3.3.4).
    if (to.scheme > SCHEME.SIPS) return REJECT.malformedTo;
    if (to.userStart === -1) return REJECT.wrongDomain;
    if (!this.#isInDomain(to, request, domain)) return REJECT.wrongDomain;
    // Who has proved that he is this user exists.
    if (this.#parts.authentication?.isVerified === true) return null;
    return users.find(domain, arena.bytes, to.userStart, to.userEnd) === USER.UNKNOWN ? REJECT.noSuchUser : null;
  }

  /** Without a configured domain, the one that the Request-URI names; there an address means the same with and without the port
   *  that we listen on. */
  #isInDomain(to: UriView, { uri, isMaddrStripped, slotWord }: ReceivedRequest, domain: number): boolean {
    const { arena, own } = this.#parts;
    const isSameHost = equalIgnoringCase(arena.bytes, to.hostStart, to.hostEnd, uri.hostStart, uri.hostEnd);
    if (domain < 0 && isSameHost) return true;
    if (domain === FOREIGN) return false;
    const transport = transportAskedBy(to);
    // The domain is that of the Request-URI: nearly always it is written the same way.
    const isSame = isSameHost && to.port === uri.port && transport === transportAskedBy(uri) && !isMaddrStripped;
    return isSame || own.domainOf(to, to.port, transport, slotWord) === domain;
  }

  /** Step 7: too short ones are refused, but none of an hour or more; too long ones are shortened. */
  #adjustExpiries(): Rejection | null {
    const { minExpiresSec, maxExpiresSec } = this.#parts.settings;
    for (let i = 0; i < this.#contacts.count; i++) {
      const contact = this.#contacts.at(i);
      if (contact.expiresSec > 0 && contact.expiresSec < minExpiresSec) return REJECT.intervalTooBrief;
      if (contact.expiresSec > maxExpiresSec) contact.expiresSec = maxExpiresSec;
    }
    return null;
  }

  /** RFC 5630 5.2: a sips contact is bound only if Request-URI, Contacts and Path are all sips, lest what is secure hang on what is
   *  not. Where no secure transport leads here nothing is secure, and no request goes to such a contact. */
  #isInsecure(request: ReceivedRequest): boolean {
    if (!this.#hasSecure) return false;
    const contacts = this.#contacts;
    let bindsSips = false;
    let isAllSips = this.#isPathSips && request.uri.scheme === SCHEME.SIPS;
    for (let i = 0; i < contacts.count; i++) {
      const { uri, expiresSec } = contacts.at(i);
      // One that goes is bound to nothing.
      if (expiresSec === 0) continue;
      if (uri.scheme === SCHEME.SIPS) bindsSips = true;
      else isAllSips = false;
    }
    return bindsSips && !isAllSips;
  }

  /** RFC 5626 6: whether instance and reg-id name the bindings. */
  #decideOutbound(request: ReceivedRequest, path: number): Rejection | null {
    const contacts = this.#contacts;
    let flows = 0;
    let kept = 0;
    for (let i = 0; i < contacts.count; i++) {
      const contact = contacts.at(i);
      if (contact.instanceEnd === contact.instanceStart) contact.regId = 0;
      if (contact.regId !== 0) flows++;
      if (contact.expiresSec !== 0) kept++;
    }
    if (flows === 0) return null;
    const isOutboundSupported = this.#supports(request.index, OUTBOUND_TAG);
    if (!this.#isFirstHop(request) && !this.#isPathOutbound(request.index, path)) {
      if (isOutboundSupported) return REJECT.firstHopLacksOutbound;
      for (let i = 0; i < contacts.count; i++) contacts.at(i).regId = 0;
      return null;
    }
    if (kept > 1) return REJECT.severalFlows;
    this.#isOutbound = isOutboundSupported;
    return null;
  }

  /** The Via says that the request comes from the client itself. */
  #isFirstHop({ index, topVia }: ReceivedRequest): boolean {
    const via = index.first[HEADER_ID.VIA]!;
    return index.next(via) === -1 && topVia.end >= index.valueEnd(via);
  }

  /** RFC 3327 4: name-addrs, that is URIs in angle brackets. */
  #isPath(index: MessageIndex, first: number): boolean {
    const { bytes } = this.#parts.arena;
    const value = this.#pathValue;
    for (let header = first; header !== -1; header = index.next(header)) {
      const end = index.valueEnd(header);
      for (let start = index.valueStart(header); ; start = value.end + 1) {
        if (parseNameAddr(bytes, start, end, value) < 0 || bytes[value.uriStart - 1] !== LESS) return false;
        if (parseUri(bytes, value.uriStart, value.uriEnd, this.#pathUri) < 0) return false;
        if (this.#pathUri.scheme !== SCHEME.SIPS) this.#isPathSips = false;
        if (value.end >= end) break;
      }
    }
    return true;
  }

  /** The first of a Path, which was found to be one, has the parameter ob. */
  #isPathOutbound(index: MessageIndex, path: number): boolean {
    if (path === -1) return false;
    const { bytes } = this.#parts.arena;
    const value = this.#pathValue;
    parseNameAddr(bytes, index.valueStart(path), index.valueEnd(path), value);
    const uri = this.#pathUri;
    if (parseUri(bytes, value.uriStart, value.uriEnd, uri) < 0 || uri.paramsStart === -1) return false;
    for (let param = uri.paramsStart; param < uri.paramsEnd; ) {
      let next = param + 1;
      while (next < uri.paramsEnd && bytes[next] !== SEMICOLON) next++;
      if (isWord(bytes, param + 1, next, OB)) return true;
      param = next;
    }
    return false;
  }

  #fillBinding(request: ReceivedRequest, path: number): void {
    const { arena, outbound } = this.#parts;
    const { index, slotWord } = request;
    const binding = this.#binding;
    binding.clear();
    binding.updatedMs = this.#nowMs;
    binding.cseq = request.cseq.number;
    binding.transaction = request.transaction.high;
    binding.receivedIn(arena.words, slotWord, this.#transportOf(request));
    const callId = index.first[HEADER_ID.CALL_ID]!;
    binding.callIdStart = index.valueStart(callId);
    binding.callIdEnd = index.valueEnd(callId);
    const userAgent = index.find(arena.bytes, HEADER_ID.USER_AGENT);
    if (userAgent !== -1) {
      binding.userAgentStart = index.valueStart(userAgent);
      binding.userAgentEnd = Math.min(index.valueEnd(userAgent), binding.userAgentStart + MAX_USER_AGENT_BYTES);
    }
    if (path === -1) return;
    const second = index.next(path);
    binding.pathStart = index.valueStart(path);
    binding.pathEnd = index.valueEnd(path);
    if (second === -1) return;
    binding.pathStart = outbound.cursor;
    for (let header = path; header !== -1; header = index.next(header)) {
      if (header !== path) outbound.put(COMMA);
      outbound.putCopy(index.valueStart(header), index.valueEnd(header));
    }
    binding.pathEnd = outbound.cursor;
  }

  /** Steps 6 and 7: all bindings after this request. False: nothing changes, see `#refusal`. */
  #decide(current: BindingView, next: RecordDraft): boolean {
    const contacts = this.#contacts;
    const { maxContacts } = this.#parts.settings;
    this.#refusal = null;
    for (let i = 0; i < contacts.count; i++) contacts.at(i).isPlaced = false;
    while (current.next()) {
      if (current.expiresMs <= this.#nowMs) continue;
      const contact = contacts.isStar ? null : this.#contactOf(current);
      if (contact === null && !contacts.isStar) {
        next.keep(current);
        continue;
      }
      if (this.#isSameCallId(this.#request!.index, current) && current.cseq >= this.#binding.cseq) {
        // The very same request once more, or one that comes late.
        const isRepeated = this.#isWriter(this.#request!, current);
        this.#refusal = isRepeated ? null : this.#isMerged() ? REJECT.merged : REJECT.outOfOrder;
        return false;
      }
      if (contact !== null && contact.expiresSec > 0 && !contact.isPlaced) this.#add(next, contact);
      if (contact !== null) contact.isPlaced = true;
    }
    for (let i = 0; i < contacts.count; i++) {
      const contact = contacts.at(i);
      if (!contact.isPlaced && contact.expiresSec > 0) this.#add(next, contact);
    }
    if (next.count <= maxContacts) return true;
    this.#refusal = REJECT.tooManyContacts;
    return false;
  }

  /** 8.2.2.2: the same request has been carried out that came by another way. By a stream its transaction is over then (17.2.2: Timer
   *  J). */
  #isMerged(): boolean {
    const request = this.#request!;
    return !isReliable(this.#transportOf(request)) && this.#parts.recent.find(request, this.#nowMs) === RECENT.MERGED;
  }

  #transportOf({ slotWord }: ReceivedRequest): number {
    const { arena, sockets } = this.#parts;
    return sockets[arena.words[slotWord + SLOT.SOCKET_WORD]!]!.transport;
  }

  /** What the request says of a binding; of several values that mean the same one, the last, and the others say nothing. */
  #contactOf(binding: BindingView): RequestedContact | null {
    const contacts = this.#contacts;
    let found: RequestedContact | null = null;
    for (let i = contacts.count - 1; i >= 0; i--) {
      const contact = contacts.at(i);
      if (!this.#isOf(contact, binding)) continue;
      if (found === null) found = contact;
      else contact.isPlaced = true;
    }
    return found;
  }

  #isOf(contact: RequestedContact, binding: BindingView): boolean {
    if (contact.isFlow !== (binding.regId !== 0)) return false;
    if (contact.isFlow) {
      if (contact.regId !== binding.regId) return false;
      const { instanceStart, instanceEnd } = binding;
      const { instanceStart: start, instanceEnd: end } = contact;
      return (
        this.#equalsStored(binding, instanceStart, instanceEnd, start, end) ||
        equalInstanceIds(this.#parts.arena.bytes, start, end, binding.bytes, instanceStart, instanceEnd)
      );
    }
    const { contactStart, contactEnd } = binding;
    return (
      this.#equalsStored(binding, contactStart, contactEnd, contact.uri.start, contact.uri.end) ||
      this.#isEquivalent(binding, contact)
    );
  }

  #equalsStored(view: BindingView, storedStart: number, storedEnd: number, start: number, end: number): boolean {
    return (
      storedEnd - storedStart === end - start && equalBytes(this.#parts.arena.view, start, end, view.text, storedStart)
    );
  }

  /** 19.1.4, for which both have to lie side by side. */
  #isEquivalent(view: BindingView, contact: RequestedContact): boolean {
    const { arena, outbound } = this.#parts;
    const from = outbound.cursor;
    const end = view.copyText(view.contactStart, view.contactEnd, arena.view, from);
    return equalUris(arena.bytes, contact.uri.start, contact.uri.end, from, end);
  }

  /** The binding was written by this very request. */
  #isWriter({ index, cseq, transaction }: ReceivedRequest, view: BindingView): boolean {
    return view.cseq === cseq.number && view.transaction === transaction.high && this.#isSameCallId(index, view);
  }

  #isSameCallId(index: MessageIndex, view: BindingView): boolean {
    const callId = index.first[HEADER_ID.CALL_ID]!;
    return this.#equalsStored(view, view.callIdStart, view.callIdEnd, index.valueStart(callId), index.valueEnd(callId));
  }

  #add(next: RecordDraft, contact: RequestedContact): void {
    const binding = this.#binding;
    binding.expiresMs = this.#nowMs + contact.expiresSec * 1000;
    binding.q = contact.q;
    binding.contactStart = contact.uri.start;
    binding.contactEnd = contact.uri.end;
    binding.instanceStart = contact.instanceStart;
    binding.instanceEnd = contact.instanceEnd;
    binding.regId = contact.regId;
    binding.paramsStart = contact.paramsStart;
    binding.paramsEnd = contact.paramsEnd;
    binding.flags = this.#isAtSource(contact) ? BINDING_FLAG.AT_SOURCE : 0;
    next.add(binding);
  }

  /** Whether the client is reached where its REGISTER came from: by an Outbound flow (RFC 5626 7), by the connection that it holds,
   *  or because it is behind a NAT: it says in its Via and in its contact that it is somewhere, and its datagram came from
   *  elsewhere. A contact that is another place than the client is taken at its word. */
  #isAtSource(contact: RequestedContact): boolean {
    const { arena, marker } = this.#parts;
    const { bytes, words } = arena;
    const request = this.#request!;
    const { topVia: via, slotWord } = request;
    if (!this.#isFirstHop(request)) return false;
    if (contact.isFlow) return true;
    const { uri } = contact;
    const transport = this.#transportOf(request);
    // Who asks for a WebSocket is reached by his, whatever host he names (RFC 7118 B.1); with a sips URI it must be secure (9.2).
    if (isWebSocket(transport) && isWebSocket(uri.transport)) {
      return uri.scheme === SCHEME.SIP || (uri.scheme === SCHEME.SIPS && isSecure(transport));
    }
    if (uri.scheme !== SCHEME.SIP) return false;
    if (uri.maddrStart !== -1 || !equalIgnoringCase(bytes, via.hostStart, via.hostEnd, uri.hostStart, uri.hostEnd)) {
      return false;
    }
    const viaPort = via.port === -1 ? defaultPortOf(transport) : via.port;
    if (isReliable(transport)) {
      if (uri.transport !== TRANSPORT.NONE && uri.transport !== transport) return false;
      // Behind a NAT, or under a name, a client can have a port for calls and another for its connection; else such a port is another
      // place, where it is called by a connection of its own.
      if (!marker.isSource(via, slotWord)) return true;
      const port = uri.port === -1 ? defaultPortOf(transport) : uri.port;
      return port === viaPort || port === words[slotWord + SLOT.PORT_WORD];
    }
    const uriPort = uri.port === -1 ? defaultPortOf(uri.transport) : uri.port;
    if (viaPort !== uriPort || uri.transport > TRANSPORT.UDP) return false;
    if (via.rport !== RPORT_ABSENT && words[slotWord + SLOT.PORT_WORD] !== viaPort) return true;
    return via.hostKind === HOST_KIND.IPV4 && words[slotWord + SLOT.SOURCE_WORD] !== via.hostWord;
  }

  /** Step 8. */
  #answer(request: ReceivedRequest, record: number): null {
    const { arena, outbound, responder } = this.#parts;
    const { index } = request;
    responder.begin(request, OK);
    for (let path = index.find(arena.bytes, HEADER_ID.PATH); path !== -1; path = index.next(path)) {
      outbound.keep(index.lineStart(path), index.lineEnd(path));
    }
    const from = outbound.cursor;
    if (this.#isOutbound) outbound.put(this.#requireOutbound);
    if (record !== NO_RECORD) {
      outbound.put(this.#serviceRoutes);
      this.#view.open(record);
      putBindings(outbound, this.#view, this.#nowMs);
    }
    outbound.put(this.#dateOf(this.#nowMs));
    this.#parts.authentication?.putInfo();
    outbound.keep(from, outbound.cursor);
    responder.end(request);
    this.#parts.answers?.hold();
    return null;
  }

  #reject(request: ReceivedRequest, rejection: Rejection): void {
    const { responder, counters } = this.#parts;
    counters.count(rejection.counter);
    if (rejection === REJECT.intervalTooBrief) responder.respond(request, rejection.statusLine, this.#minExpires);
    else if (rejection === REJECT.badExtension) responder.respond(request, rejection.statusLine, UNSUPPORTED_PATH);
    else responder.reject(request, rejection);
  }

  /** Section 20.17. */
  #dateOf(nowMs: number): Literal {
    const sec = Math.trunc(nowMs / 1000);
    if (sec !== this.#dateSec) {
      this.#dateSec = sec;
      this.#date = literal(`Date: ${new Date(nowMs).toUTCString()}\r\n`);
    }
    return this.#date;
  }

  /** Who requires an extension of us supports it. */
  #supports(index: MessageIndex, tag: Uint8Array): boolean {
    return this.#names(index, HEADER_ID.SUPPORTED, tag) || this.#names(index, HEADER_ID.REQUIRE, tag);
  }

  #names(index: MessageIndex, id: number, tag: Uint8Array): boolean {
    const { bytes } = this.#parts.arena;
    const token = this.#token;
    for (let header = index.find(bytes, id); header !== -1; header = index.next(header)) {
      token.begin(index.valueStart(header));
      while (nextToken(bytes, index.valueEnd(header), token))
        if (isWord(bytes, token.start, token.end, tag)) return true;
    }
    return false;
  }
}

const SEMICOLON = 0x3b;
const LESS = 0x3c;

/** Host names and addresses as they are written; a closing dot is not thought of. */
function equalIgnoringCase(bytes: Bytes, aStart: number, aEnd: number, bStart: number, bEnd: number): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false;
  for (let i = 0; i < aEnd - aStart; i++) {
    const a = bytes[aStart + i]!;
    const b = bytes[bStart + i]!;
    if (a !== b && ((a | 0x20) !== (b | 0x20) || (a | 0x20) < 0x61 || (a | 0x20) > 0x7a)) return false;
  }
  return true;
}
