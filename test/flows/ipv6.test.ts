/** IPv6 references wherever an address can stand: RFC 3261 25.1, 18.2, RFC 5118. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, parameterOf, replyTo, request, uriOf, valuesOf } from './messages.ts';
import { answered, forwarded, sole } from './sole.ts';
import { createElement, HOSTS } from './virtual-network.ts';

const element = createElement({
  listen: ['udp:192.0.2.254:5060', 'udp:[2001:db8::53]:5060'],
  nextHops: ['sip:[2001:db8::b0b]:5080'],
  trusted: ['2001:db8::/64', '192.0.2.0/24'],
  hosts: { ...HOSTS, 'six.example': ['2001:db8::6'], 'both.example': ['198.51.100.64', '2001:db8::64'] },
});
const ALICE = { address: '2001:db8::9:1', port: 5060 };
const BOB = { address: '2001:db8::b0b', port: 5080 };
const VIA = 'SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111';
const receive = (parts: Parameters<typeof request>[0], from = ALICE) =>
  element.receive(request({ via: VIA, ...parts }), from, 1);

describe('IPv6 references', () => {
  it.each([
    ['sip:carol@[2001:db8::10]', { address: '2001:db8::10', port: 5060 }],
    ['sip:carol@[2001:db8::10]:5070', { address: '2001:db8::10', port: 5070 }],
    ['sip:[2001:db8::10:5070]', { address: '2001:db8::10:5070', port: 5060 }],
    ['sip:carol@[2001:DB8:0:0:0:0:0:10]', { address: '2001:db8::10', port: 5060 }],
    ['sip:carol@[2001:db8::192.0.2.1]', { address: '2001:db8::c000:201', port: 5060 }],
    ['sip:carol@six.example', { address: '2001:db8::6', port: 5060 }],
    ['sip:carol@chicago.example;maddr=[2001:db8::77]', { address: '2001:db8::77', port: 5060 }],
  ])('are reached in a Request-URI: %s', (uri, to) => {
    forwarded(receive({ uri }), to);
  });

  it.each([
    'sip:2001:db8::10',
    'sip:carol@[2001:db8::10',
    'sip:carol@[2001:db8::1::2]',
    'sip:carol@[12345::]',
    'sip:carol@[]',
  ])('that are none are answered 400: %s', (uri) => {
    answered(receive({ uri }), 400);
  });

  it('are recognised as ours in a Route, however written', () => {
    for (const own of ['<sip:[2001:db8::53];lr>', '<sip:[2001:0DB8:0:0::53]:5060;lr>']) {
      const sent = forwarded(receive({ uri: 'sip:carol@six.example', route: [own] }), {
        address: '2001:db8::6',
        port: 5060,
      });
      expect(fieldsOf(sent.text, 'Route')).toEqual([]);
    }
  });

  it('stand in brackets in the Via of ours', () => {
    expect(valuesOf(forwarded(receive({}), BOB).text, 'Via')[0]).toMatch(
      /^SIP\/2\.0\/UDP \[2001:db8::53\](:5060)?;branch=z9hG4bK/,
    );
  });

  it('stand without brackets in received (25.1, RFC 5118 4.5)', () => {
    const via = valuesOf(forwarded(receive({ via: 'SIP/2.0/UDP pc.example;branch=z9hG4bK1' })).text, 'Via')[1]!;
    expect(parameterOf(via, 'received')).toBe('2001:db8::9:1');
  });

  it('are compared as addresses, not as text, for received', () => {
    const via = 'SIP/2.0/UDP [2001:0DB8:0:0:0:0:9:1]:5060;branch=z9hG4bK1';
    expect(valuesOf(forwarded(receive({ via })).text, 'Via')[1]).toBe(via);
  });

  it('lead a response home: sent-by, received with and without brackets, rport', () => {
    const own = valuesOf(forwarded(receive({})).text, 'Via')[0]!;
    for (const [via, address, port] of [
      ['SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bK1', '2001:db8::9:1', 5060],
      ['SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bK1', '2001:db8::9:1', 6050],
      ['SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bK1', '2001:db8::9:255', 5060],
      ['SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bK1', '2001:db8::9:255', 5060],
      ['SIP/2.0/UDP pc.example;received=2001:db8::9:255;rport=7777', '2001:db8::9:255', 7777],
    ] as const) {
      const reply = replyTo(request({ via: [own, via] }));
      expect(sole(element.receive(reply, BOB, 1)).to).toEqual({ address, port });
    }
  });

  it('take a request from IPv6 to IPv4 and its response back', () => {
    const out = forwarded(receive({ uri: 'sip:carol@198.51.100.20' }), { address: '198.51.100.20', port: 5060 });
    expect(out.socket).toBe(0);
    expect(valuesOf(out.text, 'Via')[0]).toMatch(/^SIP\/2\.0\/UDP 192\.0\.2\.254/);
    const back = sole(element.receive(replyTo(out.text), { address: '198.51.100.20', port: 5060 }, 0));
    expect(back.to).toEqual(ALICE);
    expect(back.socket).toBe(1);
  });

  it('take a request from IPv4 to IPv6', () => {
    const out = forwarded(element.receive(request(), { address: '192.0.2.10', port: 5060 }, 0), BOB);
    expect(out.socket).toBe(1);
    expect(valuesOf(out.text, 'Via')[0]).toMatch(/^SIP\/2\.0\/UDP \[2001:db8::53\]/);
  });

  it('are trusted by network', () => {
    answered(receive({ uri: 'sip:carol@six.example' }, { address: '2001:db9::1', port: 5060 }), 403);
    expect(uriOf(forwarded(receive({ uri: 'sip:carol@six.example' })).text)).toBe('sip:carol@six.example');
  });
});
