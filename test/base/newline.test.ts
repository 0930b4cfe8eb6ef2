import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findNewline, findNewlineIn } from '../../src/base/newline.ts';
import { bytes, words } from '../sip/arena-text.ts';

const view = new DataView(bytes.buffer);
const PLACE = 128;
const LF = 0x0a;

/** Bytes whose marks the trick could take for an LF's: the borrow of the subtraction makes 0x0b behind an LF look like one. */
const lookalike = fc.constantFrom(0x0a, 0x0b, 0x0d, 0x00, 0x01, 0x80, 0x8a, 0x8b, 0xf5, 0xff);
const text = fc.array(fc.oneof(lookalike, fc.nat(255)), { maxLength: 40 });

function naive(start: number, end: number): number {
  for (let i = start; i < end; i++) if (bytes[i] === LF) return i;
  return end;
}

function put(content: readonly number[], shift: number, around: number): { start: number; end: number } {
  bytes.fill(around, PLACE - 16, PLACE + 80);
  bytes.set(content, PLACE + shift);
  return { start: PLACE + shift, end: PLACE + shift + content.length };
}

describe('findNewline', () => {
  it('finds what a loop over the bytes finds, wherever they lie and whatever is around', () => {
    fc.assert(
      fc.property(text, fc.nat(7), fc.constantFrom(0x00, 0x0a, 0x0b, 0xff), (content, shift, around) => {
        const { start, end } = put(content, shift, around);
        expect(findNewline(words, start, end)).toBe(naive(start, end));
        expect(findNewlineIn(view, start, end)).toBe(naive(start, end));
      }),
      { numRuns: 2000 },
    );
  });

  it('finds an LF at every place of a word', () => {
    for (let start = 0; start < 4; start++) {
      for (let length = 0; length < 12; length++) {
        for (let at = 0; at < length; at++) {
          const content = Array.from({ length }, (_, i) => (i === at ? LF : 0x0b));
          const place = put(content, start, 0x0b);
          expect(findNewline(words, place.start, place.end)).toBe(place.start + at);
          expect(findNewlineIn(view, place.start, place.end)).toBe(place.start + at);
        }
      }
    }
  });

  it('does not see an LF before the start or at the end', () => {
    for (let shift = 0; shift < 8; shift++) {
      const { start, end } = put([0x41, 0x42, 0x43, 0x44, 0x45], shift, LF);
      expect(findNewline(words, start, end)).toBe(end);
    }
  });

  it('gives the end of an empty range', () => {
    for (let shift = 0; shift < 8; shift++) {
      const { start, end } = put([], shift, LF);
      expect(findNewline(words, start, end)).toBe(end);
    }
  });
});
