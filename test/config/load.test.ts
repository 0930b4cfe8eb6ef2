/** From file, flags and --set to a configuration, or to lines that name the place and what is accepted there. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type LoadRequest, loadConfig } from '../../src/config/load.ts';
import { nextHopsByDomain } from '../../src/config/next-hops-by-domain.ts';
import { type Config, shardCountOf } from '../../src/config/schema.ts';

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
    expect(config.mode).toBe('stateful');
    const point = {
      host: '0.0.0.0',
      port: 5060,
      family: 4,
      dualStack: false,
      advertisedHost: null,
      advertisedPort: null,
      dscp: 0,
    };
    expect(config.listen).toEqual([
      { ...point, text: 'udp:0.0.0.0:5060', transport: 'udp', hasPortOfPrevious: false },
      { ...point, text: 'tcp:0.0.0.0:5060', transport: 'tcp', hasPortOfPrevious: true },
    ]);
    expect(config.workers).toBe('auto');
    expect(config.trusted).toEqual(['127.0.0.0/8', '::1/128']);
    expect(config.dispatcher).toEqual({ thread: 'auto', nap: 'adaptive', napUs: 2500, batchScheduling: true });
    expect(config.limits).toEqual({
      slots: 16384,
      jumboSlots: 256,
      overloadMark: 0.125,
      rejectMark: 0.0625,
      shedInKernel: true,
      parkedRequests: 1024,
      transactions: 2_097_152,
      messageMemoryMiB: 1024,
    });
    expect(config.timers).toEqual({ t1Ms: 500, t2Ms: 4000, t4Ms: 5000, timerCSec: 185 });
    expect([config.redirects, config.maxBreadth, config.nextHopRestSec]).toEqual(['pass', 60, 30]);
    expect(config.recordRoute).toEqual(['INVITE', 'SUBSCRIBE', 'REFER', 'NOTIFY']);
    expect(config.dns.naptr).toBe(true);
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
      ['example.org', [{ uri: 'sip:10.0.0.7', priority: 0, weight: 1 }]],
      ['example.net', [{ uri: 'sip:[2001:db8::7]:5070', priority: 0, weight: 1 }]],
    ]);
    expect(config.dispatcher).toEqual({ thread: 'auto', nap: 'off', napUs: 2500, batchScheduling: true });
  });

  it('gives next hops a priority and a weight where it says so', () => {
    const config = fileConfig(`
nextHops:
  - sip:10.0.0.7
  - { uri: 'sip:10.0.0.8', weight: 3 }
  - { uri: 'sip:10.0.0.9', priority: 1, weight: 0 }
`);
    expect(config.nextHops).toEqual([
      { uri: 'sip:10.0.0.7', priority: 0, weight: 1 },
      { uri: 'sip:10.0.0.8', priority: 0, weight: 3 },
      { uri: 'sip:10.0.0.9', priority: 1, weight: 0 },
    ]);
  });

  it('names the users of a domain, or says any', () => {
    const config = fileConfig(`
domains:
  - a.example
  - { name: b.example, users: any }
  - { name: c.example, users: [] }
  - name: d.example
    users:
      - alice
      - "100"
      - /1\\d\\d/
      - { user: bob }
      - user: support
        contacts: [sip:alice@10.0.0.21, { uri: 'sip:bob@10.0.0.22:5062', q: 0.5 }]
`);
    expect(config.domains.map(({ users }) => users)).toEqual([
      'any',
      'any',
      [],
      [
        { user: 'alice', contacts: [] },
        { user: '100', contacts: [] },
        { user: '/1\\d\\d/', contacts: [] },
        { user: 'bob', contacts: [] },
        {
          user: 'support',
          contacts: [
            { uri: 'sip:alice@10.0.0.21', q: 1 },
            { uri: 'sip:bob@10.0.0.22:5062', q: 0.5 },
          ],
        },
      ],
    ]);
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });

  it('may name a hundred thousand users', () => {
    const users = Array.from({ length: 100_000 }, (_, i) => `u${i}`);
    const [domain] = fileConfig(`domains: [{name: a.example, users: [${users.join(', ')}]}]`).domains;
    expect(domain!.users).toHaveLength(100_000);
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
      'FILE:8:3: dispatcher.npa: unknown key; did you mean nap? accepted here: thread, nap, napUs, batchScheduling',
      'FILE:9:10: dispatcher.napUs: 5 is out of range; accepted: a whole number from 50 to 5000',
    ]);
  });

  it.each([
    ['nap: off', /^FILE:1:1: nap: unknown key; did you mean dispatcher\.nap\? accepted here: mode, listen, /],
    ['zzzzzz: 1', /^FILE:1:1: zzzzzz: unknown key; accepted here: mode, /],
    ['receive_buffer_bytes: 1', /did you mean socket\.receiveBufferBytes\?/],
    ['workers: 2.5', 'FILE:1:10: workers: 2.5 is not accepted; accepted: auto or a whole number from 1 to 64'],
    ['workers: "2"', 'FILE:1:10: workers: "2" is not accepted; accepted: auto or a whole number from 1 to 64'],
    ['domains:', 'FILE:1:1: domains: is empty; accepted: a list of domain names'],
    ['domains: [12]', /^FILE:1:11: domains\[0\]: 12 is not accepted; accepted: a domain name, or a map with name/],
    ['domains: [a, b, A]', /^FILE:1:17: domains\[2\]: "a" is there twice; /],
    ['domains: ["a:5060"]', /^FILE:1:11: domains\[0\]: "a:5060": a domain has no port; /],
    [
      'listen: []',
      'FILE:1:9: listen: is an empty list; accepted: a list of ADDRESS:PORT, or udp:, tcp:, tls:, ws: or wss:ADDRESS:PORT',
    ],
    ['listen: udp:0.0.0.0:5060', /^FILE:1:9: listen: "udp:0.0.0.0:5060" is not accepted; accepted: a list/],
    [
      'listen: [{dscp: 3}]',
      /^FILE:1:10: listen\[0\]\.address: is missing; accepted: ADDRESS:PORT, or udp:, tcp:, tls:, ws: or wss:ADDRESS:PORT/,
    ],
    [
      'listen:\n- sctp:1.2.3.4:5060',
      /^FILE:2:3: listen\[0\]: "sctp:1.2.3.4:5060": sctp is not there yet, only udp, tcp, tls, ws and wss; /,
    ],
    ['listen: [wss:1.2.3.4:443]', /tls\.certificates: there is no certificate, and wss:1\.2\.3\.4:443 needs one; /],
    ['listen: [tls:1.2.3.4:443, wss:1.2.3.4:443]', /listen\[1\]: .* overlaps listen\[0\]; /],
    [
      'webSocket: {origins: [phone.example.org]}',
      /origins\[0\]: "phone\.example\.org" is not an origin: a scheme, a host/,
    ],
    ['webSocket: {origins: ["https://a.example/path"]}', /is not an origin/],
    ['webSocket: {origins: ["https://a.*.example"]}', /is not an origin/],
    ['webSocket: {origins: ["null"]}', /is not an origin/],
    ['webSocket: {origins: ["https://a.example:99999"]}', /"a\.example:99999" is not a host/],
    ['webSocket: {origins: [none, none]}', /"none" is there twice/],
    ['webSocket: {pingSec: 4000}', /webSocket\.pingSec: /],
    ['listen: [tls:1.2.3.4:5061]', /tls\.certificates: there is no certificate, and tls:1\.2\.3\.4:5061 needs one; /],
    ['tls: {clientCertificates: required}', /tls\.authorities: name the file of the authorities whose /],
    ['listen: [tcp:1.2.3.4:5061, tls:1.2.3.4:5061]', /listen\[1\]: .* overlaps listen\[0\]; /],
    ['tls: {certificates: [{certificate: a.pem}]}', /tls\.certificates\[0\]\.key: is missing; /],
    ['listen: [udp:127.0.0.1:5060, udp:0.0.0.0:5060]', /^FILE:1:30: listen\[1\]: .* overlaps listen\[0\]; /],
    ["nextHops: ['sip:a.example;transport=ws']", /only udp, tcp and tls are there; use one of them, or leave the/],
    ['nextHops: [http://a.example/]', /is not a SIP URI/],
    ['nextHops: [a.example]', /"a\.example" is not a SIP URI; write sip:HOST or sip:HOST:PORT/],
    ["nextHops: ['sip:']", /"sip:" is not a valid SIP URI/],
    ["nextHops: ['sip:a.example?Subject=x']", /cannot carry headers/],
    ['nextHops: [sip:a, sip:a]', /^FILE:1:19: nextHops\[1\]: "sip:a" is there twice; /],
    ['nextHops: [sip:a, {uri: sip:a, priority: 1}]', /^FILE:1:19: nextHops\[1\]: "sip:a" is there twice; /],
    [
      'nextHops:\n- uri: sip:a\n  weight: 65536',
      'FILE:3:11: nextHops[0].weight: 65536 is out of range; accepted: a whole number from 0 to 65535',
    ],
    ['nextHops: [{uri: sip:a, priority: -1}]', /nextHops\[0\]\.priority: -1 is out of range; accepted: a whole number/],
    ['nextHops: [{weight: 2}]', /^FILE:1:12: nextHops\[0\]\.uri: is missing; accepted: a SIP URI such as /],
    [
      'nextHops: [{uri: sip:a, wieght: 2}]',
      'FILE:1:25: nextHops[0].wieght: unknown key; did you mean weight? accepted here: uri, priority, weight',
    ],
    ['nextHops: [7]', /^FILE:1:12: nextHops\[0\]: 7 is not accepted; accepted: a SIP URI such as .* or a map with uri/],
    ['redirects: follow', 'FILE:1:12: redirects: "follow" is not accepted; accepted: pass, recurse'],
    ['redirects: recurs', /did you mean recurse\?/],
    ['maxBreadth: 0', 'FILE:1:13: maxBreadth: 0 is out of range; accepted: a whole number from 1 to 255'],
    ['nextHopRestSec: 3601', /^FILE:1:17: nextHopRestSec: 3601 is out of range; accepted: .* from 0 to 3600$/],
    ['recordRoute: INVITE', /^FILE:1:14: recordRoute: "INVITE" is not accepted; accepted: a list of methods/],
    [
      'recordRoute:\n- INVITE\n- refer',
      /^FILE:3:3: recordRoute\[1\]: "refer" is not a method; did you mean REFER\? accepted: one of INVITE, ACK, CANCEL, /,
    ],
    [
      'recordRoute: [IN VITE]',
      /^FILE:1:15: recordRoute\[0\]: "IN VITE" is not a method; did you mean INVITE\? accepted: /,
    ],
    [
      'domains: [{name: a.example, authenticate: [EXTENSION]}]',
      /authenticate\[0\]: "EXTENSION" is not a method; accepted: /,
    ],
    ['recordRoute: [""]', /^FILE:1:15: recordRoute\[0\]: "" is not a method; accepted: /],
    ['recordRoute: [INVITE, INVITE]', /^FILE:1:23: recordRoute\[1\]: "INVITE" is there twice; /],
    ['timers:\n  t1Ms: 5', 'FILE:2:9: timers.t1Ms: 5 is out of range; accepted: a whole number from 10 to 10000'],
    ['timers: {t1Ms: 600, t2Ms: 599}', /^FILE:1:27: timers\.t2Ms: 599 is less than t1Ms, which is 600; accepted: /],
    [
      'workers: 2\ndispatcher: {thread: shard}',
      /^FILE:2:22: dispatcher\.thread: "shard" is for workers: 1, and there are 2/,
    ],
    ['dispatcher: {thread: shard}', /dispatcher\.thread: "shard" is for workers: 1, and there are auto/],
    ['timers: {t1Ms: 5000}', /timers\.t2Ms: 4000 is less than t1Ms, which is 5000; accepted: /],
    ['timers: {timerCSec: 0}', /^FILE:1:21: timers\.timerCSec: 0 is out of range; accepted: .* from 1 to 3600$/],
    [
      'timers: {timerCSecs: 200}',
      /^FILE:1:10: timers\.timerCSecs: unknown key; did you mean timerCSec\? accepted here: t1Ms, /,
    ],
    ['limits: {transactions: 1000}', /limits\.transactions: 1000 is out of range; accepted: .* from 1024 to 4194304$/],
    [
      'limits: {messageMemoryMiB: 2048}',
      /limits\.messageMemoryMiB: 2048 is out of range; accepted: .* from 16 to 1536$/,
    ],
    ['dns: {naptr: yes please}', 'FILE:1:14: dns.naptr: "yes please" is not accepted; accepted: true, false'],
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
    ['all', /^FILE:1:28: domains\[0\]\.users: "all" is not accepted; accepted: any, or a list of user names/],
    ['[100]', /^FILE:1:29: domains\[0\]\.users\[0\]: 100 is not accepted; accepted: .*a number in quotes: "100"/],
    ['[{user: 100}]', /^FILE:1:36: domains\[0\]\.users\[0\]\.user: 100 is not accepted; accepted: .*in quotes/],
    ['[""]', /^FILE:1:29: domains\[0\]\.users\[0\]: is empty; /],
    ['[a, b, a]', /^FILE:1:35: domains\[0\]\.users\[2\]: "a" is there twice; /],
    ['["a b"]', /"a b" is not a user name; /],
    ['[a@b.example]', /"a@b\.example": a user has no domain; an @ within a name goes into a pattern; /],
    ['["sip:a@b"]', /"sip:a@b": write the user part of the URI alone; /],
    ['[a%20b]', /"a%20b": write what the escape stands for; /],
    [`[${'x'.repeat(257)}]`, /a user name longer than 256 bytes; /],
    ['[/abc]', /^FILE:1:29: .*"\/abc": a pattern ends with a slash too; /],
    ['[/abc/i]', /"\/abc\/i": nothing may follow the closing slash of a pattern; flags are not accepted; /],
    ['[//]', /"\/\/" is an empty pattern; /],
    ['[/a(/]', /"\/a\(\/" is not a pattern: Unterminated group; /],
    ['[/a)(b/]', /"\/a\)\(b\/" is not a pattern: Unmatched '\)'; /],
    ['[{user: /a+/, contacts: [sip:b]}]', /a pattern stands for many users and has no contacts; use nextHops; /],
    ['[{contacts: [sip:b]}]', /users\[0\]\.user: is missing; /],
    ['[{user: a, contacts: [b]}]', /users\[0\]\.contacts\[0\]: "b" is not a SIP URI; write sip:HOST/],
    ['[{user: a, contacts: [sip:b, sip:b]}]', /contacts\[1\]: "sip:b" is there twice; /],
    ['[{user: a, contacts: ["sip:b?Subject=x"]}]', /a contact cannot carry headers/],
    ['[{user: a, contacts: ["sip:b;method=BYE"]}]', /a contact cannot carry a method parameter/],
    ['[{user: a, contacts: [{uri: sip:b, q: 1.5}]}]', /contacts\[0\]\.q: 1\.5 is out of range; .* from 0 to 1$/],
    ['[{user: a, contact: [sip:b]}]', /users\[0\]\.contact: unknown key; did you mean contacts\? /],
  ])('users: %s is refused', (list, expected) => {
    const problems = problemsOf(`domains: [{name: a, users: ${list}}]`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
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
        mode: 'stateless',
        listen: ['udp:[::1]:5060'],
        workers: '4',
        domain: ['a.example', 'b.example'],
        nextHop: ['sip:10.0.0.7'],
        trusted: ['10.0.0.0/8'],
        control: 'off',
      },
    });
    expect(config.listen.map(({ text }) => text)).toEqual(['udp:[::1]:5060']);
    expect(config.mode).toBe('stateless');
    expect(config.workers).toBe(4);
    expect(config.domains.map(({ name }) => name)).toEqual(['a.example', 'b.example']);
    expect(config.nextHops.map(({ uri }) => uri)).toEqual(['sip:10.0.0.7']);
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
        'nextHops[0]=sip:10.0.0.7',
        'nextHops[0].weight=5',
        'domains[1].users=[alice]',
        'domains[1].users[0].contacts=[sip:10.0.0.21]',
      ],
    });
    expect(config.nextHops).toEqual([{ uri: 'sip:10.0.0.7', priority: 0, weight: 5 }]);
    expect(config.domains[1]!.users).toEqual([{ user: 'alice', contacts: [{ uri: 'sip:10.0.0.21', q: 1 }] }]);
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
