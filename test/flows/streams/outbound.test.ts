/** RFC 5626 5, an edge proxy: flow tokens in Path and Record-Route, and what becomes of requests that carry them. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, replyTo, request, uriOf } from '../messages.ts';
import { register } from '../registrar/register.ts';
import { brief, openProxy, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, CHICAGO, createElement, type Endpoint, STRANGER, type VirtualElement } from '../virtual-network.ts';
import { BOTH, TCP, UDP } from './by-stream.ts';

const ONE = '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"';
/** Bob's phone behind a NAT. */
const PHONE: Endpoint = { address: '192.0.2.99', port: 40_001, connection: 0x5001 };
const TOKEN = /^flow[0-9a-f]{56}$/;
const CAROL = 'sip:carol@198.51.100.9';

const open = (options = {}) => openProxy({ ...BOTH, ...options });
const userOf = (value: string) => /<sips?:([^@>]*)@/.exec(value)?.[1] ?? '';
const withRoutes = (text: string, from: string) =>
  text.replace(
    '\r\n\r\n',
    `${fieldsOf(from, 'Record-Route')
      .map((r) => `\r\nRecord-Route: ${r}`)
      .join('')}\r\n\r\n`,
  );

/** The Path that an edge proxy gives a REGISTER for a registrar elsewhere; null: none. */
function pathOf(
  proxy: VirtualElement,
  contact: string,
  by: 'UDP' | 'TCP' = 'TCP',
  via = '10.0.0.5;branch=z9hG4bKp',
): string[] {
  const uri = 'sip:chicago.example';
  const text = register({
    uri,
    domain: 'chicago.example',
    contacts: [contact],
    via,
    headers: ['Supported: path, outbound'],
  });
  const sent = proxy.receive(text.replace('/UDP', `/${by}`), PHONE, by === 'TCP' ? TCP : UDP);
  return fieldsOf(requestOf(sent, 'REGISTER').text, 'Path');
}

const WITH_FLOW = `<sip:bob@10.0.0.5;ob>;+sip.instance=${ONE};reg-id=1`;

describe('5.1, REGISTER', () => {
  it.each(['TCP', 'UDP'] as const)(
    'with a reg-id, by %s from the client itself, gets a Path with token and ob',
    (by) => {
      const [path] = pathOf(open(), WITH_FLOW, by) as [string];
      expect(userOf(path)).toMatch(TOKEN);
      expect(path).toMatch(/^<sip:flow[0-9a-f]+@192\.0\.2\.254:5060;lr;ob>$/);
    },
  );

  it('gets none without a reg-id, nor through another element', () => {
    expect(pathOf(open(), '<sip:bob@10.0.0.5>')).toEqual([]);
    const via = '192.0.2.77;branch=z9hG4bKedge, SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKphone';
    expect(pathOf(open(), WITH_FLOW, 'TCP', via)).toEqual([]);
  });

  it('is the same in stateless mode', () => {
    expect(userOf(pathOf(createElement({ ...BOTH, mode: 'stateless' }), WITH_FLOW)[0]!)).toMatch(TOKEN);
  });
});

describe('5.3.1, a request whose Route has the token', () => {
  const incoming = (route: string, parts: Parameters<typeof request>[0] = {}) =>
    request({ uri: 'sip:bob@10.0.0.5;ob', route: [route], via: 'SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKin', ...parts });

  it.each(['TCP', 'UDP'] as const)('goes by that flow, %s, from whoever has the token', (by) => {
    const proxy = open();
    const [path] = pathOf(proxy, WITH_FLOW, by) as [string];
    const sent = requestOf(proxy.receive(incoming(path), STRANGER, UDP), 'INVITE');
    expect([sent.socket, sent.to]).toEqual([by === 'TCP' ? TCP : UDP, { address: PHONE.address, port: PHONE.port }]);
    if (by === 'TCP') expect([sent.connection, sent.onlyConnection]).toEqual([PHONE.connection, true]);
    expect([fieldsOf(sent.text, 'Route'), uriOf(sent.text)]).toEqual([[], 'sip:bob@10.0.0.5;ob']);
  });

  it('gets a Record-Route with the token, so that the dialog goes by the flow', () => {
    const proxy = open();
    const [path] = pathOf(proxy, WITH_FLOW) as [string];
    const sent = requestOf(proxy.receive(incoming(path), CHICAGO, UDP), 'INVITE');
    const [callee, caller] = fieldsOf(sent.text, 'Record-Route') as [string, string];
    expect(callee).toBe(`<sip:${userOf(path)}@192.0.2.254:5060;transport=tcp;lr>`);
    expect(caller).toBe('<sip:192.0.2.254:5060;lr>');
    // So does a re-INVITE along that route.
    const within = { route: [caller, callee], to: '<sip:bob@chicago.example>;tag=9' };
    const again = incoming('', { ...within, via: 'SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKre' });
    const there = requestOf(proxy.receive(again, CHICAGO, UDP), 'INVITE');
    expect([there.connection, there.onlyConnection]).toEqual([PHONE.connection, true]);
    expect(fieldsOf(there.text, 'Record-Route')).toEqual([callee, caller]);
  });

  it.each([
    ['a digit changed', (token: string) => token.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'))],
    ['another port', (token: string) => token.replace(/^flow..../, 'flowffff')],
    ['cut short', (token: string) => token.slice(0, -8)],
    ['no digits', () => 'flowers'],
    ['nothing but the prefix', () => 'flow'],
  ])('is answered 403 if the token was tampered with: %s', (_, change) => {
    const proxy = open();
    const [path] = pathOf(proxy, WITH_FLOW) as [string];
    const forged = path.replace(userOf(path), change(userOf(path)));
    responseOf(proxy.receive(incoming(forged), CHICAGO, UDP), 403);
  });

  it('a user part that does not begin like a token is no token', () => {
    const proxy = open();
    const sent = proxy.receive(incoming('<sip:edge@192.0.2.254;lr>', { uri: CAROL }), ALICE, UDP);
    expect(requestOf(sent, 'INVITE').to).toEqual(CHICAGO);
  });

  it.each(['stateful', 'stateless'] as const)('is answered 430 if the flow is gone, in mode %s', (mode) => {
    const proxy = mode === 'stateful' ? open() : createElement({ ...BOTH, mode });
    const [path] = pathOf(proxy, WITH_FLOW) as [string];
    const sent = requestOf(proxy.receive(incoming(path), CHICAGO, UDP), 'INVITE');
    responseOf(proxy.undeliver(sent), 430);
  });

  it('CANCEL and retransmissions go the same way', () => {
    const proxy = open();
    const [path] = pathOf(proxy, WITH_FLOW, 'UDP') as [string];
    const invite = requestOf(proxy.receive(incoming(path), CHICAGO, UDP), 'INVITE');
    const again = requestOf(proxy.advance(500), 'INVITE');
    expect([again.to, again.text]).toEqual([invite.to, invite.text]);
    proxy.receive(replyTo(invite.text, '180 Ringing'), PHONE, UDP);
    const cancel = requestOf(proxy.receive(incoming(path, { method: 'CANCEL' }), CHICAGO, UDP), 'CANCEL');
    expect([cancel.to, cancel.socket]).toEqual([invite.to, UDP]);
  });
});

describe('5.3.2, a request from the client', () => {
  const via = 'SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKout';
  const outgoing = (contact: string, parts: Parameters<typeof request>[0] = {}) =>
    request({ uri: CAROL, via, headers: [`Contact: ${contact}`], ...parts });
  const recorded = (contact: string, from = PHONE, parts: Parameters<typeof request>[0] = {}) =>
    fieldsOf(requestOf(open().receive(outgoing(contact, parts), from, TCP), 'INVITE').text, 'Record-Route');

  it.each([
    ['ob', '<sip:bob@192.0.2.99:40001;transport=tcp;ob>', 'SIP/2.0/TCP 192.0.2.99:40001;branch=z9hG4bKx'],
    ['a NAT', '<sip:bob@10.0.0.5>', via],
    ['.invalid', '<sip:bob@x.invalid;transport=tcp>', 'SIP/2.0/TCP x.invalid;branch=z9hG4bKx'],
  ])('who is reached by his flow alone (%s) is named by it in his side’s Record-Route', (_, contact, top) => {
    const [callee, caller] = recorded(contact, PHONE, { via: top }) as [string, string];
    expect(callee).toBe('<sip:192.0.2.254:5060;lr>');
    expect(userOf(caller)).toMatch(TOKEN);
    expect(caller).toMatch(/@192\.0\.2\.254:5060;transport=tcp;lr>$/);
  });

  it.each([
    ['is where he says', '<sip:bob@192.0.2.99:40001;transport=tcp>', 'SIP/2.0/TCP 192.0.2.99:40001;branch=z9hG4bKx'],
    ['says that he is elsewhere', '<sip:bob@pbx.example>', via],
    ['came through others', '<sip:bob@10.0.0.5;ob>', `${via}, SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKy`],
  ])('who %s is not', (_, contact, top) => {
    expect(recorded(contact, PHONE, { via: top }).map(userOf)).toEqual(['', '']);
  });

  it('requests of the other side go by his flow, his own by the Request-URI', () => {
    const proxy = open();
    const invite = requestOf(proxy.receive(outgoing('<sip:bob@10.0.0.5;ob>'), PHONE, TCP), 'INVITE');
    proxy.receive(withRoutes(replyTo(invite.text), invite.text), CHICAGO, UDP);
    const routes = fieldsOf(invite.text, 'Record-Route');
    const to = 'Bob <sip:bob@biloxi.example>;tag=314159';
    const theirs = request({
      method: 'BYE',
      uri: 'sip:bob@10.0.0.5;ob',
      route: routes,
      to,
      via: 'SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKb1',
      cseq: '2 BYE',
    });
    expect(requestOf(proxy.receive(theirs, CHICAGO, UDP), 'BYE')).toMatchObject({
      socket: TCP,
      connection: PHONE.connection,
      onlyConnection: true,
    });
    const his = outgoing('<sip:bob@10.0.0.5;ob>', {
      method: 'BYE',
      route: [...routes].reverse(),
      to,
      via: `${via}2`,
      cseq: '3 BYE',
    });
    const sent = requestOf(proxy.receive(his, PHONE, TCP), 'BYE');
    expect([sent.socket, sent.to, fieldsOf(sent.text, 'Route')]).toEqual([UDP, CHICAGO, []]);
  });

  it('within a dialog, what finds no flow goes to where the contact says', () => {
    const proxy = open();
    const invite = requestOf(proxy.receive(outgoing('<sip:bob@10.0.0.5;ob>'), PHONE, TCP), 'INVITE');
    const to = 'Bob <sip:bob@biloxi.example>;tag=314159';
    const uri = 'sip:bob@192.0.2.99:5060';
    const bye = request({
      method: 'BYE',
      uri,
      route: fieldsOf(invite.text, 'Record-Route'),
      to,
      via: 'SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKb1',
      cseq: '2 BYE',
    });
    const first = requestOf(proxy.receive(bye, CHICAGO, UDP), 'BYE');
    const second = requestOf(proxy.undeliver(first), 'BYE');
    expect([second.socket, second.to]).toEqual([UDP, { address: '192.0.2.99', port: 5060 }]);
    // 5.3.1: the flow has failed, whatever else was tried.
    responseOf(proxy.undeliver(second), 430);
  });
});

describe('5.3, between two clients of one server', () => {
  it('each side of the dialog has its token, and both are taken off', () => {
    const proxy = open({ domains: ['biloxi.example'], nextHops: [] });
    const text = register({
      user: 'bob',
      domain: 'biloxi.example',
      contacts: [WITH_FLOW],
      via: '10.0.0.5;branch=z9hG4bKr',
      headers: ['Supported: path, outbound'],
    });
    responseOf(proxy.receive(text.replace('/UDP', '/TCP'), PHONE, TCP), 200);
    const alice: Endpoint = { address: '192.0.2.10', port: 41_000, connection: 0x6001 };
    const via = 'SIP/2.0/TCP 10.0.0.7;branch=z9hG4bKa';
    const invite = request({ via, headers: ['Contact: <sip:alice@10.0.0.7;ob>'] });
    const sent = requestOf(proxy.receive(invite, alice, TCP), 'INVITE');
    expect(sent.connection).toBe(PHONE.connection);
    const routes = fieldsOf(sent.text, 'Record-Route');
    expect(routes.map(userOf).every((user) => TOKEN.test(user))).toBe(true);
    expect(new Set(routes).size).toBe(2);
    const to = 'Bob <sip:bob@biloxi.example>;tag=314159';
    const bye = request({
      method: 'BYE',
      uri: 'sip:bob@10.0.0.5;ob',
      via: `${via}2`,
      route: [...routes].reverse(),
      to,
      cseq: '2 BYE',
    });
    const toBob = requestOf(proxy.receive(bye, alice, TCP), 'BYE');
    expect([toBob.connection, fieldsOf(toBob.text, 'Route')]).toEqual([PHONE.connection, []]);
    const back = request({
      method: 'INFO',
      uri: 'sip:alice@10.0.0.7;ob',
      via: 'SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKc',
      route: routes,
      to,
      cseq: '9 INFO',
    });
    expect(requestOf(proxy.receive(back, PHONE, TCP), 'INFO').connection).toBe(0x6001);
  });

  it('a forged token opens nothing: whoever guesses is answered 403', () => {
    const proxy = open();
    for (let i = 0; i < 50; i++) {
      const token = `flow${i.toString(16).padStart(8, '0').repeat(7)}`;
      const text = request({
        uri: CAROL,
        route: [`<sip:${token}@192.0.2.254;lr>`],
        via: `SIP/2.0/UDP 203.0.113.66;branch=z9hG4bK${i}`,
      });
      expect(brief(proxy.receive(text, STRANGER, UDP)).map((line) => line.slice(0, 3))).toEqual(['403']);
    }
  });
});
