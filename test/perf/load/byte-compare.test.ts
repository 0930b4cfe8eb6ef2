import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hexAt, sameBytes } from '../../../perf/load/byte-compare.ts';

describe('sameBytes', () => {
  it('says what Buffer.compare says, wherever the bytes lie', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(7), fc.nat(7), fc.option(fc.nat(39)), (text, a, b, flip) => {
        const bytes = new Uint8Array(128);
        bytes.set(text, a);
        bytes.set(text, 64 + b);
        if (flip !== null && flip < text.length) bytes[64 + b + flip]! ^= 1;
        const same = flip === null || flip >= text.length;
        expect(sameBytes(new DataView(bytes.buffer), a, 64 + b, text.length)).toBe(same);
      }),
    );
  });
});

describe('hexAt', () => {
  it('reads small hexadecimal digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7fffffff }), (value) => {
        expect(hexAt(Buffer.from(value.toString(16).padStart(8, '0')), 0, 8)).toBe(value);
      }),
    );
  });

  it.each(['12g4', 'ABCD', '12 4', '12', ''])('does not read %j', (text) => {
    expect(hexAt(Buffer.from(text), 0, 4)).toBe(-1);
  });
});
