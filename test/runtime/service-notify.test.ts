/** What a service manager is told (sd_notify(3), sd_watchdog_enabled(3)), and which descriptors it gives (sd_listen_fds(3)). */

import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ListenPoint } from '../../src/config/listen-point.ts';
import { parseListenAddress } from '../../src/config/listen-point.ts';
import { GivenSockets, takeActivatedFds } from '../../src/runtime/given-sockets.ts';
import { ServiceNotifier } from '../../src/runtime/service-notify.ts';
import { close, inspectSocket, openUdp } from '../../src/runtime/udp-socket.ts';
import { FakeSystemd } from '../process/fake-systemd.ts';

let folder = '';
let manager: FakeSystemd;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'strowger-notify-'));
  manager = new FakeSystemd(join(folder, 'notify'));
});
afterEach(() => {
  vi.useRealTimers();
  manager.close();
  rmSync(folder, { recursive: true });
});

const PID = 4711;

function notifierOf(environment: Record<string, string> = {}) {
  const troubles: string[] = [];
  const notifier = new ServiceNotifier(
    { NOTIFY_SOCKET: manager.path, ...environment },
    (text) => troubles.push(text),
    PID,
  );
  return { notifier, troubles };
}
const told = () => manager.all().map(({ fields }) => fields);

describe('a service manager', () => {
  it('is told what happens, a datagram for each', () => {
    const { notifier } = notifierOf();
    notifier.ready('udp:127.0.0.1:5060');
    notifier.status('draining');
    notifier.reloading();
    notifier.stopping('after SIGTERM', 6000);
    notifier.succeededBy(4712);
    notifier.status('nobody asks any more');
    expect(told()).toEqual([
      { READY: '1', STATUS: 'udp:127.0.0.1:5060' },
      { STATUS: 'draining' },
      { RELOADING: '1', MONOTONIC_USEC: expect.stringMatching(/^\d+$/) },
      { STOPPING: '1', STATUS: 'after SIGTERM', EXTEND_TIMEOUT_USEC: '6000000' },
      { MAINPID: '4712' },
    ]);
  });

  it('hears of no reload once the server stops: not of one that comes, not of the end of one that was under way', () => {
    const { notifier } = notifierOf();
    notifier.reloading();
    notifier.stopping('after SIGTERM', 6000);
    notifier.ready('udp:127.0.0.1:5060');
    notifier.reloading();
    notifier.ready('udp:127.0.0.1:5060');
    notifier.status('draining');
    const names = told().map((fields) => Object.keys(fields)[0]);
    expect(names).toEqual(['RELOADING', 'STOPPING', 'STATUS']);
  });

  it('is found in the abstract name space', () => {
    const other = new FakeSystemd(`@strowger-notify-${process.pid}`);
    new ServiceNotifier({ NOTIFY_SOCKET: other.path }, () => undefined).ready('x');
    expect(other.with('READY')).toHaveLength(1);
    other.close();
  });

  it('that is not there is not told, and nobody minds', () => {
    const troubles: string[] = [];
    new ServiceNotifier({}, (text) => troubles.push(text)).ready('x');
    expect([told(), troubles]).toEqual([[], []]);
  });

  it.each(['relative/path', '@', `${'/x'.repeat(80)}`, '/nowhere/at/all'])('at %j is one line of trouble', (path) => {
    const { notifier, troubles } = notifierOf({ NOTIFY_SOCKET: path });
    notifier.ready('x');
    notifier.status('y');
    expect(troubles).toHaveLength(1);
  });
});

describe('the watchdog', () => {
  it('is pinged three times in its limit, as long as the server works', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { notifier } = notifierOf({ WATCHDOG_USEC: '3000000', WATCHDOG_PID: String(PID) });
    let isAlive = true;
    notifier.watch(() => Promise.resolve(isAlive));
    await vi.advanceTimersByTimeAsync(3000);
    expect(told()).toEqual(Array(3).fill({ WATCHDOG: '1' }));
    isAlive = false;
    await vi.advanceTimersByTimeAsync(9000);
    expect(told()).toHaveLength(3);
    isAlive = true;
    await vi.advanceTimersByTimeAsync(1000);
    expect(told()).toHaveLength(4);
    notifier.close();
    await vi.advanceTimersByTimeAsync(9000);
    expect(told()).toHaveLength(4);
  });

  it('is not pinged while nobody answers whether it works, nor when that cannot be asked', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { notifier } = notifierOf({ WATCHDOG_USEC: '3000000' });
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let isAlive = () => promise;
    notifier.watch(() => isAlive());
    await vi.advanceTimersByTimeAsync(9000);
    expect(told()).toEqual([]);
    isAlive = () => Promise.reject(new Error('no'));
    resolve(true);
    await vi.advanceTimersByTimeAsync(3000);
    expect(told()).toEqual([{ WATCHDOG: '1' }]);
  });

  it.each([
    ['of another process', { WATCHDOG_USEC: '3000000', WATCHDOG_PID: '1' }],
    ['without a limit', { WATCHDOG_PID: String(PID) }],
    ['with a limit of nothing', { WATCHDOG_USEC: '0' }],
    ['with no number for a limit', { WATCHDOG_USEC: 'soon' }],
  ])('%s is none of ours', (_, environment) => {
    expect(notifierOf(environment).notifier.watchdogMs).toBe(0);
  });
});

describe('descriptors of a service manager', () => {
  it('are for the process that is named, once', () => {
    const environment: Record<string, string> = { LISTEN_PID: String(PID), LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b' };
    expect(takeActivatedFds(environment, PID)).toEqual([3, 4]);
    expect(environment).toEqual({});
    expect(takeActivatedFds(environment, PID)).toEqual([]);
  });

  it.each([
    [{ LISTEN_PID: '1', LISTEN_FDS: '2' }],
    [{ LISTEN_FDS: '2' }],
    [{ LISTEN_PID: String(PID) }],
    [{ LISTEN_PID: String(PID), LISTEN_FDS: 'two' }],
  ])('%j are none', (environment) => {
    expect(takeActivatedFds(environment, PID)).toEqual([]);
  });

  const point = (text: string) => parseListenAddress(text) as ListenPoint;
  const opened = (host: string, family: 4 | 6, dualStack = false) =>
    openUdp({
      ...{ host, family, dualStack, port: 0, dscp: 0, reusePort: false },
      ...{ receiveBufferBytes: 65_536, sendBufferBytes: 65_536 },
    });

  it('go to the listen points that they are for, and the rest is closed', () => {
    const [v4, v6, both] = [opened('127.0.0.1', 4), opened('::1', 6), opened('::', 6, true)];
    const file = openSync(join(folder, 'notify.txt'), 'w');
    const given = new GivenSockets([v4.fd, v6.fd, both.fd, file]);
    expect(given.take(point(`udp:127.0.0.1:${v4.port + 1}`)), 'another port').toBeNull();
    expect(given.take(point(`udp:0.0.0.0:${v4.port}`)), 'another address').toBeNull();
    expect(given.take(point(`tcp:127.0.0.1:${v4.port}`)), 'another transport').toBeNull();
    expect(given.take(point(`udp:[::]:${both.port}`)), 'IPv6 alone').toBeNull();
    expect(given.take(point(`udp:127.0.0.1:${v4.port}`))).toMatchObject({ fd: v4.fd });
    expect(given.take(point(`udp:127.0.0.1:${v4.port}`)), 'twice').toBeNull();
    expect(given.take(point('udp:*:0'))).toMatchObject({ fd: both.fd });
    expect(given.closeRest()).toEqual([`udp:[::1]:${v6.port}`, `descriptor ${file}`]);
    expect(() => inspectSocket(v6.fd)).not.toThrow();
    expect(inspectSocket(v6.fd), 'closed').toBeNull();
    for (const { fd } of [v4, both]) close(fd);
  });
});
