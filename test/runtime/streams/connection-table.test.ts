import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../../src/base/assert.ts';
import { ConnectionTable, type TableEntry } from '../../../src/runtime/streams/connection-table.ts';

interface Entry extends TableEntry {
  isReusable: boolean;
}

const PEER = { transport: 2, family: 4, port: 5060, a0: 0x0100007f, a1: 0, a2: 0, a3: 0, serverName: '' };

function entryOf(table: ConnectionTable<Entry>, peer: Partial<typeof PEER> = {}): Entry {
  return { number: table.newNumber(), ...PEER, ...peer, isReusable: true, nextOfHash: null };
}

function find(table: ConnectionTable<Entry>, peer: Partial<typeof PEER> = {}): Entry | null {
  const { transport, family, port, a0, a1, a2, a3 } = { ...PEER, ...peer };
  return table.byPeer(transport, family, port, a0, a1, a2, a3);
}

describe('numbers', () => {
  it('begin where they are told to, are never 0, and wrap', () => {
    const table = new ConnectionTable<Entry>(-2);
    expect([table.newNumber(), table.newNumber()]).toEqual([-1, 1]);
    expect(new ConnectionTable<Entry>(0x7fff_ffff).newNumber()).toBe(-0x8000_0000);
  });

  it('are not given twice at once', () => {
    const table = new ConnectionTable<Entry>(6);
    table.add({ ...entryOf(table), number: 8 });
    expect(table.newNumber()).toBe(9);
    expect(() => table.add({ ...entryOf(table), number: 8 })).toThrow(AssertionError);
    expect(() => table.add({ ...entryOf(table), number: 0 })).toThrow(AssertionError);
  });
});

describe('a connection', () => {
  it('is found by its number and by its peer until it is removed', () => {
    const table = new ConnectionTable<Entry>(0);
    const entry = entryOf(table);
    table.add(entry);
    expect([table.byNumber(entry.number), find(table), table.count]).toEqual([entry, entry, 1]);
    table.remove(entry);
    table.remove(entry);
    expect([table.byNumber(entry.number), find(table), table.count]).toEqual([undefined, null, 0]);
  });

  it.each([{ transport: 3 }, { family: 6 }, { port: 5061 }, { a0: 1 }, { a1: 1 }, { a2: 1 }, { a3: 1 }])(
    'is not that to another place: %j',
    (peer) => {
      const table = new ConnectionTable<Entry>(0);
      table.add(entryOf(table));
      expect(find(table, peer)).toBeNull();
    },
  );

  it('that cannot be reused is found by its number alone, and does not hide others', () => {
    const table = new ConnectionTable<Entry>(0);
    const [older, newer] = [entryOf(table), entryOf(table)];
    table.add(older);
    table.add(newer);
    expect(find(table)).toBe(newer);
    newer.isReusable = false;
    expect(find(table)).toBe(older);
    expect(table.byNumber(newer.number)).toBe(newer);
  });
});

describe('a table', () => {
  it('is a map of numbers, whatever comes and goes', () => {
    const step = fc.record({ port: fc.nat(3), a0: fc.nat(2), remove: fc.boolean(), which: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const table = new ConnectionTable<Entry>(-3);
        const model: Entry[] = [];
        for (const { port, a0, remove, which } of steps) {
          if (remove && model.length > 0) table.remove(model.splice(which % model.length, 1)[0]!);
          else {
            const entry = entryOf(table, { port, a0 });
            table.add(entry);
            model.push(entry);
          }
          expect([...table]).toEqual(model);
          for (let place = 0; place < 12; place++) {
            const peer = { port: place & 3, a0: place >> 2 };
            const last = model.findLast((entry) => entry.port === peer.port && entry.a0 === peer.a0);
            expect(find(table, peer)).toBe(last ?? null);
          }
        }
      }),
    );
  });

  it('counts what each source has', () => {
    const table = new ConnectionTable<Entry>(0);
    expect([1, 2, 3].map(() => table.admit('a', 2))).toEqual([true, true, false]);
    expect(table.admit('b', 2)).toBe(true);
    table.dismiss('a');
    expect(table.admit('a', 2)).toBe(true);
    for (const source of ['a', 'a', 'b']) table.dismiss(source);
    expect(() => table.dismiss('a')).toThrow(AssertionError);
  });
});
