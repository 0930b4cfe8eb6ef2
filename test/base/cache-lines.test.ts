/** Buffers whose structures are cache lines. That they are is measured, not tested: nothing in JavaScript says where a buffer is. */

import { describe, expect, it } from 'vitest';
import { allocateLines, FIRST_LINE, ownWords, wordsOf } from '../../src/base/cache-lines.ts';

describe('lines', () => {
  it('begin where a block of the C library that begins 16 bytes behind a page has its first whole line', () => {
    expect((16 + FIRST_LINE) % 64).toBe(0);
    expect(FIRST_LINE % Float64Array.BYTES_PER_ELEMENT).toBe(0);
  });

  it('are as many bytes as were asked for, zeroed, and the same for all who open them', () => {
    const buffer = allocateLines(256);
    const words = wordsOf(buffer);
    expect([words.byteOffset, words.length]).toEqual([FIRST_LINE, 64]);
    expect(words.every((word) => word === 0)).toBe(true);
    words[63] = 7;
    expect(wordsOf(buffer)[63]).toBe(7);
  });

  it('of one thread are the same', () => {
    const words = ownWords(64);
    expect([words.byteOffset, words.length]).toEqual([FIRST_LINE, 64]);
    expect(words.every((word) => word === 0)).toBe(true);
  });
});
