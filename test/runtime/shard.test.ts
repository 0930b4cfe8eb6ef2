/** A shard whose messages wait for the DNS: how many may, and what becomes of them at the end. */

import { afterEach, describe, expect, it } from 'vitest';
import { STOP_PATIENCE_MS } from '../process/patience.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { callIdOfShard, headerOf, optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { DnsServer } from './dns-server.ts';

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const endpoint of open.splice(0)) endpoint.close();
  await endServers();
});

async function serverWithSilentDns(parkedRequests: number) {
  const [dns, client, port] = [await DnsServer.start(), await UdpPeer.open(), await freePort()];
  open.push(dns, client);
  dns.mood = 'is silent';
  const sets = [`dns.servers=["${dns.address}"]`, 'dns.timeoutMs=20000', `limits.parkedRequests=${parkedRequests}`];
  const flags = sets.flatMap((set) => ['--set', set]);
  const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`, ...flags);
  const ask = (callId: string) =>
    client.send(optionsRequest({ uri: 'sip:bob@slow.test:5999', callId, sentBy: client.hostPort }), port);
  return { server, client, ask };
}

describe('a shard', () => {
  it('answers 503 with Retry-After when too many wait for look-ups', async () => {
    const { server, client, ask } = await serverWithSilentDns(2);
    const callIds = Array.from({ length: 3 }, () => callIdOfShard(0, 2));
    for (const callId of callIds) await ask(callId);
    const { datagram } = await client.receive('SIP/2.0 503 ');
    expect(headerOf(datagram, 'Call-ID')).toBe(callIds[2]);
    expect(headerOf(datagram, 'Retry-After')).toMatch(/^\d+$/);
    expect(await server.counters()).toMatchObject({ parked_total: 2, parked_exhausted_total: 1 });
  });

  it('answers what waits for look-ups before it ends, in time', async () => {
    const { server, client, ask } = await serverWithSilentDns(20);
    const callIds = Array.from({ length: 40 }, (_, i) => callIdOfShard(i % 2, 2));
    for (const callId of callIds) await ask(callId);
    await until('all wait', async () => (await server.counters())['parked_total'] === 40);
    expect(client.arrivals).toEqual([]);
    const signalledAtMs = performance.now();
    server.child.kill('SIGTERM');
    const { code, atMs } = await server.exit;
    expect([code, atMs - signalledAtMs < STOP_PATIENCE_MS]).toEqual([0, true]);
    await until('all are answered', () => client.arrivals.length >= 40);
    for (const { datagram } of client.arrivals) expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 500 /);
    expect(client.arrivals.map(({ datagram }) => headerOf(datagram, 'Call-ID')).sort()).toEqual(callIds.sort());
  });
});
