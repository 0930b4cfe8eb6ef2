/** More new calls than there is room for (RFC 3261 21.5.4): they are turned away with 503 and Retry-After or dropped, calls that
 *  run go on to their BYE, and once it is over all is as before. */

import { afterEach, describe, expect, it } from 'vitest';
import { dropsAt } from '../../../../perf/bench/udp-sockets.ts';
import { PATIENCE_MS } from '../../../process/patience.ts';
import { endServers, until } from '../../../process/server-process.ts';
import { callIdOfShard, headerOf } from '../../../process/sip-texts.ts';
import { UdpPeer } from '../../../process/udp-peer.ts';
import { endLoadGenerators, figuresOfUas, runUac, type SippFigures, startUas } from '../../load-generator.ts';
import { callRequest } from '../invite-texts.ts';
import { countersOnceIdle, type StatefulServer, startStateful } from '../stateful-server.ts';

const open: UdpPeer[] = [];

afterEach(async () => {
  for (const peer of open.splice(0)) peer.close();
  await endLoadGenerators();
  await endServers();
});

const RUNNING_CALLS = 50;
const RUN_MS = 1500;
const LATER_CALLS = 50;
const TRANSACTIONS = 1024;
/** 64 × T1 ends the calls of the flood, which nobody answers. */
const HASTY_T1_MS = 40;
/** Marks at 64 and 128 of them. */
const SLOTS = 1024;
const FLOOD_PAUSE_MS = 20;

const scenario = new URL('./uac.xml', import.meta.url);
/** To an INVITE that comes again SIPp repeats its answer, if it was the only one. */
const answering = new URL('../failover/uas.xml', import.meta.url);

/** Calls that are up; `end` comes with the last one's. */
async function callsThatRun(proxy: StatefulServer) {
  const uas = await startUas({ scenario: answering });
  const target = `127.0.0.1:${uas.port}`;
  const args = ['-d', String(RUN_MS)];
  const end = runUac({ scenario, target, by: proxy.by, calls: RUNNING_CALLS, perSec: 100, args });
  // Whoever awaits it later hears of its failure then.
  end.catch(() => undefined);
  await until(
    'the calls are answered and acknowledged',
    async () => (await proxy.server.counters())['requests_forwarded_total']! >= RUNNING_CALLS * 2,
    { explain: () => uas.explain() },
  );
  return { uas, target, end };
}

function laterCalls(proxy: StatefulServer, target: string): Promise<SippFigures> {
  return runUac({ scenario, target, by: proxy.by, calls: LATER_CALLS, perSec: 100, args: ['-d', '10'] });
}

/** A peer that sends new INVITEs to `uri`, `count` of them, and acknowledges none of the answers. */
class Flood {
  readonly peer: UdpPeer;
  readonly #proxy: StatefulServer;
  readonly #uri: string;
  sent = 0;

  constructor(peer: UdpPeer, proxy: StatefulServer, uri: string) {
    this.peer = peer;
    this.#proxy = proxy;
    this.#uri = uri;
  }

  async send(count: number): Promise<void> {
    const { peer } = this;
    const requests = Array.from({ length: count }, () => {
      const branch = `flood${++this.sent}`;
      return callRequest({
        method: 'INVITE',
        uri: this.#uri,
        callId: callIdOfShard(0, 1),
        sentBy: peer.hostPort,
        branch,
      });
    });
    await Promise.all(requests.map((request) => peer.send(request, this.#proxy.port)));
  }

  /** One burst after the other until `end`, and until it has had its effect, however busy the machine is. */
  async sendUntil(end: Promise<unknown>, burst: number, hasEffect: () => Promise<boolean>): Promise<void> {
    let isOver = false;
    const stop = (): void => {
      isOver = true;
    };
    void end.then(stop, stop);
    const deadline = performance.now() + PATIENCE_MS;
    while (!isOver || (performance.now() < deadline && !(await hasEffect()))) {
      await this.send(burst);
      await new Promise((resolve) => setTimeout(resolve, FLOOD_PAUSE_MS));
    }
  }

  /** Waits for so many 503 responses. What found the flooder's own buffer full is not the server's fault. */
  async getsRefusals(count: number): Promise<void> {
    const dropped = () => dropsAt(this.peer.port);
    await until('each refusal has reached the flooder', () => this.refusals + dropped() >= count, {
      explain: () => `${this.refusals} have, ${dropped()} were dropped, of ${count}`,
    });
  }

  /** 503 responses so far, all of which have to have a Retry-After. */
  get refusals(): number {
    const refusals = this.peer.arrivals.filter(({ datagram }) => datagram.includes('SIP/2.0 503'));
    for (const { datagram } of refusals) expect(headerOf(datagram, 'Retry-After')).toMatch(/^\d+$/);
    return refusals.length;
  }
}

function figuresOf(counters: Record<string, number>) {
  return {
    rejected: counters['overload_rejected_total']!,
    shed: counters['shed_requests_total']!,
    filtered: counters['filtered_requests_total']!,
  };
}

async function floodOf(proxy: StatefulServer): Promise<Flood> {
  const [flooder, silent] = [await UdpPeer.open(), await UdpPeer.open()];
  open.push(flooder, silent);
  return new Flood(flooder, proxy, `sip:nobody@${silent.hostPort}`);
}

describe('with every transaction in use', () => {
  it('new calls get 503, running ones are hung up as ever, and new ones succeed afterwards', async () => {
    const sets = { 'limits.transactions': String(TRANSACTIONS) };
    const proxy = await startStateful({ t1Ms: HASTY_T1_MS, shards: 1, sets });
    const running = await callsThatRun(proxy);
    const flood = await floodOf(proxy);
    await flood.send(TRANSACTIONS);
    // As fast as places become free they are taken again.
    await flood.sendUntil(running.end, 32, async () => true);
    expect(await running.end).toMatchObject({ successful: RUNNING_CALLS, failed: 0 });
    expect(await figuresOfUas(running.uas, RUNNING_CALLS)).toMatchObject({ failed: 0 });

    const { transactions_exhausted_total: refused } = await countersOnceIdle(proxy);
    expect(refused).toBeGreaterThan(0);
    await flood.getsRefusals(refused!);
    expect(await laterCalls(proxy, running.target)).toMatchObject({ successful: LATER_CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      transactions_exhausted_total: refused,
      shard_crashes_total: 0,
    });
  });
});

describe('above the marks', () => {
  it('new calls are answered 503 or dropped, running ones are hung up as ever, and calm returns', async () => {
    const proxy = await startStateful({ shards: 1, sets: { 'limits.slots': String(SLOTS) } });
    const running = await callsThatRun(proxy);
    const flood = await floodOf(proxy);
    await flood.sendUntil(running.end, SLOTS / 2, async () => {
      const { rejected, shed, filtered } = figuresOf(await proxy.server.counters());
      return rejected > 0 && shed + filtered > 0;
    });
    expect(await running.end).toMatchObject({ successful: RUNNING_CALLS, failed: 0 });
    const figures = await laterCalls(proxy, running.target);
    expect(figures).toMatchObject({ successful: LATER_CALLS, failed: 0 });
    const counters = await proxy.server.counters();
    const { rejected, shed, filtered } = figuresOf(counters);
    console.log(`of ${flood.sent} INVITEs ${rejected} got 503, ${shed} were dropped, ${filtered} by the kernel`);
    expect(rejected).toBeGreaterThan(0);
    expect(shed + filtered).toBeGreaterThan(0);
    expect(counters).toMatchObject({ transactions_exhausted_total: 0, shard_crashes_total: 0 });
    await flood.getsRefusals(rejected);
  });
});
