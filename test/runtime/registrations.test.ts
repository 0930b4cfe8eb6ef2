/** Registrations at the real process: what a client was told survives the death of the server (RFC 3261 10.3 step 8), a crash
 *  of a shard, and whatever is wrong with the store. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-registrations-'));
afterEach(endServers);
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

let requests = 0;

function register(user: number, peer: UdpPeer, contact: string): Buffer {
  return Buffer.from(
    [
      'REGISTER sip:example.org SIP/2.0',
      `Via: SIP/2.0/UDP ${peer.hostPort};branch=z9hG4bK${++requests}`,
      `From: <sip:user${user}@example.org>;tag=1`,
      `To: <sip:user${user}@example.org>`,
      `Call-ID: user${user}-${requests}`,
      'CSeq: 1 REGISTER',
      'Max-Forwards: 70',
      ...(contact === '' ? [] : [`Contact: <${contact}>`]),
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );
}

/** Users that were told that they are registered. */
function acknowledged(peer: UdpPeer): Set<number> {
  const users = peer.arrivals.flatMap(({ datagram }) => {
    const text = datagram.toString('latin1');
    return text.startsWith('SIP/2.0 200 ') ? [Number(/To: <sip:user(\d+)@/.exec(text)![1])] : [];
  });
  return new Set(users);
}

function startServer(port: number, store: string, ...args: string[]): Promise<ServerProcess> {
  const sets = [`location.store=${store}`, 'domains=[example.org]'].flatMap((set) => ['--set', set]);
  return ServerProcess.start('--listen', `udp:127.0.0.1:${port}`, ...sets, ...args);
}

/** Who of the first `count` users has a binding. */
async function askAll(port: number, count: number): Promise<Set<number>> {
  const peer = await UdpPeer.open();
  for (let user = 0; user < count; user++) await peer.send(register(user, peer, ''), port);
  await until('all answers', () => peer.arrivals.length >= count);
  const found = peer.arrivals.flatMap(({ datagram }) => {
    const text = datagram.toString('latin1');
    return text.includes('\r\nContact: <') ? [Number(/To: <sip:user(\d+)@/.exec(text)![1])] : [];
  });
  peer.close();
  return new Set(found);
}

const USERS = 600;

describe('the server killed with -9 while users register', () => {
  it.each(['stateful', 'stateless'])('knows all whom it told so when it is back, %s', async (mode) => {
    const port = await freePort();
    const store = join(folder, mode);
    const server = await startServer(port, store, '--mode', mode);
    const peer = await UdpPeer.open();
    for (let user = 0; user < USERS; user++) {
      await peer.send(register(user, peer, `sip:user${user}@192.0.2.1`), port);
      if (acknowledged(peer).size > USERS / 3) break;
    }
    await until('some are registered', () => acknowledged(peer).size > USERS / 10);
    await server.kill();
    const told = acknowledged(peer);
    peer.close();
    await startServer(port, store, '--mode', mode);
    const found = await askAll(port, USERS);
    expect([...told].filter((user) => !found.has(user))).toEqual([]);
  });
});

describe('a shard that dies', () => {
  it('leaves all bindings where they are', async () => {
    const port = await freePort();
    const server = await startServer(port, 'off');
    const peer = await UdpPeer.open();
    for (let user = 0; user < 100; user++) await peer.send(register(user, peer, 'sip:192.0.2.1'), port);
    await until('all are registered', () => acknowledged(peer).size === 100);
    await server.crashShard(0);
    await until('the shard is back', async () => (await server.counters())['shard_crashes_total'] === 1);
    expect((await askAll(port, 100)).size).toBe(100);
    peer.close();
  });
});

describe('a store that cannot be used', () => {
  it('is said to be so, and users register all the same', async () => {
    const port = await freePort();
    const file = join(folder, 'no-directory');
    writeFileSync(file, '');
    const server = await startServer(port, file);
    const peer = await UdpPeer.open();
    await peer.send(register(1, peer, 'sip:192.0.2.1'), port);
    await until('the answer', () => acknowledged(peer).size === 1);
    const troubles = server.log.filter(({ level }) => level === 'error' || level === 'warn');
    expect(troubles.map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/key of flow tokens cannot be kept/),
      expect.stringMatching(/location store .* fails/),
    ]);
    peer.close();
  });

  it('because another server has it: exit 1 and a line that says so', async () => {
    const store = join(folder, 'shared');
    await startServer(await freePort(), store);
    await expect(startServer(await freePort(), store)).rejects.toThrow(/another server uses the location store/);
  });
});
