import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextComma } from '../../src/sip/list.ts';
import { bytes, place } from './arena-text.ts';

describe('7.3.1 Comma lists', () => {
  it.each([
    ['a,b', 1],
    [',', 0],
    ['a b', 3],
    ['', 0],
    ['"a,b",c', 5],
    ['"a\\",b",c', 7],
    ['"a\\\\",c', 5],
    ['<sip:a,b@c>,d', 11],
    ['"x<" <sip:a>,d', 12],
    ['<sip:a?x="> , b', 12],
    ['"a,b', 4],
    ['"a\\', 3],
    ['<a,b', 4],
    [';;,;', 2],
  ])('ends the first value of %o at %i', (text, at) => {
    const { start, end } = place(text, 0x2c);
    expect(nextComma(bytes, start, end) - start).toBe(at);
  });

  it('splits what was joined', () => {
    const quoted = fc
      .string({ unit: fc.constantFrom('a', ',', '<', '>', '\\"', '\\\\', ' '), maxLength: 8 })
      .map((s) => `"${s}"`);
    const bracketed = fc.string({ unit: fc.constantFrom('a', ',', ';', '='), maxLength: 8 }).map((s) => `<${s}>`);
    const plain = fc.string({ unit: fc.constantFrom('a', ';', '=', ' '), maxLength: 5 });
    const value = fc.array(fc.oneof(quoted, bracketed, plain), { maxLength: 4 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), (values) => {
        const { start, end } = place(values.join(','), 0x2c);
        const found: string[] = [];
        for (let at = start; ; ) {
          const comma = nextComma(bytes, at, end);
          found.push(Buffer.from(bytes.slice(at, comma)).toString());
          if (comma === end) break;
          at = comma + 1;
        }
        expect(found).toEqual(values);
      }),
      { numRuns: 200 },
    );
  });
});
