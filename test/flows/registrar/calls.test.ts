/** Calls to registered users through the proxy: RFC 3261 16.5, 16.6, 16.7 over the bindings that 10.3 made. */

import { describe, expect, it } from 'vitest';
import { ALICE_VIA, branchOf, fieldsOf, request, startLineOf, statusOf, uriOf } from '../messages.ts';
import {
  brief,
  CAROL,
  Call,
  DAVE,
  NOTHING_HELD,
  openProxy,
  requestOf,
  responseOf,
  timeline,
} from '../stateful/call.ts';
import { ALICE, BOB, createElement, type ElementOptions, type Endpoint, STRANGER } from '../virtual-network.ts';
import { MODES, PHONE, signUp } from './register.ts';

const HOME = { domains: ['biloxi.example'], nextHops: [] };
const at = ({ address, port }: Endpoint, more = '') => `<sip:bob@${address}:${port}${more}>`;

/** A stateful proxy where bob has these contacts, and Alice's call to him. */
function callTo(contacts: readonly string[], options: ElementOptions = {}, parts: Parameters<typeof request>[0] = {}) {
  const proxy = openProxy({ ...HOME, ...options });
  signUp(proxy, contacts);
  return new Call({ proxy, request: parts });
}

const withUser = (entry: unknown) => ({ domains: [{ name: 'biloxi.example', users: [entry] } as { name: string }] });

describe.each(MODES)('16.5 in mode %s', (mode) => {
  const called = (contacts: readonly string[], parts: Parameters<typeof request>[0] = {}, options = {}) => {
    const proxy = createElement({ mode, ...HOME, ...options });
    if (contacts.length > 0) signUp(proxy, contacts);
    return proxy.receive(request(parts), ALICE).filter(({ text }) => statusOf(text) !== 100);
  };
  const answer = (sent: ReturnType<typeof called>) => sent.map(({ text }) => statusOf(text));

  it.each([
    ['sip:bob@biloxi.example', 200],
    ['sip:%62ob@BILOXI.example', 200],
    ['sip:bob@biloxi.example:5060;user=phone;transport=udp', 200],
    ['sip:Bob@biloxi.example', 480],
    ['sip:bobby@biloxi.example', 480],
  ])('%s', (uri, status) => {
    const sent = called([at(CAROL)], { uri });
    if (status === 480) expect(answer(sent)).toEqual([480]);
    else expect(sent.map(({ to }) => to)).toEqual([CAROL]);
  });

  it('who has no binding gets his callers 480, who is not there 404', () => {
    expect(answer(called([]))).toEqual([480]);
    expect(answer(called([], {}, withUser('bob')))).toEqual([480]);
    expect(answer(called([], { uri: 'sip:eve@biloxi.example' }, withUser('bob')))).toEqual([404]);
  });

  it('strangers may call our users (16.3, no relay)', () => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, [at(CAROL)]);
    expect(requestOf(proxy.receive(request(), STRANGER), 'INVITE').to).toEqual(CAROL);
  });

  it('a contact that is no SIP URI is none to send to', () => {
    expect(answer(called(['<tel:+15550100>', '<mailto:bob@biloxi.example>']))).toEqual([480]);
    expect(called(['<tel:+15550100>', at(CAROL, ''), '<mailto:bob@biloxi.example>']).map(({ to }) => to)).toEqual([
      CAROL,
    ]);
  });

  it('headers and the method of a contact do not get into the Request-URI (19.1.1, 19.1.5)', () => {
    const [sent] = called([at(CAROL, ';method=BYE;x=1?Subject=hi&Route=%3Csip:evil.example%3E')]);
    expect(sent!.to).toEqual(CAROL);
    expect(uriOf(sent!.text)).toBe(`sip:bob@${CAROL.address}:${CAROL.port};x=1`);
    expect(fieldsOf(sent!.text, 'Subject')).toEqual([]);
    expect(fieldsOf(sent!.text, 'Route')).toEqual([]);
    const [alone] = called([at(CAROL, ';METHOD=BYE')]);
    expect(uriOf(alone!.text)).toBe(`sip:bob@${CAROL.address}:${CAROL.port}`);
    const [last] = called([at(CAROL, ';x;method=INVITE;lr')]);
    expect(uriOf(last!.text)).toBe(`sip:bob@${CAROL.address}:${CAROL.port};x;lr`);
  });

  it('an expired binding is none', () => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, [`${at(CAROL)};expires=100`]);
    proxy.advance(99_999);
    expect(requestOf(proxy.receive(request(), ALICE), 'INVITE').to).toEqual(CAROL);
    proxy.advance(1);
    const via = 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlater';
    expect(proxy.receive(request({ via }), ALICE).map(({ text }) => statusOf(text))).toEqual([480]);
  });

  it('other methods go there, too', () => {
    for (const method of ['MESSAGE', 'OPTIONS', 'SUBSCRIBE', 'FOO']) {
      expect(called([at(CAROL)], { method }).map(({ to, text }) => [to, startLineOf(text)])).toEqual([
        [CAROL, `${method} sip:bob@${CAROL.address}:${CAROL.port} SIP/2.0`],
      ]);
    }
  });

  it('16.6 steps 3 and 8: a hop less and a Via more, To as it was', () => {
    const [sent] = called([at(CAROL)], { maxForwards: 9 });
    expect(fieldsOf(sent!.text, 'Max-Forwards')).toEqual(['8']);
    expect(fieldsOf(sent!.text, 'To')).toEqual(['Bob <sip:bob@biloxi.example>']);
    expect(fieldsOf(sent!.text, 'Via')).toHaveLength(2);
  });

  it('16.3 step 3: no hop left', () => {
    expect(answer(called([at(CAROL)], { maxForwards: 0 }))).toEqual([483]);
  });

  it('16.5: a request whose Request-URI is a contact goes there, with nobody looked up', () => {
    const proxy = createElement({ mode, ...HOME });
    signUp(proxy, [at(CAROL)]);
    const { to } = requestOf(proxy.receive(request({ method: 'BYE', uri: 'sip:bob@192.0.2.32:5080' }), ALICE), 'BYE');
    expect(to).toEqual(DAVE);
  });

  it('a contact of a transport that there is not fails', () => {
    const [status] = answer(called([at(CAROL, ';transport=tcp')]));
    expect(status).toBeGreaterThanOrEqual(400);
  });

  it('who is registered here but has a next hop for others', () => {
    const domains = [{ name: 'biloxi.example', registrar: 'on', nextHops: [`sip:${DAVE.address}:${DAVE.port}`] }];
    const options = { domains: domains as unknown as { name: string }[] };
    expect(called([at(CAROL)], {}, options).map(({ to }) => to)).toEqual([CAROL]);
    expect(called([], {}, options).map(({ to }) => to)).toEqual([DAVE]);
  });
});

describe('13.2.2.4, an ACK that names the user', () => {
  const ack = request({ method: 'ACK', cseq: '1 ACK', to: '<sip:bob@biloxi.example>;tag=1', via: `${ALICE_VIA}ack` });

  it('goes to all his contacts: one of them has answered', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, [at(CAROL), at(DAVE, ';x=1'), '<tel:+15550100>', '<sip:bob@192.0.2.34>;expires=60']);
    proxy.advance(60_000);
    const sent = proxy.receive(ack, ALICE);
    expect(brief(sent)).toEqual(['ACK to Carol', 'ACK to Dave']);
    expect(sent.map(({ text }) => uriOf(text)).sort()).toEqual(
      [at(CAROL), at(DAVE, ';x=1')].map((uri) => uri.slice(1, -1)),
    );
    expect(proxy.occupancy().keptMessages).toBe(0);
  });

  it('fixed ones, too, each with a branch of its own', () => {
    const contacts = [at(DAVE).slice(1, -1), `sip:bob@${BOB.address}:${BOB.port}`];
    const proxy = openProxy({ ...HOME, ...withUser({ user: 'bob', contacts }) });
    signUp(proxy, [at(CAROL)]);
    const sent = proxy.receive(ack, ALICE);
    expect(brief(sent)).toEqual(['ACK to Bob', 'ACK to Carol', 'ACK to Dave']);
    expect(new Set(sent.map(({ text }) => branchOf(text))).size).toBe(3);
  });

  it('those whose names are not known yet are waited for, if there are no others, or counted', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, ['<sip:bob@one.example>', '<sip:bob@two.example>', at(CAROL)]);
    expect(brief(proxy.receive(ack, ALICE))).toEqual(['ACK to Carol']);
    expect(proxy.counters().bad_acks_dropped_total).toBe(2);
  });

  it('or to the one that he has', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, [at(CAROL)]);
    expect(brief(proxy.receive(ack, ALICE))).toEqual(['ACK to Carol']);
  });
});

describe('16.7, a single binding in stateful mode', () => {
  it('retransmissions, CANCEL and the ACK of a refusal have the URI of the contact (9.1, 17.1.1.3)', () => {
    const call = callTo([at(CAROL, ';x=1')]);
    const uri = `sip:bob@${CAROL.address}:${CAROL.port};x=1`;
    const invite = call.reached(CAROL);
    expect(call.advance(600).map(({ text }) => text)).toEqual([invite.text]);
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Carol']);
    expect(brief(call.advance(600))).toEqual(['CANCEL to Carol']);
    call.reply(CAROL, '200 OK', 'CANCEL');
    const sent = call.reply(CAROL, '487 Request Terminated', 'INVITE');
    expect(brief(sent)).toEqual(['487 to Alice', 'ACK to Carol']);
    for (const method of ['CANCEL', 'ACK']) {
      const { text } = call.reached(CAROL, method);
      expect([uriOf(text), branchOf(text)]).toEqual([uri, branchOf(invite.text)]);
    }
    call.acknowledge(responseOf(sent, 487));
  });

  it('a binding that is gone meanwhile changes nothing for a call that rings', () => {
    const call = callTo([at(CAROL)]);
    const first = call.reached(CAROL);
    signUp(call.proxy, ['*'], { callId: 'gone', expires: 0 });
    for (const user of ['u1', 'u2', 'u3']) signUp(call.proxy, [at(DAVE)], { user });
    expect(call.advance(600).map(({ text }) => text)).toEqual([first.text]);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('the INVITE once more reaches nobody twice', () => {
    const call = callTo([at(CAROL)]);
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
    call.reply(CAROL, '200 OK');
  });

  it('a dialog goes on to the contact: ACK and BYE by our Record-Route (16.12)', () => {
    const call = callTo([at(CAROL)]);
    const route = fieldsOf(call.reached(CAROL).text, 'Record-Route');
    expect(route).toEqual(['<sip:192.0.2.254:5060;lr>']);
    const [ok] = call.reply(CAROL, '200 OK');
    const to = fieldsOf(ok!.text, 'To')[0]!;
    for (const [method, cseq] of [
      ['ACK', '1 ACK'],
      ['BYE', '2 BYE'],
    ] as const) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${method}`;
      const sent = call.fromAlice(
        request({ method, cseq, uri: `sip:bob@${CAROL.address}:${CAROL.port}`, to, route, via }),
      );
      expect(brief(sent)).toEqual([`${method} to Carol`]);
    }
    call.reply(CAROL, '200 OK', 'BYE');
  });

  it('nobody there: 408 when Timer B fires', () => {
    const call = callTo([at(CAROL)]);
    const sent = call.advance(32_100);
    expect(timeline(sent).at(-1)).toBe('32 408 to Alice');
    call.acknowledge(responseOf(sent, 408));
  });

  it('ICMP says nobody is there', () => {
    const call = callTo([at(CAROL)]);
    call.proxy.noteUnreachable(CAROL);
    const sent = call.advance(520);
    expect(brief(sent)).toEqual(['500 to Alice']);
    call.acknowledge(responseOf(sent, 500));
  });

  it('the kernel refuses it', () => {
    const refuse = (sent: { to: Endpoint }) => (sent.to.address === CAROL.address ? 101 : 0);
    const call = callTo([at(CAROL)], { refuse });
    expect(brief(call.first)).toEqual(['100 to Alice', '500 to Alice']);
    call.acknowledge(responseOf(call.first, 500));
  });

  it('a 302 of the contact goes back to the caller', () => {
    const call = callTo([at(CAROL)]);
    const sent = call.reply(CAROL, '302 Moved Temporarily');
    expect(brief(sent)).toEqual(['302 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 302));
  });

  it('or is followed, but not to the contact that was tried', () => {
    const call = callTo([at(CAROL)], { settings: { redirects: 'recurse' } });
    const contact = { ownContact: null, headers: [`Contact: ${at(CAROL)}, ${at(DAVE)}`] } as const;
    const sent = call.reply(CAROL, '302 Moved Temporarily', 'INVITE', contact);
    expect(brief(sent)).toEqual(['ACK to Carol', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });
});

describe('16.6 and 16.7, several bindings in stateful mode', () => {
  it('of one q ring together, and the first 200 ends the others (16.7 step 10)', () => {
    const call = callTo([at(BOB), at(CAROL), `${at(DAVE)};q=1.0`]);
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob', 'INVITE to Carol', 'INVITE to Dave']);
    for (const ua of [BOB, CAROL, DAVE]) expect(brief(call.reply(ua, '180 Ringing'))).toEqual(['180 to Alice']);
    const sent = call.reply(CAROL, '200 OK');
    expect(brief(sent)).toEqual(['200 to Alice', 'CANCEL to Bob', 'CANCEL to Dave']);
    for (const ua of [BOB, DAVE]) {
      expect(uriOf(call.reached(ua, 'CANCEL').text)).toBe(at(ua).slice(1, -1));
      call.reply(ua, '200 OK', 'CANCEL');
      expect(brief(call.reply(ua, '487 Request Terminated', 'INVITE'))).toHaveLength(1);
      expect(uriOf(call.reached(ua, 'ACK').text)).toBe(at(ua).slice(1, -1));
    }
  });

  it('a lower q waits until those above have failed', () => {
    const call = callTo([`${at(BOB)};q=0.1`, `${at(CAROL)};q=0.9`, `${at(DAVE)};q=0.9`]);
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol', 'INVITE to Dave']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol']);
    expect(brief(call.reply(DAVE, '480 Temporarily Unavailable'))).toEqual(['ACK to Dave', 'INVITE to Bob']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('the best answer goes back when all have failed (16.7 step 6)', () => {
    const call = callTo([at(BOB), at(CAROL)]);
    call.reply(BOB, '503 Service Unavailable');
    const sent = call.reply(CAROL, '486 Busy Here');
    expect(brief(sent)).toEqual(['486 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 486));
  });

  it('a 6xx ends it (16.7 step 5)', () => {
    const call = callTo([at(BOB), at(CAROL), `${at(DAVE)};q=0.5`]);
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.reply(BOB, '603 Decline'))).toEqual(['ACK to Bob', 'CANCEL to Carol']);
    call.reply(CAROL, '200 OK', 'CANCEL');
    const sent = call.reply(CAROL, '487 Request Terminated', 'INVITE');
    expect(brief(sent)).toEqual(['603 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 603));
  });

  it('a CANCEL reaches all that ring (16.10)', () => {
    const call = callTo([at(BOB), at(CAROL), `${at(DAVE)};q=0.5`]);
    for (const ua of [BOB, CAROL]) call.reply(ua, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob', 'CANCEL to Carol']);
    const sent = [BOB, CAROL].flatMap((ua) => {
      call.reply(ua, '200 OK', 'CANCEL');
      return call.reply(ua, '487 Request Terminated', 'INVITE');
    });
    expect(brief(sent)).toEqual(['487 to Alice', 'ACK to Bob', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 487));
  });

  it('one that ICMP says is not there gives way to the lower q', () => {
    const call = callTo([at(CAROL), `${at(DAVE)};q=0.5`]);
    call.proxy.noteUnreachable(CAROL);
    expect(brief(call.advance(520))).toEqual(['INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('one that does not answer gives way to the lower q', () => {
    const call = callTo([at(CAROL), `${at(DAVE)};q=0.5`]);
    expect(timeline(call.advance(32_100)).at(-1)).toBe('32 INVITE to Dave');
    call.reply(DAVE, '200 OK');
  });

  it('one whose name nobody knows does not keep the others', () => {
    const call = callTo(['<sip:bob@nowhere.example>', at(DAVE)]);
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Dave']);
    const sent = call.reply(DAVE, '486 Busy Here');
    expect(brief(sent)).toEqual(['486 to Alice', 'ACK to Dave']);
    call.acknowledge(responseOf(sent, 486));
  });

  it('registered and fixed ones are one target set', () => {
    const options = withUser({
      user: 'bob',
      contacts: [{ uri: 'sip:b@192.0.2.30:5080', q: 0.5 }, 'sip:c@192.0.2.31:5080'],
    });
    const call = callTo([at(DAVE), `<sip:bob@192.0.2.33:5080>;q=0.2`], options);
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol', 'INVITE to Dave']);
    call.reply(CAROL, '486 Busy Here');
    expect(brief(call.reply(DAVE, '486 Busy Here'))).toEqual(['ACK to Dave', 'INVITE to Bob']);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob', 'INVITE to Eve']);
    const sent = call.reply({ address: '192.0.2.33', port: 5080 }, '486 Busy Here');
    call.acknowledge(responseOf(sent, 486));
  });

  it('one that is registered and fixed rings once (16.5: each target once)', () => {
    const options = withUser({ user: 'bob', contacts: [`sip:bob@${DAVE.address}:${DAVE.port}`] });
    const call = callTo([at(DAVE)], options);
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('other methods fork, too, and the first 2xx wins', () => {
    const call = callTo([at(CAROL), at(DAVE)], {}, { method: 'MESSAGE' });
    expect(brief(call.first)).toEqual(['MESSAGE to Carol', 'MESSAGE to Dave']);
    expect(brief(call.reply(DAVE, '200 OK'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual([]);
  });

  it('16 of them, all given back at the end', () => {
    const contacts = Array.from({ length: 16 }, (_, i) => `<sip:bob@192.0.2.${100 + i}>`);
    const call = callTo(contacts);
    expect(call.first.filter(({ text }) => text.startsWith('INVITE'))).toHaveLength(16);
    call.acknowledge(responseOf(call.advance(32_100), 408));
    call.advance(900_000);
    expect(call.proxy.occupancy()).toEqual(NOTHING_HELD);
  });

  it('more than there is memory for is answered, and all is given back', () => {
    const proxy = createElement({ mode: 'stateful', ...HOME, keptKib: 64 });
    const contacts = Array.from({ length: 16 }, (_, i) => `<sip:bob@192.0.2.${100 + i};x=${'y'.repeat(40)}>`);
    signUp(proxy, contacts);
    for (let i = 0; i < 60; i++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKm${i}`;
      const sent = proxy.receive(request({ via, callId: `m${i}`, method: i % 2 === 0 ? 'INVITE' : 'MESSAGE' }), ALICE);
      expect(sent.length).toBeGreaterThan(0);
    }
    proxy.advance(1_000_000);
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
  });
});

describe('RFC 3263, contacts with a host name', () => {
  const hosts = { 'phone.example': [CAROL.address], 'other.example': [DAVE.address] };
  const slow = { hosts, slowHosts: ['phone.example'] };
  const NAMED = '<sip:bob@phone.example:5080;x=1>';

  it('a call waits for the name, with a 100', async () => {
    const call = callTo([NAMED], slow);
    expect(brief(call.first)).toEqual(['100 to Alice']);
    expect(brief(await call.settleLookUps())).toEqual(['INVITE to Carol']);
    expect(uriOf(call.reached(CAROL).text)).toBe('sip:bob@phone.example:5080;x=1');
    call.reply(CAROL, '200 OK');
  });

  it('other methods, too', async () => {
    const call = callTo([NAMED], slow, { method: 'MESSAGE' });
    expect(brief(await call.settleLookUps())).toEqual(['MESSAGE to Carol']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('that nobody knows is a 5xx', async () => {
    const call = callTo(['<sip:bob@nowhere.example>'], { hosts, slowHosts: ['nowhere.example'] });
    const sent = await call.settleLookUps();
    expect(sent.map(({ text }) => statusOf(text))).toEqual([500]);
    call.acknowledge(sent[0]!);
  });

  it('a CANCEL meanwhile ends it', async () => {
    const call = callTo([NAMED], slow);
    const sent = [...call.cancel(), ...(await call.settleLookUps())];
    expect(brief(sent)).toEqual(['200 to Alice', '487 to Alice']);
    call.acknowledge(responseOf(sent, 487));
  });

  it('the binding may go meanwhile', async () => {
    const call = callTo([NAMED], slow);
    signUp(call.proxy, ['*'], { callId: 'gone', expires: 0 }, PHONE);
    expect(brief(await call.settleLookUps())).toEqual(['INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('the next address after a 503 (4.3)', () => {
    const call = callTo(['<sip:bob@two.example:5080>'], { hosts: { 'two.example': [CAROL.address, DAVE.address] } });
    const first = requestOf(call.first, 'INVITE').to;
    const next = requestOf(call.reply(first, '503 Service Unavailable'), 'INVITE');
    expect([first.address, next.to.address].sort()).toEqual([CAROL.address, DAVE.address]);
    expect(uriOf(next.text)).toBe('sip:bob@two.example:5080');
    call.reply(next.to, '200 OK');
  });
});

describe('16.11, stateless mode', () => {
  const open = (...contacts: readonly string[]) => {
    const proxy = createElement({ mode: 'stateless', ...HOME });
    signUp(proxy, contacts);
    return proxy;
  };

  it('the contact with the highest q gets the INVITE, its retransmission, CANCEL and ACK, with one branch', () => {
    const proxy = open(`${at(BOB)};q=0.5`, `${at(CAROL)};q=0.9`, '<tel:+15550100>');
    const sent = [
      request(),
      request(),
      request({ method: 'CANCEL', cseq: '1 CANCEL' }),
      request({ method: 'ACK', cseq: '1 ACK', to: 'Bob <sip:bob@biloxi.example>;tag=1' }),
    ].flatMap((text) => proxy.receive(text, ALICE));
    expect(brief(sent)).toEqual(['ACK to Carol', 'CANCEL to Carol', 'INVITE to Carol', 'INVITE to Carol']);
    expect(new Set(sent.map(({ text }) => branchOf(text))).size).toBe(1);
    expect(new Set(sent.map(({ text }) => uriOf(text)))).toEqual(new Set([at(CAROL).slice(1, -1)]));
  });

  it('nothing is kept', () => {
    const proxy = open(at(BOB), at(CAROL));
    for (let i = 0; i < 100; i++) proxy.receive(request({ callId: `${i}` }), ALICE);
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
  });

  it('the answer goes back', () => {
    const proxy = open(at(CAROL));
    const { text } = requestOf(proxy.receive(request(), ALICE), 'INVITE');
    const reply = text.replace(/^INVITE .*/, 'SIP/2.0 200 OK').replace(/Max-Forwards: \d+\r\n/, '');
    expect(proxy.receive(reply, CAROL).map(({ to }) => to)).toEqual([ALICE]);
  });

  it('an ACK to a refusal of our own ends here', () => {
    const proxy = createElement({ mode: 'stateless', ...HOME });
    const [refusal] = proxy.receive(request(), ALICE);
    const to = fieldsOf(refusal!.text, 'To')[0]!;
    expect(proxy.receive(request({ method: 'ACK', cseq: '1 ACK', to }), ALICE)).toEqual([]);
  });
});
