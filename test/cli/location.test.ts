/** `strowger location` against a real server: bindings come in by REGISTER over UDP and by hand. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ControlClient, openControlClient } from '../../src/cli/control-client.ts';
import type { BindingPage } from '../../src/runtime/running-server.ts';
import { optionsRequest } from '../process/sip-texts.ts';
import { UdpPeer } from '../process/udp-peer.ts';
import { type Run, type RunningCommand, startCommand } from './command.ts';

let directory = '';
let server: RunningCommand;
let port = 0;
let phone: UdpPeer;
/** For what a test needs and is not about. */
let client: ControlClient;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-location-'));
  const users = 'domains=[{name: example.org, users: [alice, bob, carol]}, {name: example.net}]';
  server = startCommand(
    ['--workers', '1', '--listen', 'udp:127.0.0.1:0', '--set', users, '--set', 'location.store=off'],
    { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory },
  );
  let output = '';
  server.process.stdout!.on('data', (text: string) => {
    output += text;
  });
  await server.saw('\n  try ');
  port = Number(/listening +udp:127\.0\.0\.1:(\d+)/.exec(output)![1]);
  phone = await UdpPeer.open();
  client = await openControlClient(join(directory, `strowger-${port}.sock`));
});
afterAll(async () => {
  phone?.close();
  client?.close();
  server.process.kill('SIGKILL');
  await server.finished;
  rmSync(directory, { recursive: true });
});
afterEach(async () => {
  for (let cursor: number | null = 0; cursor !== null; ) {
    const page = (await client.call('location.list', { cursor })) as BindingPage;
    for (const aor of new Set(page.bindings.map((binding) => binding.aor)))
      await client.call('location.remove', { aor });
    cursor = page.cursor;
  }
});

function bind(aor: string, contact: string, expiresSec = 3600): Promise<unknown> {
  return client.call('location.add', { aor, contact, expiresSec });
}

function run(...args: string[]): Promise<Run> {
  return startCommand(args, { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory }).finished;
}

function ask(...args: string[]): Promise<Run> {
  return run('location', ...args);
}

/** The lines of a command that must have worked. */
async function linesOf(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await ask(...args);
  expect([code, stderr]).toEqual([0, '']);
  return stdout.trimEnd().split('\n');
}

let registers = 0;

async function register(user: string, domain: string, contact: string, ...headers: string[]): Promise<void> {
  const callId = `register-${++registers}`;
  const lines = [
    `REGISTER sip:${domain} SIP/2.0`,
    `Via: SIP/2.0/UDP ${phone.hostPort};branch=z9hG4bK-${callId}`,
    'Max-Forwards: 70',
    `From: <sip:${user}@${domain}>;tag=1`,
    `To: <sip:${user}@${domain}>`,
    `Call-ID: ${callId}`,
    'CSeq: 12 REGISTER',
    `Contact: ${contact}`,
    ...headers,
    'Content-Length: 0',
  ];
  await phone.send(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), port);
  const { datagram } = await phone.receive(`Call-ID: ${callId}\r\n`);
  expect(datagram.toString()).toMatch(/^SIP\/2\.0 200 /);
}

describe('strowger location', () => {
  it('lists who registered and who was added, with how many they are', async () => {
    await register('alice', 'example.org', '<sip:alice@10.0.0.1:5062;ob>;q=0.5;expires=600', 'User-Agent: Phone/1.0');
    await register('dave', 'example.net', '<sip:dave@10.0.0.2>');
    await bind('bob@example.org', 'sip:bob@10.0.0.3', 7200);
    const lines = await linesOf('list');
    expect(lines[0]).toMatch(/^AOR +CONTACT +EXPIRES {2}Q +RECEIVED +USER AGENT$/);
    expect(lines.at(-1)).toBe('3 bindings of 3 AoRs: example.org 2, example.net 1');
    expect(lines.slice(1, -1).sort()).toEqual([
      expect.stringMatching(
        RegExp(
          `^alice@example\\.org +sip:alice@10\\.0\\.0\\.1:5062;ob +(600|5\\d\\d) {2}0\\.5 +${phone.hostPort} +Phone/1\\.0$`,
        ),
      ),
      expect.stringMatching(/^bob@example\.org +sip:bob@10\.0\.0\.3 +7[12]\d\d {2}1 +- +-$/),
      expect.stringMatching(
        RegExp(`^dave@example\\.net +sip:dave@10\\.0\\.0\\.2 +3[56]\\d\\d {2}1 +${phone.hostPort} +-$`),
      ),
    ]);
  });

  it('lists a domain, a few, or only how many', async () => {
    await bind('alice@example.org', 'sip:alice@10.0.0.1');
    await bind('alice@example.org', 'sip:alice@10.0.0.2');
    await bind('dave@example.net', 'sip:dave@10.0.0.3');
    expect((await linesOf('list', '--domain', 'Example.NET')).slice(1)).toEqual([
      expect.stringMatching(/^dave@example\.net /),
      '1 binding of 1 AoR: example.net 1',
    ]);
    expect(await linesOf('list', '--domain', 'nowhere.example')).toEqual(['no bindings in nowhere.example']);
    const some = await linesOf('list', '--limit', '1');
    expect([some.length, some[2]]).toEqual([3, expect.stringMatching(/^the first 1 binding of 1 AoR: example\./)]);
    expect(await linesOf('list', '--count')).toEqual([
      'DOMAIN       AORS  BINDINGS',
      'example.net     1         1',
      'example.org     1         2',
      'total           2         3',
    ]);
    expect(JSON.parse((await linesOf('list', '--count', '--json')).join())).toEqual({
      aors: 2,
      bindings: 3,
      domains: [
        { domain: 'example.net', aors: 1, bindings: 1 },
        { domain: 'example.org', aors: 1, bindings: 2 },
      ],
    });
  });

  it('follows the parts of a longer list', async () => {
    const users = Array.from({ length: 300 }, (_, i) => `user${i}`);
    for (const user of users) await register(user, 'example.net', `<sip:${user}@10.0.0.1>`);
    const lines = await linesOf('list', '--json');
    const aors = lines.map((line) => JSON.parse(line).aor as string);
    expect(aors.sort()).toEqual(users.map((user) => `sip:${user}@example.net`).sort());
    expect((await linesOf('list', '--limit', '270')).at(-1)).toBe(
      'the first 270 bindings of 270 AoRs: example.net 270',
    );
  });

  it('shows all that a REGISTER said', async () => {
    const contact = '<sip:alice@10.0.0.1>;+sip.instance="<urn:uuid:1>";reg-id=2;audio;q=0.25;expires=90';
    await register('alice', 'example.org', contact, 'User-Agent: Phone/1.0', 'Supported: outbound');
    const [first, , ...rows] = await linesOf('show', 'alice@example.org');
    expect(first).toBe('sip:alice@example.org: 1 binding');
    const texts = rows.map((row) => row.trim().replace(/ {2,}/, ': '));
    expect(texts).toEqual([
      'contact: sip:alice@10.0.0.1',
      expect.stringMatching(/^expires: in (90|8\d) s$/),
      'q: 0.25',
      `Call-ID: register-${registers}`,
      'CSeq: 12',
      'instance: "<urn:uuid:1>"',
      'reg-id: 2',
      `received: from ${phone.hostPort}`,
      `by udp:127.0.0.1:${port}`,
      'reached: where it was received from',
      'user agent: Phone/1.0',
      'parameters: ;audio',
      expect.stringMatching(/^updated: \d{4}-\d\d-\d\dT/),
    ]);
    const json = JSON.parse((await linesOf('show', 'sip:alice@EXAMPLE.org', '--json')).join());
    expect(json).toMatchObject({
      aor: 'sip:alice@example.org',
      bindings: [{ contact: 'sip:alice@10.0.0.1', callId: `register-${registers}`, cseq: 12, regId: 2, path: null }],
    });
  });

  it('lets nothing from the network speak to the terminal', async () => {
    await register('alice', 'example.org', '<sip:alice@10.0.0.1>', 'User-Agent: a\u009b31mb\u202ec');
    expect((await linesOf('list'))[1]).toMatch(/ a\ufffd31mb\ufffdc$/);
    expect((await linesOf('show', 'alice@example.org')).join()).toContain('a\ufffd31mb\ufffdc');
    const [json] = await linesOf('list', '--json');
    expect(json).toContain('a\\u009b31mb\\u202ec');
    expect(JSON.parse(json!).userAgent).toBe('a\u009b31mb\u202ec');
  });

  it('adds contacts that calls then reach, and removes them', async () => {
    const contact = `sip:carol@${phone.hostPort}`;
    expect(await linesOf('add', 'carol@example.org', contact)).toEqual([
      `sip:carol@example.org: added ${contact} for 3600 s`,
    ]);
    expect(await linesOf('add', 'carol@example.org', contact, '--expires', '60', '--q', '0.5')).toEqual([
      `sip:carol@example.org: replaced ${contact} for 60 s`,
    ]);
    const request = { uri: 'sip:carol@example.org', sentBy: phone.hostPort };
    await phone.send(optionsRequest({ ...request, callId: 'to-carol' }), port);
    const { datagram } = await phone.receive(`OPTIONS ${contact} SIP/2.0`);
    expect(datagram.toString()).toContain('Call-ID: to-carol');

    expect(await linesOf('remove', 'carol@example.org', contact)).toEqual(['sip:carol@example.org: removed 1 binding']);
    await phone.send(optionsRequest({ ...request, callId: 'to-nobody' }), port);
    const { datagram: refusal } = await phone.receive('Call-ID: to-nobody');
    expect(refusal.toString()).toMatch(/^SIP\/2\.0 480 /);
  });

  it('answers in JSON where that is wanted', async () => {
    const json = async (...args: string[]) => JSON.parse((await linesOf(...args, '--json')).join());
    const aor = 'sip:bob@example.org';
    expect(await json('add', aor, 'sip:bob@10.0.0.1')).toEqual({ aor, contact: 'sip:bob@10.0.0.1', isNew: true });
    expect(await json('remove', aor)).toEqual({ aor, removed: 1 });
    expect(await ask('list', '--json')).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await linesOf('list')).toEqual(['no bindings']);
  });

  it.each([
    [['show', 'zoe@example.org'], 'there is no such user: example.org has no zoe'],
    [['show', 'alice'], 'alice is not a SIP URI of a user; write it like alice@example.org'],
    [
      ['add', 'alice@example.org', '10.0.0.1'],
      '10.0.0.1 is not a SIP or tel URI; write a contact like sip:alice@192.0.2.10:5060',
    ],
    [['remove', 'bob@example.org'], 'sip:bob@example.org has no bindings'],
    [['list', '--domain', 'a b'], 'a b is not a domain name'],
  ])('%j gets one line and exit code 1', async (args, expected) => {
    expect(await ask(...args)).toEqual({ code: 1, stdout: '', stderr: `strowger: ${expected}\n` });
  });
});

describe('strowger status', () => {
  it('says how many AoRs there are', async () => {
    await bind('alice@example.org', 'sip:alice@10.0.0.1');
    await bind('alice@example.org', 'sip:alice@10.0.0.2');
    await bind('bob@example.org', 'sip:bob@10.0.0.1');
    expect((await run('status')).stdout).toMatch(/^addressesOfRecord +2$/m);
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({ addressesOfRecord: 2 });
  });
});
