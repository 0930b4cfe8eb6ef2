/** `strowger restart` and `strowger start --takeover` as processes: registrations go over, and what fails leaves the first server as
 *  it was. */

import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openControlClient } from '../../src/cli/control-client.ts';
import { LAYOUT_VERSION } from '../../src/memory/layout.ts';
import { type Invitation, TAKEOVER_VERSION } from '../../src/runtime/takeover/handover.ts';
import { LineChannel } from '../../src/runtime/takeover/line-channel.ts';
import { Takeover } from '../../src/runtime/takeover/takeover.ts';
import { close, openUnixDatagram, sendUnixDatagram } from '../../src/runtime/udp-socket.ts';
import { FakeSystemd } from '../process/fake-systemd.ts';
import { until } from '../process/server-process.ts';
import { optionsRequest } from '../process/sip-texts.ts';
import { freeTcpPort } from '../process/tcp-port.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { WebSocketPeer } from '../runtime/streams/web-socket-peer.ts';
import { Authority } from '../runtime/tls/authority.ts';
import { type RunningCommand, startCommand } from './command.ts';

let directory = '';
let running: RunningCommand[] = [];
const pids: number[] = [];
let phone: UdpPeer;
let port = 0;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-restart-'));
  phone = await UdpPeer.open();
  port = await freePort();
});
afterEach(async () => {
  const last = await ask<{ pid: number }>('status').catch(() => null);
  for (const pid of [...pids.splice(0), ...(last === null ? [] : [last.pid])]) endProcess(pid);
  for (const command of running) command.process.kill('SIGKILL');
  await Promise.all(running.map(({ finished }) => finished));
  running = [];
  phone.close();
  rmSync(directory, { recursive: true });
});

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}

/** The exit code. Not when its output ends, which a successor has in common with it. */
async function exitOf({ process: child }: RunningCommand): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

const socketPath = () => join(directory, 'control.sock');

/** Registrar of example.org, with a store, and by its file. */
function writeConfig(more = '', control = '', listen = `udp:127.0.0.1:${port}`): string {
  const file = join(directory, 'strowger.yaml');
  writeFileSync(
    file,
    `listen: [${listen}]
domains: [example.org]
location: { store: ${join(directory, 'location')} }
bans: { file: 'off' }
crash: { directory: ${directory} }
control: { socket: ${socketPath()}${control} }
workers: 1
rehearsalMs: 0
log: { format: json }
${more}`,
  );
  return file;
}

function command(args: readonly string[], environment: NodeJS.ProcessEnv = {}): RunningCommand {
  const started = startCommand(args, { ...process.env, TMPDIR: directory, ...environment });
  running.push(started);
  return started;
}

async function started(more = '', environment: NodeJS.ProcessEnv = {}): Promise<RunningCommand> {
  const server = command(['start', '--config', writeConfig(more)], environment);
  await server.saw('\n  try ');
  return server;
}

async function ask<Answer>(method: string): Promise<Answer> {
  const client = await openControlClient(socketPath());
  try {
    return (await client.call(method)) as Answer;
  } finally {
    client.close();
  }
}

/** `strowger restart`; the process that serves then. */
async function restarted(by: readonly string[] = ['--control', socketPath()]): Promise<number> {
  const { code, stdout, stderr } = await command(['restart', '--json', ...by]).finished;
  expect([code, stderr]).toEqual([0, '']);
  const { pid } = JSON.parse(stdout);
  pids.push(pid);
  return pid;
}

function register(cseq: number): Buffer {
  return Buffer.from(
    [
      'REGISTER sip:example.org SIP/2.0',
      `Via: SIP/2.0/UDP ${phone.hostPort};branch=z9hG4bKregister${cseq}`,
      'Max-Forwards: 70',
      'From: <sip:alice@example.org>;tag=1',
      'To: <sip:alice@example.org>',
      'Call-ID: registration',
      `CSeq: ${cseq} REGISTER`,
      `Contact: <sip:alice@${phone.hostPort}>`,
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );
}

/** It serves: an OPTIONS for the server itself is answered. */
async function expectServing(callId: string): Promise<void> {
  await phone.send(optionsRequest({ callId, uri: 'sip:example.org', sentBy: phone.hostPort }), port);
  const { datagram } = await phone.receive(`Call-ID: ${callId}`);
  expect(datagram.toString()).toMatch(/^SIP\/2\.0 200 /);
}

/** A request of one call, all hop by hop: the ACK is that to a failure. */
function callTo(bob: UdpPeer, method: string): Buffer {
  return Buffer.from(
    [
      `${method} sip:bob@${bob.hostPort} SIP/2.0`,
      `Via: SIP/2.0/UDP ${phone.hostPort};branch=z9hG4bKcall`,
      'Max-Forwards: 70',
      'From: <sip:alice@example.org>;tag=a',
      `To: <sip:bob@example.org>${method === 'ACK' ? ';tag=b' : ''}`,
      'Call-ID: call',
      `CSeq: 1 ${method}`,
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );
}

/** REGISTER of a browser, with a flow (RFC 7118 5.4). */
function registerBySocket(by: 'ws' | 'wss', cseq: number, user = 'bob'): string {
  const contact = `<sip:${user}@df7jal23ls0d.invalid;transport=ws;ob>`;
  return [
    'REGISTER sip:example.org SIP/2.0',
    `Via: SIP/2.0/${by.toUpperCase()} df7jal23ls0d.invalid;branch=z9hG4bK${user}${cseq}`,
    'Max-Forwards: 70',
    `From: <sip:${user}@example.org>;tag=1`,
    `To: <sip:${user}@example.org>`,
    `Call-ID: registration-of-${user}`,
    `CSeq: ${cseq} REGISTER`,
    'Supported: path, outbound',
    `Contact: ${contact};reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"`,
    '\r\n',
  ].join('\r\n');
}

/** A request to a registered user, hop by hop: the ACK is that to a failure. */
function callToBob(method: string, callId: string, user = 'bob'): Buffer {
  return Buffer.from(
    [
      `${method} sip:${user}@example.org SIP/2.0`,
      `Via: SIP/2.0/UDP ${phone.hostPort};branch=z9hG4bK${callId}`,
      'Max-Forwards: 70',
      'From: <sip:alice@example.org>;tag=a',
      `To: <sip:${user}@example.org>${method === 'ACK' ? ';tag=b' : ''}`,
      `Call-ID: ${callId}`,
      `CSeq: 1 ${method}`,
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );
}

function statusTo(request: Buffer, status: string): Buffer {
  const lines = request.toString('latin1').split('\r\n');
  const kept = lines.filter((line) => /^(Via|From|Call-ID|CSeq):/.test(line));
  const own = ['To: <sip:bob@example.org>;tag=b', 'Content-Length: 0', '\r\n'];
  return Buffer.from([`SIP/2.0 ${status}`, ...kept, ...own].join('\r\n'));
}

async function connectedTo(tcpPort: number): Promise<Socket> {
  const socket = connect(tcpPort, '127.0.0.1');
  socket.setEncoding('latin1').on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** The answer to an OPTIONS. */
async function askByTcp(socket: Socket, callId: string): Promise<string> {
  const request = optionsRequest({ callId, uri: 'sip:example.org', sentBy: '127.0.0.1:5099' });
  socket.write(request.toString('latin1').replace('SIP/2.0/UDP', 'SIP/2.0/TCP'));
  const [answer] = await once(socket, 'data');
  return answer;
}

async function expectRegistered(callId: string): Promise<void> {
  const uri = 'sip:alice@example.org';
  await phone.send(optionsRequest({ callId, uri, sentBy: phone.hostPort }), port);
  const { datagram } = await phone.receive(`OPTIONS sip:alice@${phone.hostPort}`);
  expect(datagram.toString()).toContain(callId);
}

describe('strowger restart', () => {
  it('hands registrations, admin listener and the service over, and the first process ends', async () => {
    const systemd = new FakeSystemd(join(directory, 'notify'));
    const adminPort = await freeTcpPort();
    const tokenFile = join(directory, 'token');
    writeFileSync(tokenFile, `${'t'.repeat(40)}\n`, { mode: 0o600 });
    const file = writeConfig(`admin: { listen: 127.0.0.1:${adminPort} }`, `, tokenFile: ${tokenFile}`);
    const first = command(['start', '--config', file], { NOTIFY_SOCKET: systemd.path });
    await first.saw('\n  try ');
    await phone.send(register(1), port);
    await phone.receive('SIP/2.0 200 ');
    // Over HTTP, so by the listener that goes over too.
    const pid = await restarted(['--admin', `http://127.0.0.1:${adminPort}`, '--token-file', tokenFile]);
    expect(await exitOf(first)).toBe(0);
    await expectRegistered('after');
    await phone.send(register(1), port);
    await until(
      'what is sent again is answered again',
      () => phone.arrivals.filter(({ datagram }) => datagram.includes('1 REGISTER')).length === 2,
    );
    expect((await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status).toBe(200);
    await until('the successor knows', async () => !(await ask<{ hasPredecessor: boolean }>('status')).hasPredecessor);
    const told = systemd.all().map(({ fields, pid: by }) => [by, fields['MAINPID'] ?? fields['READY']]);
    expect(told).toEqual([
      [first.process.pid, '1'],
      [first.process.pid, String(pid)],
      [pid, '1'],
    ]);
    systemd.close();
  });

  it('can be done again: a call that rings goes through all servers to the first, whose connections by TCP end with it', async () => {
    const first = command(['start', '--config', writeConfig('', '', `127.0.0.1:${port}`)]);
    await first.saw('\n  try ');
    const bob = await UdpPeer.open();
    await phone.send(callTo(bob, 'INVITE'), port);
    const invite = await bob.receive('INVITE ');
    await bob.send(statusTo(invite.datagram, '180 Ringing'), port);
    await phone.receive('SIP/2.0 180 ');
    const connection = await connectedTo(port);
    expect(await askByTcp(connection, 'before')).toMatch(/^SIP\/2\.0 200 /);
    const second = await restarted();
    const next = await connectedTo(port);
    expect(await askByTcp(next, 'after')).toMatch(/^SIP\/2\.0 200 /);
    expect(await restarted()).not.toBe(second);
    await expectServing('third');
    // The call goes through all three, to the first and back.
    await bob.send(statusTo(invite.datagram, '486 Busy Here'), port);
    await bob.receive('ACK ');
    await phone.receive('SIP/2.0 486 ');
    await phone.send(callTo(bob, 'ACK'), port);
    expect(await ask('status')).toMatchObject({ hasPredecessor: true });
    first.process.kill('SIGTERM');
    expect(await exitOf(first)).toBe(0);
    await until('its connection has ended', () => connection.closed);
    next.destroy();
    bob.close();
  });

  it.each(['ws', 'wss'] as const)(
    'hands over a listening point of %s: who is there is sent away when the first ends, and is called once he is back',
    async (by) => {
      const authority = new Authority();
      const { certificate, key } = authority.issue('own', ['IP:127.0.0.1']);
      const listen = `udp:127.0.0.1:${port}, ${by}:127.0.0.1:${port}`;
      const tls = `tls: { certificates: [{ certificate: ${certificate}, key: ${key} }] }`;
      const first = command(['start', '--config', writeConfig(tls, '', listen)]);
      await first.saw('\n  try ');
      const browser = () => WebSocketPeer.connect(`${by}://127.0.0.1:${port}/`, { ca: authority.pem });
      const bob = await browser();
      bob.send(registerBySocket(by, 1));
      await bob.receive('SIP/2.0 200 ');
      await phone.send(callToBob('INVITE', 'ringing'), port);
      const { text: invite } = await bob.receive('INVITE ');
      bob.send(statusTo(Buffer.from(invite), '180 Ringing').toString());
      await phone.receive('SIP/2.0 180 ');

      await restarted();
      // Who comes now comes to the successor.
      const other = await browser();
      other.send(registerBySocket(by, 1, 'carol'));
      await other.receive('SIP/2.0 200 ');
      await phone.send(callToBob('OPTIONS', 'carol-is-there', 'carol'), port);
      await other.receive('OPTIONS sip:carol@');
      // The call that rings goes on by the first one, to its end.
      expect(bob.ending).toBeNull();
      bob.send(statusTo(Buffer.from(invite), '486 Busy Here').toString());
      await bob.receive('ACK ');
      await phone.receive('SIP/2.0 486 ');
      await phone.send(callToBob('ACK', 'ringing'), port);
      expect((await bob.untilClosed()).code).toBe(1001);
      expect(await exitOf(first)).toBe(0);

      // Nobody else gets what was his (RFC 5626 5.3).
      await phone.send(callToBob('OPTIONS', 'bob-is-away'), port);
      const { datagram } = await phone.receive('Call-ID: bob-is-away');
      expect(datagram.toString()).toMatch(/^SIP\/2\.0 480 /);
      const again = await browser();
      again.send(registerBySocket(by, 2));
      await again.receive('SIP/2.0 200 ');
      await phone.send(callToBob('OPTIONS', 'bob-is-back'), port);
      await again.receive('Call-ID: bob-is-back');
      for (const peer of [other, again]) peer.close();
      authority.close();
    },
  );

  it('of a server whose configuration has become wrong says so, and it goes on', async () => {
    const first = await started();
    writeConfig('nonsense: true\n');
    const { code, stderr } = await command(['restart', '--control', socketPath()]).finished;
    expect(code).toBe(1);
    expect(stderr).toContain('the successor ended with exit code 1, and its log says why; this server goes on');
    expect((await ask<{ isReady: boolean }>('status')).isReady).toBe(true);
    await expectServing('goes-on');
    expect(first.process.exitCode).toBeNull();
  });
});

describe('strowger start --takeover', () => {
  it('takes over with other settings', async () => {
    const first = await started();
    const config = writeConfig('server: { name: Second }\n');
    const second = command(['start', '--takeover', '--config', config]);
    await second.saw('\n  try ');
    expect(await exitOf(first)).toBe(0);
    await phone.send(optionsRequest({ callId: 'second', uri: 'sip:example.org', sentBy: phone.hostPort }), port);
    await phone.receive('Server: Second');
    expect((await ask<{ isReady: boolean }>('status')).isReady).toBe(true);
  });

  it('in stateless mode leaves a stateful server as it is, and so does one that drains', async () => {
    const first = await started();
    const config = writeConfig('mode: stateless\n');
    const second = await command(['start', '--takeover', '--config', config]).finished;
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining('a stateless server cannot take over')]);
    await expectServing('still-there');
    await phone.send(optionsRequest({ callId: 'x', uri: `sip:x@${phone.hostPort}`, sentBy: phone.hostPort }), port);
    await phone.receive('OPTIONS sip:x@');
    expect((await command(['drain', '--no-wait', '--control', socketPath()]).finished).code).toBe(0);
    await expect(ask('takeover.invite')).rejects.toThrow('this server drains');
    expect(first.process.exitCode).toBeNull();
  });

  it('without a server to take over from starts as ever', async () => {
    const server = command(['start', '--takeover', '--config', writeConfig()]);
    await server.saw('\n  try ');
    await server.saw('nobody to take over from');
    await expectServing('first');
  });
});

/** A successor that goes only so far. */
async function greeted(invitation?: Invitation): Promise<{ channel: LineChannel; inbox: number }> {
  const { path, secret } = invitation ?? (await ask<Invitation>('takeover.invite'));
  const inbox = openUnixDatagram('');
  const channel = new LineChannel(connect(`\0${path}`));
  channel.send({ secret, fdsTo: inbox.path, pid: process.pid });
  expect(await channel.receive(10_000)).toMatchObject({ mode: 'stateful', sockets: [`udp:127.0.0.1:${port}`] });
  return { channel, inbox: inbox.fd };
}

describe('a successor that dies', () => {
  it('before it serves leaves the first as it was: with sockets, store and registrations', async () => {
    const first = await started();
    await phone.send(register(1), port);
    await phone.receive('SIP/2.0 200 ');
    const { channel, inbox } = await greeted();
    channel.send({ do: 'switch' });
    expect(await channel.receive(10_000)).toEqual({ switched: true });
    // Waits in the socket for whoever comes.
    const waiting = optionsRequest({ callId: 'waiting', uri: 'sip:example.org', sentBy: phone.hostPort });
    await phone.send(waiting, port);
    channel.close();
    close(inbox);
    await phone.receive('Call-ID: waiting');
    await expectRegistered('alice-is-there');
    await phone.send(register(2), port);
    await phone.receive('2 REGISTER');
    expect(await ask('status')).toMatchObject({ isReady: true, locationStore: 'running' });
    await first.saw('the takeover failed: this server goes on');
    // And is taken over from the next time.
    expect(await restarted()).not.toBe(first.process.pid);
  });

  it('or is none leaves it undisturbed', async () => {
    const first = await started();
    const invitation = await ask<Invitation>('takeover.invite');
    await expect(ask('takeover.invite')).rejects.toThrow('another server is taking over from this one');
    // Whoever is on the machine sees the path.
    const call = () => new LineChannel(connect(`\0${invitation.path}`));
    const silent = Array.from({ length: 100 }, call);
    for (const greeting of [{ secret: 'guessed', fdsTo: '@nobody', pid: 1 }, {}]) {
      const channel = call();
      channel.send(greeting);
      await channel.closed;
    }
    await first.saw('somebody has called who was not invited');
    await expectServing('undisturbed');
    // The invitation is as good as before.
    const { channel: other, inbox } = await greeted(invitation);
    await Promise.all(silent.map(({ closed }) => closed));
    other.send({ do: 'something else' });
    await other.closed;
    close(inbox);
    await expectServing('undisturbed-again');
  });
});

describe('a server that cannot hand over', () => {
  it('because a shard dies over it goes on, with sockets, store and registrations', async () => {
    const fault = join(directory, 'fault');
    writeFileSync(fault, '');
    const plant = new URL('../process/plant-handover-fault.ts', import.meta.url);
    const first = await started('', { HANDOVER_FAULT: fault, NODE_OPTIONS: `--import ${plant}` });
    await phone.send(register(1), port);
    await phone.receive('SIP/2.0 200 ');
    const { channel, inbox } = await greeted();
    channel.send({ do: 'switch' });
    await channel.closed;
    close(inbox);
    await first.saw('the takeover failed: this server goes on');
    await until('the shard is back', async () => (await ask<{ isReady: boolean }>('status')).isReady);
    await expectRegistered('alice-is-there');
    await phone.send(register(2), port);
    await phone.receive('2 REGISTER');
    expect(await ask('status')).toMatchObject({ locationStore: 'running' });
    rmSync(fault);
    expect(await restarted()).not.toBe(first.process.pid);
    await expectServing('after-that');
  });
});

describe('a server that has taken everything back', () => {
  it('says so to a successor that is still there', async () => {
    await started();
    const { channel, inbox } = await greeted();
    channel.send({ do: 'switch' });
    expect(await channel.receive(10_000)).toEqual({ switched: true });
    channel.send({ do: 'something else' });
    expect(await channel.receive(10_000)).toEqual({ takenBack: true });
    await channel.closed;
    close(inbox);
    await expectServing('goes-on');
  });

  it('is not served beside: who finds that out ends', async () => {
    const path = `strowger-test-${process.pid}`;
    const own = openUnixDatagram('');
    const server = createServer((socket) => {
      const channel = new LineChannel(socket);
      void channel.receive(10_000).then((greeting) => {
        sendUnixDatagram(String(greeting!['fdsTo']), Buffer.from('sockets'), [own.fd]);
        channel.send({ version: TAKEOVER_VERSION, layout: LAYOUT_VERSION, mode: 'stateful', sockets: [] });
        channel.send({ takenBack: true });
        channel.close();
      });
    }).listen(`\0${path}`);
    await once(server, 'listening');
    const takeover = await Takeover.begin({ path, secret: 's' });
    await takeover.gone;
    await expect(takeover.release()).rejects.toThrow('has waited too long for this one, and goes on');
    for (const fd of [...takeover.fds, own.fd]) close(fd);
    server.close();
  });
});

describe('a predecessor of another version', () => {
  it.each([
    [
      'says so',
      { version: 99, layout: 1, mode: 'stateful', sockets: [] },
      /of a version that this one cannot take over/,
    ],
    ['says nothing that is JSON', null, /does not answer/],
  ])('%s', async (_, offer, expected) => {
    const path = `strowger-test-${process.pid}`;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(offer === null ? 'nonsense\n' : `${JSON.stringify(offer)}\n`);
    }).listen(`\0${path}`);
    await once(server, 'listening');
    await expect(Takeover.begin({ path, secret: 's' })).rejects.toThrow(expected);
    server.close();
  });
});
