/** Next hops that cannot be had, each with its answer and its counter; and names that are looked up while calls go on. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { callIdOfShard, okTo, optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';
import { a, DnsServer } from '../../runtime/dns-server.ts';
import { endLoadGenerators, runUac, startUas } from '../load-generator.ts';

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const endpoint of open.splice(0)) endpoint.close();
  await endLoadGenerators();
  await endServers();
});

function kept<Endpoint extends { close(): void }>(endpoint: Endpoint): Endpoint {
  open.push(endpoint);
  return endpoint;
}

async function startServer(listen: string, ...args: string[]): Promise<ServerProcess> {
  return ServerProcess.start('--listen', listen, ...args);
}

describe('a next hop that cannot be had', () => {
  it.each([
    ['a name that does not exist', 'sip:bob@nonexistent.invalid', '500 Next Hop Unresolvable', 'unresolvable_total'],
    ['an IPv6 address without an IPv6 socket', 'sip:bob@[::1]:5999', '500 Next Hop Unreachable', 'send_errors_total'],
    ['a network without a route', 'sip:bob@198.51.100.1', '500 Next Hop Unreachable', 'send_errors_total'],
    ['a transport that is not there', 'sip:bob@127.0.0.1;transport=tcp', '500 ', 'unsupported_transport_total'],
  ])('%s is answered and counted', async (_, uri, status, counter) => {
    const dns = kept(await DnsServer.start());
    const port = await freePort();
    const server = await startServer(`udp:127.0.0.1:${port}`, '--set', `dns.servers=["${dns.address}"]`);
    const client = kept(await UdpPeer.open());
    await client.send(optionsRequest({ uri, callId: callIdOfShard(0, 2), sentBy: client.hostPort }), port);
    await client.receive(`SIP/2.0 ${status}`);
    expect((await server.counters())[counter]).toBe(1);
    expect(client.arrivals).toHaveLength(1);
  });

  it('a closed port harms no call, and nobody is told of it', async () => {
    const [port, closed] = [await freePort(), await freePort()];
    const server = await startServer(`udp:127.0.0.1:${port}`);
    const uas = await startUas({ retransmits: false });
    const client = kept(await UdpPeer.open());
    const calls = runUac({
      retransmits: false,
      target: `127.0.0.1:${uas.port}`,
      by: `127.0.0.1:${port}`,
      calls: 200,
      perSec: 200,
    });
    const uri = `sip:bob@127.0.0.1:${closed}`;
    for (let i = 0; i < 50; i++) {
      await client.send(optionsRequest({ uri, callId: callIdOfShard(i % 2, 2), sentBy: client.hostPort }), port);
      // Forwarded before the next goes: each meets the ICMP error of the one before.
      await until('it is forwarded', async () => (await server.counters())['requests_forwarded_total']! > i);
    }
    expect(await calls).toMatchObject({ successful: 200, failed: 0, retransmissions: 0 });
    expect(await server.counters()).toMatchObject({ requests_answered_total: 0, send_errors_total: 0 });
    expect(client.arrivals).toEqual([]);
  });
});

describe('names of next hops', () => {
  it('are looked up while calls go on, and their requests follow', async () => {
    const dns = kept(await DnsServer.start([a('gateway.test', '127.0.0.1')]));
    dns.mood = 'holds back';
    const port = await freePort();
    const sets = ['--set', `dns.servers=["${dns.address}"]`, '--set', 'dns.timeoutMs=30000'];
    const server = await startServer(`udp:127.0.0.1:${port}`, ...sets);
    const uas = await startUas({ retransmits: false });
    const [client, gateway] = [kept(await UdpPeer.open()), kept(await UdpPeer.open())];
    gateway.onArrival = ({ datagram, from }) => void gateway.send(okTo(datagram), from.port);
    const uri = `sip:bob@gateway.test:${gateway.port}`;
    const waiting = Array.from({ length: 50 }, (_, i) => callIdOfShard(i % 2, 2));
    for (const callId of waiting) await client.send(optionsRequest({ uri, callId, sentBy: client.hostPort }), port);
    await until('all wait', async () => (await server.counters())['parked_total'] === waiting.length);

    const by = `127.0.0.1:${port}`;
    const figures = await runUac({ retransmits: false, target: `127.0.0.1:${uas.port}`, by, calls: 200, perSec: 200 });
    expect(figures).toMatchObject({ successful: 200, failed: 0, retransmissions: 0 });
    expect(gateway.arrivals).toEqual([]);

    dns.release();
    for (const callId of waiting) await client.receive(`Call-ID: ${callId}\r\n`);
    expect(client.arrivals.every(({ datagram }) => datagram.includes('SIP/2.0 200'))).toBe(true);
    expect(dns.asked.every((question) => question === 'A gateway.test')).toBe(true);
    expect(dns.asked.length).toBeLessThanOrEqual(2);
  });

  it('that a silent name server keeps are answered 500 in time', async () => {
    const dns = kept(await DnsServer.start());
    dns.mood = 'is silent';
    const port = await freePort();
    const sets = ['--set', `dns.servers=["${dns.address}"]`, '--set', 'dns.timeoutMs=400'];
    const server = await startServer(`udp:127.0.0.1:${port}`, ...sets);
    const client = kept(await UdpPeer.open());
    const request = { uri: 'sip:bob@gateway.test:5999', callId: callIdOfShard(1, 2), sentBy: client.hostPort };
    await client.send(optionsRequest(request), port);
    await client.receive('SIP/2.0 500 Next Hop Unresolvable');
    expect(await server.counters()).toMatchObject({ parked_total: 1, unresolvable_total: 1, shard_crashes_total: 0 });
  });
});
