/** What does the trace add to a message? For one that is kept, a copy; for the others, a hash of the Call-ID where it came in, and a
 *  look at a mark where it left.
 *
 *  `node perf/micro/observe/trace.bench.ts [--quick]` prints ns per message and a checksum of what was kept. */

import { slotOffset } from '../../../src/memory/layout.ts';
import { Counters } from '../../../src/observe/counters.ts';
import { CallTrace } from '../../../src/observe/trace/call-trace.ts';
import { FilterBoard } from '../../../src/observe/trace/trace-filters.ts';
import { createTrace, recordsOffset } from '../../../src/observe/trace/trace-layout.ts';
import { TraceRingReader } from '../../../src/observe/trace/trace-ring.ts';
import { MessageIndex } from '../../../src/sip/message-index.ts';
import { Outbound, TRACE_MARK } from '../../../src/sip/outbound.ts';
import { parseMessage } from '../../../src/sip/parse-message.ts';
import { TRANSPORT } from '../../../src/sip/transport.ts';
import { medianCpuNs } from '../cpu-time.ts';
import { createMessageArena, MESSAGES, placeCopies } from '../sip/messages.ts';

const isQuick = process.argv.includes('--quick');
const CYCLES = isQuick ? 10 : 10_000;

const arena = createMessageArena();
const memory = createTrace({ shardCount: 1, ringBytes: 2 ** 21, messageBytes: 4096 });
const board = new FilterBoard(memory);
const trace = new CallTrace(memory, arena, 0, new Counters(arena, 0), [
  { socket: 0, transport: TRANSPORT.UDP },
  { socket: 1, transport: TRANSPORT.TCP },
]);
const outbound = new Outbound(arena, 0, () => undefined);

const { slots, starts, ends } = placeCopies(arena, MESSAGES['INVITE with SDP']!);
const slotWords = slots.map((slot) => slotOffset(arena.map, slot) >> 2);
const indices = Array.from(starts, (start, i) => {
  const index = new MessageIndex();
  parseMessage(arena.bytes, arena.words, start, ends[i]!, index);
  return index;
});

/** As the proxy sends a request: its line, a Via of ours, the rest with a gap where Max-Forwards was. */
function send(mark: number): void {
  outbound.clear();
  outbound.traceMark = mark;
  for (const index of indices) {
    outbound.begin();
    outbound.keep(index.start, index.headersStart);
    const via = outbound.cursor;
    outbound.putCopy(index.headersStart, index.headersStart + 70);
    outbound.keep(via, outbound.cursor);
    outbound.keep(index.headersStart, index.headersStart + 101);
    outbound.keep(index.headersStart + 103, index.end);
    outbound.to(0, 4, 5060, 1, 0, 0, 0, 0);
    outbound.commit(0);
  }
}

function measure(name: string, run: () => void): void {
  const ns = medianCpuNs(CYCLES * indices.length, () => {
    for (let cycle = 0; cycle < CYCLES; cycle++) run();
  });
  console.log(`${name.padEnd(28)} ${ns.toFixed(0)} ns per message`);
}

function receive(): void {
  for (let i = 0; i < indices.length; i++) trace.received(indices[i]!, slotWords[i]!, true, outbound);
}

const sent = () => trace.sent(outbound);
for (const round of ['', ' again']) {
  board.keep(0, 0);
  measure(`received, not kept${round}`, receive);
  send(TRACE_MARK.NO);
  measure(`sent, not kept${round}`, sent);
  send(TRACE_MARK.FIND);
  measure(`sent by a timer, not kept${round}`, sent);
  board.set(0, { user: 'nobody' });
  measure(`received, not watched${round}`, receive);
  board.clear(0);
  board.keep(1, 0);
  measure(`received, kept${round}`, receive);
  send(TRACE_MARK.YES);
  measure(`sent, kept${round}`, sent);
}

const { next } = new TraceRingReader(memory, 0);
console.log(`checksum ${(next ^ memory.words[(recordsOffset(memory.map, 0) >> 2) + 4]!) | 0}`);
