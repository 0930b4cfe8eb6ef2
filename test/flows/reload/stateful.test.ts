/** A reload under calls: what belongs to a transaction goes on with the configuration that it began with. */

import { describe, expect, it } from 'vitest';
import { fieldsOf } from '../messages.ts';
import { brief, CAROL, Call, DAVE, EVE, forkTo, openProxy, replyOf, requestOf, timeline } from '../stateful/call.ts';
import { BOB, type Endpoint } from '../virtual-network.ts';

const hopsTo = (...endpoints: readonly Endpoint[]) => ({
  nextHops: endpoints.map(({ address, port }, priority) => ({ uri: `sip:${address}:${port}`, priority })),
});

let calls = 0;
/** Another call of Alice's over the same proxy. */
function another(call: Call): Call {
  const number = ++calls;
  const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKanother${number}`;
  return new Call({ proxy: call.proxy, request: { callId: `another-${number}@atlanta.example`, via } });
}

describe('a reload of the next hops', () => {
  it('leaves a call where it is, and new ones go the new way', () => {
    const call = new Call({ settings: hopsTo(BOB) });
    call.proxy.reload(hopsTo(CAROL));
    expect(timeline(call.advance(1600), 0)).toEqual(['0.5 INVITE to Bob', '1.5 INVITE to Bob']);
    expect(brief(another(call).first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(brief(call.reply(BOB, '180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('leaves a CANCEL to the place that rings', () => {
    const call = new Call({ settings: hopsTo(BOB) });
    call.reply(BOB, '180 Ringing');
    call.proxy.reload(hopsTo(CAROL));
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    const final = call.reply(BOB, '487 Request Terminated', 'INVITE');
    expect(brief(final)).toEqual(['487 to Alice', 'ACK to Bob']);
    call.acknowledge(final.find(({ text }) => text.startsWith('SIP/'))!);
  });

  it('does not change what is tried after a failure', () => {
    const call = new Call({ settings: hopsTo(BOB, DAVE) });
    call.proxy.reload(hopsTo(CAROL, EVE));
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('does not change the other places of a fork', () => {
    const call = new Call({ settings: forkTo({ at: BOB, q: 1 }, { at: DAVE, q: 0.5 }) });
    call.proxy.reload(forkTo(CAROL));
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('forgets no failure, and a call of before tells the new ones', () => {
    const call = new Call({ settings: hopsTo(BOB, CAROL) });
    call.reply(BOB, '503 Service Unavailable');
    call.proxy.reload({ ...hopsTo(BOB, DAVE), maxForwards: 20 });
    expect(brief(another(call).first)).toEqual(['100 to Alice', 'INVITE to Dave']);
    call.reply(CAROL, '200 OK');
    call.proxy.reload(hopsTo(DAVE, EVE));
    const late = another(call);
    call.proxy.reload(hopsTo(DAVE, CAROL));
    late.reply(DAVE, '503 Service Unavailable');
    expect(brief(another(call).first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    late.reply(EVE, '200 OK');
  });

  it('keeps the old ones as long as a call has them, and no longer', () => {
    const call = new Call({ settings: hopsTo(BOB) });
    const { proxy } = call;
    expect(proxy.snapshotCount()).toBe(1);
    proxy.reload(hopsTo(CAROL));
    proxy.reload(hopsTo(DAVE));
    expect(proxy.snapshotCount()).toBe(2);
    call.reply(BOB, '200 OK');
    call.advance(31_000);
    expect(proxy.snapshotCount()).toBe(2);
    call.advance(2000);
    expect(proxy.snapshotCount()).toBe(1);
    expect(proxy.occupancy().serverTransactions).toBe(0);
  });
});

describe('a reload of timers', () => {
  it('leaves running transactions theirs, the branches that they begin later included', () => {
    const call = new Call({ settings: { ...hopsTo(BOB, CAROL), timers: { t1Ms: 500 } } });
    call.proxy.reload({ ...hopsTo(BOB, CAROL), timers: { t1Ms: 100, timerCSec: 1 } });
    expect(timeline(call.advance(1600))).toEqual(['0.5 INVITE to Bob', '1.5 INVITE to Bob']);
    call.reply(BOB, '503 Service Unavailable');
    expect(timeline(call.advance(600), 1600)).toEqual(['0.5 INVITE to Carol']);
    const late = another(call);
    expect(timeline(late.advance(350), 2200).slice(0, 2)).toEqual(['0.1 INVITE to Carol', '0.3 INVITE to Carol']);
    call.reply(CAROL, '200 OK');
    late.reply(CAROL, '180 Ringing');
    expect(brief(late.advance(1200))[0]).toBe('CANCEL to Carol');
    late.reply(CAROL, '200 OK', 'CANCEL');
  });
});

describe('many reloads', () => {
  it('leave calls to the oldest with the next younger, once there are too many', () => {
    const proxy = openProxy({ settings: hopsTo(BOB, CAROL) });
    const call = new Call({ proxy });
    const ringing = Array.from({ length: 40 }, (_, i) => {
      proxy.reload({ nextHops: [hopsTo(BOB).nextHops[0], { uri: `sip:192.0.2.${100 + i}`, priority: 1 }] });
      return another(call);
    });
    expect(proxy.snapshotCount()).toBe(16);
    // It began 40 reloads ago; the configuration it is with now is that of 15 reloads ago.
    expect(brief(call.reply(BOB, '503 Service Unavailable'))).toEqual(['ACK to Bob', 'INVITE to 192.0.2.124:5060']);
    const late = ringing.at(-2)!;
    for (const one of ringing) if (one !== late) one.reply(BOB, '200 OK');
    call.reply({ address: '192.0.2.124', port: 5060 }, '200 OK');
    late.reply(BOB, '180 Ringing');
    proxy.advance(33_000);
    expect(proxy.snapshotCount()).toBe(2);
    expect(brief(late.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('have numbers enough, and go on when there are none', () => {
    const proxy = openProxy({ settings: { ...hopsTo(BOB), limits: { transactions: 2048 } } });
    const first = new Call({ proxy });
    for (let i = 0; i < 1100; i++) {
      proxy.reload(hopsTo(BOB));
      another(first);
    }
    expect(proxy.occupancy().serverTransactions).toBe(1101);
    expect(brief(first.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    const last = another(first);
    expect(brief(last.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    proxy.advance(200_000);
    expect(proxy.snapshotCount()).toBe(1);
  });

  it('leave nothing behind when nothing belongs to them', () => {
    const proxy = openProxy({ settings: hopsTo(BOB) });
    for (let i = 0; i < 100; i++) proxy.reload(hopsTo(i % 2 === 0 ? CAROL : BOB));
    expect(proxy.snapshotCount()).toBe(1);
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob']);
    expect(fieldsOf(requestOf(call.first, 'INVITE').text, 'Max-Breadth')).toEqual(['60']);
    proxy.receive(replyOf(BOB, call.reached(BOB).text, '200 OK'), BOB);
  });
});
