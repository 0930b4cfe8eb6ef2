/** When there is no room left: new requests get 503 with Retry-After (RFC 3261 21.5.4), running calls go on, and all room
 *  comes back. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, statusOf } from '../messages.ts';
import { ALICE, BOB, type Sent } from '../virtual-network.ts';
import { brief, CAROL, Call, forkTo, NOTHING_HELD, openProxy, requestOf } from './call.ts';

const LEAST_TRANSACTIONS = 1024;
const FLOOD = LEAST_TRANSACTIONS + 200;

const nth = (n: number, method = 'INVITE', body = '') =>
  request({ method, callId: `${n}@flood`, via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKflood${n}`, body });

/** Sends that many requests and returns those refused. */
function flood(proxy: ReturnType<typeof openProxy>, count: number, method = 'INVITE', body = ''): Sent[] {
  return Array.from({ length: count }, (_, n) => proxy.receive(nth(n, method, body), ALICE))
    .flat()
    .filter(({ text }) => statusOf(text) >= 300);
}

describe.each(['INVITE', 'OPTIONS'])('limits.transactions, %s', (method) => {
  it('beyond the limit gets 503 with Retry-After, and is counted', () => {
    const proxy = openProxy();
    const refused = flood(proxy, FLOOD, method);
    expect(refused.length).toBeGreaterThanOrEqual(FLOOD - LEAST_TRANSACTIONS);
    expect(refused.length).toBeLessThan(FLOOD - LEAST_TRANSACTIONS / 4);
    for (const { text } of refused) {
      expect(statusOf(text)).toBe(503);
      expect(Number(fieldsOf(text, 'Retry-After')[0])).toBeGreaterThan(0);
    }
    expect(proxy.counters().transactions_exhausted_total).toBe(refused.length);
  });

  it('takes new ones once the old ones are over', () => {
    const proxy = openProxy();
    flood(proxy, FLOOD, method);
    proxy.advance(300_000);
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
    const call = new Call({ proxy, request: { method } });
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('limits.transactions, running calls', () => {
  it('INVITEs refused for want of room leave no ACK to go astray', () => {
    const proxy = openProxy();
    const [refused] = flood(proxy, FLOOD);
    const to = fieldsOf(refused!.text, 'To')[0]!;
    const via = fieldsOf(refused!.text, 'Via')[0]!;
    const ack = request({ method: 'ACK', via, to, callId: fieldsOf(refused!.text, 'Call-ID')[0]! });
    expect(proxy.receive(ack, ALICE)).toEqual([]);
  });

  it('ring, are taken and acknowledged', () => {
    const proxy = openProxy();
    const call = new Call({ proxy });
    flood(proxy, FLOOD);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(call.fromAlice(call.text))).toEqual(['180 to Alice']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    const ack = request({
      method: 'ACK',
      to: '<sip:bob@biloxi.example>;tag=1',
      via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack',
    });
    expect(brief(call.fromAlice(ack))).toEqual(['ACK to Bob']);
  });

  it('fail and are acknowledged', () => {
    const proxy = openProxy();
    const call = new Call({ proxy });
    flood(proxy, FLOOD);
    const sent = call.reply(BOB, '486 Busy Here');
    expect(brief(sent)).toEqual(['486 to Alice', 'ACK to Bob']);
    expect(brief(call.acknowledge(sent.find(({ text }) => statusOf(text) === 486)!))).toEqual([]);
  });

  it('can be cancelled: the caller has his 200, and the call ends one way or the other', () => {
    const proxy = openProxy();
    const call = new Call({ proxy });
    call.reply(BOB, '180 Ringing');
    flood(proxy, FLOOD);
    expect(brief(call.cancel())).toContain('200 to Alice');
    const finals = call.advance(40_000).filter(({ text, to }) => statusOf(text) >= 300 && to.address === ALICE.address);
    expect(finals.some(({ text }) => fieldsOf(text, 'Call-ID')[0] === fieldsOf(call.text, 'Call-ID')[0])).toBe(true);
  });

  it('a fork that finds no room for its second branch goes on with the first', () => {
    const proxy = openProxy({ settings: forkTo(BOB, CAROL) });
    let sent: Sent[] = [];
    let number = 0;
    do sent = proxy.receive(nth(number++), ALICE);
    while (sent.filter(({ text }) => text.startsWith('INVITE ')).length === 2);
    for (const { text } of sent.filter(({ text }) => statusOf(text) >= 300))
      expect([500, 503]).toContain(statusOf(text));
    expect(number).toBeGreaterThan(100);
  });
});

describe('21.5.4, more than can be served', () => {
  it.each(['INVITE', 'OPTIONS'])('some of the new %ss get 503 with Retry-After, and take no room', (method) => {
    const proxy = openProxy();
    proxy.setOverloaded(true);
    const refused = flood(proxy, 100, method);
    expect(refused.length).toBeGreaterThan(0);
    for (const { text } of refused) {
      expect(statusOf(text)).toBe(503);
      expect(Number(fieldsOf(text, 'Retry-After')[0])).toBeGreaterThan(0);
    }
    expect(proxy.counters().overload_rejected_total).toBe(refused.length);
    expect(proxy.occupancy().serverTransactions).toBe(100 - refused.length);
  });

  it.each(['INVITE', 'BYE', 'UPDATE', 'INFO'])('an %s within a dialog is served', (method) => {
    const proxy = openProxy();
    proxy.setOverloaded(true);
    for (let n = 0; n < 50; n++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKinside${n}`;
      requestOf(proxy.receive(request({ method, to: '<sip:bob@biloxi.example>;tag=1', via }), ALICE), method, BOB);
    }
  });

  it('running calls go on: responses, retransmissions, CANCEL and ACK', () => {
    const call = new Call();
    call.proxy.setOverloaded(true);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(call.fromAlice(call.text))).toEqual(['180 to Alice']);
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    const sent = call.reply(BOB, '487 Request Terminated', 'INVITE');
    expect(brief(sent)).toEqual(['487 to Alice', 'ACK to Bob']);
    expect(brief(call.acknowledge(sent.find(({ text }) => statusOf(text) === 487)!))).toEqual([]);
  });

  it('the ACK to such a 503 ends here', () => {
    const proxy = openProxy();
    proxy.setOverloaded(true);
    const [refused] = flood(proxy, 100);
    const [via, to, callId] = ['Via', 'To', 'Call-ID'].map((name) => fieldsOf(refused!.text, name)[0]!);
    expect(proxy.receive(request({ method: 'ACK', via: via!, to: to!, callId: callId! }), ALICE)).toEqual([]);
  });

  it('calls are taken again once it is over', () => {
    const proxy = openProxy();
    proxy.setOverloaded(true);
    flood(proxy, 100);
    proxy.setOverloaded(false);
    const again = Array.from({ length: 100 }, (_, n) => proxy.receive(nth(1000 + n), ALICE)).flat();
    expect(again.filter(({ text }) => statusOf(text) >= 300)).toEqual([]);
  });
});

describe('memory for messages', () => {
  it('without room, new requests get 503 with Retry-After', () => {
    const proxy = openProxy({ keptKib: 64 });
    const refused = flood(proxy, 500);
    expect(refused.length).toBeGreaterThan(0);
    for (const { text } of refused) {
      expect(statusOf(text)).toBe(503);
      expect(Number(fieldsOf(text, 'Retry-After')[0])).toBeGreaterThan(0);
    }
  });

  it('running calls go on, if need be without a response to repeat', () => {
    const proxy = openProxy({ keptKib: 64 });
    const call = new Call({ proxy });
    flood(proxy, 500);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('running calls fail in order, too', () => {
    const proxy = openProxy({ keptKib: 64 });
    const call = new Call({ proxy });
    flood(proxy, 500);
    const sent = call.reply(BOB, '486 Busy Here');
    expect(brief(sent)).toContain('486 to Alice');
    call.acknowledge(sent.find(({ text }) => statusOf(text) === 486)!);
  });

  it('a fork whose answers cannot be kept still ends with an error', () => {
    const proxy = openProxy({ keptKib: 64, settings: forkTo(BOB, CAROL) });
    const call = new Call({ proxy });
    flood(proxy, 500);
    call.reply(BOB, '404 Not Found');
    const sent = call.reply(CAROL, '486 Busy Here');
    const finals = sent.filter(({ text }) => statusOf(text) >= 300);
    expect(finals).toHaveLength(1);
    call.acknowledge(finals[0]!);
  });

  it('large messages take more of it, and give all of it back', () => {
    const proxy = openProxy({ keptKib: 1024 });
    const round = () => flood(proxy, 100, 'MESSAGE', 'x'.repeat(10_000)).length;
    const refusedCount = round();
    expect(refusedCount).toBeGreaterThan(50);
    expect(refusedCount).toBeLessThan(95);
    proxy.advance(100_000);
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
    expect(round()).toBe(refusedCount);
  });

  it('is held no longer than needed: not after a 2xx', () => {
    const call = new Call();
    expect(call.proxy.occupancy().keptMessages).toBeGreaterThan(0);
    call.reply(BOB, '180 Ringing');
    call.reply(BOB, '200 OK');
    expect(call.proxy.occupancy().keptMessages).toBe(0);
  });
});

describe('many calls at once', () => {
  it('end each as it should', () => {
    const proxy = openProxy();
    const COUNT = 200;
    const invites = Array.from({ length: COUNT }, (_, n) => requestOf(proxy.receive(nth(n), ALICE), 'INVITE').text);
    const statusFor = (n: number) => [200, 404, 486, 603][n % 4]!;
    const ends = new Map<string, number>();
    for (let i = 0; i < COUNT; i++) {
      const n = (i * 73) % COUNT;
      const text = invites[n]!.replace(/^INVITE [^\r]*/, `SIP/2.0 ${statusFor(n)} Whatever`);
      for (const { to, text: out } of proxy.receive(text, BOB)) {
        if (to.address === ALICE.address) ends.set(fieldsOf(out, 'Call-ID')[0]!, statusOf(out));
      }
    }
    expect(ends.size).toBe(COUNT);
    for (const [callId, status] of ends) expect(status).toBe(statusFor(Number.parseInt(callId, 10)));
  });
});
