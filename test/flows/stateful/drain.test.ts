/** A server that drains: what begins something new is turned away or passed on to the peer, what runs goes on to its end. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, startLineOf, statusOf, valuesOf } from '../messages.ts';
import { ALICE, BOB, type ElementOptions, type Endpoint, STRANGER } from '../virtual-network.ts';
import { brief, Call, openProxy, requestOf, responseOf } from './call.ts';

const PEER: Endpoint = { address: '192.0.2.99', port: 5070 };
const OUR_ROUTE = '<sip:192.0.2.254:5060;lr>';

const drained = (options: ElementOptions = {}) => {
  const proxy = openProxy(options);
  proxy.setDraining(true);
  return proxy;
};
const withPeer = (options: ElementOptions = {}) =>
  drained({ ...options, settings: { drain: { peer: 'sip:192.0.2.99:5070' }, ...options.settings } });

const nth = (method: string, parts = {}) =>
  request({ method, via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${method}`, callId: method, ...parts });

describe('what begins something new', () => {
  it.each(['INVITE', 'OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'PUBLISH', 'REGISTER'])('%s gets 503', (method) => {
    const proxy = drained();
    const [refusal, ...others] = proxy.receive(nth(method), ALICE);
    expect(others).toEqual([]);
    expect(statusOf(refusal!.text)).toBe(503);
    expect(Number(fieldsOf(refusal!.text, 'Retry-After')[0])).toBeGreaterThan(0);
    expect(proxy.counters()).toMatchObject({ drain_rejected_total: 1 });
    expect(proxy.pending()).toBe(0);
  });

  it('an OPTIONS to ourselves gets 503: who probes by it goes elsewhere', () => {
    expect(brief(drained().receive(nth('OPTIONS', { uri: 'sip:192.0.2.254' }), ALICE))).toEqual(['503 to Alice']);
  });

  it('the ACK to a 503 ends here', () => {
    const proxy = drained();
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['503 to Alice']);
    expect(call.acknowledge(call.first[0]!)).toEqual([]);
  });

  it('is taken again once the drain was called off', () => {
    const proxy = drained();
    proxy.setDraining(false);
    expect(brief(new Call({ proxy }).first)).toEqual(['100 to Alice', 'INVITE to Bob']);
  });
});

describe('what runs', () => {
  it('rings, is absorbed when it comes again, and is taken', () => {
    const call = new Call();
    call.proxy.setDraining(true);
    expect(call.proxy.pending()).toBe(2);
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    expect(call.proxy.pending()).toBe(0);
    expect(call.proxy.occupancy().serverTransactions).toBe(1);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('can be cancelled, and is pending until its ACK', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.proxy.setDraining(true);
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    expect(call.proxy.pending()).toBe(3);
    call.reply(BOB, '200 OK', 'CANCEL');
    const sent = call.reply(BOB, '487 Request Terminated');
    expect(brief(sent)).toEqual(['487 to Alice', 'ACK to Bob']);
    expect(call.proxy.pending()).toBe(1);
    call.acknowledge(responseOf(sent, 487));
    expect(call.proxy.pending()).toBe(0);
  });

  it.each(['BYE', 'INVITE', 'UPDATE', 'PRACK', 'NOTIFY', 'ACK'])('%s within a dialog goes through', (method) => {
    const within = { to: '<sip:bob@biloxi.example>;tag=1', uri: 'sip:bob@192.0.2.30:5080', route: [OUR_ROUTE] };
    const sent = drained().receive(nth(method, within), ALICE);
    expect(requestOf(sent, method).to).toEqual(BOB);
  });
});

describe('with a peer', () => {
  it('an INVITE goes there, by a Route and without a Record-Route of ours', () => {
    const call = new Call({ proxy: withPeer() });
    const there = requestOf(call.first, 'INVITE');
    expect(there.to).toEqual(PEER);
    expect(startLineOf(there.text)).toBe('INVITE sip:bob@biloxi.example SIP/2.0');
    expect(valuesOf(there.text, 'Route')).toEqual(['<sip:192.0.2.99:5070;lr>']);
    expect(fieldsOf(there.text, 'Record-Route')).toEqual([]);
    expect(brief(call.reply(PEER, '200 OK'))).toEqual(['200 to Alice']);
    expect(call.proxy.counters()).toMatchObject({ drain_passed_on_total: 1 });
  });

  it('its 430 is passed on: it is for who has other flows to try (RFC 5626 11.5)', () => {
    const call = new Call({ proxy: withPeer() });
    const sent = call.reply(PEER, '430 Flow Failed');
    call.acknowledge(responseOf(sent, 430));
  });

  it('what is sent again is the same', () => {
    const call = new Call({ proxy: withPeer() });
    const again = requestOf(call.advance(600), 'INVITE');
    expect(again.text).toBe(requestOf(call.first, 'INVITE').text);
  });

  it('a REGISTER of a domain whose registrar is here goes there', () => {
    const proxy = withPeer({ domains: [{ name: 'biloxi.example' }], nextHops: [] });
    const sent = proxy.receive(nth('REGISTER', { uri: 'sip:biloxi.example' }), ALICE);
    expect(requestOf(sent, 'REGISTER').to).toEqual(PEER);
  });

  it('that cannot be reached: the caller gets the 500 of 16.9', () => {
    const call = new Call({ proxy: withPeer({ refuse: ({ to }) => (to.address === PEER.address ? 111 : 0) }) });
    expect(brief(call.sent)).toContain('500 to Alice');
  });

  it('by a name waits for the look-up', async () => {
    const settings = { drain: { peer: 'sip:peer.example:5070' } };
    const proxy = drained({ settings, hosts: { 'peer.example': [PEER.address] }, slowHosts: ['peer.example'] });
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['100 to Alice']);
    expect(requestOf(await call.settleLookUps(), 'INVITE').to).toEqual(PEER);
  });

  it('nobody gets through who would not otherwise', () => {
    const foreign = { uri: 'sip:bob@198.51.100.9:5070' };
    expect(statusOf(withPeer().receive(nth('INVITE', foreign), STRANGER)[0]!.text)).toBe(403);
    expect(brief(withPeer().receive(nth('INVITE', { uri: 'tel:+1900555' }), STRANGER))).toEqual([
      `403 to ${STRANGER.address}:5060`,
    ]);
  });

  it('a user of ours is asked for his password here', () => {
    const domain = { name: 'biloxi.example', users: ['alice'], authenticate: ['INVITE'] };
    const proxy = withPeer({ settings: { domains: [domain], trusted: [] } });
    expect(brief(proxy.receive(nth('INVITE', { from: '<sip:alice@biloxi.example>;tag=1' }), ALICE))).toEqual([
      '407 to Alice',
    ]);
  });

  it('an OPTIONS to ourselves gets 503 all the same', () => {
    expect(brief(withPeer().receive(nth('OPTIONS', { uri: 'sip:biloxi.example' }), ALICE))).toEqual(['503 to Alice']);
  });
});

describe('in stateless mode', () => {
  const stateless = (options: ElementOptions = {}) => drained({ mode: 'stateless', ...options });

  it('what is forwarded goes on: nobody can tell what is sent again from what is new', () => {
    expect(requestOf(stateless().receive(request(), ALICE), 'INVITE').to).toEqual(BOB);
  });

  it('what is answered here gets 503', () => {
    expect(brief(stateless().receive(nth('OPTIONS', { uri: 'sip:192.0.2.254' }), ALICE))).toEqual(['503 to Alice']);
    const registrar = stateless({ domains: [{ name: 'biloxi.example' }], nextHops: [] });
    expect(brief(registrar.receive(nth('REGISTER', { uri: 'sip:biloxi.example' }), ALICE))).toEqual(['503 to Alice']);
  });
});
