/** Finding the end of a line, four bytes at a time. Any thread. Hot: once per header line, allocates nothing. */

/** Index of the first LF in [start, end), or `end`. `words` lies over the same bytes and reaches one word beyond `end`.
 *
 *  A word XORed with four LFs has a zero byte where the LF is; `(x - 0x01010101) & ~x & 0x80808080` marks zero bytes,
 *  and the lowest mark is exact (higher ones can be false, they are not looked at). Watched by newline.test.ts. */
export function findNewline(
  bytes: Uint8Array<SharedArrayBuffer>,
  words: Int32Array<SharedArrayBuffer>,
  start: number,
  end: number,
): number {
  let at = start;
  while ((at & 3) !== 0) {
    if (at >= end || bytes[at] === 0x0a) return at < end ? at : end;
    at++;
  }
  for (let word = at >> 2; word << 2 < end; word++) {
    const x = words[word]! ^ 0x0a0a0a0a;
    const zero = (x - 0x01010101) & ~x & 0x80808080;
    if (zero !== 0) {
      const found = (word << 2) + ((31 - Math.clz32(zero & -zero)) >> 3);
      return Math.min(found, end);
    }
  }
  return end;
}
