/** A next hop where nobody listens: ICMP says so, and the call is at the next one long before Timer F (RFC 3261 18.4,
 *  RFC 3263 4.3). */

import { afterEach, expect, it } from 'vitest';
import { endServers, ServerProcess } from '../../process/server-process.ts';
import { callIdOfShard, okTo, optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';

/** Timer F is 64 × T1, 32 s. */
const LONG_BEFORE_MS = 16_000;
const peers: UdpPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close();
  await endServers();
});

it.each([0, 1])('is left for the next one after T1, by shard %i', async (shard) => {
  const port = await freePort();
  const dead = await freePort();
  const [client, alive] = [await UdpPeer.open(), await UdpPeer.open()];
  peers.push(client, alive);
  const server = await ServerProcess.start(
    ...['--mode', 'stateful', '--listen', `udp:127.0.0.1:${port}`, '--domain', 'example.org'],
    ...['--set', `nextHops[0].uri=sip:127.0.0.1:${dead}`, '--set', 'nextHops[0].priority=0'],
    ...['--set', `nextHops[1].uri=sip:${alive.hostPort}`, '--set', 'nextHops[1].priority=1'],
  );
  const callId = callIdOfShard(shard, 2);
  await client.send(optionsRequest({ uri: 'sip:bob@example.org', callId, sentBy: client.hostPort }), port);
  const { datagram } = await alive.receive(callId, LONG_BEFORE_MS);
  await alive.send(okTo(datagram), port);
  await client.receive('SIP/2.0 200');
  const counters = await server.counters();
  expect(counters).toMatchObject({ failovers_total: 1, timeouts_total: 0 });
  expect(counters['icmp_errors_total']).toBeGreaterThan(0);
});
