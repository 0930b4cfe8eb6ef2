/** Requests within the dialogs of our own users: whom a proxy in their route does not ask again (RFC 3261 16.3 step 6, 16.4, 22.3), and by
 *  what it knows them. Who makes a To tag up is in challenge.test.ts. */

import { expect, describe as group, it } from 'vitest';
import { fieldsOf, type RequestParts, statusOf } from '../messages.ts';
import { replyOf, requestOf } from '../stateful/call.ts';
import { ALICE, BOB, CHICAGO, type Endpoint, type Sent, STRANGER } from '../virtual-network.ts';
import { type Digested, digestProxy, FROM_ALICE, ownRequest, statusOfOnly } from './phone.ts';

const METHODS = ['INVITE', 'BYE', 'MESSAGE', 'OPTIONS', 'REFER'];
const TO_BOB = 'Bob <sip:bob@biloxi.example>';
const TAGGED = `${TO_BOB};tag=at-192.0.2.30`;

/** Alice has called Bob; what came to him, its Record-Routes. */
function dialogOf(options: Digested = {}, parts: RequestParts = {}) {
  const proxy = digestProxy('stateful', options, METHODS);
  const reached = requestOf(proxy.call(parts), 'INVITE');
  const back = proxy.send(replyOf(reached.to, reached.text, '200 OK'), reached.to);
  expect(back.map(({ text }) => statusOf(text))).toEqual([200]);
  return { ...proxy, reached, route: fieldsOf(reached.text, 'Record-Route') };
}

/** What became of it: the status of the answer, or 0 where it has left for somebody. */
function fateOf(sent: readonly Sent[]): number {
  return statusOfOnly(sent);
}

group('within a dialog that goes over us', () => {
  it('neither side is asked, whatever it sends', () => {
    const { send, route } = dialogOf();
    for (const method of METHODS) {
      expect(fateOf(send(ownRequest({ method, to: TAGGED, route, uri: 'sip:bob@192.0.2.30:5080' })))).toBe(0);
      const back = { from: TAGGED, to: FROM_ALICE, uri: 'sip:alice@192.0.2.10', route: [...route].reverse() };
      const there = requestOf(send(ownRequest({ method, ...back }), BOB), method);
      expect(there.to).toEqual(ALICE);
    }
  });

  it('nobody is who makes another call of it: each Call-ID has its own Record-Route', () => {
    const { send, route } = dialogOf();
    expect(fateOf(send(ownRequest({ to: TAGGED, route, callId: 'another@atlanta.example' })))).toBe(407);
    expect(fateOf(send(ownRequest({ to: TAGGED, route, callId: '2xTb9vxSit55XU7p8@atlanta.examplE' })))).toBe(407);
  });

  it('what begins something is asked for credentials though it has our Route: it has no To tag', () => {
    const { send, route } = dialogOf();
    expect(fateOf(send(ownRequest({ route })))).toBe(407);
  });

  it('a Record-Route that was changed is not ours', () => {
    const { send, route } = dialogOf();
    const [value] = route;
    const digits = /;dlg=([0-9a-f]{16})/.exec(value!)![1]!;
    for (let i = 0; i < digits.length; i++) {
      const other = digits[i] === '0' ? '1' : '0';
      const changed = value!.replace(digits, digits.slice(0, i) + other + digits.slice(i + 1));
      expect(fateOf(send(ownRequest({ to: TAGGED, route: [changed] })))).toBe(407);
    }
    expect(fateOf(send(ownRequest({ to: TAGGED, route: [value!.replace(digits, digits.toUpperCase())] })))).toBe(0);
  });

  it.each([1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 1000])(
    'a Call-ID of %i characters counts to the last',
    (length) => {
      const callId = 'c'.repeat(length);
      const { send, route } = dialogOf({}, { callId });
      expect(fateOf(send(ownRequest({ to: TAGGED, route, callId })))).toBe(0);
      for (const other of [`${callId.slice(0, -1)}d`, `${callId}c`, `${callId}\0`.replace('\0', '0')])
        expect(fateOf(send(ownRequest({ to: TAGGED, route, callId: other })))).toBe(407);
    },
  );

  it('a strict router before us has our Record-Route in the Request-URI (16.4)', () => {
    const { send, route } = dialogOf();
    const uri = /<(.*)>/.exec(route[0]!)![1]!;
    const strict = { to: TAGGED, uri, route: ['<sip:bob@192.0.2.30:5080>'] };
    expect(fateOf(send(ownRequest(strict)))).toBe(0);
    expect(fateOf(send(ownRequest({ ...strict, uri: uri.replace(/;dlg=.*/, '') })))).toBe(407);
  });

  it('both of two Record-Routes say so, and each is enough', () => {
    const listen = ['udp:192.0.2.254:5060', 'udp:192.0.2.254:5070'];
    const { element, send, line, challenge } = digestProxy('stateful', { listen }, METHODS);
    const { nonce } = challenge();
    const text = ownRequest({ headers: [line(nonce!)] });
    const reached = requestOf(element.receive(text, ALICE, 1), 'INVITE');
    const route = fieldsOf(reached.text, 'Record-Route');
    for (const routes of [route, [...route].reverse(), ...route.map((one) => [one])])
      expect(fateOf(send(ownRequest({ to: TAGGED, route: routes })))).toBe(0);
  });

  it('the rest of a Record-Route is as it is where nobody is asked', () => {
    const { route } = dialogOf();
    expect(route.map((one) => one.replace(/;dlg=[0-9a-f]{16}/, ''))).toEqual(['<sip:192.0.2.254:5060;lr>']);
  });

  it('a foreign party calls, and our user is not asked within that dialog', () => {
    const { send } = digestProxy('stateful', { trusted: [] }, METHODS);
    const from = '<sip:eve@atlanta.example>;tag=evil';
    const reached = requestOf(send(ownRequest({ from }), STRANGER), 'INVITE');
    send(replyOf(BOB, reached.text, '200 OK'), BOB);
    const route = fieldsOf(reached.text, 'Record-Route');
    const bye = { method: 'BYE', from: TAGGED, to: from, uri: 'sip:carol@chicago.example', route };
    expect(requestOf(send(ownRequest(bye), BOB), 'BYE').to).toEqual(CHICAGO);
  });

  it('a dialog that is reached by a flow has both tokens', () => {
    const { element, line, challenge, send } = digestProxy('stateful', {}, METHODS);
    const behindNat: Endpoint = { address: '192.0.2.77', port: 40_000 };
    const via = 'SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKnat';
    const headers = [line(challenge().nonce!), 'Contact: <sip:alice@10.0.0.1:5060>'];
    const reached = requestOf(element.receive(ownRequest({ via, headers }), behindNat), 'INVITE');
    const route = fieldsOf(reached.text, 'Record-Route');
    expect(route.map((one) => /flow/.test(one))).toEqual([false, true]);
    const again = ownRequest({ to: TAGGED, via: via.replace('nat', 'again'), route: [...route].reverse() });
    expect(fateOf(send(again, behindNat))).toBe(0);
  });
});

group('where only registrations are asked for credentials', () => {
  it('a Record-Route says nothing of its dialog', () => {
    const { element } = digestProxy('stateful', {}, ['REGISTER']);
    const reached = requestOf(element.receive(ownRequest(), ALICE), 'INVITE');
    expect(fieldsOf(reached.text, 'Record-Route')).toEqual(['<sip:192.0.2.254:5060;lr>']);
  });
});
