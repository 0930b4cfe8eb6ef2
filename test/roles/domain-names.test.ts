import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainNames } from '../../src/roles/domain-names.ts';

const find = (names: readonly string[], text: string) => {
  const bytes = Buffer.from(`@${text}:`);
  return new DomainNames(names).find(bytes, 1, bytes.length - 1);
};

describe('the names of our domains', () => {
  it('are found in any case and with a closing dot', () => {
    const names = ['example.org', 'example.com', '192.0.2.1', 'a', 'b', 'c'];
    for (const few of [names.slice(0, 2), names]) {
      expect(['example.org', 'EXAMPLE.Org', 'example.com.'].map((text) => find(few, text))).toEqual([0, 0, 1]);
      expect(
        ['example.net', 'example.or', 'example.orgg', 'xexample.org', '', '.', 'example.org..'].map((text) =>
          find(few, text),
        ),
      ).toEqual(new Array(7).fill(-1));
    }
    expect(find([], 'example.org')).toBe(-1);
  });

  it('are found among any number of them', () => {
    const label = fc.stringMatching(/^[a-c]{1,3}\.[a-c]{1,3}$/);
    fc.assert(
      fc.property(fc.uniqueArray(label, { maxLength: 40 }), label, (names, other) => {
        for (const [domain, name] of names.entries()) expect(find(names, name.toUpperCase())).toBe(domain);
        expect(find(names, other)).toBe(names.indexOf(other));
      }),
    );
  });
});
