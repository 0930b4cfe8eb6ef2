/** Path (RFC 3327) and Service-Route (RFC 3608) at the registrar and at the home proxy. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, uriOf, valuesOf } from '../messages.ts';
import { brief, CAROL, Call, DAVE, openProxy, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, BOB, createElement } from '../virtual-network.ts';
import { MODES, registrarOf, signUp } from './register.ts';

const CONTACT = 'sip:bob@10.1.1.1';
const P1 = `<sip:${CAROL.address}:${CAROL.port};lr>`;
const P2 = '<sip:token@p2.example;lr;x=1>';
const SUPPORTED = 'Supported: timer, path';
const HOME = { domains: ['biloxi.example'], nextHops: [] };

describe.each(MODES)('RFC 3327 5.3, the registrar in mode %s', (mode) => {
  const open = (options: Parameters<typeof registrarOf>[0] = {}) => registrarOf({ mode, ...options });

  it('copies Path into the 200, values in their order', () => {
    const headers = [`Path: ${P1},${P2}`, 'Path: <sip:p3.example;lr>', SUPPORTED];
    const answer = open().register({ contacts: [`<${CONTACT}>`], headers });
    expect(answer.status).toBe(200);
    expect(answer.headers('Path').join()).toBe(`${P1},${P2},<sip:p3.example;lr>`);
  });

  it('says 420 to a Path of a client that does not know it, and changes nothing', () => {
    for (const supported of [[], ['Supported: timer'], ['Supported:'], ['Supported: pathological']]) {
      const registrar = open();
      const answer = registrar.register({ contacts: [`<${CONTACT}>`], headers: [`Path: ${P1}`, ...supported] });
      expect([answer.status, answer.header('Unsupported')]).toEqual([420, 'path']);
      expect(registrar.bindings()).toEqual([]);
    }
  });

  it.each(['Supported: path', 'k: path', 'Supported:timer,PATH , outbound', 'Supported: timer\r\nSupported: path'])(
    'finds it in %j',
    (supported) => {
      expect(open().register({ contacts: [`<${CONTACT}>`], headers: [`Path: ${P1}`, supported] }).status).toBe(200);
    },
  );

  it('takes a Path of a client that requires it for one that knows it', () => {
    const headers = [`Path: ${P1}`, 'Require: path'];
    expect(open().register({ contacts: [`<${CONTACT}>`], headers }).status).toBe(200);
  });

  it.each(['\r', '<no-uri>', '<sip:p1.example;lr', '', ', <sip:p1.example;lr>', '<sip:p1.example;lr>, <sip:>'])(
    'takes no Path that is none: %j',
    (path) => {
      const registrar = open();
      const answer = registrar.register({ contacts: [`<${CONTACT}>`], headers: [`Path: ${path}`, SUPPORTED] });
      // Necessary for what it asks for, so not to be ignored (3261 8.2.2).
      expect(answer.status).toBe(400);
      expect(registrar.bindings()).toEqual([]);
    },
  );

  it('does not say in the answer to a query what is no Path', () => {
    const answer = open().register({ headers: ['Path: \r', SUPPORTED] });
    expect(answer.sent.text).not.toMatch(/\r(?!\n)/);
  });

  it('is not asked for Path by a client that has none', () => {
    const answer = open().register({ contacts: [`<${CONTACT}>`], headers: [SUPPORTED] });
    expect([answer.status, answer.headers('Path')]).toEqual([200, []]);
  });
});

describe.each(MODES)('RFC 3327 5.4, the home proxy in mode %s', (mode) => {
  const invite = (headers: readonly string[], parts: Parameters<typeof request>[0] = {}) => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, [`<${CONTACT}>`], { headers: [...headers, SUPPORTED] });
    return requestOf(proxy.receive(request(parts), ALICE), 'INVITE');
  };

  it('has the Path for a Route, in order, and sends by the first of it', () => {
    const sent = invite([`Path: ${P1}, ${P2}`, 'Path: <sip:p3.example;lr>']);
    expect(uriOf(sent.text)).toBe(CONTACT);
    expect(valuesOf(sent.text, 'Route')).toEqual([P1, P2, '<sip:p3.example;lr>']);
    expect(sent.to).toEqual(CAROL);
  });

  it('looks for the name of the first', () => {
    const sent = invite(['Path: "Edge, 1" <sip:edge.chicago.example;lr>']);
    expect(sent.to).toEqual({ address: '198.51.100.10', port: 5060 });
  });

  it('puts it before nothing else where the Route that came was our own', () => {
    const sent = invite([`Path: ${P1}`], { route: ['<sip:192.0.2.254;lr>'] });
    expect(valuesOf(sent.text, 'Route')).toEqual([P1]);
  });

  it('takes the Path of the last REGISTER', () => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, [`<${CONTACT}>`], { cseq: 1, headers: [`Path: ${P1}`, SUPPORTED] });
    signUp(proxy, ['<sip:bob@192.0.2.30:5080>'], { cseq: 2, headers: [SUPPORTED] });
    signUp(proxy, [`<${CONTACT}>;q=0.1`], {
      cseq: 3,
      headers: [`Path: <sip:${DAVE.address}:${DAVE.port};lr>`, SUPPORTED],
    });
    // The one without Path is reached without.
    const sent = requestOf(proxy.receive(request(), ALICE), 'INVITE');
    expect([sent.to, fieldsOf(sent.text, 'Route')]).toEqual([BOB, []]);
  });
});

describe('RFC 3327, a call in stateful mode', () => {
  it('retransmissions, CANCEL and ACK of it go by the Path, too', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, [`<${CONTACT}>`], { headers: [`Path: ${P1}, ${P2}`, SUPPORTED] });
    const call = new Call({ proxy });
    const first = call.reached(CAROL);
    const [again] = call.advance(600);
    expect(again!.text).toBe(first.text);
    call.reply(CAROL, '180 Ringing');
    call.cancel();
    const cancel = call.reached(CAROL, 'CANCEL');
    call.reply(CAROL, '200 OK', 'CANCEL');
    const final = responseOf(call.reply(CAROL, '487 Request Terminated', 'INVITE'), 487);
    const ack = call.reached(CAROL, 'ACK');
    for (const { text } of [first, cancel, ack]) {
      expect(uriOf(text)).toBe(CONTACT);
      expect(valuesOf(text, 'Route')).toEqual([P1, P2]);
    }
    call.acknowledge(final);
  });

  it('in a fork, each branch goes by its own', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, [`<${CONTACT}>`], { headers: [`Path: ${P1}`, SUPPORTED] });
    signUp(proxy, ['<sip:bob@10.1.1.2>'], {
      callId: 'second',
      headers: [`Path: <sip:${DAVE.address}:${DAVE.port};lr>`, SUPPORTED],
    });
    signUp(proxy, ['<sip:bob@192.0.2.30:5080>'], { callId: 'third' });
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob', 'INVITE to Carol', 'INVITE to Dave']);
    expect(uriOf(call.reached(CAROL).text)).toBe(CONTACT);
    expect(uriOf(call.reached(DAVE).text)).toBe('sip:bob@10.1.1.2');
    expect(fieldsOf(call.reached(BOB).text, 'Route')).toEqual([]);
    for (const ua of [BOB, CAROL]) call.reply(ua, '180 Ringing');
    call.reply(DAVE, '200 OK');
    for (const ua of [BOB, CAROL]) {
      call.reply(ua, '200 OK', 'CANCEL');
      call.reply(ua, '487 Request Terminated', 'INVITE');
    }
  });

  it('another address of the first Path name takes over (RFC 3263 4.3)', () => {
    const proxy = openProxy({ ...HOME, hosts: { 'edge.example': [CAROL.address, DAVE.address] } });
    signUp(proxy, [`<${CONTACT}>`], { headers: ['Path: <sip:edge.example:5080;lr>', SUPPORTED] });
    const call = new Call({ proxy });
    const first = requestOf(call.first, 'INVITE').to;
    const next = requestOf(call.reply(first, '503 Service Unavailable'), 'INVITE', undefined);
    expect([first.address, next.to.address].sort()).toEqual([CAROL.address, DAVE.address]);
    expect([uriOf(next.text), valuesOf(next.text, 'Route')]).toEqual([CONTACT, ['<sip:edge.example:5080;lr>']]);
    call.reply(next.to, '200 OK');
  });
});

describe.each(MODES)('RFC 3608 6.3 in mode %s', (mode) => {
  const routes = ['sip:p2.example.org;lr', 'sip:hsp.example.org;lr'];
  const open = () => registrarOf({ mode, settings: { registrar: { serviceRoutes: routes } } });
  const ours = routes.map((uri) => `<${uri}>`);
  const said = (answer: { headers(name: string): readonly string[] }) =>
    answer.headers('Service-Route').flatMap((value) => value.split(/\s*,\s*/));

  it('the 200 has the Service-Route, in order, for a refresh and for a query', () => {
    const registrar = open();
    expect(said(registrar.register({ contacts: [`<${CONTACT}>`] }))).toEqual(ours);
    expect(said(registrar.register({ cseq: 2, contacts: [`<${CONTACT}>`] }))).toEqual(ours);
    expect(said(registrar.register({ callId: 'query' }))).toEqual(ours);
  });

  it('other answers have none', () => {
    const registrar = open();
    expect(said(registrar.register({ contacts: ['*'] }))).toEqual([]);
    expect(said(registrar.register({ contacts: [`<${CONTACT}>`], expires: 1 }))).toEqual([]);
  });

  it('there is none unless it is configured', () => {
    expect(said(registrarOf({ mode }).register({ contacts: [`<${CONTACT}>`] }))).toEqual([]);
  });
});
