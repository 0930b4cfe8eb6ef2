/** Times of CLOCK_MONOTONIC, as the shards write them, as times since 1970. Cold. */

import { monotonicOffsetUs } from '../monotonic-clock.ts';

/** The wall clock is read in milliseconds, and so is its start; a larger difference means that it was set. */
const MAX_DIFFERENCE_US = 50_000;

/** Gives what to add to microseconds of CLOCK_MONOTONIC: the same each time, so that times keep their distances, until the wall
 *  clock was set. */
export function wallClock(
  wallMs: () => number = Date.now,
  nowMs: () => number = () => performance.now(),
): () => number {
  const monotonicUs = monotonicOffsetUs();
  let offset = performance.timeOrigin * 1000 - monotonicUs;
  return () => {
    const now = (wallMs() - nowMs()) * 1000 - monotonicUs;
    if (Math.abs(now - offset) > MAX_DIFFERENCE_US) offset = now;
    return offset;
  };
}
