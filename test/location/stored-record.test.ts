import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IMPORT, UPDATE } from '../../src/location/location-table.ts';
import { MAX_STORED_WORDS } from '../../src/location/stored-record.ts';
import { type Binding, EVERYTHING, LocationWorld } from './location-world.ts';

const ALICE = 'sip:alice@example.com';
const NOW_MS = 1_800_000_000_000;
const PHONE: Binding = { contact: 'sip:alice@192.0.2.7:5060', expiresMs: NOW_MS + 60_000, callId: 'a1', cseq: 1 };
const LAPTOP: Binding = { contact: 'sip:alice@192.0.2.8:5062', expiresMs: NOW_MS + 90_000, callId: 'b1', cseq: 7 };
/** Somewhere, as in what a store sends. */
const AT = 3;

type Stored = Int32Array<SharedArrayBuffer>;

function exported(world: LocationWorld, aor: string): { stored: Stored; count: number } {
  const stored = new Int32Array(new SharedArrayBuffer((AT + MAX_STORED_WORDS + 1) * 4));
  const end = place(world, aor);
  const table = world.tables[0]!;
  return { stored, count: table.exportRecord(table.lookup(1, end), stored, AT) };
}

function imported(world: LocationWorld, aor: string, stored: Stored, count: number, nowMs = NOW_MS) {
  return world.tables[0]!.importRecord(1, place(world, aor), stored, AT, count, nowMs);
}

function place(world: LocationWorld, aor: string): number {
  world.source.bytes.set(Buffer.from(aor), 1);
  return 1 + aor.length;
}

describe('a record that was exported', () => {
  it('comes back into another table as it was', () => {
    const before = new LocationWorld();
    before.set(ALICE, [EVERYTHING, PHONE]);
    const { stored, count } = exported(before, ALICE);
    // Of another size, and with another seed: the AoR has another hash.
    const world = new LocationWorld({ capacity: 9 }, 77);
    expect(imported(world, ALICE, stored, count)).toBe(IMPORT.DONE);
    expect(world.get(ALICE)).toEqual([EVERYTHING, PHONE]);
    expect(world.tables[0]!.count()).toBe(1);
    expect(world.change(ALICE, (current) => [...current, LAPTOP])).toBe(UPDATE.DONE);
    expect(world.get(ALICE)).toEqual([EVERYTHING, PHONE, LAPTOP]);
  });

  it('comes back without what has expired, and not at all if all has', () => {
    const before = new LocationWorld();
    before.set(ALICE, [PHONE, LAPTOP]);
    const { stored, count } = exported(before, ALICE);
    const world = new LocationWorld();
    expect(imported(world, ALICE, stored, count, LAPTOP.expiresMs)).toBe(IMPORT.EXPIRED);
    expect(world.get(ALICE)).toEqual([]);
    expect(imported(world, ALICE, stored, count, PHONE.expiresMs)).toBe(IMPORT.DONE);
    expect(world.get(ALICE)).toEqual([LAPTOP]);
    // The sweep knows when it expires.
    expect(world.tables[0]!.sweep(LAPTOP.expiresMs - 1, 64)).toBe(0);
    expect(world.tables[0]!.sweep(LAPTOP.expiresMs, 64)).toBe(1);
  });

  it('does not replace what a REGISTER has put there since', () => {
    const before = new LocationWorld();
    before.set(ALICE, [PHONE]);
    const { stored, count } = exported(before, ALICE);
    const world = new LocationWorld();
    world.set(ALICE, [LAPTOP]);
    expect(imported(world, ALICE, stored, count)).toBe(IMPORT.KNOWN);
    expect(world.get(ALICE)).toEqual([LAPTOP]);
  });

  it('says so when the table is full', () => {
    const before = new LocationWorld();
    before.set(ALICE, [PHONE]);
    const { stored, count } = exported(before, ALICE);
    const world = new LocationWorld({ capacity: 1 });
    world.set('sip:bob@example.com', [LAPTOP]);
    expect(imported(world, ALICE, stored, count)).toBe(IMPORT.FULL);
  });

  it('is at most as long as a record, for the largest AoR with the most bindings', () => {
    const before = new LocationWorld({ capacity: 200, recordBytes: 4096 });
    const aor = `sip:${'a'.repeat(1005)}@example.com`;
    const many = Array.from({ length: 79 }, (_, i) => ({ ...PHONE, contact: `sip:${i}@h`, path: 'p'.repeat(600) }));
    expect(before.set(aor, many)).toBe(UPDATE.DONE);
    const { stored, count } = exported(before, aor);
    expect(count).toBeLessThanOrEqual(MAX_STORED_WORDS);
    const world = new LocationWorld({ capacity: 200, recordBytes: 4096 });
    expect(imported(world, aor, stored, count)).toBe(IMPORT.DONE);
    expect(world.get(aor)).toEqual(many);
  });
});

describe('what is no exported record of this AoR', () => {
  const before = new LocationWorld();
  before.set(ALICE, [EVERYTHING, PHONE]);
  const { stored, count } = exported(before, ALICE);
  const world = new LocationWorld();

  it('is refused: of another AoR', () => {
    for (const other of ['sip:alicf@example.com', 'sip:alice@example.co', `${ALICE}m`, 'x'.repeat(1024)]) {
      expect(imported(world, other, stored, count), other).toBe(IMPORT.UNSOUND);
    }
  });

  it('is refused: cut short or drawn out', () => {
    for (let length = 0; length < count; length++) expect(imported(world, ALICE, stored, length)).toBe(IMPORT.UNSOUND);
    expect(imported(world, ALICE, stored, count + 1)).toBe(IMPORT.UNSOUND);
    expect(imported(world, ALICE, stored, MAX_STORED_WORDS)).toBe(IMPORT.UNSOUND);
  });

  it('is refused: with any bit turned', () => {
    for (let bit = 0; bit < count * 32; bit++) {
      const turned = stored.slice();
      const copy = new Int32Array(new SharedArrayBuffer(turned.byteLength));
      copy.set(turned);
      copy[AT + (bit >> 5)]! ^= 1 << (bit & 31);
      expect(imported(world, ALICE, copy, count), `bit ${bit}`).toBe(IMPORT.UNSOUND);
    }
    expect(world.tables[0]!.count()).toBe(0);
    expect(imported(world, ALICE, stored, count)).toBe(IMPORT.DONE);
  });

  it('is refused: any words at all', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { maxLength: 60 }), (words) => {
        const random = new Int32Array(new SharedArrayBuffer(400));
        random.set(words, AT);
        expect(imported(world, ALICE, random, words.length)).toBe(IMPORT.UNSOUND);
      }),
    );
  });
});
