/** Requests of our own users on their way through the proxy: RFC 3261 16.3 step 6, 22.1 and 22.3. What is asked for is in
 *  challenge.test.ts, which credentials are right in credentials.test.ts. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, type RequestParts, statusOf, uriOf, withoutOurLines } from '../messages.ts';
import { MODES } from '../registrar/register.ts';
import { replyOf, requestOf } from '../stateful/call.ts';
import { BOB, CHICAGO, PROXY, type Sent, STRANGER } from '../virtual-network.ts';
import { digestProxy, FROM_ALICE, ownRequest, statusOfOnly, USERS, viaOfAlice } from './phone.ts';

const TAGGED = 'Bob <sip:bob@biloxi.example>;tag=at-192.0.2.30';
const FOREIGN = 'sip:carol@chicago.example';
const OTHERS = [
  'Proxy-Authorization: Digest username="al", realm="chicago.example", nonce="1", uri="sip:x", response="2"',
  'Proxy-Authorization: Bearer abc',
  'Authorization: Digest username="alice", realm="biloxi.example", nonce="1", uri="sip:x", response="2"',
];

describe.each(MODES)('the request of a user of ours in mode %s', (mode) => {
  it('leaves without the credentials that were for us, and else as it came', () => {
    const { challenge, line, send } = digestProxy(mode, { settings: { recordRoute: [] } });
    const { nonce } = challenge();
    for (let place = 0; place <= OTHERS.length; place++) {
      const via = viaOfAlice();
      const ours = line(nonce!, { nc: `0000000${place + 1}` }, { body: 'v=0\r\n' });
      const parts = { via, cseq: `${place + 50} INVITE`, body: 'v=0\r\n' };
      const text = ownRequest({ ...parts, headers: [...OTHERS.slice(0, place), ours, ...OTHERS.slice(place)] });
      const sent = send(text);
      expect(statusOfOnly(sent)).toBe(0);
      const expected = ownRequest({ ...parts, headers: OTHERS }).replace('Max-Forwards: 70', 'Max-Forwards: 69');
      expect(withoutOurLines(sent[0]!.text, text)).toBe(expected);
    }
  });

  it('leaves without those that were used, where more are of our realm (22.3)', () => {
    const { challenge, line, send } = digestProxy(mode);
    const { nonce } = challenge();
    const ours = line(nonce!, { algorithm: 'SHA-256' });
    const sent = send(ownRequest({ headers: [ours, line(nonce!, { algorithm: 'MD5' })] }));
    expect(statusOfOnly(sent)).toBe(0);
    expect(sent[0]!.text).not.toContain(ours);
  });

  it('keeps credentials for our realm name in Authorization: those are for the UAS (22.2)', () => {
    const { call } = digestProxy(mode);
    const sent = call({ headers: [OTHERS[2]!] });
    expect(fieldsOf(sent[0]!.text, 'Authorization')).toHaveLength(1);
    expect(fieldsOf(sent[0]!.text, 'Proxy-Authorization')).toEqual([]);
  });

  it('in the name of another is 403 (22: authorized)', () => {
    const { call } = digestProxy(mode);
    for (const from of ['bob', 'nobody', 'Alice', 'alice%20', 'alic'])
      expect(statusOfOnly(call({ from: `Bob <sip:${from}@biloxi.example>;tag=1` }))).toBe(403);
    expect(statusOfOnly(call({ from: '<sip:biloxi.example>;tag=1' }))).toBe(403);
    expect(statusOfOnly(call({ from: '<sip:bob@biloxi.example:9999>;tag=1' }))).toBe(403);
  });

  it.each([
    '<sip:%61lice@BILOXI.example>;tag=1',
    'sip:alice@biloxi.example;tag=1',
    '<sip:alice@biloxi.example:5060;x=y>;tag=1',
  ])('is his own by %s', (from) => {
    expect(statusOfOnly(digestProxy(mode).call({ from }))).toBe(0);
  });

  it('may name him alice@biloxi.example', () => {
    const { call } = digestProxy(mode);
    expect(statusOfOnly(call({}, { username: 'alice@biloxi.example' }))).toBe(0);
    expect(statusOfOnly(call({ from: '<sip:bob@biloxi.example>;tag=1' }, { username: 'alice@biloxi.example' }))).toBe(
      403,
    );
  });

  it.each(['INVITE', 'MESSAGE', 'SUBSCRIBE', 'OPTIONS'])('goes to a foreign domain from anywhere: %s', (method) => {
    const { send, call } = digestProxy(mode, { trusted: [] }, ['INVITE', 'MESSAGE', 'SUBSCRIBE', 'OPTIONS']);
    const sent = call({ method, uri: FOREIGN }, {}, STRANGER);
    expect(sent.map(({ to, text }) => [to, uriOf(text)])).toEqual([[CHICAGO, FOREIGN]]);
    // Who is nobody of ours does not.
    const from = '<sip:eve@atlanta.example>;tag=1';
    expect(statusOfOnly(send(ownRequest({ method, uri: FOREIGN, from }), STRANGER))).toBe(403);
  });

  it('goes to telephone numbers and by a Route from anywhere', () => {
    const { call, send } = digestProxy(mode, { trusted: [] });
    expect(call({ uri: 'tel:+15550100' }, {}, STRANGER).map(({ to }) => to)).toEqual([BOB]);
    expect(call({ route: ['<sip:198.51.100.9;lr>'] }, {}, STRANGER).map(({ to }) => to)).toEqual([CHICAGO]);
    const from = '<sip:eve@atlanta.example>;tag=1';
    expect(statusOfOnly(send(ownRequest({ uri: 'tel:+15550100', from }), STRANGER))).toBe(403);
  });

  it('of a method that is not asked for proves nothing', () => {
    const { send } = digestProxy(mode, { trusted: [] });
    expect(statusOfOnly(send(ownRequest({ method: 'OPTIONS', uri: FOREIGN }), STRANGER))).toBe(403);
  });

  it('with a To tag that it has made up is let through to nowhere else', () => {
    const { send } = digestProxy(mode, { trusted: [] });
    const to = '<sip:carol@chicago.example>;tag=made-up';
    for (const uri of [FOREIGN, 'tel:+15550100']) {
      // Of a BYE nothing is asked.
      for (const [method, status] of [
        ['INVITE', 407],
        ['MESSAGE', 407],
        ['BYE', 403],
      ] as const)
        expect(statusOfOnly(send(ownRequest({ method, uri, to }), STRANGER))).toBe(status);
    }
  });

  it('is not allowed more by what the request before it has proved', () => {
    const { call, send } = digestProxy(mode, { trusted: [] });
    expect(statusOfOnly(call({ uri: FOREIGN }, {}, STRANGER))).toBe(0);
    const from = '<sip:eve@atlanta.example>;tag=1';
    expect(statusOfOnly(send(ownRequest({ uri: FOREIGN, from }), STRANGER))).toBe(403);
    expect(statusOfOnly(send(ownRequest({ method: 'OPTIONS', uri: FOREIGN }), STRANGER))).toBe(403);
  });

  it('to a user that there is not is 404 then', () => {
    const { call } = digestProxy(mode);
    expect(statusOfOnly(call({ uri: 'sip:nobody@biloxi.example' }))).toBe(404);
  });

  it('is asked for before the redirect server says where somebody is (22.1)', () => {
    const users = [USERS[0], { user: 'bob', contacts: ['sip:bob@192.0.2.31'] }];
    const domain = { role: 'redirect', users };
    const { send, call } = digestProxy(mode, { domain, nextHops: [] });
    const asked = send(ownRequest());
    expect([401, 407]).toContain(statusOfOnly(asked));
    expect(asked[0]!.text).not.toContain('192.0.2.31');
    expect(statusOfOnly(call())).toBe(302);
  });

  it('that asks us ourselves is answered after its challenge', () => {
    const { send, call } = digestProxy(mode, {}, ['OPTIONS', 'MESSAGE']);
    expect([401, 407]).toContain(statusOfOnly(send(ownRequest({ method: 'OPTIONS', uri: 'sip:192.0.2.254' }))));
    expect(statusOfOnly(call({ method: 'OPTIONS', uri: 'sip:192.0.2.254' }))).toBe(200);
  });
});

describe('the request of a user of ours', () => {
  it('is challenged, or refused, though there is no room for transactions any more', () => {
    const { element, send, call } = digestProxy('stateful', { settings: { limits: { transactions: 1024 } } });
    const statuses = Array.from({ length: 1100 }, () => statusOfOnly(send(ownRequest())));
    expect(statuses.filter((status) => status !== 407 && status !== 503)).toEqual([]);
    expect(statuses.slice(0, 1000)).toEqual(Array(1000).fill(407));
    element.advance(60_000);
    expect(statusOfOnly(call())).toBe(0);
  });

  it('that waits for a name to be looked up leaves as any other', async () => {
    const slowHosts = ['chicago.example'];
    const { element, challenge, answer } = digestProxy('stateful', { trusted: [], slowHosts });
    const { nonce } = challenge();
    expect(answer(nonce!, {}, { uri: FOREIGN, headers: [OTHERS[0]!] }, STRANGER)).toEqual([]);
    const sent = requestOf(await element.settleLookUps(), 'INVITE');
    expect(sent.to).toEqual(CHICAGO);
    expect(fieldsOf(sent.text, 'Proxy-Authorization')).toEqual([OTHERS[0]!.slice(21)]);
  });

  it('is not asked again when it comes back to us by our own choice of a contact (16.3 step 4: a spiral)', () => {
    const users = [...USERS, { user: 'team', contacts: ['sip:bob@biloxi.example'] }];
    const hosts = { 'biloxi.example': [PROXY.address] };
    const { call, send } = digestProxy('stateful', { domain: { users }, hosts });
    const uri = 'sip:team@biloxi.example';
    let sent = call({ uri });
    for (let i = 0; i < 3 && sent[0]!.to.address === PROXY.address; i++) sent = send(sent[0]!.text, PROXY);
    expect(sent.map(({ to }) => to)).toEqual([BOB]);
  });
});

describe.each(MODES)('a whole call in mode %s', (mode) => {
  const bare = { headers: [], body: '' };

  it('is challenged, acknowledged, made again, answered and ended', () => {
    const { send, challenge, line, text } = digestProxy(mode);
    const via = viaOfAlice();
    const first = ownRequest({ via, cseq: '1 INVITE' });
    const [refused] = send(first);
    expect(statusOf(refused!.text)).toBe(407);
    // 17.1.1.3, 8.2.7: the ACK is for us, and goes no further.
    const to = fieldsOf(refused!.text, 'To')[0]!;
    expect(send(ownRequest({ ...bare, method: 'ACK', via, cseq: '1 ACK', to }))).toEqual([]);

    const again = viaOfAlice();
    const parts: RequestParts = { via: again, cseq: '2 INVITE' };
    const { nonce } = challenge();
    const [reached] = send(text(nonce!, {}, parts));
    expect([reached!.to, statusOf(reached!.text)]).toEqual([BOB, 0]);
    const ringing = send(replyOf(BOB, reached!.text, '180 Ringing'), BOB);
    expect(ringing.map((one) => statusOf(one.text))).toEqual([180]);
    expect(send(replyOf(BOB, reached!.text, '200 OK'), BOB).map((one) => statusOf(one.text))).toEqual([200]);
    // Without transactions the server does not stay in the dialog: it cannot know that there is one.
    const route = fieldsOf(reached!.text, 'Record-Route');
    expect(route).toHaveLength(mode === 'stateful' ? 1 : 0);
    const answered = { cseq: '3 INVITE', headers: [line(nonce!, { nc: '00000002' })] };
    for (const method of ['ACK', 'INVITE', 'BYE']) {
      const parts = { method, to: TAGGED, route, cseq: `${method === 'ACK' ? 2 : 3} ${method}` };
      const within = send(ownRequest({ ...parts, ...(mode === 'stateless' && method === 'INVITE' ? answered : {}) }));
      expect(within.map((one) => one.text.split(' ')[0])).toEqual([method]);
      if (method === 'ACK') continue;
      const back = send(replyOf(BOB, within[0]!.text, '488 Not Acceptable Here'), BOB).map((one) => statusOf(one.text));
      expect(back).toContain(488);
    }
  });

  it('is challenged again if it is sent again, with one answer each, until the ACK', () => {
    const { element, send } = digestProxy(mode);
    const via = viaOfAlice();
    const invite = ownRequest({ via, cseq: '1 INVITE' });
    const [refused] = send(invite);
    element.advance(100);
    const [repeated] = send(invite);
    expect(statusOf(repeated!.text)).toBe(407);
    expect(fieldsOf(repeated!.text, 'To')).toEqual(fieldsOf(refused!.text, 'To'));
    // 17.2.1: Timer G sends it again, in stateful mode alone (8.2.7).
    const later = element.advance(600).map((one) => statusOf(one.text));
    expect(later).toEqual(mode === 'stateful' ? [407] : []);
    const to = fieldsOf(refused!.text, 'To')[0]!;
    send(ownRequest({ ...bare, method: 'ACK', via, cseq: '1 ACK', to }));
    expect(element.advance(40_000)).toEqual([]);
  });

  it('that was challenged can still be cancelled: 200, and no challenge (22.1)', () => {
    const { send } = digestProxy(mode);
    const via = viaOfAlice();
    send(ownRequest({ via, cseq: '1 INVITE' }));
    const sent = send(ownRequest({ ...bare, method: 'CANCEL', via, cseq: '1 CANCEL' }));
    const statuses = sent.map((one) => statusOf(one.text));
    expect(statuses).toEqual(mode === 'stateful' ? [200] : [0]);
  });

  it('that rings is cancelled without credentials (22.1)', () => {
    const { send, call } = digestProxy(mode);
    const via = viaOfAlice();
    const [reached] = call({ via, cseq: '9 INVITE' });
    send(replyOf(BOB, reached!.text, '180 Ringing'), BOB);
    const sent = send(ownRequest({ ...bare, method: 'CANCEL', via, cseq: '9 CANCEL' }));
    const cancel = requestOf(sent, 'CANCEL');
    expect(cancel.to).toEqual(BOB);
    expect(sent.filter((one) => statusOf(one.text) >= 400)).toEqual([]);
    send(replyOf(BOB, cancel.text, '200 OK'), BOB);
    const final = send(replyOf(BOB, reached!.text, '487 Request Terminated'), BOB);
    expect(final.map((one) => statusOf(one.text))).toContain(487);
  });

  it('has a 407 and 401 of those behind us brought back as they are (16.7 step 7, 22.3)', () => {
    const { send, call } = digestProxy(mode);
    for (const [status, name] of [
      ['407 Proxy Authentication Required', 'Proxy-Authenticate'],
      ['401 Unauthorized', 'WWW-Authenticate'],
    ] as const) {
      const [reached] = call();
      const values = ['SHA-256', 'MD5'].map(
        (one) => `Digest realm="biloxi.example", nonce="1", algorithm=${one}, qop="auth"`,
      );
      const headers = values.map((value) => `${name}: ${value}`);
      const back = send(replyOf(BOB, reached!.text, status, { headers }), BOB).filter((one) => statusOf(one.text) > 0);
      expect(back.map((one) => fieldsOf(one.text, name))).toEqual([values]);
    }
  });

  /** Alice, at a source that is not trusted, calls a foreign domain; what came to its server. */
  const callAbroad = (via: string) => {
    const proxy = digestProxy(mode, { trusted: [] });
    const { nonce } = proxy.challenge();
    const line = proxy.line(nonce!, {}, { uri: FOREIGN });
    const to = `<${FOREIGN}>`;
    const sent = proxy.send(ownRequest({ via, cseq: '5 INVITE', uri: FOREIGN, to, headers: [line] }), STRANGER);
    expect(sent.map((one) => one.to)).toEqual([CHICAGO]);
    return { ...proxy, line, to, reached: sent[0]! };
  };
  const passed = (sent: readonly Sent[], method: string) => sent.filter((one) => one.text.startsWith(`${method} `));

  if (mode === 'stateful') {
    it('abroad from a source that is not trusted can be cancelled (22.1, 16.10)', () => {
      const via = viaOfAlice();
      const { send, to, reached } = callAbroad(via);
      send(replyOf(CHICAGO, reached.text, '180 Ringing'), CHICAGO);
      const cancel = ownRequest({ ...bare, method: 'CANCEL', via, cseq: '5 CANCEL', uri: FOREIGN, to });
      expect(passed(send(cancel, STRANGER), 'CANCEL').map((one) => one.to)).toEqual([CHICAGO]);
    });

    it('abroad is answered, and all within its dialog is let through without credentials', () => {
      const via = viaOfAlice();
      const { send, reached } = callAbroad(via);
      const [route] = fieldsOf(reached.text, 'Record-Route');
      expect(send(replyOf(CHICAGO, reached.text, '200 OK'), CHICAGO).map((one) => statusOf(one.text))).toEqual([200]);
      const within = { route: [route!], uri: FOREIGN, to: `<${FOREIGN}>;tag=at-198.51.100.9` };
      for (const method of ['ACK', 'INVITE', 'MESSAGE', 'BYE']) {
        const sent = send(ownRequest({ ...within, method, cseq: `${method === 'ACK' ? 5 : 6} ${method}` }), STRANGER);
        expect(sent.map((one) => [one.to, one.text.split(' ')[0]])).toEqual([[CHICAGO, method]]);
      }
    });
  } else {
    it('abroad from a source that is not trusted can be cancelled: the CANCEL goes where the INVITE went (22.1, 16.10, 16.11)', () => {
      const via = viaOfAlice();
      const { send, to } = callAbroad(via);
      const cancel = ownRequest({ ...bare, method: 'CANCEL', via, cseq: '5 CANCEL', uri: FOREIGN, to });
      expect(passed(send(cancel, STRANGER), 'CANCEL').map((one) => one.to)).toEqual([CHICAGO]);
    });

    it('abroad that is refused is acknowledged with the credentials that the INVITE had (22.1: MUST be accepted)', () => {
      const via = viaOfAlice();
      const { send, line, reached } = callAbroad(via);
      expect(statusOfOnly(send(replyOf(CHICAGO, reached.text, '486 Busy Here'), CHICAGO))).toBe(486);
      const to = `<${FOREIGN}>;tag=at-198.51.100.9`;
      const ack = ownRequest({ method: 'ACK', via, cseq: '5 ACK', uri: FOREIGN, to, headers: [line] });
      expect(passed(send(ack, STRANGER), 'ACK').map((one) => one.to)).toEqual([CHICAGO]);
    });
  }

  it('tells the callee nothing that he could use: credentials of the INVITE in its ACK stay here (22.1, 22.3)', () => {
    const { send, challenge, line, text } = digestProxy(mode);
    const { nonce } = challenge();
    const [reached] = send(text(nonce!, {}, { cseq: '4 INVITE' }));
    send(replyOf(BOB, reached!.text, '200 OK'), BOB);
    const within = { to: TAGGED, headers: [line(nonce!)] };
    for (const method of ['ACK', 'BYE']) {
      const [sent] = send(ownRequest({ ...within, method, cseq: `4 ${method}` }));
      expect(fieldsOf(sent!.text, 'Proxy-Authorization')).toEqual([]);
    }
  });

  it('has a From that is folded, compact, and his', () => {
    const { challenge, line, send } = digestProxy(mode);
    const headers = [`f: ${FROM_ALICE.replace(' ', '\r\n ')}`, line(challenge().nonce!)];
    expect(statusOfOnly(send(ownRequest({ from: null, headers })))).toBe(0);
  });
});
