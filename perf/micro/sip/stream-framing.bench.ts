/** What does the thread of the streams spend on finding where a message ends? Goal: under 500 ns for the usual ones, most of which
 *  is looking at every byte of the headers once. CPU time of this thread, median of rounds, caches warm. `--quick` runs a few
 *  rounds only. */

import { FRAME, StreamFramer } from '../../../src/sip/stream-framing.ts';
import { medianCpuNs } from '../cpu-time.ts';
import { type Copies, createMessageArena, MESSAGES, placeCopies } from './messages.ts';

const isQuick = process.argv.includes('--quick');
const PASSES = isQuick ? 10 : 10_000;

const arena = createMessageArena();
const { bytes } = arena;
const view = arena.view;
const framer = new StreamFramer(65_535);
let checksum = 0;

for (const [name, text] of Object.entries(MESSAGES)) {
  const copies = placeCopies(arena, text);
  const ns = medianCpuNs(PASSES * copies.starts.length, () => run(copies));
  const length = `${copies.ends[0]! - copies.starts[0]!} bytes`;
  console.log(`${name.padEnd(26)} ${length.padStart(11)} ${ns.toFixed(1).padStart(7)} ns`);
}
console.log(`checksum ${checksum}`);

function run({ starts, ends }: Copies): void {
  for (let pass = 0; pass < PASSES; pass++) {
    for (let i = 0; i < starts.length; i++) {
      const frame = framer.next(bytes, view, starts[i]!, ends[i]!);
      if (frame !== FRAME.MESSAGE) throw new Error(`no message: ${frame}, fault ${framer.fault}`);
      checksum = (Math.imul(checksum, 31) + framer.frameBytes) | 0;
    }
  }
}
