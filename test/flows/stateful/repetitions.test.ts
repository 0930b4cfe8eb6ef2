/** A network that repeats and reorders: every datagram of a call arrives twice, or late (RFC 3261 17, RFC 6026). What counts is
 *  what reaches Alice and Bob. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, statusOf } from '../messages.ts';
import { ALICE, BOB, type Endpoint, type Sent } from '../virtual-network.ts';
import { brief, CAROL, Call, forkTo, type ReplyParts, replyOf } from './call.ts';

/** A call whose every datagram arrives `times` times. */
class Echoing {
  readonly call: Call;
  readonly #times: number;
  constructor(times: number, options: ConstructorParameters<typeof Call>[0] = {}) {
    this.#times = times;
    this.call = new Call(options);
    for (let i = 1; i < times; i++) this.call.fromAlice(this.call.text);
  }
  reply(ua: Endpoint, status: string, method?: string, parts?: ReplyParts): Sent[] {
    return Array.from({ length: this.#times }, () => this.call.reply(ua, status, method, parts)).flat();
  }
  alice(text: string): Sent[] {
    return Array.from({ length: this.#times }, () => this.call.fromAlice(text)).flat();
  }
  cancel(): Sent[] {
    return Array.from({ length: this.#times }, () => this.call.cancel()).flat();
  }
  /** How often each thing left. */
  counts(): Record<string, number> {
    return Object.fromEntries(
      [...Map.groupBy(brief(this.call.sent), (line) => line)].map(([line, lines]) => [line, lines.length]),
    );
  }
}

const ackOf = (final: Sent) => request({ method: 'ACK', to: fieldsOf(final.text, 'To')[0]! });
const lastFinal = (call: Call) =>
  call.sent.filter(({ text, to }) => statusOf(text) >= 300 && to.address === ALICE.address).at(-1)!;

describe.each([2, 3, 5])('every datagram %i times', (times) => {
  it('a call: one INVITE goes out', () => {
    const twice = new Echoing(times);
    twice.reply(BOB, '100 Trying');
    twice.reply(BOB, '180 Ringing');
    twice.reply(BOB, '200 OK');
    const counts = twice.counts();
    expect(counts['INVITE to Bob']).toBe(1);
    expect(counts['200 to Alice']).toBe(times);
    expect(counts['ACK to Bob']).toBeUndefined();
    expect(counts['CANCEL to Bob']).toBeUndefined();
  });

  it('a failure: each 486 is acknowledged, one goes back', () => {
    const twice = new Echoing(times);
    twice.reply(BOB, '486 Busy Here');
    twice.alice(ackOf(lastFinal(twice.call)));
    twice.reply(BOB, '486 Busy Here');
    const counts = twice.counts();
    expect(counts).toEqual({
      '100 to Alice': times,
      'INVITE to Bob': 1,
      '486 to Alice': 1,
      'ACK to Bob': 2 * times,
    });
  });

  it('a CANCEL: one CANCEL goes out, each gets its 200', () => {
    const twice = new Echoing(times);
    twice.reply(BOB, '180 Ringing');
    twice.cancel();
    twice.reply(BOB, '200 OK', 'CANCEL');
    twice.reply(BOB, '487 Request Terminated', 'INVITE');
    twice.alice(ackOf(lastFinal(twice.call)));
    const counts = twice.counts();
    expect(counts).toEqual({
      '100 to Alice': times,
      'INVITE to Bob': 1,
      '180 to Alice': times,
      '200 to Alice': times,
      'CANCEL to Bob': 1,
      '487 to Alice': 1,
      'ACK to Bob': times,
    });
  });

  it('a fork: one CANCEL for the loser, one 200 for each that was sent', () => {
    const twice = new Echoing(times, { settings: forkTo(BOB, CAROL) });
    twice.reply(BOB, '180 Ringing');
    twice.reply(CAROL, '180 Ringing');
    twice.reply(CAROL, '200 OK');
    twice.reply(BOB, '200 OK', 'CANCEL');
    twice.reply(BOB, '487 Request Terminated', 'INVITE');
    const counts = twice.counts();
    expect(counts['INVITE to Bob']).toBe(1);
    expect(counts['INVITE to Carol']).toBe(1);
    expect(counts['CANCEL to Bob']).toBe(1);
    expect(counts['CANCEL to Carol']).toBeUndefined();
    expect(counts['200 to Alice']).toBe(times);
    expect(counts['487 to Alice']).toBeUndefined();
    expect(counts['ACK to Bob']).toBe(times);
  });

  it('a request other than INVITE', () => {
    const twice = new Echoing(times, { request: { method: 'MESSAGE' } });
    twice.reply(BOB, '200 OK');
    twice.alice(twice.call.text);
    expect(twice.counts()).toEqual({ 'MESSAGE to Bob': 1, '200 to Alice': 1 + times });
  });

  it('a redirect that is followed: one INVITE to its contact', () => {
    const twice = new Echoing(times, { settings: { redirects: 'recurse' } });
    twice.reply(BOB, '302 Moved Temporarily', 'INVITE', {
      headers: ['Contact: <sip:bob@192.0.2.31:5080>'],
      ownContact: null,
    });
    twice.reply(CAROL, '200 OK');
    const counts = twice.counts();
    expect(counts['INVITE to Carol']).toBe(1);
    expect(counts['ACK to Bob']).toBe(times);
    expect(counts['302 to Alice']).toBeUndefined();
  });

  it('a failover: one INVITE to the next', () => {
    const twice = new Echoing(times, {
      settings: {
        nextHops: [
          { uri: 'sip:192.0.2.30:5080', priority: 0 },
          { uri: 'sip:192.0.2.31:5080', priority: 1 },
        ],
      },
    });
    twice.reply(BOB, '503 Service Unavailable');
    twice.reply(CAROL, '200 OK');
    const counts = twice.counts();
    expect(counts['INVITE to Carol']).toBe(1);
    expect(counts['ACK to Bob']).toBe(times);
    expect(counts['500 to Alice']).toBeUndefined();
  });
});

describe('out of order', () => {
  it('180 after 200: dropped', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual([]);
  });

  it('the ACK before its 486 has arrived: the next one ends it', () => {
    const call = new Call();
    call.fromAlice(request({ method: 'ACK' }));
    call.reply(BOB, '486 Busy Here');
    expect(brief(call.acknowledge(lastFinal(call)))).toEqual([]);
    expect(brief(call.advance(5000))).toEqual([]);
  });

  it('the CANCEL before its INVITE: forwarded, and the INVITE then starts as usual', () => {
    const call = new Call({ request: { method: 'CANCEL', cseq: '1 CANCEL' } });
    expect(brief(call.first)).toEqual(['CANCEL to Bob']);
    expect(brief(call.fromAlice(request()))).toEqual(['100 to Alice', 'INVITE to Bob']);
  });

  it('the 487 before the 200 of the CANCEL', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice', 'ACK to Bob']);
    expect(brief(call.reply(BOB, '200 OK', 'CANCEL'))).toEqual([]);
    call.acknowledge(lastFinal(call));
  });

  it('a CANCEL while a final response waits for its ACK', () => {
    const call = new Call();
    call.reply(BOB, '486 Busy Here');
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    expect(brief(call.advance(600))).toEqual(['486 to Alice']);
    call.acknowledge(lastFinal(call));
  });

  it('BYE before the 200 of the INVITE came through', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    const bye = request({
      method: 'BYE',
      cseq: '2 BYE',
      via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye',
      route: ['<sip:192.0.2.254;lr>'],
      uri: 'sip:bob@192.0.2.30:5080',
      to: `<sip:bob@biloxi.example>;tag=at-${BOB.address}`,
    });
    expect(brief(call.fromAlice(bye))).toEqual(['BYE to Bob']);
    expect(brief(call.reply(BOB, '200 OK', 'BYE'))).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice', 'ACK to Bob']);
    call.acknowledge(lastFinal(call));
  });
});

describe('what is delivered late, all of it at once', () => {
  it('everything of a call that is over is dropped, but for a request that begins anew', () => {
    const call = new Call();
    const invite = call.reached(BOB).text;
    call.reply(BOB, '180 Ringing');
    call.reply(BOB, '486 Busy Here');
    call.acknowledge(lastFinal(call));
    call.advance(200_000);
    for (const status of ['100 Trying', '180 Ringing', '200 OK', '486 Busy Here', '603 Decline']) {
      expect(brief(call.proxy.receive(replyOf(BOB, invite, status), BOB)), status).toEqual([]);
    }
    expect(call.proxy.counters().late_responses_total).toBeGreaterThanOrEqual(5);
  });

  it('responses of an earlier call do not reach a later one that has taken its place', () => {
    const call = new Call();
    const old = call.reached(BOB).text;
    call.reply(BOB, '486 Busy Here');
    call.acknowledge(lastFinal(call));
    call.advance(200_000);
    for (let n = 0; n < 5; n++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlater${n}`;
      new Call({ proxy: call.proxy, request: { callId: `${n}@later`, via } });
      expect(brief(call.proxy.receive(replyOf(BOB, old, '200 OK'), BOB))).toEqual([]);
    }
  });
});
