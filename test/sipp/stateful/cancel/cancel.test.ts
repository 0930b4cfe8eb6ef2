/** CANCEL (RFC 3261 9, 16.10): 200 from the proxy at once, on its way once the other side has said something. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, expectBothShardsServed, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;

describe('a CANCEL', () => {
  it.concurrent.each([
    ['before it rings waits for the 180', './before-ringing-uac.xml', './silent-uas.xml'],
    ['while it rings goes on at once', './while-ringing-uac.xml', './ringing-uas.xml'],
  ])('%s', async (_, calling, called) => {
    const proxy = await startStateful();
    const uas = await startUas({ retransmits: false, scenario: new URL(called, import.meta.url) });
    const target = `127.0.0.1:${uas.port}`;
    const scenario = new URL(calling, import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS,
      // 180 and 487; the 200 to the CANCEL ends at the proxy.
      responses_forwarded_total: CALLS * 2,
      cancels_received_total: CALLS,
      cancels_sent_total: CALLS,
      server_transactions_total: CALLS,
      client_transactions_total: CALLS * 2,
      timeouts_total: 0,
    });
    await expectBothShardsServed(proxy);
  });
});
