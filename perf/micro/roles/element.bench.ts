/** What does the whole of a shard's own work cost for one message, without the kernel? An OPTIONS and its 200 are served by
 *  the real element from a slot to the egress table, over and over.
 *
 *  `node perf/micro/roles/element.bench.ts [--quick]` prints ns per message and a checksum of what would be sent. */

import { loadConfig } from '../../../src/config/load.ts';
import { createArena } from '../../../src/memory/arena.ts';
import { EGRESS, EGRESS_STRIDE_BYTES, SLOT, SLOT_HEADER_BYTES, slotOffset } from '../../../src/memory/layout.ts';
import { plainElement } from '../../../test/roles/plain-element.ts';
import { medianCpuNs } from '../cpu-time.ts';

const isQuick = process.argv.includes('--quick');
const CYCLES = isQuick ? 10 : 10_000;
const BATCH = 32;

const loaded = loadConfig({ flags: { mode: 'stateless', listen: ['udp:127.0.0.1:5060'] } });
if (loaded.config === undefined) throw new Error(loaded.problems.join('\n'));
const arena = createArena({ shardCount: 1, slotCount: 16384, jumboCount: 4 });
let flushed = 0;
const element = plainElement(arena, 0, {
  config: loaded.config,
  flush: (outbound) => {
    flushed += outbound.count;
    return 0;
  },
});

const crlf = (lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;

function optionsRequest(call: string): string {
  return crlf([
    'OPTIONS sip:bob@127.0.0.1:8000 SIP/2.0',
    `Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bK${call}o0`,
    'Max-Forwards: 70',
    `From: "Alice Bench" <sip:alice@bench.test>;tag=${call}`,
    'To: <sip:bob@127.0.0.1:8000>',
    `Call-ID: ${call}-5f3a9c01@127.0.0.1`,
    'CSeq: 1 OPTIONS',
    'Contact: <sip:alice@127.0.0.1:7000>',
    'User-Agent: sipblast/1.0 (closed-loop bench)',
    'Accept: application/sdp',
    'Content-Length: 0',
  ]);
}

function okResponse(call: string): string {
  return crlf([
    'SIP/2.0 200 OK',
    `Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKs${'0123456789abcdef'.repeat(2).slice(0, 24)}00`,
    `Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bK${call}o0`,
    `From: "Alice Bench" <sip:alice@bench.test>;tag=${call}`,
    `To: <sip:bob@127.0.0.1:8000>;tag=uas${call}`,
    `Call-ID: ${call}-5f3a9c01@127.0.0.1`,
    'CSeq: 1 OPTIONS',
    'Contact: <sip:bob@127.0.0.1:8000>',
    'Accept: application/sdp',
    'Content-Length: 0',
  ]);
}

function fill(slot: number, message: string, port: number): void {
  const offset = slotOffset(arena.map, slot);
  const word = offset >> 2;
  const bytes = Buffer.from(message, 'latin1');
  arena.bytes.set(bytes, offset + SLOT_HEADER_BYTES);
  arena.words[word + SLOT.LENGTH_WORD] = bytes.length;
  arena.words[word + SLOT.FAMILY_WORD] = 4;
  arena.words[word + SLOT.PORT_WORD] = port;
  arena.words[word + SLOT.SOURCE_WORD] = 0x0100007f;
}

function measure(name: string, message: (call: string) => string, port: number): void {
  // Different calls at different slots, as they come.
  for (let i = 0; i < BATCH * 8; i++) fill(i * 7, message((0x10000000 + i * 7919).toString(16) + '00000001'), port);
  let at = 0;
  const ns = medianCpuNs(CYCLES * BATCH, () => {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      for (let i = 0; i < BATCH; i++) {
        element.serve(at * 7);
        at = at + 1 === BATCH * 8 ? 0 : at + 1;
      }
      element.flush();
    }
  });
  console.log(`${name.padEnd(20)} ${ns.toFixed(0)} ns per message`);
}

measure('OPTIONS', optionsRequest, 7000);
measure('200 to it', okResponse, 8000);
measure('OPTIONS again', optionsRequest, 7000);
measure('200 to it again', okResponse, 8000);

let checksum = flushed;
for (let entry = 0; entry < BATCH; entry++) {
  const word = (arena.map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
  checksum =
    (Math.imul(checksum, 31) + arena.words[word + EGRESS.SPAN_COUNT_WORD]! + arena.words[word + EGRESS.PORT_WORD]!) | 0;
}
console.log(`checksum ${checksum}`);
