/** `strowger drain` and signals, on a real server with a call on it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../process/server-process.ts';
import { freeTcpPort } from '../process/tcp-port.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { type RunningCommand, startCommand } from './command.ts';

let directory = '';
let running: RunningCommand[] = [];
let peers: UdpPeer[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-drain-'));
});
afterEach(async () => {
  for (const command of running) command.process.kill('SIGKILL');
  await Promise.all(running.map(({ finished }) => finished));
  for (const peer of peers) peer.close();
  running = [];
  peers = [];
  rmSync(directory, { recursive: true });
});

const command = (...args: string[]) => {
  const started = startCommand(args, { ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory });
  running.push(started);
  return started;
};

/** The header lines of a request, the same for every message of a call. */
function text(method: string, callId: string, from: UdpPeer, target: UdpPeer): Buffer {
  return Buffer.from(
    [
      `${method} sip:bob@${target.hostPort} SIP/2.0`,
      `Via: SIP/2.0/UDP ${from.hostPort};branch=z9hG4bK${callId}`,
      'Max-Forwards: 70',
      'From: <sip:alice@example.org>;tag=a',
      `To: <sip:bob@example.org>${method === 'ACK' ? ';tag=b' : ''}`,
      `Call-ID: ${callId}`,
      `CSeq: 1 ${method}`,
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );
}

/** What Bob says to a request that reached him. */
function answer(status: string, request: Buffer): Buffer {
  const lines = request.toString('latin1').split('\r\n');
  const copied = lines.filter((line) => /^(Via|From|Call-ID|CSeq):/.test(line));
  return Buffer.from(
    [`SIP/2.0 ${status}`, ...copied, 'To: <sip:bob@example.org>;tag=b', 'Content-Length: 0', '\r\n'].join('\r\n'),
  );
}

/** A server, and a call through it that rings. */
async function ringing(...sets: string[]) {
  const [port, adminPort] = [await freePort(), await freeTcpPort()];
  const [alice, bob] = [await UdpPeer.open(), await UdpPeer.open()];
  peers.push(alice, bob);
  // T2 is what a drain lingers for.
  const all = ['timers.t1Ms=50', 'timers.t2Ms=50', ...sets].flatMap((set) => ['--set', set]);
  const listening = ['--listen', `udp:127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`];
  const server = command('--workers', '1', ...listening, ...all);
  await server.saw('\n  try ');
  await alice.send(text('INVITE', 'call', alice, bob), port);
  const invite = await bob.receive('INVITE ');
  await bob.send(answer('180 Ringing', invite.datagram), port);
  await alice.receive('SIP/2.0 180 ');
  return {
    server,
    alice,
    bob,
    port,
    ready: () => fetch(`http://127.0.0.1:${adminPort}/readyz`),
    /** Bob refuses, and Alice acknowledges: the transaction has nothing left to do. */
    end: async () => {
      await bob.send(answer('486 Busy Here', invite.datagram), port);
      await alice.receive('SIP/2.0 486 ');
      await alice.send(text('ACK', 'call', alice, bob), port);
    },
  };
}

describe('strowger drain', () => {
  it('turns new requests away, and the server ends with 0 once the call is over', async () => {
    const { server, alice, bob, port, ready, end } = await ringing();
    expect((await ready()).status).toBe(200);
    const drain = command('drain');
    await drain.saw('draining: 2 transactions pending');
    const readiness = await ready();
    expect([readiness.status, await readiness.text()]).toEqual([503, 'draining\n']);
    await alice.send(text('OPTIONS', 'probe', alice, bob), port);
    const refusal = (await alice.receive('SIP/2.0 503 ')).datagram.toString();
    expect(refusal).toMatch(/\r\nRetry-After: \d+\r\n/);
    await end();
    expect(await server.finished).toMatchObject({ code: 0 });
    const { code, stdout } = await drain.finished;
    expect([code, stdout.split('\n').at(-2)]).toEqual([0, 'the server has ended']);
  });

  it('--cancel takes new requests again', async () => {
    const { alice, bob, port, ready } = await ringing();
    expect(JSON.parse((await command('drain', '--no-wait', '--json').finished).stdout)).toMatchObject({
      isDraining: true,
      deadlineInSec: 60,
    });
    expect((await ready()).status).toBe(503);
    expect(await command('drain', '--cancel').finished).toMatchObject({
      code: 0,
      stdout: 'the server takes new requests again\n',
    });
    expect((await ready()).status).toBe(200);
    await alice.send(text('OPTIONS', 'probe', alice, bob), port);
    await bob.receive('OPTIONS ');
    expect(await command('drain', '--cancel').finished).toMatchObject({
      code: 1,
      stderr: 'strowger: this server does not drain\n',
    });
  });

  it('--deadline ends it with a call that rings', async () => {
    const { server } = await ringing();
    const drain = command('drain', '--deadline', '1');
    expect(await server.finished).toMatchObject({ code: 0 });
    expect((await drain.finished).code).toBe(0);
    expect((await server.finished).stderr).toContain('the deadline has come before the end of these');
  });

  it('says what is wrong with its flags', async () => {
    expect((await command('drain', '--cancel', '--deadline', '3').finished).code).toBe(2);
    expect((await command('drain', '--deadline', 'soon').finished).stderr).toContain('is not a number of seconds');
  });
});

describe('SIGTERM', () => {
  it('waits for the call, and no longer', async () => {
    const { server, ready, end } = await ringing('drain.signalDeadlineMs=60000');
    server.process.kill('SIGTERM');
    await until('it drains', async () => (await ready()).status === 503);
    await end();
    expect(await server.finished).toMatchObject({ code: 0 });
  });

  it('is not called off by --cancel', async () => {
    const { server, ready, end } = await ringing('drain.signalDeadlineMs=60000');
    server.process.kill('SIGTERM');
    await until('it drains', async () => (await ready()).status === 503);
    expect(await command('drain', '--cancel').finished).toMatchObject({
      code: 1,
      stderr: 'strowger: this server ends because of a signal or a takeover: that cannot be called off\n',
    });
    expect((await ready()).status).toBe(503);
    await end();
    expect(await server.finished).toMatchObject({ code: 0 });
  });

  it('ends the server at its deadline with a call that rings', async () => {
    const { server } = await ringing('drain.signalDeadlineMs=100');
    server.process.kill('SIGTERM');
    expect(await server.finished).toMatchObject({ code: 0 });
  });

  it('that comes again ends it at once', async () => {
    const { server, ready } = await ringing('drain.signalDeadlineMs=60000');
    server.process.kill('SIGTERM');
    await until('it drains', async () => (await ready()).status === 503);
    const { process: child } = server;
    // Signals in quick succession are one; one that meets the end of the process kills it.
    await until('the server has ended', () => {
      child.kill('SIGTERM');
      return child.exitCode !== null || child.signalCode !== null;
    });
    expect([1, null]).toContain((await server.finished).code);
  });
});
