/** What does the export thread spend on a message? From the ring of the trace to a packet, and to the kernel: to a socket on loopback
 *  that nobody reads.
 *
 *  `node perf/micro/runtime/trace/hep-pump.bench.ts [--quick]` prints ns per message and a checksum of the packets. */

import { setTimeout as sleep } from 'node:timers/promises';
import { slotOffset } from '../../../../src/memory/layout.ts';
import { Counters } from '../../../../src/observe/counters.ts';
import { CallTrace } from '../../../../src/observe/trace/call-trace.ts';
import { FilterBoard } from '../../../../src/observe/trace/trace-filters.ts';
import { createTrace } from '../../../../src/observe/trace/trace-layout.ts';
import { type HepLink, openHepLink } from '../../../../src/runtime/trace/hep-link.ts';
import { MAX_HEP_BYTES } from '../../../../src/runtime/trace/hep-packet.ts';
import { HepPump } from '../../../../src/runtime/trace/hep-pump.ts';
import { close, openUdp } from '../../../../src/runtime/udp-socket.ts';
import { MessageIndex } from '../../../../src/sip/message-index.ts';
import { Outbound } from '../../../../src/sip/outbound.ts';
import { parseMessage } from '../../../../src/sip/parse-message.ts';
import { medianCpuNs } from '../../cpu-time.ts';
import { createMessageArena, MESSAGES, placeCopies } from '../../sip/messages.ts';

const isQuick = process.argv.includes('--quick');
const CYCLES = isQuick ? 10 : 2000;
const READING = {
  sockets: [{ transport: 'udp', family: 4, address: '192.0.2.1', port: 5060, isWildcard: false }],
  localAddresses: [],
  maskHeaders: [],
} as const;

/** A link that only looks at the packets. */
class Nowhere implements HepLink {
  readonly hasRoom = true;
  readonly area = new Uint8Array(MAX_HEP_BYTES);
  readonly next = 0;
  checksum = 0;

  add(end: number): void {
    this.checksum = (this.checksum * 31 + end + this.area[end - 1]!) | 0;
  }

  flush(): void {}

  close(): void {}
}

const arena = createMessageArena();
const outbound = new Outbound(arena, 0, () => undefined);

async function measure(name: string, link: HepLink): Promise<void> {
  const memory = createTrace({ shardCount: 1, ringBytes: 2 ** 21, messageBytes: 4096 });
  new FilterBoard(memory).keep(1, 1);
  const trace = new CallTrace(memory, arena, 0, new Counters(arena, 0), []);
  const { slots, starts, ends } = placeCopies(arena, MESSAGES[name]!);
  const indices = Array.from(starts, (start, i) => {
    const index = new MessageIndex();
    parseMessage(arena.bytes, arena.words, start, ends[i]!, index);
    return index;
  });
  const pump = new HepPump(memory, READING, { captureId: 2001, authKey: 'myHep' }, () => 1e15);
  const keep = () => {
    for (const [i, index] of indices.entries()) {
      trace.received(index, slotOffset(arena.map, slots[i]!) >> 2, true, outbound);
    }
  };
  const keepNs = medianCpuNs(CYCLES * indices.length, () => {
    for (let cycle = 0; cycle < CYCLES; cycle++) keep();
  });
  while (pump.pump(link));
  const ns = medianCpuNs(CYCLES * indices.length, () => {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      keep();
      while (pump.pump(link));
    }
  });
  console.log(`${link.constructor.name.padEnd(8)} ${name.padEnd(20)} ${(ns - keepNs).toFixed(0)} ns per message`);
}

const nowhere = new Nowhere();
for (const name of Object.keys(MESSAGES)) await measure(name, nowhere);
const sink = openUdp({
  ...{ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0, reusePort: false },
  ...{ receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20 },
});
const link = openHepLink(
  { transport: 'udp', host: '127.0.0.1', port: sink.port },
  { onState: () => undefined, onSent: () => undefined, onLost: () => undefined },
);
while (!link.hasRoom) await sleep(1);
for (const name of Object.keys(MESSAGES)) await measure(name, link);
link.close();
close(sink.fd);
console.log(`checksum ${nowhere.checksum}`);
