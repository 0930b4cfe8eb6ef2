/** Times of CLOCK_MONOTONIC, as the shards write them, as times since 1970. Cold. */

/** The wall clock is read in milliseconds only, so that a smaller difference is none; a larger one means that it was set. */
const MAX_DIFFERENCE_US = 50_000;

/** Gives what to add to microseconds of CLOCK_MONOTONIC: the same each time, so that times keep their distances, until the wall
 *  clock was set. */
export function wallClock(
  wallMs: () => number = Date.now,
  monotonicUs: () => number = () => Number(process.hrtime.bigint() / 1000n),
): () => number {
  let offset = (performance.timeOrigin + performance.now()) * 1000 - monotonicUs();
  return () => {
    const now = wallMs() * 1000 - monotonicUs();
    if (Math.abs(now - offset) > MAX_DIFFERENCE_US) offset = now;
    return offset;
  };
}
