/** The command line as users meet it: help, version, check, and what it says to what it cannot mean. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseArguments } from '../../src/cli/arguments.ts';
import { runCommand, startCommand } from './command.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-cli-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('strowger --help', () => {
  it('shows commands, flags and examples', async () => {
    const { code, stdout, stderr } = await runCommand('--help');
    expect([code, stderr]).toEqual([0, '']);
    for (const text of [
      'start',
      'check',
      'stats',
      'status',
      '--listen udp:ADDRESS:PORT',
      '--set PATH=VALUE',
      'Examples:',
    ]) {
      expect(stdout).toContain(text);
    }
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  it.each([[['check', '--help']], [['help', 'check']], [['check', '-h']]])('of a command: %j', async (args) => {
    const { code, stdout } = await runCommand(...args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^strowger check: /);
    expect(stdout).not.toContain('--json');
  });
});

describe('strowger --version', () => {
  it('prints the version of the package', async () => {
    expect(await runCommand('--version')).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^strowger \d+\.\d+\.\d+\S*\n$/),
      stderr: '',
    });
  });
});

describe('strowger check', () => {
  it('says ok and sums up', async () => {
    const { code, stdout, stderr } = await runCommand(
      'check',
      '--config',
      'examples/two-gateways.yaml',
      '--workers',
      '2',
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^ok: examples\/two-gateways\.yaml\n/);
    expect(stdout).toContain('example.org → sip:10.0.0.7, sip:10.0.0.8');
    expect(stdout).toMatch(/workers +2\n/);
  });

  it('warns of domains that lead nowhere', async () => {
    const { code, stdout } = await runCommand('check', '--domain', 'example.org');
    expect(code).toBe(0);
    expect(stdout).toContain('no next hop for example.org: give --next-hop or nextHops');
  });

  it('prints every problem with its place and exits 1', async () => {
    const file = join(directory, 'bad.yaml');
    writeFileSync(file, 'mode: stateful\nworkers: 99\n');
    const { code, stdout, stderr } = await runCommand('check', '--config', file, '--domain', 'a b');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.split('\n')).toEqual([
      `${file}:2:10: workers: 99 is out of range; accepted: auto or a whole number from 1 to 64`,
      '--domain: domains[0]: "a b" is not a domain name; accepted: a domain name or an IP address, e.g. example.org',
      '',
    ]);
  });

  it.each([['check'], ['start']])('%s refuses the mode that is not there yet', async (command) => {
    const { code, stderr } = await runCommand(command, '--mode', 'stateful');
    expect(code).toBe(1);
    expect(stderr).toBe('--mode: mode: stateful is not there yet; use stateless\n');
  });
});

describe('a command line that cannot be meant', () => {
  it.each([
    [['--lisen', 'x'], 'unknown flag --lisen; did you mean --listen? strowger --help lists them'],
    [['-x'], 'unknown flag -x; strowger --help lists them'],
    [['chek'], 'unknown command chek; did you mean check? there are start, check, stats, status'],
    [['frobnicate'], 'unknown command frobnicate; there are start, check, stats, status'],
    [['check', 'strowger.yaml'], 'check takes flags only, and there is "strowger.yaml"'],
    [['--listen'], '--listen needs a value: --listen udp:ADDRESS:PORT'],
    [['--listen', '--mode', 'stateless'], '--listen needs a value: --listen udp:ADDRESS:PORT'],
    [['--config='], '--config needs a value: --config FILE'],
    [['--mode', 'stateless', '--mode', 'stateless'], '--mode is there twice'],
    [['stats', '--json=yes'], '--json takes no value'],
    [['check', '--json'], '--json means nothing to check; it is for stats and status'],
  ])('%j gets one line and exit code 2', async (args, expected) => {
    expect(await runCommand(...args)).toEqual({ code: 2, stdout: '', stderr: `strowger: ${expected}\n` });
  });
});

describe('values', () => {
  it('stay the strings they were', () => {
    const { flags, sets, config } = parseArguments([
      ...['--domain', '0123', '--domain=1e3', '--listen', 'udp:[::1]:5060', '--listen', 'udp:*:5060'],
      ...['--workers', '4', '--set', 'a.b=c=d', '-c', '007'],
    ]);
    expect(flags).toMatchObject({ domain: ['0123', '1e3'], listen: ['udp:[::1]:5060', 'udp:*:5060'], workers: '4' });
    expect(sets).toEqual(['a.b=c=d']);
    expect(config).toBe('007');
  });

  it('of a flag given once are lists all the same where it is repeatable', () => {
    expect(parseArguments(['check', '--next-hop', 'sip:a']).flags.nextHop).toEqual(['sip:a']);
  });
});

describe('strowger stats', () => {
  it('without a server says where it looked', async () => {
    const environment = { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory };
    const { code, stderr } = await startCommand(['stats'], environment).finished;
    expect(code).toBe(1);
    expect(stderr).toBe(
      `strowger: no running server found (no live strowger-*.sock in ${directory}); give its socket with --control PATH\n`,
    );
  });

  it('with a socket that is not there says so', async () => {
    const { code, stderr } = await runCommand('stats', '--control', join(directory, 'none.sock'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/none\.sock: there is no such socket; is the server running\?\n$/);
  });
});
