/** What is tried when a next hop fails: RFC 3261 16.7 to 16.9, RFC 3263 4.3. */

import { describe, expect, it } from 'vitest';
import { branchOf, statusOf, uriOf } from '../messages.ts';
import { BOB, type ElementOptions, type Endpoint, type Sent } from '../virtual-network.ts';
import { brief, CAROL, Call, DAVE, forkTo, openProxy, responseOf, timeline } from './call.ts';

const hop = ({ address, port }: Endpoint, priority = 0, weight = 1) => ({
  uri: `sip:${address}:${port}`,
  priority,
  weight,
});
const ECONNREFUSED = 111;
const EMSGSIZE = 90;
const refuseTo =
  (...endpoints: readonly Endpoint[]) =>
  ({ to, text }: Sent) =>
    endpoints.some(({ address }) => to.address === address) && !text.startsWith('SIP/') ? ECONNREFUSED : 0;
const end = (call: Call) => call.acknowledge(call.sent.filter(({ text }) => statusOf(text) >= 300).at(-1)!);

/** The second call, third call … that Alice makes. */
function again(call: Call, number: number, method = 'INVITE'): Call {
  const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKcall${number}`;
  return new Call({ proxy: call.proxy, request: { method, callId: `${number}@atlanta.example`, via } });
}

describe('RFC 3263 4.3, the next of our next hops', () => {
  const settings = { nextHops: [hop(BOB, 1), hop(CAROL, 2), hop(DAVE, 3)] };

  it('after a timeout: a new transaction, by priority', () => {
    const call = new Call({ settings });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob']);
    expect(timeline(call.advance(32_100)).at(-1)).toBe('32 INVITE to Carol');
    expect(branchOf(call.reached(CAROL).text)).not.toBe(branchOf(call.reached(BOB).text));
    expect(uriOf(call.reached(CAROL).text)).toBe(uriOf(call.text));
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('after a 503', () => {
    const call = new Call({ settings });
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('after a transport error, at once', () => {
    const call = new Call({ settings, element: { refuse: refuseTo(BOB) } });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('until all have failed, then one answer goes back: 500 for 503', () => {
    const call = new Call({ settings });
    call.reply(BOB, '503 Service Unavailable');
    call.reply(CAROL, '503 Service Unavailable');
    expect(brief(call.reply(DAVE, '503 Service Unavailable'))).toEqual(['500 to Alice', 'ACK to Dave']);
    end(call);
  });

  it('until all are unreachable, then 500', () => {
    const call = new Call({ settings, element: { refuse: refuseTo(BOB, CAROL, DAVE) } });
    const finals = call.sent.filter(({ text }) => statusOf(text) >= 300);
    expect(brief(finals)).toEqual(['500 to Alice']);
    end(call);
  });

  it('until all have timed out, then 408', () => {
    const call = new Call({ settings });
    expect(timeline(call.advance(96_400)).filter((line) => line.endsWith('Alice'))).toEqual(['96 408 to Alice']);
    end(call);
  });

  it('not after any other answer', () => {
    for (const status of ['404 Not Found', '500 Server Internal Error', '480 Temporarily Unavailable', '603 Decline']) {
      const call = new Call({ settings });
      expect(brief(call.reply(BOB, status))).toEqual(['ACK to Bob', `${status.slice(0, 3)} to Alice`].sort());
      end(call);
    }
  });

  it('not while it rings, and not after Timer C', () => {
    const call = new Call({ settings });
    call.reply(BOB, '180 Ringing');
    expect(brief(call.advance(185_200))).toEqual(['CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).not.toContain('INVITE to Carol');
    end(call);
  });

  it('a 200 that comes after all from the one given up is dropped or passed, never a second call setup', () => {
    const call = new Call({ settings });
    call.advance(32_100);
    const late = brief(call.reply(BOB, '200 OK'));
    expect(late.length).toBeLessThanOrEqual(1);
    call.reply(CAROL, '200 OK');
  });

  it('works for other methods', () => {
    const call = new Call({ settings, request: { method: 'MESSAGE' } });
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['MESSAGE to Carol']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('works for an ACK to a 2xx as far as it can: nothing is answered', () => {
    const proxy = openProxy({ refuse: refuseTo(BOB) });
    const call = new Call({ proxy, request: { method: 'ACK' } });
    expect(brief(call.first)).toEqual([]);
  });

  it('a message too long for the network: 513, and nothing else tried in vain', () => {
    const refuse = ({ text }: Sent) => (text.startsWith('INVITE') ? EMSGSIZE : 0);
    const call = new Call({ settings, element: { refuse } });
    expect(brief(call.first.filter(({ text }) => statusOf(text) >= 300))).toEqual(['513 to Alice']);
    end(call);
  });
});

describe('nextHops, priority and weight (RFC 2782)', () => {
  const COUNT = 200;
  const firstHops = (hops: readonly object[]): Record<string, number> => {
    const proxy = openProxy({ settings: { nextHops: hops } });
    const counts: Record<string, number> = {};
    for (let number = 0; number < COUNT; number++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKn${number * 7919}`;
      const call = new Call({ proxy, request: { method: 'OPTIONS', via, callId: `${number}@a` } });
      const name = brief(call.first)[0]!.replace('OPTIONS to ', '');
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };

  it('the lowest priority takes all', () => {
    expect(firstHops([hop(CAROL, 5), hop(BOB, 1), hop(DAVE, 5)])).toEqual({ Bob: COUNT });
  });

  it('equal ones share by weight', () => {
    const { Bob = 0, Carol = 0 } = firstHops([hop(BOB, 0, 3), hop(CAROL, 0, 1)]);
    expect(Bob + Carol).toBe(COUNT);
    expect(Bob / COUNT).toBeGreaterThan(0.6);
    expect(Bob / COUNT).toBeLessThan(0.9);
  });

  it('weight 0 serves only after the others of its priority', () => {
    expect(firstHops([hop(BOB, 0, 0), hop(CAROL, 0, 1)]).Bob ?? 0).toBeLessThan(COUNT / 20);
  });
});

describe('nextHopRestSec', () => {
  const settings = { nextHops: [hop(BOB, 1), hop(CAROL, 2)], nextHopRestSec: 60 };

  it('a next hop that answered 503 rests, then is tried again', () => {
    const call = new Call({ settings });
    call.reply(BOB, '503 Service Unavailable');
    call.reply(CAROL, '200 OK');
    expect(brief(again(call, 2, 'OPTIONS').first)).toEqual(['OPTIONS to Carol']);
    call.advance(61_000);
    expect(brief(again(call, 3, 'OPTIONS').first)).toEqual(['OPTIONS to Bob']);
  });

  it('one that did not answer rests', () => {
    const call = new Call({ settings });
    call.advance(32_100);
    call.reply(CAROL, '200 OK');
    expect(brief(again(call, 2, 'OPTIONS').first)).toEqual(['OPTIONS to Carol']);
  });

  it('one that could not be reached rests', () => {
    let isDown = true;
    const refuse = (sent: Sent) => (isDown ? refuseTo(BOB)(sent) : 0);
    const call = new Call({ settings, element: { refuse } });
    call.reply(CAROL, '200 OK');
    isDown = false;
    expect(brief(again(call, 2, 'OPTIONS').first)).toEqual(['OPTIONS to Carol']);
  });

  it('one that is busy, or rang until Timer C, does not', () => {
    const call = new Call({ settings });
    call.reply(BOB, '486 Busy Here');
    end(call);
    expect(brief(again(call, 2, 'OPTIONS').first)).toEqual(['OPTIONS to Bob']);
  });

  it('if all rest, all are tried', () => {
    const call = new Call({ settings });
    call.reply(BOB, '503 Service Unavailable');
    call.reply(CAROL, '503 Service Unavailable');
    end(call);
    const second = again(call, 2);
    expect(second.first.filter(({ text }) => text.startsWith('INVITE'))).toHaveLength(1);
    const third = second.first.at(-1)!.to.address === BOB.address ? BOB : CAROL;
    second.reply(third, '200 OK');
  });

  it('0 means no rest', () => {
    const call = new Call({ settings: { ...settings, nextHopRestSec: 0 } });
    call.reply(BOB, '503 Service Unavailable');
    call.reply(CAROL, '200 OK');
    expect(brief(again(call, 2, 'OPTIONS').first)).toEqual(['OPTIONS to Bob']);
  });
});

describe('RFC 3263 4.3, the alternatives of a name', () => {
  const element: ElementOptions = {
    hosts: {
      '_sip._udp.hop.example': ['SRV 10 1 5080 b.example', 'SRV 20 1 5080 c.example', 'SRV 30 1 5080 d.example'],
      'b.example': [BOB.address],
      'c.example': [CAROL.address],
      'd.example': [DAVE.address],
      'two.example': [BOB.address, CAROL.address],
    },
  };

  it('SRV records by priority, after timeouts and 503', () => {
    const call = new Call({ element, settings: { nextHops: ['sip:hop.example'] } });
    expect(brief(call.first)).toContain('INVITE to Bob');
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    expect(timeline(call.advance(32_100)).at(-1)).toBe('32 INVITE to Dave');
    expect(brief(call.reply(DAVE, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('of a Request-URI elsewhere', () => {
    const call = new Call({ element, request: { uri: 'sip:bob@hop.example' } });
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('of a Route', () => {
    const call = new Call({ element, request: { route: ['<sip:hop.example;lr>'] } });
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('addresses of one name', () => {
    const call = new Call({ element, settings: { nextHops: ['sip:two.example:5080'] } });
    const first = call.sent.at(-1)!.to.address === BOB.address ? BOB : CAROL;
    const other = first === BOB ? CAROL : BOB;
    call.reply(first, '503 Service Unavailable');
    expect(brief(call.reply(other, '503 Service Unavailable'))).toEqual(
      ['500 to Alice', `ACK to ${other === BOB ? 'Bob' : 'Carol'}`].sort(),
    );
    end(call);
  });

  it('are all tried before the next hop of lower priority', () => {
    const nextHops = [{ uri: 'sip:two.example:5080', priority: 1 }, hop(DAVE, 2)];
    const call = new Call({ element, settings: { nextHops } });
    const first = call.sent.at(-1)!.to.address === BOB.address ? BOB : CAROL;
    call.reply(first, '503 Service Unavailable');
    call.reply(first === BOB ? CAROL : BOB, '503 Service Unavailable');
    expect(call.sent.at(-1)!.to).toEqual(DAVE);
    call.reply(DAVE, '200 OK');
  });

  it('of a branch of a fork', () => {
    const call = new Call({
      element,
      settings: {
        domains: [
          {
            name: 'biloxi.example',
            users: [{ user: 'bob', contacts: ['sip:bob@hop.example', { uri: 'sip:bob@192.0.2.33:5080', q: 0.3 }] }],
          },
        ],
      },
    });
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '503 Service Unavailable'))).toEqual(['ACK to Carol', 'INVITE to Dave']);
    expect(brief(call.reply(DAVE, '503 Service Unavailable'))).toEqual(['ACK to Dave', 'INVITE to Eve']);
    call.reply({ address: '192.0.2.33', port: 5080 }, '200 OK');
  });
});

describe('16.9, transport errors', () => {
  it('of the only target: 500', () => {
    const call = new Call({ element: { refuse: refuseTo(BOB) } });
    expect(brief(call.first)).toEqual(['100 to Alice', '500 to Alice']);
    end(call);
  });

  it('of an OPTIONS: 500', () => {
    const call = new Call({ element: { refuse: refuseTo(BOB) }, request: { method: 'OPTIONS' } });
    expect(brief(call.first)).toEqual(['500 to Alice']);
  });

  it('of one branch of a fork: the others go on', () => {
    const call = new Call({ element: { refuse: refuseTo(BOB) }, settings: forkTo(BOB, CAROL) });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['486 to Alice', 'ACK to Carol']);
    end(call);
  });

  it('of a retransmission: the same as of the first', () => {
    let isDown = false;
    const refuse = (sent: Sent) => (isDown ? refuseTo(BOB)(sent) : 0);
    const call = new Call({ element: { refuse } });
    isDown = true;
    expect(timeline(call.advance(700))).toEqual(['0.5 500 to Alice']);
    end(call);
  });

  it('of a response destroy nothing (RFC 6026 7.1): what is retransmitted gets it again', () => {
    let isDown = false;
    const refuse = ({ to }: Sent) => (isDown && to.address === '192.0.2.10' ? ECONNREFUSED : 0);
    const call = new Call({ element: { refuse } });
    isDown = true;
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob']);
    isDown = false;
    expect(brief(call.fromAlice(call.text))).toEqual(['486 to Alice']);
    end(call);
  });

  it('of an ACK we send, or a CANCEL, do no harm', () => {
    let isDown = false;
    const refuse = (sent: Sent) => (isDown ? refuseTo(BOB)(sent) : 0);
    const call = new Call({ element: { refuse } });
    call.reply(BOB, '180 Ringing');
    isDown = true;
    expect(brief(call.cancel())).toEqual(['200 to Alice']);
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice']);
    end(call);
  });
});

describe('names that are not known yet', () => {
  const element: ElementOptions = { hosts: { 'slow.example': [BOB.address] }, slowHosts: ['slow.example'] };
  const settings = { nextHops: ['sip:slow.example:5080'] };

  it('an INVITE gets its 100 at once (17.2.1), and goes when the name is known', async () => {
    const call = new Call({ element, settings });
    expect(brief(call.first)).toEqual(['100 to Alice']);
    expect(brief(call.fromAlice(call.text))).toEqual(['100 to Alice']);
    expect(brief(await call.settleLookUps())).toEqual(['INVITE to Bob']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('a CANCEL meanwhile ends it: 487, and nothing is sent later', async () => {
    const call = new Call({ element, settings });
    expect(brief(call.cancel())).toEqual(['200 to Alice', '487 to Alice']);
    call.acknowledge(responseOf(call.sent, 487));
    expect(brief(await call.settleLookUps())).toEqual([]);
  });

  it('a name that turns out not to exist: an error goes back', async () => {
    const call = new Call({ element: { hosts: {}, slowHosts: ['slow.example'] }, settings });
    const sent = await call.settleLookUps();
    expect(sent.map(({ text }) => statusOf(text))).toHaveLength(1);
    expect(statusOf(sent[0]!.text)).toBeGreaterThanOrEqual(400);
    end(call);
  });

  it('a branch of a fork waits while the others run', async () => {
    const call = new Call({
      element,
      settings: {
        domains: [
          {
            name: 'biloxi.example',
            users: [{ user: 'bob', contacts: ['sip:bob@slow.example:5080', 'sip:bob@192.0.2.31:5080'] }],
          },
        ],
      },
    });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol']);
    expect(brief(await call.settleLookUps())).toEqual(['INVITE to Bob']);
    call.reply(BOB, '200 OK');
  });

  it('a 200 of another branch meanwhile: nothing is sent later', async () => {
    const call = new Call({
      element,
      settings: {
        domains: [
          {
            name: 'biloxi.example',
            users: [{ user: 'bob', contacts: ['sip:bob@slow.example:5080', 'sip:bob@192.0.2.31:5080'] }],
          },
        ],
      },
    });
    call.reply(CAROL, '200 OK');
    expect(brief(await call.settleLookUps())).toEqual([]);
  });

  it('failover to a name that is not known yet waits for it', async () => {
    const nextHops = [hop(CAROL, 1), { uri: 'sip:slow.example:5080', priority: 2 }];
    const call = new Call({ element, settings: { nextHops } });
    expect(brief(call.reply(CAROL, '503 Service Unavailable'))).toEqual(['ACK to Carol']);
    expect(brief(await call.settleLookUps())).toEqual(['INVITE to Bob']);
    call.reply(BOB, '200 OK');
  });

  it('the call is over before the name is known', async () => {
    const nextHops = [hop(CAROL, 1), { uri: 'sip:slow.example:5080', priority: 2 }];
    const call = new Call({ element, settings: { nextHops } });
    call.reply(CAROL, '503 Service Unavailable');
    call.cancel();
    end(call);
    call.advance(100_000);
    const other = again(call, 2);
    expect(brief(await call.settleLookUps())).toEqual([]);
    other.reply(CAROL, '200 OK');
  });
});
