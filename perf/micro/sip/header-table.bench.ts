/** How long does headerIdOf take on the header names of real messages, in the spellings that occur, and on names it does
 *  not know? Goal: about 10 ns. CPU time of this thread. `--quick` runs a few rounds only. */

import { headerIdOf } from '../../../src/sip/header-table.ts';

const ROUNDS = process.argv.includes('--quick') ? 100 : 300_000;

const INPUTS: Record<string, readonly string[]> = {
  'INVITE of a phone': [
    'Via',
    'Max-Forwards',
    'From',
    'To',
    'Call-ID',
    'CSeq',
    'Contact',
    'User-Agent',
    'Allow',
    'Supported',
    'Content-Type',
    'Content-Length',
  ],
  'compact forms': ['v', 'f', 't', 'i', 'm', 'l', 'c', 'k'],
  'other case': ['VIA', 'CALL-ID', 'call-id', 'Content-length', 'cseq', 'RECORD-ROUTE'],
  unknown: ['X-Asterisk-HangupCause', 'X-Cid', 'NewFangledHeader', 'P-Hint', "extensionHeader-!.%*+_`'~"],
};

const bytes = new Uint8Array(new SharedArrayBuffer(65_536));
let checksum = 0;

for (const [label, names] of Object.entries(INPUTS)) {
  const spans = names.map((name, i) => {
    const start = i * 64 + 3 * (i % 5) + 1;
    for (let at = 0; at < name.length; at++) bytes[start + at] = name.charCodeAt(at);
    return [start, start + name.length] as const;
  });
  run(spans, Math.min(ROUNDS, 20_000)); // warm-up
  const began = process.threadCpuUsage();
  run(spans, ROUNDS);
  const ns = (process.threadCpuUsage(began).user * 1000) / (ROUNDS * spans.length);
  console.log(`${label.padEnd(24)} ${ns.toFixed(1).padStart(7)} ns`);
}
console.log(`checksum ${checksum}`);

function run(spans: readonly (readonly [number, number])[], rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < spans.length; i++) {
      const span = spans[i]!;
      checksum = (checksum + headerIdOf(bytes, span[0], span[1])) | 0;
    }
  }
}
