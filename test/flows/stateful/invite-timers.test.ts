/** Transactions of INVITE as the outside sees them: RFC 3261 17.1.1 and 17.2.1, RFC 6026. */

import { describe, expect, it } from 'vitest';
import { branchOf, fieldsOf, request, startLineOf, tagOf, valuesOf } from '../messages.ts';
import { BOB, PROXY } from '../virtual-network.ts';
import { brief, Call, openProxy, replyOf, requestOf, responseOf, timeline } from './call.ts';

const SHORT_TIMERS = { timers: { t1Ms: 100, t2Ms: 400, t4Ms: 1000, timerCSec: 2 } };

describe('17.1.1.2 Calling', () => {
  it('retransmits after T1 and then at intervals that double, until Timer B', () => {
    const call = new Call();
    const sent = timeline(call.advance(31_990));
    expect(sent).toEqual([0.5, 1.5, 3.5, 7.5, 15.5, 31.5].map((at) => `${at} INVITE to Bob`));
  });

  it('retransmits the very same bytes', () => {
    const call = new Call();
    const again = call.advance(2000);
    expect(again.map(({ text }) => text)).toEqual(Array(2).fill(call.reached(BOB).text));
  });

  it('times out after 64 T1: 408 to the caller', () => {
    const call = new Call();
    call.advance(31_900);
    expect(timeline(call.advance(200))).toEqual(['32 408 to Alice']);
    call.acknowledge(responseOf(call.sent, 408));
  });

  it('follows T1 of the settings', () => {
    const call = new Call({ settings: SHORT_TIMERS });
    expect(timeline(call.advance(6450))).toEqual([
      ...[0.1, 0.3, 0.7, 1.5, 3.1, 6.3].map((at) => `${at} INVITE to Bob`),
      '6.4 408 to Alice',
    ]);
  });

  it.each(['100 Trying', '180 Ringing', '199 Early Dialog Terminated'])('stops retransmitting at a %s', (status) => {
    const call = new Call();
    call.advance(600);
    call.reply(BOB, status);
    expect(brief(call.advance(100_000))).toEqual([]);
  });
});

describe('17.1.1.2, the clock', () => {
  it.each([0, 1, 3, 7, 9, 10, 11, 505, 12_345, 1_000_003])(
    'no timer runs out early, none 20 ms late, begun at %i ms',
    (startMs) => {
      const proxy = openProxy();
      proxy.advance(startMs);
      const call = new Call({ proxy });
      const atMs = call.advance(32_100).map((one) => one.atMs - startMs);
      const due = [500, 1500, 3500, 7500, 15_500, 31_500, 32_000];
      expect(atMs).toHaveLength(due.length);
      for (const [i, ms] of due.entries()) {
        // Each interval begins when the one before has ended.
        expect(atMs[i]).toBeGreaterThanOrEqual(ms);
        expect(atMs[i]).toBeLessThan(ms + 20 * (i + 1));
      }
      call.acknowledge(responseOf(call.sent, 408));
    },
  );

  it.each([10, 15, 99, 10_000])('T1 of %i ms', (t1Ms) => {
    const call = new Call({ settings: { timers: { t1Ms, t2Ms: 20_000 } } });
    const [first] = call.advance(3 * t1Ms);
    expect(first!.atMs).toBeGreaterThanOrEqual(t1Ms);
    expect(first!.atMs).toBeLessThan(t1Ms + 20);
    call.reply(BOB, '200 OK');
  });
});

describe('17.1.1.2 Proceeding', () => {
  it('passes on every provisional response but 100', () => {
    const call = new Call();
    const statuses = [
      '100 Trying',
      '180 Ringing',
      '181 Call Is Being Forwarded',
      '183 Session Progress',
      '180 Ringing',
    ];
    expect(statuses.map((status) => brief(call.reply(BOB, status)))).toEqual([
      [],
      ['180 to Alice'],
      ['181 to Alice'],
      ['183 to Alice'],
      ['180 to Alice'],
    ]);
  });

  it('has no Timer B', () => {
    const call = new Call();
    call.reply(BOB, '100 Trying');
    expect(brief(call.advance(180_000))).toEqual([]);
  });
});

describe('17.1.1.2 Completed', () => {
  it('acknowledges a final response, and each retransmission of it, without passing that on', () => {
    const call = new Call();
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['486 to Alice', 'ACK to Bob']);
    call.acknowledge(responseOf(call.sent, 486));
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob']);
    call.advance(31_000);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob']);
  });

  it('is over after Timer D, and late responses are then dropped', () => {
    const call = new Call();
    call.reply(BOB, '486 Busy Here');
    call.acknowledge(responseOf(call.sent, 486));
    call.advance(33_000);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual([]);
    expect(call.proxy.occupancy().clientTransactions).toBe(0);
  });

  it('drops provisional responses that come late', () => {
    const call = new Call();
    call.reply(BOB, '486 Busy Here');
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual([]);
    call.acknowledge(responseOf(call.sent, 486));
  });
});

describe('17.1.1.3 the ACK', () => {
  it('has the Request-URI, Via, From, Call-ID, CSeq number and Route of the INVITE and the To of the response', () => {
    const call = new Call({
      request: {
        route: ['<sip:192.0.2.254;lr>', '<sip:192.0.2.30:5080;lr>', '<sip:p2.chicago.example;lr>'],
        uri: 'sip:bob@chicago.example',
        cseq: '4711 INVITE',
        headers: ['Contact: <sip:alice@192.0.2.10>', 'Require: x', 'Content-Type: text/plain'],
        body: 'hi',
      },
    });
    const invite = call.reached(BOB).text;
    const ack = requestOf(call.reply(BOB, '404 Not Found'), 'ACK').text;
    expect(startLineOf(ack)).toBe(startLineOf(invite).replace('INVITE', 'ACK'));
    expect(valuesOf(ack, 'Via')).toEqual([valuesOf(invite, 'Via')[0]]);
    for (const name of ['From', 'Call-ID', 'Route']) expect(fieldsOf(ack, name)).toEqual(fieldsOf(invite, name));
    expect(fieldsOf(ack, 'CSeq')).toEqual(['4711 ACK']);
    expect(fieldsOf(ack, 'To')).toEqual(fieldsOf(responseOf(call.sent, 404).text, 'To'));
    expect(Number(fieldsOf(ack, 'Max-Forwards')[0])).toBeGreaterThan(0);
    expect(fieldsOf(ack, 'Content-Length')).toEqual(['0']);
    for (const name of ['Contact', 'Require', 'Content-Type', 'Record-Route']) expect(fieldsOf(ack, name)).toEqual([]);
    expect(ack.endsWith('\r\n\r\n')).toBe(true);
  });
});

describe('RFC 6026 7.2 Accepted', () => {
  it('passes on every retransmission of a 2xx for 64 T1, and drops what comes then', () => {
    const call = new Call();
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    call.advance(31_500);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    call.advance(700);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual([]);
  });

  it('passes on a 2xx with another tag, from a fork further down', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    const [second] = call.reply(BOB, '200 OK', 'INVITE', { tag: 'elsewhere' });
    expect(tagOf(fieldsOf(second!.text, 'To')[0]!)).toBe('elsewhere');
  });

  it.each(['180 Ringing', '486 Busy Here', '603 Decline'])('drops a %s that comes after it', (status) => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    expect(brief(call.reply(BOB, status))).toEqual([]);
  });

  it('does not retransmit a 2xx by itself', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    expect(brief(call.advance(40_000))).toEqual([]);
  });

  it('acknowledges nothing by itself', () => {
    expect(brief(new Call().reply(BOB, '202 Accepted'))).toEqual(['202 to Alice']);
  });
});

describe('17.2.1 Proceeding', () => {
  it('answers a retransmission with the last provisional response', () => {
    const call = new Call();
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
    call.reply(BOB, '183 Session Progress');
    expect(brief(call.fromAlice(call.text))).toEqual(['183 to Alice']);
    call.reply(BOB, '180 Ringing');
    const again = call.fromAlice(call.text);
    expect(brief(again)).toEqual(['180 to Alice']);
    expect(again[0]!.text).toBe(call.sent.filter(({ text }) => text.startsWith('SIP/2.0 180'))[0]!.text);
  });
});

describe('17.2.1 Completed', () => {
  it('retransmits the final response by Timer G, no less often than every T2, until Timer H', () => {
    const call = new Call();
    call.reply(BOB, '486 Busy Here');
    expect(timeline(call.advance(40_000))).toEqual(
      [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5].map((at) => `${at} 486 to Alice`),
    );
  });

  it('follows T1 and T2 of the settings', () => {
    const call = new Call({ settings: SHORT_TIMERS });
    call.reply(BOB, '486 Busy Here');
    expect(timeline(call.advance(10_000))).toEqual(
      [0.1, 0.3, 0.7, ...Array.from({ length: 14 }, (_, i) => Math.round(11 + 4 * i) / 10)].map(
        (at) => `${at} 486 to Alice`,
      ),
    );
  });

  it('answers a retransmission of the INVITE with the final response', () => {
    const call = new Call();
    const final = responseOf(call.reply(BOB, '486 Busy Here'), 486);
    expect(call.fromAlice(call.text).map(({ text }) => text)).toEqual([final.text]);
    call.acknowledge(final);
  });
});

describe('17.2.1 Confirmed', () => {
  it('is silent after the ACK, absorbs more of them and INVITEs for T4', () => {
    const call = new Call();
    const final = responseOf(call.reply(BOB, '486 Busy Here'), 486);
    expect(brief(call.acknowledge(final))).toEqual([]);
    expect(brief(call.acknowledge(final))).toEqual([]);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    expect(brief(call.advance(4900))).toEqual([]);
    expect(brief(call.acknowledge(final))).toEqual([]);
    call.advance(200);
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice', 'INVITE to Bob']);
  });

  it('follows T4 of the settings', () => {
    const call = new Call({ settings: SHORT_TIMERS });
    call.acknowledge(responseOf(call.reply(BOB, '486 Busy Here'), 486));
    call.advance(900);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    call.advance(200);
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice', 'INVITE to Bob']);
  });
});

describe('RFC 6026 7.1 Accepted', () => {
  it('absorbs retransmissions of the INVITE for 64 T1', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    call.advance(31_800);
    expect(brief(call.fromAlice(call.text))).toEqual([]);
    expect(call.proxy.occupancy().serverTransactions).toBe(1);
    call.advance(400);
    expect(call.proxy.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
  });

  it('passes an ACK on although it has the branch of the INVITE', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    const ack = request({
      method: 'ACK',
      to: '<sip:bob@biloxi.example>;tag=at-192.0.2.30',
      uri: 'sip:bob@192.0.2.30:5080',
    });
    expect(brief(call.fromAlice(ack))).toEqual(['ACK to Bob']);
  });
});

describe('16.6 step 11 and 16.8, Timer C', () => {
  it('cancels after 185 s a branch that rings, and answers 408 unless it says something final', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    expect(timeline(call.advance(185_300))).toEqual(['185 CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    const final = call.reply(BOB, '487 Request Terminated');
    expect(brief(final)).toContain('ACK to Bob');
    // 16.8: "the proxy MUST behave as if the transaction received a 408" or pass what comes back: both end the call.
    expect(brief(final).some((one) => /^(408|487) to Alice$/.test(one))).toBe(true);
  });

  it('is set anew by 101 to 199', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.advance(100_000);
    call.reply(BOB, '180 Ringing');
    expect(brief(call.advance(184_000))).toEqual([]);
    expect(brief(call.advance(1300))).toEqual(['CANCEL to Bob']);
  });

  it('is not set anew by 100', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.advance(100_000);
    call.reply(BOB, '100 Trying');
    expect(brief(call.advance(85_300))).toEqual(['CANCEL to Bob']);
  });

  it('runs after a 100, too', () => {
    const call = new Call();
    call.reply(BOB, '100 Trying');
    expect(timeline(call.advance(185_300))).toEqual(['185 CANCEL to Bob']);
  });

  it('follows the settings', () => {
    const call = new Call({ settings: { timers: { timerCSec: 20 } } });
    call.reply(BOB, '180 Ringing');
    expect(timeline(call.advance(20_300))).toEqual(['20 CANCEL to Bob']);
  });

  it('gives a cancelled branch that stays silent 64 T1, then answers 408', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.advance(185_100);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(timeline(call.advance(32_300), 185_000)).toEqual(['32 408 to Alice']);
    call.acknowledge(responseOf(call.sent, 408));
  });

  it('lets a 200 that crosses the CANCEL through', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.advance(185_100);
    expect(brief(call.reply(BOB, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
  });

  it('does not run once a final response is there', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.reply(BOB, '200 OK');
    expect(brief(call.advance(300_000))).toEqual([]);
  });
});

describe('17.1.3, matching responses', () => {
  const damaged: readonly [string, (text: string, branch: string) => string][] = [
    ['another branch', (text, branch) => text.replace(branch, differing(branch, 20))],
    ['no branch', (text, branch) => text.replace(`;branch=${branch}`, '')],
    ['another method in its CSeq', (text) => text.replace('1 INVITE', '1 BYE')],
    ['the sent-by of somebody else', (text) => text.replace(PROXY.address, '192.0.2.250')],
    ['no To', (text) => text.replace(/\r\nTo: [^\r]*/, '')],
    ['no From', (text) => text.replace(/\r\nFrom: [^\r]*/, '')],
    ['no Call-ID', (text) => text.replace(/\r\nCall-ID: [^\r]*/, '')],
    ['no CSeq', (text) => text.replace(/\r\nCSeq: [^\r]*/, '')],
    ['a CSeq nobody can read', (text) => text.replace('1 INVITE', 'INVITE')],
    ['a body cut short', (text) => text.replace('Content-Length: 0', 'Content-Length: 10')],
    ['a status of four digits', (text) => text.replace(' 200 ', ' 2000 ')],
    ['the CSeq method of a CANCEL that was never sent', (text) => text.replace('1 INVITE', '1 CANCEL')],
    ['only our Via', (text) => text.replace(/Via: SIP\/2\.0\/UDP 192\.0\.2\.10[^\r]*\r\n/, '')],
  ];

  it.each(damaged)('a response with %s is dropped, and the call goes on', (_, damage) => {
    const call = new Call();
    const good = replyOf(BOB, call.reached(BOB).text, '200 OK');
    const bad = damage(good, branchOf(call.reached(BOB).text));
    expect(bad).not.toBe(good);
    expect(brief(call.proxy.receive(bad, BOB))).toEqual([]);
    const { forged_responses_total, stray_responses_total, malformed_responses_total, late_responses_total } =
      call.proxy.counters();
    const dropped = [forged_responses_total, stray_responses_total, malformed_responses_total, late_responses_total];
    expect(dropped.reduce((sum: number, count) => sum + (count ?? 0), 0)).toBe(1);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it.each(['z9hG4bK', 'z9hG4bK0', 'z9hG4bK0000000000000000', 'forged', `z9hG4bK${'a'.repeat(300)}`])(
    'a response with the made-up branch %s is dropped',
    (branch) => {
      const call = new Call();
      const invite = call.reached(BOB).text;
      const forged = replyOf(BOB, invite, '200 OK').replace(branchOf(invite), branch);
      expect(brief(call.proxy.receive(forged, BOB))).toEqual([]);
    },
  );

  it('every octet of what tells our transactions apart counts', () => {
    const call = new Call();
    const invite = call.reached(BOB).text;
    const branch = branchOf(invite);
    const start = 'z9hG4bKs'.length;
    for (let at = start; at < start + 16; at++) {
      const forged = replyOf(BOB, invite, '200 OK').replace(branch, differing(branch, at));
      expect(brief(call.proxy.receive(forged, BOB)), `octet ${at} of ${branch}`).toEqual([]);
    }
  });

  it('a branch is a token, and as such the same in capitals (7.3.1)', () => {
    const call = new Call();
    const invite = call.reached(BOB).text;
    const branch = branchOf(invite);
    const text = replyOf(BOB, invite, '200 OK').replace(branch, branch.toUpperCase());
    expect(brief(call.proxy.receive(text, BOB))).toEqual(['200 to Alice']);
  });

  it('our Via may have been rewritten: received, rport, other spaces and parameters', () => {
    const call = new Call();
    const invite = call.reached(BOB).text;
    const via = valuesOf(invite, 'Via')[0]!;
    const rewritten = `sip / 2.0 / udp ${PROXY.address} : 5060 ;received=192.0.2.254; branch = ${branchOf(invite)} ;x="y;z"`;
    expect(brief(call.proxy.receive(replyOf(BOB, invite, '200 OK').replace(via, rewritten), BOB))).toEqual([
      '200 to Alice',
    ]);
  });

  it('a response may come from another address than the request went to', () => {
    const call = new Call();
    const ok = replyOf(BOB, call.reached(BOB).text, '200 OK');
    expect(brief(call.proxy.receive(ok, { address: '192.0.2.99', port: 40_000 }))).toEqual(['200 to Alice']);
  });

  it('a 2xx to a forgotten INVITE is not forwarded (RFC 6026 7.3)', () => {
    const call = new Call();
    call.reply(BOB, '486 Busy Here');
    call.acknowledge(responseOf(call.sent, 486));
    call.advance(100_000);
    expect(brief(call.reply(BOB, '200 OK', 'INVITE'))).toEqual([]);
  });
});

/** The branch with another hexadecimal digit at that place. */
function differing(branch: string, at: number): string {
  return branch.slice(0, at) + (branch[at] === '7' ? '8' : '7') + branch.slice(at + 1);
}
