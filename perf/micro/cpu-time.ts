/** How the micro-benchmarks take time: by the CPU clock of this thread, so that programs beside it do not count; the median
 *  of some rounds, after one that warms up. process.threadCpuUsage() moves in ticks of 4 ms and is too coarse for --quick. */

import { threadCpuNs } from '../../src/runtime/udp-socket.ts';

const ROUNDS = 7;

/** Nanoseconds per item of `run`, which works through `itemCount` of them. */
export function medianCpuNs(itemCount: number, run: () => void): number {
  run();
  const samples = Array.from({ length: ROUNDS }, () => {
    const began = threadCpuNs();
    run();
    return (threadCpuNs() - began) / itemCount;
  });
  return samples.sort((a, b) => a - b)[ROUNDS >> 1]!;
}
