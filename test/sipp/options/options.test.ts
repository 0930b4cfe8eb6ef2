/** OPTIONS to the server itself (RFC 3261 section 11) and to somebody behind it. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const REQUESTS = 200;
const asking = new URL('./options-uac.xml', import.meta.url);
const asked = new URL('./options-uas.xml', import.meta.url);

describe('OPTIONS', () => {
  it('to the server is answered by the server', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const args = ['-key', 'user', ''];
    const target = `127.0.0.1:${port}`;
    const figures = await runUac({ retransmits: false, scenario: asking, target, calls: REQUESTS, perSec: 200, args });
    expect(figures).toMatchObject({ successful: REQUESTS, retransmissions: 0 });
    expect(await server.counters()).toMatchObject({ requests_answered_total: REQUESTS, requests_forwarded_total: 0 });
  });

  it('to somebody behind the server is answered by them', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const uas = await startUas({ retransmits: false, scenario: asked });
    const args = ['-key', 'user', 'bob@'];
    const by = `127.0.0.1:${port}`;
    const target = `127.0.0.1:${uas.port}`;
    const figures = await runUac({
      retransmits: false,
      scenario: asking,
      target,
      by,
      calls: REQUESTS,
      perSec: 200,
      args,
    });
    expect(figures).toMatchObject({ successful: REQUESTS, retransmissions: 0 });
    expect(await figuresOfUas(uas, REQUESTS)).toMatchObject({ failed: 0, retransmissions: 0 });
    expect(await server.counters()).toMatchObject({ requests_answered_total: 0, requests_forwarded_total: REQUESTS });
  });
});
