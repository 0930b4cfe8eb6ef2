/** Line ends: the next one, found four bytes at a time, and those in front of a message. Any thread. Hot: once per header line, allocates
 *  nothing. */

const FOUR_LF = 0x0a0a0a0a;
const FOUR_ONES = 0x01010101;
const FOUR_HIGH_BITS = 0x80808080 | 0;

/** Index of the first LF in [start, end), or `end`. `words` lies over the bytes and reaches one word beyond `end`.
 *
 *  A word XORed with four LFs has a zero byte where the LF is; `(x - 0x01010101) & ~x & 0x80808080` marks zero bytes,
 *  and the lowest mark is exact (higher ones can be false, they are not looked at). Bytes of the first word that lie
 *  before `start` are made 0xff, which is never marked. Watched by test/base/newline.test.ts. */
export function findNewline(words: Int32Array<SharedArrayBuffer>, start: number, end: number): number {
  const last = (end - 1) >> 2;
  let word = start >> 2;
  let x = (words[word]! ^ FOUR_LF) | ((1 << ((start & 3) << 3)) - 1);
  let zero = (x - FOUR_ONES) & ~x & FOUR_HIGH_BITS;
  while (zero === 0) {
    if (word >= last) return end;
    x = words[++word]! ^ FOUR_LF;
    zero = (x - FOUR_ONES) & ~x & FOUR_HIGH_BITS;
  }
  const found = (word << 2) + ((31 - Math.clz32(zero & -zero)) >> 3);
  return found < end ? found : end;
}

const LF = 0x0a;
const CR = 0x0d;

/** The same of any bytes, wherever they begin, and without looking beyond `end`: through a view of them. */
export function findNewlineIn(view: DataView, start: number, end: number): number {
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const x = view.getInt32(at, true) ^ FOUR_LF;
    const zero = (x - FOUR_ONES) & ~x & FOUR_HIGH_BITS;
    if (zero !== 0) return at + ((31 - Math.clz32(zero & -zero)) >> 3);
  }
  for (; at < end; at++) if (view.getUint8(at) === LF) return at;
  return end;
}

/** Behind the line ends that begin at `start`, `end` at the most: before a message they mean nothing (RFC 3261 7.5). */
export function pastLineEnds(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
  return at;
}
