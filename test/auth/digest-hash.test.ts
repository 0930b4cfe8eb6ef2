import { createHash, hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALGORITHM, type Algorithm, DIGEST_BYTES, NODE_HASHES } from '../../src/auth/algorithms.ts';
import { DigestHash, writeHex } from '../../src/auth/digest-hash.ts';
import { viewOf } from '../../src/base/spans.ts';

const digestHash = new DigestHash();
const target = new Uint8Array(40);

/** Hex of the pieces, hashed by the one DigestHash of all tests. */
function hexOf(algorithm: Algorithm, ...pieces: readonly Uint8Array[]): string {
  digestHash.begin();
  for (const piece of pieces) digestHash.add(viewOf(piece), 0, piece.length);
  target.fill(0xee);
  digestHash.finish(algorithm, target, 4);
  expect([...target.subarray(0, 4), ...target.subarray(4 + DIGEST_BYTES[algorithm])]).not.toContain(0);
  return Buffer.from(target.subarray(4, 4 + DIGEST_BYTES[algorithm])).toString('hex');
}

const text = (value: string) => new TextEncoder().encode(value);

describe('RFC 1321 A.5', () => {
  it.each([
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
    ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'd174ab98d277d9f5a5611c2c9f419d9f'],
    ['1234567890'.repeat(8), '57edf4a22be3c955ac49da2e2107b67a'],
  ])('MD5 of %j', (input, digest) => {
    expect(hexOf(ALGORITHM.MD5, text(input))).toBe(digest);
  });
});

describe('RFC 8760 2.6, FIPS 180-4', () => {
  it('hashes nothing and "abc"', () => {
    expect(hexOf(ALGORITHM.SHA_256)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(hexOf(ALGORITHM.SHA_512_256, text('abc'))).toBe(
      '53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23',
    );
  });
});

describe('DigestHash', () => {
  const algorithms = fc.constantFrom<Algorithm[]>(...Object.values(ALGORITHM));

  it('agrees with node:crypto on any pieces', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 });
    fc.assert(
      fc.property(algorithms, pieces, (algorithm, parts) => {
        expect(hexOf(algorithm, ...parts)).toBe(hash(NODE_HASHES[algorithm], Buffer.concat(parts)));
      }),
      { numRuns: 2000 },
    );
  });

  it('agrees at every length around block ends, and at the longest message', () => {
    for (const algorithm of Object.values(ALGORITHM)) {
      for (const length of [...Array(300).keys(), 511, 512, 513, 65_535]) {
        const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + length);
        expect(hexOf(algorithm, bytes)).toBe(createHash(NODE_HASHES[algorithm]).update(bytes).digest('hex'));
      }
    }
  });

  it('refuses what no message can bring', () => {
    digestHash.begin();
    expect(() => digestHash.add(new DataView(new ArrayBuffer(80_000)), 0, 80_000)).toThrow('longer');
  });

  it('goes on from a beginning, also of what was finished', () => {
    const digestHash = new DigestHash();
    const target = new Uint8Array(16);
    const finished = () => {
      digestHash.finish(ALGORITHM.MD5, target, 0);
      return Buffer.from(target).toString('hex');
    };
    digestHash.begin();
    for (const part of ['abc', 'def']) digestHash.add(viewOf(text(part)), 0, 3);
    expect(digestHash.length).toBe(6);
    finished();
    digestHash.truncate(2);
    digestHash.add(viewOf(text('xyz')), 0, 3);
    expect(finished()).toBe(hash('md5', 'abxyz'));
    expect(() => digestHash.truncate(6)).toThrow(/truncated/);
  });

  it('adds digits in small letters', () => {
    digestHash.begin();
    digestHash.addHex(Uint8Array.of(0xff, 0x00, 0xab, 0x1c), 0, 4);
    digestHash.addByte(0x3a);
    digestHash.finish(ALGORITHM.MD5, target, 0);
    const bytes = new Uint8Array(32);
    expect(writeHex(target, 0, 16, bytes, 0)).toBe(32);
    expect(Buffer.from(bytes).toString()).toBe(hash('md5', 'ff00ab1c:'));
  });
});
