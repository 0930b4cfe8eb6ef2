/** The dispatcher in a real server: what it hands on, to whom, and what it keeps to itself. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { optionsRequest, shardOf } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

afterEach(endServers);

describe('the dispatcher', () => {
  it('gives every message of a Call-ID to the same shard, and every shard its share', async () => {
    const [port, client] = [await freePort(), await UdpPeer.open()];
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`, '--workers', '3');
    const expected = [0, 0, 0];
    for (let call = 0; call < 60; call++) {
      const fields = { uri: `sip:127.0.0.1:${port}`, callId: `shared-${call}`, sentBy: client.hostPort };
      for (const request of [optionsRequest(fields), optionsRequest(fields)]) {
        expected[shardOf(request, 3)]!++;
        await client.send(request, port);
      }
    }
    await until('all are answered', () => client.arrivals.length === 120);
    const { threads } = await server.observe();
    expect(threads.slice(0, 3).map((counts) => counts['requests_received_total'])).toEqual(expected);
    for (const count of expected) expect(count).toBeGreaterThan(120 / 6);
    client.close();
  });

  it('takes keep-alives and junk for itself', async () => {
    const [port, client] = [await freePort(), await UdpPeer.open()];
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    for (const datagram of ['\r\n\r\n', '\r\n', '\0\xff\0', ''])
      await client.send(Buffer.from(datagram, 'latin1'), port);
    // They are counted as they come, and by what they are a moment later.
    await until('all have come, and three are known for what they are', async () => {
      const { datagrams_received_total: received, ...counts } = (await server.observe()).threads[2]!;
      return received === 4 && counts['keepalives_total']! + counts['junk_datagrams_total']! >= 3;
    });
    const { threads } = await server.observe();
    for (const shard of [0, 1]) expect(threads[shard]).toMatchObject({ requests_received_total: 0 });
    client.close();
  });
});
