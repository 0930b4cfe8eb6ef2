/** The ring of recent messages: what is read is what was written, or nothing. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createTrace,
  MIN_RING_BYTES,
  mapTrace,
  openTrace,
  RECORD,
  RECORD_HEADER_BYTES,
  ringBytesOf,
  type TraceMemory,
} from '../../../src/observe/trace/trace-layout.ts';
import { TraceRingReader, TraceRingWriter } from '../../../src/observe/trace/trace-ring.ts';

const SHAPE = { shardCount: 2, ringBytes: MIN_RING_BYTES, messageBytes: 65_535 };

const source = new Uint8Array(new SharedArrayBuffer(70_000));
const sourceWords = new Int32Array(source.buffer);

function write(memory: TraceMemory, writer: TraceRingWriter, text: string, timeUs = 0): void {
  const bytes = Buffer.from(text, 'latin1');
  source.set(bytes, 3);
  const record = writer.claim(bytes.length);
  writer.copy(sourceWords, source, 3, 3 + bytes.length, record + RECORD_HEADER_BYTES);
  memory.words[(record >> 2) + RECORD.KEPT_WORD] = bytes.length;
  memory.words[(record >> 2) + RECORD.LENGTH_WORD] = bytes.length;
  memory.doubles[record / 8 + RECORD.TIME_DOUBLE] = timeUs;
  writer.publish();
}

function textsOf(reader: TraceRingReader): (string | null)[] {
  const texts: (string | null)[] = [];
  for (let at = reader.first; at !== reader.next; at = (at + 1) | 0) {
    const record = reader.read(at);
    texts.push(record === null ? null : Buffer.from(record.bytes).toString('latin1'));
  }
  return texts;
}

describe('a ring', () => {
  it('gives back what was written, in order, with its time', () => {
    const memory = createTrace(SHAPE);
    const writer = new TraceRingWriter(memory, 1);
    write(memory, writer, 'one', 1e15 + 1);
    write(memory, writer, '', 2);
    write(memory, writer, 'three, of another length', 3);
    const reader = new TraceRingReader(openTrace(memory.buffer), 1);
    expect(textsOf(reader)).toEqual(['one', '', 'three, of another length']);
    expect(reader.read(0)!.timeUs).toBe(1e15 + 1);
    expect(reader.read(2)).toMatchObject({ shard: 1, sequence: 2 });
    expect(textsOf(new TraceRingReader(memory, 0)), 'the other shard has its own').toEqual([]);
  });

  it('has nothing that was not written yet, and nothing of before', () => {
    const memory = createTrace(SHAPE);
    const reader = new TraceRingReader(memory, 0);
    expect([reader.first, reader.next]).toEqual([0, 0]);
    expect([reader.read(0), reader.read(-1), reader.read(1)]).toEqual([null, null, null]);
  });

  it('loses the oldest by bytes: a message that is there is whole', () => {
    const memory = createTrace(SHAPE);
    const writer = new TraceRingWriter(memory, 0);
    const texts = Array.from({ length: 100 }, (_, i) => String(i).padEnd(1000 + i * 7, '.'));
    for (const text of texts) write(memory, writer, text);
    const read = textsOf(new TraceRingReader(memory, 0));
    const kept = read.filter((text) => text !== null);
    expect(kept).toEqual(texts.slice(-kept.length));
    // Room for some sixty of them.
    expect(kept.length).toBeGreaterThan(30);
    expect(kept.length).toBeLessThan(60);
  });

  it('loses the oldest by number, if they are short', () => {
    const memory = createTrace(SHAPE);
    const writer = new TraceRingWriter(memory, 0);
    const { entries } = memory.map;
    for (let i = 0; i < 2 * entries + 3; i++) write(memory, writer, String(i));
    const reader = new TraceRingReader(memory, 0);
    expect(reader.next - reader.first).toBe(entries - 1);
    expect(textsOf(reader)).toEqual(Array.from({ length: entries - 1 }, (_, i) => String(entries + 4 + i)));
    expect(reader.read(reader.first - 1)).toBeNull();
  });

  it('does not read what `wants` refuses by its header', () => {
    const memory = createTrace(SHAPE);
    const writer = new TraceRingWriter(memory, 0);
    write(memory, writer, 'short');
    write(memory, writer, 'rather long');
    const reader = new TraceRingReader(memory, 0);
    const isLong = (header: Int32Array) => header[RECORD.LENGTH_WORD]! > 8;
    expect([reader.read(0, isLong), reader.read(1, isLong)?.sequence]).toEqual([null, 1]);
  });

  it('goes on where a writer died, and shows nothing of what that had begun', () => {
    const memory = createTrace(SHAPE);
    const dead = new TraceRingWriter(memory, 0);
    write(memory, dead, 'before');
    dead.claim(5000);
    const successor = new TraceRingWriter(memory, 0);
    write(memory, successor, 'after');
    expect(textsOf(new TraceRingReader(memory, 0))).toEqual(['before', 'after']);
  });

  it('counts on where 32 bits end', () => {
    const memory = createTrace(SHAPE);
    const control = memory.map.rings >> 2;
    memory.words[control] = 2 ** 31 - 2; // NEXT
    memory.words[control + 32] = (2 ** 31 - 400) | 0; // CLAIMED
    const writer = new TraceRingWriter(memory, 0);
    for (let i = 0; i < 100; i++) write(memory, writer, `message ${i}`);
    const texts = textsOf(new TraceRingReader(memory, 0)).filter((text) => text !== null);
    expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `message ${i}`));
  });
});

describe('the copy', () => {
  it('is right from anywhere to anywhere', () => {
    const memory = createTrace(SHAPE);
    const writer = new TraceRingWriter(memory, 0);
    for (let i = 0; i < source.length; i++) source[i] = (i * 7 + (i >> 8)) & 0xff;
    fc.assert(
      fc.property(fc.nat(64), fc.nat(200), fc.nat(64), (from, length, to) => {
        const target = memory.map.rings + 4096 + to;
        memory.bytes.fill(0xee, target - 8, target + length + 8);
        expect(writer.copy(sourceWords, source, from, from + length, target)).toBe(target + length);
        const around = [
          ...memory.bytes.subarray(target - 8, target),
          ...memory.bytes.subarray(target + length, target + length + 8),
        ];
        expect(around.every((byte) => byte === 0xee)).toBe(true);
        expect([...memory.bytes.subarray(target, target + length)]).toEqual([...source.subarray(from, from + length)]);
      }),
    );
  });
});

describe('sizes', () => {
  it('are the largest power of two that fits', () => {
    expect([64, 100, 127, 128, 2048, 3000].map((kib) => ringBytesOf(kib) / 1024)).toEqual([
      64, 64, 64, 128, 2048, 2048,
    ]);
  });

  it('leave room for a few of the longest messages', () => {
    expect(mapTrace(SHAPE).messageBytes).toBe(MIN_RING_BYTES / 4);
    expect(() => mapTrace({ ...SHAPE, ringBytes: 100_000 })).toThrow('power of two');
    expect(() => openTrace(new SharedArrayBuffer(1024))).toThrow();
  });
});
