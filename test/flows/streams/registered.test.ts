/** RFC 3261 10.3, RFC 5626 6 and 7, RFC 7118 over connections: a user who registered by one is reached by it as long as it is
 *  there. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, replyTo, request, uriOf, valuesOf } from '../messages.ts';
import { type Answer, answerOf, MODES, type RegisterFields, register } from '../registrar/register.ts';
import { brief, openProxy, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, createElement, type Endpoint, type VirtualElement } from '../virtual-network.ts';
import { BOTH, TCP, UDP } from './by-stream.ts';

const HOME = { ...BOTH, domains: ['biloxi.example'], nextHops: [] };
const ONE = '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"';
/** Bob's phone behind a NAT, by TCP. */
const PHONE: Endpoint = { address: '203.0.113.5', port: 40_001, connection: 0x5001 };
const OUTBOUND = { headers: ['Supported: path, outbound'] };

let branches = 0;

function signUp(proxy: VirtualElement, contact: string, fields: RegisterFields = {}, from: Endpoint = PHONE): Answer {
  const via = fields.via ?? `10.0.0.5;branch=z9hG4bKr${++branches}`;
  const text = register({ user: 'bob', domain: 'biloxi.example', contacts: [contact], ...fields, via });
  const answer = answerOf(proxy.receive(text.replace('SIP/2.0/UDP', 'SIP/2.0/TCP'), from, TCP));
  expect(answer.status).toBe(200);
  return answer;
}

const flow = (uri: string, regId: number) => `<${uri}>;+sip.instance=${ONE};reg-id=${regId}`;
const open = (mode: 'stateful' | 'stateless', options = {}) =>
  mode === 'stateful' ? openProxy({ ...HOME, ...options }) : createElement({ ...HOME, ...options, mode });
const call = (proxy: VirtualElement) => requestOf(proxy.receive(request(), ALICE, UDP), 'INVITE');

describe.each(MODES)('in mode %s', (mode) => {
  it('a REGISTER is answered by its connection', () => {
    const { sent } = signUp(open(mode), '<sip:bob@10.0.0.5>');
    expect(sent).toMatchObject({
      socket: TCP,
      connection: PHONE.connection,
      to: { address: PHONE.address, port: 5060 },
    });
  });

  it('the same CSeq by another transaction is out of order: none is left that it could be merged with (8.2.2.2, Timer J)', () => {
    const proxy = open(mode);
    const contact = '<sip:bob@10.0.0.5>';
    signUp(proxy, contact, { cseq: 3 });
    const via = `10.0.0.5;branch=z9hG4bKr${++branches}`;
    const again = register({ user: 'bob', domain: 'biloxi.example', contacts: [contact], cseq: 3, via });
    expect(answerOf(proxy.receive(again.replace('SIP/2.0/UDP', 'SIP/2.0/TCP'), PHONE, TCP)).status).toBe(500);
  });

  it('the contact that is himself is reached by his connection, or else by a new one to the contact', () => {
    const proxy = open(mode);
    signUp(proxy, '<sip:bob@10.0.0.5:5070;transport=tcp>');
    const sent = call(proxy);
    expect(sent).toMatchObject({ socket: TCP, connection: PHONE.connection, onlyConnection: false });
    expect([sent.to, uriOf(sent.text)]).toEqual([
      { address: '10.0.0.5', port: 5070 },
      'sip:bob@10.0.0.5:5070;transport=tcp',
    ]);
    expect(valuesOf(sent.text, 'Via')[0]).toMatch(/^SIP\/2\.0\/TCP /);
  });

  it('a contact without a transport would be UDP: it is reached by the connection alone at first', () => {
    const proxy = open(mode);
    signUp(proxy, '<sip:bob@10.0.0.5>');
    expect(call(proxy)).toMatchObject({
      socket: TCP,
      connection: PHONE.connection,
      onlyConnection: true,
      to: { address: PHONE.address, port: PHONE.port },
    });
  });

  it.each(['sip:bob@192.0.2.31:5080', 'sip:bob@192.0.2.31:5080;transport=tcp', 'sip:bob@10.0.0.5:5060;transport=udp'])(
    'a contact that is somewhere else, %s, is taken at its word',
    (uri) => {
      const proxy = open(mode);
      signUp(proxy, `<${uri}>`);
      const sent = call(proxy);
      expect([sent.socket, sent.connection ?? 0]).toEqual([uri.endsWith('tcp') ? TCP : UDP, 0]);
    },
  );

  describe('without a NAT, a contact', () => {
    const NEAR: Endpoint = { address: '10.0.0.5', port: 40_003, connection: 0x5003 };

    it.each([
      'sip:bob@10.0.0.5',
      'sip:bob@10.0.0.5:5060;transport=tcp',
      'sip:bob@10.0.0.5:40003;transport=TCP',
      'sip:bob@10.0.0.5:40003',
    ])('where his Via or his connection is, %s, is reached by his connection', (uri) => {
      const proxy = open(mode);
      signUp(proxy, `<${uri}>`, {}, NEAR);
      expect(call(proxy)).toMatchObject({ socket: TCP, connection: NEAR.connection });
    });

    it.each([
      ['sip:bob@10.0.0.5:5080', UDP],
      ['sip:bob@10.0.0.5:5080;transport=tcp', TCP],
    ])('at another port of his, %s, is taken at its word (RFC 3261 16.5)', (uri, socket) => {
      const proxy = open(mode);
      signUp(proxy, `<${uri}>`, {}, NEAR);
      const sent = call(proxy);
      expect([sent.socket, sent.connection ?? 0, sent.to]).toEqual([socket, 0, { address: '10.0.0.5', port: 5080 }]);
    });
  });

  it('a new connection takes the place of the old one with the next REGISTER', () => {
    const proxy = open(mode);
    signUp(proxy, '<sip:bob@10.0.0.5>', { cseq: 1 });
    signUp(proxy, '<sip:bob@10.0.0.5>', { cseq: 2 }, { ...PHONE, port: 40_002, connection: 0x5002 });
    expect(call(proxy)).toMatchObject({ connection: 0x5002, to: { port: 40_002 } });
  });

  it('RFC 7118: a name under .invalid is reached by the connection alone', () => {
    const proxy = open(mode);
    const via = 'df7jal23ls0d.invalid;branch=z9hG4bKinvalid';
    signUp(proxy, '<sip:bob@df7jal23ls0d.invalid;transport=tcp>', { via });
    expect(call(proxy)).toMatchObject({ connection: PHONE.connection, onlyConnection: true });
  });

  it('a REGISTER that came through another element says nothing of a connection of the user', () => {
    const proxy = open(mode);
    const via = '192.0.2.77;branch=z9hG4bKedge, SIP/2.0/TCP 10.0.0.5;branch=z9hG4bKphone';
    signUp(proxy, '<sip:bob@10.0.0.5:5060;transport=tcp>', { via });
    expect(call(proxy)).toMatchObject({ socket: TCP, connection: 0, to: { address: '10.0.0.5', port: 5060 } });
  });

  it('RFC 5626 7: a flow is reached by its connection or not at all', () => {
    const proxy = open(mode);
    signUp(proxy, flow('sip:bob@10.0.0.5:5060;transport=tcp;ob', 1), OUTBOUND);
    expect(call(proxy)).toMatchObject({
      socket: TCP,
      connection: PHONE.connection,
      onlyConnection: true,
      to: { address: PHONE.address, port: PHONE.port },
    });
  });
});

describe('when the connection is no more', () => {
  it('of a client without Outbound: his contact, by the transport that it names', () => {
    const proxy = open('stateful');
    signUp(proxy, '<sip:bob@10.0.0.5>');
    const first = call(proxy);
    const second = requestOf(proxy.undeliver(first), 'INVITE');
    expect([second.socket, second.to]).toEqual([UDP, { address: '10.0.0.5', port: 5060 }]);
    expect(brief(proxy.receive(replyTo(second.text, '180 Ringing'), { address: '10.0.0.5', port: 5060 }, UDP))).toEqual(
      ['180 to Alice'],
    );
  });

  it('of a client without Outbound whose contact cannot be reached either: 500, and he stays registered', () => {
    const proxy = open('stateful');
    signUp(proxy, '<sip:bob@10.0.0.5;transport=tcp>');
    const sent = call(proxy);
    expect(brief(proxy.undeliver(sent))).toEqual(['500 to Alice']);
    const via = 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKagain';
    requestOf(proxy.receive(request({ via }), ALICE, UDP), 'INVITE');
  });

  it('of a client under .invalid: 480', () => {
    const proxy = open('stateful');
    signUp(proxy, '<sip:bob@x.invalid;transport=tcp>', { via: 'x.invalid;branch=z9hG4bKinv2' });
    expect(brief(proxy.undeliver(call(proxy)))).toEqual(['480 to Alice']);
  });

  it('RFC 5626 7, of a flow: 480, and its binding is no more', () => {
    const proxy = open('stateful');
    signUp(proxy, flow('sip:bob@10.0.0.5;transport=tcp', 1), OUTBOUND);
    expect(brief(proxy.undeliver(call(proxy)))).toEqual(['480 to Alice']);
    const via = 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKagain';
    responseOf(proxy.receive(request({ via }), ALICE, UDP), 480);
  });

  it('RFC 5626 7, of a flow: another flow of the same instance', () => {
    const proxy = open('stateful');
    signUp(proxy, flow('sip:bob@10.0.0.5;transport=tcp', 1), { ...OUTBOUND, callId: 'one' });
    proxy.advance(1000);
    signUp(
      proxy,
      flow('sip:bob@10.0.0.5;transport=tcp', 2),
      { ...OUTBOUND, callId: 'two' },
      { ...PHONE, connection: 0x5002 },
    );
    const first = call(proxy);
    expect(first.connection).toBe(0x5002);
    const second = requestOf(proxy.undeliver(first), 'INVITE');
    expect([second.connection, second.onlyConnection]).toEqual([PHONE.connection, true]);
  });

  it('a flow that was given a new connection meanwhile keeps its binding', () => {
    const proxy = open('stateful');
    signUp(proxy, flow('sip:bob@10.0.0.5;transport=tcp', 1), { ...OUTBOUND, cseq: 1 });
    const first = call(proxy);
    signUp(
      proxy,
      flow('sip:bob@10.0.0.5;transport=tcp', 1),
      { ...OUTBOUND, cseq: 2 },
      { ...PHONE, connection: 0x5003 },
    );
    proxy.undeliver(first);
    const via = 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKagain';
    expect(requestOf(proxy.receive(request({ via }), ALICE, UDP), 'INVITE').connection).toBe(0x5003);
  });
});

describe('a call to a registered user by his connection', () => {
  it('CANCEL and the ACK of a refusal go by it, too', () => {
    const proxy = open('stateful');
    signUp(proxy, flow('sip:bob@10.0.0.5;transport=tcp', 1), OUTBOUND);
    const invite = call(proxy);
    proxy.receive(replyTo(invite.text, '180 Ringing'), PHONE, TCP);
    const cancel = requestOf(proxy.receive(request({ method: 'CANCEL' }), ALICE, UDP), 'CANCEL');
    expect(cancel).toMatchObject({ socket: TCP, connection: PHONE.connection });
    const ack = requestOf(proxy.receive(replyTo(invite.text, '487 Request Terminated'), PHONE, TCP), 'ACK');
    expect(ack).toMatchObject({ socket: TCP, connection: PHONE.connection });
    expect(fieldsOf(ack.text, 'Via')).toEqual(fieldsOf(cancel.text, 'Via'));
  });
});
