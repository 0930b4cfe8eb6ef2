/** SIPp's own uac and uas call each other through the server: stateless, without Record-Route. The uac sends everything
 *  to the server (-rsa), ACK and BYE included, with the uas in the Request-URI, so every message of a call crosses it. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 50;
/** INVITE, ACK, BYE; 180, 200, 200. */
const MESSAGES_PER_CALL = 6;

describe('calls through the server', () => {
  it('cross it with every message, to a foreign Request-URI', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const uas = await startUas({ retransmits: false });
    const by = `127.0.0.1:${port}`;
    const figures = await runUac({
      retransmits: false,
      target: `127.0.0.1:${uas.port}`,
      by,
      calls: CALLS,
      perSec: 100,
    });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0, retransmissions: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0, retransmissions: 0 });
    expect(await server.counters()).toMatchObject({
      datagrams_received_total: CALLS * MESSAGES_PER_CALL,
      requests_forwarded_total: CALLS * 3,
      responses_forwarded_total: CALLS * 3,
      send_errors_total: 0,
      kernel_drops_total: 0,
    });
  });

  it("to the server's own address go to the configured next hop", async () => {
    const port = await freePort();
    const uas = await startUas({ retransmits: false });
    await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`, '--next-hop', `sip:127.0.0.1:${uas.port}`);
    const figures = await runUac({ retransmits: false, target: `127.0.0.1:${port}`, calls: CALLS, perSec: 100 });
    expect(figures).toMatchObject({ successful: CALLS, retransmissions: 0 });
  });
});
