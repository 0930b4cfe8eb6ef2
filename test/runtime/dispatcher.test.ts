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
    const { threads } = await observeAfter(server, 4);
    expect(threads[2]).toMatchObject({ datagrams_received_total: 4 });
    expect(threads[2]!['keepalives_total']! + threads[2]!['junk_datagrams_total']!).toBeGreaterThanOrEqual(3);
    for (const shard of [0, 1]) expect(threads[shard]).toMatchObject({ requests_received_total: 0 });
    client.close();
  });
});

async function observeAfter(server: ServerProcess, datagrams: number) {
  await until(`${datagrams} datagrams have come`, async () => {
    return (await server.counters())['datagrams_received_total'] === datagrams;
  });
  return server.observe();
}
