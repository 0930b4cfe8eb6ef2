/** HA1s of users that patterns matched lately: to work one out takes a regular expression, a hash and some garbage. Runs on the shard.
 *  Hot: once for each request that is authenticated, `copy` allocates nothing.
 *
 *  Sets of places, as in the cache of a CPU: a name may be in any place of its set, where a tag for each tells the set in half a
 *  cache line. With one place to a name, of as many names as are three quarters of the places, a third would not be found. All of
 *  a place lies together in two cache lines:
 *  ```
 *  word 0 realm | 1 algorithm | 2 length of the name, 0: the place is empty | 4 the HA1, 32 bytes | 12 the name, 64 bytes
 *  ``` */

import { ownWords } from '../base/cache-lines.ts';
import { copyBytes, equalBytes } from '../base/spans.ts';
import { type Algorithm, DIGEST_BYTES } from './algorithms.ts';

/** As many as a test bed has users. The kernel gives memory for those that are used. */
const PLACES = 131_072;
/** Places of a set. */
export const WAYS = 8;
const NAME_BYTES = 64;
/** Words of a place. */
const PLACE_SHIFT = 5;
const LENGTH_WORD = 2;
const HA1_WORD = 4;
const NAME_WORD = 12;

export class PatternCache {
  readonly #tags: Int32Array;
  readonly #words: Int32Array;
  readonly #view: DataView;
  /** The first place of a set, from a hash. */
  readonly #setMask: number;
  /** Which of a full set the next newcomer takes. */
  #turn = 0;

  /** `places`: a power of two, WAYS at least. */
  constructor(places = PLACES) {
    this.#tags = ownWords(places);
    this.#words = ownWords(places << PLACE_SHIFT);
    this.#view = new DataView(this.#words.buffer, this.#words.byteOffset);
    this.#setMask = (places - 1) & ~(WAYS - 1);
  }

  /** Copies the HA1 of the name in [start, end), whose hash is `hashed`, to `target` if it is here. */
  copy(
    hashed: number,
    realm: number,
    text: DataView,
    start: number,
    end: number,
    algorithm: Algorithm,
    target: Uint8Array,
  ): boolean {
    if (end === start) return false;
    const tags = this.#tags;
    const first = hashed & this.#setMask;
    const tag = hashed | 0;
    for (let place = first; place < first + WAYS; place++) {
      if (tags[place] !== tag || !this.#isAt(place, realm, text, start, end, algorithm)) continue;
      const ha1 = ((place << PLACE_SHIFT) + HA1_WORD) << 2;
      for (let i = 0; i < DIGEST_BYTES[algorithm]; i++) target[i] = this.#view.getUint8(ha1 + i);
      return true;
    }
    return false;
  }

  /** Names that are longer than a place has room for are worked out each time. One that is here already must not be kept again. */
  keep(
    hashed: number,
    realm: number,
    text: DataView,
    start: number,
    end: number,
    algorithm: Algorithm,
    ha1: Uint8Array,
  ): void {
    if (end - start > NAME_BYTES || end === start) return;
    const place = this.#placeFor(hashed & this.#setMask);
    const at = place << PLACE_SHIFT;
    this.#tags[place] = hashed;
    this.#words[at] = realm;
    this.#words[at + 1] = algorithm;
    this.#words[at + LENGTH_WORD] = end - start;
    for (let i = 0; i < DIGEST_BYTES[algorithm]; i++) this.#view.setUint8(((at + HA1_WORD) << 2) + i, ha1[i]!);
    copyBytes(text, start, end, this.#view, (at + NAME_WORD) << 2);
  }

  #isAt(place: number, realm: number, text: DataView, start: number, end: number, algorithm: Algorithm): boolean {
    const words = this.#words;
    const at = place << PLACE_SHIFT;
    const isLike = words[at] === realm && words[at + 1] === algorithm && words[at + LENGTH_WORD] === end - start;
    return isLike && equalBytes(text, start, end, this.#view, (at + NAME_WORD) << 2);
  }

  #placeFor(first: number): number {
    for (let place = first; place < first + WAYS; place++) {
      if (this.#words[(place << PLACE_SHIFT) + LENGTH_WORD] === 0) return place;
    }
    this.#turn = (this.#turn + 1) % WAYS;
    return first + this.#turn;
  }
}
