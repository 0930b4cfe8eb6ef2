/** A real server under a stand-in for systemd: readiness, status, watchdog, and a socket that outlives the server. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, openUdp } from '../../src/runtime/udp-socket.ts';
import { FakeSystemd } from '../process/fake-systemd.ts';
import { HANGING_MAX_FORWARDS } from '../process/fatal-request.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { okTo, optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const NAMES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

let folder = '';
let manager: FakeSystemd;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'strowger-service-'));
  manager = new FakeSystemd(join(folder, 'notify'));
  process.env['NOTIFY_SOCKET'] = manager.path;
});
afterEach(async () => {
  for (const name of NAMES) delete process.env[name];
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

describe('a socket that the service manager holds', () => {
  it('keeps what comes while no server is there', async () => {
    const { fd, port } = openUdp({
      ...{ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0, reusePort: false },
      ...{ receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20 },
    });
    const [client, uas] = [await UdpPeer.open(), await UdpPeer.open()];
    const servers: ReturnType<typeof spawn>[] = [];
    /** As systemd does it: the number of the process is known to itself only. */
    const activate = () => {
      const command = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=sip exec "$0" "$@"';
      const sets = ['control.socket=off', 'location.store=off', 'log.format=json'].flatMap((set) => ['--set', set]);
      const args = ['bin/strowger.js', 'start', '--workers', '1', '--listen', `udp:127.0.0.1:${port}`, ...sets];
      const child = spawn('sh', ['-c', command, process.execPath, ...args], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit', fd],
      });
      servers.push(child);
      return new Promise<number | null>((resolve) => child.on('close', resolve));
    };
    const sendOptions = (callId: string) => client.send(requestOf(client, uas, callId), port);
    try {
      for (const callId of ['before-the-first', 'before-the-second']) {
        await sendOptions(callId);
        const ended = activate();
        const { datagram, from } = await uas.receive(callId);
        await uas.send(okTo(datagram), from.port);
        await client.receive(callId);
        servers.at(-1)!.kill('SIGTERM');
        expect(await ended).toBe(0);
      }
    } finally {
      for (const server of servers) server.kill('SIGKILL');
      for (const peer of [client, uas]) peer.close();
      close(fd);
    }
  });
});
