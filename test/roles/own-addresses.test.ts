import { describe, expect, it } from 'vitest';
import type { BoundSocket } from '../../src/roles/bound-socket.ts';
import { FOREIGN, OWN_ADDRESS, OwnAddresses } from '../../src/roles/own-addresses.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';
import { parseUri, transportAskedBy, UriView } from '../../src/sip/uri.ts';
import { arena, arrive, payload, slotWord } from './received-slot.ts';

const bound = (socket: number, address: string, port = 5060, rest: Partial<BoundSocket> = {}): BoundSocket => ({
  socket,
  transport: TRANSPORT.UDP,
  family: address.includes(':') ? 6 : 4,
  isDualStack: false,
  address,
  port,
  isWildcard: address === '::' || address === '0.0.0.0',
  advertisedHost: null,
  advertisedPort: null,
  ...rest,
});

interface Where {
  readonly sockets: readonly BoundSocket[];
  readonly interfaces?: readonly string[];
  readonly domains?: readonly string[];
  readonly socket?: number;
  readonly from?: string;
  readonly local?: string;
}

const uri = new UriView();

/** Reads a URI out of a datagram that arrived as `where` says, and what it belongs to. */
function ownOf(text: string, where: Where): OwnAddresses {
  const { sockets, interfaces = [], domains = [], socket = 0, from = '203.0.113.1', local } = where;
  const end = arrive(text, { from, socket, ...(local === undefined ? {} : { local }) });
  expect(parseUri(arena.bytes, payload, end, uri)).toBe(0);
  return new OwnAddresses(arena.bytes, arena.words, sockets, interfaces, domains);
}

const isOwn = (text: string, where: Where) =>
  ownOf(text, where).isOwnAddress(uri, uri.port, transportAskedBy(uri), slotWord);
const domainOf = (text: string, where: Where) =>
  ownOf(text, where).domainOf(uri, uri.port, transportAskedBy(uri), slotWord);
const isOwnMaddr = (text: string, where: Where) => ownOf(text, where).isOwnMaddr(uri, slotWord);

describe('isOwnAddress', () => {
  const sockets = [bound(0, '192.0.2.254'), bound(1, '2001:db8::53', 5070)];

  it.each([
    'sip:192.0.2.254',
    'sip:192.0.2.254:5060',
    'sip:[2001:db8::53]:5070',
    'sip:[2001:DB8:0:0:0:0:0:53]:5070',
    'sip:[2001:db8::0.0.0.83]:5070',
  ])('knows %s, where it listens', (text) => {
    expect(isOwn(text, { sockets })).toBe(true);
  });

  it.each([
    'sip:192.0.2.254:5061',
    'sip:192.0.2.253',
    'sip:[2001:db8::53]',
    'sip:[2001:db8::54]:5070',
    'sip:192.0.2.254.example',
    'sip:[::ffff:192.0.2.254]',
  ])('does not know %s', (text) => {
    expect(isOwn(text, { sockets })).toBe(false);
  });

  it('knows what it advertises, name or address, with its port', () => {
    const advertised = [
      bound(0, '10.0.0.1', 5060, { advertisedHost: 'Edge.Example', advertisedPort: 5090 }),
      bound(1, '10.0.0.2', 5070, { advertisedHost: '198.51.100.7' }),
      bound(2, 'fd00::1', 5060, { advertisedHost: '[2001:db8::7]' }),
    ];
    const where = { sockets: advertised };
    expect(isOwn('sip:edge.example:5090', where)).toBe(true);
    expect(isOwn('sip:EDGE.EXAMPLE.:5090', where)).toBe(true);
    expect(isOwn('sip:198.51.100.7:5070', where)).toBe(true);
    expect(isOwn('sip:[2001:db8::7]', where)).toBe(true);
    expect(isOwn('sip:10.0.0.1', where)).toBe(true);
    expect(isOwn('sip:edge.example', where)).toBe(false);
    expect(isOwn('sip:edge.example.net:5090', where)).toBe(false);
    expect(isOwn('sip:dge.example:5090', where)).toBe(false);
    expect(isOwn('sip:198.51.100.7:5060', where)).toBe(false);
  });

  describe('on a wildcard socket', () => {
    const where = { sockets: [bound(0, '0.0.0.0', 5080)], interfaces: ['192.0.2.254', '127.0.0.1', '2001:db8::53'] };

    it('knows the addresses of the machine that the socket can have', () => {
      expect(isOwn('sip:192.0.2.254:5080', where)).toBe(true);
      expect(isOwn('sip:127.0.0.1:5080', where)).toBe(true);
      expect(isOwn('sip:192.0.2.254', where)).toBe(false);
      expect(isOwn('sip:[2001:db8::53]:5080', where)).toBe(false);
      expect(isOwn('sip:0.0.0.0:5080', { ...where, local: '192.0.2.254' })).toBe(false);
    });

    it('knows both families on a dual stack', () => {
      const dual = { ...where, sockets: [bound(0, '::', 5080, { isDualStack: true })] };
      expect(isOwn('sip:192.0.2.254:5080', dual)).toBe(true);
      expect(isOwn('sip:[2001:db8::53]:5080', dual)).toBe(true);
      const ipv6Only = { ...where, sockets: [bound(0, '::', 5080)] };
      expect(isOwn('sip:192.0.2.254:5080', ipv6Only)).toBe(false);
    });

    it('knows the address the datagram came to, even if the interface is new', () => {
      const arrived = { ...where, local: '198.51.100.1' };
      expect(isOwn('sip:198.51.100.1:5080', arrived)).toBe(true);
      expect(isOwn('sip:198.51.100.2:5080', arrived)).toBe(false);
      expect(isOwn('sip:198.51.100.1:5081', arrived)).toBe(false);
      expect(isOwn('sip:198.51.100.1:5080', where)).toBe(false);
    });

    it('does not take an address of one family for one of the other that has the same first word', () => {
      const arrived = { ...where, sockets: [bound(0, '::', 5080, { isDualStack: true })], local: '32.1.13.184' };
      expect(isOwn('sip:[2001:db8::]:5080', arrived)).toBe(false);
    });
  });
});

describe('domainOf', () => {
  const sockets = [bound(0, '192.0.2.254'), bound(1, '192.0.2.254', 5070)];
  const where = { sockets, domains: ['biloxi.example', 'atlanta.example', '192.0.2.99', '[2001:db8::9]'] };

  it.each([
    ['sip:bob@biloxi.example', 0],
    ['sip:bob@BILOXI.Example', 0],
    ['sip:bob@biloxi.example.', 0],
    ['sip:bob@biloxi.example:9999', 0],
    ['sip:atlanta.example', 1],
    ['sip:bob@192.0.2.99', 2],
    ['sip:bob@192.0.2.99:5070', 2],
    ['sip:bob@[2001:DB8:0::9]', 3],
    ['sip:bob@192.0.2.254', OWN_ADDRESS],
    ['sip:192.0.2.254:5070', OWN_ADDRESS],
  ])('%s is %i', (text, domain) => {
    expect(domainOf(text, where)).toBe(domain);
  });

  it.each([
    'sip:bob@chicago.example',
    'sip:bob@sub.biloxi.example',
    'sip:bob@iloxi.example',
    'sip:bob@biloxi.exampl',
    'sip:bob@xbiloxi.example',
    'sip:biloxi.example@chicago.example',
    'sip:bob@192.0.2.254:5071',
    'sip:bob@192.0.2.99:5071',
    'sip:bob@[2001:db8::a]',
  ])('%s is foreign', (text) => {
    expect(domainOf(text, where)).toBe(FOREIGN);
  });

  it('has an advertised name that is no domain for an address of ours', () => {
    const advertised = { sockets: [bound(0, '10.0.0.1', 5060, { advertisedHost: 'edge.example' })] };
    expect(domainOf('sip:edge.example', advertised)).toBe(OWN_ADDRESS);
    expect(domainOf('sip:edge.example:5070', advertised)).toBe(FOREIGN);
  });
});

describe('16.4, isOwnMaddr', () => {
  const where = { sockets: [bound(0, '192.0.2.254'), bound(1, '192.0.2.254', 5070)], domains: ['biloxi.example'] };

  it.each(['sip:x@chicago.example;maddr=192.0.2.254', 'sip:chicago.example:5060;maddr=biloxi.example'])(
    '%s names us',
    (text) => {
      expect(isOwnMaddr(text, where)).toBe(true);
    },
  );

  it.each(['sip:chicago.example;maddr=192.0.2.1', 'sip:biloxi.example;maddr=chicago.example'])(
    '%s does not',
    (text) => {
      expect(isOwnMaddr(text, where)).toBe(false);
    },
  );

  it('only with the port the request came to', () => {
    const text = 'sip:chicago.example:5070;maddr=192.0.2.254';
    expect(isOwnMaddr(text, where)).toBe(false);
    expect(isOwnMaddr(text, { ...where, socket: 1 })).toBe(true);
    expect(isOwnMaddr('sip:chicago.example;maddr=192.0.2.254', { ...where, socket: 1 })).toBe(false);
  });
});
