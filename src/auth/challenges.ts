/** The header fields that we write for digest authentication: WWW-Authenticate and Proxy-Authenticate (RFC 3261 22.2, 22.3;
 *  RFC 7616 3.3; RFC 8760 2.3), Authentication-Info (RFC 7616 3.5). Runs on the shard. Hot under load, once per request
 *  without credentials: allocates nothing, writes into the caller's memory.
 *
 *  ```
 *  WWW-Authenticate: Digest realm="example.com", nonce="…", algorithm=SHA-256, qop="auth"
 *  ``` */

import { ascii } from '../base/ascii.ts';
import { ALGORITHM_NAMES, DIGEST_BYTES, MAX_DIGEST_BYTES } from './algorithms.ts';
import { type DigestVerifier, MAX_CNONCE_BYTES, QOP } from './digest.ts';
import { FIELD } from './digest-credentials.ts';
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
const STALE = ascii(', stale=true');
const LINE_END = ascii('\r\n');
const INFO = ascii('Authentication-Info: qop=');
const AUTH = ascii('auth');
const AUTH_INT = ascii('auth-int');
const RSPAUTH = ascii(', rspauth="');
const CNONCE = ascii('", cnonce="');
const NC = ascii('", nc=');
const NEXT_NONCE = ascii(', nextnonce="');
const CLOSE = ascii('"');

/** What `writeAuthenticationInfo` writes is at most so long. */
export const MAX_AUTHENTICATION_INFO_BYTES = 256 + 2 * MAX_CNONCE_BYTES;

const rspauth = new Uint8Array(MAX_DIGEST_BYTES);

/** The challenges of one realm. */
export class Challenges {
  readonly #realm: Realm;
  readonly #nonces: Nonces;
  /** By CHALLENGE: what stands before the nonce. */
  readonly #starts: readonly Uint8Array[];
  /** What stands behind it, for each algorithm that is offered. */
  readonly #ends: readonly Uint8Array[];
  /** What `write` writes is at most so long. */
  readonly maxBytes: number;

  constructor(realm: Realm, nonces: Nonces) {
    const qop = realm.offersAuthInt ? 'auth,auth-int' : 'auth';
    const opaque = realm.opaque === null ? '' : `, opaque="${textOf(quoted(realm.opaque))}"`;
    this.#realm = realm;
    this.#nonces = nonces;
    this.#starts = STARTS.map((start) => Uint8Array.from([...start, ...quoted(realm.name), ...NONCE]));
    this.#ends = realm.algorithms.map((algorithm) =>
      ascii(`", algorithm=${ALGORITHM_NAMES[algorithm]}, qop="${qop}"${opaque}`),
    );
    const startBytes = this.#starts[CHALLENGE.PROXY]!.length + NONCE_CHARS + STALE.length + LINE_END.length;
    this.maxBytes = this.#ends.reduce((sum, end) => sum + startBytes + end.length, 0);
  }

  /** Writes the header fields with a new nonce, one for each algorithm, the most preferred first. Returns where they end.
   *  `target` has room for `maxBytes`. */
  write(target: Uint8Array, to: number, challenge: Challenge, isStale: boolean, nowMs: number): number {
    const start = this.#starts[challenge]!;
    let nonce = -1;
    let at = to;
    for (let i = 0; i < this.#ends.length; i++) {
      at = put(start, target, at);
      const here = at;
      at = nonce === -1 ? this.#nonces.write(target, at, this.#realm.mark, nowMs) : copy(target, nonce, at);
      nonce = here;
      at = put(this.#ends[i]!, target, at);
      if (isStale) at = put(STALE, target, at);
      at = put(LINE_END, target, at);
    }
    return at;
  }
}

/** Writes an Authentication-Info for the 2xx response to the request that the verifier found OK last: the proof that we know
 *  the password too, and another nonce if the one in use is about to end. The body of the response, for auth-int, is
 *  [bodyStart, bodyEnd) of `body`. Returns where it ends: at `to` for a client without qop, which would not understand it
 *  (RFC 3261 22.4). `target` has room for MAX_AUTHENTICATION_INFO_BYTES. */
export function writeAuthenticationInfo(
  target: Uint8Array,
  to: number,
  verifier: DigestVerifier,
  realm: Realm,
  nonces: Nonces,
  body: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
  nowMs: number,
): number {
  const { credentials, qop } = verifier;
  if (qop === QOP.NONE) return to;
  const { bytes } = credentials.text;
  const isEnding = nonces.isEnding(verifier.nonceCount, nowMs);
  verifier.writeRspauth(body, bodyStart, bodyEnd, rspauth);
  let at = put(INFO, target, to);
  at = put(qop === QOP.AUTH ? AUTH : AUTH_INT, target, at);
  at = put(RSPAUTH, target, at);
  at = writeHex(rspauth, 0, DIGEST_BYTES[verifier.algorithm], target, at);
  at = put(CNONCE, target, at);
  at = putQuoted(bytes, credentials.start(FIELD.CNONCE), credentials.end(FIELD.CNONCE), target, at);
  at = put(NC, target, at);
  for (let i = credentials.start(FIELD.NC); i < credentials.end(FIELD.NC); i++) target[at++] = bytes[i]!;
  if (isEnding) {
    at = put(NEXT_NONCE, target, at);
    at = nonces.write(target, at, realm.mark, nowMs);
    at = put(CLOSE, target, at);
  }
  return put(LINE_END, target, at);
}

function put(text: Uint8Array, target: Uint8Array, to: number): number {
  for (let i = 0; i < text.length; i++) target[to + i] = text[i]!;
  return to + text.length;
}

function copy(target: Uint8Array, nonce: number, to: number): number {
  for (let i = 0; i < NONCE_CHARS; i++) target[to + i] = target[nonce + i]!;
  return to + NONCE_CHARS;
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
