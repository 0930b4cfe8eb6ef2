/** Instance-ids by the rules of their namespace (RFC 5626 4.1, RFC 2141 5, RFC 4122 3). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalInstanceIds, instanceIdOf } from '../../src/sip/instance-id.ts';

function bytesOf(text: string): Uint8Array<SharedArrayBuffer> {
  const bytes = new Uint8Array(new SharedArrayBuffer(text.length));
  bytes.set(Buffer.from(text, 'latin1'));
  return bytes;
}

const isEqual = (a: string, b: string) => equalInstanceIds(bytesOf(`x${a}`), 1, a.length + 1, bytesOf(b), 0, b.length);
const idOf = (text: string) => instanceIdOf(bytesOf(`"${text}`), 1, text.length + 1);

describe('instance-ids', () => {
  it.each([
    ['"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"', '"<URN:UUID:F81D4FAE-7dec-11D0-a765-00A0C91E6BF6>"', true],
    ['"<urn:uuid:a>"', '"<urn:uuid:b>"', false],
    ['"<urn:uuid:a>"', '"<urn:uuid:aa>"', false],
    ['"<urn:foo:a>"', '"<URN:FOO:a>"', true],
    ['"<urn:foo:a>"', '"<urn:foo:A>"', false],
    ['"<urn:foo:%2c%aB>"', '"<urn:foo:%2C%Ab>"', true],
    ['"<urn:foo:%2ca>"', '"<urn:foo:%2cA>"', false],
    ['"<urn:uuidx:a>"', '"<urn:uuidx:A>"', false],
    ['"<urx:uuid:a>"', '"<urx:uuid:A>"', false],
    ['<urn:uuid:a>', '<urn:uuid:A>', true],
    ['urn:', 'URN:', true],
    ['urn', 'URN', false],
    ['"<urn:foo:[>"', '"<urn:foo:{>"', false],
    ['"<urn:uuid:[>"', '"<urn:uuid:{>"', false],
    ['', '', true],
  ])('%s and %s: %s', (a, b, expected) => {
    expect([isEqual(a, b), isEqual(b, a)]).toEqual([expected, expected]);
    expect(idOf(a) === idOf(b)).toBe(expected);
  });

  it('are equal if and only if they have one spelling in common, whatever they are', () => {
    const character = fc.constantFrom('u', 'U', 'r', 'n', ':', 'i', 'd', 'D', '%', 'a', 'A', '2', '"', '<', '[', '{');
    const text = fc.array(character, { maxLength: 12 }).map((parts) => parts.join(''));
    const urn = fc.tuple(fc.constantFrom('"<urn:', 'URN:', ''), text).map((parts) => parts.join(''));
    fc.assert(
      fc.property(urn, fc.infiniteStream(fc.boolean()), (a, flips) => {
        const b = Array.from(a, (c) => (flips.next().value ? c.toUpperCase() : c.toLowerCase())).join('');
        expect(isEqual(a, b)).toBe(idOf(a) === idOf(b));
      }),
    );
  });
});
