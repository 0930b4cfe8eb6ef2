/** Nonces of our own (RFC 7616 3.3): each proves by a signature that it is ours, how old it is and for which realm, so none is
 *  remembered to be accepted. Which counts of them were used is in a table that all shards share (nonce-counts.ts). Runs on
 *  the shard, one Nonces for each. Hot: once or twice for each request that is authenticated or challenged, allocates nothing.
 *
 *  ```
 *  32 characters of base64url:  created, seconds (4 bytes) | entry (4) | generation (4) | signature (12)
 *  ``` */

import { createHash } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { wordsOf } from '../base/cache-lines.ts';
import { MAX_NONCE_COUNT, NonceCounts, type Use } from './nonce-counts.ts';
import { SIPHASH_KEY_WORDS, SIPHASH_WORDS, siphash } from './siphash.ts';

/** Length of a nonce's text. */
export const NONCE_CHARS = 32;
/** A secret has at least so many bytes. */
const MIN_SECRET_BYTES = 16;

/** What a nonce is. */
export const NONCE = { OK: 0, EXPIRED: 1, FORGED: 2 } as const;
export type NonceState = (typeof NONCE)[keyof typeof NONCE];

/** Clocks of one machine may step back so far. */
const MAX_AHEAD_SEC = 60;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const NOT_BASE64 = 64;
const ENCODE = new Uint8Array(64);
const DECODE = new Uint8Array(256).fill(NOT_BASE64);
for (let value = 0; value < 64; value++) {
  ENCODE[value] = ALPHABET.charCodeAt(value);
  DECODE[ALPHABET.charCodeAt(value)] = value;
}

/** Words of a nonce, and of the block that is signed: the first three are in both. */
const CREATED = 0;
const ENTRY = 1;
const GENERATION = 2;
const SIGNED_REALM = 3;
const SIGNED_SALT = 4;
const SIGNED_WORDS = 6;
const SIGNATURE = 3;
const SIGNATURE_WORDS = 3;
const NONCE_WORDS = SIGNATURE + SIGNATURE_WORDS;

export class Nonces {
  readonly #counts: NonceCounts;
  readonly #lifetimeSec: number;
  readonly #key: Int32Array;
  readonly #signed = new Int32Array(SIGNED_WORDS);
  readonly #signature = new Int32Array(SIPHASH_WORDS);
  readonly #nonce = new Int32Array(NONCE_WORDS);

  /** Opens the table on a thread. All threads have the same secret; a nonce is good with the table and the secret it was made
   *  with, for `lifetimeSec`. */
  constructor(buffer: SharedArrayBuffer, secret: Uint8Array, lifetimeSec: number) {
    this.#counts = new NonceCounts(wordsOf(buffer));
    assert(secret.length >= MIN_SECRET_BYTES, 'the secret of the nonces is too short');
    assert(lifetimeSec > 0 && lifetimeSec < 2 ** 30, 'lifetimeSec out of range');
    this.#lifetimeSec = lifetimeSec;
    this.#key = keyOf(secret);
    this.#signed[SIGNED_SALT] = this.#counts.salt;
    this.#signed[SIGNED_SALT + 1] = this.#counts.moreSalt;
  }

  /** Writes a new nonce of NONCE_CHARS, good for the realm with this mark. Returns where it ends. */
  write(target: Uint8Array, at: number, realm: number, nowMs: number): number {
    const nonce = this.#nonce;
    this.#counts.issue();
    nonce[CREATED] = Math.floor(nowMs / 1000);
    nonce[ENTRY] = this.#counts.entry;
    nonce[GENERATION] = this.#counts.generation;
    this.#sign(realm);
    for (let i = 0; i < SIGNATURE_WORDS; i++) nonce[SIGNATURE + i] = this.#signature[i]!;
    return encode(nonce, target, at);
  }

  /** What the text in [start, end) is as a nonce for the realm with this mark. If it is one, `use` is for it. */
  check(bytes: Uint8Array, start: number, end: number, realm: number, nowMs: number): NonceState {
    const nonce = this.#nonce;
    if (end - start !== NONCE_CHARS || !decode(bytes, start, nonce)) return NONCE.FORGED;
    this.#sign(realm);
    let difference = 0;
    for (let i = 0; i < SIGNATURE_WORDS; i++) difference |= nonce[SIGNATURE + i]! ^ this.#signature[i]!;
    if (difference !== 0) return NONCE.FORGED;
    const ageSec = this.#ageSec(nowMs);
    return ageSec < this.#lifetimeSec && ageSec >= -MAX_AHEAD_SEC ? NONCE.OK : NONCE.EXPIRED;
  }

  /** Uses up `count` of the nonce that `check` found OK last, as NonceCounts.use says. */
  use(count: number, transaction: number, nowMs: number): Use {
    return this.#counts.use(this.#nonce[ENTRY]!, this.#nonce[GENERATION]!, count, transaction, nowMs);
  }

  /** True if the client had better get another nonce soon: three quarters of the time or the counts of the nonce that `check`
   *  found OK last are over. */
  isEnding(count: number, nowMs: number): boolean {
    return this.#ageSec(nowMs) >= this.#lifetimeSec * 0.75 || count >= MAX_NONCE_COUNT * 0.75;
  }

  #ageSec(nowMs: number): number {
    return (Math.floor(nowMs / 1000) - this.#nonce[CREATED]!) | 0;
  }

  /** Leaves the signature of the first words of the nonce in `#signature`, which is longer than what a nonce has of it. */
  #sign(realm: number): void {
    const signed = this.#signed;
    for (let i = 0; i < SIGNATURE; i++) signed[i] = this.#nonce[i]!;
    signed[SIGNED_REALM] = realm;
    siphash(this.#key, signed, SIGNED_WORDS, this.#signature);
  }
}

/** A key that has all of the secret in it, whatever its length. */
function keyOf(secret: Uint8Array): Int32Array {
  const digest = createHash('sha256').update('nonces').update(secret).digest();
  return Int32Array.from({ length: SIPHASH_KEY_WORDS }, (_, word) => digest.readInt32LE(word * 4));
}

/** Writes the words, high byte first, as base64url (RFC 4648 section 5). Returns where they end. */
function encode(words: Int32Array, target: Uint8Array, to: number): number {
  let at = to;
  for (let i = 0; i < NONCE_WORDS; i += 3) {
    // Three words are sixteen characters.
    at = encode24(words[i]! >>> 8, target, at);
    at = encode24(((words[i]! & 0xff) << 16) | (words[i + 1]! >>> 16), target, at);
    at = encode24(((words[i + 1]! & 0xffff) << 8) | (words[i + 2]! >>> 24), target, at);
    at = encode24(words[i + 2]! & 0xffffff, target, at);
  }
  return at;
}

function encode24(bits: number, target: Uint8Array, at: number): number {
  target[at] = ENCODE[bits >>> 18]!;
  target[at + 1] = ENCODE[(bits >>> 12) & 63]!;
  target[at + 2] = ENCODE[(bits >>> 6) & 63]!;
  target[at + 3] = ENCODE[bits & 63]!;
  return at + 4;
}

/** The reverse: each nonce has one text. False if other characters are in it. */
function decode(bytes: Uint8Array, start: number, words: Int32Array): boolean {
  let wrong = 0;
  for (let i = 0, at = start; i < NONCE_WORDS; i += 3, at += 16) {
    const a = decode24(bytes, at);
    const b = decode24(bytes, at + 4);
    const c = decode24(bytes, at + 8);
    const d = decode24(bytes, at + 12);
    wrong |= a | b | c | d;
    words[i] = (a << 8) | (b >>> 16);
    words[i + 1] = (b << 16) | ((c >>> 8) & 0xffff);
    words[i + 2] = (c << 24) | (d & 0xffffff);
  }
  return wrong >= 0;
}

/** 24 bits of four characters; negative if one of them is none. */
function decode24(bytes: Uint8Array, at: number): number {
  const a = DECODE[bytes[at]!]!;
  const b = DECODE[bytes[at + 1]!]!;
  const c = DECODE[bytes[at + 2]!]!;
  const d = DECODE[bytes[at + 3]!]!;
  const isWrong = ((a | b | c | d) & NOT_BASE64) !== 0;
  return isWrong ? -1 : (a << 18) | (b << 12) | (c << 6) | d;
}
