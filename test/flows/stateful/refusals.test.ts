/** Requests other than an INVITE that this server answers itself, and what comes for them again: RFC 3261 9.2, 17.2.2. */

import { describe, expect, it } from 'vitest';
import { request, statusOf } from '../messages.ts';
import { answerOf, register, registrarOf, signUp } from '../registrar/register.ts';
import { ALICE, type VirtualElement } from '../virtual-network.ts';
import { CAROL, NOTHING_HELD, openProxy, uriAt } from './call.ts';

const HOME = { domains: ['biloxi.example'], nextHops: [] };
const MESSAGE = request({ method: 'MESSAGE' });
/** Timer J. */
const LINGER_MS = 32_000;

const cancelOf = (text: string) => text.replace(/^\S+/, 'CANCEL').replace(/\r\nCSeq: (\d+) \S+/, '\r\nCSeq: $1 CANCEL');
const answersTo = (proxy: VirtualElement, text: string) =>
  proxy.receive(text, ALICE).map((sent) => sent.text.replace(/\r\nDate: [^\r]*/, ''));

describe('17.2.2, a request that was refused', () => {
  it('gets the same answer again, whatever has changed meanwhile, until Timer J ends', () => {
    const proxy = openProxy(HOME);
    const refused = answersTo(proxy, MESSAGE);
    expect(refused.map(statusOf)).toEqual([480]);
    signUp(proxy, [`<${uriAt(CAROL)}>`]);
    proxy.advance(LINGER_MS - 1000);
    expect(answersTo(proxy, MESSAGE)).toEqual(refused);
    proxy.advance(1100);
    expect(proxy.receive(MESSAGE, ALICE).map(({ to }) => to)).toEqual([CAROL]);
  });

  it('is not carried out when it comes again, if it is a REGISTER', () => {
    const registrar = registrarOf();
    registrar.register({ cseq: 5, contacts: ['<sip:a@192.0.2.1>'] });
    const late = register({ cseq: 4, contacts: ['<sip:a@192.0.2.1>'] });
    expect(answersTo(registrar, late).map(statusOf)).toEqual([500]);
    registrar.register({ callId: 'other', contacts: ['*'], expires: 0 });
    expect(answersTo(registrar, late).map(statusOf)).toEqual([500]);
    expect(registrar.bindings()).toEqual([]);
  });

  it('costs nobody anything, however many there are', () => {
    const proxy = openProxy({ ...HOME, settings: { limits: { transactions: 1024 } }, keptKib: 64 });
    signUp(proxy, [`<${uriAt(CAROL)}>`]);
    for (let i = 0; i < 2000; i++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKmany${i}`;
      const [answer] = answersTo(
        proxy,
        request({ method: 'MESSAGE', uri: 'sip:eve@biloxi.example', via, callId: `many${i}` }),
      );
      expect(statusOf(answer!)).toBe(480);
    }
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
    expect(proxy.counters().requests_answered_total).toBe(2000);
  });
});

describe('9.2, a CANCEL of what was answered already', () => {
  it.each([
    ['a MESSAGE that was refused', MESSAGE, 480],
    ['an OPTIONS', request({ method: 'OPTIONS', uri: 'sip:biloxi.example' }), 200],
    [
      'an OPTIONS that was refused',
      request({ method: 'OPTIONS', uri: 'sip:biloxi.example', headers: ['Require: x'] }),
      420,
    ],
    ['a REGISTER', register({ domain: 'biloxi.example', contacts: ['<sip:alice@192.0.2.10>'] }), 200],
    ['a MESSAGE that was redirected', request({ method: 'MESSAGE', uri: 'sip:bob@moved.example' }), 302],
    ['a REGISTER that was refused', register({ domain: 'biloxi.example', contacts: ['nobody'] }), 400],
  ])('gets a 200 and changes nothing: %s', (_, text, status) => {
    const moved = { name: 'moved.example', role: 'redirect', users: [{ user: 'bob', contacts: [uriAt(CAROL)] }] };
    const proxy = openProxy({ ...HOME, domains: [{ name: 'biloxi.example' }, moved as { name: string }] });
    expect(answerOf(proxy.receive(text, ALICE)).status).toBe(status);
    expect(answersTo(proxy, cancelOf(text)).map(statusOf)).toEqual([200]);
    expect(answersTo(proxy, cancelOf(text).replace('branch=z9hG4bK', 'branch=z9hG4bKx')).map(statusOf)).toEqual([481]);
  });
});
