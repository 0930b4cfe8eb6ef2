/** The basic call through the stateful proxy (RFC 3665 3.2), with its transactions coming and going. */

import { expect, it } from 'vitest';
import { branchOf, fieldsOf, replyTo, request, startLineOf, statusOf, valuesOf } from '../messages.ts';
import { ALICE, BOB, createElement } from '../virtual-network.ts';

const starts = (sent: readonly { text: string }[]) => sent.map(({ text }) => startLineOf(text));

it('carries INVITE, 100, 180, 200, ACK, BYE and 200, and holds nothing afterwards', () => {
  const element = createElement({ mode: 'stateful' });
  const [trying, invite] = element.receive(request(), ALICE);
  expect(statusOf(trying!.text)).toBe(100);
  expect(trying!.to).toEqual(ALICE);
  expect(fieldsOf(trying!.text, 'To')[0]).not.toMatch(/tag=/);
  expect(invite!.to).toEqual(BOB);
  expect(valuesOf(invite!.text, 'Record-Route')).toEqual(['<sip:192.0.2.254:5060;lr>']);
  expect(valuesOf(invite!.text, 'Max-Breadth')).toEqual(['60']);

  expect(starts(element.receive(replyTo(invite!.text, '100 Trying'), BOB))).toEqual([]);
  const ringing = element.receive(replyTo(invite!.text, '180 Ringing'), BOB);
  expect(starts(ringing)).toEqual(['SIP/2.0 180 Ringing']);
  expect(valuesOf(ringing[0]!.text, 'Via')).toHaveLength(1);
  expect(starts(element.receive(request(), ALICE))).toEqual(['SIP/2.0 180 Ringing']);
  const ok = element.receive(replyTo(invite!.text, '200 OK'), BOB);
  expect(starts(ok)).toEqual(['SIP/2.0 200 OK']);
  expect(ok[0]!.to).toEqual(ALICE);
  expect(starts(element.receive(request(), ALICE))).toEqual([]);
  expect(starts(element.receive(replyTo(invite!.text, '200 OK'), BOB))).toEqual(['SIP/2.0 200 OK']);

  const inDialog = {
    route: ['<sip:192.0.2.254:5060;lr>'],
    uri: 'sip:bob@192.0.2.30:5080',
    to: '<sip:bob@biloxi.example>;tag=314159',
  };
  const ack = element.receive(
    request({ ...inDialog, method: 'ACK', via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack' }),
    ALICE,
  );
  expect(starts(ack)).toEqual(['ACK sip:bob@192.0.2.30:5080 SIP/2.0']);
  expect(valuesOf(ack[0]!.text, 'Record-Route')).toEqual([]);
  const bye = request({
    ...inDialog,
    method: 'BYE',
    cseq: '2 BYE',
    via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye',
  });
  const [forwardedBye] = element.receive(bye, ALICE);
  expect(startLineOf(forwardedBye!.text)).toBe('BYE sip:bob@192.0.2.30:5080 SIP/2.0');
  expect(branchOf(forwardedBye!.text)).not.toBe(branchOf(invite!.text));
  expect(starts(element.receive(bye, ALICE))).toEqual([]);
  expect(starts(element.receive(replyTo(forwardedBye!.text), BOB))).toEqual(['SIP/2.0 200 OK']);
  expect(starts(element.receive(bye, ALICE))).toEqual(['SIP/2.0 200 OK']);
  expect(starts(element.advance(40_000))).toEqual([]);
  expect(element.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
});

it('retransmits an INVITE until it is given up, answers 408 until that is acknowledged', () => {
  const element = createElement({ mode: 'stateful' });
  element.receive(request(), ALICE);
  const sent = element.advance(33_000);
  expect(sent.map(({ text, atMs }) => `${Math.round(atMs / 100) / 10} ${startLineOf(text)}`)).toEqual([
    ...[0.5, 1.5, 3.5, 7.5, 15.5, 31.5].map((at) => `${at} INVITE sip:bob@biloxi.example SIP/2.0`),
    '32 SIP/2.0 408 Request Timeout',
    '32.5 SIP/2.0 408 Request Timeout',
  ]);
  const ack = request({ method: 'ACK', cseq: '1 ACK', to: fieldsOf(sent.at(-1)!.text, 'To')[0]! });
  expect(element.receive(ack, ALICE)).toEqual([]);
  expect(element.advance(6000)).toEqual([]);
  expect(element.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
});

it('cancels what rings, passes the 487 back and acknowledges it', () => {
  const element = createElement({ mode: 'stateful' });
  const [, invite] = element.receive(request(), ALICE);
  const cancel = request({ method: 'CANCEL', cseq: '1 CANCEL', headers: ['Reason: SIP ;cause=200'] });
  expect(starts(element.receive(cancel, ALICE))).toEqual(['SIP/2.0 200 OK']);
  const ringing = element.receive(replyTo(invite!.text, '180 Ringing'), BOB);
  expect(starts(ringing)).toEqual(['CANCEL sip:bob@biloxi.example SIP/2.0', 'SIP/2.0 180 Ringing']);
  const [sentCancel] = ringing;
  expect(branchOf(sentCancel!.text)).toBe(branchOf(invite!.text));
  expect(valuesOf(sentCancel!.text, 'Via')).toHaveLength(1);
  expect(fieldsOf(sentCancel!.text, 'Reason')).toEqual(['SIP ;cause=200']);
  expect(starts(element.receive(replyTo(sentCancel!.text), BOB))).toEqual([]);
  const terminated = element.receive(replyTo(invite!.text, '487 Request Terminated'), BOB);
  expect(starts(terminated)).toEqual(['ACK sip:bob@biloxi.example SIP/2.0', 'SIP/2.0 487 Request Terminated']);
  expect(
    element.receive(request({ method: 'ACK', cseq: '1 ACK', to: fieldsOf(terminated[1]!.text, 'To')[0]! }), ALICE),
  ).toEqual([]);
  expect(starts(element.advance(40_000))).toEqual([]);
  expect(element.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
});
