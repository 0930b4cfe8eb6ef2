/** A server without a dispatcher, whose only shard takes the datagrams off the sockets itself (`dispatcher.thread: shard`):
 *  everything that a dispatcher does is still done, and nothing that the event loop has to do is kept from it. */

import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { FATAL_MAX_FORWARDS, HANGING_MAX_FORWARDS } from '../process/fatal-request.ts';
import { STOP_PATIENCE_MS } from '../process/patience.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { headerOf, okTo, optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { DnsServer } from './dns-server.ts';

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const endpoint of open.splice(0)) endpoint.close();
  await endServers();
});

const DISPATCHER_THREAD = 1;
/** The least that the configuration allows. */
const FEW_SLOTS = 128;

async function serverAndClient({ sets = [], flags = [] }: { sets?: string[]; flags?: string[] } = {}) {
  const [port, client] = [await freePort(), await UdpPeer.open()];
  open.push(client);
  const server = await ServerProcess.start(
    ...['--listen', `udp:127.0.0.1:${port}`, '--workers', '1', ...flags],
    ...['dispatcher.thread=shard', ...sets].flatMap((set) => ['--set', set]),
  );
  let calls = 0;
  /** OPTIONS to the server itself, or elsewhere. Returns its Call-ID. */
  const ask = async (uri = `sip:127.0.0.1:${port}`, maxForwards = 70) => {
    const callId = `alone-${++calls}`;
    await client.send(optionsRequest({ uri, callId, sentBy: client.hostPort, maxForwards }), port);
    return callId;
  };
  const statusOf = async (callId: string) => {
    const { datagram } = await client.receive(callId);
    return datagram.toString('latin1', 8, 11);
  };
  const everySlotIsHome = async () => {
    const { freeSlots, slotCount } = await server.observe();
    return freeSlots === slotCount;
  };
  return { server, client, port, ask, statusOf, everySlotIsHome };
}

/** What a process has spent of CPU, in ms. */
function cpuMsOf(pid: number): number {
  const { 11: user, 12: system } = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(user) + Number(system)) * 10;
}

describe('a shard with the intake', () => {
  it('serves, counts and lets every slot come home, without a dispatcher', async () => {
    const { server, client, port, ask, statusOf, everySlotIsHome } = await serverAndClient();
    for (const datagram of ['\r\n\r\n', '\0\xff\0']) await client.send(Buffer.from(datagram, 'latin1'), port);
    for (let i = 0; i < 20; i++) expect(await statusOf(await ask())).toBe('200');
    const { isReady, threads } = await server.observe();
    expect(isReady).toBe(true);
    expect(threads[0]).toMatchObject({
      datagrams_received_total: 22,
      requests_received_total: 20,
      keepalives_total: 1,
      junk_datagrams_total: 1,
    });
    expect(Object.values(threads[DISPATCHER_THREAD]!).every((count) => count === 0)).toBe(true);
    await until('every slot is home', everySlotIsHome);
  });

  it('sleeps while nothing comes, and between two datagrams', async () => {
    const { server, ask, statusOf } = await serverAndClient();
    await statusOf(await ask());
    const beforeMs = cpuMsOf(server.child.pid!);
    const startedMs = performance.now();
    for (let i = 0; i < 10; i++) {
      await statusOf(await ask());
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // One that spins has a whole core, or, on a busy machine, all it can get of one.
    expect((cpuMsOf(server.child.pid!) - beforeMs) / (performance.now() - startedMs)).toBeLessThan(0.4);
  });

  it('naps while thousands come a second, and answers all of them', async () => {
    const { server, client, ask } = await serverAndClient();
    let asked = 0;
    await until('it has napped', async () => {
      // 8,000 a second and more, however long a turn of this loop takes.
      for (let burst = 0; burst < 50; burst++) {
        for (let i = 0; i < 16; i++) await ask();
        asked += 16;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return (await server.observe()).threads[0]!['naps_total']! > 10;
    });
    await until('all are answered', () => client.arrivals.length >= asked);
  });

  it('is told of answers of the DNS while the sockets are silent', async () => {
    const peer = await UdpPeer.open();
    const dns = await DnsServer.start([{ type: 'A', name: 'slow.test', ttl: 60, data: '127.0.0.1' }]);
    open.push(peer, dns);
    const { client, ask } = await serverAndClient({ sets: [`dns.servers=["${dns.address}"]`, 'dns.naptr=false'] });
    peer.onArrival = ({ datagram, from }) => void peer.send(okTo(datagram), from.port);
    dns.mood = 'holds back';
    const callId = await ask(`sip:bob@slow.test:${peer.port}`);
    await until('the DNS is asked', () => dns.asked.length > 0);
    dns.mood = 'answers';
    dns.release();
    await client.receive(callId);
    expect(peer.arrivals).toHaveLength(1);
  });

  it('goes on where every slot waits for the DNS: it answers them once it knows, and then what came meanwhile', async () => {
    const dns = await DnsServer.start();
    open.push(dns);
    dns.mood = 'holds back';
    const sets = [`dns.servers=["${dns.address}"]`, `limits.slots=${FEW_SLOTS}`, 'limits.parkedRequests=1000'];
    const { server, client, ask, everySlotIsHome } = await serverAndClient({
      sets: [...sets, 'limits.overloadMark=1', 'limits.rejectMark=1'],
    });
    const callIds: string[] = [];
    for (let i = 0; i < FEW_SLOTS + 20; i++) callIds.push(await ask(`sip:bob@slow-${i}.test:5999`));
    await until('no slot is left', async () => (await server.counters())['slots_exhausted_total']! > 0);
    expect(client.arrivals).toEqual([]);
    dns.mood = 'answers';
    dns.release();
    await until('all are answered', () => client.arrivals.length === callIds.length);
    expect(client.arrivals.map(({ datagram }) => headerOf(datagram, 'Call-ID')).sort()).toEqual(callIds.sort());
    await until('every slot is home', everySlotIsHome);
  });

  it('sends again by its timers while nothing comes, and gives up in time', async () => {
    const silent = await UdpPeer.open();
    open.push(silent);
    const flags = ['--mode', 'stateful'];
    const { client, ask } = await serverAndClient({ sets: ['timers.t1Ms=20', 'timers.t2Ms=80'], flags });
    const callId = await ask(`sip:nobody@${silent.hostPort}`);
    await until('it is sent five times', () => silent.arrivals.length >= 5);
    // No 408 to a request that is not an INVITE (RFC 4320 4.2).
    expect(client.arrivals.some(({ datagram }) => datagram.includes(callId) && datagram.includes(' 408 '))).toBe(false);
  });

  it('learns from ICMP that nobody listens', async () => {
    const [dead, alive] = [await freePort(), await UdpPeer.open()];
    open.push(alive);
    const { server, client, ask } = await serverAndClient({
      sets: [
        ...[`nextHops[0].uri=sip:127.0.0.1:${dead}`, 'nextHops[0].priority=0'],
        ...[`nextHops[1].uri=sip:${alive.hostPort}`, 'nextHops[1].priority=1'],
      ],
      flags: ['--mode', 'stateful', '--domain', 'example.org'],
    });
    alive.onArrival = ({ datagram, from }) => void alive.send(okTo(datagram), from.port);
    const callId = await ask('sip:bob@example.org');
    await client.receive(callId);
    expect(await server.counters()).toMatchObject({ failovers_total: 1, timeouts_total: 0 });
  });
});

describe('a shard with the intake that crashes', () => {
  it('has a successor that serves what came after the fatal datagrams, and no slot is lost', async () => {
    const { server, client, ask, statusOf, everySlotIsHome } = await serverAndClient();
    for (let i = 0; i < 3; i++) await ask(`sip:nobody@${client.hostPort}`, FATAL_MAX_FORWARDS);
    const callIds = [await ask(), await ask(), await ask()];
    for (const callId of callIds) expect(await statusOf(callId)).toBe('200');
    expect(await server.observe()).toMatchObject({ isReady: true, shards: [{ starts: 4, crashes: 3 }] });
    await until('every slot is home', async () => {
      await statusOf(await ask());
      return everySlotIsHome();
    });
  });

  it('outside of any datagram is started again', async () => {
    const { server, ask, statusOf } = await serverAndClient();
    await server.crashShard(0);
    await until('it runs again', async () => {
      const { isReady, shards } = await server.observe();
      return isReady && shards[0]!.starts === 2;
    });
    expect(await statusOf(await ask())).toBe('200');
  });

  it('because it hung has its thread ended, and serves again', async () => {
    const { server, client, ask, statusOf } = await serverAndClient();
    await ask(`sip:nobody@${client.hostPort}`, HANGING_MAX_FORWARDS);
    expect(await statusOf(await ask())).toBe('200');
    expect((await server.observe()).shards).toMatchObject([{ starts: 2, crashes: 1 }]);
  });
});

describe('a server without a dispatcher', () => {
  it('ends in time, and what waits for look-ups is answered before', async () => {
    const dns = await DnsServer.start();
    open.push(dns);
    dns.mood = 'is silent';
    const { server, client, ask } = await serverAndClient({
      sets: [`dns.servers=["${dns.address}"]`, 'dns.timeoutMs=20000'],
    });
    const callId = await ask('sip:bob@slow.test:5999');
    await until('it waits', async () => (await server.counters())['parked_total'] === 1);
    const signalledAtMs = performance.now();
    server.child.kill('SIGTERM');
    const { code, atMs } = await server.exit;
    expect([code, atMs - signalledAtMs < STOP_PATIENCE_MS]).toEqual([0, true]);
    expect((await client.receive(callId)).datagram.toString('latin1')).toMatch(/^SIP\/2\.0 500 /);
  });
});
