/** Next hops of a domain, one failing (RFC 3263 4.3): it is left for the second, and rests while others take the calls. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { UdpPeer } from '../../../process/udp-peer.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, expectBothShardsServed, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;
/** 64 × T1 is waited for until the silent one is given up. */
const HASTY_T1_MS = 60;

function nextHops(first: number, second: number): Record<string, string> {
  const hops = [first, second].map((port, priority) => `{uri: 'sip:127.0.0.1:${port}', priority: ${priority}}`);
  return { domains: `[{name: example.test, nextHops: [${hops.join(', ')}]}]`, nextHopRestSec: '30' };
}

const scenario = new URL('./uac.xml', import.meta.url);
const answering = new URL('./uas.xml', import.meta.url);

describe('a next hop', () => {
  it.concurrent('that is silent costs the first call 64 × T1 and the others nothing', async () => {
    const silent = await UdpPeer.open();
    const uas = await startUas({ scenario: answering });
    // One shard: each has its own view of what rests.
    const proxy = await startStateful({ t1Ms: HASTY_T1_MS, shards: 1, sets: nextHops(silent.port, uas.port) });
    const target = proxy.by;
    expect(await runUac({ scenario, target, calls: 1, perSec: 1 })).toMatchObject({ failed: 0 });
    expect(await runUac({ scenario, target, calls: CALLS, perSec: 100 })).toMatchObject({
      failed: 0,
    });
    const counters = await countersOnceIdle(proxy);
    silent.close();
    expect(await figuresOfUas(uas, CALLS + 1)).toMatchObject({ incoming: CALLS + 1, failed: 0 });
    expect(counters).toMatchObject({
      ...HARMLESS,
      timeouts_total: 1,
      failovers_total: 1,
      client_transactions_total: (CALLS + 1) * 2 + 1,
    });
    // With so short a T1 a busy machine has some sent again.
    expect(counters['requests_forwarded_total']).toBeGreaterThanOrEqual((CALLS + 1) * 3);
    expect(counters['responses_forwarded_total']).toBeGreaterThanOrEqual((CALLS + 1) * 2);
  });

  it.concurrent('that answers 503 is left at once', async () => {
    const unavailable = await startUas({
      retransmits: false,
      scenario: new URL('./unavailable-uas.xml', import.meta.url),
    });
    const uas = await startUas({ retransmits: false, scenario: answering });
    const sets = { ...nextHops(unavailable.port, uas.port), nextHopRestSec: '0' };
    const proxy = await startStateful({ sets });
    const figures = await runUac({ retransmits: false, scenario, target: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    for (const each of [unavailable, uas]) {
      expect(await figuresOfUas(each, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    }
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      timeouts_total: 0,
      failovers_total: CALLS,
      requests_forwarded_total: CALLS * 3,
      responses_forwarded_total: CALLS * 2,
      client_transactions_total: CALLS * 3,
    });
    await expectBothShardsServed(proxy);
  });
});
