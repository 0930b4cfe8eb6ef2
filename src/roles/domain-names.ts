/** The names of our domains, however many, compared without regard to case and to a closing dot (RFC 3261 19.1.4, RFC 4343).
 *  Compiled once. `find` is hot, a few times per request: allocates nothing. */

import { ascii } from '../base/ascii.ts';

/** So few are compared one by one: that is faster than a hash. */
const MAX_LISTED = 4;
const DOT = 0x2e;
const PRIME = 0x0100_0193;
const SEED = 0x811c_9dc5 | 0;

export class DomainNames {
  /** All names, one behind the other. */
  readonly #text: Uint8Array;
  /** Where each begins, and behind the last where it ends. */
  readonly #starts: Int32Array;
  /** Domain + 1 in the place that its hash says, or behind it; 0: empty. */
  readonly #places: Int32Array;
  readonly #maxBytes: number;

  /** In lower case. */
  constructor(names: readonly string[]) {
    this.#text = ascii(names.join(''));
    this.#starts = new Int32Array(names.length + 1);
    this.#places = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(1, 2 * names.length))));
    let maxBytes = 0;
    let start = 0;
    for (const [domain, name] of names.entries()) {
      this.#starts[domain] = start;
      start += name.length;
      maxBytes = Math.max(maxBytes, name.length);
      this.#place(domain, start);
    }
    this.#starts[names.length] = start;
    this.#maxBytes = maxBytes;
  }

  /** The domain that [start, end) of `bytes` names, −1 if it is none. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end > start && bytes[end - 1] === DOT ? end - start - 1 : end - start;
    if (length > this.#maxBytes) return -1;
    const count = this.#starts.length - 1;
    if (count <= MAX_LISTED) {
      for (let domain = 0; domain < count; domain++) if (this.#isName(domain, bytes, start, length)) return domain;
      return -1;
    }
    const places = this.#places;
    const mask = places.length - 1;
    for (let at = hashOf(bytes, start, start + length) & mask; places[at] !== 0; at = (at + 1) & mask) {
      if (this.#isName(places[at]! - 1, bytes, start, length)) return places[at]! - 1;
    }
    return -1;
  }

  #isName(domain: number, bytes: Uint8Array, start: number, length: number): boolean {
    const own = this.#starts[domain]!;
    if (this.#starts[domain + 1]! - own !== length) return false;
    const text = this.#text;
    for (let i = 0; i < length; i++) {
      const byte = bytes[start + i]!;
      if (byte !== text[own + i] && lower(byte) !== text[own + i]) return false;
    }
    return true;
  }

  #place(domain: number, end: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let at = hashOf(this.#text, this.#starts[domain]!, end) & mask;
    while (places[at] !== 0) at = (at + 1) & mask;
    places[at] = domain + 1;
  }
}

/** FNV-1a, over small letters. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = SEED;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ lower(bytes[i]!), PRIME);
  return hash ^ (hash >>> 15);
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
