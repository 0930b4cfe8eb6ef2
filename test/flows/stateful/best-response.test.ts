/** Choosing among the answers of a fork: RFC 3261 16.7. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, startLineOf, statusOf, tagOf, valuesOf } from '../messages.ts';
import { BOB, type Sent } from '../virtual-network.ts';
import { brief, CAROL, Call, DAVE, forkTo, responseOf } from './call.ts';

const three = () => new Call({ settings: forkTo(BOB, CAROL, DAVE) });
const two = (method = 'INVITE') => new Call({ settings: forkTo(BOB, CAROL), request: { method } });

/** All branches answer in this order; what Alice gets in the end. */
function outcome(call: Call, statuses: readonly string[]): Sent {
  const finals = statuses.flatMap((status, i) => call.reply([BOB, CAROL, DAVE][i]!, status));
  const [final, ...more] = finals.filter(({ text }) => statusOf(text) >= 200);
  expect(more).toEqual([]);
  if (final === undefined) throw new Error(`nothing final among ${brief(finals)}`);
  call.acknowledge(final);
  return final;
}

const permutations = <T>([first, ...rest]: readonly T[]): T[][] =>
  first === undefined
    ? [[]]
    : permutations(rest).flatMap((tail) =>
        Array.from({ length: tail.length + 1 }, (_, i) => [...tail.slice(0, i), first, ...tail.slice(i)]),
      );

describe('16.6, a fork', () => {
  it('goes to all contacts at once, each with a branch and a Request-URI of its own', () => {
    const call = three();
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob', 'INVITE to Carol', 'INVITE to Dave']);
    const invites = [BOB, CAROL, DAVE].map((ua) => call.reached(ua).text);
    expect(new Set(invites.map((text) => valuesOf(text, 'Via')[0])).size).toBe(3);
    expect(invites.map((text) => startLineOf(text))).toEqual([
      'INVITE sip:bob@192.0.2.30:5080 SIP/2.0',
      'INVITE sip:bob@192.0.2.31:5080 SIP/2.0',
      'INVITE sip:bob@192.0.2.32:5080 SIP/2.0',
    ]);
    for (const name of ['From', 'To', 'Call-ID', 'CSeq', 'Max-Forwards', 'Record-Route']) {
      expect(new Set(invites.map((text) => fieldsOf(text, name).join())).size, name).toBe(1);
    }
  });
});

describe('16.7 step 5', () => {
  it('passes on the 18x of every branch at once', () => {
    const call = three();
    const tags = [BOB, CAROL, DAVE].map((ua) => {
      const [ringing] = call.reply(ua, '180 Ringing');
      return tagOf(fieldsOf(ringing!.text, 'To')[0]!);
    });
    expect(new Set(tags).size).toBe(3);
  });

  it('passes on a 2xx at once, and cancels what else rings', () => {
    const call = three();
    for (const ua of [BOB, CAROL, DAVE]) call.reply(ua, '180 Ringing');
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice', 'CANCEL to Bob', 'CANCEL to Dave']);
  });

  it('keeps other final responses back while something is pending', () => {
    const call = three();
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob']);
    expect(brief(call.reply(CAROL, '404 Not Found'))).toEqual(['ACK to Carol']);
  });

  it('passes on every 2xx to an INVITE, also crossing ones and their retransmissions', () => {
    const call = three();
    for (const ua of [BOB, CAROL, DAVE]) call.reply(ua, '180 Ringing');
    call.reply(BOB, '200 OK');
    expect(brief(call.reply(CAROL, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(DAVE, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(CAROL, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
  });

  it('does not pass on a 1xx after a final response', () => {
    const call = two();
    call.reply(BOB, '200 OK');
    expect(brief(call.reply(CAROL, '180 Ringing'))).not.toContain('180 to Alice');
  });

  it('passes on a single 2xx of something else than an INVITE', () => {
    const call = two('OPTIONS');
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual([]);
  });
});

describe('16.7 step 6, the class', () => {
  it.each([
    [['300 Multiple Choices', '404 Not Found', '500 Server Internal Error'], 300],
    [['404 Not Found', '500 Server Internal Error', '302 Moved Temporarily'], 302],
    [['404 Not Found', '500 Server Internal Error', '580 Precondition Failure'], 404],
    [['500 Server Internal Error', '486 Busy Here', '501 Not Implemented'], 486],
    [
      ['502 Bad Gateway', '580 Precondition Failure', '513 Message Too Large'],
      [502, 513, 580],
    ],
    [['503 Service Unavailable', '503 Service Unavailable', '486 Busy Here'], 486],
    [['503 Service Unavailable', '503 Service Unavailable', '503 Service Unavailable'], 500],
    [
      ['503 Service Unavailable', '500 Server Internal Error', '502 Bad Gateway'],
      [500, 502],
    ],
  ] as const)('of %j, in any order, it is %j', (statuses, expected) => {
    for (const order of permutations<string>(statuses)) {
      expect([expected].flat(), order.join(', ')).toContain(statusOf(outcome(three(), order).text));
    }
  });

  it('6xx beats everything else, in any order', () => {
    for (const order of permutations(['603 Decline', '302 Moved Temporarily', '401 Unauthorized'])) {
      expect(statusOf(outcome(three(), order).text), order.join(', ')).toBe(603);
    }
  });

  it('a 6xx waits until the others have ended, and cancels them', () => {
    const call = three();
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.reply(BOB, '603 Decline'))).toEqual(['ACK to Bob', 'CANCEL to Carol']);
    expect(brief(call.reply(DAVE, '180 Ringing'))).toContain('CANCEL to Dave');
    expect(brief(call.reply(CAROL, '487 Request Terminated'))).toEqual(['ACK to Carol']);
    expect(brief(call.reply(DAVE, '487 Request Terminated'))).toEqual(['603 to Alice', 'ACK to Dave']);
    call.acknowledge(responseOf(call.sent, 603));
  });

  it('a 2xx after a 6xx still goes back, and alone', () => {
    const call = two();
    call.reply(CAROL, '180 Ringing');
    call.reply(BOB, '603 Decline');
    expect(brief(call.reply(CAROL, '200 OK', 'INVITE'))).toEqual(['200 to Alice']);
  });

  it('a 6xx of something else than an INVITE waits for the others, without CANCEL', () => {
    const call = two('OPTIONS');
    expect(brief(call.reply(BOB, '603 Decline'))).toEqual([]);
    expect(brief(call.reply(CAROL, '404 Not Found'))).toEqual(['603 to Alice']);
  });
});

describe('16.7 step 6, within 4xx', () => {
  it.each([
    '401 Unauthorized',
    '407 Proxy Authentication Required',
    '415 Unsupported Media Type',
    '420 Bad Extension',
    '484 Address Incomplete',
  ])('%s, which tells how to do better, beats 404 and 486 in any order', (status) => {
    for (const order of permutations(['404 Not Found', status, '486 Busy Here'])) {
      expect(statusOf(outcome(three(), order).text), order.join(', ')).toBe(Number.parseInt(status, 10));
    }
  });

  it('is the response of that branch, as it came', () => {
    const call = two();
    call.reply(BOB, '404 Not Found');
    const sent = call.reply(CAROL, '415 Unsupported Media Type', 'INVITE', {
      headers: ['Accept: text/plain', 'X-Odd:   yes'],
      body: 'why',
    });
    const final = responseOf(sent, 415).text;
    expect(fieldsOf(final, 'Accept')).toEqual(['text/plain']);
    expect(fieldsOf(final, 'X-Odd')).toEqual(['yes']);
    expect(final.endsWith('why')).toBe(true);
    expect(valuesOf(final, 'Via')).toHaveLength(1);
    call.acknowledge(responseOf(sent, 415));
  });

  it('the same response may be the first', () => {
    const call = two();
    call.reply(BOB, '415 Unsupported Media Type', 'INVITE', { headers: ['Accept: text/plain'], body: 'why' });
    const sent = call.reply(CAROL, '404 Not Found');
    const final = responseOf(sent, 415).text;
    expect(fieldsOf(final, 'Accept')).toEqual(['text/plain']);
    expect(final.endsWith('why')).toBe(true);
    expect(tagOf(fieldsOf(final, 'To')[0]!)).toBe('at-192.0.2.30');
    expect(valuesOf(final, 'Via')).toHaveLength(1);
    call.acknowledge(responseOf(sent, 415));
  });
});

describe('16.7 step 6, 503', () => {
  it('becomes a 500 that does not speak of the hop: no Retry-After', () => {
    const call = new Call();
    const sent = call.reply(BOB, '503 Service Unavailable', 'INVITE', { headers: ['Retry-After: 120'] });
    const final = responseOf(sent, 500);
    // 21.5.4: the client would not ask this proxy any more. Retry-After of a 500 says "try again then" (21.5.1).
    expect(startLineOf(final.text)).toMatch(/^SIP\/2\.0 500 /);
    call.acknowledge(final);
  });

  it('of an OPTIONS, too', () => {
    expect(brief(new Call({ request: { method: 'OPTIONS' } }).reply(BOB, '503 Service Unavailable'))).toEqual([
      '500 to Alice',
    ]);
  });
});

describe('16.7 step 7, challenges', () => {
  const proxyChallenge = (realm: string) => `Proxy-Authenticate: Digest realm="${realm}", nonce="1, 2"`;
  const challenge = (realm: string) => `WWW-Authenticate: Digest realm="${realm}", nonce="3"`;

  it('of all 401 and 407 are in the one that goes back, those of one response in their order', () => {
    const call = three();
    call.reply(BOB, '407 Proxy Authentication Required', 'INVITE', {
      headers: [proxyChallenge('b1'), proxyChallenge('b2')],
    });
    call.reply(CAROL, '401 Unauthorized', 'INVITE', { headers: [challenge('c')] });
    const sent = call.reply(DAVE, '407 Proxy Authentication Required', 'INVITE', { headers: [proxyChallenge('d')] });
    const final = sent.find(({ text }) => statusOf(text) >= 400)!;
    expect([401, 407]).toContain(statusOf(final.text));
    const realms = (name: string) => fieldsOf(final.text, name).map((value) => /realm="(\w+)"/.exec(value)![1]);
    expect(realms('WWW-Authenticate')).toEqual(['c']);
    expect(realms('Proxy-Authenticate').sort()).toEqual(['b1', 'b2', 'd']);
    expect(realms('Proxy-Authenticate').indexOf('b1')).toBeLessThan(realms('Proxy-Authenticate').indexOf('b2'));
    call.acknowledge(final);
  });

  it('are not repeated: each value is there once', () => {
    const call = two();
    call.reply(BOB, '401 Unauthorized', 'INVITE', { headers: [challenge('b')] });
    const final = responseOf(call.reply(CAROL, '401 Unauthorized', 'INVITE', { headers: [challenge('c')] }), 401);
    expect(fieldsOf(final.text, 'WWW-Authenticate')).toHaveLength(2);
    call.acknowledge(final);
  });

  it('are byte for byte what came', () => {
    const call = two();
    const odd = 'WWW-Authenticate:Digest  realm="a, b" ,\tnonce="", stale=FALSE';
    call.reply(BOB, '401 Unauthorized', 'INVITE', { headers: [odd] });
    const final = responseOf(call.reply(CAROL, '401 Unauthorized', 'INVITE', { headers: [challenge('c')] }), 401);
    expect(final.text).toContain(`\r\n${odd}\r\n`);
    call.acknowledge(final);
  });

  it('of a branch that lost against a 6xx are not shown', () => {
    const call = two();
    call.reply(BOB, '401 Unauthorized', 'INVITE', { headers: [challenge('b')] });
    const final = responseOf(call.reply(CAROL, '603 Decline'), 603);
    expect(fieldsOf(final.text, 'WWW-Authenticate')).toEqual([]);
    call.acknowledge(final);
  });

  it('of a single branch pass as they came', () => {
    const call = new Call();
    const sent = call.reply(BOB, '407 Proxy Authentication Required', 'INVITE', { headers: [proxyChallenge('b')] });
    const final = responseOf(sent, 407);
    expect(fieldsOf(final.text, 'Proxy-Authenticate')).toHaveLength(1);
    call.acknowledge(final);
  });
});

describe('16.7, timeouts of branches', () => {
  it('count as 408, which is better than 5xx and no better than other 4xx', () => {
    const call = two();
    call.reply(BOB, '500 Server Internal Error');
    call.advance(32_100);
    call.acknowledge(responseOf(call.sent, 408));
  });

  it('do not keep a real answer back for ever', () => {
    const call = two();
    call.reply(BOB, '486 Busy Here');
    expect(
      call
        .advance(32_100)
        .map(({ text }) => statusOf(text))
        .filter(Boolean),
    ).toHaveLength(1);
    const final = call.sent.at(-1)!;
    expect([408, 486]).toContain(statusOf(final.text));
    call.acknowledge(final);
  });

  it('of all but one branch of an OPTIONS leave that one', () => {
    const call = two('OPTIONS');
    call.reply(BOB, '404 Not Found');
    const sent = call.advance(32_100).filter(({ text }) => statusOf(text) >= 200);
    expect(brief(sent)).toEqual(['404 to Alice']);
  });

  it('a 200 after the 408 went back still passes while its branch lives (RFC 6026)', () => {
    const call = two();
    call.reply(BOB, '180 Ringing');
    call.advance(32_100);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('16.7 step 10 and 16.10, CANCEL of the losers', () => {
  it('goes to those that said something provisional; to others once they do', () => {
    const call = three();
    call.reply(BOB, '180 Ringing');
    expect(brief(call.reply(DAVE, '200 OK'))).toEqual(['200 to Alice', 'CANCEL to Bob']);
    expect(brief(call.reply(CAROL, '100 Trying'))).toEqual(['CANCEL to Carol']);
    expect(brief(call.reply(CAROL, '180 Ringing'))).toEqual([]);
  });

  it('not to those that have ended', () => {
    const call = three();
    call.reply(BOB, '180 Ringing');
    call.reply(BOB, '486 Busy Here');
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.reply(DAVE, '200 OK'))).toEqual(['200 to Alice', 'CANCEL to Carol']);
  });

  it('is a request of its own: retransmitted until answered', () => {
    const call = two();
    call.reply(BOB, '180 Ringing');
    call.reply(CAROL, '200 OK');
    expect(brief(call.advance(600))).toEqual(['CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.advance(5000))).toEqual([]);
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['ACK to Bob']);
  });

  it('has the Request-URI, Via, Route, From, To, Call-ID and CSeq number of what it cancels', () => {
    const call = two();
    const invite = call.reached(BOB).text;
    call.reply(BOB, '180 Ringing');
    call.reply(CAROL, '200 OK');
    const cancel = call.reached(BOB, 'CANCEL').text;
    expect(startLineOf(cancel)).toBe(startLineOf(invite).replace('INVITE', 'CANCEL'));
    expect(valuesOf(cancel, 'Via')).toEqual([valuesOf(invite, 'Via')[0]]);
    for (const name of ['From', 'To', 'Call-ID', 'Route'])
      expect(fieldsOf(cancel, name)).toEqual(fieldsOf(invite, name));
    expect(fieldsOf(cancel, 'CSeq')).toEqual(['1 CANCEL']);
    for (const name of ['Max-Breadth', 'Record-Route', 'Contact', 'Require', 'Proxy-Require']) {
      expect(fieldsOf(cancel, name), name).toEqual([]);
    }
    expect(fieldsOf(cancel, 'Max-Forwards')).toHaveLength(1);
  });

  it('says that the call was taken elsewhere (RFC 3326 3.1)', () => {
    const call = two();
    call.reply(BOB, '180 Ringing');
    call.reply(CAROL, '200 OK');
    const reasons = fieldsOf(call.reached(BOB, 'CANCEL').text, 'Reason');
    // A MAY of RFC 3326; if it is there, it says 200.
    if (reasons.length > 0) expect(reasons[0]).toMatch(/^SIP\s*;\s*cause\s*=\s*200/);
  });
});
