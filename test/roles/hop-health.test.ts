import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { HopHealth, KnownHops } from '../../src/roles/proxy/hop-health.ts';

function healthOf(hops: number, restMs: number): HopHealth {
  const known = new KnownHops();
  for (let i = 0; i < hops; i++) known.take(`sip:hop-${i}`);
  return new HopHealth(known, restMs);
}

describe('the rest of a next hop', () => {
  it('begins with a failure and ends in time', () => {
    const health = healthOf(3, 30_000);
    expect(health.isResting(1, 0)).toBe(false);
    health.fail(1, 1000);
    expect([1000, 30_999, 31_000].map((nowMs) => health.isResting(1, nowMs))).toEqual([true, true, false]);
    expect([0, 2].map((id) => health.isResting(id, 1000))).toEqual([false, false]);
  });

  it('begins anew with the next failure', () => {
    const health = healthOf(1, 30_000);
    health.fail(0, 0);
    health.fail(0, 20_000);
    expect([30_000, 49_999, 50_000].map((nowMs) => health.isResting(0, nowMs))).toEqual([true, true, false]);
  });

  it('ends at once when the next hop answers', () => {
    const health = healthOf(1, 30_000);
    health.fail(0, 0);
    health.recover(0);
    expect(health.isResting(0, 1)).toBe(false);
  });

  it('is never with nextHopRestSec: 0', () => {
    const health = healthOf(1, 0);
    health.fail(0, 5);
    expect(health.isResting(0, 5)).toBe(false);
  });

  it('outlasts 2³² ms of the clock', () => {
    const health = healthOf(1, 30_000);
    health.fail(0, 2 ** 32 - 10_000);
    expect([2 ** 32, 2 ** 32 + 20_000].map((nowMs) => health.isResting(0, nowMs))).toEqual([true, false]);
  });

  it('is not for ids that were never given', () => {
    expect(() => healthOf(1, 30_000).fail(1, 0)).toThrow(AssertionError);
    expect(() => healthOf(1, 30_000).recover(1)).toThrow(AssertionError);
  });
});

describe('the next hops of all snapshots', () => {
  it('have one id as long as anybody has them, and their rest with it', () => {
    const known = new KnownHops();
    expect(['sip:a', 'sip:b', 'sip:a'].map((uri) => known.take(uri).id)).toEqual([0, 1, 0]);
    new HopHealth(known, 30_000).fail(0, 0);
    expect(new HopHealth(known, 1).isResting(0, 29_999)).toBe(true);
    known.release('sip:a');
    expect(new HopHealth(known, 1).isResting(known.take('sip:a').id, 1)).toBe(true);
  });

  it('give their id to others when nobody has them any more, rested', () => {
    const known = new KnownHops();
    known.take('sip:a');
    known.take('sip:b');
    new HopHealth(known, 30_000).fail(0, 0);
    known.release('sip:a');
    expect(known.take('sip:c').id).toBe(0);
    expect(new HopHealth(known, 1).isResting(0, 1)).toBe(false);
    for (let i = 0; i < 1000; i++) {
      known.take(`sip:h${i}`);
      known.release(`sip:h${i}`);
    }
    expect([known.count, known.size]).toEqual([3, 2]);
    expect(() => known.release('sip:a')).toThrow(AssertionError);
  });
});
