/** A shard allocates nothing for the trace: for calls that are kept, for others, and while somebody watches. */

import { describe, expect, it } from 'vitest';
import { type Arena, createArena } from '../../../src/memory/arena.ts';
import { SLOT, SLOT_HEADER_BYTES, slotOffset } from '../../../src/memory/layout.ts';
import { Counters } from '../../../src/observe/counters.ts';
import { CallTrace } from '../../../src/observe/trace/call-trace.ts';
import { FilterBoard, type TraceFilter } from '../../../src/observe/trace/trace-filters.ts';
import { createTrace } from '../../../src/observe/trace/trace-layout.ts';
import { MessageIndex } from '../../../src/sip/message-index.ts';
import { Outbound, TRACE_MARK } from '../../../src/sip/outbound.ts';
import { parseMessage } from '../../../src/sip/parse-message.ts';
import { TRANSPORT } from '../../../src/sip/transport.ts';
import { request } from '../../flows/messages.ts';

const CALLS = 16;
const ROUNDS = 3;
const CYCLES = 4000;
const POINTS = [
  { socket: 0, transport: TRANSPORT.UDP },
  { socket: 1, transport: TRANSPORT.WS },
];
/** V8 at work on the code itself. */
const MAX_BYTES_PER_MESSAGE = 2;

interface Call {
  readonly index: MessageIndex;
  readonly slotWord: number;
}

/** Every other one came by a connection. */
function placeCall(arena: Arena, i: number): Call {
  const offset = slotOffset(arena.map, i);
  const start = offset + SLOT_HEADER_BYTES;
  const text = request({ callId: `call-${i}@example.org` });
  arena.bytes.set(Buffer.from(text, 'latin1'), start);
  arena.words[(offset >> 2) + SLOT.LENGTH_WORD] = text.length;
  arena.words[(offset >> 2) + SLOT.FAMILY_WORD] = 4;
  arena.words[(offset >> 2) + SLOT.SOCKET_WORD] = i & 1;
  arena.words[(offset >> 2) + SLOT.CONNECTION_WORD] = (i & 1) * -i;
  const index = new MessageIndex();
  parseMessage(arena.bytes, arena.words, start, start + text.length, index);
  return { index, slotWord: offset >> 2 };
}

/** Of garbage, for each message that came or left; the lowest of a few rounds. */
function bytesPerMessage(sample: number, filters: readonly TraceFilter[], byTimers: boolean): number {
  const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
  const { words } = arena;
  const memory = createTrace({ shardCount: 1, ringBytes: 2 ** 18, messageBytes: 4096 });
  const board = new FilterBoard(memory);
  board.keep(sample, sample);
  for (const [place, filter] of filters.entries()) board.set(place, filter);
  const trace = new CallTrace(memory, arena, 0, new Counters(arena, 0), POINTS);
  const outbound = new Outbound(arena, 0, () => undefined);
  const calls = Array.from({ length: CALLS }, (_, i) => placeCall(arena, i));
  const work = () => {
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      trace.nowUs = 1e15 + cycle;
      for (const { index, slotWord } of calls) {
        trace.received(index, slotWord, true, outbound);
        if (byTimers) outbound.traceMark = TRACE_MARK.FIND;
        outbound.begin();
        outbound.keep(index.start, index.end);
        const socket = words[slotWord + SLOT.SOCKET_WORD]!;
        outbound.to(socket, 4, 5060, 1, 0, 0, 0, words[slotWord + SLOT.CONNECTION_WORD]!);
        outbound.commit(0);
      }
      trace.sent(outbound);
      outbound.clear();
    }
  };
  work();
  const rounds = Array.from({ length: ROUNDS }, () => {
    const before = process.memoryUsage().heapUsed;
    work();
    return Math.abs(process.memoryUsage().heapUsed - before) / (2 * CYCLES * CALLS);
  });
  return Math.min(...rounds);
}

describe('no memory is taken', () => {
  it.each<[string, number, TraceFilter[], boolean]>([
    ['for calls that are not kept', 0, [], false],
    ['for calls that are kept', 1, [], false],
    ['for what timers send', 4, [], true],
    ['while somebody watches users', 0, [{ user: 'nobody@example.org' }, { user: 'alice' }], false],
    [
      'while somebody watches calls and sources',
      0,
      [{ callId: 'x' }, { source: { family: 4, bytes: Uint8Array.of(192, 0, 2, 0), prefixBits: 24 } }],
      true,
    ],
  ])('%s', (_, sample, filters, byTimers) => {
    expect(bytesPerMessage(sample, filters, byTimers)).toBeLessThan(MAX_BYTES_PER_MESSAGE);
  });
});
