/** Whole calls: the flows of RFC 3665 section 3 that a proxy takes part in, Record-Route and Route through dialogs (RFC 3261
 *  12, 16.4, 16.6 step 4, 16.12), and the methods of other RFCs. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, message, type RequestParts, request, statusOf, uriOf, valuesOf } from '../messages.ts';
import { ALICE, BOB, type Endpoint, PROXY, type Sent, type VirtualElement } from '../virtual-network.ts';
import { brief, Call, openProxy, replyOf, requestOf, responseOf, timeline } from './call.ts';

const OUR_ROUTE = '<sip:192.0.2.254:5060;lr>';
const BOBS_CONTACT = 'sip:bob@192.0.2.30:5080';
const ALICES_CONTACT = 'sip:alice@192.0.2.10:5060';

/** A UA of a dialog whose route set is our Record-Route. */
class Peer {
  readonly #proxy: VirtualElement;
  readonly #at: Endpoint;
  readonly #remote: { readonly target: string; readonly at: Endpoint };
  readonly #from: string;
  readonly #to: string;
  #cseq = 100;

  constructor(
    proxy: VirtualElement,
    at: Endpoint,
    remote: { readonly target: string; readonly at: Endpoint },
    from: string,
    to: string,
  ) {
    this.#proxy = proxy;
    this.#at = at;
    this.#remote = remote;
    this.#from = from;
    this.#to = to;
  }

  request(method: string, parts: RequestParts = {}): string {
    const cseq = method === 'ACK' ? this.#cseq : ++this.#cseq;
    return request({
      method,
      uri: this.#remote.target,
      via: `SIP/2.0/UDP ${this.#at.address}:${this.#at.port};branch=z9hG4bK${method}${cseq}`,
      route: [OUR_ROUTE],
      from: this.#from,
      to: this.#to,
      cseq: `${cseq} ${method}`,
      ...parts,
    });
  }

  /** Sends it, has the other side answer, and expects both to arrive. */
  ask(method: string, parts: RequestParts = {}, status = '200 OK'): { readonly there: Sent; readonly back: Sent } {
    const sent = this.#proxy.receive(this.request(method, parts), this.#at);
    const there = requestOf(sent, method, this.#remote.at);
    expect(brief(sent).filter((line) => !line.startsWith('100 '))).toHaveLength(1);
    const back = responseOf(
      this.#proxy.receive(replyOf(this.#remote.at, there.text, status), this.#remote.at),
      Number.parseInt(status, 10),
    );
    expect(back.to).toEqual(this.#at);
    return { there, back };
  }

  send(text: string): Sent[] {
    return this.#proxy.receive(text, this.#at);
  }
}

/** A call that Bob has taken, and both ends of it. */
function establish(options: ConstructorParameters<typeof Call>[0] = {}) {
  const call = new Call({ ...options, request: { headers: [`Contact: <${ALICES_CONTACT}>`], ...options.request } });
  call.reply(BOB, '180 Ringing');
  call.reply(BOB, '200 OK');
  const aliceTag = 'Alice <sip:alice@atlanta.example>;tag=9fxced76sl';
  const bobTag = `Bob <sip:bob@biloxi.example>;tag=at-${BOB.address}`;
  const alice = new Peer(call.proxy, ALICE, { target: BOBS_CONTACT, at: BOB }, aliceTag, bobTag);
  const bob = new Peer(call.proxy, BOB, { target: ALICES_CONTACT, at: ALICE }, bobTag, aliceTag);
  const ack = alice.send(alice.request('ACK', { cseq: '1 ACK' }));
  expect(brief(ack)).toEqual(['ACK to Bob']);
  return { call, alice, bob };
}

describe('RFC 3665 3.1 and 3.2', () => {
  it('a call that the caller ends', () => {
    const { alice, call } = establish();
    const { there } = alice.ask('BYE');
    expect(uriOf(there.text)).toBe(BOBS_CONTACT);
    expect(fieldsOf(there.text, 'Route')).toEqual([]);
    expect(brief(call.advance(40_000))).toEqual([]);
  });

  it('a call that the callee ends', () => {
    const { bob } = establish();
    const { there } = bob.ask('BYE');
    expect(uriOf(there.text)).toBe(ALICES_CONTACT);
    expect(there.to).toEqual(ALICE);
  });

  it('as the first of two proxies: Vias and Record-Routes pile up and come off again', () => {
    const call = new Call({ request: { uri: 'sip:bob@chicago.example' } });
    const next = { address: '198.51.100.9', port: 5060 };
    const invite = call.reached(next).text;
    expect(valuesOf(invite, 'Via')).toHaveLength(2);
    const below = replyOf(next, invite, '200 OK', {
      headers: ['Record-Route: <sip:p2.chicago.example;lr>', `Record-Route: ${valuesOf(invite, 'Record-Route')[0]}`],
    });
    const [ok] = call.proxy.receive(below, next);
    expect(valuesOf(ok!.text, 'Record-Route')).toEqual(['<sip:p2.chicago.example;lr>', OUR_ROUTE]);
    expect(valuesOf(ok!.text, 'Via')).toHaveLength(1);
  });

  it('as the second of two proxies: responses go to the first', () => {
    const first = { address: '192.0.2.200', port: 5060 };
    const proxy = openProxy();
    const via = ['SIP/2.0/UDP 192.0.2.200:5060;branch=z9hG4bKfirst', 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKalice'];
    const recorded = ['Record-Route: <sip:192.0.2.200;lr>'];
    const sent = proxy.receive(request({ via, headers: recorded }), first);
    const invite = requestOf(sent, 'INVITE', BOB);
    expect(responseOf(sent, 100).to).toEqual(first);
    expect(valuesOf(invite.text, 'Record-Route')).toEqual([OUR_ROUTE, '<sip:192.0.2.200;lr>']);
    const [ok] = proxy.receive(replyOf(BOB, invite.text, '200 OK'), BOB);
    expect(ok!.to).toEqual(first);
    expect(valuesOf(ok!.text, 'Via')).toEqual(via);
  });
});

describe('RFC 3665 3.3, challenges on the way', () => {
  it('a 407 goes back, the INVITE with credentials is a new transaction in the same call', () => {
    const call = new Call();
    const headers = ['Proxy-Authenticate: Digest realm="biloxi", nonce="f8"'];
    const final = responseOf(call.reply(BOB, '407 Proxy Authentication Required', 'INVITE', { headers }), 407);
    expect(fieldsOf(final.text, 'Proxy-Authenticate')).toEqual(['Digest realm="biloxi", nonce="f8"']);
    call.acknowledge(final);
    const again = call.fromAlice(
      request({
        cseq: '2 INVITE',
        via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKagain',
        headers: ['Proxy-Authorization: Digest realm="biloxi", response="x"'],
      }),
    );
    expect(brief(again)).toEqual(['100 to Alice', 'INVITE to Bob']);
    // 22.3: credentials of a realm that is not ours stay for those further on.
    expect(fieldsOf(requestOf(again, 'INVITE').text, 'Proxy-Authorization')).toHaveLength(1);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('RFC 3665 3.4, a proxy that fails', () => {
  it('the caller tries us after another did not answer: a transaction of its own', () => {
    const call = new Call({ request: { via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKsecond-try' } });
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('RFC 3665 3.6, SDP in the ACK', () => {
  it('the body of the ACK arrives', () => {
    const call = new Call();
    call.reply(BOB, '200 OK', 'INVITE', { body: 'v=0\r\noffer\r\n' });
    const ack = request({
      method: 'ACK',
      uri: BOBS_CONTACT,
      route: [OUR_ROUTE],
      to: '<sip:bob@biloxi.example>;tag=1',
      via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack',
      headers: ['Content-Type: application/sdp'],
      body: 'v=0\r\nanswer\r\n',
    });
    const sent = requestOf(call.fromAlice(ack), 'ACK', BOB);
    expect(sent.text.endsWith('\r\n\r\nv=0\r\nanswer\r\n')).toBe(true);
    expect(fieldsOf(sent.text, 'Route')).toEqual([]);
  });
});

describe('RFC 3665 3.7, re-INVITE', () => {
  it.each(['alice', 'bob'] as const)('from %s, with its ACK', (who) => {
    const ends = establish();
    const { there } = ends[who].ask('INVITE', { headers: ['Contact: <sip:new@192.0.2.99>'] });
    // It changes nothing within the dialog (12.2.1.1), but is there for who has lost it (16.6 step 4).
    expect(valuesOf(there.text, 'Record-Route')).toEqual([`<sip:${PROXY.address}:${PROXY.port};lr>`]);
    const ack = ends[who].send(ends[who].request('ACK'));
    expect(brief(ack)).toEqual([`ACK to ${who === 'alice' ? 'Bob' : 'Alice'}`]);
  });

  it('refused: its ACK ends here, and the call goes on', () => {
    const { call, bob, alice } = establish();
    const invite = bob.request('INVITE');
    const there = requestOf(bob.send(invite), 'INVITE', ALICE);
    const final = replyOf(ALICE, there.text, '488 Not Acceptable Here');
    expect(brief(call.proxy.receive(final, ALICE))).toEqual(['488 to Bob', 'ACK to Alice']);
    const ack = invite.replace('INVITE ', 'ACK ').replace(/CSeq: (\d+) INVITE/, 'CSeq: $1 ACK');
    expect(brief(bob.send(ack))).toEqual([]);
    alice.ask('BYE');
  });

  it('of both at once: both get their answer (491)', () => {
    const { call, alice, bob } = establish();
    const fromAlice = requestOf(alice.send(alice.request('INVITE')), 'INVITE', BOB);
    const fromBob = requestOf(bob.send(bob.request('INVITE')), 'INVITE', ALICE);
    const toBob = call.proxy.receive(replyOf(ALICE, fromBob.text, '491 Request Pending'), ALICE);
    expect(brief(toBob)).toEqual(['491 to Bob', 'ACK to Alice']);
    const toAlice = call.proxy.receive(replyOf(BOB, fromAlice.text, '491 Request Pending'), BOB);
    expect(brief(toAlice)).toEqual(['491 to Alice', 'ACK to Bob']);
  });
});

describe('RFC 3665 3.8 to 3.11, calls that fail', () => {
  it('no answer: CANCEL', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice', 'ACK to Bob']);
    expect(brief(call.acknowledge(responseOf(call.sent, 487)))).toEqual([]);
  });

  it.each(['486 Busy Here', '480 Temporarily Unavailable', '600 Busy Everywhere'])('%s', (status) => {
    const call = new Call();
    const code = status.slice(0, 3);
    expect(brief(call.reply(BOB, status))).toEqual([`${code} to Alice`, 'ACK to Bob'].sort());
    expect(brief(call.acknowledge(responseOf(call.sent, Number(code))))).toEqual([]);
    expect(brief(call.advance(40_000))).toEqual([]);
  });

  it('no response at all: 408', () => {
    const call = new Call();
    expect(timeline(call.advance(32_050)).at(-1)).toBe('32 408 to Alice');
    expect(brief(call.acknowledge(responseOf(call.sent, 408)))).toEqual([]);
  });
});

describe('methods within a dialog', () => {
  const DURING: readonly [string, string][] = [
    ['UPDATE', '200 OK'],
    ['INFO', '200 OK'],
    ['REFER', '202 Accepted'],
    ['NOTIFY', '200 OK'],
    ['MESSAGE', '200 OK'],
    ['OPTIONS', '200 OK'],
    ['SUBSCRIBE', '202 Accepted'],
    ['UNHEARDOF', '599 Whatever'],
    ['BYE', '481 Call/Transaction Does Not Exist'],
  ];

  it.each(DURING)('%s, both ways', (method, status) => {
    const { alice, bob } = establish();
    for (const peer of [alice, bob]) {
      const { there } = peer.ask(method, { body: 'some text', headers: ['X-Custom: 1'] }, status);
      expect(there.text.endsWith('some text')).toBe(true);
      expect(fieldsOf(there.text, 'Route')).toEqual([]);
      expect(fieldsOf(there.text, 'X-Custom')).toEqual(['1']);
    }
  });

  it('PRACK while it rings (RFC 3262)', () => {
    const call = new Call();
    const headers = ['Require: 100rel', 'RSeq: 7'];
    const ringing = responseOf(call.reply(BOB, '183 Session Progress', 'INVITE', { headers }), 183);
    expect(fieldsOf(ringing.text, 'RSeq')).toEqual(['7']);
    const prack = request({
      method: 'PRACK',
      uri: BOBS_CONTACT,
      route: [OUR_ROUTE],
      to: fieldsOf(ringing.text, 'To')[0]!,
      cseq: '2 PRACK',
      via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKprack',
      headers: ['RAck: 7 1 INVITE'],
    });
    expect(brief(call.fromAlice(prack))).toEqual(['PRACK to Bob']);
    expect(brief(call.reply(BOB, '200 OK', 'PRACK'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
  });

  it('a strict router that put us into the Request-URI (16.4)', () => {
    const { alice } = establish();
    const bye = alice.request('BYE', { uri: 'sip:192.0.2.254:5060;lr', route: [`<${BOBS_CONTACT}>`] });
    const sent = requestOf(alice.send(bye), 'BYE', BOB);
    expect(uriOf(sent.text)).toBe(BOBS_CONTACT);
    expect(fieldsOf(sent.text, 'Route')).toEqual([]);
  });

  it('Routes after ours are followed', () => {
    const { alice } = establish();
    const bye = alice.request('BYE', { route: [OUR_ROUTE, '<sip:192.0.2.31:5080;lr>', '<sip:p3.example;lr>'] });
    const sent = alice.send(bye);
    expect(brief(sent)).toEqual(['BYE to Carol']);
    expect(valuesOf(sent[0]!.text, 'Route')).toEqual(['<sip:192.0.2.31:5080;lr>', '<sip:p3.example;lr>']);
    expect(uriOf(sent[0]!.text)).toBe(BOBS_CONTACT);
  });
});

describe('methods outside of a dialog', () => {
  it.each(['MESSAGE', 'OPTIONS', 'SUBSCRIBE', 'NOTIFY', 'PUBLISH', 'REFER', 'REGISTER', 'UNHEARDOF'])(
    '%s',
    (method) => {
      const call = new Call({ request: { method, body: 'text' } });
      expect(brief(call.first)).toEqual([`${method} to Bob`]);
      expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    },
  );

  it('SUBSCRIBE and the NOTIFY that may come before its answer', () => {
    const call = new Call({ request: { method: 'SUBSCRIBE', headers: [`Contact: <${ALICES_CONTACT}>`] } });
    expect(valuesOf(call.reached(BOB).text, 'Record-Route')).toEqual([OUR_ROUTE]);
    const bob = new Peer(
      call.proxy,
      BOB,
      { target: ALICES_CONTACT, at: ALICE },
      '<sip:bob@biloxi.example>;tag=b',
      'Alice <sip:alice@atlanta.example>;tag=9fxced76sl',
    );
    // RFC 6665 4.3: a NOTIFY forms a dialog, too.
    expect(valuesOf(bob.ask('NOTIFY').there.text, 'Record-Route')).toEqual([OUR_ROUTE]);
    expect(brief(call.reply(BOB, '200 OK', 'SUBSCRIBE'))).toEqual(['200 to Alice']);
  });
});

describe('16.6 step 4, Record-Route', () => {
  it.each(['INVITE', 'SUBSCRIBE', 'REFER', 'NOTIFY'])('is on a %s that may begin a dialog', (method) => {
    expect(valuesOf(new Call({ request: { method } }).reached(BOB).text, 'Record-Route')).toEqual([OUR_ROUTE]);
  });

  it.each(['OPTIONS', 'MESSAGE', 'REGISTER', 'PUBLISH', 'BYE', 'UNHEARDOF'])('is not on a %s', (method) => {
    expect(valuesOf(new Call({ request: { method } }).reached(BOB).text, 'Record-Route')).toEqual([]);
  });

  it('follows the settings', () => {
    const none = new Call({ settings: { recordRoute: [] } });
    expect(valuesOf(none.reached(BOB).text, 'Record-Route')).toEqual([]);
    const message = new Call({ settings: { recordRoute: ['MESSAGE'] }, request: { method: 'MESSAGE' } });
    expect(valuesOf(message.reached(BOB).text, 'Record-Route')).toEqual([OUR_ROUTE]);
  });

  it('stands above those of the proxies before', () => {
    const call = new Call({ request: { headers: ['Record-Route: <sip:p1.example;lr>, <sip:p0.example;lr>'] } });
    expect(valuesOf(call.reached(BOB).text, 'Record-Route')).toEqual([
      OUR_ROUTE,
      '<sip:p1.example;lr>',
      '<sip:p0.example;lr>',
    ]);
  });

  it('is the same in retransmissions', () => {
    const call = new Call();
    const [again] = call.advance(500);
    expect(again!.text).toBe(call.reached(BOB).text);
    call.reply(BOB, '200 OK');
  });

  it('has two values where the call changes the family, the outgoing one on top (RFC 5658)', () => {
    const proxy = openProxy({
      listen: ['udp:192.0.2.254:5060', 'udp:[2001:db8::53]:5060'],
      nextHops: ['sip:[2001:db8::30]:5080'],
    });
    const invite = requestOf(proxy.receive(request(), ALICE), 'INVITE');
    expect(invite.to).toEqual({ address: '2001:db8::30', port: 5080 });
    expect(valuesOf(invite.text, 'Record-Route')).toEqual(['<sip:[2001:db8::53]:5060;lr>', OUR_ROUTE]);
    // Both come off again at once, from either side.
    const bye = request({
      method: 'BYE',
      uri: 'sip:bob@[2001:db8::30]:5080',
      to: '<sip:bob@biloxi.example>;tag=1',
      cseq: '2 BYE',
      via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye',
      route: [OUR_ROUTE, '<sip:[2001:db8::53]:5060;lr>'],
    });
    const sent = requestOf(proxy.receive(bye, ALICE), 'BYE');
    expect(fieldsOf(sent.text, 'Route')).toEqual([]);
    expect(sent.to).toEqual({ address: '2001:db8::30', port: 5080 });
  });

  it('says what is advertised', () => {
    const call = new Call({
      element: { listen: [{ address: 'udp:192.0.2.254:5060', advertise: 'edge.biloxi.example' }] },
    });
    expect(valuesOf(call.reached(BOB).text, 'Record-Route')).toEqual(['<sip:edge.biloxi.example:5060;lr>']);
  });
});

describe('8.2.6, the 100 we send', () => {
  it('has Via, From, To without a tag, Call-ID, CSeq and Timestamp of the INVITE', () => {
    const call = new Call({
      request: {
        headers: ['Timestamp: 54.321'],
        via: ['SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa', 'SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKb'],
      },
    });
    const trying = responseOf(call.first, 100).text;
    for (const name of ['Via', 'From', 'To', 'Call-ID', 'CSeq'])
      expect(fieldsOf(trying, name)).toEqual(fieldsOf(call.text, name));
    // A delay may follow it.
    expect(fieldsOf(trying, 'Timestamp')[0]).toMatch(/^54\.321( \d*\.?\d*)?$/);
    expect(trying.endsWith('\r\n\r\n')).toBe(true);
  });

  it('has no Timestamp where none came', () => {
    expect(fieldsOf(responseOf(new Call().first, 100).text, 'Timestamp')).toEqual([]);
  });
});

describe('18.2.2, where responses go', () => {
  it('to the received address and the rport of the request (RFC 3581)', () => {
    const natted = { address: '192.0.2.99', port: 33_333 };
    const proxy = openProxy();
    const via = 'SIP/2.0/UDP 10.0.0.7:5060;rport;branch=z9hG4bKnat';
    const sent = proxy.receive(request({ via }), natted);
    expect(responseOf(sent, 100).to).toEqual(natted);
    const invite = requestOf(sent, 'INVITE').text;
    const [ringing] = proxy.receive(replyOf(BOB, invite, '180 Ringing'), BOB);
    expect(ringing!.to).toEqual(natted);
    const [busy] = proxy.receive(replyOf(BOB, invite, '486 Busy Here'), BOB).filter(({ text }) => statusOf(text) > 0);
    expect(busy!.to).toEqual(natted);
    const [again] = proxy.advance(600);
    expect(again!.to).toEqual(natted);
  });

  it('without rport, to the port of the Via', () => {
    const proxy = openProxy();
    const via = 'SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bKx';
    const sent = proxy.receive(request({ method: 'OPTIONS', via }), { address: '192.0.2.99', port: 33_333 });
    const [ok] = proxy.receive(replyOf(BOB, sent[0]!.text, '200 OK'), BOB);
    expect(ok!.to).toEqual({ address: '192.0.2.99', port: 5070 });
  });

  it('odd spellings of a response arrive as they came', () => {
    const call = new Call();
    const via = valuesOf(call.reached(BOB).text, 'Via');
    const text = message('SIP/2.0 180 ', [
      `v: ${via[0]}, ${via[1]}`,
      'f:Alice <sip:alice@atlanta.example>;tag=9fxced76sl',
      't: Bob <sip:bob@biloxi.example>;tag=7',
      'i: 2xTb9vxSit55XU7p8@atlanta.example',
      'cseq:  1    INVITE',
      'X-Folded: a',
      '  b',
    ]);
    const [sent] = call.proxy.receive(text, BOB);
    expect(sent!.text).toBe(text.replace(`${via[0]}, `, ''));
  });
});
