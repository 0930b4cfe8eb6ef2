/** Authentication where a request has several targets: RFC 3261 16.7 step 7 and 22.3, RFC 8760 2.5. In stateful mode. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, statusOf } from '../messages.ts';
import { signUp } from '../registrar/register.ts';
import { brief, CAROL, DAVE, replyOf, requestOf, uriAt } from '../stateful/call.ts';
import { BOB, type Endpoint, type Sent } from '../virtual-network.ts';
import { digestProxy, digestRegistrar, ownRequest, statusOfOnly, USERS, viaOfAlice } from './phone.ts';

const FOREIGN = 'Proxy-Authorization: Digest username="al", realm="c.example", nonce="1", uri="sip:x", response="2"';
const contactsAt = (...places: readonly (readonly [Endpoint, number])[]) => {
  const contacts = places.map(([place, q]) => ({ uri: uriAt(place), q }));
  return { domain: { users: [USERS[0], { user: 'bob', contacts }] } };
};

/** Only that of the other realm is left in these. */
function expectOthersAlone(sent: readonly Sent[]): void {
  for (const { text } of sent) expect(fieldsOf(text, 'Proxy-Authorization')).toEqual([FOREIGN.slice(21)]);
}

describe('a call that forks (22.3)', () => {
  it('is challenged once, before it does', () => {
    const { send, element } = digestProxy('stateful', contactsAt([CAROL, 1], [DAVE, 1]));
    expect(statusOfOnly(send(ownRequest()))).toBe(407);
    expect(element.occupancy().clientTransactions).toBe(0);
  });

  it('has our credentials in no branch, nor in the retransmissions of one', () => {
    const { call, element } = digestProxy('stateful', contactsAt([CAROL, 1], [DAVE, 1]));
    const sent = call({ headers: [FOREIGN] });
    expect(brief(sent)).toEqual(['INVITE to Carol', 'INVITE to Dave']);
    const later = element.advance(4000).filter(({ text }) => text.startsWith('INVITE '));
    expect(later.length).toBeGreaterThanOrEqual(4);
    expectOthersAlone([...sent, ...later]);
  });

  it('has them in no branch that is begun later, one after the other', () => {
    const { call, send } = digestProxy('stateful', contactsAt([CAROL, 1], [DAVE, 0.5]));
    const first = call({ headers: [FOREIGN] });
    expect(brief(first)).toEqual(['INVITE to Carol']);
    const next = send(replyOf(CAROL, first[0]!.text, '486 Busy Here'), CAROL);
    const second = requestOf(next, 'INVITE', DAVE);
    expectOthersAlone([...first, second]);
  });

  it('has them in no call to the next hop after one that did not answer', () => {
    const nextHops = ['sip:192.0.2.30:5080', 'sip:192.0.2.31:5080'];
    const { call, element } = digestProxy('stateful', { nextHops });
    const first = call({ headers: [FOREIGN] });
    const later = element.advance(60_000).filter(({ text }) => text.startsWith('INVITE '));
    expect(new Set([...first, ...later].map(({ to }) => to.address)).size).toBe(2);
    expectOthersAlone([...first, ...later]);
  });

  it('has them in no call to where a 3xx leads', () => {
    const { call, send } = digestProxy('stateful', { settings: { redirects: 'recurse' } });
    const first = call({ headers: [FOREIGN] });
    const headers = [`Contact: <${uriAt(CAROL)}>`];
    const moved = replyOf(BOB, first[0]!.text, '302 Moved Temporarily', { headers, ownContact: null });
    const next = requestOf(send(moved, BOB), 'INVITE');
    expect(next.to).toEqual(CAROL);
    expectOthersAlone([...first, next]);
  });

  it('has the challenges of its branches put together, in their order for each (16.7 step 7; 8760 2.5)', () => {
    const { call, send } = digestProxy('stateful', contactsAt([CAROL, 1], [DAVE, 1]));
    const via = viaOfAlice();
    const sent = call({ via });
    const value = (realm: string, algorithm: string) => `Digest realm="${realm}", nonce="1", algorithm=${algorithm}`;
    const proxies = ['SHA-256', 'MD5'].map((one) => value('biloxi.example', one));
    const users = ['SHA-512-256', 'MD5'].map((one) => value('dave.example', one));
    const toCarol = requestOf(sent, 'INVITE', CAROL);
    const toDave = requestOf(sent, 'INVITE', DAVE);
    const headers = proxies.map((one) => `Proxy-Authenticate: ${one}`);
    const early = send(replyOf(CAROL, toCarol.text, '407 Proxy Authentication Required', { headers }), CAROL);
    expect(early.filter(({ text }) => statusOf(text) >= 200)).toEqual([]);
    const others = users.map((one) => `WWW-Authenticate: ${one}`);
    const finals = send(replyOf(DAVE, toDave.text, '401 Unauthorized', { headers: others }), DAVE).filter(
      ({ text }) => statusOf(text) > 0,
    );
    expect(finals).toHaveLength(1);
    expect([401, 407]).toContain(statusOf(finals[0]!.text));
    expect(fieldsOf(finals[0]!.text, 'Proxy-Authenticate')).toEqual(proxies);
    expect(fieldsOf(finals[0]!.text, 'WWW-Authenticate')).toEqual(users);
    const to = fieldsOf(finals[0]!.text, 'To')[0]!;
    const cseq = fieldsOf(finals[0]!.text, 'CSeq')[0]!.replace('INVITE', 'ACK');
    expect(send(ownRequest({ method: 'ACK', via, cseq, to }))).toEqual([]);
  });

  it('goes on where a branch asks and the caller answers both it and us', () => {
    const { challenge, line, send } = digestProxy('stateful', contactsAt([CAROL, 1], [DAVE, 1]));
    const { nonce } = challenge();
    const sent = send(ownRequest({ headers: [FOREIGN, line(nonce!)] }));
    expect(brief(sent)).toEqual(['INVITE to Carol', 'INVITE to Dave']);
    expectOthersAlone(sent);
    const answered = send(replyOf(DAVE, requestOf(sent, 'INVITE', DAVE).text, '200 OK'), DAVE);
    expect(answered.filter(({ text }) => statusOf(text) === 200)).toHaveLength(1);
  });

  it('goes to what has been registered with a password, and nowhere before', () => {
    const { signOn, element } = digestRegistrar('stateful', {
      domain: { authenticate: ['REGISTER', 'INVITE'] },
      trusted: [],
    });
    const invite = () => ({
      uri: 'sip:alice@example.org',
      from: '<sip:eve@atlanta.example>;tag=1',
      to: '<sip:alice@example.org>',
    });
    const statuses = (sent: readonly Sent[]) =>
      sent.map(({ text }) => statusOf(text)).filter((status) => status !== 100);
    expect(statuses(element.receive(ownRequest(invite()), BOB))).toEqual([480]);
    for (const [at, callId] of [
      [CAROL, 'c'],
      [DAVE, 'd'],
    ] as const) {
      const contacts = [`<${uriAt(at, 'alice')}>`];
      expect(signOn({ password: 'guess' }, { callId, contacts }).status).toBe(401);
      expect(signOn({}, { callId, contacts }).status).toBe(200);
    }
    const sent = element.receive(ownRequest(invite()), BOB).filter(({ text }) => text.startsWith('INVITE '));
    expect(brief(sent)).toEqual(['INVITE to Carol', 'INVITE to Dave']);
  });

  it('over a Path or a flow has them no longer either (3327 5.4, 5626 7)', () => {
    const users = [...USERS, { user: 'carol' }];
    const { element, challenge, answer } = digestProxy('stateful', {
      domain: { users, registrar: 'on' },
      nextHops: [],
    });
    const flow = '<sip:bob@10.0.0.1>;+sip.instance="<urn:uuid:1>";reg-id=1';
    signUp(element, [flow], { headers: ['Supported: path, outbound'] }, BOB);
    const path = [`Path: <sip:${CAROL.address}:${CAROL.port};lr>`, 'Supported: path'];
    signUp(element, ['<sip:bob@10.0.0.2>'], { callId: 'by-path', headers: path }, CAROL);
    const sent = answer(challenge().nonce!, {}, { headers: [FOREIGN] });
    expect(brief(sent)).toEqual(['INVITE to Bob', 'INVITE to Carol']);
    expectOthersAlone(sent);
  });
});
