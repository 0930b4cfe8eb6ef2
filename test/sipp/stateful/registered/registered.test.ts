/** Users who register, and calls to them: forwarded to where they are (RFC 3261 10.3, 16.5), or answered with it (8.3). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, type StatefulServer, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const USERS = 50;

async function registerAll(server: StatefulServer, contactPort: number): Promise<void> {
  const scenario = new URL('./register.xml', import.meta.url);
  const args = ['-key', 'contact_port', String(contactPort)];
  const figures = await runUac({ retransmits: false, scenario, target: server.by, calls: USERS, perSec: 100, args });
  expect(figures).toMatchObject({ successful: USERS, failed: 0 });
}

describe('users that register', () => {
  it.concurrent('are called where they are', async () => {
    const proxy = await startStateful({ sets: { domains: '[example.org]' } });
    const uas = await startUas({ retransmits: false, scenario: new URL('../basic-call/uas.xml', import.meta.url) });
    await registerAll(proxy, uas.port);
    const scenario = new URL('./uac.xml', import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target: proxy.by, calls: USERS, perSec: 100 });
    expect(figures).toMatchObject({ successful: USERS, failed: 0 });
    expect(await figuresOfUas(uas, USERS)).toMatchObject({ incoming: USERS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      registrations_total: USERS * 2,
      registration_queries_total: USERS,
      registrations_refused_total: 0,
      requests_forwarded_total: USERS * 3,
      responses_forwarded_total: USERS * 3,
      forks_total: 0,
    });
  });

  it.concurrent('are told about by a redirect server', async () => {
    const redirect = await startStateful({ sets: { domains: '[{ name: example.org, role: redirect }]' } });
    await registerAll(redirect, 5999);
    const scenario = new URL('./redirected-uac.xml', import.meta.url);
    const figures = await runUac({ retransmits: false, scenario, target: redirect.by, calls: USERS, perSec: 100 });
    expect(figures).toMatchObject({ successful: USERS, failed: 0 });
    expect(await countersOnceIdle(redirect)).toMatchObject({
      ...HARMLESS,
      redirected_total: USERS,
      requests_forwarded_total: 0,
    });
  });
});
