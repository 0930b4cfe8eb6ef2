/** Transactions of everything but INVITE as the outside sees them: RFC 3261 17.1.2 and 17.2.2, RFC 4320. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, type RequestParts, startLineOf } from '../messages.ts';
import { BOB } from '../virtual-network.ts';
import { brief, Call, NOTHING_HELD, requestOf, timeline } from './call.ts';

const OPTIONS: RequestParts = { method: 'OPTIONS' };
const SHORT_TIMERS = { timers: { t1Ms: 100, t2Ms: 400, t4Ms: 1000 } };

const ofRequests = (lines: readonly string[]) => lines.filter((line) => line.endsWith('to Bob'));
const ofResponses = (lines: readonly string[]) => lines.filter((line) => line.endsWith('to Alice'));

describe('17.1.2.2 Trying', () => {
  it('retransmits at intervals that double up to T2, until Timer F', () => {
    const call = new Call({ request: OPTIONS });
    expect(ofRequests(timeline(call.advance(60_000)))).toEqual(
      [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5].map((at) => `${at} OPTIONS to Bob`),
    );
  });

  it('retransmits the very same bytes', () => {
    const call = new Call({ request: { ...OPTIONS, body: 'x'.repeat(900) } });
    expect(call.advance(2000).map(({ text }) => text)).toEqual(Array(2).fill(call.reached(BOB).text));
  });

  it('follows T1 and T2 of the settings', () => {
    const call = new Call({ request: OPTIONS, settings: SHORT_TIMERS });
    expect(ofRequests(timeline(call.advance(10_000)))).toEqual(
      [0.1, 0.3, 0.7, ...Array.from({ length: 14 }, (_, i) => Math.round(11 + 4 * i) / 10)].map(
        (at) => `${at} OPTIONS to Bob`,
      ),
    );
  });

  it('does nothing more after Timer F', () => {
    const call = new Call({ request: OPTIONS });
    call.advance(32_200);
    expect(brief(call.advance(100_000))).toEqual([]);
  });
});

describe('17.1.2.2 Proceeding', () => {
  it('retransmits every T2, still until Timer F', () => {
    const call = new Call({ request: OPTIONS });
    call.advance(600);
    call.reply(BOB, '100 Trying');
    // Timer E runs out once more as it was set, then at T2.
    expect(ofRequests(timeline(call.advance(60_000)))).toEqual(
      [1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5].map((at) => `${at} OPTIONS to Bob`),
    );
  });
});

describe('17.1.2.2 Completed', () => {
  it('passes on the first final response only, and absorbs others for T4', () => {
    const call = new Call({ request: OPTIONS });
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual([]);
    expect(brief(call.reply(BOB, '404 Not Found'))).toEqual([]);
    call.advance(4900);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual([]);
    expect(call.proxy.occupancy().clientTransactions).toBe(1);
    call.advance(200);
    expect(call.proxy.occupancy().clientTransactions).toBe(0);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual([]);
  });

  it('retransmits nothing', () => {
    const call = new Call({ request: OPTIONS });
    call.reply(BOB, '486 Busy Here');
    expect(brief(call.advance(60_000))).toEqual([]);
  });

  it('acknowledges nothing', () => {
    expect(brief(new Call({ request: OPTIONS }).reply(BOB, '500 Server Internal Error'))).toEqual(['500 to Alice']);
  });
});

describe('17.2.2 Trying', () => {
  it('is silent, and absorbs retransmissions', () => {
    const call = new Call({ request: OPTIONS });
    expect(brief(call.first)).toEqual(['OPTIONS to Bob']);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
  });
});

describe('17.2.2 Completed', () => {
  it('answers retransmissions with the very same response until Timer J', () => {
    const call = new Call({ request: OPTIONS });
    const [final] = call.reply(BOB, '200 OK', 'OPTIONS', { body: 'some text' });
    expect(call.fromAlice(call.text).map(({ text }) => text)).toEqual([final!.text]);
    call.advance(31_900);
    expect(call.fromAlice(call.text).map(({ text }) => text)).toEqual([final!.text]);
    call.advance(200);
    expect(call.proxy.occupancy()).toEqual(NOTHING_HELD);
    expect(brief(call.fromAlice(call.text))).toEqual(['OPTIONS to Bob']);
  });

  it('does not send it again by itself', () => {
    const call = new Call({ request: OPTIONS });
    call.reply(BOB, '500 Server Internal Error');
    expect(brief(call.advance(60_000))).toEqual([]);
  });
});

describe('RFC 4320 4.1', () => {
  it('says 100 once Timer E has reached T2, at 3.5 s, if nothing else was said', () => {
    const call = new Call({ request: OPTIONS });
    expect(ofResponses(timeline(call.advance(30_000)))).toEqual(['3.5 100 to Alice']);
  });

  it('says it later than the first copies of the request came', () => {
    const call = new Call({ request: OPTIONS });
    call.advance(3400);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
  });

  it('says 100 to retransmissions from then on', () => {
    const call = new Call({ request: OPTIONS });
    call.advance(4000);
    const again = call.fromAlice(call.text);
    expect(brief(again)).toEqual(['100 to Alice']);
    expect(fieldsOf(again[0]!.text, 'CSeq')).toEqual(['1 OPTIONS']);
  });

  it('does not say it when the final response was there before', () => {
    const call = new Call({ request: OPTIONS });
    call.advance(3300);
    call.reply(BOB, '200 OK');
    expect(ofResponses(timeline(call.advance(30_000)))).toEqual([]);
  });

  it('follows T1 and T2 of the settings', () => {
    const call = new Call({ request: OPTIONS, settings: SHORT_TIMERS });
    // Timer E: 0.1, 0.3, and at 0.3 it is set to 0.4, which is T2.
    expect(ofResponses(timeline(call.advance(5000)))).toEqual(['0.3 100 to Alice']);
  });

  it.each(['100 Trying', '180 Ringing', '183 Session Progress', '199 Early Dialog Terminated'])(
    'does not pass on a %s',
    (status) => {
      const call = new Call({ request: OPTIONS });
      expect(brief(call.reply(BOB, status))).toEqual([]);
      expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    },
  );
});

describe('RFC 4320 4.2', () => {
  it.each(['OPTIONS', 'BYE', 'REGISTER', 'MESSAGE', 'UNHEARDOF'])('never sends 408 to %s', (method) => {
    const call = new Call({ request: { method } });
    const sent = ofResponses(timeline(call.advance(100_000)));
    expect(sent).toEqual(['3.5 100 to Alice']);
  });

  it('does not pass on a 408 from elsewhere', () => {
    const call = new Call({ request: OPTIONS });
    expect(ofResponses(brief(call.reply(BOB, '408 Request Timeout')))).toEqual([]);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    expect(brief(call.advance(20_000))).toEqual([]);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
  });

  it('does not pass on a response that comes after Timer F', () => {
    const call = new Call({ request: OPTIONS });
    call.advance(32_200);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual([]);
  });
});

describe('RFC 3261 16.10 and 9.1, CANCEL of something else than an INVITE', () => {
  it('is answered, and changes nothing', () => {
    const call = new Call({ request: OPTIONS });
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('8.2.6.1 Timestamp', () => {
  it('is in a 100 to another request than INVITE, too', () => {
    const call = new Call({ request: { ...OPTIONS, headers: ['Timestamp: 54.5'] } });
    const [trying] = call.advance(3600).filter(({ text }) => startLineOf(text).startsWith('SIP/2.0 100'));
    expect(fieldsOf(trying!.text, 'Timestamp')[0]).toMatch(/^54\.5/);
  });
});

describe('17.1.2.1', () => {
  it('many at once do not disturb each other', () => {
    const call = new Call({ request: { ...OPTIONS, callId: 'first' } });
    const second = new Call({
      proxy: call.proxy,
      request: { ...OPTIONS, callId: 'second', via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKsecond' },
    });
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    const again = call.advance(600);
    expect(again.map(({ text }) => text)).toEqual([requestOf(second.first, 'OPTIONS').text]);
  });
});
