/** Where HEP packets go, as the configuration writes it. */

import { describe, expect, it } from 'vitest';
import { parseHepTarget } from '../../src/config/hep-target.ts';
import { configSchema } from '../../src/config/schema.ts';

describe('hep.to', () => {
  it.each([
    ['udp:192.0.2.9:9060', { transport: 'udp', host: '192.0.2.9', port: 9060 }],
    ['tcp:homer.example.org:9061', { transport: 'tcp', host: 'homer.example.org', port: 9061 }],
    ['udp:[2001:db8::9]:9060', { transport: 'udp', host: '2001:db8::9', port: 9060 }],
  ])('%s', (text, expected) => {
    expect(parseHepTarget(text)).toEqual(expected);
  });

  it.each([
    ['homer:9060', 'does not begin with udp: or tcp:'],
    ['tls:homer:9060', 'does not begin with udp: or tcp:'],
    ['udp:homer', 'has no port; that of Homer is 9060'],
    ['udp:homer:0', '0 is not a port'],
    ['udp:homer:65536', '65536 is not a port'],
    ['udp:2001:db8::9:9060', 'has no port'],
    ['udp:[192.0.2.9]:9060', 'is neither a host name nor an IP address'],
    ['udp::9060', 'is neither a host name nor an IP address'],
    ['udp:-x-:9060', 'is neither a host name nor an IP address'],
  ])('not %s', (text, problem) => {
    expect(parseHepTarget(text)).toContain(problem);
    expect(configSchema.safeParse({ hep: { to: text } }).success).toBe(false);
  });

  it('needs a ring to send from', () => {
    const { error } = configSchema.safeParse({ hep: { to: 'udp:homer:9060' }, trace: { recentKiB: 0 } });
    expect(error!.issues).toMatchObject([{ path: ['hep', 'to'], message: expect.stringContaining('trace.recentKiB') }]);
  });

  it('has a ring of 64 KiB or none', () => {
    expect(configSchema.safeParse({ trace: { recentKiB: 63 } }).success).toBe(false);
    expect(configSchema.safeParse({ trace: { recentKiB: 64, maskHeaders: ['X-Key'] } }).success).toBe(true);
    expect(configSchema.safeParse({ trace: { maskHeaders: ['X Key'] } }).success).toBe(false);
  });
});
