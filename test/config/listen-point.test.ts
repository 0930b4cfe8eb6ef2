/** Where to listen, what to advertise, and which address blocks are meant. */

import { describe, expect, it } from 'vitest';
import { parseCidr } from '../../src/config/cidr.ts';
import {
  type ListenAddress,
  overlap,
  parseAdvertised,
  parseListenAddress,
  parseListenEntry,
} from '../../src/config/listen-point.ts';
import { nearest } from '../../src/config/nearest.ts';

function listen(text: string): ListenAddress {
  const parsed = parseListenAddress(text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
}

describe('udp:ADDRESS:PORT', () => {
  it.each([
    ['udp:1.2.3.4:5060', { host: '1.2.3.4', port: 5060, family: 4, dualStack: false }],
    ['udp:0.0.0.0:0', { host: '0.0.0.0', port: 0, family: 4, dualStack: false }],
    ['udp:[::1]:5060', { host: '::1', port: 5060, family: 6, dualStack: false }],
    ['udp:[::]:5060', { host: '::', port: 5060, family: 6, dualStack: false }],
    ['udp:*:5060', { host: '::', port: 5060, family: 6, dualStack: true }],
  ])('%s', (text, expected) => {
    expect(parseListenAddress(text)).toEqual({ text, transport: 'udp', hasPortOfPrevious: false, ...expected });
  });

  it.each([
    ['', /does not begin with a transport/],
    ['1.2.3.4:5060', /does not begin with a transport/],
    ['::1', /does not begin with a transport/],
    ['sctp:1.2.3.4:5060', /sctp is not there yet, only udp, tcp, tls, ws and wss/],
    ['WS:1.2.3.4:80', /WS is not a transport/],
    ['wss:1.2.3.4', /has no port/],
    ['tcp:1.2.3.4', /has no port/],
    ['tcp:[fe80::1%eth0]:5060', /use tcp:\[::\]:5060/],
    ['quic:1.2.3.4:5060', /quic is not a transport/],
    ['UDP:1.2.3.4:5060', /UDP is not a transport/],
    ['udp:', /has no address/],
    ['udp::5060', /has no address/],
    ['udp:1.2.3.4', /has no port/],
    ['udp:1.2.3.4:', /"" is not a port/],
    ['udp:1.2.3.4:65536', /"65536" is not a port/],
    ['udp:1.2.3.4:5060x', /"5060x" is not a port/],
    ['udp:1.2.3.256:5060', /"1.2.3.256" is not an IP address/],
    ['udp:localhost:5060', /"localhost" is not an IP address/],
    ['udp:::1:5060', /brackets, as in udp:\[::1\]:5060/],
    ['udp:[1.2.3.4]:5060', /"1.2.3.4" is not an IP address/],
    ['udp:[*]:5060', /"\*" is not an IP address/],
    ['udp:[fe80::1%eth0]:5060', /zone/],
  ])('%s is refused', (text, expected) => {
    expect(parseListenAddress(text)).toMatch(expected);
  });

  it.each([
    ['udp:1.2.3.4:5060', 'udp:1.2.3.4:5060', true],
    ['udp:1.2.3.4:5060', 'udp:1.2.3.4:5061', false],
    ['udp:1.2.3.4:5060', 'udp:1.2.3.5:5060', false],
    ['udp:0.0.0.0:5060', 'udp:1.2.3.5:5060', true],
    ['udp:0.0.0.0:5060', 'udp:[::]:5060', false],
    ['udp:*:5060', 'udp:1.2.3.4:5060', true],
    ['udp:*:5060', 'udp:[::1]:5060', true],
    ['udp:[::1]:5060', 'udp:[0:0::1]:5060', true],
    ['udp:1.2.3.4:0', 'udp:1.2.3.4:0', false],
    ['tcp:1.2.3.4:5060', 'tcp:0.0.0.0:5060', true],
    ['tls:1.2.3.4:443', 'wss:0.0.0.0:443', true],
    ['udp:1.2.3.4:443', 'wss:1.2.3.4:443', false],
    ['udp:1.2.3.4:5060', 'tcp:1.2.3.4:5060', false],
  ])('%s and %s overlap: %s', (a, b, expected) => {
    expect(overlap(listen(a), listen(b))).toBe(expected);
    expect(overlap(listen(b), listen(a))).toBe(expected);
  });
});

describe('an entry', () => {
  it.each([
    ['1.2.3.4:5060', ['udp:1.2.3.4:5060', 'tcp:1.2.3.4:5060']],
    ['[::1]:0', ['udp:[::1]:0', 'tcp:[::1]:0']],
    ['*:5060', ['udp:*:5060', 'tcp:*:5060']],
    ['udp:1.2.3.4:5060', ['udp:1.2.3.4:5060']],
    ['tcp:[::1]:5060', ['tcp:[::1]:5060']],
    ['ws:*:80', ['ws:*:80']],
    ['wss:1.2.3.4:443', ['wss:1.2.3.4:443']],
  ])('%s is %j', (text, expected) => {
    const points = parseListenEntry(text);
    if (typeof points === 'string') throw new Error(points);
    expect(points.map((point) => point.text)).toEqual(expected);
    // The second of two goes where the first went.
    expect(points.map((point) => point.hasPortOfPrevious)).toEqual(expected.map((_, i) => i === 1));
  });

  it.each([
    ['1.2.3.4', /^"1.2.3.4" has no port/],
    ['1.2.3.256:5060', /"1.2.3.256" is not an IP address/],
    ['::1', /brackets, as in \[::1\]:5060/],
    ['quic:1.2.3.4:5060', /quic is not a transport/],
    ['', /does not begin with a transport/],
  ])('%s is refused', (text, expected) => {
    expect(parseListenEntry(text)).toMatch(expected);
  });
});

describe('advertise', () => {
  it.each([
    ['Edge.example.org', { host: 'edge.example.org', port: null }],
    ['edge.example.org.:5090', { host: 'edge.example.org', port: 5090 }],
    ['203.0.113.7:5090', { host: '203.0.113.7', port: 5090 }],
    ['[2001:db8::1]:5060', { host: '[2001:db8::1]', port: 5060 }],
  ])('%s', (text, expected) => {
    expect(parseAdvertised(text)).toEqual(expected);
  });

  it.each(['', ':5060', '2001:db8::1', 'a b', 'a.example:0', 'a.example:99999', '1.2.3', '[a]'])(
    '%j is refused',
    (text) => {
      expect(parseAdvertised(text)).toBeTypeOf('string');
    },
  );
});

describe('address blocks', () => {
  it.each([
    ['10.0.0.0/8', 4, '0a000000', 8],
    ['0.0.0.0/0', 4, '00000000', 0],
    ['192.0.2.7', 4, 'c0000207', 32],
    ['10.32.0.0/11', 4, '0a200000', 11],
    ['fd00::/8', 6, 'fd000000000000000000000000000000', 8],
    ['::1', 6, '00000000000000000000000000000001', 128],
    ['2001:db8:0:1::/64', 6, '20010db8000000010000000000000000', 64],
    ['64:ff9b::192.0.2.1/128', 6, '0064ff9b0000000000000000c0000201', 128],
  ])('%s', (text, family, hex, prefixBits) => {
    const cidr = parseCidr(text);
    if (typeof cidr === 'string') throw new Error(cidr);
    expect([cidr.family, Buffer.from(cidr.bytes).toString('hex'), cidr.prefixBits]).toEqual([family, hex, prefixBits]);
  });

  it.each([
    ['', /not an address block/],
    ['10/8', /not an address block/],
    ['example.org/8', /not an address block/],
    ['10.0.0.0/', /the prefix of an IPv4 block is 0 to 32/],
    ['10.0.0.0/33', /the prefix of an IPv4 block is 0 to 32/],
    ['::/129', /the prefix of an IPv6 block is 0 to 128/],
    ['10.0.0.1/31', /did you mean 10\.0\.0\.0\/31 or 10\.0\.0\.1\?/],
    ['2001:db8::1/64', /did you mean 2001:db8::\/64 or 2001:db8::1\?/],
    ['::ffff:10.0.0.0/104', /write 10\.0\.0\.0 without ::ffff:/],
    ['fe80::1%eth0', /not an address block/],
  ])('%s is refused', (text, expected) => {
    expect(parseCidr(text)).toMatch(expected);
  });
});

describe('the nearest known word', () => {
  it.each([
    ['npa', 'nap'],
    ['nap_us', 'napUs'],
    ['--lisen', '--listen'],
    ['LISTEN', '--listen'],
  ])('of %s is %s', (word, expected) => {
    expect(nearest(word, ['nap', 'napUs', '--listen', 'mode'])).toBe(expected);
  });

  it('of something else is none', () => {
    expect(nearest('banana', ['nap', 'napUs', '--listen', 'mode'])).toBeNull();
    expect(nearest('x'.repeat(100_000), ['nap'])).toBeNull();
  });
});
