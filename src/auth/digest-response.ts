/** The digests of one request that is authenticated (RFC 7616 3.4.1 to 3.4.3, 3.5; RFC 3261 22.4 and RFC 8760 2.6 item 7 for
 *  empty bodies). Runs on the shard. Hot: once per request that is authenticated; see digest-hash.ts for what it allocates.
 *
 *  ```
 *  response   H( hex(HA1) : nonce : nc : cnonce : qop : hex(H(A2)) )     without qop   H( hex(HA1) : nonce : hex(H(A2)) )
 *  A2         Method : uri                                               auth-int      Method : uri : hex(H(body))
 *  rspauth    the same with an A2 that has no method
 *  ``` */

import { copyBytes, equalBytes, viewOf } from '../base/spans.ts';
import { type Algorithm, DIGEST_BYTES, MAX_DIGEST_BYTES } from './algorithms.ts';
import { type DigestCredentials, FIELD } from './digest-credentials.ts';
import { DigestHash } from './digest-hash.ts';

const COLON = 0x3a;
/** Longer texts of an A2 are hashed each time. */
const KEPT_A2_BYTES = 128;

/** Three spans and what they are of: a message's method (empty for rspauth) and body. */
export class DigestSubject {
  text: DataView = new DataView(new ArrayBuffer(0));
  methodStart = 0;
  methodEnd = 0;
  bodyStart = 0;
  bodyEnd = 0;
}

export class DigestResponse {
  readonly #hash = new DigestHash();
  readonly #a2Hash = new DigestHash();
  readonly #bodyDigest = new Uint8Array(MAX_DIGEST_BYTES);
  /** The REGISTERs of a domain all have the same A2, and their answers another one. */
  readonly #ofRequests = new KeptA2();
  readonly #ofAnswers = new KeptA2();
  /** What stands before the A2 in the response that was written last. */
  #prefixBytes = 0;

  /** Writes the digest that proves to know `ha1` for these credentials, which are plain, to `target`. `hasQop`: by qop, nc and
   *  cnonce of the credentials. `coversBody`: as auth-int does. */
  write(
    credentials: DigestCredentials,
    algorithm: Algorithm,
    ha1: Uint8Array,
    hasQop: boolean,
    coversBody: boolean,
    subject: DigestSubject,
    target: Uint8Array,
  ): void {
    const hash = this.#hash;
    hash.begin();
    hash.addHex(ha1, 0, DIGEST_BYTES[algorithm]);
    addField(hash, credentials, FIELD.NONCE);
    if (hasQop) {
      addField(hash, credentials, FIELD.NC);
      addField(hash, credentials, FIELD.CNONCE);
      addField(hash, credentials, FIELD.QOP);
    }
    hash.addByte(COLON);
    this.#prefixBytes = hash.length;
    this.#finish(this.#ofRequests, credentials, algorithm, coversBody, subject, target);
  }

  /** Writes the digest that answers those credentials, which were the last that `write` was for. */
  writeAnswer(
    credentials: DigestCredentials,
    algorithm: Algorithm,
    coversBody: boolean,
    subject: DigestSubject,
    target: Uint8Array,
  ): void {
    this.#hash.truncate(this.#prefixBytes);
    this.#finish(this.#ofAnswers, credentials, algorithm, coversBody, subject, target);
  }

  #finish(
    kept: KeptA2,
    credentials: DigestCredentials,
    algorithm: Algorithm,
    coversBody: boolean,
    subject: DigestSubject,
    target: Uint8Array,
  ): void {
    if (coversBody || !kept.isOf(credentials, algorithm, subject)) {
      this.#hashA2(credentials, algorithm, coversBody, subject, kept.digest);
      kept.note(coversBody ? null : credentials, algorithm, subject);
    }
    this.#hash.addHex(kept.digest, 0, DIGEST_BYTES[algorithm]);
    this.#hash.finish(algorithm, target, 0);
  }

  #hashA2(
    credentials: DigestCredentials,
    algorithm: Algorithm,
    coversBody: boolean,
    subject: DigestSubject,
    target: Uint8Array,
  ): void {
    const hash = this.#a2Hash;
    if (coversBody) {
      hash.begin();
      hash.add(subject.text, subject.bodyStart, subject.bodyEnd);
      hash.finish(algorithm, this.#bodyDigest, 0);
    }
    hash.begin();
    hash.add(subject.text, subject.methodStart, subject.methodEnd);
    addField(hash, credentials, FIELD.URI);
    if (coversBody) {
      hash.addByte(COLON);
      hash.addHex(this.#bodyDigest, 0, DIGEST_BYTES[algorithm]);
    }
    hash.finish(algorithm, target, 0);
  }
}

/** An A2 without a body, with its digest. */
class KeptA2 {
  readonly digest = new Uint8Array(MAX_DIGEST_BYTES);
  readonly #view = viewOf(new Uint8Array(KEPT_A2_BYTES));
  #methodBytes = 0;
  #uriBytes = 0;
  /** -1: none is kept. */
  #algorithm: Algorithm | -1 = -1;

  isOf(credentials: DigestCredentials, algorithm: Algorithm, { text, methodStart, methodEnd }: DigestSubject): boolean {
    const start = credentials.start(FIELD.URI);
    const end = credentials.end(FIELD.URI);
    const methodBytes = this.#methodBytes;
    const isLike =
      this.#algorithm === algorithm && methodEnd - methodStart === methodBytes && end - start === this.#uriBytes;
    return (
      isLike &&
      equalBytes(text, methodStart, methodEnd, this.#view, 0) &&
      equalBytes(credentials.text.view, start, end, this.#view, methodBytes)
    );
  }

  /** The digest is that of these, and with null of nothing that may come again. */
  note(
    credentials: DigestCredentials | null,
    algorithm: Algorithm,
    { text, methodStart, methodEnd }: DigestSubject,
  ): void {
    this.#algorithm = -1;
    if (credentials === null) return;
    const start = credentials.start(FIELD.URI);
    const end = credentials.end(FIELD.URI);
    if (methodEnd - methodStart + end - start > KEPT_A2_BYTES) return;
    this.#methodBytes = methodEnd - methodStart;
    this.#uriBytes = end - start;
    copyBytes(text, methodStart, methodEnd, this.#view, 0);
    copyBytes(credentials.text.view, start, end, this.#view, this.#methodBytes);
    this.#algorithm = algorithm;
  }
}

function addField(hash: DigestHash, credentials: DigestCredentials, field: number): void {
  hash.addByte(COLON);
  hash.add(credentials.text.view, credentials.start(field), credentials.end(field));
}
