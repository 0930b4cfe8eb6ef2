import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ADDRESS_OF_RECORD_GROWTH_BYTES, writeAddressOfRecord } from '../../src/sip/address-of-record.ts';
import { URI_ERROR } from '../../src/sip/uri.ts';
import { bytes, place, textOf } from './arena-text.ts';
import { uri } from './grammar.ts';

const TARGET = 100_000;

describe('10.3 step 5: canonical address-of-record', () => {
  it.each([
    ['sip:alice@example.com', 'sip:alice@example.com'],
    ['SIP:%41lice@Example.COM;user=ip?Subject=x', 'sip:Alice@example.com'],
    ['sips:bob@EXAMPLE.com;transport=tcp;x=y', 'sip:bob@example.com'],
    ['sip:+1%2D201@example.com;user=phone', 'sip:+1-201@example.com'],
    ['sip:a%3bb@example.com', 'sip:a;b@example.com'],
    ['sip:a%40b%3ac%25%00%0a@example.com', 'sip:a%40b%3Ac%25%00%0A@example.com'],
    ['sip:alice:p%77%3b@example.com', 'sip:alice:pw%3B@example.com'],
    ['sip:alice@example.com:05060', 'sip:alice@example.com'],
    ['sip:alice@example.com.', 'sip:alice@example.com'],
    ['sip:alice@[2001:DB8:0::1]:5070', 'sip:alice@[2001:db8::1]'],
    ['sip:alice@[::ffff:c0a8:c8c8]', 'sip:alice@[::ffff:192.168.200.200]'],
    ['sip:alice@010.001.000.001', 'sip:alice@10.1.0.1'],
    ['sip:example.com', 'sip:example.com'],
  ])('makes %s to %s', (text, canonical) => {
    expect(canonicalOf(text)).toBe(canonical);
  });

  it.each(['sip:bob@example.com', 'sip:Alice@example.com', 'sip:example.com'])(
    'keeps %s apart from sip:alice@example.com',
    (text) => {
      expect(canonicalOf(text)).not.toBe('sip:alice@example.com');
    },
  );

  it.each([
    ['tel:+1', URI_ERROR.SCHEME],
    ['urn:service:sos', URI_ERROR.SCHEME],
    ['alice@example.com', URI_ERROR.SCHEME],
    ['sip:alice@exam ple.com', URI_ERROR.HOST],
  ])('refuses %s', (text, error) => {
    const { start, end } = place(text);
    expect(writeAddressOfRecord(bytes, start, end, bytes, TARGET)).toBe(error);
  });

  it('is canonical already, and never grows beyond the room asked for', () => {
    fc.assert(
      fc.property(uri, (text) => {
        const canonical = canonicalOf(text);
        expect(canonical.length).toBeLessThanOrEqual(text.length + ADDRESS_OF_RECORD_GROWTH_BYTES);
        expect(canonicalOf(canonical)).toBe(canonical);
      }),
      { numRuns: 300 },
    );
  });
});

function canonicalOf(text: string): string {
  const { start, end } = place(text);
  const length = writeAddressOfRecord(bytes, start, end, bytes, TARGET);
  expect(length, text).toBeGreaterThan(0);
  return textOf(TARGET, TARGET + length)!;
}
