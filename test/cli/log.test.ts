/** The log of a real server: what it says of calls, its levels, and readers that stop reading, close, or have no room. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ControlClient, openControlClient } from '../../src/cli/control-client.ts';
import { isControlSocketAlive } from '../../src/runtime/control.ts';
import { START_PATIENCE_MS } from '../process/patience.ts';
import { until } from '../process/server-process.ts';
import { optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

const root = new URL('../../', import.meta.url);
const BUFFER_KIB = 16;
/** More than a pipe and the buffer hold. */
const MANY_LINES = 64 * 30;

let directory = '';
let port = 0;
let server: ChildProcess;
let phone: UdpPeer;
let client: ControlClient;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-log-'));
  port = await freePort();
  phone = await UdpPeer.open();
});
afterEach(async () => {
  client?.close();
  phone.close();
  const ended = new Promise((resolve) => server.once('exit', resolve));
  if (server.exitCode === null && server.signalCode === null && server.kill('SIGKILL')) await ended;
  rmSync(directory, { recursive: true });
});

/** With its stderr there. */
async function serve(stderr: number | 'pipe'): Promise<void> {
  const sets = [
    'location.store=off',
    'bans.file=off',
    'rehearsalMs=0',
    `log.bufferKiB=${BUFFER_KIB}`,
    'log.format=json',
  ];
  server = spawn(
    process.execPath,
    [
      ...[fileURLToPath(new URL('bin/strowger.js', root)), '--workers', '1', '--listen', `udp:127.0.0.1:${port}`],
      ...['--mode', 'stateless', ...sets.flatMap((set) => ['--set', set])],
    ],
    {
      cwd: fileURLToPath(root),
      env: { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory },
      stdio: ['ignore', 'ignore', stderr],
    },
  );
  const path = join(directory, `strowger-${port}.sock`);
  await until('it serves', () => isControlSocketAlive(path), { deadlineMs: START_PATIENCE_MS });
  client = await openControlClient(path);
}

/** Each change of a level is a line of the log. */
async function logManyLines(): Promise<void> {
  for (let i = 0; i < MANY_LINES; i++) await client.call('log.level', { level: 'info' });
}

let calls = 0;

/** The server answers calls, and operators. */
async function expectToServe(): Promise<void> {
  const callId = `log-${++calls}`;
  await phone.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: phone.hostPort }), port);
  await phone.receive(callId);
  expect(await client.call('shard.restart', { shard: 0 })).toMatchObject({ shard: 0 });
}

async function lostLines(): Promise<number> {
  return ((await client.call('stats')) as Record<string, number>)['log_lines_lost_total']!;
}

/** What can be read now. */
function readAll(fd: number): string {
  const buffer = Buffer.alloc(1 << 16);
  let text = '';
  try {
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer))
      text += buffer.toString('utf8', 0, length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return text;
}

describe('a pipe that nobody reads any more', () => {
  it('costs log lines, which are counted and said, and nothing else', async () => {
    const path = join(directory, 'fifo');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    await serve(writer);
    await logManyLines();
    const lost = await lostLines();
    expect(lost).toBeGreaterThan(0);
    await expectToServe();

    let text = readAll(reader);
    await until('it goes on', () => {
      text += readAll(reader);
      return text.includes('log lines were lost');
    });
    expect(
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line).level),
    ).toContain('info');
    closeSync(reader);
    closeSync(writer);
  });

  it('because it is closed, likewise', async () => {
    const path = join(directory, 'fifo');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    await serve(writer);
    closeSync(reader);
    await client.call('log.level', { level: 'info' });
    await expectToServe();
    expect(await lostLines()).toBeGreaterThan(0);
    closeSync(writer);
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});

describe('a socket, such as the journal has', () => {
  it('that nobody reads costs log lines alone, and so does one that is closed', async () => {
    await serve('pipe');
    server.stderr!.pause();
    await logManyLines();
    await until('lines are lost', async () => (await lostLines()) > 0);
    await expectToServe();
    server.stderr!.destroy();
    await client.call('log.level', { level: 'info' });
    await expectToServe();
  });
});

describe('a disk without room', () => {
  it('costs log lines alone', async () => {
    const full = openSync('/dev/full', 'w');
    await serve(full);
    await client.call('log.level', { level: 'info' });
    await expectToServe();
    expect(await lostLines()).toBeGreaterThan(0);
    closeSync(full);
  });
});

describe('a line about a call', () => {
  it('has its Call-ID, method, code and shard; of a level that can be changed while it runs', async () => {
    await serve('pipe');
    let log = '';
    server.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const ask = async (callId: string) => {
      const request = optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: phone.hostPort, maxForwards: 0 });
      const refused = `${request}`.replace('Max-Forwards: 0', 'Max-Forwards: none');
      await phone.send(Buffer.from(refused), port);
      await phone.receive(callId);
    };
    await ask('quiet');
    expect(await client.call('log.level', { level: 'debug', module: 'calls' })).toEqual({
      level: 'info',
      modules: { calls: 'debug' },
    });
    await ask('said');
    await until('it is said', () => log.includes('said'));
    const line = log.split('\n').find((text) => text.includes('"said"'))!;
    expect(JSON.parse(line)).toEqual({
      level: 'debug',
      ts: expect.any(String),
      module: 'calls',
      shard: 0,
      call_id: 'said',
      method: 'OPTIONS',
      code: 400,
      source: phone.hostPort,
      count: 1,
      msg: 'answered 400 Malformed Max-Forwards Header',
    });
    expect(log).not.toContain('quiet');
  });
});
