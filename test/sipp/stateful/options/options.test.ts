/** OPTIONS to the server itself (RFC 3261 section 11), which needs no transaction, and to somebody behind it, which does. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const REQUESTS = 100;
const asking = new URL('../../options/options-uac.xml', import.meta.url);
const asked = new URL('../../options/options-uas.xml', import.meta.url);

describe('OPTIONS', () => {
  it.concurrent('to the server is answered by the server', async () => {
    const proxy = await startStateful();
    const args = ['-key', 'user', ''];
    const figures = await runUac({
      retransmits: false,
      scenario: asking,
      target: proxy.by,
      calls: REQUESTS,
      perSec: 200,
      args,
    });
    expect(figures).toMatchObject({ successful: REQUESTS, failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_answered_total: REQUESTS,
      requests_forwarded_total: 0,
      client_transactions_total: 0,
    });
  });

  it.concurrent('to somebody behind the server is answered by them', async () => {
    const proxy = await startStateful();
    const uas = await startUas({ retransmits: false, scenario: asked });
    const args = ['-key', 'user', 'bob@'];
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({
      retransmits: false,
      scenario: asking,
      target,
      by: proxy.by,
      calls: REQUESTS,
      perSec: 200,
      args,
    });
    expect(figures).toMatchObject({ successful: REQUESTS, failed: 0 });
    expect(await figuresOfUas(uas, REQUESTS)).toMatchObject({ failed: 0 });
    expect(await countersOnceIdle(proxy)).toMatchObject({
      ...HARMLESS,
      requests_answered_total: 0,
      requests_forwarded_total: REQUESTS,
      responses_forwarded_total: REQUESTS,
      server_transactions_total: REQUESTS,
      client_transactions_total: REQUESTS,
    });
  });
});
