/** What does a connection take, and are many of them held? Ten thousand by TCP, two thousand each by TLS, WebSocket and WSS, one after
 *  the other: opened, registered, registered again; then two thousand come back at once, while calls by UDP go on. A real server, on loopback.
 *
 *  `node perf/connections/connections.ts [--tcp N] [--tls N] [--ws N] [--wss N] [--storm N] [--json FILE]`. Each connection is a file descriptor on both sides:
 *  `ulimit -n` must allow as many (`ulimit -Hn` the most that can be had without root; /etc/security/limits.conf raises it, or
 *  LimitNOFILE in a unit of systemd). Memory is what the process has resident (VmRSS), in which the kernel's own of a socket is
 *  not; it is told from the difference that the connections make, garbage that waits for its collector included. */

import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ServerProcess } from '../../test/process/server-process.ts';
import { optionsRequest } from '../../test/process/sip-texts.ts';
import { freeTcpPort } from '../../test/process/tcp-port.ts';
import { UdpPeer } from '../../test/process/udp-peer.ts';
import { Authority } from '../../test/runtime/tls/authority.ts';
import type { By, Order, Report } from './clients.ts';

const { values } = parseArgs({
  options: {
    tcp: { type: 'string', default: '10000' },
    tls: { type: 'string', default: '2000' },
    ws: { type: 'string', default: '2000' },
    wss: { type: 'string', default: '2000' },
    storm: { type: 'string', default: '2000' },
    json: { type: 'string' },
  },
});

const SETTLE_MS = 5000;
/** OPTIONS by UDP beside all of it. */
const UDP_PER_SEC = 200;

const authority = new Authority();
const pair = authority.issue('one', ['DNS:one.example']);
const children: ChildProcess[] = [];

function residentKib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]);
}

/** What a process has spent of CPU, all its threads; by ticks of 10 ms. */
function cpuMs(pid: number): number {
  const { 11: user, 12: system } = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(user) + Number(system)) * 10;
}

/** Memory that sockets of TCP have in the kernel, of all processes. */
function kernelKib(): number {
  const pages = /^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1'))![1];
  return Number(pages) * 4;
}

function startPhones(port: number, transport: By): (order: Order) => Promise<Report> {
  const child = fork(new URL('./clients.ts', import.meta.url), [String(port), transport, authority.pem, transport]);
  children.push(child);
  return (order) =>
    new Promise((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', () => reject(new Error(`the phones by ${transport} ended`)));
      child.send(order);
    });
}

/** Calls by UDP, until they are told to end: how many were answered, and the longest that took. */
async function startUdp(port: number) {
  const peer = await UdpPeer.open();
  const sentAt = new Map<string, number>();
  const tookMs: number[] = [];
  let sent = 0;
  peer.onArrival = ({ datagram, atMs }) => {
    const callId = /Call-ID: (\S+)/.exec(datagram.toString('latin1'))![1]!;
    tookMs.push(atMs - sentAt.get(callId)!);
    sentAt.delete(callId);
    peer.arrivals.length = 0;
  };
  const timer = setInterval(() => {
    const callId = `udp-${++sent}`;
    sentAt.set(callId, performance.now());
    void peer.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: peer.hostPort }), port);
  }, 1000 / UDP_PER_SEC);
  return async () => {
    clearInterval(timer);
    await sleep(500);
    peer.close();
    tookMs.sort((a, b) => a - b);
    const at = (share: number) => Math.round(10 * (tookMs[Math.floor(tookMs.length * share)] ?? 0)) / 10;
    return { sent, unanswered: sentAt.size, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(0.9999) };
  };
}

async function measure(transport: By, connections: number, storm: number) {
  const [port, udpPort] = [await freeTcpPort(), await freeTcpPort()];
  const server = await ServerProcess.start(
    ...['--mode', 'stateful', '--workers', 'auto'],
    ...['--listen', `${transport}:127.0.0.1:${port}`, '--listen', `udp:127.0.0.1:${udpPort}`],
    ...['streams.connections=100000', 'streams.connectionsPerSource=100000', 'domains=[example.org]'].flatMap((set) => [
      '--set',
      set,
    ]),
    ...['--set', `tls.certificates=[{certificate: ${pair.certificate}, key: ${pair.key}}]`],
  );
  const pid = server.child.pid!;
  const tell = startPhones(port, transport);
  const endUdp = await startUdp(udpPort);
  // What the first connections bring about, such as code that is compiled, is not theirs.
  const warmUp = startPhones(port, transport);
  await warmUp({ what: 'open', count: 200 });
  await warmUp({ what: 'register' });
  await sleep(SETTLE_MS);
  const [before, kernelBefore] = [residentKib(pid), kernelKib()];
  const opened = await tell({ what: 'open', count: connections });
  await sleep(SETTLE_MS);
  const held = residentKib(pid);
  const kernelHeld = kernelKib();
  const registered = await tell({ what: 'register' });
  await sleep(SETTLE_MS);
  const after = residentKib(pid);
  const refreshed = await tell({ what: 'register' });
  const udp = await endUdp();
  const endStorm = await startUdp(udpPort);
  const cpuBefore = cpuMs(pid);
  const resumedBefore = (await server.counters())['stream_tls_resumptions_total']!;
  const stormed = await tell({ what: 'reopen', count: storm });
  const stormCpuMs = cpuMs(pid) - cpuBefore;
  const udpInStorm = await endStorm();
  const last = await tell({ what: 'register' });
  const counters = await server.counters();
  await server.kill();
  for (const child of children.splice(0)) child.kill();
  const perConnection = (kib: number) => Math.round((10 * kib) / connections) / 10;
  return {
    transport,
    connections,
    held: last.open,
    lost: last.lost,
    failures: last.failures,
    openedPerSec: Math.round((1000 * connections) / opened.tookMs),
    kibPerConnection: perConnection(held - before),
    kibPerConnectionRegistered: perConnection(after - before),
    kibInKernelBothEnds: perConnection(kernelHeld - kernelBefore),
    registeredPerSec: Math.round((1000 * connections) / registered.tookMs),
    refreshedPerSec: Math.round((1000 * connections) / refreshed.tookMs),
    storm: {
      reconnects: storm,
      tookMs: Math.round(stormed.tookMs),
      postponed: stormed.postponed - refreshed.postponed,
      serverCpuMsPerReconnect: Math.round((100 * stormCpuMs) / storm) / 100,
      resumed: counters['stream_tls_resumptions_total']! - resumedBefore,
      udp: udpInStorm,
    },
    udp,
    registrations: counters['registrations_total'],
    undelivered: counters['stream_undelivered_total'],
    overloadRejected: counters['overload_rejected_total'],
  };
}

const results = [];
for (const [transport, wanted] of [
  ['tcp', Number(values.tcp)],
  ['tls', Number(values.tls)],
  ['ws', Number(values.ws)],
  ['wss', Number(values.wss)],
] as const) {
  if (wanted > 0) results.push(await measure(transport, wanted, Math.min(wanted, Number(values.storm))));
}
authority.close();
const report = { machine: `${cpus()[0]?.model ?? '?'}, ${cpus().length} CPUs, Node ${process.version}`, results };
console.log(JSON.stringify(report, null, 2));
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(report, null, 2));
