/** Which requests belong together: RFC 3261 17.2.3. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, uriOf } from '../messages.ts';
import { ALICE, BOB } from '../virtual-network.ts';
import { brief, Call, openProxy, replyOf, requestOf, responseOf } from './call.ts';

const SPEC = 'SIP/2.0/UDP 192.0.2.10:5060';

describe('17.2.3, with the magic cookie', () => {
  it('a retransmission is what has the same branch, sent-by and method', () => {
    const call = new Call();
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
  });

  it('nothing else is compared', () => {
    const call = new Call();
    const text = request({ uri: 'sip:carol@biloxi.example', callId: 'other', cseq: '9 INVITE' });
    expect(brief(call.fromAlice(text))).toEqual(['100 to Alice']);
  });

  it.each([
    ['another branch', `${SPEC};branch=z9hG4bK74bf8`],
    ['a longer branch', `${SPEC};branch=z9hG4bK74bf99`],
    ['another host', 'SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bK74bf9'],
    ['another port', 'SIP/2.0/UDP 192.0.2.10:5061;branch=z9hG4bK74bf9'],
    ['a name instead of the address', 'SIP/2.0/UDP client.atlanta.example:5060;branch=z9hG4bK74bf9'],
  ])('%s makes another transaction', (_, via) => {
    const call = new Call();
    const sent = call.fromAlice(request({ via }));
    requestOf(sent, 'INVITE', BOB);
    responseOf(sent, 100);
  });

  it('another method makes another transaction, with the same branch', () => {
    const call = new Call({ request: { method: 'OPTIONS' } });
    requestOf(call.fromAlice(request({ method: 'MESSAGE' })), 'MESSAGE', BOB);
    requestOf(call.fromAlice(request({ method: 'UNHEARDOF' })), 'UNHEARDOF', BOB);
    expect(brief(call.fromAlice(request({ method: 'UNHEARDOF' })))).toEqual([]);
  });

  it('the branches of what is forwarded differ between transactions', () => {
    const call = new Call();
    const branch = (text: string) => fieldsOf(text, 'Via')[0];
    const second = requestOf(call.fromAlice(request({ via: `${SPEC};branch=z9hG4bKsecond` })), 'INVITE');
    expect(branch(second.text)).not.toBe(branch(call.first.at(-1)!.text));
  });

  it('responses go to the transaction they belong to', () => {
    const proxy = openProxy();
    const first = new Call({ proxy, request: { callId: '1' } });
    const second = new Call({
      proxy,
      request: { callId: '2', via: 'SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bK74bf9' },
    });
    const [toSecond] = second.reply(BOB, '180 Ringing');
    expect(fieldsOf(toSecond!.text, 'Call-ID')).toEqual(['2']);
    const [toFirst] = first.reply(BOB, '180 Ringing');
    expect(fieldsOf(toFirst!.text, 'Call-ID')).toEqual(['1']);
  });

  it('retransmissions match from whatever address they come', () => {
    const call = new Call();
    const sent = call.proxy.receive(call.text, { address: '192.0.2.77', port: 7777 });
    expect(sent.map(({ text }) => text.slice(0, 11))).toEqual(['SIP/2.0 100']);
  });
});

describe('17.2.3, without it (RFC 2543)', () => {
  const VIA = 'SIP/2.0/UDP 192.0.2.10:5060';
  const parts = { via: VIA, callId: 'old@atlanta.example' };

  it.each([
    ['without a branch', VIA],
    ['with a branch of another make', `${VIA};branch=1`],
    ['with the cookie alone', `${VIA};branch=z9hG4bK`],
  ])('a retransmission %s is absorbed', (_, via) => {
    const call = new Call({ request: { ...parts, via } });
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
  });

  it.each([
    ['Request-URI', { uri: 'sip:carol@biloxi.example' }],
    ['To tag', { to: 'Bob <sip:bob@biloxi.example>;tag=x' }],
    ['From tag', { from: 'Alice <sip:alice@atlanta.example>;tag=other' }],
    ['Call-ID', { callId: 'new@atlanta.example' }],
    ['CSeq', { cseq: '2 INVITE' }],
    ['top Via', { via: 'SIP/2.0/UDP 192.0.2.10:5062' }],
  ])('another %s makes another transaction', (_, other) => {
    const call = new Call({ request: parts });
    const sent = call.fromAlice(request({ ...parts, ...other }));
    expect(sent.map(({ text }) => text.split(' ')[0]).sort()).toEqual(['INVITE', 'SIP/2.0']);
  });

  it('an ACK matches by the To tag of the final response', () => {
    const call = new Call({ request: parts });
    const final = responseOf(call.reply(BOB, '486 Busy Here'), 486);
    const ack = request({ ...parts, method: 'ACK', to: fieldsOf(final.text, 'To')[0]! });
    expect(brief(call.fromAlice(ack))).toEqual([]);
    expect(brief(call.advance(20_000))).toEqual([]);
  });

  it('an ACK to a 2xx is forwarded', () => {
    const call = new Call({ request: parts });
    const ok = responseOf(call.reply(BOB, '200 OK'), 200);
    const ack = request({ ...parts, method: 'ACK', to: fieldsOf(ok.text, 'To')[0]!, uri: 'sip:bob@192.0.2.30:5080' });
    expect(brief(call.fromAlice(ack))).toEqual(['ACK to Bob']);
  });

  it('an ACK within a dialog matches its re-INVITE', () => {
    const inDialog = { ...parts, to: '<sip:bob@biloxi.example>;tag=at-192.0.2.30', cseq: '2 INVITE' };
    const call = new Call({ request: inDialog });
    call.reply(BOB, '488 Not Acceptable Here');
    expect(brief(call.fromAlice(request({ ...inDialog, method: 'ACK', cseq: '2 ACK' })))).toEqual([]);
    expect(brief(call.advance(20_000))).toEqual([]);
  });

  it('a CANCEL matches', () => {
    const call = new Call({ request: parts });
    call.reply(BOB, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    call.acknowledge(responseOf(call.reply(BOB, '487 Request Terminated'), 487));
  });

  it('other methods are transactions of their own', () => {
    const call = new Call({ request: { ...parts, method: 'OPTIONS' } });
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    requestOf(call.fromAlice(request({ ...parts, method: 'BYE', cseq: '1 BYE' })), 'BYE', BOB);
  });
});

describe('17.2.3, ACK', () => {
  it('to a 486 ends here', () => {
    const call = new Call();
    expect(brief(call.acknowledge(responseOf(call.reply(BOB, '486 Busy Here'), 486)))).toEqual([]);
  });

  it('from another sent-by is not for this transaction', () => {
    const call = new Call();
    responseOf(call.reply(BOB, '486 Busy Here'), 486);
    const foreign = request({ method: 'ACK', via: 'SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bK74bf9' });
    call.fromAlice(foreign);
    expect(brief(call.advance(600))).toEqual(['486 to Alice']);
  });

  it('before there is a final response, changes nothing', () => {
    const call = new Call();
    expect(brief(call.fromAlice(request({ method: 'ACK' })))).toEqual([]);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['486 to Alice', 'ACK to Bob']);
    expect(brief(call.advance(600))).toEqual(['486 to Alice']);
  });

  it('to a 2xx is a request of its own, forwarded by its own Request-URI and Route', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    const ack = request({
      method: 'ACK',
      via: `${SPEC};branch=z9hG4bKack`,
      uri: 'sip:bob@192.0.2.31:5080',
      route: ['<sip:192.0.2.254;lr>'],
      to: '<sip:bob@biloxi.example>;tag=1',
    });
    const sent = call.fromAlice(ack);
    expect(brief(sent)).toEqual(['ACK to Carol']);
    expect(uriOf(sent[0]!.text)).toBe('sip:bob@192.0.2.31:5080');
    // As often as it comes.
    expect(call.fromAlice(ack)[0]!.text).toBe(sent[0]!.text);
  });

  it('to a transaction nobody knows is forwarded, and never answered', () => {
    const proxy = openProxy();
    const ack = (parts: object) => proxy.receive(request({ method: 'ACK', ...parts }), ALICE);
    expect(brief(ack({}))).toEqual(['ACK to Bob']);
    expect(brief(ack({ uri: 'sip:nobody@nowhere.invalid' }))).toEqual([]);
    expect(brief(ack({ maxForwards: 0 }))).toEqual([]);
    expect(brief(ack({ cseq: 'x' }))).toEqual([]);
  });
});

describe('17.2.1, responses of our own', () => {
  it('404 to an INVITE: retransmitted until its ACK, which ends here', () => {
    const settings = { domains: [{ name: 'biloxi.example', users: ['carol'] }] };
    const call = new Call({ settings });
    const final = responseOf(call.first, 404);
    expect(brief(call.first)).toEqual(['404 to Alice']);
    expect(call.fromAlice(call.text).map(({ text }) => text)).toEqual([final.text]);
    expect(brief(call.advance(600))).toEqual(['404 to Alice']);
    expect(brief(call.acknowledge(final))).toEqual([]);
    expect(brief(call.advance(60_000))).toEqual([]);
  });

  it('an ACK to it that comes late ends here, too', () => {
    const settings = { domains: [{ name: 'biloxi.example', users: ['carol'] }] };
    const call = new Call({ settings });
    const final = responseOf(call.first, 404);
    call.advance(60_000);
    expect(brief(call.acknowledge(final))).toEqual([]);
  });

  it('an unacknowledged INVITE is counted', () => {
    const call = new Call();
    call.reply(BOB, '486 Busy Here');
    call.advance(40_000);
    expect(call.proxy.counters().unacknowledged_total).toBe(1);
  });

  it('the same tag for every copy', () => {
    const proxy = openProxy({ settings: { domains: [{ name: 'biloxi.example', users: ['carol'] }] } });
    const once = () => proxy.receive(request({ method: 'OPTIONS' }), ALICE)[0]!.text;
    expect(once()).toBe(once());
  });
});

describe('17.2.3, a server answering from two places', () => {
  it('keeps the responses of two INVITEs of one call apart', () => {
    const call = new Call();
    const invite = requestOf(call.first, 'INVITE').text;
    const second = request({ cseq: '2 INVITE', via: `${SPEC};branch=z9hG4bKsecond` });
    const secondInvite = requestOf(call.fromAlice(second), 'INVITE').text;
    const [ok] = call.proxy.receive(replyOf(BOB, secondInvite, '200 OK'), BOB);
    expect(fieldsOf(ok!.text, 'CSeq')).toEqual(['2 INVITE']);
    const [ringing] = call.proxy.receive(replyOf(BOB, invite, '180 Ringing'), BOB);
    expect(fieldsOf(ringing!.text, 'CSeq')).toEqual(['1 INVITE']);
  });
});

describe('17.1.3 a response', () => {
  const LISTEN = [
    { point: 'udp:192.0.2.254:5060', local: undefined },
    { point: 'udp:*:5060', local: '192.0.2.254' },
    { point: 'udp:*:5060', local: '2001:db8::53' },
  ];

  it.each(LISTEN)('has the whole branch of its request, with a listening point $point, $local', ({ point, local }) => {
    const proxy = openProxy({ listen: [point] });
    const from = local?.includes(':') ? { address: '2001:db8::10', port: 5060 } : ALICE;
    const options = request({ method: 'OPTIONS', uri: 'sip:bob@biloxi.example' });
    const { text, to } = requestOf(proxy.receive(options, from, 0, local), 'OPTIONS');
    const branch = /branch=(z9hG4bKs[0-9a-f]+)/.exec(text)![1]!;
    const reply = replyOf(to, text, '200 OK');
    const others = [
      ...[...branch].map((digit, i) => `${branch.slice(0, i)}${digit === '7' ? '8' : '7'}${branch.slice(i + 1)}`),
      ...[`${branch}0`, `${branch}00000000`, branch.slice(0, -1), branch.slice(0, -8), `${branch}x`, `${branch}-`],
    ];
    for (const other of others) {
      expect([other, proxy.receive(reply.replace(branch, other), to, 0, local).map(({ text }) => text)]).toEqual([
        other,
        [],
      ]);
    }
    responseOf(
      proxy.receive(reply.replace(branch, branch.toUpperCase().replace('Z9HG4BKS', 'z9hG4bKs')), to, 0, local),
      200,
    );
  });
});
