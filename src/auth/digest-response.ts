/** The digests of one request that is authenticated (RFC 7616 3.4.1 to 3.4.3, 3.5; RFC 3261 22.4 and RFC 8760 2.6 item 7 for
 *  empty bodies). Runs on the shard. Hot: once per request that is authenticated; see digest-hash.ts for what it allocates.
 *
 *  ```
 *  response   H( hex(HA1) : nonce : nc : cnonce : qop : hex(H(A2)) )     without qop   H( hex(HA1) : nonce : hex(H(A2)) )
 *  A2         Method : uri                                               auth-int      Method : uri : hex(H(body))
 *  rspauth    the same with an A2 that has no method
 *  ``` */

import { equalBytes, viewOf } from '../base/spans.ts';
import { ALGORITHM, type Algorithm, DIGEST_BYTES, MAX_DIGEST_BYTES } from './algorithms.ts';
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
  readonly #bodyDigest = new Uint8Array(MAX_DIGEST_BYTES);
  readonly #a2Digest = new Uint8Array(MAX_DIGEST_BYTES);
  /** The last A2 without a body, whose digest is in `#a2Digest`: the REGISTERs of a domain all have the same. */
  readonly #keptA2 = new Uint8Array(KEPT_A2_BYTES);
  readonly #keptView = viewOf(this.#keptA2);
  #keptBytes = -1;
  #keptAlgorithm: Algorithm = ALGORITHM.MD5;

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
    const digestBytes = DIGEST_BYTES[algorithm];
    this.#hashA2(credentials, algorithm, coversBody, subject);
    hash.begin();
    hash.addHex(ha1, 0, digestBytes);
    this.#addField(credentials, FIELD.NONCE);
    if (hasQop) {
      this.#addField(credentials, FIELD.NC);
      this.#addField(credentials, FIELD.CNONCE);
      this.#addField(credentials, FIELD.QOP);
    }
    hash.addByte(COLON);
    hash.addHex(this.#a2Digest, 0, digestBytes);
    hash.finish(algorithm, target, 0);
  }

  #hashA2(credentials: DigestCredentials, algorithm: Algorithm, coversBody: boolean, subject: DigestSubject): void {
    const hash = this.#hash;
    if (coversBody) {
      hash.begin();
      hash.add(subject.text, subject.bodyStart, subject.bodyEnd);
      hash.finish(algorithm, this.#bodyDigest, 0);
    } else if (this.#isKept(credentials, algorithm, subject)) {
      return;
    }
    hash.begin();
    hash.add(subject.text, subject.methodStart, subject.methodEnd);
    this.#addField(credentials, FIELD.URI);
    if (coversBody) {
      hash.addByte(COLON);
      hash.addHex(this.#bodyDigest, 0, DIGEST_BYTES[algorithm]);
    }
    this.#keptBytes = coversBody ? -1 : hash.copyTo(this.#keptA2);
    this.#keptAlgorithm = algorithm;
    hash.finish(algorithm, this.#a2Digest, 0);
  }

  /** True if the A2 is the one whose digest was made last. */
  #isKept(credentials: DigestCredentials, algorithm: Algorithm, subject: DigestSubject): boolean {
    const { text, methodStart, methodEnd } = subject;
    const uri = credentials.text.view;
    const uriStart = credentials.start(FIELD.URI);
    const uriBytes = credentials.lengthOf(FIELD.URI);
    const methodBytes = methodEnd - methodStart;
    const kept = this.#keptA2;
    if (this.#keptBytes !== methodBytes + 1 + uriBytes || this.#keptAlgorithm !== algorithm) return false;
    return (
      kept[methodBytes] === COLON &&
      equalBytes(text, methodStart, methodEnd, this.#keptView, 0) &&
      equalBytes(uri, uriStart, uriStart + uriBytes, this.#keptView, methodBytes + 1)
    );
  }

  #addField(credentials: DigestCredentials, field: number): void {
    this.#hash.addByte(COLON);
    this.#hash.add(credentials.text.view, credentials.start(field), credentials.end(field));
  }
}
