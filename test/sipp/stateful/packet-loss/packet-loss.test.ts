/** Each side loses some of what it sends and of what it receives (SIPp's -lost): retransmissions bring every call to its
 *  end, and end at the proxy (RFC 3261 16.2, 17). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, expectBothShardsServed, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 80;
/** Of a hundred. Of ten, one run in thirty would have a request that is lost so often that its next repetition comes after its
 *  transaction, as a new one. */
const LOST = '5';
/** 64 × T1, for which 2xx responses and repeated BYEs are awaited, is longer than SIPp goes on. */
const HASTY_T1_MS = 50;

describe('packets lost on both sides', () => {
  it('fail no call, and no retransmission of a request crosses the proxy', async () => {
    const proxy = await startStateful({ t1Ms: HASTY_T1_MS, isLingeringShort: false });
    const uas = await startUas({ scenario: new URL('./uas.xml', import.meta.url), args: ['-lost', LOST] });
    const scenario = new URL('./uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({ scenario, target, by: proxy.by, calls: CALLS, perSec: 100, args: ['-lost', LOST] });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(figures.retransmissions).toBeGreaterThan(0);
    const counters = await countersOnceIdle(proxy);
    expect(counters).toMatchObject({
      ...HARMLESS,
      // Those of INVITE and BYE, however often they came.
      server_transactions_total: CALLS * 2,
      client_transactions_total: CALLS * 2,
      timeouts_total: 0,
    });
    for (const repeated of [
      'request_retransmissions_total',
      'response_retransmissions_total',
      'retransmissions_sent_total',
    ]) {
      expect(counters[repeated], repeated).toBeGreaterThan(0);
    }
    await expectBothShardsServed(proxy);
  });
});
