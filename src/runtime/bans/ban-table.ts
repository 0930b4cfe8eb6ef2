/** Banned sources as the intake looks them up: a hash table over the address blocks, in shared memory, never changed once it is
 *  there; a change is another table. The intake's thread asks once per datagram. Hot, allocates nothing.
 *
 *  ```
 *  word 0 count of masks | 1 buckets − 1 | 2, 3 spare
 *  then masks: family | mask × 4                        (blocks of one prefix length share one)
 *  then buckets: number of the mask + 1 | address × 4   (0: empty; the next one is tried then)
 *  ```
 *  Addresses are as in a slot: bytes in network order, IPv4 in the first word with zeros behind it. A look-up costs one probe
 *  for each prefix length in use, of which there are few: /32 for the most part. */

import type { Cidr } from '../../config/cidr.ts';
import { SLOT } from '../../memory/layout.ts';

const HEAD_WORDS = 4;
const MASK_WORDS = 5;
const BUCKET_WORDS = 5;

/** A table of these blocks; null: there are none. Cold. */
export function buildBanTable(blocks: readonly Cidr[]): SharedArrayBuffer | null {
  if (blocks.length === 0) return null;
  const masks: { readonly key: string; readonly family: number; readonly words: Int32Array }[] = [];
  const entries = blocks.map(({ family, bytes, prefixBits }) => {
    const key = `${family}/${prefixBits}`;
    let mask = masks.findIndex((other) => other.key === key);
    if (mask < 0) mask = masks.push({ key, family, words: maskOf(family, prefixBits) }) - 1;
    const address = new Uint8Array(16);
    address.set(bytes);
    return { mask, words: new Int32Array(address.buffer) };
  });
  let buckets = 4;
  while (buckets < 2 * entries.length) buckets *= 2;
  const buffer = new SharedArrayBuffer((HEAD_WORDS + masks.length * MASK_WORDS + buckets * BUCKET_WORDS) * 4);
  const words = new Int32Array(buffer);
  words[0] = masks.length;
  words[1] = buckets - 1;
  for (const [i, mask] of masks.entries()) words.set([mask.family, ...mask.words], HEAD_WORDS + i * MASK_WORDS);
  const first = HEAD_WORDS + masks.length * MASK_WORDS;
  for (const { mask, words: address } of entries) {
    let bucket = hashOf(mask, address[0]!, address[1]!, address[2]!, address[3]!) & (buckets - 1);
    while (words[first + bucket * BUCKET_WORDS] !== 0) bucket = (bucket + 1) & (buckets - 1);
    words.set([mask + 1, ...address], first + bucket * BUCKET_WORDS);
  }
  return buffer;
}

export class BanTable {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #maskCount: number;
  readonly #bucketMask: number;
  readonly #firstBucket: number;

  constructor(buffer: SharedArrayBuffer) {
    const words = new Int32Array(buffer);
    this.#words = words;
    this.#maskCount = words[0]!;
    this.#bucketMask = words[1]!;
    this.#firstBucket = HEAD_WORDS + this.#maskCount * MASK_WORDS;
  }

  /** Whether the datagram in the slot that begins at `slotWord` of `arena` came from a banned source. */
  hasSource(arena: Int32Array<SharedArrayBuffer>, slotWord: number): boolean {
    const words = this.#words;
    const family = arena[slotWord + SLOT.FAMILY_WORD]!;
    const source = slotWord + SLOT.SOURCE_WORD;
    for (let mask = 0; mask < this.#maskCount; mask++) {
      const at = HEAD_WORDS + mask * MASK_WORDS;
      if (words[at] !== family) continue;
      if (
        this.#has(
          mask,
          arena[source]! & words[at + 1]!,
          arena[source + 1]! & words[at + 2]!,
          arena[source + 2]! & words[at + 3]!,
          arena[source + 3]! & words[at + 4]!,
        )
      ) {
        return true;
      }
    }
    return false;
  }

  #has(mask: number, first: number, second: number, third: number, fourth: number): boolean {
    const words = this.#words;
    // At most half of the buckets are in use, so that an empty one ends every search.
    for (let bucket = hashOf(mask, first, second, third, fourth) & this.#bucketMask; ; ) {
      const at = this.#firstBucket + bucket * BUCKET_WORDS;
      const found = words[at]!;
      if (found === 0) return false;
      if (
        found === mask + 1 &&
        words[at + 1] === first &&
        words[at + 2] === second &&
        words[at + 3] === third &&
        words[at + 4] === fourth
      ) {
        return true;
      }
      bucket = (bucket + 1) & this.#bucketMask;
    }
  }
}

function hashOf(mask: number, first: number, second: number, third: number, fourth: number): number {
  let hash = Math.imul(first ^ (mask << 24), 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + second, 0x85ebca77);
  hash = Math.imul((hash ^ (hash >>> 13)) + third, 0xc2b2ae3d);
  hash = Math.imul((hash ^ (hash >>> 16)) + fourth, 0x27d4eb2f);
  return hash ^ (hash >>> 15);
}

/** IPv4 sources have zeros behind their first word; so do IPv4 masks. */
function maskOf(family: 4 | 6, prefixBits: number): Int32Array {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) =>
    family === 4 && i >= 4 ? 0 : (0xff00 >> Math.min(8, Math.max(0, prefixBits - i * 8))) & 255,
  );
  return new Int32Array(bytes.buffer);
}
