import { describe, expect, it } from 'vitest';
import { addressText, addressWords, NO_ADDRESS } from '../../../src/runtime/streams/address-words.ts';

describe('addresses between Node and slots', () => {
  it.each([
    { text: '127.0.0.1', family: 4, bytes: [127, 0, 0, 1] },
    { text: '192.0.2.255', family: 4, bytes: [192, 0, 2, 255] },
    { text: '2001:db8::1', family: 6, bytes: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
    { text: '::1', family: 6, bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
  ])('$text there and back', ({ text, family, bytes }) => {
    const { a0, a1, a2, a3, family: found } = addressWords(text);
    const words = Int32Array.of(99, a0, a1, a2, a3);
    expect(found).toBe(family);
    expect([...new Uint8Array(words.buffer).subarray(4, 4 + bytes.length)]).toEqual(bytes);
    expect(addressText(words, 1, family)).toBe(text);
  });

  it('IPv4 on a dual-stack socket is IPv4, and a zone is passed over', () => {
    expect(addressWords('::ffff:192.0.2.1')).toEqual(addressWords('192.0.2.1'));
    expect(addressWords('fe80::1%eth0')).toEqual(addressWords('fe80::1'));
  });

  it.each([undefined, '', 'localhost', '/tmp/socket', '1.2.3', ':'.repeat(500)])('%j is none', (text) => {
    expect(addressWords(text)).toEqual(NO_ADDRESS);
  });
});
