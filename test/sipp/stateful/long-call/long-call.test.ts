/** A call with everything that happens within a dialog: PRACK (RFC 3262), a second INVITE, UPDATE (RFC 3311), INFO (RFC 6086),
 *  REFER (RFC 3515) with its NOTIFY, all of it by the route set. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, expectBothShardsServed, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;

describe('a long call', () => {
  it('crosses the proxy with every request of its dialog', async () => {
    const proxy = await startStateful();
    const uas = await startUas({ retransmits: false, scenario: new URL('./uas.xml', import.meta.url) });
    const scenario = new URL('./uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 50 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      // INVITE, PRACK, ACK, INVITE, ACK, UPDATE, INFO, REFER, NOTIFY, BYE.
      requests_forwarded_total: CALLS * 10,
      // The 183, and an answer to each but the ACKs.
      responses_forwarded_total: CALLS * 9,
      server_transactions_total: CALLS * 8,
      client_transactions_total: CALLS * 8,
      requests_answered_total: 0,
    });
    await expectBothShardsServed(proxy);
  });
});
