/** Verifies the digest credentials of requests (RFC 3261 22, RFC 7616 3.4 and 3.6, RFC 8760). Runs on the shard, one verifier for
 *  each. Hot: once per request that is authenticated. With MD5 it allocates nothing, with the others two short strings.
 *
 *  What comes of it is about the realm that is asked for alone: credentials for others are not looked at (22.3). In this order:
 *  which credentials, whether they can be read and are of what was offered, the HA1, the response, and only for a right
 *  response the nonce. So a nonce that is old or of an earlier run is stale for who knows the password, and nobody else can
 *  use up a nonce count. */

import { createHash } from 'node:crypto';
import { ascii } from '../base/ascii.ts';
import { HEX, NOT_HEX } from '../base/char-class.ts';
import { isWord } from '../sip/lexis.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import { equalUris } from '../sip/uri-equality.ts';
import {
  ALGORITHM,
  type Algorithm,
  algorithmOf,
  DIGEST_BYTES,
  MAX_DIGEST_BYTES,
  UNKNOWN_ALGORITHM,
} from './algorithms.ts';
import { CREDENTIALS_ERROR, DigestCredentials, FIELD, type Text, textOver } from './digest-credentials.ts';
import { DigestResponse, DigestSubject } from './digest-response.ts';
import { HA1, type Ha1Source } from './ha1-source.ts';
import { USE } from './nonce-counts.ts';
import { NONCE, type NonceState, type Nonces } from './nonces.ts';
import type { Realm } from './realm.ts';

export const VERDICT = {
  /** The user is who the verifier's `userStart` … says. */
  OK: 0,
  /** Challenge. */
  NO_CREDENTIALS: 1,
  /** Challenge with stale=true: the password was right. */
  STALE: 2,
  /** Challenge without it. */
  WRONG: 3,
  /** 400 (RFC 7616 3.4 and 3.4.6). */
  MALFORMED: 4,
  /** The source of HA1s has to ask: verify again when it knows. */
  PENDING: 5,
  /** The source of HA1s does not answer: 500 or 503. */
  UNAVAILABLE: 6,
} as const;
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];

/** Why, for logs and counters. Not for the answer: UNKNOWN_USER and RESPONSE must look alike from outside. */
export const PROBLEM = {
  NONE: 0,
  SYNTAX: 1,
  /** A parameter that is needed is not there, or improper. */
  PARAMETER: 2,
  URI: 3,
  ALGORITHM: 4,
  QOP: 5,
  UNKNOWN_USER: 6,
  RESPONSE: 7,
  NONCE_EXPIRED: 8,
  NONCE_FORGED: 9,
  NONCE_USED_UP: 10,
  REPLAY: 11,
} as const;
export type Problem = (typeof PROBLEM)[keyof typeof PROBLEM];

export const QOP = { NONE: 0, AUTH: 1, AUTH_INT: 2, OTHER: 3 } as const;
export type Qop = (typeof QOP)[keyof typeof QOP];

/** Credentials of our realm in one request that are looked at; RFC 8760 2.4 has one. */
const MAX_CANDIDATES = 4;
/** Longer ones are malformed: they are repeated in Authentication-Info. */
export const MAX_CNONCE_BYTES = 256;
const NC_DIGITS = 8;
/** Room for one header field. */
const SCRATCH_BYTES = 65_536 + 64;

const AUTH = ascii('auth');
const AUTH_INT = ascii('auth-int');

export class DigestVerifier {
  readonly #text: Text;
  readonly #scratch: Text;
  readonly #nonces: Nonces;
  readonly #source: Ha1Source;
  readonly #response = new DigestResponse();
  readonly #subject = new DigestSubject();
  readonly #ha1 = new Uint8Array(MAX_DIGEST_BYTES);
  /** What an unknown user's response is compared with: nobody's HA1. */
  readonly #nobody: Uint8Array;
  readonly #expected = new Uint8Array(MAX_DIGEST_BYTES);
  #nonceState: NonceState = NONCE.FORGED;
  #isMalformed = false;

  /** The credentials judged last, plain. Valid until the next `verify`, and as long as the message is. */
  readonly credentials: DigestCredentials;
  algorithm: Algorithm = ALGORITHM.MD5;
  qop: Qop = QOP.NONE;
  /** Nonce count of the credentials; 0 without qop. */
  nonceCount = 0;
  problem: Problem = PROBLEM.NONE;
  /** After OK: the credentials have been here before, from the same transaction: a retransmission, or somebody who makes a request
   *  look like one. It may get an answer, and must not change anything. */
  isRepeated = false;

  /** `text` is where messages lie. `secret` is the nonces' secret or another. */
  constructor(text: Text, nonces: Nonces, source: Ha1Source, secret: Uint8Array) {
    const buffer = new SharedArrayBuffer(SCRATCH_BYTES);
    this.#text = text;
    this.#scratch = textOver(buffer);
    this.#nonces = nonces;
    this.#source = source;
    this.#nobody = createHash('sha256').update('nobody').update(secret).digest();
    this.credentials = new DigestCredentials(text);
  }

  /** Where the name of the user lies, unquoted: `user.bytes` from `userStart` to `userEnd`. After any verdict but
   *  NO_CREDENTIALS and MALFORMED; only after OK it is known to be true. */
  get user(): Text {
    return this.credentials.text;
  }

  get userStart(): number {
    return this.credentials.start(FIELD.USERNAME);
  }

  get userEnd(): number {
    return this.credentials.end(FIELD.USERNAME);
  }

  /** Judges the request in `index`. `header`: HEADER_ID.AUTHORIZATION or PROXY_AUTHORIZATION. `transaction`: see NonceCounts.use.
   *  `matchesUri`: whether the `uri` must be equivalent to the Request-URI (RFC 7616 3.4.6). It should for REGISTER; elsewhere
   *  proxies may have changed the Request-URI, and RFC 8760 2.6 item 6 allows to accept that. */
  verify(
    index: MessageIndex,
    header: number,
    realm: Realm,
    transaction: number,
    nowMs: number,
    matchesUri: boolean,
  ): Verdict {
    this.problem = PROBLEM.NONE;
    if (!this.#choose(index, header, realm, nowMs)) {
      return this.#isMalformed ? this.#judge(VERDICT.MALFORMED, PROBLEM.SYNTAX) : VERDICT.NO_CREDENTIALS;
    }
    const unusable = this.#readParameters(realm);
    if (unusable !== VERDICT.OK) return unusable;
    if (matchesUri && !this.#matchesUri(index)) return this.#judge(VERDICT.MALFORMED, PROBLEM.URI);
    const answer = this.#lookUp(realm);
    if (answer === HA1.PENDING) return VERDICT.PENDING;
    if (answer === HA1.UNAVAILABLE) return VERDICT.UNAVAILABLE;
    const isRight = this.#isRight(index);
    if (answer === HA1.ABSENT) return this.#judge(VERDICT.WRONG, PROBLEM.UNKNOWN_USER);
    if (!isRight) return this.#judge(VERDICT.WRONG, PROBLEM.RESPONSE);
    return this.#useNonce(transaction, nowMs);
  }

  /** Writes the digest that proves to the client that we know the HA1 too (rspauth, RFC 7616 3.5). Only after OK, before the next
   *  request. The body of the response, for auth-int: [bodyStart, bodyEnd) of `text`. */
  writeRspauth(text: DataView, bodyStart: number, bodyEnd: number, target: Uint8Array): void {
    const subject = this.#subject;
    subject.text = text;
    subject.methodStart = subject.methodEnd = 0;
    subject.bodyStart = bodyStart;
    subject.bodyEnd = bodyEnd;
    this.#response.writeAnswer(this.credentials, this.algorithm, this.qop === QOP.AUTH_INT, subject, target);
  }

  /** Finds our realm's credentials and leaves them in `credentials`: those with a nonce of ours before others, since a client
   *  may have sent those of several proxies with one realm (RFC 3261 22.3). */
  #choose(index: MessageIndex, header: number, realm: Realm, nowMs: number): boolean {
    this.#isMalformed = false;
    let chosen = -1;
    let last = -1;
    let candidates = 0;
    for (let at = index.find(this.#text.bytes, header); at !== -1; at = index.next(at)) {
      last = at;
      if (!this.#isOf(realm, index, at)) continue;
      if (this.#checkNonce(realm, nowMs) === NONCE.OK) return true;
      if (chosen === -1) chosen = at;
      if (++candidates === MAX_CANDIDATES) break;
    }
    if (chosen !== -1 && chosen !== last) {
      this.#isOf(realm, index, chosen);
      this.#checkNonce(realm, nowMs);
    }
    return chosen !== -1;
  }

  /** Reads one header field; true if these are digest credentials for the realm. */
  #isOf(realm: Realm, index: MessageIndex, at: number): boolean {
    const { credentials } = this;
    const error = credentials.read(this.#text, index.valueStart(at), index.valueEnd(at));
    if (error !== CREDENTIALS_ERROR.NONE) {
      // With username* they are for somebody who asked for it; what names another realm is nothing we have to read.
      const isOthers = credentials.has(FIELD.REALM) && !credentials.equals(FIELD.REALM, realm.name);
      if (error === CREDENTIALS_ERROR.MALFORMED && !isOthers) this.#isMalformed = true;
      return false;
    }
    if (!credentials.isPlain) credentials.unquote(this.#scratch);
    if (!credentials.has(FIELD.REALM)) this.#isMalformed = true;
    return credentials.has(FIELD.REALM) && credentials.equals(FIELD.REALM, realm.name);
  }

  #checkNonce(realm: Realm, nowMs: number): NonceState {
    const { credentials } = this;
    const start = credentials.start(FIELD.NONCE);
    const end = credentials.end(FIELD.NONCE);
    this.#nonceState = this.#nonces.check(credentials.text.bytes, start, end, realm.mark, nowMs);
    return this.#nonceState;
  }

  /** OK, or the verdict on credentials whose response need not be looked at. */
  #readParameters(realm: Realm): Verdict {
    const { credentials } = this;
    const isComplete =
      credentials.has(FIELD.USERNAME) &&
      credentials.has(FIELD.NONCE) &&
      credentials.has(FIELD.URI) &&
      credentials.has(FIELD.RESPONSE);
    if (!isComplete) return this.#judge(VERDICT.MALFORMED, PROBLEM.PARAMETER);
    // RFC 8760 2.7: a client that was not challenged yet may say who it is.
    if (credentials.lengthOf(FIELD.RESPONSE) === 0) return VERDICT.NO_CREDENTIALS;
    const { bytes } = credentials.text;
    const algorithm = credentials.has(FIELD.ALGORITHM)
      ? algorithmOf(bytes, credentials.start(FIELD.ALGORITHM), credentials.end(FIELD.ALGORITHM))
      : ALGORITHM.MD5;
    // What was not offered is answered with a new challenge, which says what is.
    if (algorithm === UNKNOWN_ALGORITHM || !realm.offers(algorithm)) {
      return this.#judge(VERDICT.WRONG, PROBLEM.ALGORITHM);
    }
    this.algorithm = algorithm;
    return this.#readQop(realm);
  }

  #readQop(realm: Realm): Verdict {
    const { credentials } = this;
    this.qop = qopOf(credentials);
    this.nonceCount = 0;
    if (this.qop === QOP.NONE) return realm.acceptsNoQop ? VERDICT.OK : this.#judge(VERDICT.WRONG, PROBLEM.QOP);
    const isOffered = this.qop === QOP.AUTH || (this.qop === QOP.AUTH_INT && realm.offersAuthInt);
    if (!isOffered) return this.#judge(VERDICT.WRONG, PROBLEM.QOP);
    this.nonceCount = nonceCountOf(credentials);
    const hasCnonce = credentials.has(FIELD.CNONCE) && credentials.lengthOf(FIELD.CNONCE) <= MAX_CNONCE_BYTES;
    // Counts begin at 1 (RFC 7616 3.4).
    return this.nonceCount > 0 && hasCnonce ? VERDICT.OK : this.#judge(VERDICT.MALFORMED, PROBLEM.PARAMETER);
  }

  #matchesUri({ uriStart, uriEnd }: MessageIndex): boolean {
    const { rawUriStart, rawUriEnd } = this.credentials;
    return equalUris(this.#text.bytes, rawUriStart, rawUriEnd, uriStart, uriEnd);
  }

  #lookUp(realm: Realm): number {
    const { user, userStart, userEnd, algorithm } = this;
    const ha1 = this.#ha1;
    const answer = this.#source.lookup(realm.number, user, userStart, userEnd, algorithm, ha1);
    if (answer === HA1.ABSENT) for (let i = 0; i < MAX_DIGEST_BYTES; i++) ha1[i] = this.#nobody[i]!;
    return answer;
  }

  /** Takes as long whatever is wrong with the response.
   *  Departs from RFC 8760 2.2: digits may be capitals, as some phones send them; they stand for the same digest. */
  #isRight(index: MessageIndex): boolean {
    const subject = this.#subject;
    subject.text = this.#text.view;
    subject.methodStart = index.methodStart;
    subject.methodEnd = index.methodEnd;
    subject.bodyStart = index.bodyStart;
    subject.bodyEnd = index.end;
    const { credentials } = this;
    const hasQop = this.qop !== QOP.NONE;
    const coversBody = this.qop === QOP.AUTH_INT;
    this.#response.write(credentials, this.algorithm, this.#ha1, hasQop, coversBody, subject, this.#expected);
    const digestBytes = DIGEST_BYTES[this.algorithm];
    if (credentials.lengthOf(FIELD.RESPONSE) !== 2 * digestBytes) return false;
    const { bytes } = credentials.text;
    const expected = this.#expected;
    let difference = 0;
    for (let i = 0, at = credentials.start(FIELD.RESPONSE); i < digestBytes; i++, at += 2) {
      const high = HEX[bytes[at]!]!;
      const low = HEX[bytes[at + 1]!]!;
      difference |= (((high << 4) | low) ^ expected[i]!) | ((high | low) & NOT_HEX);
    }
    return difference === 0;
  }

  #useNonce(transaction: number, nowMs: number): Verdict {
    this.isRepeated = false;
    if (this.#nonceState === NONCE.FORGED) return this.#judge(VERDICT.STALE, PROBLEM.NONCE_FORGED);
    const use = this.#nonces.use(this.nonceCount, transaction, nowMs);
    this.isRepeated = use === USE.REPEATED;
    // The first time it was good, and a retransmission asks for the same answer.
    if (this.#nonceState === NONCE.EXPIRED && !this.isRepeated) {
      return this.#judge(VERDICT.STALE, PROBLEM.NONCE_EXPIRED);
    }
    if (use === USE.REPLAYED) return this.#judge(VERDICT.STALE, PROBLEM.REPLAY);
    if (use === USE.STALE) return this.#judge(VERDICT.STALE, PROBLEM.NONCE_USED_UP);
    return VERDICT.OK;
  }

  #judge(verdict: Verdict, problem: Problem): Verdict {
    this.problem = problem;
    return verdict;
  }
}

function qopOf(credentials: DigestCredentials): Qop {
  if (!credentials.has(FIELD.QOP)) return QOP.NONE;
  const { bytes } = credentials.text;
  const start = credentials.start(FIELD.QOP);
  const end = credentials.end(FIELD.QOP);
  if (isWord(bytes, start, end, AUTH)) return QOP.AUTH;
  return isWord(bytes, start, end, AUTH_INT) ? QOP.AUTH_INT : QOP.OTHER;
}

/** nc-value = 8LHEX; 0 for anything else. */
function nonceCountOf(credentials: DigestCredentials): number {
  if (credentials.lengthOf(FIELD.NC) !== NC_DIGITS) return 0;
  const { bytes } = credentials.text;
  const start = credentials.start(FIELD.NC);
  let count = 0;
  for (let at = start; at < start + NC_DIGITS; at++) {
    const digit = HEX[bytes[at]!]!;
    if (digit === NOT_HEX) return 0;
    count = count * 16 + digit;
  }
  return count;
}
