/** Users of a domain (RFC 3261 16.5): who exists, where they are, and what callers get where they are not. */

import { describe, expect, it } from 'vitest';
import { request, statusOf, uriOf } from '../messages.ts';
import { ALICE, BOB } from '../virtual-network.ts';
import { brief, CAROL, Call, DAVE, openProxy, responseOf } from './call.ts';

const users = (...all: readonly unknown[]) => ({ domains: [{ name: 'biloxi.example', users: all }] });
const to = (user: string, method = 'INVITE') => ({ method, uri: `sip:${user}@biloxi.example` });

describe('16.5, users', () => {
  it.each([
    ['bob', true],
    ['Bob', false],
    ['%62ob', true],
    ['bob:secret', true],
    ['bobby', false],
    ['142', true],
    ['1421', false],
  ])('%s exists: %s', (user, exists) => {
    const call = new Call({ settings: users('bob', '/1\\d\\d/'), request: to(user) });
    expect(brief(call.first)).toEqual(exists ? ['100 to Alice', 'INVITE to Bob'] : ['404 to Alice']);
    if (!exists) call.acknowledge(responseOf(call.first, 404));
  });

  it('who exists but has no place gets his callers 480', () => {
    const call = new Call({ settings: users('bob'), element: { nextHops: [] }, request: to('bob') });
    expect(brief(call.first)).toEqual(['480 to Alice']);
    call.acknowledge(responseOf(call.first, 480));
  });

  it('with contacts is reached there, others at the next hop', () => {
    const settings = users({ user: 'carol', contacts: ['sip:c@192.0.2.31:5080'] }, 'bob');
    const call = new Call({ settings, request: to('carol') });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(uriOf(call.reached(CAROL).text)).toBe('sip:c@192.0.2.31:5080');
    call.reply(CAROL, '200 OK');
    const via = 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKother';
    expect(brief(call.fromAlice(request({ ...to('bob', 'OPTIONS'), via })))).toEqual(['OPTIONS to Bob']);
  });

  it('a Request-URI elsewhere has nothing to do with them', () => {
    const call = new Call({ settings: users('bob'), request: { uri: 'sip:eve@192.0.2.32:5080' } });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('a request within a dialog goes by its Route and its Request-URI, not to the contacts', () => {
    const settings = users({ user: 'bob', contacts: ['sip:b@192.0.2.31:5080', 'sip:b@192.0.2.32:5080'] });
    const proxy = openProxy({ settings });
    const bye = request({
      method: 'BYE',
      uri: 'sip:b@192.0.2.32:5080',
      route: ['<sip:192.0.2.254:5060;lr>'],
      to: '<sip:bob@biloxi.example>;tag=1',
    });
    expect(brief(proxy.receive(bye, ALICE))).toEqual(['BYE to Dave']);
  });

  it('a CANCEL of a user with contacts that matches nothing is answered, and forks nowhere', () => {
    const settings = users({ user: 'bob', contacts: ['sip:b@192.0.2.31:5080', 'sip:b@192.0.2.32:5080'] });
    const sent = openProxy({ settings }).receive(request({ method: 'CANCEL' }), ALICE);
    expect(sent.map(({ text }) => statusOf(text))).toEqual([481]);
  });

  it('a CANCEL to who has no place, or to us, finds no transaction (9.2)', () => {
    for (const uri of ['sip:bob@biloxi.example', 'sip:biloxi.example']) {
      const proxy = openProxy({ settings: users('bob'), nextHops: [] });
      const sent = proxy.receive(request({ method: 'CANCEL', uri }), ALICE);
      expect([uri, ...sent.map(({ text }) => statusOf(text))]).toEqual([uri, 481]);
    }
  });

  it('an ACK that names only the user of a fork is for all of it', () => {
    const settings = users({ user: 'bob', contacts: ['sip:b@192.0.2.31:5080', 'sip:b@192.0.2.32:5080'] });
    const sent = openProxy({ settings }).receive(request({ method: 'ACK' }), ALICE);
    expect(brief(sent)).toEqual(['ACK to Carol', 'ACK to Dave']);
  });

  it('challenges of one q after the other are all in the answer (16.7 step 7)', () => {
    const settings = users({
      user: 'bob',
      contacts: ['sip:b@192.0.2.30:5080', { uri: 'sip:b@192.0.2.31:5080', q: 0.5 }],
    });
    const call = new Call({ settings });
    const challenge = (realm: string) => ({ headers: [`Proxy-Authenticate: Digest realm="${realm}"`] });
    call.reply(BOB, '407 Proxy Authentication Required', 'INVITE', challenge('b'));
    const sent = call.reply(CAROL, '407 Proxy Authentication Required', 'INVITE', challenge('c'));
    const final = responseOf(sent, 407);
    expect([...final.text.matchAll(/realm="(\w)"/g)].map(([, realm]) => realm).sort()).toEqual(['b', 'c']);
    call.acknowledge(final);
  });

  it('a CANCEL while one contact is looked up and another rings', async () => {
    const settings = users({ user: 'bob', contacts: ['sip:b@slow.example:5080', 'sip:b@192.0.2.31:5080'] });
    const element = { hosts: { 'slow.example': [BOB.address] }, slowHosts: ['slow.example'] };
    const call = new Call({ settings, element });
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Carol']);
    call.reply(CAROL, '200 OK', 'CANCEL');
    const sent = [...call.reply(CAROL, '487 Request Terminated', 'INVITE'), ...(await call.settleLookUps())];
    expect(brief(sent)).toEqual(['487 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 487));
  });

  it('the answer of one contact waits for another that is looked up', async () => {
    const settings = users({ user: 'bob', contacts: ['sip:b@slow.example:5080', 'sip:b@192.0.2.31:5080'] });
    const call = new Call({ settings, element: { hosts: {}, slowHosts: ['slow.example'] } });
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol']);
    const sent = await call.settleLookUps();
    expect(brief(sent)).toEqual(['486 to Alice']);
    call.acknowledge(responseOf(sent, 486));
  });
});
