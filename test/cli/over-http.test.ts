/** Commands that ask over HTTP, against a real server; and what is wrong with a token, before anything is started. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeTcpPort } from '../process/tcp-port.ts';
import { type RunningCommand, runCommand, startCommand } from './command.ts';

let directory = '';
let token = '';
let url = '';
let server: RunningCommand;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-over-http-'));
  token = join(directory, 'token');
  writeFileSync(token, '0123456789abcdef0123456789abcdef\n');
  const port = await freeTcpPort();
  url = `http://127.0.0.1:${port}`;
  server = startCommand(
    [
      ...['--workers', '1', '--listen', 'udp:127.0.0.1:0', '--control', 'off', '--admin', `127.0.0.1:${port}`],
      ...['location.store=off', 'rehearsalMs=0', `control.tokenFile=${token}`].flatMap((set) => ['--set', set]),
    ],
    { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory },
  );
  await server.saw('\n  try ');
});
afterAll(async () => {
  server.process.kill('SIGKILL');
  await server.finished;
  rmSync(directory, { recursive: true });
});

describe('a command with --admin and --token-file', () => {
  it('asks over HTTP, where there is no control socket', async () => {
    const { code, stdout, stderr } = await runCommand('shard', 'list', '--admin', url, '--token-file', token, '--json');
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ shards: [{ shard: 0, isRunning: true }] });
  });

  it('is told what is wrong with its token', async () => {
    const wrong = join(directory, 'wrong');
    writeFileSync(wrong, 'fedcba9876543210');
    expect(await runCommand('status', '--admin', url, '--token-file', wrong)).toEqual({
      code: 1,
      stdout: '',
      stderr: `strowger: ${url}: 401 this is not the token\n`,
    });
  });

  it.each([
    [['--admin', 'http://127.0.0.1:1'], '--admin URL needs a token: --token-file FILE'],
    [['--token-file', 'x'], '--token-file goes with --admin URL'],
    [
      ['--admin', 'http://127.0.0.1:1', '--token-file', 'x', '--control', 'y'],
      '--admin and --control exclude each other',
    ],
  ])('is called wrongly with %j', async (flags, said) => {
    expect(await runCommand('status', ...flags)).toEqual({ code: 2, stdout: '', stderr: `strowger: ${said}\n` });
  });
});

describe('a token that cannot be used', () => {
  const flags = (file: string) => [
    '--listen',
    'udp:127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    '--set',
    `control.tokenFile=${file}`,
  ];

  it.each(['start', 'check'])('is said by strowger %s, and nothing is started', async (command) => {
    const short = join(directory, 'short');
    writeFileSync(short, 'secret');
    const { code, stderr } = await runCommand(command, ...flags(short));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /control\.tokenFile: .*short: a token has 16 characters or more; make one with: openssl rand -hex 32\n$/,
    );
    expect(stderr).not.toContain('secret');
  });
});
