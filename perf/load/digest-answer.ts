/** The Authorization of a UAC that was challenged (RFC 7616 3.4), by MD5. Hot: once per challenge, allocates nothing. */

import { ALGORITHM } from '../../src/auth/algorithms.ts';
import { DigestHash, writeHex } from '../../src/auth/digest-hash.ts';
import { type Literal, literal } from '../../src/base/ascii.ts';
import { viewOf } from '../../src/base/spans.ts';

const DIGEST_BYTES = 16;
const COLON = 0x3a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const SPACE = 0x20;
const EQUALS = 0x3d;

/** The longest header line `write` makes, if none of the challenge's parts is longer than MAX_PART_BYTES. */
export const MAX_AUTHORIZATION_BYTES = 1024;
const MAX_PART_BYTES = 200;

const ascii = (text: string) => new TextEncoder().encode(text);
const DIGEST = ascii('Digest ');
const REALM = ascii('realm');
const NONCE = ascii('nonce');
const QOP = ascii('qop');
const OPAQUE = ascii('opaque');
const AUTH = ascii('auth');
const COUNT_AND_CNONCE = literal('00000001:0a4f113b:auth');
const HEAD = ascii('Authorization: Digest username="');
const BEFORE_REALM = ascii('", realm="');
const BEFORE_NONCE = ascii('", nonce="');
const BEFORE_URI = ascii('", uri="');
const BEFORE_RESPONSE = ascii('", response="');
const BEFORE_QOP = ascii('", algorithm=MD5');
const WITH_QOP = ascii(', qop=auth, nc=00000001, cnonce="0a4f113b"');
const BEFORE_OPAQUE = ascii(', opaque="');
const LINE_END = ascii('\r\n');
const METHOD = literal('REGISTER:');

export class DigestAnswer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #hash = new DigestHash();
  readonly #password: Literal;
  readonly #uri: Literal;
  /** HA1, then HA2, then the response. */
  readonly #digests = new Uint8Array(3 * DIGEST_BYTES);
  #valueAt = 0;
  #valueEnd = 0;

  /** `bytes` holds the challenges and gets the answers; `uri` is the digest-uri of the REGISTER. */
  constructor(bytes: Uint8Array, password: string, uri: string) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#password = literal(password);
    this.#uri = literal(uri);
  }

  /** Answers the challenge [start, end), the value of WWW-Authenticate, for the user name at [user, userEnd). Writes a whole
   *  header line to `to` and returns its length; 0: this is no challenge that can be answered by MD5. */
  write(start: number, end: number, user: number, userEnd: number, to: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    if (!this.#begins(start, end, DIGEST)) return 0;
    if (!this.#find(start, end, REALM)) return 0;
    const realm = this.#valueAt;
    const realmEnd = this.#valueEnd;
    if (!this.#find(start, end, NONCE)) return 0;
    const nonce = this.#valueAt;
    const nonceEnd = this.#valueEnd;
    const hasQop = this.#find(start, end, QOP);
    if (hasQop && !this.#listHasAuth()) return 0;
    const hasOpaque = this.#find(start, end, OPAQUE);
    const opaque = this.#valueAt;
    const opaqueEnd = hasOpaque ? this.#valueEnd : opaque;
    if (Math.max(realmEnd - realm, nonceEnd - nonce, opaqueEnd - opaque) > MAX_PART_BYTES) return 0;

    const hash = this.#hash;
    const digests = this.#digests;
    hash.begin();
    hash.add(view, user, userEnd);
    hash.addByte(COLON);
    hash.add(view, realm, realmEnd);
    hash.addByte(COLON);
    hash.add(this.#password.view, 0, this.#password.length);
    hash.finish(ALGORITHM.MD5, digests, 0);
    hash.begin();
    hash.add(METHOD.view, 0, METHOD.length);
    hash.add(this.#uri.view, 0, this.#uri.length);
    hash.finish(ALGORITHM.MD5, digests, DIGEST_BYTES);
    hash.begin();
    hash.addHex(digests, 0, DIGEST_BYTES);
    hash.addByte(COLON);
    hash.add(view, nonce, nonceEnd);
    hash.addByte(COLON);
    if (hasQop) {
      hash.add(COUNT_AND_CNONCE.view, 0, COUNT_AND_CNONCE.length);
      hash.addByte(COLON);
    }
    hash.addHex(digests, DIGEST_BYTES, 2 * DIGEST_BYTES);
    hash.finish(ALGORITHM.MD5, digests, 2 * DIGEST_BYTES);

    let at = this.#put(HEAD, to);
    at = this.#copy(user, userEnd, at);
    at = this.#put(BEFORE_REALM, at);
    at = this.#copy(realm, realmEnd, at);
    at = this.#put(BEFORE_NONCE, at);
    at = this.#copy(nonce, nonceEnd, at);
    at = this.#put(BEFORE_URI, at);
    at = this.#put(this.#uri.bytes, at);
    at = this.#put(BEFORE_RESPONSE, at);
    at = writeHex(digests, 2 * DIGEST_BYTES, 3 * DIGEST_BYTES, bytes, at);
    at = this.#put(BEFORE_QOP, at);
    if (hasQop) at = this.#put(WITH_QOP, at);
    if (hasOpaque) {
      at = this.#put(BEFORE_OPAQUE, at);
      at = this.#copy(opaque, opaqueEnd, at);
      bytes[at++] = QUOTE;
    }
    return this.#put(LINE_END, at) - to;
  }

  /** Finds `name=value` or `name="value"` in a challenge, and keeps where the value is, without its quotes. */
  #find(start: number, end: number, name: Uint8Array): boolean {
    const bytes = this.#bytes;
    let at = start + DIGEST.length;
    while (at < end) {
      while (at < end && (bytes[at] === SPACE || bytes[at] === COMMA)) at++;
      const nameAt = at;
      while (at < end && bytes[at] !== EQUALS && bytes[at] !== COMMA) at++;
      const nameEnd = at;
      if (bytes[at] !== EQUALS) continue;
      at++;
      if (bytes[at] === QUOTE) {
        const valueAt = ++at;
        while (at < end && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
        this.#valueAt = valueAt;
        this.#valueEnd = Math.min(at++, end);
      } else {
        this.#valueAt = at;
        while (at < end && bytes[at] !== COMMA && bytes[at] !== SPACE) at++;
        this.#valueEnd = at;
      }
      if (nameEnd - nameAt === name.length && this.#begins(nameAt, nameEnd, name)) return true;
    }
    return false;
  }

  /** Whether the list just found has `auth` as a member. */
  #listHasAuth(): boolean {
    const bytes = this.#bytes;
    for (let at = this.#valueAt; at < this.#valueEnd; at++) {
      if (bytes[at] === COMMA || bytes[at] === SPACE) continue;
      let memberEnd = at;
      while (memberEnd < this.#valueEnd && bytes[memberEnd] !== COMMA && bytes[memberEnd] !== SPACE) memberEnd++;
      if (memberEnd - at === AUTH.length && this.#begins(at, memberEnd, AUTH)) return true;
      at = memberEnd;
    }
    return false;
  }

  /** Without regard to case; `text` has letters and spaces only. */
  #begins(start: number, end: number, text: Uint8Array): boolean {
    if (end - start < text.length) return false;
    for (let i = 0; i < text.length; i++) if ((this.#bytes[start + i]! | 0x20) !== (text[i]! | 0x20)) return false;
    return true;
  }

  #put(text: Uint8Array, to: number): number {
    for (let i = 0; i < text.length; i++) this.#bytes[to + i] = text[i]!;
    return to + text.length;
  }

  #copy(start: number, end: number, to: number): number {
    for (let i = start; i < end; i++) this.#bytes[to + i - start] = this.#bytes[i]!;
    return to + end - start;
  }
}
