/** From file, flags and --set to a configuration, or to lines that name the place and what is accepted there. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type LoadRequest, loadConfig } from '../../src/config/load.ts';
import { type Config, nextHopsByDomain, shardCountOf } from '../../src/config/schema.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-config-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function configOf(request: LoadRequest = {}): Config {
  const { config, problems } = loadConfig(request);
  if (problems !== undefined) throw new Error(problems.join('\n'));
  return config;
}

/** The problems, with the name of the temporary file as FILE. */
function problemsOf(yaml: string | Buffer, request: LoadRequest = {}): string[] {
  const file = join(directory, 'strowger.yaml');
  writeFileSync(file, yaml);
  return (loadConfig({ file, ...request }).problems ?? []).map((line) => line.replaceAll(file, 'FILE'));
}

function fileConfig(yaml: string, request: LoadRequest = {}): Config {
  const file = join(directory, 'strowger.yaml');
  writeFileSync(file, yaml);
  return configOf({ file, ...request });
}

describe('the embedded defaults', () => {
  it('need no file', () => {
    const config = configOf();
    expect(config.mode).toBe('stateless');
    expect(config.listen).toEqual([
      {
        text: 'udp:0.0.0.0:5060',
        transport: 'udp',
        host: '0.0.0.0',
        port: 5060,
        family: 4,
        dualStack: false,
        advertisedHost: null,
        advertisedPort: null,
        dscp: 0,
      },
    ]);
    expect(config.workers).toBe('auto');
    expect(config.trusted).toEqual(['127.0.0.0/8', '::1/128']);
    expect(config.dispatcher).toEqual({ nap: 'adaptive', napUs: 500, batchScheduling: true });
    expect(config.limits).toEqual({ slots: 16384, jumboSlots: 256, overloadMark: 0.5, parkedRequests: 1024 });
    expect(config.maxForwards).toBe(70);
  });

  it('travel to another thread unchanged', () => {
    const config = configOf();
    expect(structuredClone(config)).toEqual(config);
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });
});

describe('a file', () => {
  it('gives what it names and leaves the rest at its default', () => {
    const config = fileConfig(`
listen:
  - udp:127.0.0.1:5062
  - { address: 'udp:[::1]:5062', advertise: 'Edge.example.org:5090', dscp: 24 }
domains: [Example.ORG, { name: example.net, nextHops: ['sip:[2001:db8::7]:5070'] }]
nextHops: [sip:10.0.0.7]
dispatcher:
  nap: off
`);
    expect(config.listen.map(({ host, family, dscp }) => [host, family, dscp])).toEqual([
      ['127.0.0.1', 4, 0],
      ['::1', 6, 24],
    ]);
    expect(config.listen[1]).toMatchObject({ advertisedHost: 'edge.example.org', advertisedPort: 5090 });
    expect([...nextHopsByDomain(config)]).toEqual([
      ['example.org', ['sip:10.0.0.7']],
      ['example.net', ['sip:[2001:db8::7]:5070']],
    ]);
    expect(config.dispatcher).toEqual({ nap: 'off', napUs: 500, batchScheduling: true });
  });

  it('with several problems gets a line for each, in the order of the file', () => {
    expect(
      problemsOf(`mode: statefull
listen:
  - udp:1.2.3.4:5060
  - {address: 'udp:[::1]:5060', dscp: 99, advertize: x}
workers: 0
trusted: [10.0.0.0/8, banana]
dispatcher:
  npa: off
  napUs: 5
`),
    ).toEqual([
      'FILE:1:7: mode: "statefull" is not accepted; did you mean stateful? accepted: stateless, stateful',
      'FILE:4:39: listen[1].dscp: 99 is out of range; accepted: a whole number from 0 to 63',
      'FILE:4:43: listen[1].advertize: unknown key; did you mean advertise? accepted here: address, advertise, dscp',
      'FILE:5:10: workers: 0 is out of range; accepted: auto or a whole number from 1 to 64',
      'FILE:6:23: trusted[1]: "banana" is not an address block; accepted: an address block such as 10.0.0.0/8, fd00::/8 or 192.0.2.7',
      'FILE:8:3: dispatcher.npa: unknown key; did you mean nap? accepted here: nap, napUs, batchScheduling',
      'FILE:9:10: dispatcher.napUs: 5 is out of range; accepted: a whole number from 50 to 5000',
    ]);
  });

  it.each([
    ['mode: stateful', 'FILE:1:7: mode: stateful is not there yet; use stateless'],
    ['nap: off', /^FILE:1:1: nap: unknown key; did you mean dispatcher\.nap\? accepted here: mode, listen, /],
    ['zzzzzz: 1', /^FILE:1:1: zzzzzz: unknown key; accepted here: mode, /],
    ['receive_buffer_bytes: 1', /did you mean socket\.receiveBufferBytes\?/],
    ['workers: 2.5', 'FILE:1:10: workers: 2.5 is not accepted; accepted: auto or a whole number from 1 to 64'],
    ['workers: "2"', 'FILE:1:10: workers: "2" is not accepted; accepted: auto or a whole number from 1 to 64'],
    ['domains:', 'FILE:1:1: domains: is empty; accepted: a list of domain names'],
    ['domains: [12]', /^FILE:1:11: domains\[0\]: 12 is not accepted; accepted: a domain name, or a map with name/],
    ['domains: [a, b, A]', /^FILE:1:17: domains\[2\]: "a" is there twice; /],
    ['domains: ["a:5060"]', /^FILE:1:11: domains\[0\]: "a:5060": a domain has no port; /],
    ['listen: []', 'FILE:1:9: listen: is an empty list; accepted: a list of udp:ADDRESS:PORT'],
    ['listen: udp:0.0.0.0:5060', /^FILE:1:9: listen: "udp:0.0.0.0:5060" is not accepted; accepted: a list/],
    ['listen: [{dscp: 3}]', /^FILE:1:10: listen\[0\]\.address: is missing; accepted: udp:ADDRESS:PORT, e\.g\. /],
    ['listen:\n- tls:1.2.3.4:5061', /^FILE:2:3: listen\[0\]: "tls:1.2.3.4:5061": tls is not there yet, only udp; /],
    ['listen: [udp:127.0.0.1:5060, udp:0.0.0.0:5060]', /^FILE:1:30: listen\[1\]: .* overlaps listen\[0\]; /],
    ['nextHops: [sips:a.example]', /sips needs TLS, which is not there yet; use sip:/],
    ["nextHops: ['sip:a.example;transport=tcp']", /only UDP is there yet; leave the transport parameter out/],
    ['nextHops: [http://a.example/]', /is not a SIP URI/],
    ['nextHops: [a.example]', /"a\.example" is not a SIP URI; write sip:HOST or sip:HOST:PORT/],
    ["nextHops: ['sip:']", /"sip:" is not a valid SIP URI/],
    ["nextHops: ['sip:a.example?Subject=x']", /cannot carry headers/],
    ['nextHops: [sip:a, sip:a]', /^FILE:1:19: nextHops\[1\]: "sip:a" is there twice; /],
    ['trusted: [10.1.2.3/8]', /has bits beyond its prefix; did you mean 10\.0\.0\.0\/8 or 10\.1\.2\.3\? accepted: /],
    ['dns: {servers: [localhost]}', /"localhost" is not an IP address/],
    ['server: {name: "a\\r\\nVia: x"}', /cannot stand in a Server header/],
    ['control: {socket: ""}', /^FILE:1:19: control\.socket: is empty; accepted: auto, off, or a path/],
    [`control: {socket: /${'x'.repeat(107)}}`, /is 108 bytes long, too long for a unix socket/],
    ['- mode', 'FILE:1:1: a configuration is a map of settings, such as "mode: stateless"'],
    ['just words', 'FILE:1:1: a configuration is a map of settings, such as "mode: stateless"'],
  ])('%s is refused', (yaml, expected) => {
    const problems = problemsOf(yaml);
    expect(problems).toHaveLength(1);
    if (typeof expected === 'string') expect(problems[0]).toBe(expected);
    else expect(problems[0]).toMatch(expected);
  });

  it.each([
    ['mode: stateless\nmode: stateless\n', ['FILE:2:1: this key is there twice']],
    ['log: {level: info, level: debug}\n', ['FILE:1:20: this key is there twice']],
    ['log:\n\tlevel: info\n', ['FILE:2:1: YAML does not indent with tabs; use spaces']],
    [
      'mode: stateless\n---\nmode: stateless\n',
      ['FILE:2:1: a second document begins here; a configuration is one document'],
    ],
    ['mode: !!js stateless\n', ['FILE:1:7: not valid YAML: Unresolved tag: tag:yaml.org,2002:js']],
  ])('%j is not the YAML of a configuration', (yaml, expected) => {
    expect(problemsOf(yaml)).toEqual(expected);
  });

  it('points at the place where an alias stands', () => {
    expect(problemsOf('domains: [&a "x:1"]\ntrusted: [*a]\n')).toEqual([
      expect.stringMatching(/^FILE:1:14: domains\[0\]: /),
      expect.stringMatching(/^FILE:2:11: trusted\[0\]: /),
    ]);
  });

  it('that is empty, only comments, not text, not there, or a directory, is said to be so', () => {
    expect(problemsOf('')[0]).toMatch(/^FILE: is empty; leave the file out for the defaults/);
    expect(problemsOf('# nothing yet\n')[0]).toMatch(/^FILE: has no settings in it; /);
    expect(problemsOf(Buffer.from([0x6d, 0xff, 0xfe]))).toEqual(['FILE: is not UTF-8 text']);
    expect(loadConfig({ file: '/nowhere/at.yaml' }).problems).toEqual(['/nowhere/at.yaml: there is no such file']);
    expect(loadConfig({ file: directory }).problems).toEqual([`${directory}: is a directory; name the file in it`]);
    expect(loadConfig({ file: '/dev/zero' }).problems).toEqual([
      '/dev/zero: is larger than 4 MiB: not a configuration',
    ]);
    expect(loadConfig({ file: 'nul\0byte' }).problems).toHaveLength(1);
  });
});

describe('flags', () => {
  it('override the file, lists as a whole', () => {
    const config = fileConfig('listen: [udp:127.0.0.1:1, udp:127.0.0.1:2]\nworkers: 1\nmaxForwards: 20\n', {
      flags: {
        listen: ['udp:[::1]:5060'],
        workers: '4',
        domain: ['a.example', 'b.example'],
        nextHop: ['sip:10.0.0.7'],
        trusted: ['10.0.0.0/8'],
        control: 'off',
      },
    });
    expect(config.listen.map(({ text }) => text)).toEqual(['udp:[::1]:5060']);
    expect(config.workers).toBe(4);
    expect(config.domains.map(({ name }) => name)).toEqual(['a.example', 'b.example']);
    expect(config.nextHops).toEqual(['sip:10.0.0.7']);
    expect(config.trusted).toEqual(['10.0.0.0/8']);
    expect(config.control.socket).toBe('off');
    expect(config.maxForwards).toBe(20);
  });

  it('are named in problems, whatever the file says', () => {
    const flags = { mode: 'stateful', listen: ['udp:0.0.0.0'], workers: 'four', domain: ['123'] };
    expect(problemsOf('mode: stateless\n', { flags })).toEqual([
      expect.stringMatching(/^--listen: listen\[0\]: "udp:0\.0\.0\.0" has no port; /),
      '--workers: workers: "four" is not accepted; accepted: auto or a whole number from 1 to 64',
      expect.stringMatching(/^--domain: domains\[0\]: "123" is not a domain name; /),
    ]);
    expect(loadConfig({ flags: { mode: 'stateful' } }).problems).toEqual([
      '--mode: mode: stateful is not there yet; use stateless',
    ]);
  });
});

describe('--set', () => {
  it('overrides file and flags, its value being YAML', () => {
    const config = fileConfig('domains: [example.org]\nmaxForwards: 10\nlisten: [udp:127.0.0.1:5060]\n', {
      flags: { workers: '2' },
      sets: [
        'workers=3',
        'maxForwards=20',
        'domains[0].name=example.net',
        'domains[1]=example.com',
        'listen[0].dscp=24',
        'dispatcher={nap: off, napUs: 100}',
        'dispatcher.napUs=200',
        'server.name=',
        'control.socket=/tmp/a=b.sock',
      ],
    });
    expect(config.workers).toBe(3);
    expect(config.maxForwards).toBe(20);
    expect(config.domains.map(({ name }) => name)).toEqual(['example.net', 'example.com']);
    expect(config.listen[0]).toMatchObject({ text: 'udp:127.0.0.1:5060', dscp: 24 });
    expect(config.dispatcher).toMatchObject({ nap: 'off', napUs: 200 });
    expect(config.server.name).toBe('');
    expect(config.control.socket).toBe('/tmp/a=b.sock');
  });

  it.each([
    ['dispatcher.nap', '--set dispatcher.nap: write --set path=value, e.g. --set dispatcher.nap=off'],
    ['=3', '--set =3: write --set path=value, e.g. --set dispatcher.nap=off'],
    ['a..b=3', '--set a..b: not a path; write it like dispatcher.nap or domains[0].name'],
    ['workers=[1', /^--set workers: not valid YAML: /],
    ['mode.x=1', /^--set mode\.x: mode: a map is not accepted; accepted: stateless, stateful$/],
    ['workers=~', '--set workers: workers: is empty; accepted: auto or a whole number from 1 to 64'],
    ['domains[2]=x', '--set domains[2]: there is no domains[2] to change or append; file and flags give 0 of them'],
    ['dispatcher.npa=1', /^--set dispatcher\.npa: dispatcher\.npa: unknown key; did you mean nap\? /],
    ['limit.slots=1', /^--set limit\.slots: limit: unknown key; did you mean limits\? /],
    ['__proto__.x=1', /^--set __proto__\.x: __proto__: unknown key; /],
    ['mode=stateful', '--set mode: mode: stateful is not there yet; use stateless'],
  ])('%s is refused', (set, expected) => {
    const { problems } = loadConfig({ sets: [set] });
    expect(problems).toHaveLength(1);
    if (typeof expected === 'string') expect(problems![0]).toBe(expected);
    else expect(problems![0]).toMatch(expected);
  });

  it('blames the file for what the file says beside it', () => {
    expect(problemsOf('dispatcher:\n  napUs: 1\n', { sets: ['dispatcher.nap=off'] })).toEqual([
      'FILE:2:10: dispatcher.napUs: 1 is out of range; accepted: a whole number from 50 to 5000',
    ]);
  });
});

describe('loadConfig never throws', () => {
  const keys = fc.constantFrom('mode', 'listen', 'workers', 'domains', 'trusted', 'limits', 'slots', '__proto__', 'x');
  const values = fc.object({ key: keys, withNullPrototype: true, withBigInt: true, maxDepth: 3 });

  it('on any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constant('a: &a [*a]')), (text) => {
        const lines = problemsOf(text);
        expect(lines.every((line) => line.length > 0 && !/undefined|\[object/.test(line.replaceAll(text, '')))).toBe(
          true,
        );
      }),
      { numRuns: 300 },
    );
  });

  it('on any object', () => {
    fc.assert(
      fc.property(values, (object) => {
        problemsOf(stringify(object, { aliasDuplicateObjects: false }));
      }),
      { numRuns: 300 },
    );
  });

  it('on any --set and any flag', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue({ maxDepth: 2 }), fc.string(), (path, value, flag) => {
        loadConfig({
          flags: { mode: flag, listen: [flag], workers: flag, domain: [flag], nextHop: [flag], trusted: [flag] },
          sets: [`${path}=${JSON.stringify(value)}`, `listen[0].${flag}=1`, `dns.servers=${JSON.stringify(value)}`],
        });
      }),
      { numRuns: 300 },
    );
  });

  it('on aliases that would unfold to billions of nodes', () => {
    const levels = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i}, `.repeat(9)}*l${i}]`);
    const problems = problemsOf(['l0: &l0 [x]', ...levels].join('\n'));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^FILE: /);
  });
});

describe('workers', () => {
  it.each([
    [1, 1],
    [2, 1],
    [8, 7],
    [200, 64],
  ])('auto on %i cores is %i shards', (cores, shards) => {
    expect(shardCountOf(configOf(), cores)).toBe(shards);
  });

  it('as a number is that number', () => {
    expect(shardCountOf(configOf({ flags: { workers: '3' } }), 1)).toBe(3);
  });
});
