/** The header fields that we write for digest authentication: WWW-Authenticate and Proxy-Authenticate (RFC 3261 22.2, 22.3;
 *  RFC 7616 3.3; RFC 8760 2.3), Authentication-Info (RFC 7616 3.5). Runs on the shard. Hot under load, once per request
 *  without credentials: allocates nothing, writes into the caller's memory.
 *
 *  ```
 *  WWW-Authenticate: Digest realm="example.com", nonce="…", algorithm=SHA-256, qop="auth"
 *  ``` */

import { ascii, Literal, literal } from '../base/ascii.ts';
import { copyBytes } from '../base/spans.ts';
import { ALGORITHM_NAMES, DIGEST_BYTES, MAX_DIGEST_BYTES } from './algorithms.ts';
import { type DigestVerifier, MAX_CNONCE_BYTES, QOP } from './digest.ts';
import { FIELD, type Text } from './digest-credentials.ts';
import { writeHex } from './digest-hash.ts';
import { NONCE_CHARS, type Nonces } from './nonces.ts';
import type { Realm } from './realm.ts';

/** Which header field challenges: that of 401 or of 407. */
export const CHALLENGE = { WWW: 0, PROXY: 1 } as const;
export type Challenge = (typeof CHALLENGE)[keyof typeof CHALLENGE];

const DQUOTE = 0x22;
const BACKSLASH = 0x5c;
const STARTS = ['WWW-Authenticate: Digest realm="', 'Proxy-Authenticate: Digest realm="'].map(ascii);
const NONCE = ascii('", nonce="');
const STALE = literal(', stale=true');
const LINE_END = literal('\r\n');
const INFO = literal('Authentication-Info: qop=');
const AUTH = literal('auth');
const AUTH_INT = literal('auth-int');
const RSPAUTH = literal(', rspauth="');
const CNONCE = literal('", cnonce="');
const NC = literal('", nc=');
const NEXT_NONCE = literal(', nextnonce="');
const CLOSE = literal('"');

/** What `writeAuthenticationInfo` writes is at most so long. */
export const MAX_AUTHENTICATION_INFO_BYTES = 256 + 2 * MAX_CNONCE_BYTES;

const rspauth = new Uint8Array(MAX_DIGEST_BYTES);

/** The challenges of one realm. */
export class Challenges {
  readonly #realm: Realm;
  readonly #nonces: Nonces;
  /** By CHALLENGE: what stands before the nonce. */
  readonly #starts: readonly Literal[];
  /** What stands behind it, for each algorithm that is offered. */
  readonly #ends: readonly Literal[];
  /** What `write` writes is at most so long. */
  readonly maxBytes: number;

  constructor(realm: Realm, nonces: Nonces) {
    const qop = realm.offersAuthInt ? 'auth,auth-int' : 'auth';
    const opaque = realm.opaque === null ? '' : `, opaque="${textOf(quoted(realm.opaque))}"`;
    this.#realm = realm;
    this.#nonces = nonces;
    this.#starts = STARTS.map(
      (start) => new Literal(Uint8Array.from([...start, ...quoted(realm.name.bytes), ...NONCE])),
    );
    this.#ends = realm.algorithms.map((algorithm) =>
      literal(`", algorithm=${ALGORITHM_NAMES[algorithm]}, qop="${qop}"${opaque}`),
    );
    const startBytes = this.#starts[CHALLENGE.PROXY]!.length + NONCE_CHARS + STALE.length + LINE_END.length;
    this.maxBytes = this.#ends.reduce((sum, end) => sum + startBytes + end.length, 0);
  }

  /** Writes the header fields with a new nonce, one for each algorithm, the most preferred first. Returns where they end.
   *  `target` has room for `maxBytes`. */
  write({ bytes, view }: Text, to: number, challenge: Challenge, isStale: boolean, nowMs: number): number {
    const start = this.#starts[challenge]!;
    let nonce = -1;
    let at = to;
    for (let i = 0; i < this.#ends.length; i++) {
      at = start.copyTo(view, at);
      const here = at;
      at =
        nonce === -1
          ? this.#nonces.write(bytes, at, this.#realm.mark, nowMs)
          : copyBytes(view, nonce, nonce + NONCE_CHARS, view, at);
      nonce = here;
      at = this.#ends[i]!.copyTo(view, at);
      if (isStale) at = STALE.copyTo(view, at);
      at = LINE_END.copyTo(view, at);
    }
    return at;
  }
}

/** Writes an Authentication-Info for the 2xx response to the request that the verifier found OK last: the proof that we know
 *  the password too, and another nonce if the one in use is about to end. The body of the response, for auth-int, is
 *  [bodyStart, bodyEnd) of `body`. Returns where it ends: at `to` for a client without qop, which would not understand it
 *  (RFC 3261 22.4). `target` has room for MAX_AUTHENTICATION_INFO_BYTES. */
export function writeAuthenticationInfo(
  target: Text,
  to: number,
  verifier: DigestVerifier,
  realm: Realm,
  nonces: Nonces,
  body: DataView,
  bodyStart: number,
  bodyEnd: number,
  nowMs: number,
): number {
  const { credentials, qop } = verifier;
  if (qop === QOP.NONE) return to;
  const { text } = credentials;
  const { bytes, view } = target;
  const isEnding = nonces.isEnding(verifier.nonceCount, nowMs);
  verifier.writeRspauth(body, bodyStart, bodyEnd, rspauth);
  let at = INFO.copyTo(view, to);
  at = (qop === QOP.AUTH ? AUTH : AUTH_INT).copyTo(view, at);
  at = RSPAUTH.copyTo(view, at);
  at = writeHex(rspauth, 0, DIGEST_BYTES[verifier.algorithm], bytes, at);
  at = CNONCE.copyTo(view, at);
  at = putQuoted(text.bytes, credentials.start(FIELD.CNONCE), credentials.end(FIELD.CNONCE), bytes, at);
  at = NC.copyTo(view, at);
  at = copyBytes(text.view, credentials.start(FIELD.NC), credentials.end(FIELD.NC), view, at);
  if (isEnding) {
    at = NEXT_NONCE.copyTo(view, at);
    at = nonces.write(bytes, at, realm.mark, nowMs);
    at = CLOSE.copyTo(view, at);
  }
  return LINE_END.copyTo(view, at);
}

/** Writes the inside of a quoted string. */
function putQuoted(bytes: Uint8Array, start: number, end: number, target: Uint8Array, to: number): number {
  let at = to;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === DQUOTE || byte === BACKSLASH) target[at++] = BACKSLASH;
    target[at++] = byte;
  }
  return at;
}

function quoted(text: Uint8Array): Uint8Array {
  const target = new Uint8Array(text.length * 2);
  return target.subarray(0, putQuoted(text, 0, text.length, target, 0));
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
