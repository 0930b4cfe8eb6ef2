/** 3xx, passed back or followed (RFC 3261 16.7 step 4). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;
const moved = new URL('./uas.xml', import.meta.url);

describe('a redirection', () => {
  it.concurrent('is passed to the caller', async () => {
    const proxy = await startStateful();
    const uas = await startUas({ retransmits: false, scenario: moved, args: ['-key', 'contact', 'service@192.0.2.1'] });
    const target = `127.0.0.1:${uas.port}`;
    const scenario = new URL('./uac.xml', import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS,
      responses_forwarded_total: CALLS,
      redirects_followed_total: 0,
      client_transactions_total: CALLS,
    });
  });

  it.concurrent('is followed with `redirects: recurse`, and the caller sees nothing of it', async () => {
    const there = await startUas({ retransmits: false, scenario: new URL('../basic-call/uas.xml', import.meta.url) });
    const contact = ['-key', 'contact', `service@127.0.0.1:${there.port}`];
    const here = await startUas({ retransmits: false, scenario: moved, args: contact });
    // For a user of ours: a 3xx to others goes back (16.5).
    const sets = { redirects: 'recurse', nextHops: `[sip:127.0.0.1:${here.port}]` };
    const proxy = await startStateful({ sets });
    const target = proxy.by;
    const scenario = new URL('../basic-call/uac.xml', import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(here, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await figuresOfUas(there, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS * 3,
      responses_forwarded_total: CALLS * 3,
      redirects_followed_total: CALLS,
      // The INVITE to each of the two places, the BYE.
      client_transactions_total: CALLS * 3,
      server_transactions_total: CALLS * 2,
    });
  });
});
