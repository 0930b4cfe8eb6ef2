/** What does it cost to know who sends most? The intake asks once per batch whether somebody looks; if so, one datagram of the batch
 *  goes into a table of 64 sources. Sources as an edge has them: a few trunks that send most, thousands of phones that send the rest.
 *  Goal: under 10 ns a batch while nobody looks, and under 300 ns while somebody does: with 64 datagrams in a batch 5 ns each, with one
 *  still little beside the system calls that bring it. CPU time of this thread, from a fixed seed. `--quick` runs a few rounds only. */

import { createTopSources, TopSourcesReader, TopSourcesWriter } from '../../../src/observe/top-sources.ts';
import { medianCpuNs } from '../cpu-time.ts';

const isQuick = process.argv.includes('--quick');
const BATCHES = isQuick ? 10_000 : 2_000_000;
const BATCH = 64;
const INPUT_MASK = 0xffff;
const TRUNKS = 12;
const PHONES = 5000;

let state = 0x2545f491;

const buffer = createTopSources();
const reader = new TopSourcesReader(buffer);
const writer = new TopSourcesWriter(buffer);
const addresses = new Int32Array(new SharedArrayBuffer((INPUT_MASK + 1) * 4));
for (let i = 0; i < addresses.length; i++) {
  addresses[i] = uniform() < 0.7 ? Math.floor(TRUNKS * uniform()) : 1000 + Math.floor(PHONES * uniform());
}

console.log(`a batch, nobody looks   ${run().toFixed(1).padStart(7)} ns`);
reader.watch();
console.log(`a batch, somebody looks ${run().toFixed(1).padStart(7)} ns`);
reader.take();
const found = reader.take();
console.log(
  `checksum ${found.length} ${found.reduce((sum, { weight, excess }) => (sum * 31 + weight - excess) % 1e9, 0)}`,
);

function run(): number {
  return medianCpuNs(BATCHES, () => {
    for (let i = 0; i < BATCHES; i++) {
      if (!writer.isWatched()) continue;
      writer.add(addresses, (i * 7 + writer.pick(BATCH)) & INPUT_MASK, 4, 5060, BATCH);
    }
  });
}

/** 0 up to, but not including, 1. */
function uniform(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}
