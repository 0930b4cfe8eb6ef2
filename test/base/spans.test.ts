import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { literal } from '../../src/base/ascii.ts';
import { copyBytes, equalBytes, viewOf } from '../../src/base/spans.ts';

const PLACE = 64;
const text = fc.uint8Array({ maxLength: 40 });
const shift = fc.nat(7);

/** An array with `content` at PLACE + `at`, and 0xee around it. */
function around(content: Uint8Array, at: number): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(160)).fill(0xee);
  bytes.set(content, PLACE + at);
  return bytes;
}

describe('copyBytes', () => {
  it('copies a span wherever it begins and ends, and touches nothing beside it', () => {
    fc.assert(
      fc.property(text, shift, shift, (content, from, to) => {
        const source = around(content, from);
        const target = around(new Uint8Array(0), 0);
        const start = PLACE + from;
        const end = copyBytes(viewOf(source), start, start + content.length, viewOf(target), PLACE + to);
        expect(end).toBe(PLACE + to + content.length);
        expect(target).toEqual(around(content, to));
        expect(source).toEqual(around(content, from));
      }),
    );
  });

  it('copies nothing of a span that ends before it begins', () => {
    const target = around(new Uint8Array(0), 0);
    expect(copyBytes(viewOf(target), 20, 12, viewOf(target), PLACE)).toBe(PLACE);
    expect(target).toEqual(around(new Uint8Array(0), 0));
  });

  it('goes up to the last byte of both, and not beyond', () => {
    const source = Uint8Array.from({ length: 13 }, (_, i) => i);
    const target = new Uint8Array(13);
    expect(copyBytes(viewOf(source), 0, 13, viewOf(target), 0)).toBe(13);
    expect(target).toEqual(source);
    expect(() => copyBytes(viewOf(source), 0, 13, viewOf(target), 1)).toThrow(RangeError);
  });

  it('sees an array as the part of its buffer that it is', () => {
    const part = new Uint8Array(32).fill(7).subarray(10, 20);
    expect(viewOf(part).byteOffset).toBe(10);
    expect(viewOf(part).byteLength).toBe(10);
  });
});

describe('equalBytes', () => {
  it('finds one byte that differs, wherever it is, and none beside the span', () => {
    fc.assert(
      fc.property(
        text,
        shift,
        shift,
        fc.nat(39),
        fc.integer({ min: 1, max: 255 }),
        (content, one, other, at, change) => {
          const a = viewOf(around(content, one));
          const b = around(content, other);
          b[PLACE + other - 1] = 0x11;
          b[PLACE + other + content.length] = 0x22;
          const start = PLACE + one;
          const isEqual = () => equalBytes(a, start, start + content.length, viewOf(b), PLACE + other);
          expect(isEqual()).toBe(true);
          if (at >= content.length) return;
          b[PLACE + other + at]! ^= change;
          expect(isEqual()).toBe(false);
        },
      ),
    );
  });
});

describe('Literal', () => {
  it('is copied whole', () => {
    const target = around(new Uint8Array(0), 0);
    expect(literal('Via: ').copyTo(viewOf(target), PLACE)).toBe(PLACE + 5);
    expect(target).toEqual(around(Buffer.from('Via: '), 0));
  });
});
