/** CANCEL: RFC 3261 9, 16.10; Reason: RFC 3326. */

import { describe, expect, it } from 'vitest';
import { ALICE_VIA, branchOf, fieldsOf, request, startLineOf, statusOf, tagOf, valuesOf } from '../messages.ts';
import { signUp } from '../registrar/register.ts';
import { ALICE, BOB, STRANGER } from '../virtual-network.ts';
import { brief, CAROL, Call, forkTo, openProxy, requestOf, responseOf, timeline, uriAt } from './call.ts';

describe('16.10, a CANCEL that matches', () => {
  it('gets a 200 of our own at once', () => {
    const call = new Call();
    const [ok] = call.cancel();
    expect(statusOf(ok!.text)).toBe(200);
    expect(ok!.to).toEqual(ALICE);
    expect(valuesOf(ok!.text, 'Via')).toEqual([ALICE_VIA]);
    expect(fieldsOf(ok!.text, 'CSeq')).toEqual(['1 CANCEL']);
    expect(tagOf(fieldsOf(ok!.text, 'To')[0]!)).toBeDefined();
  });

  it('is answered with the To tag of our final response to the INVITE (9.2)', () => {
    const call = new Call();
    const tag = tagOf(fieldsOf(responseOf(call.cancel(), 200).text, 'To')[0]!);
    call.advance(32_100);
    const final = call.sent.find(({ text }) => statusOf(text) >= 400)!;
    expect(tagOf(fieldsOf(final.text, 'To')[0]!)).toBe(tag);
    call.acknowledge(final);
  });

  it('goes at once to what said something provisional, with Max-Forwards of its own', () => {
    const call = new Call();
    call.reply(BOB, '100 Trying');
    const sent = call.cancel({ maxForwards: 5 });
    expect(brief(sent)).toEqual(['200 to Alice', 'CANCEL to Bob']);
    expect(fieldsOf(requestOf(sent, 'CANCEL').text, 'Max-Forwards')).toHaveLength(1);
    call.reply(BOB, '200 OK', 'CANCEL');
    const final = responseOf(call.reply(BOB, '487 Request Terminated', 'INVITE'), 487);
    expect(brief(call.acknowledge(final))).toEqual([]);
  });

  it('waits at what has said nothing, and the INVITE is retransmitted meanwhile (9.1)', () => {
    const call = new Call();
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    expect(timeline(call.advance(2000))).toEqual(['0.5 INVITE to Bob', '1.5 INVITE to Bob']);
    expect(brief(call.reply(BOB, '100 Trying'))).toEqual(['CANCEL to Bob']);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
  });

  it('has 487 to the caller at the latest when the INVITE times out', () => {
    const call = new Call();
    call.cancel();
    const final = call.advance(32_100).find(({ text }) => statusOf(text) >= 300)!;
    expect([408, 487]).toContain(statusOf(final.text));
    call.acknowledge(final);
  });

  it('is sent once: retransmissions of it are answered only', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    expect(brief(call.advance(5000))).toEqual([]);
  });

  it('is a transaction of ours: sent again by Timer E until Timer F or its answer', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    expect(timeline(call.advance(8000))).toEqual([0.5, 1.5, 3.5, 7.5].map((at) => `${at} CANCEL to Bob`));
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.advance(10_000))).toEqual([]);
  });

  it('nothing that answers our CANCEL is passed back', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    for (const status of ['100 Trying', '200 OK', '200 OK', '481 Call/Transaction Does Not Exist', '500 Oops']) {
      expect(brief(call.reply(BOB, status, 'CANCEL'))).toEqual([]);
    }
  });

  it('a branch that stays silent then is given up after 64 T1 (9.1)', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    call.reply(BOB, '200 OK', 'CANCEL');
    const finals = timeline(call.advance(32_200)).filter((line) => /[34]\d\d to Alice/.test(line));
    expect(finals).toHaveLength(1);
    expect(finals[0]).toMatch(/^32 (487|408) to Alice$/);
    call.acknowledge(call.sent.at(-1)!);
  });

  it('crossing a 200: the 200 goes back', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    expect(brief(call.reply(BOB, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '481 Call/Transaction Does Not Exist', 'CANCEL'))).toEqual([]);
    expect(brief(call.reply(BOB, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
  });

  it('crossing a 200 that came before any provisional response', () => {
    const call = new Call();
    call.cancel();
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('crossing a failure: that goes back', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    expect(brief(call.reply(BOB, '486 Busy Here', 'INVITE'))).toEqual(['486 to Alice', 'ACK to Bob']);
    call.acknowledge(responseOf(call.sent, 486));
  });

  it('a failure that is worth another try is not tried elsewhere', () => {
    const call = new Call({ settings: { nextHops: [uri(BOB), { uri: uri(CAROL), priority: 1 }] } });
    call.reply(BOB, '180 Ringing');
    call.cancel();
    const sent = call.reply(BOB, '503 Service Unavailable', 'INVITE');
    expect(brief(sent)).not.toContain('INVITE to Carol');
    call.acknowledge(sent.find(({ text }) => statusOf(text) >= 400)!);
  });

  it('goes to every branch of a fork', () => {
    const call = new Call({ settings: forkTo(BOB, CAROL) });
    call.reply(BOB, '180 Ringing');
    call.reply(CAROL, '183 Session Progress');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob', 'CANCEL to Carol']);
    for (const ua of [BOB, CAROL])
      expect(branchOf(call.reached(ua, 'CANCEL').text)).toBe(branchOf(call.reached(ua, 'INVITE').text));
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['ACK to Bob']);
    expect(brief(call.reply(CAROL, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(call.sent, 487));
  });

  it('matches whatever its Request-URI and To say: branch and sent-by decide', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    const sent = call.cancel({ uri: 'sip:someone@elsewhere.example', to: 'sip:someone@elsewhere.example' });
    expect(brief(sent)).toEqual(['200 to Alice', 'CANCEL to Bob']);
    expect(startLineOf(call.reached(BOB, 'CANCEL').text)).toBe('CANCEL sip:bob@biloxi.example SIP/2.0');
  });

  it('is answered to where it came from', () => {
    const call = new Call();
    const cancel = request({ method: 'CANCEL', via: `${ALICE_VIA};rport` });
    const [ok] = call.proxy.receive(cancel, { address: '192.0.2.10', port: 40_000 });
    expect(ok!.to).toEqual({ address: '192.0.2.10', port: 40_000 });
  });

  it('a malformed one is refused', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    expect(brief(call.cancel({ cseq: 'x' }))).toEqual(['400 to Alice']);
  });
});

describe('16.10, after the final response', () => {
  it('it is answered 200 and changes nothing: after 200', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.reply(BOB, '200 OK');
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    expect(brief(call.advance(1000))).toEqual([]);
  });

  it('it is answered 200 and changes nothing: after 486', () => {
    const call = new Call();
    const final = responseOf(call.reply(BOB, '486 Busy Here'), 486);
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    call.acknowledge(final);
  });

  it('it is forwarded once nothing is known of the INVITE any more', () => {
    const call = new Call();
    call.acknowledge(responseOf(call.reply(BOB, '486 Busy Here'), 486));
    call.advance(100_000);
    expect(brief(call.cancel())).toEqual(['CANCEL to Bob']);
  });
});

describe('16.10, a CANCEL that matches nothing', () => {
  it('is forwarded without a transaction, with a branch that its retransmissions get, too', () => {
    const proxy = openProxy();
    const cancel = request({ method: 'CANCEL' });
    const first = requestOf(proxy.receive(cancel, ALICE), 'CANCEL', BOB);
    expect(valuesOf(first.text, 'Via')).toHaveLength(2);
    expect(requestOf(proxy.receive(cancel, ALICE), 'CANCEL', BOB).text).toBe(first.text);
    expect(proxy.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
    expect(proxy.advance(10_000)).toEqual([]);
  });

  it('goes to the contact of a registered user as well', () => {
    const proxy = openProxy({ domains: ['biloxi.example'], nextHops: [] });
    signUp(proxy, [`<${uriAt(CAROL)}>`]);
    expect(brief(proxy.receive(request({ method: 'CANCEL' }), ALICE))).toEqual(['CANCEL to Carol']);
  });

  it('with the branch of an INVITE but another sent-by, does not touch that INVITE', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    const foreign = request({ method: 'CANCEL', via: 'SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bK74bf9' });
    const sent = call.proxy.receive(foreign, { address: '192.0.2.11', port: 5060 });
    expect(sent.filter(({ text }) => text.startsWith('SIP/2.0 200'))).toEqual([]);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
  });

  it('that may not be relayed is refused', () => {
    const proxy = openProxy();
    const cancel = request({
      method: 'CANCEL',
      uri: 'sip:x@chicago.example',
      via: 'SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKx',
    });
    expect(proxy.receive(cancel, STRANGER).map(({ text }) => statusOf(text))).toEqual([403]);
  });
});

describe('RFC 3326 2, Reason', () => {
  it('does not come into a CANCEL that has left without one', () => {
    const call = new Call({ settings: forkTo(BOB, CAROL) });
    call.reply(BOB, '180 Ringing');
    call.reply(CAROL, '180 Ringing');
    call.cancel();
    const first = call.reached(BOB, 'CANCEL').text;
    call.reply(CAROL, '200 OK', 'CANCEL');
    // It crossed the CANCEL on its way.
    call.reply(CAROL, '200 OK', 'INVITE');
    call.advance(600);
    expect(call.reached(BOB, 'CANCEL').text).toBe(first);
  });

  it('of a CANCEL is passed on, each line as it came', () => {
    const call = new Call({ settings: forkTo(BOB, CAROL) });
    call.reply(BOB, '180 Ringing');
    const lines = ['SIP ;cause=200 ;text="Call completed elsewhere"', 'Q.850;cause=16;text="Terminated, all of it"'];
    call.cancel({ headers: lines.map((line) => `Reason: ${line}`) });
    expect(fieldsOf(call.reached(BOB, 'CANCEL').text, 'Reason')).toEqual(lines);
    // To the branch that rings later, too.
    call.reply(CAROL, '180 Ringing');
    expect(fieldsOf(call.reached(CAROL, 'CANCEL').text, 'Reason')).toEqual(lines);
  });

  it('is not invented for a CANCEL without one', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    expect(fieldsOf(call.reached(BOB, 'CANCEL').text, 'Reason')).toEqual([]);
  });

  it('of other requests and of responses stays', () => {
    const call = new Call({ request: { method: 'BYE', headers: ['Reason: Q.850;cause=16'] } });
    expect(fieldsOf(call.reached(BOB, 'BYE').text, 'Reason')).toEqual(['Q.850;cause=16']);
    const [final] = call.reply(BOB, '500 Oops', 'BYE', { headers: ['Reason: Q.850;cause=41'] });
    expect(fieldsOf(final!.text, 'Reason')).toEqual(['Q.850;cause=41']);
  });
});

function uri({ address, port }: { readonly address: string; readonly port: number }): string {
  return `sip:${address}:${port}`;
}
