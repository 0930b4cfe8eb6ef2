/** The relay between two processes: what one has received arrives at the other as if it had received it itself. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  OWNER_DISPATCHER,
  RELAY_SOCKET,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { addRelay, close, createRelay, receiveBatch, receiveFrom, sendBatch } from '../../src/runtime/udp-socket.ts';
import { arena, FIRST_SLOT, open, putEgress, received, resultOf } from './loopback.ts';

let relay: ReturnType<typeof createRelay>;
beforeEach(() => {
  relay = createRelay();
});
afterEach(() => {
  addRelay(-1, false);
  close(relay.sender);
  close(relay.receiver);
});

/** As the other process has it: slot 1, or a jumbo. */
function slotThere(payload: Buffer, words: Partial<Record<keyof typeof SLOT, number>>): [number, number] {
  const slot = payload.length > SLOT_PAYLOAD_BYTES ? arena.map.slotCount : 1;
  const offset = slotOffset(arena.map, slot);
  arena.words.fill(0, offset >> 2, (offset + SLOT_HEADER_BYTES) >> 2);
  for (const [name, value] of Object.entries(words)) {
    arena.words[(offset >> 2) + SLOT[name as keyof typeof SLOT]] = value;
  }
  arena.bytes.set(payload, offset + SLOT_HEADER_BYTES);
  return [offset, SLOT_HEADER_BYTES + payload.length];
}

function pass(...spans: [number, number][]): void {
  addRelay(relay.sender, false);
  for (const [entry, span] of spans.entries()) putEgress(entry, { socket: RELAY_SOCKET, port: 0, spans: [span] });
  expect(sendBatch(0, 0, spans.length)).toBe(0);
  addRelay(relay.receiver, true);
}

const FROM_BOB = { FAMILY_WORD: 4, PORT_WORD: 5070, SOURCE_WORD: 0x0100007f, TIME_WORD: 77, OWNER_WORD: 3 };

describe('a slot that is passed on', () => {
  it('arrives with its source, its socket and its time, and is the receiver’s', () => {
    const { index } = open();
    pass(slotThere(Buffer.from('BYE sip:a SIP/2.0'), { ...FROM_BOB, SOCKET_WORD: index, LENGTH_WORD: 9999 }));
    expect(receiveBatch(8, 0)).toBe(1);
    expect(received(0)).toMatchObject({
      socket: index,
      family: 4,
      port: 5070,
      source: [127, 0, 0, 1],
      timeUs: 77,
      payload: Buffer.from('BYE sip:a SIP/2.0'),
    });
    const words = slotOffset(arena.map, FIRST_SLOT) >> 2;
    expect(arena.words[words + SLOT.OWNER_WORD]).toBe(OWNER_DISPATCHER);
  });

  it.each([SLOT_PAYLOAD_BYTES, SLOT_PAYLOAD_BYTES + 1, 60_000])('may have %i bytes', (length) => {
    const { index } = open();
    const payload = Buffer.alloc(length, 'SIP/2.0 200 ');
    pass(slotThere(payload, { ...FROM_BOB, SOCKET_WORD: index }));
    expect(receiveBatch(8, 0)).toBe(1);
    expect(received(0).payload.equals(payload)).toBe(true);
  });

  it('is one of many, in their order, beside what comes by the sockets', async () => {
    const { index, port } = open();
    const there = slotThere(Buffer.from('relayed'), { ...FROM_BOB, SOCKET_WORD: index });
    pass(there, there, there);
    putEgress(0, { socket: index, port, spans: ['by itself'] });
    sendBatch(0, 0, 1);
    const texts: string[] = [];
    while (texts.length < 4) {
      const count = receiveBatch(8, 1000);
      for (let i = 0; i < count; i++) texts.push(received(i).payload.toString());
    }
    expect(texts.sort()).toEqual(['by itself', 'relayed', 'relayed', 'relayed']);
  });

  it('that no slot can have been becomes junk', () => {
    const { index } = open();
    const good = { ...FROM_BOB, SOCKET_WORD: index };
    const wrong: [number, number][] = [
      slotThere(Buffer.from('x'), { ...good, SOCKET_WORD: index + 1 }),
      slotThere(Buffer.from('x'), { ...good, SOCKET_WORD: -1 }),
      slotThere(Buffer.from('x'), { ...good, FAMILY_WORD: 5 }),
    ];
    for (const span of wrong) {
      pass(span);
      expect(receiveBatch(8, 0)).toBe(1);
      expect([...received(0).payload]).toEqual([0]);
    }
    const [offset] = slotThere(Buffer.from('x'), good);
    for (const length of [1, SLOT_HEADER_BYTES]) {
      pass([offset, length]);
      expect(receiveBatch(8, 0)).toBe(1);
      expect([...received(0).payload]).toEqual([0]);
    }
  });
});

describe('the ends of a relay', () => {
  it('hold thousands of messages, and what is more is refused', () => {
    addRelay(relay.sender, false);
    const span = slotThere(Buffer.alloc(700), FROM_BOB);
    for (let entry = 0; entry < 64; entry++) putEgress(entry, { socket: RELAY_SOCKET, port: 0, spans: [span] });
    let sent = 0;
    let failed = 0;
    while (failed === 0 && sent < 1_000_000) {
      failed = sendBatch(0, 0, 64);
      sent += 64 - failed;
    }
    // Without privileges as much as net.core.wmem_max allows.
    expect(sent).toBeGreaterThanOrEqual(64);
    expect(resultOf(63)).toBe(11); // EAGAIN
  });

  it('whose receiver has gone refuse', () => {
    addRelay(relay.sender, false);
    close(relay.receiver);
    relay = { sender: relay.sender, receiver: createRelay().receiver };
    putEgress(0, { socket: RELAY_SOCKET, port: 0, spans: ['x'] });
    expect(sendBatch(0, 0, 1)).toBe(1);
    expect([107, 111]).toContain(resultOf(0)); // ENOTCONN, ECONNREFUSED
  });

  it('whose sender has gone give nothing more', () => {
    const { index } = open();
    pass(slotThere(Buffer.from('last'), { ...FROM_BOB, SOCKET_WORD: index }));
    close(relay.sender);
    relay = { sender: createRelay().sender, receiver: relay.receiver };
    expect(receiveBatch(8, 0)).toBe(1);
    expect(receiveBatch(8, 0)).toBe(0);
  });
});

describe('receiveFrom', () => {
  it('leaves a socket out and takes it back, while it sends all the time', () => {
    const [deaf, other] = [open(), open()];
    receiveFrom(deaf.index, false);
    putEgress(0, { socket: deaf.index, port: deaf.port, spans: ['to itself'] });
    putEgress(1, { socket: deaf.index, port: other.port, spans: ['to the other'] });
    expect(sendBatch(0, 0, 2)).toBe(0);
    expect(receiveBatch(8, 1000)).toBe(1);
    expect(received(0).payload.toString()).toBe('to the other');
    expect(receiveBatch(8, 0)).toBe(0);
    receiveFrom(deaf.index, true);
    expect(receiveBatch(8, 1000)).toBe(1);
    expect(received(0).payload.toString()).toBe('to itself');
    expect(() => receiveFrom(60, true)).toThrow(RangeError);
  });
});
