import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatIpAddress,
  formatIpHost,
  isIpv4,
  isIpv6,
  MAX_ADDRESS_BYTES,
  parseIpAddress,
} from '../../src/sip/ip-address.ts';
import { bytes, place, textOf, words } from './arena-text.ts';

const AT_WORD = 30_000;
const TEXT_AT = 100_000;

describe('25.1 IPv4address', () => {
  it.each(['0.0.0.0', '255.255.255.255', '192.0.2.1', '010.001.000.009'])('accepts %o', (text) => {
    const { start, end } = place(text);
    expect(isIpv4(bytes, start, end)).toBe(true);
  });

  it.each(['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '1.2.3.1000', '1..2.3', '1.2.3.', '.1.2.3', '1.2.3.4 ', 'a.b.c.d'])(
    'refuses %o',
    (text) => {
      const { start, end } = place(text, 0x31);
      expect(isIpv4(bytes, start, end)).toBe(false);
    },
  );

  it('has its bytes in network order in the first word', () => {
    const { start, end } = place('192.0.2.1');
    expect(parseIpAddress(bytes, start, end, words, AT_WORD)).toBe(4);
    expect([...bytes.slice(AT_WORD * 4, AT_WORD * 4 + 16)]).toEqual([192, 0, 2, 1, ...Array(12).fill(0)]);
  });
});

describe('25.1 IPv6address', () => {
  it.each([
    '::',
    '::1',
    '2001:db8::9:1',
    '1:2:3:4:5:6:7:8',
    '1::',
    'FE80::A',
    '::ffff:192.0.2.1',
    '1:2:3:4:5:6:1.2.3.4',
    '::1.2.3.4',
  ])('accepts %o', (text) => {
    const { start, end } = place(text, 0x3a);
    expect(isIpv6(bytes, start, end)).toBe(true);
  });

  it.each([
    '',
    ':',
    ':::',
    '1',
    '1:2',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '12345::',
    '1:',
    ':1',
    '::1:',
    'g::',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1.2.3.4',
    '::1.2.3',
    '::256.1.1.1',
    '1:2:3:4:5:6:7:8::',
    'fe80::1%eth0',
    ':::1',
    '2001:db8:::1',
  ])('refuses %o', (text) => {
    const { start, end } = place(text, 0x31);
    expect(isIpv6(bytes, start, end)).toBe(false);
  });

  it('tolerates the third colon before an IPv4 tail (RFC 5118 4.10)', () => {
    expect(reformat('2001:db8:::192.0.2.1')).toBe('2001:db8::c000:201');
    expect(reformat('2001:db8::192.0.2.1')).toBe('2001:db8::c000:201');
  });

  it('agrees with node:net on what an address is', () => {
    const piece = fc.constantFrom('0', '1', 'ff', 'ABCD', '12345', ':', '::', '.', '1.2.3.4', 'g');
    const separated = fc.array(piece, { maxLength: 9 }).map((parts) => parts.join(''));
    const colons = fc
      .array(fc.constantFrom('0', 'a', 'ffff', '', '1.2.3.4'), { maxLength: 10 })
      .map((parts) => parts.join(':'));
    fc.assert(
      fc.property(fc.oneof(separated, colons), (text) => {
        // ":::" is tolerated (RFC 5118 4.10), and RFC 3261 allows the zeros in 01.2.3.4 that inet_pton refuses.
        fc.pre(!text.includes(':::') && !/(^|[^0-9a-f])0\d+\./i.test(text));
        const { start, end } = place(text);
        expect(isIpv6(bytes, start, end)).toBe(isIPv6(text));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('RFC 5952 text', () => {
  it.each([
    ['2001:DB8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:0201', '::ffff:192.0.2.1'],
    ['00.1.02.255', '0.1.2.255'],
  ])('writes %s as %s', (text, canonical) => {
    expect(reformat(text)).toBe(canonical);
  });

  it('reads back what it wrote, and never writes more than MAX_ADDRESS_BYTES', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 0, 1, 0x10, 0xff, 0xffff), { minLength: 8, maxLength: 8 }), (groups) => {
        const text = groups.map((group) => group.toString(16)).join(':');
        const { start, end } = place(text);
        expect(parseIpAddress(bytes, start, end, words, AT_WORD)).toBe(6);
        const hostEnd = formatIpHost(words, AT_WORD, 6, bytes, TEXT_AT);
        expect(hostEnd - TEXT_AT).toBeLessThanOrEqual(MAX_ADDRESS_BYTES);
        expect(parseIpAddress(bytes, TEXT_AT, hostEnd, words, AT_WORD + 4)).toBe(6);
        expect([...words.slice(AT_WORD, AT_WORD + 4)]).toEqual([...words.slice(AT_WORD + 4, AT_WORD + 8)]);
      }),
      { numRuns: 300 },
    );
  });

  it('takes brackets off, and puts them on where it is a host', () => {
    expect(reformat('[2001:db8::1]')).toBe('2001:db8::1');
    expect(textOf(TEXT_AT, formatIpHost(words, AT_WORD, 6, bytes, TEXT_AT))).toBe('[2001:db8::1]');
    expect(reformat('[2001:db8::1')).toBeUndefined();
    expect(reformat('[192.0.2.1]')).toBeUndefined();
    expect(reformat('[')).toBeUndefined();
  });
});

function reformat(text: string): string | undefined {
  const { start, end } = place(text);
  const family = parseIpAddress(bytes, start, end, words, AT_WORD);
  if (family === 0) return undefined;
  return textOf(TEXT_AT, formatIpAddress(words, AT_WORD, family, bytes, TEXT_AT));
}
