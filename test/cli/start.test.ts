/** `strowger start` as a real process: the banner, the signals, the socket, and ports that cannot be had. */

import { createSocket, type Socket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renderBanner } from '../../src/cli/banner.ts';
import { explainStartError } from '../../src/cli/start.ts';
import { renderCounters } from '../../src/cli/table.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { type RunningCommand, startCommand } from './command.ts';

const NEXT = '  try '; // the last part of the banner

let directory = '';
let running: RunningCommand[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-start-'));
});
afterEach(async () => {
  for (const command of running) command.process.kill('SIGKILL');
  await Promise.all(running.map(({ finished }) => finished));
  running = [];
  rmSync(directory, { recursive: true });
});

function start(...args: string[]): RunningCommand {
  const environment = { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory };
  const command = startCommand(['--workers', '1', ...args], environment);
  running.push(command);
  return command;
}

function ask(...args: string[]): RunningCommand['finished'] {
  return startCommand(args, { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory }).finished;
}

describe('a server', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('says where it listens and ends with 0 on %s', async (signal) => {
    const server = start('--listen', 'udp:127.0.0.1:0');
    await server.saw(NEXT);
    server.process.kill(signal);
    const { code, stdout } = await server.finished;
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Strowger \S+ is up: pid \d+, stateful, 1 shard\n {2}listening +udp:127\.0\.0\.1:[1-9]\d*\n/,
    );
  });

  it('answers stats and status over the only socket there is, and takes the socket away', async () => {
    const server = start('--listen', 'udp:127.0.0.1:0');
    await server.saw(NEXT);
    const stats = await ask('stats', '--json');
    expect(stats).toMatchObject({ code: 0, stderr: '' });
    expect(Object.values(JSON.parse(stats.stdout)).every((value) => typeof value === 'number')).toBe(true);
    const status = await ask('status', '--json');
    expect(status).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(status.stdout)).toBeTypeOf('object');
    server.process.kill('SIGTERM');
    await server.finished;
    expect((await ask('stats')).stderr).toMatch(/no running server found/);
  });

  it('prints its counters on SIGUSR2 and runs on', async () => {
    const server = start('--listen', 'udp:127.0.0.1:0');
    await server.saw(NEXT);
    server.process.kill('SIGUSR2');
    await server.saw('zero');
    server.process.kill('SIGTERM');
    expect((await server.finished).code).toBe(0);
  });
});

describe('a port that cannot be had', () => {
  let occupant: Socket;
  afterEach(() => void occupant?.close());

  it('because it is taken costs one line and exit code 1', async () => {
    occupant = createSocket('udp4');
    const port = await new Promise<number>((resolve) =>
      occupant.bind(0, '127.0.0.1', () => resolve(occupant.address().port)),
    );
    const { code, stdout, stderr } = await start('--listen', `udp:127.0.0.1:${port}`).finished;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      `strowger: udp:127.0.0.1:${port} is taken by another program; "ss -lunp sport = :${port}" shows which: ` +
        'stop it, or choose another with --listen udp:ADDRESS:PORT\n',
    );
  });
});

describe('what start says when it fails', () => {
  const config = loadConfig({ flags: { listen: ['udp:127.0.0.1:80', 'udp:192.0.2.99:5060'] } }).config!;
  const failure = (code: string, listen?: string) => Object.assign(new Error(`bind ${code}`), { code, listen });

  it.each([
    ['EACCES', 'udp:127.0.0.1:80', /^udp:127\.0\.0\.1:80: ports below 1024 need root or CAP_NET_BIND_SERVICE; /],
    ['EACCES', 'udp:192.0.2.99:5060', /^bind EACCES$/],
    ['EADDRNOTAVAIL', 'udp:192.0.2.99:5060', /this machine has no address 192\.0\.2\.99, it has 127\.0\.0\.1/],
    ['EADDRINUSE', undefined, /^udp:127\.0\.0\.1:80 or udp:192\.0\.2\.99:5060 is taken by another program; /],
    ['EAFNOSUPPORT', 'udp:192.0.2.99:5060', /IPv4 is switched off on this machine/],
    ['EMFILE', undefined, /^bind EMFILE$/],
  ])('%s of %s', (code, listen, expected) => {
    expect(explainStartError(failure(code, listen), config)).toMatch(expected);
  });

  it('takes the word of an addon that is not built', () => {
    const error = new Error("The native addon is not built: run 'npm run install'");
    expect(explainStartError(error, config)).toBe(error.message);
  });

  it('keeps the stack of a mistake of our own', () => {
    expect(explainStartError(new TypeError('x is undefined'), config)).toContain('start.test.ts');
  });
});

describe('the banner', () => {
  const config = loadConfig({ flags: { domain: ['example.org'], nextHop: ['sip:10.0.0.7'] } }).config!;
  const facts = {
    version: '1.2.3',
    pid: 7,
    config,
    controlPath: '/run/strowger-5060.sock',
    adminUrl: null,
    self: 'strowger',
  };

  it('says what is there, what is amiss and what to try', () => {
    const note = 'receive buffer of udp:*:5060 is 212992 bytes; sysctl -w net.core.rmem_max=4194304';
    const description = { listening: ['udp:*:5060'], mode: 'stateless', shards: 2, receiveBufferNotes: [note] };
    expect(renderBanner({ ...facts, description })).toBe(`Strowger 1.2.3 is up: pid 7, stateless, 2 shards
  listening  udp:*:5060
  domain     example.org → sip:10.0.0.7
  control    /run/strowger-5060.sock
  warning    ${note}
  try        strowger stats
             sipp -sn uas -p 5070
             sipp -sn uac -rsa 127.0.0.1:5060 -r 10 -m 100 127.0.0.1:5070   (calls through this server to that uas)`);
  });

  it('says who registers here, where nothing else is said', () => {
    const description = { listening: ['udp:0.0.0.0:5060'], mode: 'stateful', shards: 1, receiveBufferNotes: [] };
    const banner = renderBanner({ ...facts, config: configSchema.parse({}), description });
    expect(banner).toContain('registrar  of every domain that a REGISTER names; nobody is asked for a password');
    expect(banner).toContain('two softphones with 127.0.0.1:5060 as their server, one calling the other');
  });

  it('has IPv6 lines for an IPv6 socket', () => {
    const description = { listening: ['udp:[::1]:5070'], mode: 'stateless', shards: 1, receiveBufferNotes: [] };
    expect(renderBanner({ ...facts, description, controlPath: null })).toContain(
      'sipp -sn uac -i [::1] -rsa [::1]:5070 -r 10 -m 100 [::1]:5072',
    );
  });
});

describe('the table of counters', () => {
  it('aligns, groups and leaves zeros out', () => {
    expect(renderCounters({ a_total: 1234567, b_total: 0, longer_total: 5 })).toBe(
      'a_total       1,234,567\nlonger_total          5\n(and 1 at zero)',
    );
    expect(renderCounters({ a: 0 }, { isAll: true })).toBe('a  0');
    expect(renderCounters({ a: 0 })).toBe('all 1 counters are zero');
  });

  it('shows the change per second', () => {
    expect(renderCounters({ a: 30 }, { before: { a: 10 }, seconds: 2 })).toBe('a  30           10/s');
  });
});
