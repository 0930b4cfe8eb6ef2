import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../src/base/hash.ts';
import { bytes, words } from '../sip/arena-text.ts';

const MAX_BYTES = 70;
const PLACE = 128;

/** Hash of `content` put at PLACE + `shift`, between bytes that are all `around`. */
function hashAt(content: Uint8Array, shift: number, around: number, seed: number): number {
  bytes.fill(around, PLACE - 16, PLACE + MAX_BYTES + 32);
  bytes.set(content, PLACE + shift);
  return hashBytes(words, PLACE + shift, PLACE + shift + content.length, seed);
}

const content = fc.uint8Array({ maxLength: MAX_BYTES });
const seed = fc.integer();

describe('hashBytes', () => {
  it.each([
    ['', 0, 0x0000_0000],
    ['', 1, 0x514e_28b7],
    ['', 0xffff_ffff, 0x81f1_6f39],
    ['test', 0, 0xba6b_d213],
    ['hello', 0, 0x248b_fa47],
    ['hello, world', 0, 0x149b_bb7f],
    ['Hello, world!', 1234, 0xfaf6_cdb3],
    ['The quick brown fox jumps over the lazy dog', 0x9747_b28c, 0x2fa8_26cd],
  ])('is MurmurHash3 of %j with seed %i', (text, seedOfText, hash) => {
    expect(hashAt(Buffer.from(text), 0, 0, seedOfText) >>> 0).toBe(hash);
  });

  it('does not depend on where the bytes lie', () => {
    fc.assert(
      fc.property(content, seed, fc.nat(15), (text, seedOfText, shift) => {
        expect(hashAt(text, shift, 0, seedOfText)).toBe(hashAt(text, 0, 0, seedOfText));
      }),
    );
  });

  it('does not depend on the bytes around', () => {
    fc.assert(
      fc.property(content, fc.nat(255), fc.nat(3), (text, around, shift) => {
        expect(hashAt(text, shift, around, 7)).toBe(hashAt(text, shift, 0, 7));
      }),
    );
  });

  it('is a signed 32-bit integer', () => {
    fc.assert(
      fc.property(content, seed, (text, seedOfText) => {
        const hash = hashAt(text, 1, 0, seedOfText);
        expect(hash).toBe(hash | 0);
      }),
    );
  });

  it('differs by the length even if only zeros are added', () => {
    const hashes = Array.from({ length: 9 }, (_, length) => hashAt(new Uint8Array(length), 0, 0, 1));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('changes about half its bits with one bit of the text', () => {
    const text = Buffer.from('a84b4c76e66710@pc33.atlanta.example');
    const before = hashAt(text, 0, 0, 0);
    let changed = 0;
    for (let bit = 0; bit < text.length * 8; bit++) {
      const other = Uint8Array.from(text);
      other[bit >> 3]! ^= 1 << (bit & 7);
      changed += bitsOf(hashAt(other, 0, 0, 0) ^ before);
    }
    expect(changed / (text.length * 8)).toBeGreaterThan(14);
    expect(changed / (text.length * 8)).toBeLessThan(18);
  });

  it('spreads Call-IDs that only count up evenly over three shards', () => {
    const calls = new Float64Array(3);
    const count = 6000;
    for (let call = 0; call < count; call++) {
      const hash = hashAt(Buffer.from(`${call}-12345@192.0.2.1`), call & 3, 0, 0);
      calls[Math.trunc(((hash >>> 0) * 3) / 2 ** 32)]!++;
    }
    for (const share of calls) expect(Math.abs(share / count - 1 / 3)).toBeLessThan(0.02);
  });
});

function bitsOf(value: number): number {
  let count = 0;
  for (let rest = value >>> 0; rest > 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}
