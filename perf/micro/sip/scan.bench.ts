/** What does the dispatcher spend on looking at a datagram: is it SIP, and which call does it belong to? Goal: under 100 ns
 *  for the usual ones; where the Call-ID stands in the message decides. CPU time of this thread, median of rounds, caches
 *  warm. `--quick` runs a few rounds only. */

import { classifyDatagram, DATAGRAM, hashCallId } from '../../../src/sip/scan.ts';
import { medianCpuNs } from '../cpu-time.ts';
import { type Copies, createMessageArena, MESSAGES, placeCopies } from './messages.ts';

const isQuick = process.argv.includes('--quick');
const PASSES = isQuick ? 10 : 10_000;

const arena = createMessageArena();
const { bytes, words } = arena;
let checksum = 0;

const INPUTS: Readonly<Record<string, string>> = {
  ...MESSAGES,
  'keep-alive': '\r\n\r\n',
  'a page without Call-ID': `OPTIONS sip:a SIP/2.0\r\n${'X-Filler: there is no Call-ID in here\r\n'.repeat(50)}\r\n`,
};

for (const [name, text] of Object.entries(INPUTS)) {
  const copies = placeCopies(arena, text);
  const ns = medianCpuNs(PASSES * copies.starts.length, () => run(copies));
  const length = `${copies.ends[0]! - copies.starts[0]!} bytes`;
  console.log(`${name.padEnd(26)} ${length.padStart(11)} ${ns.toFixed(1).padStart(7)} ns`);
}
console.log(`checksum ${checksum}`);

function run({ starts, ends }: Copies): void {
  for (let pass = 0; pass < PASSES; pass++) {
    for (let i = 0; i < starts.length; i++) {
      const kind = classifyDatagram(bytes, starts[i]!, ends[i]!);
      const hash = kind === DATAGRAM.SIP ? hashCallId(bytes, words, starts[i]!, ends[i]!) : kind;
      checksum = (Math.imul(checksum, 31) + hash) | 0;
    }
  }
}
