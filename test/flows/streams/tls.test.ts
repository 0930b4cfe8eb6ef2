/** RFC 3261 26.2.2, RFC 5630, RFC 5922 where this server listens by TLS: what goes by it, and that nothing that asks for it goes by
 *  less. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, replyTo, request, valuesOf } from '../messages.ts';
import { MODES, register } from '../registrar/register.ts';
import { openProxy, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, createElement, type ElementOptions, type Endpoint, type VirtualElement } from '../virtual-network.ts';

const UDP = 0;
const TLS = 2;
const PATH = (...uris: string[]) => ['Supported: path', `Path: ${uris.map((uri) => `<${uri};lr>`).join(', ')}`];
/** No file is read here. */
const tls = { certificates: [{ certificate: 'edge.pem', key: 'edge.key' }] };
const LISTEN: ElementOptions = { listen: ['192.0.2.254:5060', 'tls:192.0.2.254:5061'], settings: { tls } };
const ALICE_BY_TLS: Endpoint = { address: '192.0.2.10', port: 41_000, connection: 0x7a };
const VIA = 'SIP/2.0/TLS 192.0.2.10;branch=z9hG4bKtls';
const NAMES = {
  hosts: { 'chicago.example': ['198.51.100.9'], '_sips._tcp.tls.example': ['SRV 0 0 5071 chicago.example'] },
};

const open = (mode: 'stateful' | 'stateless', options: ElementOptions = {}) =>
  mode === 'stateful' ? openProxy({ ...LISTEN, ...options }) : createElement({ ...LISTEN, ...options, mode });

describe.each(MODES)('in mode %s', (mode) => {
  it.each([
    ['sip:carol@198.51.100.9;transport=tls', 5061, null],
    ['sips:carol@198.51.100.9', 5061, null],
    ['sips:carol@198.51.100.9:5099;transport=tcp', 5099, null],
    ['sips:carol@chicago.example:5062', 5062, 'chicago.example'],
    ['sips:carol@chicago.example', 5061, 'chicago.example'],
    ['sips:carol@tls.example', 5071, 'tls.example'],
  ])('%s goes by TLS, to who has a certificate for its name (RFC 5922 7.3)', (uri, port, name) => {
    const sent = requestOf(open(mode, NAMES).receive(request({ uri }), ALICE, UDP), 'INVITE');
    expect([sent.socket, sent.to, sent.serverName ?? null]).toEqual([TLS, { address: '198.51.100.9', port }, name]);
    expect(valuesOf(sent.text, 'Via')[0]).toMatch(/^SIP\/2\.0\/TLS 192\.0\.2\.254:5061;/);
    expect(sent.text.startsWith(`INVITE ${uri} SIP/2.0\r\n`)).toBe(true);
  });

  it('16.6 step 7: a sips Request-URI goes by TLS whatever its Route asks for', () => {
    const route = ['<sip:198.51.100.9:5061;transport=tcp;lr>'];
    const sent = requestOf(open(mode).receive(request({ uri: 'sips:carol@203.0.113.9', route }), ALICE, UDP), 'INVITE');
    expect([sent.socket, sent.to.address]).toEqual([TLS, '198.51.100.9']);
  });

  it('a next hop of ours is no exception', () => {
    const proxy = open(mode, { nextHops: ['sip:192.0.2.30:5061;transport=tcp'] });
    const sent = requestOf(proxy.receive(request({ uri: 'sips:bob@biloxi.example' }), ALICE, UDP), 'INVITE');
    expect([sent.socket, sent.to.port]).toEqual([TLS, 5061]);
  });

  it.each(['udp', 'sctp', 'foo'])('sips with transport=%s is nothing that there is', (transport) => {
    const uri = `sips:carol@198.51.100.9;transport=${transport}`;
    responseOf(open(mode).receive(request({ uri }), ALICE, UDP), 500);
  });

  it('18.2.2: a response goes back by the connection, else to port 5061', () => {
    const proxy = open(mode);
    const { text } = requestOf(proxy.receive(request({ via: VIA }), ALICE_BY_TLS, TLS), 'INVITE');
    const back = responseOf(proxy.receive(replyTo(text), { address: '192.0.2.30', port: 5080 }, UDP), 200);
    expect(back).toMatchObject({ socket: TLS, connection: 0x7a, to: { address: '192.0.2.10', port: 5061 } });
  });
});

describe.each(MODES)('RFC 5923 8.1, in mode %s', (mode) => {
  const uri = 'sips:carol@198.51.100.9';

  it('requests by TLS say alias, others do not, and responses are known by that Via', () => {
    const proxy = open(mode);
    const { text, to } = requestOf(proxy.receive(request({ uri }), ALICE, UDP), 'INVITE');
    expect(valuesOf(text, 'Via')[0]).toMatch(/^SIP\/2\.0\/TLS 192\.0\.2\.254:5061;alias;branch=z9hG4bK/);
    const back = responseOf(proxy.receive(replyTo(text), to, TLS), 200);
    expect([back.socket, valuesOf(back.text, 'Via').length]).toEqual([UDP, 1]);
    const byUdp = requestOf(proxy.receive(request({ via: VIA }), ALICE_BY_TLS, TLS), 'INVITE');
    expect(valuesOf(byUdp.text, 'Via')[0]).not.toContain('alias');
  });

  it('unless that is switched off', () => {
    const proxy = open(mode, { settings: { tls: { ...tls, aliases: false } } });
    expect(requestOf(proxy.receive(request({ uri }), ALICE, UDP), 'INVITE').text).not.toContain('alias');
  });
});

describe('16.6 step 4', () => {
  it('a sips Request-URI has sips URIs in the Record-Route, and they are known again', () => {
    const proxy = open('stateful');
    const uri = 'sips:carol@198.51.100.9';
    const { text } = requestOf(proxy.receive(request({ uri, via: VIA }), ALICE_BY_TLS, TLS), 'INVITE');
    expect(fieldsOf(text, 'Record-Route')).toEqual(['<sips:192.0.2.254:5061;lr>']);
    const route = fieldsOf(text, 'Record-Route');
    const to = 'Carol <sips:carol@198.51.100.9>;tag=1';
    const bye = request({ method: 'BYE', uri, route, to, via: `${VIA}2`, cseq: '2 BYE' });
    const sent = requestOf(proxy.receive(bye, ALICE_BY_TLS, TLS), 'BYE');
    expect([sent.socket, fieldsOf(sent.text, 'Route')]).toEqual([TLS, []]);
  });

  it('so has a SIP one behind a sips Route, on the side of that', () => {
    const SIPS = '<sips:192.0.2.254:5061;lr>';
    const routesFor = (route: readonly string[], parts = {}) => {
      const text = request({ uri: 'sip:carol@198.51.100.9', route, ...parts });
      return fieldsOf(requestOf(open('stateful').receive(text, ALICE, UDP), 'INVITE').text, 'Record-Route');
    };
    expect(routesFor(['<sips:198.51.100.10;lr>'])).toEqual([SIPS, '<sip:192.0.2.254:5060;lr>']);
    expect(routesFor(['<sip:192.0.2.254;lr>, <sips:198.51.100.10;lr>, <sip:203.0.113.1;lr>'])[0]).toBe(SIPS);
    // A strict router has the Route in the Request-URI.
    expect(routesFor(['<sips:198.51.100.10>'])[0]).toBe(SIPS);
    expect(routesFor(['<sip:198.51.100.10;lr>', '<sips:203.0.113.1;lr>'])).toEqual(['<sip:192.0.2.254:5060;lr>']);
  });

  it('so has one to a binding with a sips Path', () => {
    const proxy = open('stateful', { domains: ['biloxi.example'], nextHops: [] });
    const fields = {
      user: 'bob',
      domain: 'biloxi.example',
      headers: ['Supported: path', 'Path: <sips:203.0.113.4;lr>'],
    };
    proxy.receive(register({ ...fields, contacts: ['<sip:bob@203.0.113.5>'] }), ALICE, UDP);
    const sent = requestOf(proxy.receive(request(), ALICE, UDP), 'INVITE');
    expect(sent.socket).toBe(TLS);
    expect(fieldsOf(sent.text, 'Record-Route')).toEqual(['<sips:192.0.2.254:5061;lr>', '<sip:192.0.2.254:5060;lr>']);
  });

  it('a SIP one by TLS says transport=tls', () => {
    const sent = open('stateful').receive(request({ via: VIA }), ALICE_BY_TLS, TLS);
    expect(fieldsOf(requestOf(sent, 'INVITE').text, 'Record-Route')).toEqual([
      '<sip:192.0.2.254:5060;lr>',
      '<sip:192.0.2.254:5061;transport=tls;lr>',
    ]);
  });
});

describe('RFC 5630 5.3', () => {
  const HOME = { domains: ['biloxi.example'], nextHops: [] };
  const signUp = (proxy: VirtualElement, contact: string, aor = 'sips:bob@biloxi.example') => {
    const via = '203.0.113.5;branch=z9hG4bKreg';
    const uri = contact.startsWith('<sips:') ? 'sips:biloxi.example' : 'sip:biloxi.example';
    const text = register({ uri, domain: 'biloxi.example', to: `<${aor}>`, contacts: [contact], via });
    const from = { address: '203.0.113.5', port: 42_000, connection: 0x7b };
    responseOf(proxy.receive(text.replace('/UDP', '/TLS'), from, TLS), 200);
  };
  const call = (proxy: VirtualElement, uri: string) => proxy.receive(request({ uri }), ALICE, UDP);

  it('sips calls go to sips contacts', () => {
    const proxy = open('stateful', HOME);
    signUp(proxy, '<sips:bob@203.0.113.5>');
    expect(requestOf(call(proxy, 'sips:bob@biloxi.example'), 'INVITE')).toMatchObject({ socket: TLS });
  });

  it('and to no others: 480 with the warning that says so', () => {
    const proxy = open('stateful', HOME);
    signUp(proxy, '<sip:bob@203.0.113.5;transport=tls>');
    const { text } = responseOf(call(proxy, 'sips:bob@biloxi.example'), 480);
    expect(fieldsOf(text, 'Warning')).toEqual(['380 strowger "SIPS Not Allowed"']);
  });

  it('SIP calls do not go to sips contacts', () => {
    const proxy = open('stateful', HOME);
    signUp(proxy, '<sips:bob@203.0.113.5>', 'sip:bob@biloxi.example');
    responseOf(call(proxy, 'sip:bob@biloxi.example'), 480);
  });

  it.each([
    ['sips:bob@biloxi.example', 'sip:bob@biloxi.example'],
    ['sip:bob@biloxi.example', 'sips:bob@biloxi.example'],
  ])('5.2: who has registered as %s is called as %s', (aor, uri) => {
    const proxy = open('stateful', HOME);
    signUp(proxy, uri.startsWith('sips:') ? '<sips:bob@203.0.113.5>' : '<sip:bob@203.0.113.5;transport=tls>', aor);
    expect(requestOf(call(proxy, uri), 'INVITE')).toMatchObject({ socket: TLS });
  });

  it.each([
    ['a sip Request-URI', { uri: 'sip:example.org', contacts: ['<sips:alice@203.0.113.5>'] }, 400],
    ['a sip contact beside it', { contacts: ['<sips:alice@203.0.113.5>', '<sip:alice@203.0.113.6>'] }, 400],
    ['a sip Path', { contacts: ['<sips:alice@203.0.113.5>'], headers: PATH('sips:p1.example', 'sip:p2.example') }, 400],
    [
      'nothing but sips',
      { contacts: ['<sips:alice@203.0.113.5>'], headers: PATH('sips:p1.example', 'sips:p2.example') },
      200,
    ],
    ['no contact to be bound', { uri: 'sip:example.org', contacts: ['<sips:alice@203.0.113.5>;expires=0'] }, 200],
  ])('5.2: a sips contact with %s', (_, fields, status) => {
    const proxy = open('stateful', { domains: ['example.org'], nextHops: [] });
    const text = register({ uri: 'sips:example.org', ...fields, via: '203.0.113.5;branch=z9hG4bKreg' });
    const from = { address: '203.0.113.5', port: 42_000, connection: 0x7b };
    responseOf(proxy.receive(text.replace('/UDP', '/TLS'), from, TLS), status);
  });

  it.each([
    ['sips:bob@biloxi.example', 'sip:carol@198.51.100.9'],
    ['sip:bob@biloxi.example', 'sips:carol@198.51.100.9'],
  ])('nobody recurses from %s to %s', (uri, contact) => {
    const proxy = open('stateful', { settings: { tls, redirects: 'recurse' } });
    const invite = requestOf(call(proxy, uri), 'INVITE');
    const moved = replyTo(invite.text, '302 Moved').replace(/Contact: [^\r]*/, `Contact: <${contact}>`);
    responseOf(proxy.receive(moved, { address: '192.0.2.30', port: 5080 }, invite.socket), 302);
  });
});
