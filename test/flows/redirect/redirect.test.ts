/** The redirect server: RFC 3261 8.3, 13.3.1.2, 17.2.1. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, statusOf, tagOf } from '../messages.ts';
import { answerOf, MODES, register, signUp, uriIn } from '../registrar/register.ts';
import { brief, NOTHING_HELD, responseOf } from '../stateful/call.ts';
import { ALICE, BOB, createElement, type ElementOptions, PROXY, STRANGER } from '../virtual-network.ts';

const DESK = 'sip:bob@192.0.2.30:5080';
const CELL = 'sip:bob@192.0.2.31';

/** A redirect server of biloxi.example; `domain`: more of its settings. */
function openRedirect(mode: (typeof MODES)[number], domain: object = {}, options: ElementOptions = {}) {
  const domains = [{ name: 'biloxi.example', role: 'redirect', ...domain }];
  return createElement({ mode, domains, nextHops: [], ...options });
}

describe.each(MODES)('8.3 in mode %s', (mode) => {
  const contactsFor = (contacts: readonly string[], parts: Parameters<typeof request>[0] = {}, domain: object = {}) => {
    const element = openRedirect(mode, domain);
    if (contacts.length > 0) signUp(element, contacts);
    const answer = answerOf(element.receive(request(parts), ALICE));
    return answer.status === 302 ? answer.contacts : answer.status;
  };

  it('302 with all contacts, the highest q first, and how long they are good for', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>;q=0.1;expires=100`, `<${CELL}>;expires=200`, '<tel:+15550100>;q=0.5']);
    element.advance(10_000);
    const answer = answerOf(element.receive(request(), ALICE));
    expect(answer.status).toBe(302);
    expect(answer.contacts).toEqual([
      `<${CELL}>;expires=190`,
      '<tel:+15550100>;expires=3590;q=0.5',
      `<${DESK}>;expires=90;q=0.1`,
    ]);
  });

  it('is a final response as any other: Vias, From, Call-ID, CSeq, To with a tag, to the caller', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    const via = ['SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKtop', 'SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKlow'];
    const text = request({ via, headers: ['Record-Route: <sip:edge.example;lr>'] });
    const { sent, headers } = answerOf(element.receive(text, ALICE));
    expect(sent.to).toEqual(ALICE);
    for (const name of ['Via', 'From', 'Call-ID', 'CSeq'])
      expect(fieldsOf(sent.text, name), name).toEqual(fieldsOf(text, name));
    expect(tagOf(headers('To')[0]!)).toBeDefined();
    expect(headers('Record-Route')).toEqual([]);
  });

  it('never names the Request-URI itself', () => {
    expect(contactsFor(['<sip:bob@biloxi.example;x=1>', `<${DESK}>`])).toEqual([`<${DESK}>;expires=3600`]);
    expect(contactsFor(['<sip:%62ob@BILOXI.example>'])).toBeGreaterThanOrEqual(400);
    expect(contactsFor(['<sip:bob@biloxi.example:5060>'])).toEqual(['<sip:bob@biloxi.example:5060>;expires=3600']);
    const users = [{ user: 'bob', contacts: ['sip:bob@biloxi.example'] }];
    expect(contactsFor([], {}, { users })).toBe(404);
    expect(contactsFor([`<${DESK}>`], {}, { users })).toEqual([`<${DESK}>;expires=3600`]);
  });

  it('names fixed contacts, too, without expires', () => {
    const users = [{ user: 'bob', contacts: [{ uri: 'sip:b@192.0.2.40', q: 0.7 }, 'sip:c@192.0.2.41'] }];
    const contacts = contactsFor([`<${DESK}>;q=0.8`], {}, { users });
    expect(contacts).toEqual(['<sip:c@192.0.2.41>', `<${DESK}>;expires=3600;q=0.8`, '<sip:b@192.0.2.40>;q=0.7']);
  });

  it('404 for who is not there, 480 for who is nowhere', () => {
    expect(contactsFor([], { uri: 'sip:eve@biloxi.example' }, { users: ['bob'] })).toBe(404);
    expect(contactsFor([], {}, { users: ['bob'] })).toBe(480);
    expect(contactsFor([])).toBe(480);
  });

  it('an expired binding is none', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>;expires=60`, `<${CELL}>;expires=120`]);
    element.advance(60_000);
    expect(answerOf(element.receive(request(), ALICE)).contacts.map(uriIn)).toEqual([CELL]);
    element.advance(60_000);
    const via = 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlater';
    expect(answerOf(element.receive(request({ via }), ALICE)).status).toBe(480);
  });

  it.each(['OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'BYE', 'FOO'])('%s is redirected as well', (method) => {
    expect(contactsFor([`<${DESK}>`], { method })).toEqual([`<${DESK}>;expires=3600`]);
  });

  it('what is not understood is ignored: headers, methods, and what is required (8.3)', () => {
    const headers = ['Require: Replaces, 100rel', 'Require: foo', 'Foo: bar', 'Supported: x', 'Allow-Events: ???'];
    expect(contactsFor([`<${DESK}>`], { headers, method: 'NEWMETHOD' })).toEqual([`<${DESK}>;expires=3600`]);
  });

  it.each(['Proxy-Require: foo', 'Max-Breadth: 0'])(
    'what only a proxy is asked for, %s, does not hinder it (20.29, RFC 5393 5.3)',
    (header) => {
      expect(contactsFor([`<${DESK}>`], { headers: [header] })).toEqual([`<${DESK}>;expires=3600`]);
    },
  );

  it('strangers are redirected, too, and a request with no hop left', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    expect(answerOf(element.receive(request({ maxForwards: 0 }), STRANGER)).status).toBe(302);
  });

  it('a Route of our own does not hide it', () => {
    const route = [`<sip:${PROXY.address}:${PROXY.port};lr>`];
    expect(contactsFor([`<${DESK}>`], { route })).toEqual([`<${DESK}>;expires=3600`]);
  });

  it('never sends a request, where there are next hops neither', () => {
    const nextHops = [`sip:${BOB.address}:${BOB.port}`];
    for (const registrar of ['on', 'off']) {
      const element = openRedirect(mode, { nextHops, registrar, users: ['bob'] });
      for (const [i, method] of ['INVITE', 'OPTIONS', 'MESSAGE', 'CANCEL', 'ACK'].entries()) {
        const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKn${i}`;
        const sent = element.receive(request({ method, cseq: `1 ${method}`, via }), ALICE);
        expect(brief(sent).filter((one) => !/^\d/.test(one))).toEqual([]);
      }
      const sent = element.advance(64_000);
      expect(brief(sent).filter((one) => !/^\d/.test(one))).toEqual([]);
    }
  });

  it.each<[string, Parameters<typeof request>[0]]>([
    ['a Route', { route: [`<sip:${BOB.address}:${BOB.port};lr>`] }],
    ['a maddr', { uri: `sip:bob@biloxi.example;maddr=${BOB.address}` }],
  ])('a request that %s leads elsewhere is not sent on without a hop left (16.3 step 3)', (_, parts) => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    const sent = element.receive(request({ ...parts, maxForwards: 0 }), ALICE);
    expect(brief(sent).filter((one) => !/^\d/.test(one))).toEqual([]);
    expect([302, 483]).toContain(statusOf(sent.at(-1)!.text));
  });

  it('a stray CANCEL gets an answer, a stray ACK none', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    const stray = element.receive(request({ method: 'CANCEL', cseq: '1 CANCEL' }), ALICE);
    expect([200, 481]).toContain(answerOf(stray).status);
    expect(element.receive(request({ method: 'ACK', cseq: '1 ACK' }), ALICE)).toEqual([]);
  });

  it('the same request once more gets the same answer', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    for (const method of ['INVITE', 'MESSAGE']) {
      const text = request({ method, via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${method}` });
      const first = element.receive(text, ALICE);
      expect(answerOf(first).status).toBe(302);
      expect(element.receive(text, ALICE)).toMatchObject(first.map(({ to, text: same }) => ({ to, text: same })));
    }
  });

  it('the ACK ends here', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    const final = responseOf(element.receive(request(), ALICE), 302);
    const to = fieldsOf(final.text, 'To')[0]!;
    expect(element.receive(request({ method: 'ACK', cseq: '1 ACK', to }), ALICE)).toEqual([]);
  });

  it('a CANCEL is answered 200, and the call is still redirected', () => {
    const element = openRedirect(mode);
    signUp(element, [`<${DESK}>`]);
    element.receive(request(), ALICE);
    const sent = element.receive(request({ method: 'CANCEL', cseq: '1 CANCEL' }), ALICE);
    expect(brief(sent)).toEqual(['200 to Alice']);
    expect(fieldsOf(sent[0]!.text, 'CSeq')).toEqual(['1 CANCEL']);
  });

  it('REGISTER is for the registrar (10.3)', () => {
    const element = openRedirect(mode);
    const answer = answerOf(
      element.receive(register({ user: 'bob', domain: 'biloxi.example', contacts: [`<${DESK}>`] }), ALICE),
    );
    expect(answer.status).toBe(200);
  });

  it('other domains are still proxied', () => {
    const domains = [
      { name: 'biloxi.example', role: 'redirect' },
      { name: 'example.org', nextHops: [`sip:${BOB.address}:${BOB.port}`] },
    ];
    const element = createElement({ mode, domains, nextHops: [] });
    const sent = element.receive(request({ uri: 'sip:bob@example.org' }), ALICE);
    expect(sent.at(-1)!.to).toEqual(BOB);
  });

  it('many contacts are all there', () => {
    const contacts = Array.from({ length: 16 }, (_, i) => `<sip:bob@192.0.2.${100 + i}>;q=0.${10 + i}`);
    const named = contactsFor(contacts) as readonly string[];
    expect(named.map(uriIn)).toEqual(contacts.map(uriIn).reverse());
  });
});

describe('8.2.2.2, a request that comes by another way too', () => {
  const other = (parts: Parameters<typeof request>[0] = {}) =>
    request({ via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKother', ...parts });

  it('is a merged one in stateful mode: 482, and nothing is held after its ACK', () => {
    const element = openRedirect('stateful');
    signUp(element, [`<${DESK}>`]);
    expect(statusOf(element.receive(request(), ALICE)[0]!.text)).toBe(302);
    const refused = responseOf(element.receive(other(), ALICE), 482);
    expect(element.receive(other(), ALICE).map(({ text }) => text)).toEqual([refused.text]);
    element.receive(other({ method: 'ACK', cseq: '1 ACK', to: fieldsOf(refused.text, 'To')[0]! }), ALICE);
    const others = [{ cseq: '2 INVITE' }, { callId: 'other' }, { from: '<sip:a@atlanta.example>;tag=other' }];
    for (const [i, parts] of others.entries()) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKnew${i}`;
      expect(statusOf(element.receive(request({ via, ...parts }), ALICE)[0]!.text)).toBe(302);
    }
    element.advance(100_000);
    expect(element.occupancy()).toEqual(NOTHING_HELD);
  });

  it('is answered once more without transactions (8.2.7)', () => {
    const element = openRedirect('stateless');
    signUp(element, [`<${DESK}>`]);
    for (const text of [request(), other()]) expect(statusOf(element.receive(text, ALICE)[0]!.text)).toBe(302);
  });
});

describe('17.2.1, the redirect of an INVITE in stateful mode', () => {
  const open = () => {
    const element = openRedirect('stateful');
    signUp(element, [`<${DESK}>`]);
    return element;
  };

  it('the 302 is sent again until the ACK comes', () => {
    const element = open();
    const final = responseOf(element.receive(request(), ALICE), 302);
    const again = element.advance(1600);
    expect(again.map(({ text, atMs }) => [text, Math.round(atMs / 100)])).toEqual([
      [final.text, 5],
      [final.text, 15],
    ]);
    const to = fieldsOf(final.text, 'To')[0]!;
    expect(element.receive(request({ method: 'ACK', cseq: '1 ACK', to }), ALICE)).toEqual([]);
    expect(element.advance(60_000)).toEqual([]);
    expect(element.occupancy()).toEqual(NOTHING_HELD);
  });

  it('is given up without an ACK after 64 T1, and nothing is held', () => {
    const element = open();
    element.receive(request(), ALICE);
    const sent = element.advance(100_000);
    expect(sent.at(-1)!.atMs).toBeLessThanOrEqual(32_100);
    expect(element.occupancy()).toEqual(NOTHING_HELD);
  });

  it('stays what it was if the bindings change meanwhile', () => {
    const element = open();
    const final = responseOf(element.receive(request(), ALICE), 302);
    signUp(element, [`<${CELL}>`], { cseq: 2 });
    expect(element.receive(request(), ALICE).map(({ text }) => text)).toEqual([final.text]);
    expect(element.advance(600).map(({ text }) => text)).toEqual([final.text]);
  });
});
