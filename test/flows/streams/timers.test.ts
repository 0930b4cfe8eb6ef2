/** RFC 3261 17.1, 17.2 over a reliable transport: nothing is sent again, and nobody waits for what might be. Each side of a request has
 *  the timers of its own transport. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, replyTo, request } from '../messages.ts';
import { brief, openProxy, requestOf, responseOf, timeline } from '../stateful/call.ts';
import { ALICE, BOB } from '../virtual-network.ts';
import { ALICE_BY_TCP, BOTH, byTcp, TCP, UDP } from './by-stream.ts';

const TO_TCP = { nextHops: ['sip:192.0.2.30:5080;transport=tcp'] };
const open = (options = {}) => openProxy({ ...BOTH, ...options });
const clients = (proxy: ReturnType<typeof open>) => proxy.occupancy().clientTransactions;
const servers = (proxy: ReturnType<typeof open>) => proxy.occupancy().serverTransactions;

describe('17.1, client transactions', () => {
  it('no Timer A: an INVITE by TCP is sent once, and given up after Timer B', () => {
    const proxy = open(TO_TCP);
    proxy.receive(request(), ALICE, UDP);
    expect(timeline(proxy.advance(40_000)).slice(0, 1)).toEqual(['32 408 to Alice']);
  });

  it('no Timer E: a MESSAGE by TCP is sent once, and given up after Timer F', () => {
    const proxy = open(TO_TCP);
    proxy.receive(request({ method: 'MESSAGE' }), ALICE, UDP);
    expect(timeline(proxy.advance(40_000)).filter((line) => line.includes('MESSAGE'))).toEqual([]);
    expect(clients(proxy)).toBe(0);
  });

  it('Timer A runs by UDP although the request came by TCP', () => {
    const proxy = open();
    proxy.receive(byTcp(), ALICE_BY_TCP, TCP);
    expect(brief(proxy.advance(1600))).toEqual(['INVITE to Bob', 'INVITE to Bob']);
  });

  it('Timer D and Timer K are zero', () => {
    for (const [method, status] of [
      ['INVITE', '486 Busy Here'],
      ['MESSAGE', '200 OK'],
    ] as const) {
      const proxy = open(TO_TCP);
      const sent = requestOf(proxy.receive(request({ method }), ALICE, UDP), method);
      proxy.receive(replyTo(sent.text, status), BOB, TCP);
      proxy.advance(20);
      expect(clients(proxy)).toBe(0);
    }
  });

  it('Timer D runs by UDP, where the final response may come again', () => {
    const proxy = open();
    const sent = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    proxy.receive(replyTo(sent.text, '486 Busy Here'), BOB, UDP);
    proxy.advance(20);
    expect(brief(proxy.receive(replyTo(sent.text, '486 Busy Here'), BOB, UDP))).toEqual(['ACK to Bob']);
  });

  it('RFC 6026 8.4: Timer M stays, for 2xx of other branches further on', () => {
    const proxy = open(TO_TCP);
    const sent = requestOf(proxy.receive(request(), ALICE, UDP), 'INVITE');
    proxy.receive(replyTo(sent.text), BOB, TCP);
    proxy.advance(10_000);
    expect(brief(proxy.receive(replyTo(sent.text).replace('314159', 'other'), BOB, TCP))).toEqual(['200 to Alice']);
  });
});

describe('17.2, server transactions', () => {
  it('no Timer G: a refusal by TCP is sent once; Timer H waits for its ACK', () => {
    const proxy = open();
    const sent = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    proxy.receive(replyTo(sent.text, '486 Busy Here'), BOB, UDP);
    expect(proxy.advance(31_900)).toEqual([]);
    expect(servers(proxy)).toBe(1);
    proxy.advance(200);
    expect(proxy.counters().unacknowledged_total).toBe(1);
  });

  it('Timer I is zero: with the ACK it is over', () => {
    const proxy = open();
    const sent = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    const final = responseOf(proxy.receive(replyTo(sent.text, '486 Busy Here'), BOB, UDP), 486);
    const to = fieldsOf(final.text, 'To')[0]!;
    expect(proxy.receive(byTcp({ method: 'ACK', to }), ALICE_BY_TCP, TCP)).toEqual([]);
    proxy.advance(20);
    // Timer D of the other side keeps the record.
    proxy.advance(32_100);
    expect(servers(proxy)).toBe(0);
    expect(proxy.counters().unacknowledged_total).toBeUndefined();
  });

  it('Timer J is zero', () => {
    const proxy = open(TO_TCP);
    const sent = requestOf(proxy.receive(byTcp({ method: 'MESSAGE' }), ALICE_BY_TCP, TCP), 'MESSAGE');
    proxy.receive(replyTo(sent.text), BOB, TCP);
    proxy.advance(20);
    expect(proxy.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
  });

  it('a request that comes again by TCP all the same is absorbed while its transaction is there', () => {
    const proxy = open();
    const sent = proxy.receive(byTcp(), ALICE_BY_TCP, TCP);
    expect(brief(sent)).toEqual(['100 to Alice', 'INVITE to Bob']);
    expect(brief(proxy.receive(byTcp(), ALICE_BY_TCP, TCP))).toEqual(['100 to Alice']);
    proxy.receive(replyTo(requestOf(sent, 'INVITE').text, '486 Busy Here'), BOB, UDP);
    expect(brief(proxy.receive(byTcp(), ALICE_BY_TCP, TCP))).toEqual(['486 to Alice']);
  });

  it('RFC 4320 4.1: a request that is no INVITE gets its 100 at the same time by TCP', () => {
    const proxy = open(TO_TCP);
    proxy.receive(byTcp({ method: 'MESSAGE' }), ALICE_BY_TCP, TCP);
    expect(timeline(proxy.advance(5000))).toEqual(['3.5 100 to Alice']);
  });
});

describe('16.9, 17.1.4, RFC 3263 4.3: what could not be delivered', () => {
  it.each(['INVITE', 'MESSAGE'])('%s to a connection that was refused is answered 500', (method) => {
    const proxy = open(TO_TCP);
    const sent = requestOf(proxy.receive(request({ method }), ALICE, UDP), method);
    expect(brief(proxy.undeliver(sent))).toEqual(['500 to Alice']);
    expect(proxy.counters().send_errors_total).toBeGreaterThan(0);
  });

  it('is tried at the next hop, and the first one rests', () => {
    const proxy = open({
      nextHops: [
        { uri: 'sip:192.0.2.30:5080;transport=tcp' },
        { uri: 'sip:192.0.2.31:5080;transport=tcp', priority: 2 },
      ],
    });
    const first = requestOf(proxy.receive(request(), ALICE, UDP), 'INVITE');
    const second = requestOf(proxy.undeliver(first), 'INVITE');
    expect([first.to.address, second.to.address, second.socket]).toEqual(['192.0.2.30', '192.0.2.31', TCP]);
    const via = 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKnext';
    expect(requestOf(proxy.receive(request({ via }), ALICE, UDP), 'INVITE').to.address).toBe('192.0.2.31');
  });

  it('is tried at the next address of a name, by the transport of that', () => {
    const hosts = {
      '_sip._udp.biloxi.net': ['SRV 2 0 5060 b.biloxi.net'],
      '_sip._tcp.biloxi.net': ['SRV 1 0 5061 a.biloxi.net'],
      'a.biloxi.net': ['198.51.100.1'],
      'b.biloxi.net': ['198.51.100.2'],
    };
    const proxy = open({ hosts });
    const first = requestOf(proxy.receive(request({ uri: 'sip:bob@biloxi.net' }), ALICE, UDP), 'INVITE');
    expect([first.to.address, first.socket]).toEqual(['198.51.100.2', UDP]);
    proxy.noteUnreachable(first.to);
    const second = requestOf(proxy.advance(600), 'INVITE');
    expect([second.to, second.socket]).toEqual([{ address: '198.51.100.1', port: 5061 }, TCP]);
  });

  it('says nothing any more once a response came: the transaction has its own timers', () => {
    const proxy = open(TO_TCP);
    const sent = requestOf(proxy.receive(request(), ALICE, UDP), 'INVITE');
    proxy.receive(replyTo(sent.text, '180 Ringing'), BOB, TCP);
    expect(proxy.undeliver(sent)).toEqual([]);
  });

  it('is not taken for a transaction that has its record later', () => {
    const proxy = open(TO_TCP);
    const sent = requestOf(proxy.receive(request({ method: 'MESSAGE' }), ALICE, UDP), 'MESSAGE');
    proxy.receive(replyTo(sent.text), BOB, TCP);
    proxy.advance(40_000);
    const via = 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKlater';
    requestOf(proxy.receive(request({ method: 'MESSAGE', via }), ALICE, UDP), 'MESSAGE');
    expect(proxy.undeliver(sent)).toEqual([]);
  });
});
