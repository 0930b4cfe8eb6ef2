/** A real server under a stand-in for systemd: readiness, status, watchdog, and a socket that outlives the server. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, openTcp, openUdp } from '../../src/runtime/udp-socket.ts';
import { FakeSystemd } from '../process/fake-systemd.ts';
import { HANGING_MAX_FORWARDS } from '../process/fatal-request.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { okTo, optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { WebSocketPeer } from '../runtime/streams/web-socket-peer.ts';
import { Authority } from '../runtime/tls/authority.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const NAMES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

let folder = '';
let manager: FakeSystemd;
const activated: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'strowger-service-'));
  manager = new FakeSystemd(join(folder, 'notify'));
  process.env['NOTIFY_SOCKET'] = manager.path;
});
afterEach(async () => {
  for (const name of NAMES) delete process.env[name];
  for (const child of activated.splice(0)) child.kill('SIGKILL');
  await endServers();
  manager.close();
  rmSync(folder, { recursive: true });
});

const requestOf = (from: UdpPeer, to: UdpPeer, callId: string, maxForwards = 70) =>
  optionsRequest({ callId, uri: `sip:bob@${to.hostPort}`, sentBy: from.hostPort, maxForwards });

describe('a service', () => {
  it('says when it is ready, drains and stops', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    await until('it is ready', () => manager.with('READY').length === 1);
    expect(manager.notifications).toMatchObject([
      { fields: { READY: '1', STATUS: `udp:127.0.0.1:${port}; stateless, 2 shards` }, pid: server.child.pid },
    ]);
    server.child.kill('SIGTERM');
    expect(await server.exit).toMatchObject({ code: 0 });
    expect(manager.with('STOPPING')).toMatchObject([{ fields: { STATUS: 'stopping after SIGTERM' } }]);
    expect(manager.with('WATCHDOG'), 'nobody asked for it').toEqual([]);
  });

  it('pings the watchdog, but not while a shard hangs', async () => {
    process.env['WATCHDOG_USEC'] = '300000';
    const port = await freePort();
    const phone = await UdpPeer.open();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const pings = () => manager.with('WATCHDOG');
    await until('it pings', () => pings().length >= 3);
    await phone.send(requestOf(phone, phone, 'hang', HANGING_MAX_FORWARDS), port);
    await until('the hang is noticed', () => server.log.some(({ msg }) => msg.startsWith('shard hangs')));
    const { length } = pings();
    await until('it pings again', () => pings().length >= length + 3);
    const gaps = pings().map(({ atMs }, i, all) => atMs - (all[i - 1]?.atMs ?? atMs));
    expect(Math.max(...gaps)).toBeGreaterThan(1500);
    phone.close();
  });
});

/** Starts a server with sockets that were opened for it, as systemd does it: the number of the process is known to itself only. */
function activate(fds: readonly number[], listen: readonly string[], settings: readonly string[] = []) {
  const command = `LISTEN_PID=$$ LISTEN_FDS=${fds.length} exec "$0" "$@"`;
  const sets = ['control.socket=off', 'location.store=off', 'log.format=json', ...settings];
  const args = [
    ...['bin/strowger.js', 'start', '--workers', '1'],
    ...listen.flatMap((point) => ['--listen', point]),
    ...sets.flatMap((set) => ['--set', set]),
  ];
  const child = spawn('sh', ['-c', command, process.execPath, ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit', ...fds],
  });
  activated.push(child);
  return { child, ended: new Promise<number | null>((resolve) => child.on('close', resolve)) };
}

describe('a socket that the service manager holds', () => {
  it('keeps what comes while no server is there', async () => {
    const { fd, port } = openUdp({
      ...{ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0, reusePort: false },
      ...{ receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20 },
    });
    const [client, uas] = [await UdpPeer.open(), await UdpPeer.open()];
    const sendOptions = (callId: string) => client.send(requestOf(client, uas, callId), port);
    try {
      for (const callId of ['before-the-first', 'before-the-second']) {
        await sendOptions(callId);
        const { child, ended } = activate([fd], [`udp:127.0.0.1:${port}`]);
        const { datagram, from } = await uas.receive(callId);
        await uas.send(okTo(datagram), from.port);
        await client.receive(callId);
        child.kill('SIGTERM');
        expect(await ended).toBe(0);
      }
    } finally {
      for (const peer of [client, uas]) peer.close();
      close(fd);
    }
  });

  it('keeps WebSockets waiting that ask for one while no server is there', async () => {
    const authority = new Authority();
    const { certificate, key } = authority.issue('own', ['IP:127.0.0.1']);
    const open = () => openTcp({ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0 });
    const points = [
      { by: 'ws', ...open() },
      { by: 'wss', ...open() },
    ];
    const fds = points.map(({ fd }) => fd);
    const listen = points.map(({ by, port }) => `${by}:127.0.0.1:${port}`);
    const tls = `tls.certificates=[{certificate: ${certificate}, key: ${key}}]`;
    try {
      for (const round of ['first', 'second']) {
        const connecting = points.map(({ by, port }) =>
          WebSocketPeer.connect(`${by}://127.0.0.1:${port}/`, { ca: authority.pem }),
        );
        const { child, ended } = activate(fds, listen, [tls]);
        const browsers = await Promise.all(connecting);
        for (const [i, browser] of browsers.entries()) {
          const { by, port } = points[i]!;
          const callId = `by-${by}-${round}`;
          const text = optionsRequest({ callId, uri: `sip:127.0.0.1:${port}`, sentBy: 'df7jal23ls0d.invalid' });
          browser.send(text.toString('latin1').replace('SIP/2.0/UDP', `SIP/2.0/${by.toUpperCase()}`));
          expect((await browser.receive(`Call-ID: ${callId}`)).text).toMatch(/^SIP\/2\.0 200 /);
        }
        child.kill('SIGTERM');
        for (const browser of browsers) expect((await browser.untilClosed()).code).toBe(1001);
        expect(await ended).toBe(0);
      }
    } finally {
      for (const fd of fds) close(fd);
      authority.close();
    }
  });
});
