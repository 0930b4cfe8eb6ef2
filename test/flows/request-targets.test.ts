/** Determining request targets, RFC 3261 16.5, as a stateless proxy must (16.11), and whom we relay for. */

import { describe, expect, it } from 'vitest';
import { replyTo, request, statusOf, uriOf } from './messages.ts';
import { answered, forwarded, silent } from './sole.ts';
import { ALICE, BOB, CHICAGO, createElement, HOSTS, STRANGER } from './virtual-network.ts';

const element = createElement();
const receive = (text: string) => element.receive(text, ALICE);

describe('16.5, a domain that is not ours', () => {
  it('is reached by its name, the Request-URI unchanged', () => {
    const sent = forwarded(receive(request({ uri: 'sip:carol@chicago.example;x=1' })), CHICAGO);
    expect(uriOf(sent.text)).toBe('sip:carol@chicago.example;x=1');
  });

  it.each([
    ['sip:carol@198.51.100.20', { address: '198.51.100.20', port: 5060 }],
    ['sip:carol@198.51.100.20:5999', { address: '198.51.100.20', port: 5999 }],
    ['sip:198.51.100.20', { address: '198.51.100.20', port: 5060 }],
    ['sip:carol:secret@198.51.100.20', { address: '198.51.100.20', port: 5060 }],
    ['sip:carol@chicago.example:5070', { address: '198.51.100.9', port: 5070 }],
    ['sip:carol@chicago.example;transport=udp', CHICAGO],
    ['sip:carol@chicago.example;transport=UDP', CHICAGO],
    ['sip:carol@CHICAGO.example', CHICAGO],
    ['sip:a;b=c@chicago.example', CHICAGO],
    ['sip:a%40biloxi.example@chicago.example', CHICAGO],
  ])('goes where %s says', (uri, to) => {
    forwarded(receive(request({ uri })), to);
  });

  it('is reached by its SRV record, and its port, when the URI has no port (RFC 3263 4.2)', () => {
    const withSrv = createElement({
      hosts: {
        '_sip._udp.chicago.example': ['SRV 10 0 5999 backup.chicago.example', 'SRV 1 0 5080 gw.chicago.example'],
        'gw.chicago.example': ['198.51.100.40'],
        'backup.chicago.example': ['198.51.100.41'],
        'chicago.example': ['198.51.100.9'],
      },
    });
    forwarded(withSrv.receive(request({ uri: 'sip:carol@chicago.example' }), ALICE), {
      address: '198.51.100.40',
      port: 5080,
    });
    forwarded(withSrv.receive(request({ uri: 'sip:carol@chicago.example:5060' }), ALICE), CHICAGO);
  });

  it('chooses among several addresses the same for a retransmission and its CANCEL (16.11)', () => {
    const several = createElement({ hosts: { 'chicago.example': ['198.51.100.1', '198.51.100.2', '198.51.100.3'] } });
    const targets = ['INVITE', 'INVITE', 'CANCEL', 'INVITE'].map(
      (method) => forwarded(several.receive(request({ method, uri: 'sip:carol@chicago.example' }), ALICE)).to.address,
    );
    expect(new Set(targets).size).toBe(1);
  });

  it.each([
    'sip:carol@nowhere.example',
    'sip:carol@chicago.example;transport=tcp',
    'sip:carol@chicago.example;transport=sctp',
  ])('that cannot be reached is answered with an error: %s', (uri) => {
    const sent = receive(request({ uri }));
    expect(sent).toHaveLength(1);
    expect(statusOf(sent[0]!.text)).toBeGreaterThanOrEqual(400);
    expect(sent[0]!.to).toEqual(ALICE);
  });

  it('that cannot be reached leaves an ACK without an answer', () => {
    silent(receive(request({ method: 'ACK', uri: 'sip:carol@nowhere.example' })));
  });

  it('is not ours because it ends or begins like ours', () => {
    const hosts = { ...HOSTS, 'notbiloxi.example': ['198.51.100.51'], 'sub.biloxi.example': ['198.51.100.52'] };
    const other = createElement({ hosts });
    expect(forwarded(other.receive(request({ uri: 'sip:bob@notbiloxi.example' }), ALICE)).to.address).toBe(
      '198.51.100.51',
    );
    expect(forwarded(other.receive(request({ uri: 'sip:bob@sub.biloxi.example' }), ALICE)).to.address).toBe(
      '198.51.100.52',
    );
  });
});

describe('16.5, a domain of ours', () => {
  it.each(['sip:bob@biloxi.example', 'sip:bob@BILOXI.Example', 'sip:bob@biloxi.example:5060', 'sip:biloxi.example'])(
    'goes to the next hop, the Request-URI unchanged: %s',
    (uri) => {
      expect(uriOf(forwarded(receive(request({ uri })), BOB).text)).toBe(uri);
    },
  );

  it('goes to the next hops of that domain if it has its own', () => {
    const two = createElement({
      domains: [{ name: 'biloxi.example', nextHops: ['sip:192.0.2.31'] }, 'mobile.example'],
      nextHops: ['sip:192.0.2.30:5080'],
    });
    forwarded(two.receive(request(), ALICE), { address: '192.0.2.31', port: 5060 });
    forwarded(two.receive(request({ uri: 'sip:bob@mobile.example' }), ALICE), BOB);
  });

  it('without a next hop is answered 404 or 480', () => {
    answered(createElement({ nextHops: [] }).receive(request(), ALICE), [404, 480]);
  });

  it('without a next hop a CANCEL is answered 481 (9.2)', () => {
    answered(createElement({ nextHops: [] }).receive(request({ method: 'CANCEL' }), ALICE), [481]);
  });

  describe('with several next hops', () => {
    const several = createElement({ nextHops: ['sip:192.0.2.31', 'sip:192.0.2.32', 'sip:192.0.2.33'] });
    const hopOf = (text: string) => forwarded(several.receive(text, ALICE)).to.address;

    it('chooses the same one for a retransmission, the CANCEL and both kinds of ACK (16.11)', () => {
      for (let call = 0; call < 8; call++) {
        const callId = `${call}@atlanta.example`;
        const chosen = hopOf(request({ callId }));
        expect(hopOf(request({ callId }))).toBe(chosen);
        expect(hopOf(request({ callId, method: 'CANCEL' }))).toBe(chosen);
        const to = 'Bob <sip:bob@biloxi.example>;tag=8321234356';
        expect(hopOf(request({ callId, method: 'ACK', to }))).toBe(chosen);
        const via = 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack2xx';
        expect(hopOf(request({ callId, method: 'ACK', to, via }))).toBe(chosen);
      }
    });

    it('spreads calls over them', () => {
      const chosen = new Set(
        Array.from({ length: 40 }, (_, call) => hopOf(request({ callId: `${call}@atlanta.example` }))),
      );
      expect(chosen.size).toBe(3);
    });
  });
});

describe('relaying, for trusted sources only', () => {
  const strange = (parts: Parameters<typeof request>[0], from = STRANGER) =>
    element.receive(request({ via: 'SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKs', ...parts }), from);

  it('lets anyone reach a domain of ours', () => {
    forwarded(strange({}), BOB);
  });

  it('lets anyone reach a domain of ours through a Route of ours', () => {
    forwarded(strange({ route: ['<sip:192.0.2.254;lr>'] }), BOB);
  });

  it('answers a stranger 403 for a foreign domain', () => {
    answered(strange({ uri: 'sip:carol@chicago.example' }), 403, STRANGER);
    answered(strange({ method: 'OPTIONS', uri: 'sip:carol@198.51.100.20' }), 403, STRANGER);
  });

  it.each([
    ['a foreign Route', { route: ['<sip:edge.chicago.example;lr>'] }],
    ['a foreign Route behind one of ours', { route: ['<sip:192.0.2.254;lr>', '<sip:edge.chicago.example;lr>'] }],
    [
      'a foreign Request-URI behind a Route of ours',
      { uri: 'sip:carol@chicago.example', route: ['<sip:192.0.2.254;lr>'] },
    ],
    ['a foreign URI behind a strict router', { uri: 'sip:192.0.2.254;lr', route: ['<sip:carol@chicago.example>'] }],
    ['a foreign maddr', { uri: 'sip:bob@biloxi.example;maddr=198.51.100.77' }],
    ['a foreign strict Route', { route: ['<sip:edge.chicago.example>'] }],
  ])('answers a stranger 403 for %s', (_, parts) => {
    answered(strange(parts), 403, STRANGER);
  });

  it('answers a stranger 403 within a dialog too: without Record-Route nothing tells a real one', () => {
    const to = 'Carol <sip:carol@chicago.example>;tag=1';
    answered(strange({ method: 'BYE', uri: 'sip:carol@chicago.example', to, route: ['<sip:192.0.2.254;lr>'] }), 403);
  });

  it('is silent about a foreign ACK of a stranger', () => {
    silent(strange({ method: 'ACK', uri: 'sip:carol@chicago.example' }));
  });

  it('judges by the source of the datagram, not by what Via says', () => {
    answered(strange({ uri: 'sip:carol@chicago.example', via: 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKs' }), 403);
  });

  it('relays for every address of a trusted network, none beside it', () => {
    const via = 'SIP/2.0/UDP pc.example;branch=z9hG4bKs';
    const text = request({ uri: 'sip:carol@chicago.example', via });
    forwarded(element.receive(text, { address: '192.0.2.255', port: 5060 }), CHICAGO);
    answered(element.receive(text, { address: '192.0.3.0', port: 5060 }), 403);
  });

  it('does not ask of a response where it comes from', () => {
    const out = forwarded(strange({}), BOB);
    expect(element.receive(replyTo(out.text), { address: '203.0.113.99', port: 5060 })).toHaveLength(1);
  });
});
