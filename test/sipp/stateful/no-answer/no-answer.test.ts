/** Calls that nobody takes: Timer C (RFC 3261 16.8) where it rings, Timer B (17.1.1.2) where nobody is. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers, until } from '../../../process/server-process.ts';
import { UdpPeer } from '../../../process/udp-peer.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 20;
/** 64 × T1 is waited for, and nothing hastens it. */
const HASTY_T1_MS = 40;

describe('a call that nobody answers', () => {
  it.concurrent('is cancelled by Timer C while it rings', async () => {
    const proxy = await startStateful({ sets: { 'timers.timerCSec': '3' } });
    const uas = await startUas({ retransmits: false, scenario: new URL('../cancel/ringing-uas.xml', import.meta.url) });
    const scenario = new URL('./ringing-uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS,
      responses_forwarded_total: CALLS * 2,
      timeouts_total: CALLS,
      cancels_received_total: 0,
      cancels_sent_total: CALLS,
    });
  });

  it.concurrent('ends with 408 where not even a 100 comes', async () => {
    const proxy = await startStateful({ t1Ms: HASTY_T1_MS });
    const silent = await UdpPeer.open();
    const scenario = new URL('./silent-uac.xml', import.meta.url);
    const target = silent.hostPort;
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    const counters = await countersOnceIdle(proxy);
    expect(counters).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS,
      responses_forwarded_total: 0,
      timeouts_total: CALLS,
      cancels_sent_total: 0,
      requests_answered_total: CALLS,
    });
    // At 1, 3, 7, 15, 31 and 63 × T1; a timer that is late on a busy machine makes all that follow later, and the end comes first.
    const sentAgain = counters['retransmissions_sent_total']!;
    expect(sentAgain).toBeGreaterThanOrEqual(CALLS);
    expect(sentAgain).toBeLessThanOrEqual(CALLS * 6);
    await until('each has arrived', () => silent.arrivals.length === CALLS + sentAgain);
    silent.close();
  });
});
