/** Authentication by MD5 allocates nothing, by the others next to nothing: a string with the digest of each text. */

import { describe, expect, it } from 'vitest';
import { ALGORITHM, ALGORITHM_NAMES, type Algorithm } from '../../src/auth/algorithms.ts';
import { CHALLENGE, Challenges, writeAuthenticationInfo } from '../../src/auth/challenges.ts';
import { VERDICT } from '../../src/auth/digest.ts';
import { HEADER_ID } from '../../src/sip/header-table.ts';
import { bytes, view, words } from '../sip/arena-text.ts';
import { ALICE, AuthWorld, NOW_MS } from './auth-world.ts';
import { credentialsOf } from './digest-client.ts';

const text = { bytes, view, words };

const CALLS = 30_000;
const TARGET_AT = 100_000;
const TOLERATED_BYTES_PER_CALL = 2;
/** Two strings of 32 characters, with V8's header of each. */
const STRING_BYTES_PER_CALL = 256;

/** Heap bytes per call: the lowest of a few rounds, as a collection or the runner's own work would only add. */
function bytesPerCall(call: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 6; round++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < CALLS; i++) call();
    least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before) / CALLS);
  }
  return least;
}

/** A world that has verified a request, and does so again as its retransmission. */
function verified(algorithm: Algorithm) {
  const world = new AuthWorld({ algorithms: [algorithm] });
  const lines = [`Authorization: ${credentialsOf(ALICE, world.attempt({ algorithm: ALGORITHM_NAMES[algorithm] }))}`];
  expect(world.verify({ lines })).toBe('OK');
  const { verifier, index, realm } = world;
  const again = () => verifier.verify(index, HEADER_ID.AUTHORIZATION, realm, 1, NOW_MS, true);
  expect(again()).toBe(VERDICT.OK);
  return { ...world, verifier, realm, nonces: world.nonces, again };
}

describe('allocation', () => {
  it.each([
    [ALGORITHM.MD5, TOLERATED_BYTES_PER_CALL],
    [ALGORITHM.SHA_256, STRING_BYTES_PER_CALL],
    [ALGORITHM.SHA_512_256, STRING_BYTES_PER_CALL],
  ])('verify, algorithm %i', (algorithm, limit) => {
    expect(bytesPerCall(verified(algorithm).again)).toBeLessThan(limit);
  });

  it('challenges and Authentication-Info', () => {
    const { verifier, realm, nonces } = verified(ALGORITHM.MD5);
    const challenges = new Challenges(realm, nonces);
    const challenge = () => challenges.write(text, TARGET_AT, CHALLENGE.WWW, true, NOW_MS);
    expect(bytesPerCall(challenge)).toBeLessThan(TOLERATED_BYTES_PER_CALL);
    const info = () => writeAuthenticationInfo(text, TARGET_AT, verifier, realm, nonces, view, 0, 0, NOW_MS);
    expect(bytesPerCall(info)).toBeLessThan(TOLERATED_BYTES_PER_CALL);
  });
});
