/** The controller against a server that is told of in numbers: what comes, what it serves in a millisecond, and what each new call
 *  brings with it. */

import { describe, expect, it } from 'vitest';
import { PassShare } from '../../../src/runtime/overload/pass-share.ts';

const MARK = 1024;
/** What user space drops above. */
const SHED = 2 * MARK;
const MESSAGES_OF_CALL = 6;

interface Flood {
  readonly times: number;
  readonly messagesPerMs: number;
  readonly lookMs?: number;
  readonly ms?: number;
}

/** A server that is flooded. New calls go in as far as the share and the mark say; the others of a call's messages follow two at a
 *  time, a millisecond after the one before was served. */
function flooded({ times, messagesPerMs, lookMs = 50, ms = 4000 }: Flood) {
  const passing = new PassShare(MARK);
  let queue: number[] = [];
  let following: number[] = [];
  let [isOn, credit, called, idleMs, nextLookMs] = [false, 0, 0, 0, 0];
  const depths: number[] = [];
  const serve = (nowMs: number) => {
    const taken = queue.splice(0, messagesPerMs);
    if (taken.length < messagesPerMs && nowMs > ms / 2 && nowMs < ms) idleMs += 1 - taken.length / messagesPerMs;
    const next = taken.flatMap((stage) => (stage === 0 ? [1, 2] : stage === 2 ? [3, 4] : stage === 4 ? [5] : []));
    queue = queue.concat(following);
    following = next;
  };
  const step = (nowMs: number, perMs: number) => {
    credit += perMs * (isOn ? passing.share : 1);
    for (; credit >= 1; credit--) {
      if (queue.length < SHED) {
        queue.push(0);
        called++;
      }
    }
    serve(nowMs);
    if (!isOn) {
      if (queue.length <= MARK) return;
      isOn = true;
      passing.begin(queue.length);
      nextLookMs = nowMs + lookMs;
    } else if (nowMs >= nextLookMs) {
      nextLookMs = nowMs + lookMs;
      passing.correct(queue.length);
      if (passing.share === 1) isOn = false;
    }
  };
  const capacityPerMs = messagesPerMs / MESSAGES_OF_CALL;
  let nowMs = 0;
  for (; nowMs < ms; nowMs++) {
    step(nowMs, capacityPerMs * times);
    if (nowMs > ms / 2) depths.push(queue.length);
  }
  const share = passing.share;
  const endedMs = nowMs;
  for (; isOn && nowMs < endedMs + 10_000; nowMs++) step(nowMs, 0);
  const mean = depths.reduce((sum, depth) => sum + depth, 0) / depths.length;
  return { share, mean, idle: idleMs / (ms / 2), calmAfterMs: nowMs - endedMs, called };
}

describe('the share that comes through', () => {
  it.each([
    [1.2, 24, 50],
    [3, 12, 100],
    [3, 24, 50],
    [3, 150, 20],
    [10, 24, 50],
    [100, 24, 50],
    [100, 150, 20],
  ])(
    'leaves hardly any time unused in a flood of %d times the capacity (%d messages a ms)',
    (times, messagesPerMs, lookMs) => {
      const { idle, mean } = flooded({ times, messagesPerMs, lookMs });
      expect(idle).toBeLessThan(0.05);
      // Less than where user space drops, as it would without it.
      expect(mean).toBeLessThan(0.6 * SHED);
    },
  );

  it('comes to what can be served', () => {
    expect(flooded({ times: 3, messagesPerMs: 24 }).share).toBeCloseTo(1 / 3, 1);
    expect(flooded({ times: 50, messagesPerMs: 24 }).share).toBeLessThan(0.04);
  });

  it.each([1.2, 3, 50, 5000])('is everything again within two seconds of the end of a flood (%d times)', (times) => {
    expect(flooded({ times, messagesPerMs: 24, lookMs: 100 }).calmAfterMs).toBeLessThan(2000);
  });

  it('never becomes nothing', () => {
    const passing = new PassShare(MARK);
    passing.begin(SHED);
    for (let i = 0; i < 1000; i++) passing.correct(100 * SHED);
    expect(passing.share).toBeGreaterThan(0);
    expect(passing.share).toBeLessThan(0.01);
  });

  it('is not all at once because of a queue that was empty by chance', () => {
    const passing = new PassShare(MARK);
    passing.begin(2 * MARK);
    for (let i = 0; i < 20; i++) passing.correct(passing.target);
    const before = passing.share;
    for (let i = 0; i < 2; i++) passing.correct(0);
    passing.correct(passing.target);
    expect(passing.share / before).toBeGreaterThan(0.8);
    expect(passing.share / before).toBeLessThan(1.25);
  });
});
