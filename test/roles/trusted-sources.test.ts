import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrustedSources } from '../../src/roles/trusted-sources.ts';
import { addressBytes } from '../flows/virtual-network.ts';
import { arena, arrive, slotWord } from './received-slot.ts';

function isTrusted(blocks: readonly string[], from: string): boolean {
  arrive('', { from });
  return new TrustedSources(arena.words, blocks, []).has(slotWord);
}

describe('TrustedSources', () => {
  it.each([
    ['127.0.0.0/8', '127.0.0.1'],
    ['127.0.0.0/8', '127.255.255.255'],
    ['192.0.2.0/24', '192.0.2.0'],
    ['192.0.2.128/25', '192.0.2.128'],
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.6/31', '192.0.2.7'],
    ['0.0.0.0/0', '203.0.113.1'],
    ['128.0.0.0/1', '255.1.2.3'],
    ['::1/128', '::1'],
    ['2001:db8::/32', '2001:db8:ffff::1'],
    ['2001:db8::/65', '2001:db8::7fff:0:0:1'],
    ['::/0', '2001:db8::1'],
  ])('%s has %s', (block, from) => {
    expect(isTrusted([block], from)).toBe(true);
    expect(isTrusted(['198.51.100.0/24', block, '2001:db8:1::/48'], from)).toBe(true);
  });

  it.each([
    ['127.0.0.0/8', '128.0.0.1'],
    ['192.0.2.0/24', '192.0.3.0'],
    ['192.0.2.128/25', '192.0.2.127'],
    ['192.0.2.7', '192.0.2.6'],
    ['::1/128', '::2'],
    ['2001:db8::/32', '2001:db9::1'],
    ['2001:db8::/65', '2001:db8::8000:0:0:1'],
    ['0.0.0.0/0', '::1'],
    ['::/0', '127.0.0.1'],
    ['0.0.0.0/0', '::'],
  ])('%s does not have %s', (block, from) => {
    expect(isTrusted([block], from)).toBe(false);
  });

  it('trusts nobody without a block', () => {
    expect(isTrusted([], '127.0.0.1')).toBe(false);
  });

  it('says of IPv4 what a comparison bit by bit says', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.nat(32), (address, other, prefix, same) => {
        // A source that shares the first `same` bits, so that both verdicts are common.
        const mask = (bits: number) => (bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0);
        const number = (text: string) => Buffer.from(addressBytes(text)).readUInt32BE();
        const block = (number(address) & mask(prefix)) >>> 0;
        const source = ((number(address) & mask(same)) | (number(other) & ~mask(same))) >>> 0;
        const text = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
        const wanted = ((source ^ block) & mask(prefix)) === 0;
        expect(isTrusted([`${text(block)}/${prefix}`], text(source))).toBe(wanted);
      }),
    );
  });

  it('refuses to be made of what is no block', () => {
    expect(() => new TrustedSources(arena.words, ['192.0.2.1/8'], [])).toThrow(
      'a trusted block of the configuration is none',
    );
  });
});
