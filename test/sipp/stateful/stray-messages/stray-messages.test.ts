/** Messages that belong to no transaction or claim one that is not theirs: forged responses (RFC 3261 17.1.3, 18.1.2, RFC 6026
 *  7.3), a CANCEL with another Request-URI (9.1), an ACK and a CANCEL to nothing (16.10, 17). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers, until } from '../../../process/server-process.ts';
import { callIdOfShard, headerOf } from '../../../process/sip-texts.ts';
import { UdpPeer } from '../../../process/udp-peer.ts';
import { callRequest, responseTo } from '../invite-texts.ts';
import { countersOnceIdle, HARMLESS, type StatefulServer, startStateful } from '../stateful-server.ts';

const SHARDS = 2;
const open: UdpPeer[] = [];

afterAll(async () => {
  for (const peer of open.splice(0)) peer.close();
  await endServers();
});

interface Ringing {
  readonly proxy: StatefulServer;
  readonly caller: UdpPeer;
  readonly callee: UdpPeer;
  readonly callId: string;
  /** The INVITE as the callee got it. */
  readonly invite: Buffer;
}

/** A call that rings. The caller's branch is `branch`. */
async function ring(branch: string): Promise<Ringing> {
  const [caller, callee] = [await UdpPeer.open(), await UdpPeer.open()];
  open.push(caller, callee);
  const proxy = await startStateful();
  const callId = callIdOfShard(1, SHARDS);
  const request = { uri: `sip:bob@${callee.hostPort}`, callId, sentBy: caller.hostPort, branch };
  await caller.send(callRequest({ method: 'INVITE', ...request }), proxy.port);
  const invite = (await callee.receive('INVITE sip:bob@')).datagram;
  await callee.send(responseTo(invite, '180 Ringing'), proxy.port);
  await caller.receive('SIP/2.0 180');
  return { proxy, caller, callee, callId, invite };
}

/** A finished call: the callee answers what `uri` the CANCEL had, and the pools empty. */
async function answerTheCancel({ proxy, caller, callee, callId, invite }: Ringing, branch: string): Promise<void> {
  const cancel = await callee.receive('CANCEL ');
  await callee.send(responseTo(cancel.datagram, '200 OK'), proxy.port);
  await callee.send(responseTo(invite, '487 Request Terminated'), proxy.port);
  await callee.receive('ACK ');
  await caller.receive('SIP/2.0 487');
  const ack = { method: 'ACK', uri: 'sip:bob@example.test', sentBy: caller.hostPort, toTag: 'callee' } as const;
  await caller.send(callRequest({ ...ack, callId, branch }), proxy.port);
}

describe.concurrent('a forged response', () => {
  it('goes nowhere, and the real one still does', async () => {
    const call = await ring('forged');
    const { proxy, caller, callee, invite } = call;
    const real = responseTo(invite, '200 OK').toString('latin1');
    const branch = /branch=(z9hG4bK[^\r\n;]+)/.exec(real)![1]!;
    const otherDigit = (at: number) => branch.slice(0, at) + (branch[at] === '0' ? '1' : '0') + branch.slice(at + 1);
    const forgeries = [
      // Another cookie: eight digits for the record, eight that nobody can guess.
      real.replace(branch, otherDigit(branch.indexOf('s') + 9)),
      // Another record, one that was never used.
      real.replace(branch, otherDigit(branch.indexOf('s') + 3)),
      // No branch of ours at all.
      real.replace(branch, 'z9hG4bKforged'),
      // The method of another transaction.
      real.replace('CSeq: 1 INVITE', 'CSeq: 1 BYE'),
      // Somebody else's Via.
      real.replace(/Via: SIP\/2\.0\/UDP [^;]+/, 'Via: SIP/2.0/UDP 192.0.2.1:5060'),
    ];
    for (const forgery of forgeries) await callee.send(Buffer.from(forgery, 'latin1'), proxy.port);
    await callee.send(responseTo(invite, '486 Busy Here'), proxy.port);
    await caller.receive('SIP/2.0 486');
    const ack = { method: 'ACK', uri: `sip:bob@${callee.hostPort}`, callId: call.callId, toTag: 'callee' } as const;
    await caller.send(callRequest({ ...ack, sentBy: caller.hostPort, branch: 'forged' }), proxy.port);
    const counters = await countersOnceIdle(proxy);
    expect(counters).toMatchObject({
      ...HARMLESS,
      responses_received_total: forgeries.length + 2,
      responses_forwarded_total: 2,
      late_responses_total: 2,
      forged_responses_total: 2,
      stray_responses_total: 1,
    });
    expect(caller.arrivals.filter(({ datagram }) => datagram.includes('SIP/2.0 200'))).toEqual([]);
  });
});

describe.concurrent('a CANCEL', () => {
  it('with another Request-URI is known by its branch, and the INVITE that was sent is cancelled', async () => {
    const call = await ring('cancelled');
    const { proxy, caller, callee, callId } = call;
    const cancel = { method: 'CANCEL', uri: 'sip:somebody-else@192.0.2.1', callId, branch: 'cancelled' } as const;
    await caller.send(callRequest({ ...cancel, sentBy: caller.hostPort }), proxy.port);
    const { datagram } = await caller.receive('CSeq: 1 CANCEL');
    expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 200 /);
    await answerTheCancel(call, 'cancelled');
    const cancelled = callee.arrivals.find((arrival) => arrival.datagram.includes('CANCEL '))!;
    expect(cancelled.datagram.toString('latin1')).toMatch(new RegExp(`^CANCEL sip:bob@${callee.hostPort} SIP/2.0\r\n`));
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      cancels_received_total: 1,
      cancels_sent_total: 1,
    });
  });

  it('to nothing gets 481 where it has nowhere to go', async () => {
    const caller = await UdpPeer.open();
    open.push(caller);
    const proxy = await startStateful();
    const cancel = { method: 'CANCEL', uri: `sip:bob@${proxy.by}`, callId: callIdOfShard(0, SHARDS) } as const;
    await caller.send(callRequest({ ...cancel, sentBy: caller.hostPort, branch: 'nothing' }), proxy.port);
    const { datagram } = await caller.receive('CSeq: 1 CANCEL');
    expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 4\d\d /);
    expect(await countersOnceIdle(proxy)).toMatchObject({ cancels_received_total: 0, cancels_sent_total: 0 });
  });
});

describe.concurrent('an ACK to nothing', () => {
  it('is neither answered nor kept', async () => {
    const caller = await UdpPeer.open();
    open.push(caller);
    const proxy = await startStateful();
    const ack = { method: 'ACK', uri: `sip:bob@${proxy.by}`, toTag: 'nobody', branch: 'nothing' } as const;
    for (const shard of [0, 1]) {
      const callId = callIdOfShard(shard, SHARDS);
      await caller.send(callRequest({ ...ack, callId, sentBy: caller.hostPort }), proxy.port);
    }
    await until('both are dropped', async () => (await proxy.server.counters())['bad_acks_dropped_total'] === 2);
    expect(await countersOnceIdle(proxy)).toMatchObject({ server_transactions_total: 0, datagrams_sent_total: 0 });
    expect(caller.arrivals.map(({ datagram }) => headerOf(datagram, 'CSeq'))).toEqual([]);
  });
});
