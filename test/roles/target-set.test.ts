import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { type NextHop, NextHops } from '../../src/roles/proxy/target-set.ts';

const make = (settings: unknown) => new NextHops(configSchema.parse(settings));
const hostOf = (hop: NextHop | null) => (hop === null ? null : `${hop.host}:${hop.port}`);

describe('16.5, the next hops of our domains', () => {
  const hops = make({
    domains: ['biloxi.example', { name: 'atlanta.example', nextHops: ['sip:192.0.2.41:5080', 'sip:two.example'] }],
    nextHops: ['sip:192.0.2.30:5070'],
  });

  it('are those of the domain, else the common ones', () => {
    expect(hostOf(hops.choose(0, 0))).toBe('192.0.2.30:5070');
    expect([0, 1].map((selector) => hostOf(hops.choose(1, selector)))).toEqual(['192.0.2.41:5080', 'two.example:-1']);
  });

  it('are the common ones for our bare addresses', () => {
    expect(hostOf(hops.choose(-1, 0))).toBe('192.0.2.30:5070');
    expect(hostOf(hops.choose(-2, 7))).toBe('192.0.2.30:5070');
  });

  it('depend on the selector alone, whatever its sign', () => {
    for (const selector of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(hops.choose(1, selector)).toBe(hops.choose(1, selector));
      expect(hops.choose(1, selector)).not.toBeNull();
    }
  });

  it('are chosen evenly', () => {
    const counts = new Map<NextHop, number>();
    for (let i = 0; i < 1000; i++) {
      const hop = hops.choose(1, Math.imul(i, 0x9e37_79b1))!;
      counts.set(hop, (counts.get(hop) ?? 0) + 1);
    }
    expect([...counts.values()].every((count) => count > 400)).toBe(true);
  });

  it('may be none', () => {
    const none = make({ domains: ['biloxi.example'] });
    expect(none.choose(0, 5)).toBeNull();
    expect(none.choose(-2, 5)).toBeNull();
  });

  it('know an address as such, a name as one to look up, and go where a maddr says', () => {
    const of = (uri: string) => make({ nextHops: [uri] }).choose(-1, 0)!;
    expect(of('sip:192.0.2.30')).toMatchObject({ family: 4, port: -1 });
    expect([...new Uint8Array(of('sip:192.0.2.30').words.buffer, 0, 4)]).toEqual([192, 0, 2, 30]);
    expect(of('sip:[2001:db8::1]:5070')).toMatchObject({ family: 6, port: 5070 });
    expect(of('sip:hop.example')).toMatchObject({ family: 0, host: 'hop.example' });
    expect(of('sip:hop.example;maddr=192.0.2.9')).toMatchObject({ family: 4, host: '192.0.2.9' });
  });
});
