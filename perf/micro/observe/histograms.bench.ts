/** What does it cost to record a duration, and to count an event? Both happen for every datagram: its transit goes into a histogram,
 *  its method or class into a counter. Durations as they come under load: around 100 µs with a long tail, each read from the
 *  slot header that was read for the datagram anyhow. Goal: under 20 ns for both together, 1 % of what a message of a call costs.
 *  CPU time of this thread, from a fixed seed. `--quick` runs a few rounds only. */

import { createArena } from '../../../src/memory/arena.ts';
import { COUNTER, Counters } from '../../../src/observe/counters.ts';
import { HISTOGRAM, Histograms, readHistogram } from '../../../src/observe/histograms.ts';
import { METHOD } from '../../../src/sip/methods.ts';
import { medianCpuNs } from '../cpu-time.ts';

const isQuick = process.argv.includes('--quick');
const ROUNDS = isQuick ? 10_000 : 10_000_000;
const INPUT_MASK = 0xffff;

let state = 0x2545f491;

const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
const histograms = new Histograms(arena, 0);
const counters = new Counters(arena, 0);
const durations = Int32Array.from({ length: INPUT_MASK + 1 }, () =>
  Math.round(2 ** (4 + 5 * uniform() + 8 * uniform() ** 4)),
);
const methods = Int32Array.from({ length: INPUT_MASK + 1 }, () =>
  uniform() < 0.75 ? METHOD.INVITE + Math.floor(4 * uniform()) : 0,
);

const record = medianCpuNs(ROUNDS, () => {
  for (let i = 0; i < ROUNDS; i++) histograms.record(HISTOGRAM.TRANSIT, durations[i & INPUT_MASK]!);
});
const count = medianCpuNs(ROUNDS, () => {
  for (let i = 0; i < ROUNDS; i++) counters.count(COUNTER.other_requests_total + methods[i & INPUT_MASK]!);
});
console.log(`record a duration ${record.toFixed(2).padStart(8)} ns`);
console.log(`count an event    ${count.toFixed(2).padStart(8)} ns`);
const { sumUs, counts } = readHistogram(arena, 0, HISTOGRAM.TRANSIT);
console.log(`checksum ${sumUs} ${counts.reduce((sum, each) => (sum * 31 + each) % 1e9, 0)}`);

/** 0 up to, but not including, 1. */
function uniform(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}
