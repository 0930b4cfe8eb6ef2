/** Texts put together piece by piece and hashed: H of RFC 7616 3.3, digits as in 3.2. Runs on the shard. Hot: two or three
 *  times for each request that is authenticated. MD5 allocates nothing; SHA-256 and SHA-512/256 are node:crypto's, which at
 *  the few blocks of a response takes half and a quarter of the time that JavaScript took, and leaves one string of 32
 *  characters (perf/micro/auth/hash.bench.ts). */

import { hash } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { copyBytes, viewOf } from '../base/spans.ts';
import { MAX_DATAGRAM_BYTES } from '../memory/layout.ts';
import { ALGORITHM, type Algorithm, NODE_HASHES } from './algorithms.ts';
import { MD5_PADDING_BYTES, md5 } from './md5.ts';

/** All that a message can bring, and what is hashed with it that it did not bring. */
const CAPACITY_BYTES = MAX_DATAGRAM_BYTES + 4096;
/** Views of texts up to this length are kept: node:crypto wants one of the right length. */
const KEPT_VIEW_BYTES = 512;

const HEX_DIGITS = new Uint8Array(16);
for (let value = 0; value < 16; value++) HEX_DIGITS[value] = value.toString(16).charCodeAt(0);

/** `begin`, any number of `add…`, `finish`; then it can begin again. A text of more than CAPACITY_BYTES is an assertion. */
export class DigestHash {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #texts: (Uint8Array<ArrayBuffer> | null)[] = new Array(KEPT_VIEW_BYTES + 1).fill(null);
  #length = 0;

  constructor() {
    this.#words = new Int32Array((CAPACITY_BYTES + MD5_PADDING_BYTES + 3) >> 2);
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#view = viewOf(this.#bytes);
  }

  /** Forgets what was added. */
  begin(): void {
    this.#length = 0;
  }

  /** Adds the bytes [start, end). */
  add(text: DataView, start: number, end: number): void {
    assert(this.#length + end - start <= CAPACITY_BYTES, 'a text to hash is longer than any message');
    this.#length = copyBytes(text, start, end, this.#view, this.#length);
  }

  addByte(byte: number): void {
    this.#bytes[this.#length++] = byte;
  }

  /** Adds the bytes [start, end) as hexadecimal digits, small letters. */
  addHex(bytes: Uint8Array, start: number, end: number): void {
    this.#length = writeHex(bytes, start, end, this.#bytes, this.#length);
  }

  /** Bytes that were added. */
  get length(): number {
    return this.#length;
  }

  /** Forgets all but the first bytes: of what was added, and finished or not, it can go on from there. */
  truncate(length: number): void {
    assert(length <= this.#length, 'truncated to more than there is');
    this.#length = length;
  }

  /** Writes the digest of everything since `begin`, as long as DIGEST_BYTES says. */
  finish(algorithm: Algorithm, target: Uint8Array, at: number): void {
    const length = this.#length;
    assert(length <= CAPACITY_BYTES, 'a text to hash is longer than any message');
    if (algorithm === ALGORITHM.MD5) {
      md5(this.#bytes, this.#words, length, target, at);
      return;
    }
    const digest = hash(NODE_HASHES[algorithm], this.#viewOf(length), 'latin1');
    for (let i = 0; i < digest.length; i++) target[at + i] = digest.charCodeAt(i);
  }

  #viewOf(length: number): Uint8Array<ArrayBuffer> {
    const kept = length <= KEPT_VIEW_BYTES ? this.#texts[length]! : null;
    if (kept !== null) return kept;
    const view = this.#bytes.subarray(0, length);
    if (length <= KEPT_VIEW_BYTES) this.#texts[length] = view;
    return view;
  }
}

/** Writes the bytes [start, end) as hexadecimal digits, small letters. Returns where they end. */
export function writeHex(bytes: Uint8Array, start: number, end: number, target: Uint8Array, to: number): number {
  let at = to;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    target[at++] = HEX_DIGITS[byte >>> 4]!;
    target[at++] = HEX_DIGITS[byte & 15]!;
  }
  return at;
}
