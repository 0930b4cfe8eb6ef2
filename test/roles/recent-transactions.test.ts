import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_RECENT, RecentTransactions, TransactionSet } from '../../src/roles/proxy/recent-transactions.ts';

describe('the transactions seen lately', () => {
  it('are those since they were taken last', () => {
    const recent = new RecentTransactions();
    recent.note(1, 2);
    recent.note(-1, 2);
    recent.note(1, 2);
    const first = recent.take();
    expect([first.count, first.has(1, 2), first.has(-1, 2), first.has(2, 1)]).toEqual([2, true, true, false]);
    recent.note(2, 1);
    const second = recent.take();
    expect([second.count, second.has(2, 1), second.has(1, 2)]).toEqual([1, true, false]);
    expect(recent.take().count).toBe(0);
  });

  it('are the last ones where there were too many', () => {
    const recent = new RecentTransactions();
    for (let i = 1; i <= MAX_RECENT + 10; i++) recent.note(i, i * 7);
    const set = recent.take();
    expect(set.count).toBe(MAX_RECENT);
    expect([set.has(10, 70), set.has(11, 77), set.has(MAX_RECENT + 10, (MAX_RECENT + 10) * 7)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('are found, and no others, whatever their keys', () => {
    const word = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer());
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word, word), { maxLength: 200 }),
        fc.array(fc.tuple(word, word)),
        (keys, others) => {
          const set = new TransactionSet(Int32Array.from(keys.flat()), keys.length);
          const texts = new Set(keys.map(String));
          expect(set.count).toBe(texts.size);
          for (const [high, low] of [...keys, ...others]) expect(set.has(high, low)).toBe(texts.has(`${high},${low}`));
        },
      ),
    );
  });
});
