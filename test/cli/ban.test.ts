/** `strowger ban` against a real server, with the intake on a thread of its own and without. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openControlClient } from '../../src/cli/control-client.ts';
import { until } from '../process/server-process.ts';
import { optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { type RunningCommand, startCommand } from './command.ts';

let directory = '';
let server: RunningCommand;
let port = 0;
let scanner: UdpPeer;
let phone: UdpPeer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-ban-'));
  port = await freePort();
  // Both are loopback to the server, and not the same to a ban.
  scanner = await UdpPeer.open('127.0.0.2');
  phone = await UdpPeer.open();
});
afterEach(async () => {
  scanner.close();
  phone.close();
  server.process.kill('SIGKILL');
  await server.finished;
  rmSync(directory, { recursive: true });
});

const environment = () => ({ ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory });

async function serve(...sets: string[]): Promise<void> {
  server = startCommand(
    [
      ...['--workers', '1', '--listen', `udp:127.0.0.1:${port}`, '--set', 'location.store=off'],
      ...['--set', `bans.file=${join(directory, 'bans.json')}`, ...sets.flatMap((set) => ['--set', set])],
    ],
    environment(),
  );
  await server.saw('\n  try ');
}

function strowger(...args: string[]) {
  return startCommand(args, environment()).finished;
}

/** For what a test needs and is not about. */
async function asked(method: string, params?: object): Promise<unknown> {
  const client = await openControlClient(join(directory, `strowger-${port}.sock`));
  const answer = await client.call(method, params);
  client.close();
  return answer;
}

async function dropped(): Promise<number> {
  return ((await asked('stats')) as Record<string, number>)['banned_datagrams_total']!;
}

let calls = 0;

async function ask(peer: UdpPeer): Promise<string> {
  const callId = `ban-${++calls}`;
  await peer.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: peer.hostPort }), port);
  return callId;
}

describe.each([['own'], ['shard']])('a ban, with the intake of dispatcher.thread=%s', (thread) => {
  it('has the datagrams of its source dropped, and those of nobody else; outlives a restart; can be lifted', async () => {
    await serve(`dispatcher.thread=${thread}`);
    await scanner.receive(await ask(scanner));
    await asked('ban.add', { source: '127.0.0.2', force: true });
    const unheard = await ask(scanner);
    await phone.receive(await ask(phone));
    await until('it is counted', async () => (await dropped()) === 1);
    expect(scanner.arrivals.some(({ datagram }) => datagram.includes(unheard))).toBe(false);

    server.process.kill('SIGTERM');
    await server.finished;
    await serve(`dispatcher.thread=${thread}`);
    await ask(scanner);
    await phone.receive(await ask(phone));
    await until('it is counted again', async () => (await dropped()) === 1);

    await asked('ban.remove', { source: '127.0.0.2' });
    await scanner.receive(await ask(scanner));
  });
});

describe('strowger ban', () => {
  it('adds, lists and removes', async () => {
    await serve();
    expect(await strowger('ban', 'add', '127.0.0.2')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'strowger: 127.0.0.2 is loopback; with force (--force) it is banned all the same\n',
    });
    const added = await strowger('ban', 'add', '192.0.2.7', '--for', '1h', '--reason', 'scan\u001bner');
    expect(added).toEqual({ code: 0, stdout: '192.0.2.7: banned\n', stderr: '' });
    const { stdout } = await strowger('ban', 'list');
    expect(stdout).toMatch(
      /^SOURCE +ENDS +SINCE \(UTC\) +REASON\n192\.0\.2\.7 +in 60 min +\d{4}-\S+ +scan\ufffdner\n$/,
    );
    expect((await strowger('ban', 'remove', '192.0.2.7')).stdout).toBe('192.0.2.7: no longer banned\n');
    expect(JSON.parse((await strowger('ban', 'list', '--json')).stdout)).toEqual({ bans: [], total: 0 });
  });
});
