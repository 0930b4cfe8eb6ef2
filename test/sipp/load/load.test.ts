/** 500 calls/s for 10 s over two shards: nothing fails, nothing has to be sent twice, nothing is dropped. SIPp sends every message
 *  once (-nr), so that each of them must cross the server for the calls to succeed; a machine that cannot keep the pace only
 *  takes longer, with IN_FLIGHT calls at the most, whose messages fit every socket's buffer. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS_PER_SEC = 500;
const SECONDS = 10;
const CALLS = CALLS_PER_SEC * SECONDS;
const MESSAGES = CALLS * 6;
const IN_FLIGHT = 200;

describe('500 calls/s for 10 s', () => {
  it('all succeed without a single retransmission, on both shards', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const uas = await startUas({ retransmits: false });
    const by = `127.0.0.1:${port}`;
    const load = { calls: CALLS, perSec: CALLS_PER_SEC, args: ['-l', String(IN_FLIGHT)] };
    const figures = await runUac({ retransmits: false, target: `127.0.0.1:${uas.port}`, by, ...load });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0, retransmissions: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0, retransmissions: 0 });
    expect(await server.counters()).toMatchObject({
      datagrams_received_total: MESSAGES,
      datagrams_sent_total: MESSAGES,
      kernel_drops_total: 0,
      shed_requests_total: 0,
      slots_exhausted_total: 0,
      send_errors_total: 0,
      send_congested_total: 0,
    });
    const { threads } = await server.observe();
    for (const shard of [0, 1]) expect(threads[shard]!['datagrams_sent_total']).toBeGreaterThan(MESSAGES / 3);
  });
});
