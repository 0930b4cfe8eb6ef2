/** A server that gets more new INVITEs than it may have waiting: the kernel drops some of them, calls that run go on, and
 *  afterwards all is as before. Its marks are low, so that a flood need not be large. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { headerOf, okTo } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';

const open: UdpPeer[] = [];
afterEach(async () => {
  for (const endpoint of open.splice(0)) endpoint.close();
  await endServers();
});

const BURST = 1000;
/** Bursts that are sent at least. */
const BURSTS = 5;
const CALM_CALLS = 30;
const CALM_CALL_MS = 500;

async function serverAndPeers(...flags: string[]) {
  const [port, client, agent] = [await freePort(), await UdpPeer.open(), await UdpPeer.open()];
  open.push(client, agent);
  agent.onArrival = ({ datagram, from }) => {
    if (!datagram.toString('latin1', 0, 4).startsWith('ACK')) void agent.send(okTo(datagram), from.port);
  };
  const sets = ['limits.slots=2048', 'limits.rejectMark=0.02'];
  const server = await ServerProcess.start(
    ...['--listen', `udp:127.0.0.1:${port}`, '--mode', 'stateful', ...flags],
    ...sets.flatMap((set) => ['--set', set]),
  );
  let calls = 0;
  const request = (method: string, kind: string, toTag = '') => {
    const callId = `${kind}-${++calls}`;
    const lines = [
      `${method} sip:bob@${agent.hostPort} SIP/2.0`,
      `Via: SIP/2.0/UDP ${client.hostPort};branch=z9hG4bK${callId}`,
      'Max-Forwards: 70',
      'From: <sip:alice@test.invalid>;tag=1',
      `To: <sip:bob@test.invalid>${toTag}`,
      `Call-ID: ${callId}`,
      `CSeq: 1 ${method}`,
      `Contact: <sip:alice@${client.hostPort}>`,
      'Content-Type: application/sdp',
      'Content-Length: 100',
    ];
    return { callId, datagram: Buffer.from(`${lines.join('\r\n')}\r\n\r\n${'x'.repeat(100)}`) };
  };
  let invites = 0;
  const send = (method: string, kind: string, toTag = '') => {
    const { callId, datagram } = request(method, kind, toTag);
    if (method === 'INVITE') invites++;
    return { callId, sent: client.send(datagram, port) };
  };
  const running: string[] = [];
  /** New calls at once, and among them requests of one that runs. */
  const burst = async () => {
    const sent: Promise<void>[] = [];
    for (let i = 0; i < BURST; i++) sent.push(send('INVITE', 'new').sent);
    for (const method of ['INVITE', 'UPDATE', 'BYE']) {
      const inDialog = send(method, `running-${method}`, ';tag=2');
      running.push(inDialog.callId);
      sent.push(inDialog.sent);
    }
    await Promise.all(sent);
  };
  const callIdsAtAgent = () => new Set(agent.arrivals.map(({ datagram }) => headerOf(datagram, 'Call-ID')!));
  return { server, client, agent, send, burst, running, callIdsAtAgent, invites: () => invites };
}

/** INVITEs by what became of them. */
async function countsOf(server: ServerProcess) {
  const counters = await server.counters();
  const count = (name: string) => counters[name]!;
  return {
    parsed: count('invite_requests_total'),
    shed: count('shed_requests_total'),
    filtered: count('filtered_requests_total'),
    overflows: count('kernel_drops_total'),
    refusedFilters: count('filters_refused_total'),
  };
}

const SHAPES = [
  ['one shard that has the intake', ['--workers', '1', '--set', 'dispatcher.thread=shard']],
  ['two shards and a dispatcher', ['--workers', '2']],
] as const;

describe.each(SHAPES)('%s', (_, shape) => {
  it('has the kernel drop new INVITEs in a flood; running calls lose nothing, and afterwards no new ones do', async () => {
    const { server, client, send, burst, running, callIdsAtAgent, invites } = await serverAndPeers(...shape);
    let bursts = 0;
    await until('the kernel drops some', async () => {
      await burst();
      return ++bursts >= BURSTS && (await countsOf(server)).filtered > 0;
    });
    await until('every request of running calls is there', () => {
      const there = callIdsAtAgent();
      return running.every((callId) => there.has(callId));
    });
    // Some of those that came through are told so.
    await until('a 503', async () => {
      await burst();
      return client.arrivals.some(({ datagram }) => datagram.includes('SIP/2.0 503 '));
    });
    await until('the log says so', async () => {
      return server.log.some(({ msg }) => msg.startsWith('new calls were dropped by the kernel'));
    });
    let calm = 0;
    await until('calm', async () => {
      const { callId, sent } = send('INVITE', 'calm');
      await sent;
      const isThere = await until('it', () => callIdsAtAgent().has(callId), { deadlineMs: CALM_CALL_MS }).then(
        () => true,
        () => false,
      );
      calm = isThere ? calm + 1 : 0;
      return calm === CALM_CALLS;
    });
    await until('the counters add up', async () => {
      const { parsed, shed, filtered, overflows } = await countsOf(server);
      return overflows === 0 && parsed + shed + filtered === invites();
    });
    expect((await countsOf(server)).refusedFilters).toBe(0);
  });

  it('drops them itself, and no other way, where the kernel is not to (limits.shedInKernel)', async () => {
    const off = ['--set', 'limits.shedInKernel=false', '--set', 'limits.overloadMark=0.03'];
    const { server, burst, running, callIdsAtAgent, invites } = await serverAndPeers(...shape, ...off);
    for (let i = 0; i < BURSTS; i++) await burst();
    await until('every request of running calls is there', () => {
      const there = callIdsAtAgent();
      return running.every((callId) => there.has(callId));
    });
    await until('the counters add up', async () => {
      const { parsed, shed, filtered, overflows } = await countsOf(server);
      return filtered === 0 && overflows === 0 && parsed + shed === invites();
    });
  });
});
