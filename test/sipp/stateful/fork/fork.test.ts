/** A user with two contacts: both at once, or one after the other by q (RFC 3261 16.6, 16.7 steps 5 and 10). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import type { SippProcess } from '../../load-generator.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, expectBothShardsServed, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;

function contacts(first: SippProcess, second: SippProcess, secondQ: number): Record<string, string> {
  const uris = [
    `{uri: 'sip:bob@127.0.0.1:${first.port}', q: 1}`,
    `{uri: 'sip:bob@127.0.0.1:${second.port}', q: ${secondQ}}`,
  ];
  return { domains: `[{name: example.test, users: [{user: bob, contacts: [${uris.join(', ')}]}]}]` };
}

describe('a call to a user with two contacts', () => {
  it.concurrent('rings at both at once; the loser is cancelled when the winner answers', async () => {
    const winner = await startUas({ retransmits: false, scenario: new URL('./winning-uas.xml', import.meta.url) });
    const loser = await startUas({
      retransmits: false,
      scenario: new URL('../cancel/ringing-uas.xml', import.meta.url),
    });
    const proxy = await startStateful({ sets: contacts(winner, loser, 1) });
    const scenario = new URL('./uac.xml', import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    for (const uas of [winner, loser]) {
      expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    }
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      forks_total: CALLS,
      requests_forwarded_total: CALLS * 3,
      // Two 180s, the 200, the BYE's 200.
      responses_forwarded_total: CALLS * 4,
      cancels_sent_total: CALLS,
      // INVITE, INVITE, CANCEL, BYE.
      client_transactions_total: CALLS * 4,
      server_transactions_total: CALLS * 2,
      // The loser's 487.
      late_responses_total: CALLS,
    });
    await expectBothShardsServed(proxy);
  });

  it.concurrent('goes to the lower q once the higher is busy', async () => {
    const busy = await startUas({ retransmits: false, scenario: new URL('../busy/uas.xml', import.meta.url) });
    const second = await startUas({ retransmits: false, scenario: new URL('../basic-call/uas.xml', import.meta.url) });
    const proxy = await startStateful({ sets: contacts(busy, second, 0.5) });
    const scenario = new URL('./serial-uac.xml', import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target: proxy.by, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    for (const uas of [busy, second]) {
      expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    }
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      forks_total: 0,
      requests_forwarded_total: CALLS * 3,
      responses_forwarded_total: CALLS * 3,
      cancels_sent_total: 0,
      client_transactions_total: CALLS * 3,
      server_transactions_total: CALLS * 2,
      late_responses_total: 0,
    });
  });
});
