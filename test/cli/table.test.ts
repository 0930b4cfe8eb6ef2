/** Tables whose rows come bit by bit. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamedTable } from '../../src/cli/table.ts';

const COLUMNS = [
  { title: 'NAME', leastWidth: 5 },
  { title: 'COUNT', isFigure: true },
  { title: 'WORDS', leastWidth: 6 },
];

describe('a streamed table', () => {
  it('has its titles once, and columns that only get wider', () => {
    const table = new StreamedTable(COLUMNS);
    expect(table.render([['a', '1', 'x y']])).toBe('NAME  COUNT  WORDS\na         1  x y');
    expect(table.render([['abcdef', '123456', '']])).toBe('abcdef  123456');
    expect(table.render([['b', '2', 'z']])).toBe('b            2  z');
  });

  it('cuts what may be cut, the last column first', () => {
    const row = ['name-of-ten', '1', 'some-words'];
    expect(new StreamedTable(COLUMNS, 30).render([row])).toBe(
      'NAME         COUNT  WORDS\nname-of-ten      1  some-words',
    );
    expect(new StreamedTable(COLUMNS, 28).render([row])).toBe(
      'NAME         COUNT  WORDS\nname-of-ten      1  some-wo…',
    );
    expect(new StreamedTable(COLUMNS, 22).render([row])).toBe('NAME     COUNT  WORDS\nname-o…      1  some-…');
    // Nothing more can go.
    expect(new StreamedTable(COLUMNS, 10).render([row])).toBe('NAME   COUNT  WORDS\nname…      1  some-…');
  });

  it('never has longer lines where the columns can give way', () => {
    const cell = fc.stringMatching(/^[a-z]{0,40}$/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, fc.constant('7'), cell)),
        fc.integer({ min: 20, max: 100 }),
        (rows, width) => {
          for (const line of new StreamedTable(COLUMNS, width).render(rows).split('\n')) {
            expect(line.length).toBeLessThanOrEqual(width);
          }
        },
      ),
    );
  });
});
