/** `strowger trace` against a real server: a call goes through it, with UDP endpoints on both sides. */

import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TracedMessage } from '../../src/runtime/trace/traced-message.ts';
import { replyTo } from '../flows/messages.ts';
import { UdpPeer } from '../process/udp-peer.ts';
import { type Run, type RunningCommand, startCommand } from './command.ts';

let directory = '';
let server: RunningCommand;
let port = 0;
let caller: UdpPeer;
let called: UdpPeer;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-trace-'));
  [caller, called] = await Promise.all([UdpPeer.open(), UdpPeer.open()]);
  server = start(
    'start',
    '--workers',
    '2',
    '--listen',
    'udp:127.0.0.1:0',
    '--set',
    'location.store=off',
    '--set',
    'trace.sample=0',
  );
  let output = '';
  server.process.stdout!.on('data', (text: string) => {
    output += text;
  });
  await server.saw('\n  try ');
  port = Number(/listening +udp:127\.0\.0\.1:(\d+)/.exec(output)![1]);
  called.onArrival = ({ datagram }) => {
    const text = datagram.toString('latin1');
    if (text.startsWith('OPTIONS')) void called.send(Buffer.from(replyTo(text), 'latin1'), port);
  };
});
afterAll(async () => {
  caller?.close();
  called?.close();
  server.process.kill('SIGKILL');
  await server.finished;
  rmSync(directory, { recursive: true });
});

function start(...args: string[]): RunningCommand {
  const { NO_COLOR: _, ...environment } = process.env;
  return startCommand(args, { ...environment, LANG: 'C.UTF-8', XDG_RUNTIME_DIR: directory, TMPDIR: directory });
}

function run(...args: string[]): Promise<Run> {
  return start('trace', ...args).finished;
}

/** An OPTIONS and its answer, through the server and back. */
async function exchange(callId: string, user = 'alice'): Promise<void> {
  const lines = [
    `OPTIONS sip:bob@${called.hostPort} SIP/2.0`,
    `Via: SIP/2.0/UDP ${caller.hostPort};branch=z9hG4bK-${callId}`,
    'Max-Forwards: 70',
    `From: <sip:${user}@example.org>;tag=1`,
    'To: <sip:bob@example.net>',
    `Call-ID: ${callId}`,
    'CSeq: 1 OPTIONS',
    'Authorization: Digest username="alice", response="0123456789abcdef"',
    'Content-Length: 0',
  ];
  await caller.send(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), port);
  await caller.receive(`Call-ID: ${callId}\r\n`);
}

/** Starts a live trace, sends calls until it has shown what it is to show, and gives what it printed. */
async function watch(args: readonly string[], callId: string, user?: string): Promise<Run> {
  const command = start('trace', ...args);
  await command.saw('watching');
  let isOver = false;
  command.finished.then(() => {
    isOver = true;
  });
  for (let i = 0; i < 200 && !isOver; i++) {
    await exchange(`${callId}-${i}`, user);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return command.finished;
}

describe('a live trace', () => {
  it('draws a ladder of whole calls, whatever the sample', async () => {
    const { code, stdout, stderr } = await watch(['--user', 'alice', '--limit', '12'], 'ladder');
    expect(code).toBe(0);
    expect(stderr).toContain('watching calls of user alice');
    expect(stderr).toContain('12 messages');
    const rows = stdout.trimEnd().split('\n');
    // Of the first call only a part may be there when it is drawn, before anybody knows of the called side.
    const names = new RegExp(`^ +${caller.hostPort} +strowger +${called.hostPort}$`);
    const header = rows.findLastIndex((row) => names.test(row));
    expect(header, stdout).toBeGreaterThan(-1);
    expect(rows[header + 1]!.trim()).toBe(`127.0.0.1:${port}`);
    const lines = rows.slice(-5);
    expect(lines[0]).toMatch(/^#3 {2}alice@example.org → bob@example.net {2}Call-ID ladder-\d+$/);
    expect(lines.slice(1, 5).map((line) => line.slice(15).replace(/ +/g, ' '))).toEqual([
      expect.stringMatching(/^ │─+ (?:#3 )?OPTIONS ─+▶│ │$/),
      expect.stringMatching(/^ │ │─+ (?:#3 )?OPTIONS ─+▶│$/),
      expect.stringMatching(/^ │ │◀─+ (?:#3 )?200 OK \(OPTIONS\) ─+│$/),
      expect.stringMatching(/^ │◀─+ (?:#3 )?200 OK \(OPTIONS\) ─+│ │$/),
    ]);
  });

  it('gives messages as JSON, without secrets', async () => {
    const { stdout } = await watch(['--from', '127.0.0.0/8', '--limit', '4', '--json'], 'json');
    const messages = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as TracedMessage);
    expect(messages.map(({ direction, status }) => [direction, status])).toEqual([
      ['in', null],
      ['out', null],
      ['in', 200],
      ['out', 200],
    ]);
    expect(stdout).toContain('response=\\"****************\\"');
    expect(stdout).not.toContain('0123456789abcdef');
  });

  it('has nothing of others, ends after --duration, and on Ctrl-C', async () => {
    const other = start('trace', '--call-id', 'nobody', '--duration', '1');
    const endless = start('trace', '--user', 'nobody@example.org');
    await Promise.all([other.saw('watching'), endless.saw('watching')]);
    await exchange('others');
    expect(await other.finished).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('0 messages') });
    endless.process.kill('SIGINT');
    expect(await endless.finished).toMatchObject({ code: 0, stdout: '' });
  });
});

describe('after the fact', () => {
  it('calls are listed, and shown one by one', async () => {
    const watched = watch(['--user', 'carol', '--limit', '4', '--text'], 'later', 'carol');
    const { stdout } = await watched;
    const [, first] = /^Call-ID: (later-\d+)/m.exec(stdout)!;
    expect(stdout).toMatch(new RegExp(`^\\S+Z in udp ${caller.hostPort} -> 127.0.0.1:${port}\\nOPTIONS sip:bob@`));

    const list = await run('list', '--user', 'carol@example.org', '--json', '--limit', '1000');
    const calls = list.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(calls).toContainEqual(expect.objectContaining({ callId: first, from: 'carol@example.org', status: 200 }));
    const table = await run('list', '--user', 'carol');
    expect(table.stdout.split('\n')[0]).toMatch(/^BEGAN +METHOD +FROM +TO +STATUS +LASTS +MESSAGES +CALL-ID$/);

    const shown = await run('show', first!, '--json');
    expect(shown.stdout.trimEnd().split('\n')).toHaveLength(4);
    const ladder = await run('show', first!);
    expect(ladder.stdout).toContain(`Call-ID ${first}`);
  });

  it('what is not there is said, with what to do', async () => {
    expect(await run('show', 'nothing')).toMatchObject({
      code: 1,
      stdout: '',
      stderr:
        'strowger: nothing: no messages of it are kept; none is (trace.sample). strowger trace watches any call live\n',
    });
    expect((await run('list', '--user', 'nobody')).stdout).toContain('no calls are kept; none is (trace.sample)');
  });
});

describe('a capture file', () => {
  it('is written beside the ladder, for nobody else to read', async () => {
    const file = join(directory, 'calls.pcap');
    const { stdout } = await watch(['--user', 'dave', '--limit', '4', '--pcap', file], 'capture', 'dave');
    expect(stdout).toContain('OPTIONS');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const bytes = readFileSync(file);
    expect(bytes.readUInt32LE(0)).toBe(0xa1b2c3d4);
    expect(bytes.toString('latin1').match(/^(?:.*)OPTIONS sip:bob@/gm)).toHaveLength(2);
    expect(bytes.toString('latin1')).not.toContain('0123456789abcdef');
  });

  it('that cannot be written is said', async () => {
    expect(await run('--pcap', join(directory, 'none', 'x.pcap'), '--duration', '1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot be written (ENOENT)'),
    });
  });
});

describe('called wrongly', () => {
  it.each([
    [['--json', '--text'], '--json or --text, not both'],
    [['--pcap', '-', '--json'], '--pcap - needs the standard output for itself'],
    [['--duration', 'x'], '--duration x is not a number of seconds'],
    [['show'], 'trace show needs CALL-ID'],
    [['dump'], 'unknown command trace dump'],
    [['list', '--call-id', 'x'], '--call-id means nothing to trace list'],
  ])('%j', async (args, expected) => {
    expect(await run(...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(expected) });
  });

  it('with an address that is none', async () => {
    expect(await run('--from', '192.0.2.300')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('from: "192.0.2.300" is not an address block'),
    });
  });

  it('of a server that keeps none', async () => {
    const other = start(
      'start',
      '--workers',
      '1',
      '--listen',
      'udp:127.0.0.1:0',
      '--set',
      'location.store=off',
      '--set',
      'trace.recentKiB=0',
      '--control',
      join(directory, 'other.sock'),
    );
    await other.saw('\n  try ');
    const answer = await run('list', '--control', join(directory, 'other.sock'));
    other.process.kill('SIGTERM');
    await other.finished;
    expect(answer).toMatchObject({
      code: 1,
      stderr: 'strowger: this server keeps no messages: trace.recentKiB is 0\n',
    });
  });
});
