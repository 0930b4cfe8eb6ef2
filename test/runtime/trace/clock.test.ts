/** Times of the trace as times since 1970. */

import { describe, expect, it } from 'vitest';
import { monotonicOffsetUs } from '../../../src/runtime/monotonic-clock.ts';
import { wallClock } from '../../../src/runtime/trace/clock.ts';

describe('the wall clock of the trace', () => {
  it('is right', () => {
    const toUs = wallClock();
    const nowUs = performance.now() * 1000 + monotonicOffsetUs() + toUs();
    expect(Math.abs(nowUs / 1000 - Date.now())).toBeLessThan(1000);
  });

  it('keeps distances to the microsecond, until the clock was set', () => {
    let setMs = 0;
    let nowMs = 0;
    const toUs = wallClock(
      () => Math.trunc(performance.timeOrigin + nowMs + setMs),
      () => nowMs,
    );
    const before = toUs();
    nowMs += 12.345;
    expect(toUs()).toBe(before);
    setMs = 3_600_000;
    expect(toUs() - before).toBeGreaterThan(3.59e9);
    const after = toUs();
    nowMs += 1.5;
    expect(toUs()).toBe(after);
  });
});
