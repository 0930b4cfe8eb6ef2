/** Clients behind a NAT, who say in Via and Contact where they think they are (RFC 3581; RFC 5626 1): they are reached where
 *  their REGISTER came from. */

import { describe, expect, it } from 'vitest';
import { request, uriOf } from '../messages.ts';
import { CAROL, Call, openProxy, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, createElement, type Endpoint, type VirtualElement } from '../virtual-network.ts';
import { answerOf, MODES, register, signUp } from './register.ts';

const HOME = { domains: ['biloxi.example'], nextHops: [] };
const NAT: Endpoint = { address: '203.0.113.5', port: 40_001 };

function calledAt(proxy: VirtualElement): unknown {
  const { to, text } = requestOf(proxy.receive(request(), ALICE), 'INVITE');
  return [`${to.address}:${to.port}`, uriOf(text)];
}

describe.each(MODES)('in mode %s', (mode) => {
  const at = (via: string, contact: string, from: Endpoint = NAT) => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, [`<${contact}>`], { via: `${via};branch=z9hG4bKnat` }, from);
    return calledAt(proxy);
  };

  it.each([
    ['10.0.0.5:5062;rport', 'sip:bob@10.0.0.5:5062'],
    ['10.0.0.5:5062', 'sip:bob@10.0.0.5:5062'],
    ['10.0.0.5', 'sip:bob@10.0.0.5'],
    ['10.0.0.5:5060', 'sip:bob@10.0.0.5'],
    ['10.0.0.5;rport', 'sip:bob@10.0.0.5:5060;transport=udp'],
  ])('Via %s and Contact %s are a place that the datagram is not from: its source', (via, contact) => {
    expect(at(via, contact)).toEqual(['203.0.113.5:40001', contact]);
  });

  it('a NAT that changes the port alone', () => {
    const contact = 'sip:bob@203.0.113.5:5062';
    expect(at('203.0.113.5:5062;rport', contact)).toEqual(['203.0.113.5:40001', contact]);
  });

  it('who sends from another port without rport, from where he says, is taken at his word', () => {
    const contact = 'sip:bob@203.0.113.5:5062';
    expect(at('203.0.113.5:5062', contact)).toEqual(['203.0.113.5:5062', contact]);
  });

  it.each(['sip:bob@192.0.2.31:5080', 'sip:bob@192.0.2.31', 'sip:bob@client.atlanta.example'])(
    'a Contact elsewhere, %s, is taken at its word',
    (contact) => {
      const [place, uri] = at('10.0.0.5:5062;rport', contact) as [string, string];
      expect(uri).toBe(contact);
      expect(place).not.toBe('203.0.113.5:40001');
    },
  );

  it('who is where he says is taken at his word', () => {
    expect(at('203.0.113.5:40001;rport', 'sip:bob@203.0.113.5:40001')).toEqual([
      '203.0.113.5:40001',
      'sip:bob@203.0.113.5:40001',
    ]);
  });

  it('a REGISTER that came over another proxy says nothing about the client', () => {
    const proxy = createElement({ mode, ...HOME });
    const headers = ['Via: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKclient'];
    signUp(proxy, ['<sip:bob@192.0.2.31:5080>'], { via: '192.0.2.31:5080;branch=z9hG4bKx', headers }, NAT);
    expect(calledAt(proxy)).toEqual(['192.0.2.31:5080', 'sip:bob@192.0.2.31:5080']);
  });

  it('a refresh from a new port of the NAT moves him', () => {
    const proxy = createElement({ mode, ...HOME });
    const contacts = ['<sip:bob@10.0.0.5>'];
    signUp(proxy, contacts, { cseq: 1, via: '10.0.0.5;rport;branch=z9hG4bKn1' }, NAT);
    signUp(proxy, contacts, { cseq: 2, via: '10.0.0.5;rport;branch=z9hG4bKn2' }, { ...NAT, port: 40_002 });
    expect(calledAt(proxy)).toEqual(['203.0.113.5:40002', 'sip:bob@10.0.0.5']);
  });

  it('one whose IPv4 turned into IPv6 on the way is reached by IPv6', () => {
    const proxy = createElement({ mode, ...HOME, listen: ['udp:192.0.2.254:5060', 'udp:[2001:db8::53]:5060'] });
    const from = { address: '2001:db8::5', port: 40_001 };
    const fields = { user: 'bob', domain: 'biloxi.example', contacts: ['<sip:bob@10.0.0.5>'] };
    const text = register({ ...fields, via: '10.0.0.5;rport;branch=z9hG4bKn1' });
    const { status, sent } = answerOf(proxy.receive(text, from, 1));
    expect([status, sent.to, sent.socket]).toEqual([200, from, 1]);
    const { to, socket } = requestOf(proxy.receive(request(), ALICE, 0), 'INVITE');
    expect([to, socket]).toEqual([from, 1]);
  });

  it('one who moves out from behind the NAT is reached by his contact', () => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, ['<sip:bob@10.0.0.5>'], { cseq: 1, via: '10.0.0.5;rport;branch=z9hG4bKn1' }, NAT);
    const at5 = { address: '10.0.0.5', port: 5060 };
    signUp(proxy, ['<sip:bob@10.0.0.5>'], { cseq: 2, via: '10.0.0.5;rport;branch=z9hG4bKn2' }, at5);
    expect(calledAt(proxy)).toEqual(['10.0.0.5:5060', 'sip:bob@10.0.0.5']);
  });
});

describe('a call to behind the NAT in stateful mode', () => {
  it('retransmissions, CANCEL and ACK go to the source, too', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, ['<sip:bob@10.0.0.5>'], { via: '10.0.0.5;rport;branch=z9hG4bKn1' }, CAROL);
    const call = new Call({ proxy });
    expect(call.advance(600).map(({ to }) => to)).toEqual([CAROL]);
    call.reply(CAROL, '180 Ringing');
    call.cancel();
    expect(uriOf(call.reached(CAROL, 'CANCEL').text)).toBe('sip:bob@10.0.0.5');
    call.reply(CAROL, '200 OK', 'CANCEL');
    const sent = call.reply(CAROL, '487 Request Terminated', 'INVITE');
    expect(uriOf(call.reached(CAROL, 'ACK').text)).toBe('sip:bob@10.0.0.5');
    call.acknowledge(responseOf(sent, 487));
  });

  it('without a reg-id it is no flow of RFC 5626: ICMP takes no binding away', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, ['<sip:bob@10.0.0.5>'], { via: '10.0.0.5;rport;branch=z9hG4bKn1' }, CAROL);
    const call = new Call({ proxy });
    proxy.noteUnreachable(CAROL);
    call.acknowledge(responseOf(call.advance(520), 500));
    expect(signUp(proxy, [], { callId: 'query' }).contacts).toHaveLength(1);
  });
});
