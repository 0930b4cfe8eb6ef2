/** 500 calls/s for 5 s over two shards, with transactions and the route set: nothing fails, nothing has to be sent twice, nothing
 *  is dropped, and the pools are empty afterwards. The stateful twin of test/sipp/load. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, startStateful } from '../stateful-server.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS_PER_SEC = 500;
const SECONDS = 5;
const CALLS = CALLS_PER_SEC * SECONDS;
/** Their messages fit every socket's buffer. */
const IN_FLIGHT = 200;

describe('500 calls/s for 5 s', () => {
  it('all succeed without a single retransmission, on both shards', async () => {
    const proxy = await startStateful();
    const uas = await startUas({
      retransmits: false,
      scenario: new URL('../basic-call/uas.xml', import.meta.url),
    });
    const scenario = new URL('../basic-call/uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const load = { calls: CALLS, perSec: CALLS_PER_SEC, args: ['-l', String(IN_FLIGHT)] };
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, ...load });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0, retransmissions: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0, retransmissions: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      // INVITE, ACK, BYE; 180, 200, 200.
      datagrams_received_total: CALLS * 6,
      // The same, and 100.
      datagrams_sent_total: CALLS * 7,
      requests_forwarded_total: CALLS * 3,
      responses_forwarded_total: CALLS * 3,
      server_transactions_total: CALLS * 2,
      client_transactions_total: CALLS * 2,
      request_retransmissions_total: 0,
      response_retransmissions_total: 0,
      retransmissions_sent_total: 0,
      timeouts_total: 0,
      late_responses_total: 0,
      slots_exhausted_total: 0,
    });
    const { threads } = await proxy.server.observe();
    for (const shard of [0, 1]) expect(threads[shard]!['server_transactions_total']).toBeGreaterThan((CALLS * 2) / 3);
  });
});
