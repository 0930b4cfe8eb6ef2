import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { siphash } from '../../src/auth/siphash.ts';

const MASK = (1n << 64n) - 1n;
const KEY = Uint8Array.from({ length: 16 }, (_, i) => i);

/** SipHash-2-4 as the paper has it, over bytes and bigints; of 64 or 128 bits. */
function reference(key: Uint8Array, message: Uint8Array, isLong: boolean): bigint[] {
  const word = (bytes: Uint8Array, at: number) => Buffer.from(bytes).readBigUInt64LE(at);
  const [k0, k1] = [word(key, 0), word(key, 8)];
  const padded = Buffer.alloc(Math.floor(message.length / 8) * 8 + 8);
  padded.set(message);
  padded[padded.length - 1] = message.length;
  let [v0, v1] = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn];
  let [v2, v3] = [k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n];
  const turn = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & MASK;
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) & MASK;
      v1 = turn(v1, 13n) ^ v0;
      v0 = turn(v0, 32n);
      v2 = (v2 + v3) & MASK;
      v3 = turn(v3, 16n) ^ v2;
      v0 = (v0 + v3) & MASK;
      v3 = turn(v3, 21n) ^ v0;
      v2 = (v2 + v1) & MASK;
      v1 = turn(v1, 17n) ^ v2;
      v2 = turn(v2, 32n);
    }
  };
  if (isLong) v1 ^= 0xeen;
  for (let at = 0; at < padded.length; at += 8) {
    v3 ^= word(padded, at);
    rounds(2);
    v0 ^= word(padded, at);
  }
  v2 ^= isLong ? 0xeen : 0xffn;
  rounds(4);
  const low = v0 ^ v1 ^ v2 ^ v3;
  if (!isLong) return [low];
  v1 ^= 0xddn;
  rounds(4);
  return [low, v0 ^ v1 ^ v2 ^ v3];
}

function ours(key: Uint8Array, message: Uint8Array): bigint[] {
  const target = new Int32Array(4);
  siphash(new Int32Array(key.slice().buffer), new Int32Array(message.slice().buffer), message.length / 4, target);
  const bytes = Buffer.from(target.buffer);
  return [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)];
}

const firstBytes = (count: number) => Uint8Array.from({ length: count }, (_, i) => i);

describe('SipHash', () => {
  it('the reference of this test gives the published results', () => {
    // Appendix A of the paper; the first vector of its authors' 128-bit variant.
    expect(reference(KEY, firstBytes(15), false)).toEqual([0xa129ca6149be45e5n]);
    expect(reference(KEY, firstBytes(0), true)).toEqual([0xe6a825ba047f81a3n, 0x930255c71472f66dn]);
  });

  it('agrees with it', () => {
    expect(ours(KEY, firstBytes(0))).toEqual(reference(KEY, firstBytes(0), true));
    const whole = fc.uint8Array({ maxLength: 48 }).map((bytes) => bytes.subarray(0, bytes.length & ~7));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), whole, (key, message) => {
        expect(ours(key, message)).toEqual(reference(key, message, true));
      }),
      { numRuns: 2000 },
    );
  });
});
