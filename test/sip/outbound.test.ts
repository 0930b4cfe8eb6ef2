import { beforeEach, describe, expect, it } from 'vitest';
import { Literal, literal } from '../../src/base/ascii.ts';
import { createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_ENTRIES,
  EGRESS_SPANS,
  EGRESS_STRIDE_BYTES,
  MAX_DATAGRAM_BYTES,
  SCRATCH_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { Outbound, type ViaTemplate } from '../../src/sip/outbound.ts';

const SHARD = 1;
const arena = createArena({ shardCount: 3, slotCount: 128, jumboCount: 1 });
const { bytes, words, map } = arena;
const scratch = map.scratch + SHARD * SCRATCH_BYTES;
const egress = map.egress + SHARD * EGRESS_ENTRIES * EGRESS_STRIDE_BYTES;
const jumbo = slotOffset(map, 128) + SLOT_HEADER_BYTES;
const ascii = (text: string) => new TextEncoder().encode(text);

let flushed: string[][];
let outbound: Outbound;

beforeEach(() => {
  bytes.fill(0, map.egress);
  flushed = [];
  outbound = new Outbound(arena, SHARD, () => {
    flushed.push(Array.from({ length: outbound.count }, (_, entry) => textOf(entry)));
    outbound.clear();
  });
});

function wordOf(entry: number, field: number): number {
  return words[((egress + entry * EGRESS_STRIDE_BYTES) >> 2) + field]!;
}

function spansOf(entry: number): { start: number; length: number }[] {
  return Array.from({ length: wordOf(entry, EGRESS.SPAN_COUNT_WORD) }, (_, i) => ({
    start: wordOf(entry, EGRESS.SPANS_WORD + 2 * i),
    length: wordOf(entry, EGRESS.SPANS_WORD + 2 * i + 1),
  }));
}

function textOf(entry: number): string {
  const parts = spansOf(entry).map(({ start, length }) => bytes.slice(start, start + length));
  return Buffer.concat(parts).toString('latin1');
}

/** Nothing beyond the shard's own scratch and table was written. */
function neighboursAreUntouched(): boolean {
  const isZero = (start: number, end: number) => bytes.subarray(start, end).every((byte) => byte === 0);
  return (
    isZero(map.egress, egress) &&
    isZero(egress + EGRESS_ENTRIES * EGRESS_STRIDE_BYTES, scratch) &&
    isZero(scratch + SCRATCH_BYTES, map.totalBytes)
  );
}

describe('keep', () => {
  it('joins a span that continues the last one', () => {
    outbound.begin();
    outbound.keep(1000, 1010);
    outbound.keep(1010, 1020);
    outbound.keep(1030, 1040);
    outbound.keep(1000, 1005);
    outbound.commit(0);
    expect(spansOf(0)).toEqual([
      { start: 1000, length: 20 },
      { start: 1030, length: 10 },
      { start: 1000, length: 5 },
    ]);
  });

  it('does not join what the message before ended with', () => {
    outbound.begin();
    outbound.keep(1000, 1010);
    outbound.commit(0);
    outbound.begin();
    outbound.keep(1010, 1020);
    outbound.commit(0);
    expect(spansOf(1)).toEqual([{ start: 1010, length: 10 }]);
  });

  it('leaves out empty and inverted spans', () => {
    outbound.begin();
    outbound.keep(1000, 1000);
    outbound.keep(1000, 999);
    outbound.commit(0);
    expect(spansOf(0)).toEqual([]);
  });
});

describe('more pieces than an entry has spans', () => {
  /** Every second byte of a stretch of the arena, and a comma of our own behind each. */
  function keepPieces(count: number, pieceBytes: number): string {
    bytes.fill(0x61, jumbo, jumbo + count * (pieceBytes + 1));
    outbound.begin();
    for (let i = 0; i < count; i++) {
      const start = jumbo + i * (pieceBytes + 1);
      bytes[start] = 0x30 + (i % 10);
      outbound.keep(start, start + pieceBytes);
      outbound.keepText(literal(','));
    }
    outbound.commit(0);
    return Array.from({ length: count }, (_, i) => `${i % 10}${'a'.repeat(pieceBytes - 1)},`).join('');
  }

  it.each([EGRESS_SPANS / 2, EGRESS_SPANS, 10 * EGRESS_SPANS])(
    '%i pieces and as many texts arrive in order',
    (count) => {
      const expected = keepPieces(count, 3);
      expect(textOf(0)).toBe(expected);
      expect(spansOf(0).length).toBeLessThanOrEqual(EGRESS_SPANS);
    },
  );

  it('stay within the scratch even if they make a message of the largest size', () => {
    const expected = keepPieces(500, 129);
    expect(expected.length).toBeGreaterThan(MAX_DATAGRAM_BYTES - 1000);
    expect(neighboursAreUntouched()).toBe(true);
    expect(textOf(0)).toBe(expected);
  });

  it('stay within the scratch behind other messages that filled most of it', () => {
    for (let i = 0; i < 4; i++) {
      outbound.begin();
      outbound.keepText(new Literal(new Uint8Array(MAX_DATAGRAM_BYTES).fill(0x78)));
      outbound.commit(0);
    }
    keepPieces(500, 129);
    expect(neighboursAreUntouched()).toBe(true);
  });
});

describe('texts', () => {
  it.each([0, 1, 9, 10, 70, 99, 100, 65_535, 1_000_000_000, 2 ** 31 - 1])('%i is written in decimal', (value) => {
    outbound.begin();
    const from = outbound.cursor;
    outbound.putDecimal(value);
    expect(Buffer.from(bytes.slice(from, outbound.cursor)).toString()).toBe(String(value));
  });

  it.each([0, 1, -1, 0x1234_abcd, 0x8000_0000])('%i is written as eight hexadecimal digits', (value) => {
    outbound.begin();
    const from = outbound.cursor;
    outbound.putHex(value);
    const expected = (value >>> 0).toString(16).padStart(8, '0');
    expect(Buffer.from(bytes.slice(from, outbound.cursor)).toString()).toBe(expected);
  });

  it('are copied from the arena', () => {
    bytes.set(ascii('copied'), jumbo);
    outbound.begin();
    const from = outbound.cursor;
    outbound.putCopy(jumbo, jumbo + 6);
    outbound.keep(from, outbound.cursor);
    outbound.commit(0);
    bytes.fill(0, jumbo, jumbo + 6);
    expect(textOf(0)).toBe('copied');
  });

  it('of several messages do not overwrite each other until the flush', () => {
    for (const text of ['one', 'two', 'three']) {
      outbound.begin();
      outbound.keepText(literal(text));
      outbound.commit(0);
    }
    expect([0, 1, 2].map(textOf)).toEqual(['one', 'two', 'three']);
  });
});

describe('the flush', () => {
  function send(text: string): void {
    outbound.begin();
    outbound.keepText(literal(text));
    outbound.commit(0);
  }

  it('comes by itself when the table is full, before the next message', () => {
    for (let i = 0; i < EGRESS_ENTRIES; i++) send(String(i));
    expect(flushed).toEqual([]);
    send('next');
    expect(flushed).toEqual([Array.from({ length: EGRESS_ENTRIES }, (_, i) => String(i))]);
    expect(outbound.count).toBe(1);
    expect(textOf(0)).toBe('next');
  });

  it('comes by itself when the scratch could not take another message', () => {
    const large = 'x'.repeat(MAX_DATAGRAM_BYTES);
    for (let i = 0; i < 20; i++) send(large);
    expect(flushed.length).toBeGreaterThan(0);
    expect(flushed.flat().every((text) => text === large)).toBe(true);
    expect(neighboursAreUntouched()).toBe(true);
  });

  it('does not send what was begun and not committed', () => {
    send('one');
    outbound.begin();
    outbound.keepText(literal('forgotten'));
    send('two');
    expect(outbound.count).toBe(2);
    expect(textOf(1)).toBe('two');
  });

  it('asserts that the table was cleared', () => {
    const stuck = new Outbound(arena, SHARD, () => undefined);
    for (let i = 0; i < EGRESS_ENTRIES; i++) {
      stuck.begin();
      stuck.commit(0);
    }
    expect(() => stuck.begin()).toThrow('a flush must clear the outbound table');
  });
});

describe('stampVia', () => {
  const template = (id: number, host: string): ViaTemplate => {
    const head = `Via: SIP/2.0/UDP ${host};branch=z9hG4bKs`;
    return { id, text: literal(`${head}${'0'.repeat(26)}\r\n`), branchAt: head.length, connectionAt: -1 };
  };

  function stamp(from: ViaTemplate, high: number): string {
    outbound.begin();
    const at = outbound.stampVia(from, high, 2, 3, 0xab, 0x1c0ffee);
    outbound.keep(at, at + from.text.length);
    outbound.commit(0);
    return textOf(outbound.count - 1);
  }

  it('writes key, loop part and socket into the branch', () => {
    const via = stamp(template(1, 'a:5060'), 0xfedc_ba98 | 0);
    expect(via).toBe('Via: SIP/2.0/UDP a:5060;branch=z9hG4bKsfedcba980000000200000003ab\r\n');
  });

  it('writes the connection where the template has a place for it', () => {
    const { id, text, branchAt } = template(1, 'a:5060');
    const line = literal(`${Buffer.from(text.bytes).toString().trimEnd()};i=00000000\r\n`);
    const via = stamp({ id: id + 50, text: line, branchAt, connectionAt: line.length - 10 }, 1);
    expect(via).toBe('Via: SIP/2.0/UDP a:5060;branch=z9hG4bKs000000010000000200000003ab;i=01c0ffee\r\n');
  });

  it('keeps one Via for each message of a flush', () => {
    const vias = [1, 2, 3].map((high) => stamp(template(1, 'a'), high));
    expect([0, 1, 2].map(textOf)).toEqual(vias);
    expect(new Set(vias).size).toBe(3);
  });

  it('changes the template of a place that another one had', () => {
    const long = template(1, 'long.name.example:5060');
    const short = template(2, 'b');
    stamp(long, 1);
    outbound.clear();
    expect(stamp(short, 2)).toContain('SIP/2.0/UDP b;branch=z9hG4bKs00000002');
    outbound.clear();
    expect(stamp(long, 3)).toContain('SIP/2.0/UDP long.name.example:5060;branch=z9hG4bKs00000003');
  });
});

describe('where to', () => {
  it('is what was asked for, with the kernel choosing the local address', () => {
    outbound.begin();
    outbound.to(3, 6, 5070, 1, 2, 3, 4, 9);
    outbound.commit(42);
    const fields = [EGRESS.SOCKET_WORD, EGRESS.FAMILY_WORD, EGRESS.PORT_WORD, EGRESS.SCOPE_WORD, EGRESS.TAG_WORD];
    expect(fields.map((field) => wordOf(0, field))).toEqual([3, 6, 5070, 9, 42]);
    expect([0, 1, 2, 3].map((i) => wordOf(0, EGRESS.ADDRESS_WORD + i))).toEqual([1, 2, 3, 4]);
    expect([0, 1, 2, 3].map((i) => wordOf(0, EGRESS.LOCAL_WORD + i))).toEqual([0, 0, 0, 0]);
    expect(outbound.tagOf(0)).toBe(42);
  });

  it('is the source of a datagram, from where that arrived', () => {
    const slotWord = slotOffset(map, 0) >> 2;
    words.set([100, 2, 6, 5061, 11, 12, 13, 14, 21, 22, 23, 24, 7], slotWord + SLOT.LENGTH_WORD);
    outbound.begin();
    outbound.toSource(slotWord, 5099);
    outbound.commit(0);
    expect(wordOf(0, EGRESS.SOCKET_WORD)).toBe(2);
    expect(wordOf(0, EGRESS.PORT_WORD)).toBe(5099);
    expect([0, 1, 2, 3].map((i) => wordOf(0, EGRESS.ADDRESS_WORD + i))).toEqual([11, 12, 13, 14]);
    expect([0, 1, 2, 3].map((i) => wordOf(0, EGRESS.LOCAL_WORD + i))).toEqual([21, 22, 23, 24]);
    expect(wordOf(0, EGRESS.SCOPE_WORD)).toBe(7);
  });

  it('forgets the local address of the message that had the place before', () => {
    outbound.begin();
    outbound.to(0, 4, 5060, 1, 0, 0, 0, 0);
    outbound.from(9, 9, 9, 9);
    outbound.commit(0);
    outbound.clear();
    outbound.begin();
    outbound.to(0, 4, 5060, 1, 0, 0, 0, 0);
    outbound.commit(0);
    expect([0, 1, 2, 3].map((i) => wordOf(0, EGRESS.LOCAL_WORD + i))).toEqual([0, 0, 0, 0]);
  });
});
