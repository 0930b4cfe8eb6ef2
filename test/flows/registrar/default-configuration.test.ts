/** What the server does that was told nothing: no domains, no next hops. Whoever registers is found. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, statusOf, uriOf } from '../messages.ts';
import { brief, NOTHING_HELD, openProxy, replyOf, requestOf } from '../stateful/call.ts';
import { createElement, type Endpoint, PROXY, STRANGER } from '../virtual-network.ts';
import { answerOf, MODES, register, signUp, viaOf } from './register.ts';

const OPEN = { domains: [], nextHops: [], trusted: [], hosts: {} };
const ANN: Endpoint = { address: '203.0.113.7', port: 5060 };
const BEN: Endpoint = { address: '198.51.100.7', port: 5070 };
const contactAt = (user: string, { address, port }: Endpoint) => `sip:${user}@${address}:${port}`;

describe.each(MODES)('in mode %s', (mode) => {
  const open = () => createElement({ mode, ...OPEN });
  const invite = (uri: string, from: Endpoint) => request({ uri, via: `SIP/2.0/UDP ${viaOf(from)}` });

  it.each([
    ['sip:example.org', 'sip:ben@example.org'],
    ['sip:Example.ORG', 'sip:ben@example.org'],
    ['sip:192.0.2.254', 'sip:ben@192.0.2.254'],
    ['sip:192.0.2.254:5060', 'sip:ben@192.0.2.254'],
    ['sip:192.0.2.254', 'sip:ben@192.0.2.254:5060'],
  ])('REGISTER %s for %s, and a call to it, by strangers', (uri, aor) => {
    const element = open();
    const contact = contactAt('ben', BEN);
    const answer = answerOf(
      element.receive(register({ uri, to: `<${aor}>`, contacts: [`<${contact}>`], via: viaOf(BEN) }), BEN),
    );
    expect([answer.status, answer.contacts]).toEqual([200, [`<${contact}>;expires=3600`]]);
    const sent = requestOf(element.receive(invite(aor, ANN), ANN), 'INVITE');
    expect([sent.to, uriOf(sent.text)]).toEqual([BEN, contact]);
  });

  it('users of one name in two domains are two', () => {
    const element = open();
    signUp(element, [`<${contactAt('ben', BEN)}>`], { user: 'ben', domain: 'one.example' }, BEN);
    signUp(element, [`<${contactAt('ben', ANN)}>`], { user: 'ben', domain: 'two.example' }, ANN);
    expect(requestOf(element.receive(invite('sip:ben@one.example', STRANGER), STRANGER), 'INVITE').to).toEqual(BEN);
    expect(requestOf(element.receive(invite('sip:ben@two.example', STRANGER), STRANGER), 'INVITE').to).toEqual(ANN);
  });

  it('a To of another domain than the Request-URI is 404 (10.3 step 5)', () => {
    for (const to of ['<sip:ben@other.example>', '<sip:ben@192.0.2.254>']) {
      const text = register({ uri: 'sip:example.org', to, contacts: ['<sip:b@192.0.2.1>'] });
      expect(answerOf(open().receive(text, BEN)).status).toBe(404);
    }
    const text = register({ uri: 'sip:192.0.2.254', to: '<sip:ben@example.org>', contacts: ['<sip:b@192.0.2.1>'] });
    expect(answerOf(open().receive(text, BEN)).status).toBe(404);
  });

  it('is no open relay: strangers do not get beyond who has registered', () => {
    const element = open();
    signUp(element, [`<${contactAt('ben', BEN)}>`], { user: 'ben', domain: 'example.org' }, BEN);
    for (const uri of ['sip:eve@example.org', 'sip:ben@elsewhere.example', contactAt('ben', BEN), 'tel:+15550100']) {
      const sent = element.receive(invite(uri, STRANGER), STRANGER);
      expect([uri, statusOf(sent.at(-1)!.text)]).toEqual([uri, 403]);
    }
    expect(statusOf(element.receive(invite('sip:eve@192.0.2.254', STRANGER), STRANGER).at(-1)!.text)).toBe(480);
  });

  it('who is gone is gone', () => {
    const element = open();
    signUp(element, [`<${contactAt('ben', BEN)}>;expires=60`], { user: 'ben', domain: '192.0.2.254' }, BEN);
    element.advance(60_000);
    const sent = element.receive(invite('sip:ben@192.0.2.254', ANN), ANN);
    expect(sent.map(({ text }) => statusOf(text))).toEqual([480]);
  });
});

describe('in mode stateful', () => {
  it('a 3xx of who has registered is followed, and of nobody else (16.5)', () => {
    const proxy = openProxy({ ...OPEN, settings: { redirects: 'recurse' }, trusted: ['0.0.0.0/0'] });
    signUp(proxy, [`<${contactAt('ben', BEN)}>`], { user: 'ben', domain: 'example.org' }, BEN);
    const redirected = (uri: string) => {
      const via = `SIP/2.0/UDP ${viaOf(ANN)}`;
      const sent = requestOf(proxy.receive(request({ method: 'OPTIONS', uri, via, callId: uri }), ANN), 'OPTIONS');
      const moved = { ownContact: null, headers: [`Contact: <${contactAt('eve', STRANGER)}>`] } as const;
      return brief(proxy.receive(replyOf(BEN, sent.text, '302 Moved Temporarily', moved), BEN));
    };
    expect(redirected('sip:ben@example.org')).toEqual([`OPTIONS to ${STRANGER.address}:${STRANGER.port}`]);
    expect(redirected(contactAt('ben', BEN))).toEqual([`302 to ${ANN.address}:${ANN.port}`]);
  });

  it('a whole call of two who have registered', () => {
    const proxy = openProxy(OPEN);
    signUp(proxy, [`<${contactAt('ann', ANN)}>`], { user: 'ann', domain: 'example.org' }, ANN);
    signUp(proxy, [`<${contactAt('ben', BEN)}>`], { user: 'ben', domain: 'example.org' }, BEN);
    const via = (branch: string) => `SIP/2.0/UDP ${ANN.address}:${ANN.port};branch=z9hG4bK${branch}`;
    const text = request({ uri: 'sip:ben@example.org', via: via('1') });
    const invite = requestOf(proxy.receive(text, ANN), 'INVITE');
    expect(invite.to).toEqual(BEN);
    proxy.receive(replyOf(BEN, invite.text, '180 Ringing'), BEN);
    const [ok] = proxy.receive(replyOf(BEN, invite.text, '200 OK'), BEN);
    expect(ok!.to).toEqual(ANN);
    const route = fieldsOf(invite.text, 'Record-Route');
    expect(route).toEqual([`<sip:${PROXY.address}:${PROXY.port};lr>`]);
    const to = fieldsOf(ok!.text, 'To')[0]!;
    const inDialog = (method: string, cseq: number) =>
      request({ method, cseq: `${cseq} ${method}`, uri: contactAt('ben', BEN), to, route, via: via(method) });
    expect(requestOf(proxy.receive(inDialog('ACK', 1), ANN), 'ACK').to).toEqual(BEN);
    const bye = requestOf(proxy.receive(inDialog('BYE', 2), ANN), 'BYE');
    expect(bye.to).toEqual(BEN);
    expect(proxy.receive(replyOf(BEN, bye.text, '200 OK'), BEN).map(({ to }) => to)).toEqual([ANN]);
    proxy.advance(64_000);
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
  });

  it('who calls himself rings at his other phone and at his own', () => {
    const proxy = openProxy(OPEN);
    signUp(
      proxy,
      [`<${contactAt('ann', ANN)}>`, `<${contactAt('ann', BEN)}>`],
      { user: 'ann', domain: 'example.org' },
      ANN,
    );
    const via = `SIP/2.0/UDP ${viaOf(ANN)}`;
    const sent = proxy.receive(request({ uri: 'sip:ann@example.org', via, method: 'MESSAGE' }), ANN);
    expect(brief(sent)).toEqual(['MESSAGE to 198.51.100.7:5070', 'MESSAGE to 203.0.113.7:5060']);
  });
});
