import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import {
  EGRESS_SPANS,
  ELSEWHERE,
  RECEIVE_BATCH,
  RETURNED,
  SLOT,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import {
  addSocket,
  close,
  createEventFd,
  duplicate,
  nap,
  openTcp,
  receiveBatch,
  receiveDrops,
  receiveQueued,
  removeSocket,
  scheduleThread,
  sendBatch,
  setFilter,
  setWake,
  signal,
  socketErrors,
  takeUnreachable,
  threadCpuNs,
  watch,
} from '../../src/runtime/udp-socket.ts';
import { arena, FIRST_SLOT, IPV6_LOOPBACK, open, putEgress, received, resultOf } from '../native/loopback.ts';
import { PATIENCE_MS } from '../process/patience.ts';

const { EAFNOSUPPORT, EINVAL, EMSGSIZE } = constants.errno;
const faceUrl = new URL('../../src/runtime/udp-socket.ts', import.meta.url);
const hasIpv6 = existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8') !== '';

/** Sends one datagram from `socket` and returns how the entry fared. */
function send(socket: number, port: number, text: string, more: object = {}): number {
  putEgress(0, { socket, port, spans: [text], ...more });
  sendBatch(0, 0, 1);
  return resultOf(0);
}

function startThread(task: string, fd: number, gate = new Int32Array(new SharedArrayBuffer(4))): Worker {
  return new Worker(new URL('../native/other-thread.ts', import.meta.url), { workerData: { task, fd, gate } });
}

/** A port nobody listens on. */
function closedPort(): number {
  const script = "import socket; s = socket.socket(2, 2); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])";
  return Number(execFileSync('python3', ['-c', script], { encoding: 'utf8' }));
}

describe('openUdp', () => {
  it('binds IPv4 and receives with source, socket, family and time', () => {
    const server = open();
    const client = open();
    expect(server.port).toBeGreaterThan(0);
    expect(send(client.index, server.port, 'hello')).toBe(0);
    const beforeUs = Number(process.hrtime.bigint() / 1000n);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(1);
    const datagram = received(0);
    expect(datagram).toMatchObject({ socket: server.index, family: 4, port: client.port, source: [127, 0, 0, 1] });
    expect(datagram.local).toEqual([0, 0, 0, 0]);
    expect(datagram.payload.toString()).toBe('hello');
    expect((datagram.timeUs - beforeUs) | 0).toBeLessThan(PATIENCE_MS * 1000);
    expect((datagram.timeUs - beforeUs) | 0).toBeGreaterThanOrEqual(0);
  });

  it.skipIf(!hasIpv6)('binds IPv6', () => {
    const server = open({ host: '::1', family: 6 });
    const client = open({ host: '::1', family: 6 });
    expect(send(client.index, server.port, 'hello', { family: 6 })).toBe(0);
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(received(0)).toMatchObject({ socket: server.index, family: 6, port: client.port, source: IPV6_LOOPBACK });
  });

  it.skipIf(!hasIpv6)('serves both families on a dual-stack socket, with family 4 for IPv4', () => {
    const server = open({ host: '::', family: 6, dualStack: true });
    const ipv4 = open();
    const ipv6 = open({ host: '::1', family: 6 });

    send(ipv4.index, server.port, 'four', { address: [127, 0, 0, 2] });
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(received(0)).toMatchObject({ family: 4, port: ipv4.port, source: [127, 0, 0, 1], local: [127, 0, 0, 2] });
    expect(send(server.index, ipv4.port, 'back', { local: [127, 0, 0, 2] })).toBe(0);
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(received(0)).toMatchObject({ socket: ipv4.index, port: server.port, source: [127, 0, 0, 2] });

    send(ipv6.index, server.port, 'six', { family: 6 });
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(received(0)).toMatchObject({ family: 6, port: ipv6.port, source: IPV6_LOOPBACK, local: IPV6_LOOPBACK });
    expect(send(server.index, ipv6.port, 'back', { family: 6, local: IPV6_LOOPBACK })).toBe(0);
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(received(0)).toMatchObject({ socket: ipv6.index, family: 6, source: IPV6_LOOPBACK });
  });

  it.skipIf(!hasIpv6)('keeps IPv4 out of an IPv6 socket that is not dual stack', () => {
    const server = open({ host: '::', family: 6 });
    const client = open();
    send(client.index, server.port, 'four');
    expect(receiveBatch(1, 0)).toBe(0);
  });

  it('keeps the local address on a wildcard socket, and a reply leaves from it', () => {
    const server = open({ host: '0.0.0.0' });
    const client = open();
    for (const local of [
      [127, 0, 0, 1],
      [127, 0, 0, 2],
    ]) {
      send(client.index, server.port, 'request', { address: local });
      expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(1);
      expect(received(0)).toMatchObject({ socket: server.index, local });
      expect(send(server.index, client.port, 'reply', { local })).toBe(0);
      expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(1);
      expect(received(0)).toMatchObject({ socket: client.index, source: local, port: server.port });
    }
  });

  it('reports EADDRINUSE for an occupied port', () => {
    const { port } = open();
    expect(() => open({ port })).toThrow(
      expect.objectContaining({
        code: 'EADDRINUSE',
        errno: -constants.errno.EADDRINUSE,
        syscall: 'bind',
        message: `bind udp:127.0.0.1:${port}: EADDRINUSE, address already in use`,
      }),
    );
  });

  it('shares a port when both ask for it', () => {
    const { port } = open({ reusePort: true });
    expect(open({ port, reusePort: true }).port).toBe(port);
  });

  it('reports an address that is not ours', () => {
    expect(() => open({ host: '192.0.2.1' })).toThrow(expect.objectContaining({ code: 'EADDRNOTAVAIL' }));
  });

  it('takes numeric addresses only, of the right family', () => {
    for (const host of ['localhost', '', '::1', '127.0.0.1 ', '127.0.0.1\0']) {
      expect(() => open({ host })).toThrow(TypeError);
    }
    expect(() => open({ host: '127.0.0.1', family: 6 })).toThrow(TypeError);
  });

  it('reports the receive buffer the kernel gave', () => {
    expect(open({ receiveBufferBytes: 100_000 }).receiveBufferBytes).toBe(100_000);
    // Raising it beyond the limit is for the privileged, so a child gives its privileges up first.
    const limit = Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8'));
    const script = `
      const { openUdp } = await import(${JSON.stringify(faceUrl.href)});
      if (process.getuid() === 0) process.setuid(65534);
      console.log(openUdp({ host: '127.0.0.1', port: 0, family: 4, dualStack: false, receiveBufferBytes: ${limit * 2},
        sendBufferBytes: 65536, dscp: 0, reusePort: false }).receiveBufferBytes);`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(Number(child.stdout)).toBe(limit);
  });

  it.skipIf(!hasIpv6)('sets the traffic class from dscp, for both families', () => {
    const four = open({ dscp: 46 });
    const six = open({ host: '::', family: 6, dualStack: true, dscp: 26 });
    const script = 'import socket; s = socket.socket(fileno=3); print(s.getsockopt(0, 1), s.getsockopt(41, 67))';
    const optionsOf = (fd: number, text = script) =>
      execFileSync('python3', ['-c', text], { stdio: ['ignore', 'pipe', 'inherit', fd], encoding: 'utf8' }).trim();
    expect(optionsOf(four.fd, script.replace(', s.getsockopt(41, 67)', ''))).toBe(`${46 << 2}`);
    expect(optionsOf(six.fd)).toBe(`${26 << 2} ${26 << 2}`);
  });
});

describe('openTcp', () => {
  const options = { host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 26 } as const;

  it('listens, and says so of a port that is taken', async () => {
    const { fd, port } = openTcp(options);
    const peer = connect(port, '127.0.0.1');
    await once(peer, 'connect');
    expect(() => openTcp({ ...options, port })).toThrow(
      expect.objectContaining({
        code: 'EADDRINUSE',
        syscall: 'bind',
        message: `bind tcp:127.0.0.1:${port}: EADDRINUSE, address already in use`,
      }),
    );
    peer.destroy();
    close(fd);
  });

  it.skipIf(!hasIpv6)('takes IPv4 on an IPv6 wildcard if asked for it, and not otherwise', async () => {
    for (const [dualStack, event] of [
      [true, 'connect'],
      [false, 'error'],
    ] as const) {
      const { fd, port } = openTcp({ ...options, host: '::', family: 6, dualStack });
      const peer = connect(port, '127.0.0.1').on('error', () => undefined);
      await once(peer, event);
      peer.destroy();
      close(fd);
    }
  });

  it('reports an address that is not ours, and takes numeric ones only', () => {
    expect(() => openTcp({ ...options, host: '192.0.2.1' })).toThrow(
      expect.objectContaining({ code: 'EADDRNOTAVAIL' }),
    );
    expect(() => openTcp({ ...options, host: 'localhost' })).toThrow(TypeError);
  });

  it('can be had twice: one descriptor is closed, the other listens on', async () => {
    const { fd, port } = openTcp(options);
    const other = duplicate(fd);
    expect(other).not.toBe(fd);
    close(other);
    const peer = connect(port, '127.0.0.1');
    await once(peer, 'connect');
    peer.destroy();
    close(fd);
  });
});

describe('receiveBatch', () => {
  it('returns 0 at once, or after the time given, when nothing is there', () => {
    open();
    expect(receiveBatch(1, 0)).toBe(0);
    const startedAt = performance.now();
    expect(receiveBatch(1, 30)).toBe(0);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(29);
  });

  it('takes the largest datagram whole: slot, then spill area', () => {
    const server = open();
    const client = open();
    const payload = randomBytes(65_507);
    putEgress(0, { socket: client.index, port: server.port, spans: ['short'] });
    putEgress(1, { socket: client.index, port: server.port, spans: [payload] });
    putEgress(2, { socket: client.index, port: server.port, spans: [payload.subarray(0, SLOT_PAYLOAD_BYTES)] });
    putEgress(3, { socket: client.index, port: server.port, spans: [payload.subarray(0, SLOT_PAYLOAD_BYTES + 1)] });
    expect(sendBatch(0, 0, 4)).toBe(0);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(4);
    expect(received(0).payload.toString()).toBe('short');
    expect(received(1).payload.equals(payload)).toBe(true);
    expect(received(2).payload.equals(payload.subarray(0, SLOT_PAYLOAD_BYTES))).toBe(true);
    expect(received(3).payload.equals(payload.subarray(0, SLOT_PAYLOAD_BYTES + 1))).toBe(true);
  });

  it('returns empty datagrams as such', () => {
    const server = open();
    const client = open();
    send(client.index, server.port, '');
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(received(0)).toMatchObject({ socket: server.index, port: client.port, payload: Buffer.alloc(0) });
  });

  it('says nothing of what was wrong with whatever had the slot before', () => {
    const server = open();
    const client = open();
    const fault = (slotOffset(arena.map, FIRST_SLOT) >> 2) + SLOT.FAULT_WORD;
    arena.words[fault] = RETURNED.FLOW;
    send(client.index, server.port, 'new');
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    expect(arena.words[fault]).toBe(0);
  });

  it('leaves the rest for the next call when the batch is full', () => {
    const server = open();
    const client = open();
    for (let i = 0; i < 5; i++) putEgress(i, { socket: client.index, port: server.port, spans: [`${i}`] });
    sendBatch(0, 0, 5);
    expect(receiveBatch(3, PATIENCE_MS)).toBe(3);
    expect([0, 1, 2].map((i) => received(i).payload.toString())).toEqual(['0', '1', '2']);
    expect(receiveBatch(3, PATIENCE_MS)).toBe(2);
    expect([0, 1].map((i) => received(i).payload.toString())).toEqual(['3', '4']);
  });

  it('serves several sockets in turn, and fills a batch from all of them', () => {
    const servers = [open(), open(), open()];
    const client = open();
    for (let i = 0; i < 60; i++) {
      putEgress(i, { socket: client.index, port: servers[i % 3]!.port, spans: [`${i}`] });
    }
    sendBatch(0, 0, 60);
    const served: number[] = [];
    for (let call = 0; call < 6; call++) {
      expect(receiveBatch(4, PATIENCE_MS)).toBe(4);
      served.push(received(0).socket);
    }
    expect(served.slice(3)).toEqual(served.slice(0, 3));
    expect(new Set(served).size).toBe(3);
    // 12 each are left.
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(36);
    for (let i = 0; i < 36; i++) {
      expect(servers[Number(received(i).payload) % 3]!.index).toBe(received(i).socket);
    }
  });

  it('ends a wait when the wake eventfd is signalled, and reads it empty', async () => {
    open();
    const fd = createEventFd();
    const gate = new Int32Array(new SharedArrayBuffer(4));
    setWake(fd);
    const thread = startThread('signal when the gate opens', fd, gate);
    await once(thread, 'message');
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    const startedAt = performance.now();
    expect(receiveBatch(1, 60_000)).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS);
    const againAt = performance.now();
    expect(receiveBatch(1, 30)).toBe(0);
    expect(performance.now() - againAt).toBeGreaterThanOrEqual(29);
    await once(thread, 'exit');
    close(fd);
    setWake(createEventFd());
  });

  it('returns what arrived when woken at the same time', () => {
    const server = open();
    const client = open();
    const fd = createEventFd();
    setWake(fd);
    signal(fd);
    send(client.index, server.port, 'hello');
    expect(receiveBatch(1, PATIENCE_MS)).toBe(1);
    close(fd);
    setWake(createEventFd());
  });

  it('counts what the kernel dropped at a full receive buffer', () => {
    const server = open({ receiveBufferBytes: 8192 });
    const client = open();
    expect(receiveDrops(server.index)).toBe(0);
    for (let i = 0; i < 64; i++) {
      putEgress(i, { socket: client.index, port: server.port, spans: ['x'.repeat(1000)] });
    }
    expect(receiveQueued(server.index)).toBe(0);
    expect(sendBatch(0, 0, 64)).toBe(0);
    expect(receiveQueued(server.index)).toBeGreaterThan(1000);
    const taken = receiveBatch(RECEIVE_BATCH, PATIENCE_MS);
    expect(receiveQueued(server.index)).toBe(0);
    expect(taken).toBeLessThan(64);
    expect(receiveDrops(server.index)).toBe(64 - taken);
  });

  it('throws when a socket was closed under it', () => {
    const { index, fd } = open();
    const other = createEventFd(); // not a socket at all
    addSocket(index, other, 4, false);
    expect(() => receiveBatch(1, 0)).toThrow(expect.objectContaining({ code: 'ENOTSOCK', syscall: 'recvmmsg' }));
    addSocket(index, fd, 4, false);
    expect(receiveBatch(1, 0)).toBe(0);
    close(other);
  });
});

describe('setFilter', () => {
  /** RET K of classic BPF. */
  const returning = (bytes: number) => Uint8Array.of(0x06, 0, 0, 0, bytes, 0, 0, 0);

  it('decides what a socket takes, until another takes its place or it is taken away', () => {
    const server = open();
    const client = open();
    const arrives = () => {
      send(client.index, server.port, 'hello');
      const count = receiveBatch(1, 0);
      return count === 1 ? received(0).payload.toString() : null;
    };
    expect(arrives()).toBe('hello');
    expect(setFilter(server.index, returning(0))).toBe(0);
    expect(arrives()).toBeNull();
    expect(receiveDrops(server.index)).toBe(1);
    // Its UDP header and three bytes.
    expect(setFilter(server.index, returning(11))).toBe(0);
    expect(arrives()).toBe('hel');
    expect(setFilter(server.index, null)).toBe(0);
    expect(arrives()).toBe('hello');
  });

  it('takes away what is not there, and says what the kernel thinks of a program that is none', () => {
    const { index } = open();
    expect(setFilter(index, null)).toBe(0);
    expect(setFilter(index, new Uint8Array(8).fill(0xff))).toBe(EINVAL);
  });
});

describe('sendBatch', () => {
  it('gathers the spans of each message, byte for byte', () => {
    const server = open();
    const client = open();
    const pieces = Array.from({ length: EGRESS_SPANS }, (_, i) => randomBytes((i * 37) % 200));
    putEgress(0, { socket: client.index, port: server.port, spans: pieces });
    putEgress(1, { socket: client.index, port: server.port, spans: ['one ', '', 'two ', 'three'] });
    putEgress(2, { socket: client.index, port: server.port, spans: [] });
    expect(sendBatch(0, 0, 3)).toBe(0);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(3);
    expect(received(0).payload.equals(Buffer.concat(pieces))).toBe(true);
    expect(received(1).payload.toString()).toBe('one two three');
    expect(received(2).payload.length).toBe(0);
    expect([0, 1, 2].map(resultOf)).toEqual([0, 0, 0]);
  });

  it('sends only the entries asked for', () => {
    const server = open();
    const client = open();
    for (let i = 0; i < 4; i++) putEgress(i, { socket: client.index, port: server.port, spans: [`${i}`] });
    expect(sendBatch(0, 1, 2)).toBe(0);
    expect(sendBatch(0, 0, 0)).toBe(0);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(2);
    expect([0, 1].map((i) => received(i).payload.toString())).toEqual(['1', '2']);
    expect([0, 3].map(resultOf)).toEqual([-1, -1]);
  });

  it('sends from several sockets in one batch, what is of one socket in order', () => {
    const server = open();
    const clients = [open(), open()];
    [0, 0, 1, 0, 1, 1].forEach((client, i) => {
      putEgress(i, { socket: clients[client]!.index, port: server.port, spans: [`${i}`] });
    });
    expect(sendBatch(0, 0, 6)).toBe(0);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(6);
    for (const [client, sent] of ['013', '245'].entries()) {
      const arrived = [0, 1, 2, 3, 4, 5].map(received).filter(({ port }) => port === clients[client]!.port);
      expect(arrived.map(({ payload }) => payload.toString()).join('')).toBe(sent);
    }
  });

  it('passes over what has gone elsewhere', () => {
    const server = open();
    const client = open();
    for (let i = 0; i < 3; i++) {
      const socket = i === 1 ? ELSEWHERE | client.index : client.index;
      putEgress(i, { socket, port: server.port, spans: [`${i}`] });
    }
    expect(sendBatch(0, 0, 3)).toBe(0);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(2);
    expect([0, 1].map((i) => received(i).payload.toString())).toEqual(['0', '2']);
    expect([0, 1, 2].map(resultOf)).toEqual([0, -1, 0]);
  });

  it('passes over what cannot be sent and says why', () => {
    const server = open();
    const client = open();
    const entry = { socket: client.index, port: server.port };
    putEgress(0, { ...entry, spans: ['first'] });
    putEgress(1, { ...entry, port: 0, spans: ['port 0'] });
    putEgress(2, { ...entry, spans: ['second'] });
    putEgress(3, { ...entry, spans: [[arena.map.jumbos, 65_508]] });
    putEgress(4, { ...entry, family: 6, spans: ['IPv6 from an IPv4 socket'] });
    putEgress(5, { ...entry, spans: [[arena.map.jumbos, 65_536]] });
    putEgress(6, { ...entry, spans: ['third'] });
    putEgress(7, { ...entry, port: 0, spans: ['last'] });
    expect(sendBatch(0, 0, 8)).toBe(5);
    expect([0, 1, 2, 3, 4, 5, 6, 7].map(resultOf)).toEqual([0, EINVAL, 0, EMSGSIZE, EAFNOSUPPORT, EMSGSIZE, 0, EINVAL]);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(3);
    expect([0, 1, 2].map((i) => received(i).payload.toString())).toEqual(['first', 'second', 'third']);
  });

  it('counts ICMP errors and sends what follows', () => {
    const server = open();
    const client = open();
    const nobody = closedPort();
    // Each longer than the one before, so that each leaves by itself.
    for (let i = 0; i < 8; i++) {
      const text = `${i}`.repeat(i + 1);
      putEgress(i, { socket: client.index, port: i % 2 === 0 ? nobody : server.port, spans: [text] });
    }
    expect(socketErrors(client.index)).toBe(0);
    expect(sendBatch(0, 0, 8)).toBe(0);
    expect(receiveBatch(RECEIVE_BATCH, PATIENCE_MS)).toBe(4);
    expect([0, 1, 2, 3].map((i) => received(i).payload.toString()[0])).toEqual(['1', '3', '5', '7']);
    expect(socketErrors(client.index)).toBe(4);
  });

  it('tells which destinations ICMP said are unreachable, each once', () => {
    for (const family of [4, 6] as const) {
      const client = open(family === 4 ? {} : { host: '::1', family });
      const nobody = closedPort();
      const address = family === 4 ? [0x0100007f, 0, 0, 0] : [0, 0, 0, 0x01000000];
      putEgress(0, { socket: client.index, family, port: nobody, spans: ['anybody there?'] });
      expect(sendBatch(0, 0, 1)).toBe(0);
      expect(receiveBatch(1, 50)).toBe(0);
      const words = new Int32Array(6);
      expect(takeUnreachable(client.index, words)).toBe(true);
      expect([...words]).toEqual([family, nobody, ...address]);
      expect(takeUnreachable(client.index, words)).toBe(false);
    }
  });

  it('lets a waiting receive sleep on after an ICMP error', () => {
    const client = open();
    send(client.index, closedPort(), 'nobody is there');
    const before = threadCpuNs();
    expect(receiveBatch(1, 50)).toBe(0);
    expect(receiveBatch(1, 50)).toBe(0);
    expect(threadCpuNs() - before).toBeLessThan(40e6);
    expect(socketErrors(client.index)).toBe(1);
  });
});

describe('watch', () => {
  it('calls back in a worker thread for each signal, and lets it end once closed', async () => {
    const fd = createEventFd();
    const thread = startThread('watch three signals, then close', fd);
    // Listened for from now on: the last message and the exit may come in one turn of the loop.
    const exit = once(thread, 'exit');
    await once(thread, 'message');
    for (let calls = 1; calls <= 3; calls++) {
      signal(fd);
      const [message] = await once(thread, 'message');
      expect(message.calls).toBe(calls);
      expect(message.cpuNs).toBeGreaterThan(0);
    }
    expect(await exit).toEqual([0]);
    close(fd);
  });

  it('ends with its thread and leaves the eventfd to the next one', async () => {
    const fd = createEventFd();
    for (let life = 0; life < 3; life++) {
      const thread = startThread('watch for ever', fd);
      await once(thread, 'message');
      signal(fd);
      expect(await once(thread, 'message')).toEqual(['called']);
      await thread.terminate();
    }
    close(fd);
  });

  it('makes an exception of the callback the uncaught one of its thread', async () => {
    const fd = createEventFd();
    const thread = startThread('throw from the callback', fd);
    await once(thread, 'message');
    signal(fd);
    const [error] = await once(thread, 'error');
    expect(error.message).toBe('thrown on purpose');
    close(fd);
  });

  it('survives an exit from the callback', async () => {
    const fd = createEventFd();
    const thread = startThread('exit from the callback', fd);
    await once(thread, 'message');
    signal(fd);
    expect(await once(thread, 'exit')).toEqual([7]);
    close(fd);
  });

  it('calls no more after close, and may watch the same eventfd again', async () => {
    const fd = createEventFd();
    let strayCalls = 0;
    watch(fd, () => strayCalls++).close();
    const called = new Promise<void>((resolve) => {
      const handle = watch(fd, () => {
        handle.close();
        resolve();
      });
    });
    signal(fd);
    await called;
    expect(strayCalls).toBe(0);
    close(fd);
  });

  it('refuses what cannot be polled', () => {
    expect(() => watch(1 << 20, () => {})).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});

/** A thread that waits for its event loop beside datagrams, or naps for so long each time (native/loop-waiter.ts). */
async function startLoopWaiter(napUs = 0) {
  const fd = createEventFd();
  const wakeFd = createEventFd();
  const workerData = { fd, wakeFd, napUs };
  const thread = new Worker(new URL('../native/loop-waiter.ts', import.meta.url), { workerData });
  const [{ port, told }] = await once(thread, 'message');
  const end = async () => {
    await thread.terminate();
    close(fd);
    close(wakeFd);
  };
  /** What it says next, which must be about this. Returns how often it has waited by then. */
  const hear = async (about: string): Promise<number> => {
    const [message] = await once(thread, 'message');
    expect(message.about).toBe(about);
    return message.waits;
  };
  return { thread, wakeFd, port, told, hear, end };
}

describe('wakeForLoop', () => {
  it('lets a wait end for whatever the event loop has to do, for datagrams, and for the wake of setWake', async () => {
    const { thread, wakeFd, port, told, hear, end } = await startLoopWaiter();
    const client = open();
    let waits = 0;
    for (const about of ['message', 'timer', 'file', 'immediate', 'datagram', 'wake', 'message', 'wake', 'datagram']) {
      if (about === 'datagram') send(client.index, port, 'hello');
      else if (about === 'wake') {
        Atomics.store(told, 0, 1);
        signal(wakeFd);
      } else thread.postMessage(about);
      waits = await hear(about);
    }
    // It sleeps where nothing is due: none of these takes more than a few turns.
    expect(waits).toBeLessThan(60);
    await end();
  });
});

describe('nap after wakeForLoop', () => {
  it('ends for whatever the event loop has to do', async () => {
    const { thread, hear, end } = await startLoopWaiter(1_000_000);
    const startedAt = performance.now();
    for (const about of ['message', 'timer', 'file', 'immediate', 'message', 'timer']) {
      thread.postMessage(about);
      await hear(about);
    }
    // Without it, each would wait for a nap of a second.
    expect(performance.now() - startedAt).toBeLessThan(3000);
    await end();
  });

  it('says whether it was cut short', () => {
    expect(nap(1000)).toBe(false);
  });
});

describe('scheduleThread, nap, threadCpuNs', () => {
  it('sets the scheduling class of this thread', () => {
    const policyOf = () => readFileSync('/proc/thread-self/sched', 'utf8').match(/^policy\s*:\s*(\d)/m)?.[1];
    scheduleThread({ batch: true, timerSlackNs: 1000 });
    expect(policyOf()).toBe('3');
    scheduleThread({ batch: false, timerSlackNs: 50_000 });
    expect(policyOf()).toBe('0');
  });

  it('naps about as long as asked, without using CPU', () => {
    const startedAt = performance.now();
    const before = threadCpuNs();
    nap(20_000);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(20);
    expect(threadCpuNs() - before).toBeLessThan(10e6);
    nap(0);
  });
});

describe('loading', () => {
  it('says in one line what to do when the addon is missing', () => {
    const face = fileURLToPath(faceUrl);
    const script = `import(${JSON.stringify(face)}).catch((error) => console.log(error.message))`;
    const env = { ...process.env, STROWGER_ADDON: '/nowhere/strowger.node' };
    const child = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
    expect(child.stdout).toBe("The native addon is not built: run 'npm run install'\n");
  });
});

it('forgets a socket', () => {
  const { index } = open();
  removeSocket(index);
  expect(() => receiveDrops(index)).toThrow(RangeError);
  expect(receiveBatch(1, 0)).toBe(0);
});
