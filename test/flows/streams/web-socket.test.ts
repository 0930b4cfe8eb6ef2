/** RFC 7118 with RFC 5626: browsers, which are reached by the WebSocket that they came by or not at all. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, replyTo, request, uriOf, valuesOf } from '../messages.ts';
import { answerOf, MODES, type RegisterFields, register } from '../registrar/register.ts';
import { brief, openProxy, requestOf, responseOf } from '../stateful/call.ts';
import {
  ALICE,
  CHICAGO,
  createElement,
  type ElementOptions,
  type Endpoint,
  type VirtualElement,
} from '../virtual-network.ts';

const UDP = 0;
const WS = 2;
const WSS = 3;
/** No file is read here. */
const tls = { certificates: [{ certificate: 'edge.pem', key: 'edge.key' }] };
const LISTEN: ElementOptions = {
  listen: ['192.0.2.254:5060', 'ws:192.0.2.254:80', 'wss:192.0.2.254:443'],
  settings: { tls },
};
const ELSEWHERE = { name: 'chicago.example', nextHops: ['sip:198.51.100.9'] };
const HOME: ElementOptions = { ...LISTEN, domains: ['biloxi.example', ELSEWHERE], nextHops: [] };
const BY_WS = [
  { name: 'WS', socket: WS, place: '192.0.2.254:80' },
  { name: 'WSS', socket: WSS, place: '192.0.2.254:443' },
];
/** Bob's browser, behind whatever there is. */
const BROWSER: Endpoint = { address: '192.0.2.99', port: 50_001, connection: 0x5001 };
const HOST = 'df7jal23ls0d.invalid';
const CONTACT = `sip:bob@${HOST};transport=ws`;
const ONE = '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"';
const FLOW = `<${CONTACT};ob>;reg-id=1;+sip.instance=${ONE}`;
const OUTBOUND = { headers: ['Supported: path, outbound, gruu'] };
const TOKEN = /^flow[0-9a-f]{56}$/;
const TO_BOB = 'Bob <sip:bob@biloxi.example>;tag=314159';

const open = (mode: 'stateful' | 'stateless', options: ElementOptions = {}) =>
  mode === 'stateful' ? openProxy({ ...HOME, ...options }) : createElement({ ...HOME, ...options, mode });
const userOf = (value: string) => /<sips?:([^@>]*)@/.exec(value)?.[1] ?? '';
const call = (proxy: VirtualElement, parts = {}) => requestOf(proxy.receive(request(parts), ALICE, UDP), 'INVITE');

let branches = 0;
const viaOf = (name: string, host = HOST) => `SIP/2.0/${name} ${host};branch=z9hG4bKws${++branches}`;

function signUp(
  proxy: VirtualElement,
  contact: string,
  fields: RegisterFields = {},
  { name, socket } = BY_WS[0]!,
  from = BROWSER,
) {
  const via = viaOf(name).replace(/^\S+ /, '');
  const text = register({ user: 'bob', domain: 'biloxi.example', contacts: [contact], via, ...fields });
  return answerOf(proxy.receive(text.replace('SIP/2.0/UDP', `SIP/2.0/${name}`), from, socket));
}

describe.each(MODES)('in mode %s', (mode) => {
  describe.each(BY_WS)('by $name', (by) => {
    const { name, socket, place } = by;

    it('a REGISTER is answered by its connection, with where it came from', () => {
      const { status, sent } = signUp(open(mode), FLOW, OUTBOUND, by);
      expect(status).toBe(200);
      expect(sent).toMatchObject({ socket, connection: BROWSER.connection });
      const [via] = valuesOf(sent.text, 'Via');
      expect(via).toMatch(new RegExp(`^SIP/2\\.0/${name} ${HOST.replace('.', '\\.')};.*received=192\\.0\\.2\\.99`));
    });

    it.each([
      ['with Outbound', FLOW, OUTBOUND],
      ['without', `<${CONTACT}>`, {}],
      ['without, at another host', '<sip:bob@pbx.example;transport=ws>', {}],
      ['without, and no transport', `<sip:bob@${HOST}>`, {}],
    ])('who registered %s is called by his connection alone', (_, contact, fields) => {
      const proxy = open(mode);
      signUp(proxy, contact, fields, by);
      const sent = call(proxy);
      expect(sent).toMatchObject({ socket, connection: BROWSER.connection, onlyConnection: true });
      expect(uriOf(sent.text)).toBe(/<([^>]*)>/.exec(contact)![1]);
      expect(valuesOf(sent.text, 'Via')[0]).toMatch(new RegExp(`^SIP/2\\.0/${name} ${place};`));
      // Without transactions this server stays in no dialog.
      if (mode === 'stateless') return;
      const [callee, caller] = fieldsOf(sent.text, 'Record-Route') as [string, string];
      expect(userOf(callee)).toMatch(TOKEN);
      expect(callee).toMatch(new RegExp(`@${place};transport=ws;lr>$`));
      expect(caller).toBe('<sip:192.0.2.254:5060;lr>');
    });

    it('his calls leave by UDP with two Record-Routes, of which his has the flow', () => {
      const proxy = open(mode);
      const via = viaOf(name);
      const headers = [`Contact: <${CONTACT};ob>`];
      const sent = requestOf(
        proxy.receive(request({ uri: 'sip:carol@chicago.example', via, headers }), BROWSER, socket),
        'INVITE',
      );
      expect([sent.socket, sent.to]).toEqual([UDP, CHICAGO]);
      const ok = responseOf(proxy.receive(replyTo(sent.text), CHICAGO, UDP), 200);
      expect(ok).toMatchObject({ socket, connection: BROWSER.connection });
      if (mode === 'stateless') return;
      const [callee, caller] = fieldsOf(sent.text, 'Record-Route') as [string, string];
      expect(callee).toBe('<sip:192.0.2.254:5060;lr>');
      expect(userOf(caller)).toMatch(TOKEN);
      expect(caller).toMatch(new RegExp(`@${place};transport=ws;lr>$`));
    });
  });

  it('a way in that names this server by ws is ours on WSS, too', () => {
    const proxy = open(mode);
    const route = ['<sip:192.0.2.254:443;transport=ws;lr>'];
    const parts = { uri: 'sip:carol@chicago.example', via: viaOf('WSS'), route };
    const sent = requestOf(proxy.receive(request(parts), BROWSER, WSS), 'INVITE');
    expect([sent.to, fieldsOf(sent.text, 'Route')]).toEqual([CHICAGO, []]);
  });

  it('nobody is called by WebSocket: 480 for a contact, 500 for a Route', () => {
    const proxy = open(mode);
    responseOf(proxy.receive(request({ uri: 'sip:carol@198.51.100.9;transport=ws' }), ALICE, UDP), 480);
    responseOf(
      proxy.receive(request({ uri: `sip:carol@${HOST};transport=ws`, via: viaOf('UDP', '192.0.2.10') }), ALICE, UDP),
      480,
    );
    const route = ['<sip:198.51.100.9;transport=ws;lr>'];
    responseOf(
      proxy.receive(request({ uri: 'sip:carol@198.51.100.9', route, via: viaOf('UDP', '192.0.2.10') }), ALICE, UDP),
      500,
    );
  });

  it('without another transport nobody is called at all', () => {
    const proxy = open(mode, { listen: ['ws:192.0.2.254:80'] });
    const via = viaOf('WS');
    responseOf(proxy.receive(request({ uri: 'sip:carol@chicago.example', via }), BROWSER, 0), 500);
  });

  it('a WebSocket message is one SIP message: less of one, or more than one, is answered 400', () => {
    const proxy = open(mode);
    const parts = (body: string, length: number) =>
      request({
        method: 'OPTIONS',
        uri: 'sip:192.0.2.254',
        via: viaOf('WS'),
        cseq: '1 OPTIONS',
        contentLength: length,
        body,
      });
    expect(responseOf(proxy.receive(parts('body', 4), BROWSER, WS), 200).connection).toBe(BROWSER.connection);
    responseOf(proxy.receive(parts('body\r\n', 4), BROWSER, WS), 200);
    expect(responseOf(proxy.receive(parts('body', 5), BROWSER, WS), 400).text).toMatch(/^SIP\/2\.0 400 Body Shorter/);
    const two = parts('', 0) + parts('', 0);
    expect(responseOf(proxy.receive(two, BROWSER, WS), 400).text).toMatch(
      /^SIP\/2\.0 400 Body Longer Than Content-Length/,
    );
    const unfinished = parts('', 0).replace(/\r\n\r\n$/, '\r\n');
    expect(responseOf(proxy.receive(unfinished, BROWSER, WS), 400).text).toMatch(/^SIP\/2\.0 400 Missing Empty Line/);
  });

  it('20.14: what comes without a Content-Length gets one on a stream', () => {
    const proxy = open(mode);
    signUp(proxy, FLOW, OUTBOUND);
    const from = { ...BROWSER, connection: 0x5002 };
    const invite = request({ via: viaOf('WS', 'alice.invalid'), body: 'v=0\r\n' }).replace(/Content-Length.*\r\n/, '');
    const sent = requestOf(proxy.receive(invite, from, WS), 'INVITE');
    expect([sent.connection, fieldsOf(sent.text, 'Content-Length')]).toEqual([BROWSER.connection, ['5']]);
  });
});

describe('RFC 5626', () => {
  it('5.1, at an edge: a Path with the flow, by which the registrar’s requests come back', () => {
    const proxy = openProxy(HOME);
    const text = register({
      uri: 'sip:chicago.example',
      domain: 'chicago.example',
      contacts: [FLOW],
      via: `${HOST};branch=z9hG4bKpath`,
      ...OUTBOUND,
    });
    const sent = requestOf(proxy.receive(text.replace('/UDP', '/WSS'), BROWSER, WSS), 'REGISTER');
    const [path] = fieldsOf(sent.text, 'Path') as [string];
    expect(path).toMatch(/^<sip:flow[0-9a-f]+@192\.0\.2\.254:5060;lr;ob>$/);
    const incoming = request({ uri: `${CONTACT};ob`, route: [path], via: viaOf('UDP', '198.51.100.9') });
    const toBob = requestOf(proxy.receive(incoming, CHICAGO, UDP), 'INVITE');
    expect(toBob).toMatchObject({ socket: WSS, connection: BROWSER.connection, onlyConnection: true });
    // 5.3.1: the flow is gone.
    responseOf(proxy.undeliver(toBob), 430);
    const forged = incoming.replace(/flow./, 'flowf').replace('z9hG4bKws', 'z9hG4bKforged');
    responseOf(proxy.receive(forged, CHICAGO, UDP), 403);
  });

  it('6, a REGISTER with a flow that came by an edge without Outbound: 439', () => {
    const via = `192.0.2.77;branch=z9hG4bKedge, SIP/2.0/WSS ${HOST};branch=z9hG4bKphone`;
    const path = 'Path: <sip:edge.example;lr>';
    const fields = { via, headers: [...OUTBOUND.headers, path] };
    const text = register({ user: 'bob', domain: 'biloxi.example', contacts: [FLOW], ...fields });
    responseOf(openProxy(HOME).receive(text, ALICE, UDP), 439);
  });

  it.each([
    ['with Outbound', FLOW, OUTBOUND],
    ['without', `<${CONTACT}>`, {}],
  ])('7, when the WebSocket of a client %s is gone: 480, and he is no longer registered', (_, contact, fields) => {
    const proxy = openProxy(HOME);
    signUp(proxy, contact, fields);
    expect(brief(proxy.undeliver(call(proxy)))).toEqual(['480 to Alice']);
    responseOf(proxy.receive(request({ via: viaOf('UDP', '192.0.2.10') }), ALICE, UDP), 480);
    expect(signUp(proxy, '', { contacts: [] }).contacts).toEqual([]);
  });

  it('without transactions, too, a call to a WebSocket that is gone is answered 480, and an ACK not at all', () => {
    const proxy = open('stateless');
    signUp(proxy, FLOW, OUTBOUND);
    expect(brief(proxy.undeliver(call(proxy)))).toEqual(['480 to Alice']);
    const ack = requestOf(proxy.receive(request({ method: 'ACK' }), ALICE, UDP), 'ACK');
    expect(ack).toMatchObject({ socket: WS, onlyConnection: true });
    expect(proxy.undeliver(ack)).toEqual([]);
  });

  it('7, a second flow of the same browser takes over', () => {
    const proxy = openProxy(HOME);
    const second = { ...BROWSER, connection: 0x5002 };
    signUp(proxy, FLOW, { ...OUTBOUND, callId: 'one' });
    proxy.advance(1000);
    signUp(proxy, FLOW.replace('reg-id=1', 'reg-id=2'), { ...OUTBOUND, callId: 'two' }, BY_WS[1], second);
    const first = call(proxy);
    expect(first).toMatchObject({ socket: WSS, connection: second.connection });
    expect(requestOf(proxy.undeliver(first), 'INVITE')).toMatchObject({ socket: WS, connection: BROWSER.connection });
  });

  it('a dialog of two browsers goes by both flows, and what is sent by one that is gone fails', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, FLOW, OUTBOUND, BY_WS[1]);
    const alice: Endpoint = { address: '192.0.2.10', port: 41_000, connection: 0x6001 };
    const invite = request({
      via: viaOf('WS', 'alice.invalid'),
      headers: ['Contact: <sip:alice@alice.invalid;transport=ws;ob>'],
    });
    const sent = requestOf(proxy.receive(invite, alice, WS), 'INVITE');
    const routes = fieldsOf(sent.text, 'Record-Route');
    expect(routes.map(userOf).every((user) => TOKEN.test(user))).toBe(true);
    const ok = replyTo(sent.text).replace(
      '\r\n\r\n',
      `\r\n${routes.map((r) => `Record-Route: ${r}\r\n`).join('')}\r\n`,
    );
    expect(responseOf(proxy.receive(ok, BROWSER, WSS), 200)).toMatchObject({
      socket: WS,
      connection: alice.connection,
    });
    const within = (method: string, cseq: number, parts = {}) =>
      request({ method, uri: `${CONTACT};ob`, to: TO_BOB, cseq: `${cseq} ${method}`, ...parts });
    const ack = within('ACK', 1, { via: viaOf('WS', 'alice.invalid'), route: [...routes].reverse() });
    expect(requestOf(proxy.receive(ack, alice, WS), 'ACK')).toMatchObject({
      socket: WSS,
      connection: BROWSER.connection,
    });
    const uri = 'sip:alice@alice.invalid;transport=ws;ob';
    const bye = within('BYE', 9, { uri, via: viaOf('WSS'), route: routes });
    const toAlice = requestOf(proxy.receive(bye, BROWSER, WSS), 'BYE');
    expect(toAlice).toMatchObject({ socket: WS, connection: alice.connection, onlyConnection: true });
    expect(fieldsOf(toAlice.text, 'Route')).toEqual([]);
    expect(brief(proxy.undeliver(toAlice))[0]).toMatch(/^430 /);
  });

  it('17.2.1, 17.1.2: nothing is sent again by WebSocket', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, FLOW, OUTBOUND);
    const from = { ...BROWSER, connection: 0x5002 };
    requestOf(proxy.receive(request({ via: viaOf('WS', 'alice.invalid') }), from, WS), 'INVITE');
    expect(proxy.advance(31_000)).toEqual([]);
    expect(brief(proxy.advance(2_000)).some((line) => line.startsWith('408'))).toBe(true);
  });
});

describe('RFC 7118 9.2, RFC 5630: sips', () => {
  const SIPS = `<sips:bob@${HOST};transport=ws>`;
  const to = '<sips:bob@biloxi.example>';
  const uri = 'sips:biloxi.example';
  const callSips = (proxy: VirtualElement) =>
    proxy.receive(request({ uri: 'sips:bob@biloxi.example', via: viaOf('UDP', '192.0.2.10') }), ALICE, UDP);

  it('a sips contact that came by WSS is called by it', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, SIPS, { to, uri }, BY_WS[1]);
    const sent = requestOf(callSips(proxy), 'INVITE');
    expect(sent).toMatchObject({ socket: WSS, connection: BROWSER.connection });
    expect(fieldsOf(sent.text, 'Record-Route')[0]).toMatch(/^<sips:flow[0-9a-f]+@192\.0\.2\.254:443;transport=ws;lr>$/);
  });

  it.each([
    ['', SIPS],
    [' with Outbound', `${SIPS};reg-id=1;+sip.instance=${ONE}`],
  ])('one that came by WS%s is not', (_, contact) => {
    const proxy = openProxy(HOME);
    signUp(proxy, contact, { ...OUTBOUND, to, uri }, BY_WS[0]);
    expect(brief(callSips(proxy))).toEqual(['100 to Alice', '500 to Alice']);
  });

  it('a sip contact is not called by who asks for sips', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, FLOW, { ...OUTBOUND, to }, BY_WS[1]);
    responseOf(callSips(proxy), 480);
  });

  it('is a scheme that is known where there is WSS alone', () => {
    const proxy = openProxy({ ...HOME, listen: ['192.0.2.254:5060', 'wss:192.0.2.254:443'] });
    responseOf(proxy.receive(request({ uri: 'sips:bob@biloxi.example' }), ALICE, UDP), 480);
    const without = openProxy({ ...HOME, listen: ['192.0.2.254:5060', 'ws:192.0.2.254:80'] });
    responseOf(without.receive(request({ uri: 'sips:bob@biloxi.example' }), ALICE, UDP), 416);
  });
});

describe('who comes by a WebSocket', () => {
  const calls = { uri: 'sip:carol@198.51.100.9' };

  it.each(BY_WS)('is not trusted for his address: any page may open one from there ($name)', ({ name, socket }) => {
    const proxy = openProxy({ ...HOME, trusted: ['0.0.0.0/0'] });
    responseOf(proxy.receive(request({ ...calls, via: viaOf(name) }), BROWSER, socket), 403);
    requestOf(proxy.receive(request({ ...calls, via: viaOf('UDP', '192.0.2.99') }), BROWSER, UDP), 'INVITE');
  });

  it('nor exempt from being asked for credentials', () => {
    const settings = { ...LISTEN.settings, auth: { exempt: ['0.0.0.0/0'] } };
    const users = [{ user: 'alice', password: 'wonderland' }];
    const domains = [{ name: 'biloxi.example', authenticate: ['INVITE'], users }];
    const proxy = openProxy({ ...HOME, domains, settings });
    const from = 'Alice <sip:alice@biloxi.example>;tag=9fxced76sl';
    responseOf(proxy.receive(request({ from, via: viaOf('WS') }), BROWSER, WS), 407);
    // Nobody is asked by UDP: this user is not known.
    responseOf(proxy.receive(request({ from }), ALICE, UDP), 404);
  });
});
