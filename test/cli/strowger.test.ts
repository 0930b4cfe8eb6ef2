/** The command line as users meet it: help, version, check, and what it says to what it cannot mean. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS, NOUNS, parseArguments, UsageError } from '../../src/cli/arguments.ts';
import { runCommand, startCommand } from './command.ts';

/** What there is, as error texts list it: a noun in place of its commands. */
const THERE = [
  ...new Set(Object.keys(COMMANDS).map((name) => (name.split(' ')[0]! in NOUNS ? name.split(' ')[0]! : name))),
];
const WITHOUT = (...names: string[]) => {
  const left = THERE.filter((name) => !names.includes(name));
  return `${left.slice(0, -1).join(', ')} and ${left.at(-1)}`;
};

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
      '--listen ADDRESS:PORT',
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

describe('strowger location --help', () => {
  it.each([[['location', '--help']], [['help', 'location']]])('is about all its verbs: %j', async (args) => {
    const { code, stdout, stderr } = await runCommand(...args);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^strowger location: /);
    for (const usage of ['list', 'show AOR', 'add AOR CONTACT', 'remove AOR [CONTACT]']) {
      expect(stdout).toContain(`  location ${usage}  `);
    }
  });

  it.each([[['location', 'add', '--help']], [['help', 'location', 'add']]])(
    'is about one of them: %j',
    async (args) => {
      const { code, stdout } = await runCommand(...args);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^strowger location add: .*\n\nUsage: strowger location add AOR CONTACT \[FLAGS\]\n/);
      expect(stdout).toContain('--expires SEC');
      expect(stdout).not.toContain('--limit');
    },
  );
});

describe('strowger bench --help', () => {
  it('shows flags and examples, and its own words for compare', async () => {
    const { code, stdout, stderr } = await runCommand('bench', '--help');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^strowger bench: .*\n\nUsage: strowger bench \[sip:HOST:PORT\] \[FLAGS\]\n/);
    for (const text of [
      '--scenario NAME|FILE.xml',
      '--against kamailio|COMMAND',
      '--report FILE.html',
      'Exit codes:',
    ]) {
      expect(stdout).toContain(text);
    }
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
    expect((await runCommand('bench', 'compare', '--help')).stdout).toMatch(/^strowger bench compare /);
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

/** Makes of the Node.js that runs the command an older one: its version, and a node:module that does not have all of today's names. */
const AN_OLDER_NODE = `data:text/javascript,${encodeURIComponent(`
import { registerHooks } from 'node:module';
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'node:module' && context.parentURL.endsWith('/bin/strowger.js')
      ? { url: 'data:text/javascript,export default {}', shortCircuit: true }
      : next(specifier, context),
});`)}`;

describe('an older Node.js', () => {
  it('is told, whatever it does not have yet', async () => {
    const { code, stderr } = await startCommand(['--version'], {
      ...process.env,
      NODE_OPTIONS: `--import=${AN_OLDER_NODE}`,
    }).finished;
    expect(stderr).toContain('strowger: needs Node.js 24 or newer');
    expect(code).toBe(1);
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
    expect(stdout).toContain('example.org → sip:10.0.0.7, sip:10.0.0.8, sip:10.0.0.9');
    expect(stdout).toMatch(/workers +2\n/);
  });

  it('warns of domains that lead nowhere', async () => {
    const { code, stdout } = await runCommand('check', '--domain', 'example.org', '--set=domains[0].registrar=off');
    expect(code).toBe(0);
    expect(stdout).toContain(
      'no next hop and no registrar for example.org: give --next-hop, nextHops or registrar: on',
    );
  });

  it('does not where all users have contacts, but says what those need', async () => {
    const users = '--set=domains[0].users=[{user: alice, contacts: [sip:192.0.2.10]}]';
    const { code, stdout } = await runCommand('check', '--domain', 'example.org', '--mode', 'stateless', users);
    expect(code).toBe(0);
    expect(stdout).toContain('example.org → registered users, contacts of its users');
    expect(stdout).not.toContain('no next hop');
    expect(stdout).toContain('contacts of users need mode: stateful');
  });

  it('says of a domain that redirects where it redirects to: not to next hops', async () => {
    const domain = '--set=domains[0]={name: example.org, role: redirect, nextHops: [sip:192.0.2.10]}';
    const { code, stdout } = await runCommand('check', domain);
    expect(code).toBe(0);
    expect(stdout).toContain('example.org → 302 to nowhere');
    expect(stdout).toContain('no next hop and no registrar for example.org');
    const users = '--set=domains[0].users=[{user: alice, contacts: [sip:192.0.2.10]}]';
    const withUsers = await runCommand('check', domain, '--mode', 'stateless', users);
    expect(withUsers.stdout).toContain('example.org → 302 to contacts of its users');
    expect(withUsers.stdout).not.toContain('need mode: stateful');
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
});

describe('a command line that cannot be meant', () => {
  it.each([
    [['--lisen', 'x'], 'unknown flag --lisen; did you mean --listen? strowger --help lists them'],
    [['-x'], 'unknown flag -x; strowger --help lists them'],
    [['chek'], `unknown command chek; did you mean check? there are ${THERE.join(', ')}`],
    [['frobnicate'], `unknown command frobnicate; there are ${THERE.join(', ')}`],
    [['check', 'strowger.yaml'], 'check takes flags only, and there is "strowger.yaml"'],
    [['--listen'], '--listen needs a value: --listen ADDRESS:PORT'],
    [['--listen', '--mode', 'stateless'], '--listen needs a value: --listen ADDRESS:PORT'],
    [['--config='], '--config needs a value: --config FILE'],
    [['--mode', 'stateless', '--mode', 'stateless'], '--mode is there twice'],
    [['stats', '--json=yes'], '--json takes no value'],
    [['check', '--json'], `--json means nothing to check; it is for ${WITHOUT('start', 'check')}`],
    [['bench', '--rate', 'fast'], '--rate is a number from 0.01 to 1000000, not fast'],
    [['bench', 'sip:127.0.0.1', 'sip:127.0.0.2'], 'bench takes [sip:HOST:PORT], and there is "sip:127.0.0.2"'],
    [['bench', '--listen', 'udp:*:5060'], `--listen means nothing to bench; it is for ${WITHOUT('bench')}`],
    [['location'], 'location needs a verb: list, show, add or remove'],
    [['location', 'list', '--count', '--limit', '3'], '--limit means nothing with --count'],
  ])('%j gets one line and exit code 2', async (args, expected) => {
    expect(await runCommand(...args)).toEqual({ code: 2, stdout: '', stderr: `strowger: ${expected}\n` });
  });
});

describe('a command with a verb that cannot be meant', () => {
  it.each([
    [['locaton', 'list'], `unknown command locaton; did you mean location? there are ${THERE.join(', ')}`],
    [
      ['location', 'shwo', 'a@b'],
      'unknown command location shwo; did you mean location show? there are ' +
        'location list, location show, location add, location remove',
    ],
    [['location', 'list', 'a@b'], 'location list takes flags only, and there is "a@b"'],
    [['location', 'show'], 'location show needs AOR: strowger location show AOR'],
    [['location', 'add', 'a@b'], 'location add needs CONTACT: strowger location add AOR CONTACT'],
    [['location', 'remove', 'a@b', 'sip:c', 'd'], 'location remove takes AOR [CONTACT], and there is "d"'],
    [
      ['location', 'show', 'a@b', '--expires', '60'],
      '--expires means nothing to location show; it is for location add',
    ],
    [['location', 'add', 'a@b', 'sip:c', '--expires', '0'], '--expires 0 is not a number of seconds'],
    [
      ['location', 'add', 'a@b', 'sip:c', '--q', '1.5'],
      '--q 1.5 is not a number from 0 to 1 with up to three decimals',
    ],
    [['location', 'list', '--limit', 'many'], '--limit many is not a number of bindings'],
    [['location', 'list', '--domain', 'a', '--domain', 'b'], '--domain is there twice'],
    [['start', '--count'], '--count means nothing to start; it is for location list'],
  ])('%j is refused', (args, expected) => {
    expect(() => parseArguments(args)).toThrow(new UsageError(expected));
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

  it('of --domain are of the configuration only where there is one', () => {
    expect(parseArguments(['start', '--domain', 'a']).flags.domain).toEqual(['a']);
    const { flags, valueFor } = parseArguments(['location', 'list', '--domain', 'a']);
    expect([flags.domain, valueFor('domain')]).toEqual([undefined, 'a']);
  });

  it('of operands are kept in their order', () => {
    const { command, operands } = parseArguments(['location', 'add', '--q', '0.5', 'a@b', 'sip:c']);
    expect([command, operands]).toEqual(['location add', ['a@b', 'sip:c']]);
    expect(parseArguments(['location', 'remove', 'a@b']).operands).toEqual(['a@b']);
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
