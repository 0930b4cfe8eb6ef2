/** The addon under everything our own mistakes could hand it. Whatever it is: a JavaScript exception, never a crash, never
 *  a byte outside of the arena. Meant to run under the sanitizers as well (scripts/test-native-sanitized.mjs). */

import { describe, expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_ENTRIES,
  EGRESS_SPANS,
  EGRESS_STRIDE_BYTES,
  HEADER,
  MAX_SOCKETS,
  RECEIVE_BATCH,
} from '../../src/memory/layout.ts';
import * as face from '../../src/runtime/udp-socket.ts';
import { arena, egressWord, FIRST_SLOT, open, putEgress, received } from './loopback.ts';

const NOT_NUMBERS = [
  undefined,
  null,
  true,
  'x',
  '1',
  {},
  [],
  () => {},
  Symbol('s'),
  10n,
  new Date(),
  new Proxy({}, {}),
];
const NOT_COUNTS = [Number.NaN, Infinity, -Infinity, 0.5, -1.5, -2, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, 2 ** 53, 1e300];
const NOT_BOOLEANS = [undefined, null, 0, 1, 'true', {}, Symbol('s')];
const NOT_SHARED_BYTES = [
  ...NOT_NUMBERS,
  1,
  new ArrayBuffer(4096),
  new SharedArrayBuffer(4096),
  new DataView(new SharedArrayBuffer(4096)),
  new Int32Array(new SharedArrayBuffer(4096)),
  new Uint8Array(arena.bytes),
  Buffer.alloc(4096),
];
const NOT_OPTIONS = [undefined, null, 1, 'x', true, Symbol('s'), () => {}];

type Misused = (...values: unknown[]) => unknown;
const addon = face as unknown as Record<string, Misused>;

/** Each numeric argument of each function, with good values in the other places. */
const NUMERIC_ARGUMENTS: [name: string, good: unknown[], position: number][] = [
  ['close', [1], 0],
  ['duplicate', [1], 0],
  ['addSocket', [0, 1 << 20, 4, false], 0],
  ['addSocket', [0, 1 << 20, 4, false], 1],
  ['addSocket', [0, 1 << 20, 4, false], 2],
  ['removeSocket', [0], 0],
  ['setWake', [1], 0],
  ['receiveBatch', [1, 0], 0],
  ['receiveBatch', [1, 0], 1],
  ['setFilter', [0, null], 0],
  ['receiveDrops', [0], 0],
  ['receiveQueued', [0], 0],
  ['socketErrors', [0], 0],
  ['takeUnreachable', [0, new Int32Array(6)], 0],
  ['signal', [1], 0],
  ['watch', [1, () => {}], 0],
  ['sendBatch', [0, 0, 1], 0],
  ['sendBatch', [0, 0, 1], 1],
  ['sendBatch', [0, 0, 1], 2],
  ['nap', [1], 0],
  ['watchStream', [1 << 20, 1], 0],
  ['watchStream', [1 << 20, 1], 1],
  ['waitForStreams', [0], 0],
  ['acceptStream', [1 << 20, 0], 0],
  ['acceptStream', [1 << 20, 0], 1],
  ['receiveStream', [1 << 20, 0, 1], 0],
  ['receiveStream', [1 << 20, 0, 1], 1],
  ['receiveStream', [1 << 20, 0, 1], 2],
  ['sendStream', [1 << 20, 0, 1], 0],
  ['sendStream', [1 << 20, 0, 1], 1],
  ['sendStream', [1 << 20, 0, 1], 2],
  ['streamError', [1 << 20], 0],
  ['endStream', [1 << 20], 0],
  ['closeStream', [1 << 20], 0],
  ['resetStream', [1 << 20], 0],
];

const OPEN_OPTIONS = {
  host: '127.0.0.1',
  port: 0,
  family: 4,
  dualStack: false,
  receiveBufferBytes: 65536,
  sendBufferBytes: 65536,
  dscp: 0,
  reusePort: false,
};

describe('arguments', () => {
  it.each(NUMERIC_ARGUMENTS)('%s refuses what is no number or out of range (%j, place %i)', (name, good, position) => {
    for (const garbage of NOT_NUMBERS) expect(() => addon[name]!(...good.with(position, garbage))).toThrow(TypeError);
    for (const garbage of NOT_COUNTS) expect(() => addon[name]!(...good.with(position, garbage))).toThrow(RangeError);
  });

  it('refuses missing arguments', () => {
    const withoutArguments = new Set(['createEventFd', 'createRelay', 'threadCpuNs', 'yieldThread', 'wakeForLoop']);
    for (const [name, misused] of Object.entries(addon)) {
      if (typeof misused !== 'function') continue;
      if (!withoutArguments.has(name)) expect(() => misused(), name).toThrow(TypeError);
    }
  });

  it('refuses numbers just outside of their range', () => {
    const { index } = open();
    expect(() => face.receiveBatch(0, 0)).toThrow(RangeError);
    expect(() => face.receiveBatch(RECEIVE_BATCH + 1, 0)).toThrow(RangeError);
    expect(() => face.sendBatch(arena.map.shardCount, 0, 1)).toThrow(RangeError);
    expect(() => face.sendBatch(0, EGRESS_ENTRIES, 0)).toThrow(RangeError);
    expect(() => face.sendBatch(0, 0, EGRESS_ENTRIES + 1)).toThrow(RangeError);
    expect(() => face.sendBatch(0, EGRESS_ENTRIES - 1, 2)).toThrow(RangeError);
    expect(() => face.addSocket(MAX_SOCKETS, 1, 4, false)).toThrow(RangeError);
    expect(() => face.receiveDrops(index + 1)).toThrow(RangeError);
    expect(() => face.socketErrors(MAX_SOCKETS)).toThrow(RangeError);
    expect(() => face.takeUnreachable(MAX_SOCKETS, new Int32Array(6))).toThrow(RangeError);
    for (const words of [new Int32Array(5), new Uint8Array(24), {}, undefined]) {
      expect(() => addon['takeUnreachable']!(0, words)).toThrow(TypeError);
    }
    expect(() => face.setFilter(index + 1, null)).toThrow(RangeError);
    for (const program of [
      undefined,
      1,
      {},
      new Uint8Array(0),
      new Uint8Array(7),
      new Uint8Array(8 * 4097),
      new Int32Array(2),
    ]) {
      expect(() => addon['setFilter']!(index, program)).toThrow(TypeError);
    }
    expect(() => face.nap(1_000_001)).toThrow(RangeError);
    expect(() => addon['addSocket']!(0, 1, 5, false)).toThrow(RangeError);
  });

  it('refuses a wildcard that is no boolean and a callback that is no function', () => {
    for (const garbage of NOT_BOOLEANS) expect(() => addon['addSocket']!(0, 1, 4, garbage)).toThrow(TypeError);
    for (const garbage of [undefined, null, 1, {}, 'f']) expect(() => addon['watch']!(1, garbage)).toThrow(TypeError);
  });

  it('refuses broken options of openTcp', () => {
    const { receiveBufferBytes: _, sendBufferBytes: __, reusePort: ___, ...good } = OPEN_OPTIONS;
    for (const garbage of NOT_OPTIONS) expect(() => addon['openTcp']!(garbage)).toThrow(TypeError);
    for (const key of ['port', 'family', 'dscp']) {
      for (const garbage of NOT_NUMBERS)
        expect(() => addon['openTcp']!({ ...good, [key]: garbage })).toThrow(TypeError);
      for (const garbage of NOT_COUNTS)
        expect(() => addon['openTcp']!({ ...good, [key]: garbage })).toThrow(RangeError);
    }
    for (const garbage of NOT_BOOLEANS) {
      expect(() => addon['openTcp']!({ ...good, dualStack: garbage })).toThrow(TypeError);
    }
    for (const host of [undefined, 4, 'localhost', '127.0.0.1\0.x']) {
      expect(() => addon['openTcp']!({ ...good, host })).toThrow(TypeError);
    }
    expect(() => addon['openTcp']!({ ...good, dualStack: true })).toThrow(RangeError);
  });

  it('refuses broken options of openUdp and scheduleThread', () => {
    for (const garbage of NOT_OPTIONS) {
      expect(() => addon['openUdp']!(garbage)).toThrow(TypeError);
      expect(() => addon['scheduleThread']!(garbage)).toThrow(TypeError);
    }
    for (const key of ['port', 'family', 'receiveBufferBytes', 'sendBufferBytes', 'dscp']) {
      for (const garbage of NOT_NUMBERS) {
        expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, [key]: garbage })).toThrow(TypeError);
      }
      for (const garbage of NOT_COUNTS) {
        expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, [key]: garbage })).toThrow(RangeError);
      }
    }
    for (const key of ['dualStack', 'reusePort']) {
      for (const garbage of NOT_BOOLEANS) {
        expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, [key]: garbage })).toThrow(TypeError);
      }
    }
    for (const host of [undefined, 4, {}, 'x'.repeat(10_000), '\u{1F4DE}', '127.0.0.1\0.x']) {
      expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, host })).toThrow(TypeError);
    }
    expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, family: 5 })).toThrow(RangeError);
    expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, dualStack: true })).toThrow(RangeError);
    expect(() => addon['openUdp']!({ ...OPEN_OPTIONS, dscp: 64 })).toThrow(RangeError);
    expect(() => addon['scheduleThread']!({ batch: 1, timerSlackNs: 1000 })).toThrow(TypeError);
    expect(() => addon['scheduleThread']!({ batch: true, timerSlackNs: 0 })).toThrow(RangeError);
  });

  it('passes on what a getter throws', () => {
    const options = {
      get host() {
        throw new Error('mine');
      },
    };
    expect(() => addon['openUdp']!(options)).toThrow('mine');
  });

  it('reports a descriptor that is not open', () => {
    const closed = face.createEventFd();
    face.close(closed);
    expect(() => face.close(1 << 20)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'close' }));
    expect(() => face.duplicate(1 << 20)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'fcntl' }));
    expect(() => face.signal(1 << 20)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'write' }));
  });
});

describe('attach', () => {
  it('refuses what is no shared Uint8Array', () => {
    for (const bytes of NOT_SHARED_BYTES) expect(() => addon['attach']!(bytes)).toThrow(TypeError);
  });

  it('and so does adviseHugePages', () => {
    for (const bytes of NOT_SHARED_BYTES) expect(() => addon['adviseHugePages']!(bytes)).toThrow(TypeError);
  });

  it('refuses bytes that are no arena, or not all of one', () => {
    const { bytes } = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
    expect(() => face.attach(bytes.subarray(0, -1024))).toThrow(/not as long as it says/);
    expect(() => face.attach(bytes.subarray(4))).toThrow(/not aligned/);
    expect(() => face.attach(bytes.subarray(8))).toThrow(/wrong magic/);
    expect(() => face.attach(bytes.subarray(0, 0))).toThrow();
    expect(() => face.attach(new Uint8Array(new SharedArrayBuffer(4096)))).toThrow(/wrong magic/);
    face.attach(bytes);
    face.attach(arena.bytes);
  });

  it('refuses a header whose figures lead out of the arena', () => {
    const { words, bytes } = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
    const offsets: number[] = [HEADER.SLOTS_WORD, HEADER.SPILL_WORD, HEADER.EGRESS_WORD, HEADER.PLAN_WORD];
    const figures = [HEADER.MAGIC_WORD, HEADER.VERSION_WORD, HEADER.TOTAL_KIB_WORD, HEADER.SHARD_COUNT_WORD];
    for (const word of [...figures, HEADER.SLOT_COUNT_WORD, ...offsets]) {
      const good = words[word]!;
      const misaligned = offsets.includes(word) ? [good + 2] : [];
      for (const bad of [0, -1, bytes.length, bytes.length - 4, 0x7fffffff, -0x80000000, ...misaligned]) {
        words[word] = bad;
        expect(() => face.attach(bytes), `word ${word} = ${bad}`).toThrow(Error);
      }
      words[word] = good;
    }
    face.attach(bytes);
    face.attach(arena.bytes);
  });

  it('keeps the arena it has when another is refused', () => {
    const server = open();
    const client = open();
    expect(() => face.attach(new Uint8Array(new SharedArrayBuffer(4096)))).toThrow(/magic/);
    putEgress(0, { socket: client.index, port: server.port, spans: ['hello'] });
    expect(face.sendBatch(0, 0, 1)).toBe(0);
    expect(face.receiveBatch(1, 5000)).toBe(1);
    expect(received(0).payload.toString()).toBe('hello');
  });
});

describe('what the arena says', () => {
  it('throws for a slot of the plan that is out of range, and receives nothing', () => {
    const server = open();
    const client = open();
    putEgress(0, { socket: client.index, port: server.port, spans: ['hello'] });
    face.sendBatch(0, 0, 1);
    const plan = arena.map.plan >> 2;
    for (const slot of [-1, arena.map.slotCount, arena.map.slotCount + 1, 0x7fffffff, -0x80000000]) {
      arena.words[plan + 1] = slot;
      expect(() => face.receiveBatch(2, 0)).toThrow(RangeError);
    }
    expect(face.receiveBatch(1, 5000)).toBe(1);
    arena.words[plan + 1] = FIRST_SLOT + 1;
  });

  it('throws for an egress entry that is out of range, and sends nothing of the batch', () => {
    const server = open();
    const client = open();
    const good = { socket: client.index, port: server.port };
    const bad = [
      { ...good, spans: [[arena.bytes.length, 1]] as [number, number][] },
      { ...good, spans: [[arena.bytes.length - 1, 2]] as [number, number][] },
      { ...good, spans: [[-1, 1]] as [number, number][] },
      { ...good, spans: [[0, -1]] as [number, number][] },
      { ...good, spans: [[0x7fffffff, 0x7fffffff]] as [number, number][] },
      { ...good, socket: client.index + 1, spans: ['x'] },
      { ...good, socket: -1, spans: ['x'] },
      { ...good, socket: MAX_SOCKETS, spans: ['x'] },
      { ...good, port: 65_536, spans: ['x'] },
      { ...good, port: -1, spans: ['x'] },
      { ...good, family: 0, spans: ['x'] },
      { ...good, family: 5, spans: ['x'] },
    ];
    for (const entry of bad) {
      putEgress(0, { ...good, spans: ['good'] });
      putEgress(1, entry);
      expect(() => face.sendBatch(0, 0, 2), JSON.stringify(entry)).toThrow(RangeError);
    }
    for (const spanCount of [-1, EGRESS_SPANS + 1, 0x7fffffff]) {
      putEgress(1, { ...good, spans: ['x'] });
      arena.words[egressWord(1) + EGRESS.SPAN_COUNT_WORD] = spanCount;
      expect(() => face.sendBatch(0, 0, 2)).toThrow(RangeError);
    }
    expect(face.receiveBatch(1, 0)).toBe(0);
    putEgress(1, { ...good, spans: [[arena.bytes.length - 1, 1]] });
    expect(face.sendBatch(0, 1, 1)).toBe(0);
  });

  it('survives any words in entries and plan', () => {
    open();
    const client = open();
    let seed = 1;
    const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff) >> 8;
    const figures = [0, 1, -1, 4, 6, EGRESS_SPANS, 0x7fffffff, -0x80000000, arena.bytes.length, arena.bytes.length - 1];
    const ENTRIES = 3;
    const untouched: number[] = [EGRESS.ADDRESS_WORD, EGRESS.ADDRESS_WORD + 1, EGRESS.ADDRESS_WORD + 2];
    let sent = 0;
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      // Of one length and for one destination: a run, unless a change makes it none.
      for (let entry = 0; entry < ENTRIES; entry++) {
        putEgress(entry, { socket: client.index, port: client.port, spans: ['a', 'bc', 'def'] });
      }
      // Fewer changes leave more that pass the checks.
      for (let change = random() % 3; change >= 0; change--) {
        const word = random() % (EGRESS_STRIDE_BYTES / 4);
        if (untouched.includes(word)) continue;
        arena.words[egressWord(random() % ENTRIES) + word] = figures[random() % figures.length]!;
      }
      try {
        face.sendBatch(0, 0, ENTRIES);
        sent++;
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        refused++;
      }
      face.receiveBatch(RECEIVE_BATCH, 0);
    }
    expect(sent).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
  });
});
