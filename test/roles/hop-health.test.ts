import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { HopHealth } from '../../src/roles/proxy/hop-health.ts';

describe('the rest of a next hop', () => {
  it('begins with a failure and ends in time', () => {
    const health = new HopHealth(3, 30_000);
    expect(health.isResting(1, 0)).toBe(false);
    health.fail(1, 1000);
    expect([1000, 30_999, 31_000].map((nowMs) => health.isResting(1, nowMs))).toEqual([true, true, false]);
    expect([0, 2].map((id) => health.isResting(id, 1000))).toEqual([false, false]);
  });

  it('begins anew with the next failure', () => {
    const health = new HopHealth(1, 30_000);
    health.fail(0, 0);
    health.fail(0, 20_000);
    expect([30_000, 49_999, 50_000].map((nowMs) => health.isResting(0, nowMs))).toEqual([true, true, false]);
  });

  it('ends at once when the next hop answers', () => {
    const health = new HopHealth(1, 30_000);
    health.fail(0, 0);
    health.recover(0);
    expect(health.isResting(0, 1)).toBe(false);
  });

  it('is never with nextHopRestSec: 0', () => {
    const health = new HopHealth(1, 0);
    health.fail(0, 5);
    expect(health.isResting(0, 5)).toBe(false);
  });

  it('outlasts 2³² ms of the clock', () => {
    const health = new HopHealth(1, 30_000);
    health.fail(0, 2 ** 32 - 10_000);
    expect([2 ** 32, 2 ** 32 + 20_000].map((nowMs) => health.isResting(0, nowMs))).toEqual([true, false]);
  });

  it('is not for ids that were never given', () => {
    expect(() => new HopHealth(1, 30_000).fail(1, 0)).toThrow(AssertionError);
    expect(() => new HopHealth(1, 30_000).recover(1)).toThrow(AssertionError);
  });
});
