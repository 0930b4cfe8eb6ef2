/** The branch of a stateless proxy, RFC 3261 16.11: the same for the same transaction, another for any other. */

import { describe, expect, it } from 'vitest';
import { ALICE_VIA, branchOf, type RequestParts, request, uriOf } from './messages.ts';
import { forwarded } from './sole.ts';
import { ALICE, createElement } from './virtual-network.ts';

const element = createElement();
const branchFor = (parts: RequestParts, from = ALICE) =>
  branchOf(forwarded(element.receive(request(parts), from)).text);
const BOB_ANSWERED = 'Bob <sip:bob@biloxi.example>;tag=8321234356';

describe('16.11, a branch with the magic cookie', () => {
  it('leads to the same branch for a retransmission', () => {
    const first = branchFor({});
    expect(branchFor({})).toBe(first);
    expect(first).toMatch(/^z9hG4bK.{8,}/);
  });

  it('leads to the same branch in another element with the same configuration', () => {
    const other = branchOf(forwarded(createElement().receive(request(), ALICE)).text);
    expect(other).toBe(branchFor({}));
  });

  it('leads to the same branch for the CANCEL (9.1)', () => {
    expect(branchFor({ method: 'CANCEL' })).toBe(branchFor({}));
  });

  it('leads to the same branch for the ACK of a failure (17.1.1.3)', () => {
    expect(branchFor({ method: 'ACK', to: BOB_ANSWERED })).toBe(branchFor({}));
  });

  it('leads to the same branch whatever else the CANCEL or ACK leaves out', () => {
    const invite = branchFor({ headers: ['Contact: <sip:alice@192.0.2.10>', 'Subject: x'], body: 'v=0\r\n' });
    expect(branchFor({ method: 'CANCEL', maxForwards: 10 })).toBe(invite);
    expect(branchFor({ method: 'ACK', to: BOB_ANSWERED, maxForwards: 3 })).toBe(invite);
  });

  it('leads to the same branch along a Route', () => {
    const route = ['<sip:192.0.2.254;lr>', '<sip:edge.chicago.example;lr>'];
    const invite = branchFor({ route });
    expect(branchFor({ route, method: 'CANCEL' })).toBe(invite);
    expect(branchFor({ route, method: 'ACK', to: BOB_ANSWERED })).toBe(invite);
  });

  it('is a transaction of its own for the ACK of a 2xx (13.2.2.4)', () => {
    const ack = { method: 'ACK', to: BOB_ANSWERED, via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack' };
    expect(branchFor(ack)).not.toBe(branchFor({}));
  });

  it('leads to another branch for another incoming branch', () => {
    const branches = Array.from({ length: 64 }, (_, i) =>
      branchFor({ via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK74bf${i}` }),
    );
    expect(new Set(branches).size).toBe(64);
  });

  it('leads to another branch for another sent-by, host or port (17.2.3)', () => {
    const branches = ['192.0.2.10:5060', '192.0.2.11:5060', '192.0.2.10:5061'].map((sentBy) =>
      branchFor({ via: `SIP/2.0/UDP ${sentBy};branch=z9hG4bK74bf9` }),
    );
    expect(new Set(branches).size).toBe(3);
  });

  it('does not depend on the Vias below the top one', () => {
    expect(branchFor({ via: [ALICE_VIA, 'SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx'] })).toBe(branchFor({ via: ALICE_VIA }));
  });

  it('does not depend on the port a retransmission comes from', () => {
    const via = 'SIP/2.0/UDP 10.1.1.1;rport;branch=z9hG4bKnat';
    expect(branchFor({ via }, { address: '192.0.2.10', port: 1111 })).toBe(
      branchFor({ via }, { address: '192.0.2.10', port: 2222 }),
    );
  });
});

describe.each([
  ['no branch', 'SIP/2.0/UDP 192.0.2.10:5060'],
  ['a branch of RFC 2543', 'SIP/2.0/UDP 192.0.2.10:5060;branch=390skdjuw'],
  ['a bare magic cookie (RFC 4475 3.2.1)', 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK'],
])('16.11, %s', (_, via) => {
  const base = { via };

  it('leads to the same branch for a retransmission and the CANCEL', () => {
    const first = branchFor(base);
    expect(branchFor(base)).toBe(first);
    expect(first).toMatch(/^z9hG4bK.{8,}/);
    expect(branchFor({ ...base, method: 'CANCEL' })).toBe(first);
  });

  it.each<[string, RequestParts]>([
    ['another top Via', { via: via.replace('.10:5060', '.11:5060') }],
    ['another To tag', { to: BOB_ANSWERED }],
    ['another From tag', { from: 'Alice <sip:alice@atlanta.example>;tag=other' }],
    ['another Call-ID', { callId: 'other@atlanta.example' }],
    ['another CSeq number', { cseq: '2 INVITE' }],
    ['another Request-URI', { uri: 'sip:robert@biloxi.example' }],
  ])('leads to another branch for %s', (_what, parts) => {
    expect(branchFor({ ...base, ...parts })).not.toBe(branchFor(base));
  });

  it('does not mix up neighbouring fields', () => {
    const left = branchFor({
      ...base,
      callId: 'ab',
      from: '<sip:a@atlanta.example>;tag=c',
      to: '<sip:b@biloxi.example>;tag=d',
    });
    const right = branchFor({
      ...base,
      callId: 'a',
      from: '<sip:a@atlanta.example>;tag=bc',
      to: '<sip:b@biloxi.example>;tag=d',
    });
    const swapped = branchFor({
      ...base,
      callId: 'ab',
      from: '<sip:a@atlanta.example>;tag=d',
      to: '<sip:b@biloxi.example>;tag=c',
    });
    expect(new Set([left, right, swapped]).size).toBe(3);
  });
});

describe('16.11, a retransmission', () => {
  it('leaves as the very same bytes to the same place', () => {
    const [first, again] = [1, 2].map(() => forwarded(element.receive(request({ body: 'v=0\r\n' }), ALICE)));
    expect(again!.text).toBe(first!.text);
    expect(again!.to).toEqual(first!.to);
  });

  it('does so after other traffic', () => {
    const before = forwarded(element.receive(request(), ALICE));
    for (let i = 0; i < 20; i++) element.receive(request({ callId: `${i}`, uri: 'sip:carol@chicago.example' }), ALICE);
    expect(forwarded(element.receive(request(), ALICE)).text).toBe(before.text);
  });

  it('of a spiral has another branch than its first pass', () => {
    const first = forwarded(element.receive(request(), ALICE));
    const spiral = first.text.replace(uriOf(first.text), 'sip:carol@chicago.example');
    const second = forwarded(element.receive(spiral, { address: '192.0.2.30', port: 5080 }));
    expect(branchOf(second.text)).not.toBe(branchOf(first.text));
    expect(branchOf(second.text, 1)).toBe(branchOf(first.text));
  });
});
