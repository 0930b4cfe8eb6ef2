/** 486: the proxy acknowledges it to the one side and gets it acknowledged by the other (RFC 3261 17.1.1.3, 17.2.1). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, expectBothShardsServed, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 50;

describe('somebody busy', () => {
  it('is reported to the caller, and each side has an ACK of its own', async () => {
    const proxy = await startStateful();
    const uas = await startUas({ retransmits: false, scenario: new URL('./uas.xml', import.meta.url) });
    const scenario = new URL('./uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS,
      responses_forwarded_total: CALLS,
      server_transactions_total: CALLS,
      client_transactions_total: CALLS,
    });
    await expectBothShardsServed(proxy);
  });
});
