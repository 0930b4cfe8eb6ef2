/** The cache of HA1s that patterns gave. */

import { describe, expect, it } from 'vitest';
import { ALGORITHM, type Algorithm, DIGEST_BYTES } from '../../src/auth/algorithms.ts';
import { PatternCache, WAYS } from '../../src/auth/pattern-cache.ts';
import { hashBytes } from '../../src/base/hash.ts';

const words = new Int32Array(new SharedArrayBuffer(256));
const bytes = Buffer.from(words.buffer);
const text = new DataView(words.buffer);

/** HA1s that are told by a number. */
function ha1Of(number: number): Uint8Array {
  const ha1 = new Uint8Array(32);
  new DataView(ha1.buffer).setUint32(0, number);
  return ha1;
}

interface Key {
  readonly realm?: number;
  readonly algorithm?: Algorithm;
  readonly hashed?: number;
}

function cacheOf(places?: number) {
  const cache = new PatternCache(places);
  const keyOf = (name: string, { realm = 0, algorithm = ALGORITHM.MD5, hashed }: Key) => {
    const end = bytes.write(name);
    return [hashed ?? hashBytes(words, 0, end, 7 ^ realm), realm, text, 0, end, algorithm] as const;
  };
  return {
    keep: (name: string, number: number, key: Key = {}) => cache.keep(...keyOf(name, key), ha1Of(number)),
    /** null: it is not here. */
    find: (name: string, key: Key = {}) => {
      const target = new Uint8Array(DIGEST_BYTES[key.algorithm ?? ALGORITHM.MD5]);
      return cache.copy(...keyOf(name, key), target) ? new DataView(target.buffer).getUint32(0) : null;
    },
  };
}

describe('the cache', () => {
  it('finds what was kept, by name, realm and algorithm', () => {
    const { keep, find } = cacheOf();
    keep('alice', 1);
    keep('alice', 2, { realm: 1 });
    keep('alice', 3, { algorithm: ALGORITHM.SHA_256 });
    keep('bob', 4);
    expect([find('alice'), find('alice', { realm: 1 }), find('bob')]).toEqual([1, 2, 4]);
    expect(find('alice', { algorithm: ALGORITHM.SHA_256 })).toBe(3);
    expect([find('alic'), find('alicia'), find('bob', { realm: 1 }), find('')]).toEqual([null, null, null, null]);
  });

  it('tells names of one hash apart', () => {
    const { keep, find } = cacheOf();
    keep('alice', 1, { hashed: 42 });
    keep('bobby', 2, { hashed: 42 });
    expect([find('alice', { hashed: 42 }), find('bobby', { hashed: 42 }), find('carol', { hashed: 42 })]).toEqual([
      1,
      2,
      null,
    ]);
  });

  it('keeps as many of a set as there are places, and then the latest', () => {
    const { keep, find } = cacheOf(WAYS);
    const names = Array.from({ length: WAYS + 1 }, (_, i) => `user${i}`);
    for (const [i, name] of names.entries()) {
      keep(name, i);
      expect(find(name)).toBe(i);
    }
    expect(names.filter((name) => find(name) !== null)).toHaveLength(WAYS);
  });

  it('keeps no name that is too long or none', () => {
    const { keep, find } = cacheOf();
    const longest = 'x'.repeat(64);
    for (const name of ['', longest, `${longest}y`]) keep(name, 1);
    expect([find(''), find(longest), find(`${longest}y`)]).toEqual([null, 1, null]);
    expect(find('', { hashed: 0 }), 'as in an empty place').toBeNull();
  });

  it('finds nearly all of as many names as are three quarters of its places', () => {
    const { keep, find } = cacheOf(1 << 14);
    const names = Array.from({ length: 3 << 12 }, (_, i) => `user${i}`);
    for (let round = 0; round < 3; round++)
      for (const [i, name] of names.entries()) if (find(name) === null) keep(name, i);
    expect(names.filter((name, i) => find(name) === i).length / names.length).toBeGreaterThan(0.9);
  });
});
