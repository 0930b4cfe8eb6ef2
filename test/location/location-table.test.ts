import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wordsOf } from '../../src/base/cache-lines.ts';
import { NewBinding } from '../../src/location/bindings.ts';
import { createLocationTable, LocationTable, UPDATE, type WriteBindings } from '../../src/location/location-table.ts';
import { TABLE } from '../../src/location/table-layout.ts';
import { type Binding, EVERYTHING, LocationWorld } from './location-world.ts';

const ALICE = 'sip:alice@example.com';
const BOB = 'sip:bob@example.com';
const PHONE: Binding = { contact: 'sip:alice@192.0.2.7:5060', expiresMs: 1_800_000_060_000, callId: 'a1', cseq: 1 };
const LAPTOP: Binding = { contact: 'sip:alice@192.0.2.8:5062', expiresMs: 1_800_000_090_000, callId: 'b1', cseq: 7 };

describe('bindings of an AoR', () => {
  it('are found as they were put in, by every thread', () => {
    const world = new LocationWorld();
    expect(world.set(ALICE, [PHONE, LAPTOP])).toBe(UPDATE.DONE);
    expect(world.get(ALICE, 0)).toEqual([PHONE, LAPTOP]);
    expect(world.get(ALICE, 1)).toEqual([PHONE, LAPTOP]);
    expect(world.get(BOB)).toEqual([]);
    expect(world.tables[1]!.count()).toBe(1);
  });

  it('keep every field', () => {
    const world = new LocationWorld();
    const ipv4: Binding = { contact: 'sip:a@b', expiresMs: 1, source: [9, 0, 0, 0], local: [10, 0, 0, 0], port: 5060 };
    world.set(ALICE, [EVERYTHING, ipv4]);
    expect(world.get(ALICE)).toEqual([EVERYTHING, ipv4]);
  });

  it('are replaced as a whole by what an update makes of the current ones', () => {
    const world = new LocationWorld();
    world.set(ALICE, [PHONE]);
    expect(world.change(ALICE, (current) => [...current, LAPTOP], 1)).toBe(UPDATE.DONE);
    expect(world.get(ALICE)).toEqual([PHONE, LAPTOP]);
    expect(world.read(world.tables[1]!.updated)).toEqual([PHONE, LAPTOP]);
  });

  it('stay as they are if the update declines', () => {
    const world = new LocationWorld();
    world.set(ALICE, [PHONE]);
    expect(world.change(ALICE, () => null)).toBe(UPDATE.UNCHANGED);
    expect(world.get(ALICE)).toEqual([PHONE]);
  });

  it('go with the last one, and leave no AoR behind', () => {
    const world = new LocationWorld();
    world.set(ALICE, [PHONE]);
    expect(world.set(ALICE, [])).toBe(UPDATE.DONE);
    expect(world.get(ALICE)).toEqual([]);
    expect(world.aors()).toEqual([]);
    expect(world.tables[0]!.count()).toBe(0);
    expect(world.set(BOB, [])).toBe(UPDATE.DONE);
    expect(world.tables[0]!.count()).toBe(0);
  });

  it('can be taken over without change, beside new ones', () => {
    const world = new LocationWorld();
    world.set(ALICE, [PHONE, LAPTOP]);
    const end = 1 + ALICE.length;
    world.tables[0]!.update(1, end, (current, next) => {
      while (current.next()) if (current.cseq === 7) next.keep(current);
      world.add(next, { ...PHONE, cseq: 2 });
      return true;
    });
    expect(world.get(ALICE)).toEqual([LAPTOP, { ...PHONE, cseq: 2 }]);
  });

  it('are given to the loser of a race again, so that neither update is lost', () => {
    const world = new LocationWorld();
    world.set(ALICE, [PHONE]);
    const seen: number[] = [];
    world.change(ALICE, (current) => {
      seen.push(current.length);
      if (seen.length === 1) interrupt(world, (current) => [...current, LAPTOP]);
      return current.map((binding) => ({ ...binding, cseq: binding.cseq! + 1 }));
    });
    expect(seen).toEqual([1, 2]);
    expect(world.get(ALICE)).toEqual([
      { ...PHONE, cseq: 2 },
      { ...LAPTOP, cseq: 8 },
    ]);
  });

  it('also where both put the AoR in', () => {
    const world = new LocationWorld();
    let calls = 0;
    world.change(ALICE, (current) => {
      if (++calls === 1) interrupt(world, () => [LAPTOP]);
      return [...current, PHONE];
    });
    expect(world.get(ALICE)).toEqual([LAPTOP, PHONE]);
    expect(world.aors()).toEqual([ALICE]);
    expect(world.tables[0]!.count()).toBe(1);
  });

  /** Another thread changes the bindings of ALICE, by texts of its own. */
  function interrupt(world: LocationWorld, change: (current: readonly Binding[]) => readonly Binding[]): void {
    world.change(ALICE, change, 1);
  }
});

describe('AoRs', () => {
  it('are told apart by their bytes, not by their hash', () => {
    const world = new LocationWorld({ capacity: 1 });
    world.set('sip:a@b', [PHONE]);
    for (const other of ['sip:a@b ', 'sip:a@', 'sip:A@b', 'sip:a@b\0']) expect(world.get(other), other).toEqual([]);
  });

  it('share a path where they share a home, and are found behind those that left', () => {
    // One bucket per four AoRs: most homes overflow at some time.
    const world = new LocationWorld({ capacity: 40 });
    const aors = Array.from({ length: 40 }, (_, i) => `sip:${i}@example.com`);
    for (const aor of aors) expect(world.set(aor, [{ ...PHONE, contact: aor }])).toBe(UPDATE.DONE);
    expect(world.aors()).toEqual([...aors].sort());
    for (const aor of aors.slice(0, 30)) world.set(aor, []);
    for (const aor of aors.slice(30)) expect(world.get(aor)[0]!.contact).toBe(aor);
    for (const aor of aors.slice(0, 30)) expect(world.set(aor, [PHONE])).toBe(UPDATE.DONE);
    expect(world.aors()).toEqual([...aors].sort());
  });

  it('longer than any address are not in the table and do not come in', () => {
    const world = new LocationWorld();
    const long = `sip:${'a'.repeat(1100)}@b`;
    expect(world.set(long, [PHONE])).toBe(UPDATE.TOO_LARGE);
    expect(world.get(long)).toEqual([]);
  });

  it('as many as ever come and go find room', () => {
    const world = new LocationWorld({ capacity: 8 });
    for (let i = 0; i < 5000; i++) {
      expect(world.set(`sip:${i}@example.com`, [PHONE], i & 1)).toBe(UPDATE.DONE);
      if (i >= 6) expect(world.set(`sip:${i - 6}@example.com`, [], (i >> 1) & 1)).toBe(UPDATE.DONE);
      for (const table of world.tables) table.quiesce();
    }
    expect(world.tables[0]!.count()).toBe(6);
  });
});

describe('a full table', () => {
  it('says so beyond its capacity, and again has room after a removal', () => {
    const world = new LocationWorld({ capacity: 5 });
    for (let i = 0; i < 5; i++) expect(world.set(`sip:${i}@b`, [PHONE])).toBe(UPDATE.DONE);
    expect(world.set('sip:6@b', [PHONE])).toBe(UPDATE.FULL);
    expect(world.set('sip:4@b', [LAPTOP])).toBe(UPDATE.DONE);
    expect(world.tables[0]!.count()).toBe(5);
    world.set('sip:0@b', []);
    expect(world.set('sip:6@b', [PHONE])).toBe(UPDATE.DONE);
  });

  it('says so when its memory is used up, leaves what is there, and has room again after a while', () => {
    const world = new LocationWorld({ capacity: 50, recordBytes: 128 });
    let stored = 0;
    while (world.set(`sip:${stored}@b`, [{ ...PHONE, path: 'x'.repeat(500) }]) === UPDATE.DONE) stored++;
    expect(stored).toBeGreaterThan(5);
    expect(world.aors()).toHaveLength(stored);
    expect(world.tables[0]!.count()).toBe(stored);
    for (let i = 0; i < stored; i++) expect(world.get(`sip:${i}@b`)).toHaveLength(1);
    for (let i = 0; i < stored; i++) world.set(`sip:${i}@b`, []);
    world.settle();
    for (let i = 0; i < stored; i++) expect(world.set(`sip:${i}@b`, [{ ...PHONE, path: 'x'.repeat(500) }], 1)).toBe(0);
  });

  it('has no record for more than it can hold, and a large one for much', () => {
    const world = new LocationWorld({ capacity: 200, recordBytes: 1024 });
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...PHONE, contact: `sip:${i}@h`, path: 'p'.repeat(600) }));
    expect(world.set(ALICE, many(80))).toBe(UPDATE.DONE);
    expect(world.get(ALICE)).toEqual(many(80));
    expect(world.set(ALICE, many(120))).toBe(UPDATE.TOO_LARGE);
    expect(world.set(ALICE, [{ ...PHONE, path: 'x'.repeat(70_000) }])).toBe(UPDATE.TOO_LARGE);
    expect(world.get(ALICE)).toEqual(many(80));
  });
});

describe('epochs', () => {
  it('keep a record that a thread found until it has passed a quiescent point', () => {
    const world = new LocationWorld({ capacity: 4, recordBytes: 256 });
    world.set(ALICE, [PHONE]);
    world.settle();
    const { tables } = world;
    const record = tables[1]!.lookup(1, 1 + ALICE.length);
    let updates = 0;
    // Until the memory is used up: nothing comes out of limbo.
    while (world.change(ALICE, () => [{ ...LAPTOP, cseq: updates + 1 }]) === UPDATE.DONE) {
      updates++;
      tables[0]!.quiesce();
    }
    expect(updates).toBeLessThan(20);
    expect(world.read(record, 1)).toEqual([PHONE]);
    world.settle();
    for (let i = 0; i < 1000; i++) {
      expect(world.set(ALICE, [PHONE])).toBe(UPDATE.DONE);
      for (const table of tables) table.quiesce();
    }
  });

  it('do not wait for a thread that rests, or was buried', () => {
    for (const leave of ['rest', 'bury'] as const) {
      const world = new LocationWorld({ capacity: 4 });
      if (leave === 'rest') world.tables[1]!.rest();
      else world.tables[0]!.bury(1);
      for (let i = 0; i < 1000; i++) {
        expect(world.set(ALICE, [PHONE])).toBe(UPDATE.DONE);
        world.tables[0]!.quiesce();
      }
      expect(() => (leave === 'rest' ? world.get(ALICE, 1) : assertRests())).toThrow('resting');
    }
  });

  it('wrap round', () => {
    const world = new LocationWorld({ capacity: 4 });
    const words = wordsOf(world.buffer);
    words[32] = 2 ** 31 - 3;
    for (let i = 0; i < 1000; i++) {
      expect(world.set(ALICE, [PHONE])).toBe(UPDATE.DONE);
      for (const table of world.tables) table.quiesce();
    }
    expect(words[32]).toBeLessThan(0);
  });

  function assertRests(): never {
    throw new Error('resting');
  }
});

describe('the sweep', () => {
  it('removes what expired, a few buckets at a time, and AoRs with nothing left', () => {
    const world = new LocationWorld({ capacity: 400 });
    for (let i = 0; i < 300; i++) {
      const expiresMs = 1_000_000 + (i % 3) * 1000;
      world.set(`sip:${i}@b`, [
        { ...PHONE, expiresMs },
        { ...LAPTOP, expiresMs: expiresMs + (i % 2) * 100_000 },
      ]);
    }
    const table = world.tables[1]!;
    const sweepAll = (nowMs: number) => {
      let expired = 0;
      for (let step = 0; step < 10; step++) {
        expired += table.sweep(nowMs, 10);
        world.settle();
      }
      return expired;
    };
    expect(sweepAll(999_999)).toBe(0);
    expect(sweepAll(1_000_000)).toBe(100 + 50);
    expect(table.count()).toBe(250);
    expect(table.bindingCount()).toBe(450);
    expect(world.get('sip:0@b')).toEqual([]);
    expect(world.get('sip:3@b')).toEqual([{ ...LAPTOP, expiresMs: 1_100_000 }]);
    expect(sweepAll(1_000_999)).toBe(0);
    expect(sweepAll(1_002_000)).toBe(200 + 100);
    expect(table.count()).toBe(150);
    expect(sweepAll(2_000_000)).toBe(150);
    expect(world.aors()).toEqual([]);
  });

  it('leaves a binding that was refreshed while it looked', () => {
    const world = new LocationWorld();
    world.set(ALICE, [{ ...PHONE, expiresMs: 1000 }]);
    world.set(ALICE, [{ ...PHONE, expiresMs: 9000 }]);
    expect(world.tables[0]!.sweep(1000, 1000)).toBe(0);
    expect(world.get(ALICE)[0]!.expiresMs).toBe(9000);
  });
});

describe('a table behaves like a map', () => {
  it('for any sequence of updates by any threads', () => {
    const step = fc.record({
      aor: fc.integer({ min: 0, max: 12 }).map((i) => `sip:${'x'.repeat(i)}@example.com`),
      thread: fc.integer({ min: 0, max: 2 }),
      count: fc.integer({ min: 0, max: 4 }),
      textLength: fc.integer({ min: 0, max: 300 }),
      settles: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new LocationWorld({ capacity: 13, threadCount: 3, recordBytes: 4096 });
        const model = new Map<string, readonly Binding[]>();
        steps.forEach(({ aor, thread, count, textLength, settles }, cseq) => {
          const bindings = Array.from({ length: count }, (_, i) => ({
            contact: `sip:${'c'.repeat(textLength)}@${i}`,
            expiresMs: cseq + 1,
            cseq: cseq + 1,
          }));
          expect(world.set(aor, bindings, thread)).toBe(UPDATE.DONE);
          if (count === 0) model.delete(aor);
          else model.set(aor, bindings);
          if (settles) world.settle();
          for (const [each, expected] of model) expect(world.get(each, thread)).toEqual(expected);
        });
        expect(world.aors()).toEqual([...model.keys()].sort());
        expect(world.tables[0]!.count()).toBe(model.size);
        const bindingCount = [...model.values()].reduce((sum, bindings) => sum + bindings.length, 0);
        for (const table of world.tables) expect(table.bindingCount()).toBe(bindingCount);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a million bindings', () => {
  const COUNT = 1_000_000;
  const AOR = 'sip:user0000000@example.com';
  const DIGITS_AT = 'sip:user'.length;
  const TEXTS = ['sip:user0123@192.0.2.107:5060', 'f81d4fae7dec11d0a765@192.0.2.7', 'SomeVendor-Softphone-7/release-1'];

  it('of a typical phone take at most 400 bytes each, all in all', () => {
    const texts = new SharedArrayBuffer(4096);
    const source = { bytes: new Uint8Array(texts), words: new Int32Array(texts) };
    const place = (text: string, at: number) => {
      source.bytes.set(Buffer.from(text), at);
      return [at, at + text.length] as const;
    };
    const binding = new NewBinding();
    [binding.contactStart, binding.contactEnd] = place(TEXTS[0]!, 256);
    [binding.callIdStart, binding.callIdEnd] = place(TEXTS[1]!, 512);
    [binding.userAgentStart, binding.userAgentEnd] = place(TEXTS[2]!, 768);
    binding.expiresMs = 1_800_000_000_000;
    const [start, end] = place(AOR, 64);
    const write: WriteBindings = (_, next) => {
      next.add(binding);
      return true;
    };

    const buffer = createLocationTable({ capacity: COUNT, threadCount: 9 });
    const table = new LocationTable(buffer, 0, source);
    let failures = 0;
    const fill = () => {
      for (let i = 0; i < COUNT; i++) {
        for (let digit = 6, rest = i; digit >= 0; digit--, rest = Math.floor(rest / 10)) {
          source.bytes[start + DIGITS_AT + digit] = 0x30 + (rest % 10);
        }
        if (table.update(start, end, write) !== UPDATE.DONE) failures++;
        if (i % 100 === 0) table.quiesce();
      }
    };
    fill();
    expect(failures).toBe(0);
    expect(table.count()).toBe(COUNT);
    const usedBytes = table.words[TABLE.UNUSED_WORD]! << 6;
    expect(usedBytes / COUNT).toBeLessThan(275);
    expect(buffer.byteLength / COUNT).toBeLessThanOrEqual(400);

    fill();
    expect(failures).toBe(0);
    expect(table.count()).toBe(COUNT);
    // Refreshes live on what comes out of limbo.
    expect((table.words[TABLE.UNUSED_WORD]! << 6) - usedBytes).toBeLessThan(256 * 1024);
  });
});
