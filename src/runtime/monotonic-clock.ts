/** CLOCK_MONOTONIC in microseconds, which slots have their receive time by, told by performance.now(), which costs less than asking
 *  for it and begins anew in each thread. Any thread; the difference is measured once, at its start. */

const MEASUREMENTS = 16;

/** What makes `performance.now() * 1000` a time of CLOCK_MONOTONIC. The clocks are read one after the other: who is not let run in
 *  between measures too little, by as much as it waited. So the most of a few measurements is the best. */
export function monotonicOffsetUs(): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < MEASUREMENTS; i++) {
    most = Math.max(most, Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000);
  }
  return most;
}
