import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_COUNT, HEADER_ID, HEADER_NAMES, headerIdOf, RARE_HEADER_ID } from '../../src/sip/header-table.ts';
import { bytes, place } from './arena-text.ts';

const EVERY_ID: Readonly<Record<string, number>> = { ...HEADER_ID, ...RARE_HEADER_ID };

describe('7.3 Header fields', () => {
  it('gives every id of HEADER_ID one entry, and ids are 0 … HEADER_COUNT − 1 without a gap', () => {
    const ids = Object.values(EVERY_ID).toSorted((a, b) => a - b);
    expect(ids).toEqual(Array.from({ length: HEADER_COUNT }, (_, i) => i));
    expect(HEADER_NAMES.map(([id]) => id)).toEqual(ids.slice(1));
  });

  it('keeps each table of ids small enough for V8 to fold its properties into constants', () => {
    expect(Object.keys(HEADER_ID).length).toBeLessThanOrEqual(128);
    expect(Object.keys(RARE_HEADER_ID).length).toBeLessThanOrEqual(128);
  });

  it('gives no name to two ids', () => {
    const names = HEADER_NAMES.flatMap(([, all]) => all.map((name) => name.toLowerCase()));
    expect(new Set(names).size).toBe(names.length);
  });

  it('names each constant after its header', () => {
    for (const [constant, id] of Object.entries(EVERY_ID)) {
      if (id === HEADER_ID.OTHER) continue;
      const [, names] = HEADER_NAMES[id - 1]!;
      expect(names[0].toUpperCase().replaceAll('-', '_')).toBe(constant);
    }
  });

  it('finds every name in any case, long and compact', () => {
    for (const [id, names] of HEADER_NAMES) {
      for (const name of names) {
        for (const spelling of [name, name.toLowerCase(), name.toUpperCase(), alternate(name)]) {
          expect(idOf(spelling)).toBe(id);
        }
      }
    }
  });

  it('does not find a name with a letter more, less or changed', () => {
    for (const [, names] of HEADER_NAMES) {
      const name = names[0];
      expect(idOf(`${name}x`)).toBe(HEADER_ID.OTHER);
      expect(idOf(`X${name}`)).toBe(HEADER_ID.OTHER);
      expect(idOf(`${name.slice(0, 2)}~${name.slice(3)}`)).toBe(HEADER_ID.OTHER);
    }
  });

  it.each(['', '-', 'z', 'Vi', 'Call\rID', 'Call-I\x44 ', 'C%6Fntact', 'NewFangledHeader'])(
    'does not know %o',
    (name) => {
      expect(idOf(name)).toBe(HEADER_ID.OTHER);
    },
  );

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (content) => {
        const { start, end } = place(content);
        const id = headerIdOf(bytes, start, end);
        expect(id).toBeGreaterThanOrEqual(0);
        expect(id).toBeLessThan(HEADER_COUNT);
      }),
      { numRuns: 300 },
    );
  });
});

function idOf(name: string): number {
  const { start, end } = place(name);
  return headerIdOf(bytes, start, end);
}

function alternate(name: string): string {
  return [...name].map((letter, i) => (i % 2 === 0 ? letter.toUpperCase() : letter.toLowerCase())).join('');
}
