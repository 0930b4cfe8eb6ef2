/** Which requests need digest credentials, and what they come to (RFC 3261 22, 10.3 steps 3 and 4, 16.3 step 6): by domain and
 *  method, as the configuration says. Runs on the shard. Hot: once per request of such a method, allocates nothing.
 *
 *  A REGISTER needs those of a user of its own domain, and registers his own address-of-record alone. Any other request
 *  needs those of the user that its From names, where that is in a domain of ours: who says that he is one of ours proves it.
 *  Requests of others are not ours to ask, and go where they may. Nobody is asked within a dialog that this server is in the route of,
 *  which a To tag does not show, as anybody can make one up, but the Record-Route that it wrote (dialog-tokens.ts). ACK and CANCEL cannot
 *  be asked (22.1). */

import { CHALLENGE, Challenges, writeAuthenticationInfo } from '../auth/challenges.ts';
import { DigestVerifier, VERDICT } from '../auth/digest.ts';
import { CREDENTIALS_ERROR, DigestCredentials, FIELD, type Text, textOver } from '../auth/digest-credentials.ts';
import type { Ha1Source } from '../auth/ha1-source.ts';
import { Nonces } from '../auth/nonces.ts';
import type { Realm } from '../auth/realm.ts';
import { literal } from '../base/ascii.ts';
import { hashBytes } from '../base/hash.ts';
import { equalBytes } from '../base/spans.ts';
import type { Config } from '../config/schema.ts';
import type { Arena } from '../memory/arena.ts';
import { SLOT } from '../memory/layout.ts';
import { COUNTER, type Counters } from '../observe/counters.ts';
import { writeAddressOfRecordOf } from '../sip/address-of-record.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import type { MessageEdits } from '../sip/message-edits.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import { METHOD, methodBits } from '../sip/methods.ts';
import type { Outbound } from '../sip/outbound.ts';
import { parseUri, SCHEME, transportAskedBy, UriView, unescapedAt } from '../sip/uri.ts';
import type { BoundSocket } from './bound-socket.ts';
import type { OwnAddresses } from './own-addresses.ts';
import type { ElementClock } from './ports.ts';
import type { ReceivedRequest } from './received-request.ts';
import { REJECT, type Rejection } from './rejection.ts';
import type { Responder } from './responder.ts';
import { TrustedSources } from './trusted-sources.ts';

/** What all shards share of authentication. */
export interface AuthPorts {
  /** Counts of the nonces (auth/nonce-counts.ts). */
  readonly nonceTable: SharedArrayBuffer;
  /** The same on all shards. */
  readonly secret: Uint8Array;
  readonly source: Ha1Source;
  /** The algorithms that all users of a realm have an HA1 for, as bits 1 << ALGORITHM; −1: nobody knows. A client picks one of what
   *  is offered before anyone knows who it is. */
  readonly algorithmsOf: (realm: number) => number;
}

/** GRANTED: go on. CHALLENGED: `challenge` answers. REFUSED: for the reason in `rejection`. PENDING: the user has to be
 *  looked up first. REPEATED, of a REGISTER: the same came before, and nothing may change because of it. */
export const ACCESS = { GRANTED: 0, CHALLENGED: 1, REFUSED: 2, PENDING: 3, REPEATED: 4 } as const;

export interface AuthenticationParts {
  readonly arena: Arena;
  readonly sockets: readonly BoundSocket[];
  readonly outbound: Outbound;
  readonly responder: Responder;
  readonly own: OwnAddresses;
  readonly counters: Counters;
  readonly realms: readonly Realm[];
  readonly ports: AuthPorts;
  readonly clock: ElementClock;
  readonly config: Config;
}

const UNAUTHORIZED = literal('SIP/2.0 401 Unauthorized\r\n');
const PROXY_AUTHENTICATION_REQUIRED = literal('SIP/2.0 407 Proxy Authentication Required\r\n');
const NEVER_ASKED = (1 << METHOD.ACK) | (1 << METHOD.CANCEL);
/** In place of a domain. */
const UNREADABLE = -3;
const AT = 0x40;
const COLON = 0x3a;
const PERCENT = 0x25;
/** Odd, with bits everywhere. */
const GOLDEN_RATIO = 0x9e37_79b1 | 0;
/** Room for one header field, its quoted pairs undone. */
const SCRATCH_BYTES = 65_536 + 64;

export class Authentication {
  readonly #parts: AuthenticationParts;
  readonly #nonces: Nonces;
  readonly #verifier: DigestVerifier;
  readonly #challenges: readonly Challenges[];
  /** By domain: bit 1 << METHOD of what is asked for. */
  readonly #methods: readonly number[];
  readonly #exempt: TrustedSources;
  readonly #seed: number;
  /** Of the caller whose domain was asked for last. */
  readonly #from = new UriView();
  readonly #digestUri = new UriView();
  readonly #other: DigestCredentials;
  readonly #scratch: Text;
  /** After REFUSED. */
  rejection: Rejection = REJECT.forbidden;
  // After CHALLENGED and GRANTED:
  #domain = -1;
  #isStale = false;
  #nowMs = 0;
  /** The REGISTER in hand was authenticated. */
  #isVerified = false;

  constructor(parts: AuthenticationParts) {
    const { arena, sockets, ports, realms, config } = parts;
    this.#parts = parts;
    this.#nonces = new Nonces(ports.nonceTable, ports.secret, config.auth.nonceSec);
    this.#verifier = new DigestVerifier(arena, this.#nonces, ports.source, ports.secret);
    this.#challenges = realms.map((realm) => new Challenges(realm, this.#nonces));
    this.#methods = config.domains.map(({ authenticate }) => methodBits(authenticate) & ~NEVER_ASKED);
    this.#seed = new DataView(ports.secret.buffer, ports.secret.byteOffset).getInt32(0);
    this.#exempt = new TrustedSources(arena.words, config.auth.exempt, sockets);
    const scratch = new SharedArrayBuffer(SCRATCH_BYTES);
    this.#scratch = textOver(scratch);
    this.#other = new DigestCredentials(arena);
  }

  /** Step 3 for a REGISTER in `domain`. One of ACCESS. */
  checkRegister(request: ReceivedRequest, domain: number): number {
    this.#isVerified = false;
    if (domain < 0 || !this.#asks(domain, METHOD.REGISTER, request.slotWord)) return ACCESS.GRANTED;
    const access = this.#verify(request, domain, HEADER_ID.AUTHORIZATION, true);
    this.#isVerified = access === ACCESS.GRANTED || access === ACCESS.REPEATED;
    return access;
  }

  /** Some domain asks for credentials in requests that are forwarded. */
  get asksProxied(): boolean {
    return this.#methods.some((bits) => (bits & ~(1 << METHOD.REGISTER)) !== 0);
  }

  /** The REGISTER that was checked last was by a user who proved it. */
  get isVerified(): boolean {
    return this.#isVerified;
  }

  /** Step 4: whether the REGISTER that was checked last may change the address-of-record in [start, end) of the arena. */
  mayRegister(start: number, end: number): boolean {
    return !this.#isVerified || this.#isUser(start, end);
  }

  /** Any other request, whose From has been read. One of ACCESS; where it is one of ours, the request says so. */
  checkProxied(request: ReceivedRequest): number {
    const { index, slotWord } = request;
    if (request.isOfOwnDialog && request.to.tagStart !== -1) return ACCESS.GRANTED;
    const domain = this.#domainOfCaller(request);
    if (domain === UNREADABLE) return this.#refuse(REJECT.malformedFrom);
    if (domain < 0 || !this.#asks(domain, index.method, slotWord)) return ACCESS.GRANTED;
    // A spiral: it was asked for when it came here first.
    if (this.#parts.own.isOwnSource(slotWord)) return ACCESS.GRANTED;
    const access = this.#verify(request, domain, HEADER_ID.PROXY_AUTHORIZATION, false);
    if (access !== ACCESS.GRANTED && access !== ACCESS.REPEATED) return access;
    // RFC 8760 2.6: proxies may have changed the Request-URI since, but to one.
    if (!this.#isUriSound()) return this.#refuse(REJECT.malformedCredentials);
    const { outbound, counters } = this.#parts;
    const { bytes } = this.#parts.arena;
    outbound.begin();
    const start = outbound.cursor;
    const length = writeAddressOfRecordOf(bytes, this.#from, bytes, start);
    if (!this.#isUser(start, start + length)) {
      counters.count(REJECT.forbidden.counter);
      this.rejection = REJECT.forbidden;
      return ACCESS.REFUSED;
    }
    request.isAuthenticated = true;
    return ACCESS.GRANTED;
  }

  /** Takes the credentials for realms of ours out of a request that is passed on (22.3). */
  removeCredentials(index: MessageIndex, edits: MessageEdits): void {
    const { arena, realms } = this.#parts;
    const credentials = this.#other;
    for (let at = index.find(arena.bytes, HEADER_ID.PROXY_AUTHORIZATION); at !== -1; at = index.next(at)) {
      if (credentials.read(arena, index.valueStart(at), index.valueEnd(at)) !== CREDENTIALS_ERROR.NONE) continue;
      if (!credentials.isPlain) credentials.unquote(this.#scratch);
      if (realms.some((realm, domain) => this.#methods[domain] !== 0 && credentials.equals(FIELD.REALM, realm.name))) {
        edits.remove(index.lineStart(at), index.lineEnd(at));
      }
    }
  }

  /** True if the caller says that he is a user of a domain of ours which asks for credentials in requests of this method. */
  asksCaller(request: ReceivedRequest, method: number): boolean {
    const domain = this.#domainOfCaller(request);
    return domain >= 0 && this.#asks(domain, method, request.slotWord);
  }

  /** Answers what was REPEATED and is not known any more: it takes another nonce. */
  challengeStale(request: ReceivedRequest): void {
    this.#isStale = true;
    this.challenge(request);
  }

  /** Answers what was CHALLENGED last: 401 to a REGISTER, 407 to others. */
  challenge(request: ReceivedRequest): void {
    const { arena, outbound, responder, counters } = this.#parts;
    counters.count(COUNTER.challenges_total);
    const isRegister = request.index.method === METHOD.REGISTER;
    responder.begin(request, isRegister ? UNAUTHORIZED : PROXY_AUTHENTICATION_REQUIRED);
    const from = outbound.cursor;
    const kind = isRegister ? CHALLENGE.WWW : CHALLENGE.PROXY;
    outbound.putWritten(this.#challenges[this.#domain]!.write(arena, from, kind, this.#isStale, this.#nowMs));
    outbound.keep(from, outbound.cursor);
    responder.end(request);
  }

  /** Writes the Authentication-Info of the 200 to the REGISTER that was checked last, if it was authenticated, and either that is
   *  always wanted or the client had better take another nonce. */
  putInfo(): void {
    if (!this.#isVerified) return;
    const isEnding = this.#nonces.isEnding(this.#verifier.nonceCount, this.#nowMs);
    if (!isEnding && !this.#parts.config.auth.mutual) return;
    const { arena, outbound, realms } = this.#parts;
    const realm = realms[this.#domain]!;
    const from = outbound.cursor;
    outbound.putWritten(
      writeAuthenticationInfo(arena, from, this.#verifier, realm, this.#nonces, arena.view, from, from, this.#nowMs),
    );
  }

  #asks(domain: number, method: number, slotWord: number): boolean {
    return ((this.#methods[domain]! >>> method) & 1) !== 0 && !this.#exempt.has(slotWord);
  }

  /** The domain of ours that the caller says he is of; below 0: none, or UNREADABLE. */
  #domainOfCaller({ from, slotWord }: ReceivedRequest): number {
    const { arena, own } = this.#parts;
    const uri = this.#from;
    if (parseUri(arena.bytes, from.uriStart, from.uriEnd, uri) < 0) return UNREADABLE;
    return uri.scheme > SCHEME.SIPS ? -1 : own.domainOf(uri, uri.port, transportAskedBy(uri), slotWord);
  }

  #verify(request: ReceivedRequest, domain: number, header: number, matchesUri: boolean): number {
    const { realms, clock, counters } = this.#parts;
    const nowMs = clock.wallMs;
    this.#domain = domain;
    this.#nowMs = nowMs;
    this.#isStale = false;
    const { index } = request;
    const transaction = this.#markOf(request);
    switch (this.#verifier.verify(index, header, realms[domain]!, transaction, nowMs, matchesUri)) {
      case VERDICT.OK:
        counters.count(COUNTER.authenticated_total);
        return this.#verifier.isRepeated ? ACCESS.REPEATED : ACCESS.GRANTED;
      case VERDICT.NO_CREDENTIALS:
        return ACCESS.CHALLENGED;
      case VERDICT.STALE:
        this.#isStale = true;
        counters.count(COUNTER.stale_nonces_total);
        return ACCESS.CHALLENGED;
      case VERDICT.WRONG:
        counters.count(COUNTER.wrong_credentials_total);
        return ACCESS.CHALLENGED;
      case VERDICT.PENDING:
        return ACCESS.PENDING;
      case VERDICT.UNAVAILABLE:
        return this.#refuse(REJECT.usersUnavailable);
      default:
        return this.#refuse(REJECT.malformedCredentials);
    }
  }

  /** What a retransmission has in common with its request and with nothing else: it comes from the same place, and is of the same
   *  transaction (17.2.3); where requests are passed on without transactions, it is the same to the last byte. That is a mark, and no
   *  proof: whoever has seen credentials might make another request that has it. So a repeated REGISTER changes nothing, and other
   *  requests that come again are absorbed by their transactions before they come here. */
  #markOf({ index, slotWord, transaction }: ReceivedRequest): number {
    const { words } = this.#parts.arena;
    const source = slotWord + SLOT.PORT_WORD;
    const place = hashBytes(words, source << 2, (source + 5) << 2, this.#seed);
    if (index.method !== METHOD.REGISTER) return hashBytes(words, index.start, index.end, place);
    return Math.imul(place ^ transaction.high, GOLDEN_RATIO) ^ transaction.low;
  }

  #refuse(rejection: Rejection): number {
    this.rejection = rejection;
    return ACCESS.REFUSED;
  }

  #isUriSound(): boolean {
    const { rawUriStart, rawUriEnd } = this.#verifier.credentials;
    return parseUri(this.#parts.arena.bytes, rawUriStart, rawUriEnd, this.#digestUri) >= 0;
  }

  /** Whether the user that was verified last is the one of a canonical address-of-record: named as in it, "alice", or whole,
   *  "alice@example.org". What may not stand in a URI as it is, such as a quote, is escaped there (19.1.2), and as it is in a
   *  user name. */
  #isUser(aorStart: number, aorEnd: number): boolean {
    const { bytes, view } = this.#parts.arena;
    const { user, userStart, userEnd } = this.#verifier;
    let start = aorStart;
    while (start < aorEnd && bytes[start] !== COLON) start++;
    start++;
    let end = start;
    let hasEscapes = false;
    for (; end < aorEnd && bytes[end] !== AT; end++) if (bytes[end] === PERCENT) hasEscapes = true;
    const hostBytes = aorEnd - end;
    // One that ends as the address does is a whole one, and not the name of somebody else.
    const nameEnd = Math.max(userStart, userEnd - hostBytes);
    const isWhole =
      hostBytes > 0 && userEnd - userStart > hostBytes && equalBytes(user.view, nameEnd, userEnd, view, end);
    const to = isWhole ? nameEnd : userEnd;
    if (hasEscapes) return this.#isUnescaped(start, end, to);
    return to - userStart === end - start && equalBytes(user.view, userStart, to, view, start);
  }

  /** Whether [start, end), its escapes undone, is the name of the verified user up to `nameEnd`. */
  #isUnescaped(start: number, end: number, nameEnd: number): boolean {
    const { bytes } = this.#parts.arena;
    const { user, userStart } = this.#verifier;
    let at = start;
    for (let i = userStart; i < nameEnd; i++) {
      if (at >= end || unescapedAt(bytes, at) !== user.bytes[i]) return false;
      at += bytes[at] === PERCENT ? 3 : 1;
    }
    return at === end;
  }
}
