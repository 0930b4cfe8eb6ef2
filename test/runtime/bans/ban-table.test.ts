/** Banned sources as the intake looks them up, against the plain reading of a CIDR. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cidr, parseCidr } from '../../../src/config/cidr.ts';
import { SLOT, SLOT_HEADER_BYTES } from '../../../src/memory/layout.ts';
import { BanTable, buildBanTable } from '../../../src/runtime/bans/ban-table.ts';

const SLOT_WORD = 4;
const slots = new Int32Array(new SharedArrayBuffer(SLOT_WORD * 4 + SLOT_HEADER_BYTES));

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
}

function has(table: BanTable, source: string): boolean {
  return hasAddress(table, cidr(source).family, cidr(source).bytes);
}

function hasAddress(table: BanTable, family: number, address: Uint8Array): boolean {
  const bytes = new Uint8Array(16);
  bytes.set(address);
  slots[SLOT_WORD + SLOT.FAMILY_WORD] = family;
  slots.set(new Int32Array(bytes.buffer), SLOT_WORD + SLOT.SOURCE_WORD);
  return table.hasSource(slots, SLOT_WORD);
}

const tableOf = (...blocks: string[]) => new BanTable(buildBanTable(blocks.map(cidr))!);

describe('a table', () => {
  it('is none where nobody is banned', () => {
    expect(buildBanTable([])).toBeNull();
  });

  it('has addresses and blocks of both families, and nothing beside them', () => {
    const table = tableOf('192.0.2.7', '198.51.100.0/24', '2001:db8::7', '2001:db8:bad::/48');
    for (const source of ['192.0.2.7', '198.51.100.0', '198.51.100.255', '2001:db8::7', '2001:db8:bad:1::1']) {
      expect([source, has(table, source)]).toEqual([source, true]);
    }
    for (const source of ['192.0.2.6', '192.0.3.7', '198.51.101.0', '2001:db8::8', '2001:db8:bae::1', '::c000:207']) {
      expect([source, has(table, source)]).toEqual([source, false]);
    }
  });

  it('tells families apart where their words are the same', () => {
    expect(has(tableOf('c000:207::'), '192.0.2.7')).toBe(false);
    expect(has(tableOf('::/0'), '192.0.2.7')).toBe(false);
    expect(has(tableOf('0.0.0.0/0'), '2001:db8::1')).toBe(false);
  });

  it('has everybody of a family where its block is the whole of it', () => {
    expect(has(tableOf('0.0.0.0/0'), '203.0.113.9')).toBe(true);
    expect(has(tableOf('::/0'), '2001:db8::1')).toBe(true);
  });

  it('with thousands of sources finds each of them, and no other', () => {
    const blocks = Array.from({ length: 5000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    const table = tableOf(...blocks);
    expect(blocks.every((source) => has(table, source))).toBe(true);
    expect(blocks.some((source) => has(table, source.replace(/^10/, '11')))).toBe(false);
  });

  it('allocates nothing for a look-up', () => {
    const table = tableOf('192.0.2.7', '198.51.100.0/24', '2001:db8::/32');
    has(table, '203.0.113.9');
    let found = 0;
    const calls = 100_000;
    let least = Number.POSITIVE_INFINITY;
    // The lowest of a few rounds: a collection or the test runner's own work in between would only add.
    for (let round = 0; round < 5; round++) {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < calls; i++) if (table.hasSource(slots, SLOT_WORD)) found++;
      const grown = process.memoryUsage().heapUsed - before;
      if (grown >= 0) least = Math.min(least, grown);
    }
    expect(found).toBe(0);
    // V8's own bookkeeping while it optimises is not ours. The smallest object takes 12 bytes.
    expect(least / calls).toBeLessThan(1);
  });

  it('agrees with the bits of every block', () => {
    const block = fc.oneof(
      fc.record({ bytes: fc.uint8Array({ minLength: 4, maxLength: 4 }), prefixBits: fc.nat(32) }),
      fc.record({ bytes: fc.uint8Array({ minLength: 16, maxLength: 16 }), prefixBits: fc.nat(128) }),
    );
    const isIn = (bytes: Uint8Array, { bytes: other, prefixBits }: Omit<Cidr, 'family'>) =>
      bytes.length === other.length &&
      Array.from({ length: prefixBits }, (_, i) => i).every(
        (i) => ((bytes[i >> 3]! ^ other[i >> 3]!) & (128 >> (i & 7))) === 0,
      );
    fc.assert(
      fc.property(
        fc.array(block, { minLength: 1, maxLength: 20 }),
        fc.array(block, { maxLength: 20 }),
        (bans, others) => {
          const blocks = bans.map(({ bytes, prefixBits }): Cidr => {
            const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixBits - i * 8))));
            return { family: bytes.length === 4 ? 4 : 6, bytes: masked, prefixBits };
          });
          const table = new BanTable(buildBanTable(blocks)!);
          for (const { bytes } of [...bans, ...others]) {
            expect(hasAddress(table, bytes.length === 4 ? 4 : 6, bytes)).toBe(blocks.some((one) => isIn(bytes, one)));
          }
        },
      ),
    );
  });
});
