/** What the proxy sends again, or makes out of what it sent: retransmissions, ACK and CANCEL of requests of all sorts, by the
 *  socket and to the address of the first (RFC 3261 9.1, 17.1.1, 17.1.1.3, 18.2.2). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bodyOf,
  branchOf,
  fieldsOf,
  message,
  type RequestParts,
  request,
  statusOf,
  uriOf,
  valuesOf,
} from '../messages.ts';
import { ALICE, BOB, createElement, type Endpoint, type Sent, type VirtualElement } from '../virtual-network.ts';
import { ANY_NETWORK, anyRequest } from './any-request.ts';
import { brief, Call, openProxy, replyOf, requestOf, responseOf } from './call.ts';

const RUNS = 300;
const isRequest = ({ text }: Sent) => statusOf(text) === 0;

function expectMadeFrom(invite: Sent, made: Sent, method: string): void {
  expect(made.to).toEqual(invite.to);
  expect(made.socket).toBe(invite.socket);
  expect(uriOf(made.text)).toBe(uriOf(invite.text));
  expect(made.text.startsWith(`${method} `)).toBe(true);
  expect(valuesOf(made.text, 'Via')).toEqual([valuesOf(invite.text, 'Via')[0]]);
  for (const name of ['From', 'Call-ID', 'Route'])
    expect(fieldsOf(made.text, name)).toEqual(fieldsOf(invite.text, name));
  const number = fieldsOf(invite.text, 'CSeq')[0]!.split(/\s+/)[0]!;
  expect(fieldsOf(made.text, 'CSeq')[0]).toMatch(new RegExp(`^0*${Number(number)} +${method}$`));
  expect(fieldsOf(made.text, 'To')).toHaveLength(1);
  expect(fieldsOf(made.text, 'Max-Forwards')).toHaveLength(1);
  expect(fieldsOf(made.text, 'Max-Breadth').length).toBe(
    method === 'CANCEL' ? 0 : fieldsOf(made.text, 'Max-Breadth').length,
  );
  expect(bodyOf(made.text)).toBe('');
}

/** Sends an INVITE, then has it retransmitted, cancelled and refused. */
function follow(proxy: VirtualElement, text: string, from: Endpoint, socket = 0): void {
  const invite = proxy.receive(text, from, socket).find(isRequest);
  if (invite === undefined) return;
  const again = proxy.advance(500).filter(isRequest);
  expect(again.map((one) => [one.text, one.to, one.socket])).toEqual([[invite.text, invite.to, invite.socket]]);
  if (!invite.text.startsWith('INVITE ')) {
    proxy.advance(300_000);
    return;
  }
  proxy.receive(replyOf(invite.to, invite.text, '180 Ringing'), invite.to, invite.socket);
  const via = fieldsOf(text, 'Via')[0]!;
  const cancel = request({ method: 'CANCEL', via, cseq: `${fieldsOf(text, 'CSeq')[0]!.split(/\s+/)[0]} CANCEL` });
  const cancelled = proxy.receive(cancel, from, socket).find(isRequest)!;
  expectMadeFrom(invite, cancelled, 'CANCEL');
  expect(fieldsOf(cancelled.text, 'To')).toEqual(fieldsOf(invite.text, 'To'));
  const [cancelAgain] = proxy.advance(500).filter(isRequest);
  expect(cancelAgain!.text).toBe(cancelled.text);
  const refused = proxy.receive(replyOf(invite.to, invite.text, '487 Request Terminated'), invite.to, invite.socket);
  expectMadeFrom(invite, refused.find(isRequest)!, 'ACK');
  proxy.advance(300_000);
  expect(proxy.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
}

describe('what is made of an INVITE', () => {
  it('agrees with it, whatever it was', () => {
    const proxy = createElement({ ...ANY_NETWORK, mode: 'stateful' });
    let number = 0;
    fc.assert(
      fc.property(anyRequest, fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 4 }), (what, socket, kind) => {
        const valid: RequestParts = {
          ...what,
          method: 'INVITE',
          version: 'SIP/2.0',
          cseq: '7 INVITE',
          maxForwards: 70,
        };
        const parts = kind === 0 ? what : { ...valid, to: 'sip:b@c', callId: 'x', contentLength: null };
        const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKany${number++}`;
        follow(proxy, request({ ...parts, via }), ALICE, socket);
      }),
      { numRuns: RUNS },
    );
  });

  it.each<[string, RequestParts]>([
    ['through a strict router', { route: ['<sip:192.0.2.30:5080>', '<sip:p2.example;lr>'] }],
    ['with a maddr of ours', { uri: 'sip:bob@chicago.example;maddr=192.0.2.254' }],
    ['with headers in its Request-URI', { uri: 'sip:bob@chicago.example?Subject=x' }],
    ['with 40 Routes', { route: Array.from({ length: 40 }, (_, i) => `<sip:192.0.2.30:5080;lr;n=${i}>`) }],
    ['of 20,000 bytes', { body: 'x'.repeat(20_000) }],
    ['of 60,000 bytes', { body: 'x'.repeat(60_000) }],
    ['to an IPv6 address', { uri: 'sip:bob@[2001:db8::30]:5080' }],
    [
      'with both families in its Routes',
      { route: ['<sip:192.0.2.254;lr>', '<sip:[2001:db8::53];lr>', '<sip:[2001:db8::31];lr>'] },
    ],
  ])('%s', (_, parts) => {
    follow(createElement({ ...ANY_NETWORK, mode: 'stateful' }), request(parts), ALICE);
  });

  it('in compact form, folded, and out of order', () => {
    const text = message('INVITE sip:bob@biloxi.example SIP/2.0', [
      'i:x1',
      'f: "A\\"B" <sip:alice@atlanta.example>',
      ' ;tag=1',
      'CSEQ:   007   INVITE',
      'v:SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcompact, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKb',
      'm: <sip:alice@192.0.2.10>',
      't:<sip:bob@biloxi.example>',
    ]);
    const call = new Call();
    const invite = requestOf(call.fromAlice(text), 'INVITE');
    const [again] = call.proxy.advance(500).filter(({ text: t }) => t.includes('i:x1'));
    expect(again!.text).toBe(invite.text);
    const sent = call.proxy.receive(replyOf(BOB, invite.text, '486 Busy Here'), BOB);
    expectMadeFrom(invite, requestOf(sent, 'ACK'), 'ACK');
  });
});

describe('18.2.2, the socket', () => {
  const listen = ['udp:192.0.2.254:5060', 'udp:192.0.2.254:5070'];

  it('of the request is that of all responses to it', () => {
    const proxy = openProxy({ listen });
    const sent = proxy.receive(request(), ALICE, 1);
    expect(responseOf(sent, 100).socket).toBe(1);
    const invite = requestOf(sent, 'INVITE');
    const reply = (status: string) => proxy.receive(replyOf(BOB, invite.text, status), BOB, invite.socket);
    expect(responseOf(reply('180 Ringing'), 180).socket).toBe(1);
    expect(responseOf(proxy.receive(request(), ALICE, 1), 180).socket).toBe(1);
    const busy = responseOf(reply('486 Busy Here'), 486);
    expect(busy.socket).toBe(1);
    expect(proxy.advance(600).map(({ socket, to }) => [socket, to])).toEqual([[1, ALICE]]);
  });

  it('of the first request is that of its retransmissions, its ACK and its CANCEL', () => {
    const proxy = openProxy({ listen });
    const invite = requestOf(proxy.receive(request(), ALICE, 1), 'INVITE');
    expect(proxy.advance(500).map(({ socket }) => socket)).toEqual([invite.socket]);
    proxy.receive(replyOf(BOB, invite.text, '180 Ringing'), BOB, invite.socket);
    const cancel = requestOf(proxy.receive(request({ method: 'CANCEL' }), ALICE, 1), 'CANCEL');
    expect(cancel.socket).toBe(invite.socket);
    const ack = requestOf(proxy.receive(replyOf(BOB, invite.text, '487 Gone'), BOB, invite.socket), 'ACK');
    expect(ack.socket).toBe(invite.socket);
  });

  it('on a wildcard, the local address of the request is where responses leave from', () => {
    const proxy = openProxy({ listen: ['udp:0.0.0.0:5060'] });
    const local = '192.0.2.253';
    const sent = proxy.receive(request(), ALICE, 0, local);
    expect(responseOf(sent, 100).from).toBe(local);
    const invite = requestOf(sent, 'INVITE');
    expect(valuesOf(invite.text, 'Via')[0]).toContain(`${invite.from}:5060`);
    expect(proxy.advance(500).map(({ from }) => from)).toEqual([invite.from]);
    const back = proxy.receive(replyOf(BOB, invite.text, '486 Busy Here'), BOB, 0, invite.from);
    expect(responseOf(back, 486).from).toBe(local);
    expect(requestOf(back, 'ACK').from).toBe(invite.from);
    expect(proxy.advance(600).map(({ from }) => from)).toEqual([local]);
  });
});

describe('responses of any size', () => {
  it.each([10, 3000, 20_000, 60_000])('with %i bytes of body pass, and are kept', (size) => {
    const call = new Call({ request: { method: 'OPTIONS' } });
    const [final] = call.reply(BOB, '200 OK', 'OPTIONS', { body: 'y'.repeat(size) });
    expect(bodyOf(final!.text)).toHaveLength(size);
    expect(call.fromAlice(call.text).map(({ text }) => text)).toEqual([final!.text]);
  });

  it('of a fork, the best is kept whatever its size', () => {
    const call = new Call({
      settings: {
        domains: [
          {
            name: 'biloxi.example',
            users: [{ user: 'bob', contacts: ['sip:bob@192.0.2.30:5080', 'sip:bob@192.0.2.31:5080'] }],
          },
        ],
      },
    });
    call.reply(BOB, '415 Unsupported Media Type', 'INVITE', { body: 'y'.repeat(30_000) });
    const sent = call.reply({ address: '192.0.2.31', port: 5080 }, '404 Not Found');
    const final = responseOf(sent, 415);
    expect(bodyOf(final.text)).toHaveLength(30_000);
    call.acknowledge(final);
  });
});

describe('17.1.1.2, the branch', () => {
  it('differs between calls, and between proxies with other secrets in between', () => {
    const branches = new Set<string>();
    const proxy = openProxy();
    for (let n = 0; n < 500; n++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKb${n}`;
      const sent = proxy.receive(request({ method: 'OPTIONS', via }), ALICE);
      branches.add(branchOf(sent[0]!.text));
    }
    expect(branches.size).toBe(500);
  });

  it('is new when the record of an earlier call is used again', () => {
    const proxy = openProxy();
    const branches = new Set<string>();
    for (let n = 0; n < 50; n++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKb${n}`;
      const call = new Call({ proxy, request: { method: 'OPTIONS', via } });
      branches.add(branchOf(call.reached(BOB).text));
      expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
      call.advance(60_000);
    }
    expect(branches.size).toBe(50);
  });
});
