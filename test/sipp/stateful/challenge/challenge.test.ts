/** Challenges of the called side cross the proxy, and so do the answers (RFC 3261 22.2, 22.3). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;

describe('a call that is challenged', () => {
  it.concurrent.each([401, 407])('with %i is answered with credentials that reach the called side', async (status) => {
    const proxy = await startStateful();
    const uas = await startUas({ retransmits: false, scenario: new URL(`./uas-${status}.xml`, import.meta.url) });
    const scenario = new URL('./uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 50 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      // INVITE, INVITE, ACK, BYE; the first ACK ends at the proxy.
      requests_forwarded_total: CALLS * 4,
      responses_forwarded_total: CALLS * 3,
      server_transactions_total: CALLS * 3,
      client_transactions_total: CALLS * 3,
    });
  });
});
