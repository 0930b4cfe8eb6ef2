/** Responses of the server's own, RFC 3261 8.2.6, 8.2.7, 11.2, 18.2.2; and ACK, which gets none (17). */

import { describe, expect, it } from 'vitest';
import {
  bodyOf,
  fieldsOf,
  message,
  parameterOf,
  type RequestParts,
  request,
  startLineOf,
  tagOf,
  valuesOf,
} from './messages.ts';
import { answered, forwarded, silent } from './sole.ts';
import { ALICE, BOB, createElement, type Endpoint } from './virtual-network.ts';

const element = createElement();
/** An answer of the server: 483. */
const answer = (parts: RequestParts = {}, from: Endpoint = ALICE) =>
  answered(element.receive(request({ maxForwards: 0, ...parts }), from), 483);

describe('8.2.6.2, headers and tags', () => {
  it('copies From, Call-ID and CSeq', () => {
    const parts = {
      from: '"A, B" <sip:alice@atlanta.example;x=y>;tag=1;z',
      callId: 'weird(call)id@x',
      cseq: '0042   INVITE',
    };
    const { text } = answer(parts);
    expect(fieldsOf(text, 'From')).toEqual([parts.from]);
    expect(fieldsOf(text, 'Call-ID')).toEqual([parts.callId]);
    expect(fieldsOf(text, 'CSeq').map((value) => value.split(/\s+/))).toEqual([['0042', 'INVITE']]);
  });

  it('copies every Via in order', () => {
    const via = [
      'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1',
      'SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK2, SIP/2.0/UDP 10.0.0.2',
      'SIP/2.0/UDP 10.0.0.3;x',
    ];
    expect(valuesOf(answer({ via }).text, 'Via')).toEqual(via.flatMap((value) => value.split(', ')));
  });

  it('copies the top Via with received and rport', () => {
    const { text } = answer(
      { via: 'SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bK1' },
      { address: '192.0.2.1', port: 9988 },
    );
    const [via] = valuesOf(text, 'Via');
    expect(parameterOf(via!, 'received')).toBe('192.0.2.1');
    expect(parameterOf(via!, 'rport')).toBe('9988');
    expect(parameterOf(via!, 'branch')).toBe('z9hG4bK1');
  });

  it('copies 60 Vias and goes where a long request came from', () => {
    const via = Array.from({ length: 60 }, (_, i) => `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${i}`);
    const sent = answer({ via, headers: Array.from({ length: 40 }, (_, i) => `X-${i}: ${'y'.repeat(60)}`) });
    expect(valuesOf(sent.text, 'Via')).toEqual(via);
    expect(sent.to).toEqual(ALICE);
  });

  it('has no Via of its own', () => {
    expect(valuesOf(answer().text, 'Via')).toHaveLength(1);
  });

  it('adds a tag to To', () => {
    const [to] = fieldsOf(answer().text, 'To');
    expect(to).toMatch(/^Bob <sip:bob@biloxi\.example>;tag=[!%'*+.0-9A-Z_`a-z~-]+$/);
  });

  it('adds a tag where "tag=" is only in the display name or the URI', () => {
    for (const to of [
      '";tag=1" <sip:bob@biloxi.example>',
      '<sip:bob;tag=2@biloxi.example>',
      '<sip:bob@biloxi.example;tag=3>',
      'sip:bob@biloxi.example;xtag=4',
    ]) {
      const [value] = fieldsOf(answer({ to }).text, 'To');
      expect(value!.startsWith(to)).toBe(true);
      expect(value!.slice(to.length)).toMatch(/^;tag=[^;]+$/);
    }
  });

  it('keeps a tag that is there', () => {
    for (const to of [
      '<sip:bob@biloxi.example>;tag=8321',
      '<sip:bob@biloxi.example>;x; TAG = 8321',
      'sip:bob@biloxi.example;tag=8321',
    ])
      expect(fieldsOf(answer({ to }).text, 'To')).toEqual([to]);
  });

  it('adds the same tag for a retransmission (8.2.7), whole answer included', () => {
    expect(answer().text).toBe(answer().text);
  });

  it('adds another tag for another transaction', () => {
    const tags = ['1', '2', '3', '4'].map((n) =>
      tagOf(fieldsOf(answer({ callId: n, via: `SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK${n}` }).text, 'To')[0]!),
    );
    expect(new Set(tags).size).toBe(4);
  });

  it('has Content-Length 0 and no body', () => {
    const { text } = answer({ headers: ['Content-Type: application/sdp'], body: 'v=0\r\n' });
    expect(fieldsOf(text, 'Content-Length')).toEqual(['0']);
    expect(bodyOf(text)).toBe('');
    expect(fieldsOf(text, 'Content-Type')).toEqual([]);
  });

  it('copies Timestamp into a 100 only (8.2.6.1)', () => {
    expect(fieldsOf(answer({ headers: ['Timestamp: 54'] }).text, 'Timestamp')).toEqual([]);
  });

  it('copies compact and folded fields', () => {
    const text = message('INVITE sip:bob@biloxi.example SIP/2.0', [
      'v: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1',
      'f: <sip:a@atlanta.example>\r\n ;tag=1',
      't:\r\n <sip:bob@biloxi.example>',
      'i: c1',
      'CSeq: 1\r\n INVITE',
      'Max-Forwards: 0',
    ]);
    const sent = answered(element.receive(text, ALICE), 483);
    expect(fieldsOf(sent.text, 'From')[0]!.replace(/\s+/g, '')).toBe('<sip:a@atlanta.example>;tag=1');
    expect(fieldsOf(sent.text, 'To')[0]).toMatch(/^<sip:bob@biloxi\.example>;tag=./);
    expect(fieldsOf(sent.text, 'Call-ID')).toEqual(['c1']);
  });

  it('copies what there is when mandatory fields are missing', () => {
    const sent = answered(element.receive(request({ from: null, to: null, callId: null }), ALICE), 400);
    expect(valuesOf(sent.text, 'Via')).toHaveLength(1);
    expect(fieldsOf(sent.text, 'CSeq')).toEqual(['1 INVITE']);
  });
});

describe('18.2.2, where an answer goes', () => {
  it.each<[string, string, Endpoint, Endpoint]>([
    [
      'the sent-by port at the source',
      'SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 40000 },
      { address: '192.0.2.10', port: 5062 },
    ],
    [
      'port 5060 at the source',
      'SIP/2.0/UDP pc.example;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 40000 },
      { address: '192.0.2.10', port: 5060 },
    ],
    [
      'the source port with rport',
      'SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bK1',
      { address: '192.0.2.1', port: 9988 },
      { address: '192.0.2.1', port: 9988 },
    ],
    [
      'maddr',
      'SIP/2.0/UDP 192.0.2.10:5062;maddr=192.0.2.99;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 5062 },
      { address: '192.0.2.99', port: 5062 },
    ],
  ])('%s', (_, via, from, to) => {
    expect(answer({ via }, from).to).toEqual(to);
  });

  it('leaves from the socket, and on a wildcard the address, the request came to', () => {
    const two = createElement({ listen: ['udp:192.0.2.254:5070', 'udp:*:5060'] });
    const sent = answered(two.receive(request({ maxForwards: 0 }), ALICE, 1, '192.0.2.253'), 483);
    expect(sent.socket).toBe(1);
    expect(sent.from).toBe('192.0.2.253');
  });
});

describe('8.2.2.2, an OPTIONS to the server itself that comes by another way too', () => {
  const ask = (branch: string, over: 'udp' | 'tcp', parts: RequestParts = {}) =>
    request({
      method: 'OPTIONS',
      uri: 'sip:192.0.2.254',
      via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${branch}`,
      callId: `merged-${over}`,
      ...parts,
    });

  it('is a merged request while the transaction of the other lives: 482', () => {
    const stateful = createElement({ mode: 'stateful', over: 'udp' });
    const statusOf = (text: string) => Number(/ (\d{3}) /.exec(stateful.receive(text, ALICE)[0]!.text)![1]);
    expect(statusOf(ask('1', 'udp'))).toBe(200);
    expect(statusOf(ask('1', 'udp'))).toBe(200);
    expect(statusOf(ask('2', 'udp'))).toBe(482);
    expect(statusOf(ask('3', 'udp', { cseq: '2 OPTIONS' }))).toBe(200);
    expect(statusOf(ask('4', 'udp', { to: '<sip:192.0.2.254>;tag=1' }))).toBe(200);
    stateful.advance(32_000);
    expect(statusOf(ask('5', 'udp'))).toBe(200);
  });

  it.each([
    ['by a stream, where it is over at once (17.2.2)', 'stateful', 'tcp'],
    ['without transactions (8.2.7)', 'stateless', 'udp'],
  ] as const)('is answered as any other %s', (_, mode, over) => {
    const one = createElement({ mode, over });
    for (const branch of ['1', '2']) answered(one.receive(ask(branch, over), ALICE), 200);
  });
});

describe('11.2, OPTIONS to the server itself', () => {
  it.each(['sip:192.0.2.254', 'sip:192.0.2.254:5060', 'sip:192.0.2.254;transport=udp'])(
    'is answered 200: %s',
    (uri) => {
      const { text } = answered(element.receive(request({ method: 'OPTIONS', uri }), ALICE), 200, ALICE);
      expect(startLineOf(text)).toBe('SIP/2.0 200 OK');
      expect(fieldsOf(text, 'Accept')).toHaveLength(1);
      expect(fieldsOf(text, 'Supported')).toHaveLength(1);
      expect(bodyOf(text)).toBe('');
    },
  );

  it('names no methods: a proxy is method agnostic', () => {
    expect(
      fieldsOf(
        answered(element.receive(request({ method: 'OPTIONS', uri: 'sip:192.0.2.254' }), ALICE), 200).text,
        'Allow',
      ),
    ).toEqual([]);
  });

  it('behind a Route of ours is answered too', () => {
    answered(
      element.receive(request({ method: 'OPTIONS', uri: 'sip:192.0.2.254', route: ['<sip:192.0.2.254;lr>'] }), ALICE),
      200,
    );
  });

  it('is answered for strangers, who are not relayed for', () => {
    const via = 'SIP/2.0/UDP 203.0.113.66;branch=z9hG4bK1';
    answered(
      element.receive(request({ method: 'OPTIONS', uri: 'sip:192.0.2.254', via }), {
        address: '203.0.113.66',
        port: 5060,
      }),
      200,
    );
  });

  it('for a user is forwarded', () => {
    forwarded(element.receive(request({ method: 'OPTIONS' }), ALICE), BOB);
  });
});

describe('17, ACK is never answered', () => {
  it('is forwarded when nothing is wrong', () => {
    forwarded(element.receive(request({ method: 'ACK' }), ALICE), BOB);
  });

  it.each<[string, RequestParts]>([
    ['Max-Forwards 0', { maxForwards: 0 }],
    ['broken Max-Forwards', { maxForwards: 'x' }],
    ['no To', { to: null }],
    ['no From', { from: null }],
    ['no Call-ID', { callId: null }],
    ['no CSeq', { cseq: null }],
    ['no Via', { via: null }],
    ['another method in CSeq', { cseq: '1 INVITE' }],
    ['a broken Via', { via: 'SIP/2.0/UDP ;branch=x' }],
    ['two Call-IDs', { headers: ['Call-ID: 2'] }],
    ['a broken Request-URI', { uri: 'sip:@' }],
    ['an unknown scheme', { uri: 'unknown:x' }],
    ['another version', { version: 'SIP/3.0' }],
    ['a broken Route', { route: ['<sip:'] }],
    ['a short body', { contentLength: 10 }],
    ['a host that does not resolve', { uri: 'sip:carol@nowhere.example' }],
    ['a transport that is not there', { uri: 'sip:carol@chicago.example;transport=tcp' }],
  ])('%s', (_, parts) => {
    silent(element.receive(request({ method: 'ACK', ...parts }), ALICE));
  });

  it('not even with the server itself as target', () => {
    const lonely = createElement({ nextHops: [] });
    silent(lonely.receive(request({ method: 'ACK', uri: 'sip:192.0.2.254' }), ALICE));
    silent(lonely.receive(request({ method: 'ACK' }), ALICE));
  });

  it('not even when broken beyond its first line', () => {
    silent(element.receive('ACK sip:bob@biloxi.example SIP/2.0\r\n\r\n', ALICE));
    silent(element.receive('ACK sip:bob@biloxi.example SIP/2.0\r\nnonsense\r\n', ALICE));
  });
});

describe('16.11, what a stateless proxy does not do', () => {
  it('sends no 100 Trying', () => {
    forwarded(element.receive(request(), ALICE), BOB);
  });

  it('does not answer a CANCEL it can forward (16.10 is for stateful proxies)', () => {
    forwarded(element.receive(request({ method: 'CANCEL' }), ALICE), BOB);
  });
});
