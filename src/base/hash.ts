/** The one hash: MurmurHash3 (x86, 32 bits) over bytes of the arena, read four at a time whatever their alignment.
 *  Any thread. Hot: several times per datagram, allocates nothing. Not cryptographic: it spreads, it does not protect. */

type Words = Int32Array<SharedArrayBuffer>;

const C1 = 0xcc9e2d51 | 0;
const C2 = 0x1b873593;
const C3 = 0x85ebca77 | 0;

/** Hash of the bytes [start, end) that `words` lies over, as a signed 32-bit integer. The same bytes hash alike wherever
 *  they lie. `words` must reach at least one word beyond `end`. */
export function hashBytes(words: Words, start: number, end: number, seed: number): number {
  // Each word is put together from two aligned ones, in two shifts so that an alignment of 0 needs no branch.
  const shift = (start & 3) << 3;
  const back = 31 - shift;
  let hash = seed;
  let word = start >> 2;
  let left = end - start;
  let low = words[word]!;
  for (; left >= 4; left -= 4) {
    const high = words[++word]!;
    hash = mix(hash, (low >>> shift) | ((high << 1) << back));
    low = high;
  }
  if (left > 0) {
    const tail = (low >>> shift) | ((words[word + 1]! << 1) << back);
    hash ^= scramble(tail & ((1 << (left << 3)) - 1));
  }
  return finish(hash ^ (end - start));
}

/** A second hash of the same bytes in one pass with `hashBytes`: a pair has 64 bits. Returns the first of the pair; the
 *  second is `secondHash`. */
export function hashBytesTwice(words: Words, start: number, end: number, seed: number, secondSeed: number): number {
  const shift = (start & 3) << 3;
  const back = 31 - shift;
  let hash = seed;
  let second = secondSeed;
  let word = start >> 2;
  let left = end - start;
  let low = words[word]!;
  for (; left > 0; left -= 4) {
    const high = words[++word]!;
    let value = (low >>> shift) | ((high << 1) << back);
    if (left < 4) value &= (1 << (left << 3)) - 1;
    hash = mix(hash, value);
    const turned = Math.imul(second ^ value, C3);
    second = (turned << 11) | (turned >>> 21);
    low = high;
  }
  secondHash = finish(second ^ (end - start));
  return finish(hash ^ (end - start));
}

/** The second hash of the pair made last. */
export let secondHash = 0;

function scramble(value: number): number {
  const k = Math.imul(value, C1);
  return Math.imul((k << 15) | (k >>> 17), C2);
}

function mix(hash: number, value: number): number {
  const h = hash ^ scramble(value);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
