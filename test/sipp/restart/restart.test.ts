/** `strowger restart` in the midst of calls: a new process takes over the sockets, the old one finishes what it has begun. */

import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openControlClient } from '../../../src/cli/control-client.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoadGenerators, runUac, startUas } from '../load-generator.ts';

const started: number[] = [];
afterEach(async () => {
  await endLoadGenerators();
  // The one that has taken over is nobody's child.
  for (const pid of started.splice(0)) kill(pid);
  await endServers();
});

const RESTART_LIMIT_MS = 60_000;
const scenario = (path: string) => new URL(path, import.meta.url);

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}

async function startServer(mode: 'stateful' | 'stateless', ...more: string[]) {
  const port = await freePort();
  // As in production: the successor is warm before it takes over. And what is sent again only tells how busy the machine is.
  const sets = ['rehearsalMs=400', 'timers.t1Ms=2000'].flatMap((set) => ['--set', set]);
  const server = await ServerProcess.start('--mode', mode, '--listen', `udp:127.0.0.1:${port}`, ...sets, ...more);
  const socket = join(server.folder, 'control.sock');
  const ask = async <Answer>(method: string): Promise<Answer> => {
    const client = await openControlClient(socket);
    try {
      return (await client.call(method, undefined, RESTART_LIMIT_MS)) as Answer;
    } finally {
      client.close();
    }
  };
  return {
    server,
    by: `127.0.0.1:${port}`,
    stats: () => ask<Record<string, number>>('stats'),
    hasPredecessor: async () => (await ask<{ hasPredecessor: boolean }>('status')).hasPredecessor,
    restart: async () => {
      const { pid, predecessor } = await ask<{ pid: number; predecessor: number }>('restart');
      started.push(pid);
      expect(pid).not.toBe(predecessor);
      return predecessor;
    },
  };
}

describe('strowger restart', () => {
  it.each([
    ['with a dispatcher', '2', 'own', 500],
    ['with one thread for all', '1', 'shard', 200],
  ])('%s loses no call: of those that ring, are given up, or fail', async (_, workers, thread, perSec) => {
    const server = await startServer('stateful', '--workers', workers, '--set', `dispatcher.thread=${thread}`);
    const [phone, silent, busy] = [
      await startUas({ scenario: scenario('./ringing-uas.xml') }),
      await startUas({ scenario: scenario('./cancelled-uas.xml') }),
      await startUas({ scenario: scenario('./busy-uas.xml') }),
    ];
    const rare = { calls: 100, perSec: 25, by: server.by };
    const loads = [
      runUac({ by: server.by, target: `127.0.0.1:${phone.port}`, calls: 5 * perSec, perSec, args: ['-d', '300'] }),
      runUac({
        ...rare,
        target: `127.0.0.1:${silent.port}`,
        scenario: scenario('./cancelling-uac.xml'),
      }),
      runUac({ ...rare, target: `127.0.0.1:${busy.port}`, scenario: scenario('./busy-uac.xml') }),
    ];
    await until('calls are in progress', async () => (await server.stats())['requests_forwarded_total']! > 2 * perSec);
    expect(await server.restart()).toBe(server.server.child.pid);
    for (const figures of await Promise.all(loads)) expect(figures.failed).toBe(0);
    const stats = await server.stats();
    expect(stats['passed_to_predecessor_total']).toBeGreaterThan(0);
    expect(stats['requests_forwarded_total']).toBeGreaterThan(0);
    expect(server.server.output).not.toContain('the deadline has come');
  });
});
