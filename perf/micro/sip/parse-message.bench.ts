/** How long does it take to index a message: start line, every header, body? A prototype scanned a 900-byte INVITE word by
 *  word in 0.23 to 0.32 µs; this also tells the headers apart. CPU time of this thread, median of rounds, caches warm.
 *  `--quick` runs a few rounds only. */

import { MessageIndex } from '../../../src/sip/message-index.ts';
import { MESSAGE_ERROR, parseMessage } from '../../../src/sip/parse-message.ts';
import { medianCpuNs } from '../cpu-time.ts';
import { type Copies, createMessageArena, MESSAGES, placeCopies } from './messages.ts';

const isQuick = process.argv.includes('--quick');
const PASSES = isQuick ? 10 : 4000;

const arena = createMessageArena();
const { bytes, words } = arena;
const index = new MessageIndex();
let checksum = 0;

for (const [name, text] of Object.entries(MESSAGES)) {
  const copies = placeCopies(arena, text);
  const ns = medianCpuNs(PASSES * copies.starts.length, () => run(copies));
  const size = `${copies.ends[0]! - copies.starts[0]!} bytes, ${index.headerCount} headers`;
  console.log(`${name.padEnd(26)} ${size.padStart(24)} ${ns.toFixed(0).padStart(6)} ns`);
}
console.log(`checksum ${checksum}`);

function run({ starts, ends }: Copies): void {
  for (let pass = 0; pass < PASSES; pass++) {
    for (let i = 0; i < starts.length; i++) {
      const error = parseMessage(bytes, words, starts[i]!, ends[i]!, index);
      if (error !== MESSAGE_ERROR.NONE) throw new Error(`the message is not parsed: ${error}`);
      checksum = (Math.imul(checksum, 31) + index.headerCount + index.bodyStart) | 0;
    }
  }
}
