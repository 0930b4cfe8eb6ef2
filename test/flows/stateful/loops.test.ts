/** Requests that come round: RFC 3261 16.3 steps 3 and 4, RFC 5393 4. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, statusOf, valuesOf } from '../messages.ts';
import { ALICE, BOB, PROXY } from '../virtual-network.ts';
import { brief, Call, forkTo, openProxy, requestOf, responseOf } from './call.ts';

describe('RFC 5393 4.2, loop detection', () => {
  it('a request that comes back unchanged is answered 482', () => {
    const call = new Call();
    const back = call.proxy.receive(call.reached(BOB).text, BOB);
    expect(back.map(({ text }) => statusOf(text))).toEqual([482]);
    // Our own Via is what the answer is for: it comes round, too, and the caller hears of it.
    const home = call.proxy.receive(back[0]!.text, PROXY);
    expect(home.some(({ text, to }) => statusOf(text) === 482 && to.address === ALICE.address)).toBe(true);
    call.acknowledge(
      responseOf(
        home.filter(({ to }) => to.address === ALICE.address),
        482,
      ),
    );
    const ack = home.find(({ text }) => text.startsWith('ACK '));
    if (ack !== undefined) call.proxy.receive(ack.text, PROXY);
  });

  it.each(['OPTIONS', 'SUBSCRIBE', 'UNHEARDOF'])('a %s, too', (method) => {
    const call = new Call({ request: { method } });
    const back = call.proxy.receive(call.reached(BOB).text, BOB);
    expect(back.map(({ text }) => statusOf(text))).toEqual([482]);
  });

  it('with other proxies in between, too', () => {
    const call = new Call();
    const beyond = call
      .reached(BOB)
      .text.replace('\r\nVia:', '\r\nVia: SIP/2.0/UDP 192.0.2.30:5080;branch=z9hG4bKbob\r\nVia:');
    expect(call.proxy.receive(beyond, BOB).map(({ text }) => statusOf(text))).toEqual([482]);
  });

  it('with another Request-URI it is a spiral, and is forwarded with another branch', () => {
    const call = new Call();
    const invite = call.reached(BOB).text;
    const spiral = invite
      .replace('INVITE sip:bob@biloxi.example', 'INVITE sip:robert@biloxi.example')
      .replace('\r\nVia:', '\r\nVia: SIP/2.0/UDP 192.0.2.30:5080;branch=z9hG4bKbob\r\nVia:');
    const sent = call.proxy.receive(spiral, BOB);
    const second = requestOf(sent, 'INVITE', BOB).text;
    expect(valuesOf(second, 'Via')).toHaveLength(4);
    expect(new Set(valuesOf(second, 'Via')).size).toBe(4);
    // And back through both of its transactions.
    const [once] = call.proxy.receive(second.replace(/^INVITE [^\r]*/, 'SIP/2.0 200 OK'), BOB);
    expect(once!.to).toEqual(BOB);
    expect(valuesOf(once!.text, 'Via')).toHaveLength(3);
    const atBob = once!.text.replace(/\r\nVia: [^\r]*bKbob[^\r]*/, '');
    const [twice] = call.proxy.receive(atBob, BOB);
    expect(twice!.to).toEqual(ALICE);
    expect(valuesOf(twice!.text, 'Via')).toHaveLength(1);
  });

  it('a fork that comes back to one of its own contacts does not multiply', () => {
    const call = new Call({ settings: forkTo(BOB, PROXY) });
    const toUs = call.sent.find(({ text, to }) => text.startsWith('INVITE') && to.address === PROXY.address);
    const back = call.proxy.receive(toUs!.text, PROXY);
    expect(back.filter(({ text }) => text.startsWith('INVITE ')).length).toBeLessThanOrEqual(1);
  });

  it('a retransmission is no loop', () => {
    const call = new Call();
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
  });
});

describe('16.3 step 3, Max-Forwards', () => {
  it('0: 483, retransmitted until its ACK', () => {
    const call = new Call({ request: { maxForwards: 0 } });
    expect(brief(call.first)).toEqual(['483 to Alice']);
    expect(brief(call.advance(600))).toEqual(['483 to Alice']);
    expect(brief(call.acknowledge(responseOf(call.first, 483)))).toEqual([]);
    expect(brief(call.advance(10_000))).toEqual([]);
  });

  it('0 and another method: 483', () => {
    expect(brief(new Call({ request: { method: 'BYE', maxForwards: 0 } }).first)).toEqual(['483 to Alice']);
  });

  it('is counted down in every branch of a fork, and again after a failover', () => {
    const call = new Call({
      settings: forkTo(BOB, { at: { address: '192.0.2.31', port: 5080 }, q: 0.4 }),
      request: { maxForwards: 9 },
    });
    call.reply(BOB, '404 Not Found');
    const invites = call.sent.filter(({ text }) => text.startsWith('INVITE '));
    expect(invites.map(({ text }) => fieldsOf(text, 'Max-Forwards'))).toEqual([['8'], ['8']]);
  });

  it('ends a ring of proxies that do not look for loops', () => {
    const proxy = openProxy();
    let sent = proxy.receive(request({ maxForwards: 3 }), ALICE);
    let rounds = 0;
    for (;;) {
      const invite = sent.find(({ text }) => text.startsWith('INVITE '));
      if (invite === undefined) break;
      // Somebody rewrites the Request-URI each time.
      sent = proxy.receive(invite.text.replace(/^INVITE sip:[^@]*/, `INVITE sip:bob${++rounds}`), BOB);
      expect(rounds).toBeLessThan(5);
    }
    expect(sent.some(({ text }) => statusOf(text) === 483)).toBe(true);
  });
});
