/** Connections of TCP as the addon has them: over loopback, with an epoll of this thread. */

import { once } from 'node:events';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type AcceptedStream,
  acceptStream,
  close,
  closeStream,
  connectStream,
  createEventFd,
  endStream,
  openStreams,
  openTcp,
  receiveStream,
  resetStream,
  STREAM_EVENT,
  sendStream,
  signal,
  streamError,
  waitForStreams,
  watchStream,
} from '../../src/runtime/udp-socket.ts';
import { PATIENCE_MS } from '../process/patience.ts';
import { until } from '../process/server-process.ts';

const { EAGAIN, ECONNREFUSED, ECONNRESET } = constants.errno;
const AREA_BYTES = 1 << 16;
const area = new Uint8Array(new SharedArrayBuffer(AREA_BYTES));
const ready = new Int32Array(new SharedArrayBuffer(64));

/** What to close afterwards, and by what. */
const opened = new Map<number, (fd: number) => void>();
afterEach(() => {
  for (const [fd, end] of opened) end(fd);
  opened.clear();
});

function keep(fd: number): number {
  opened.set(fd, close);
  return fd;
}

function keepConnection(fd: number): number {
  expect(fd).toBeGreaterThanOrEqual(0);
  opened.set(fd, closeStream);
  return fd;
}

function forget(fd: number): number {
  opened.delete(fd);
  return fd;
}

/** What is told of `fd`: looks on until it is. */
function eventsOf(fd: number): number {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    const count = waitForStreams(100);
    for (let i = 0; i < count; i++) if (ready[2 * i] === fd) return ready[2 * i + 1]!;
  }
  throw new Error(`nothing was told of ${fd}`);
}

/** The same, while the event loop goes on. */
function untilReady(fd: number): Promise<void> {
  return until(`something is told of ${fd}`, () => waitForStreams(0) > 0 && ready[0] === fd);
}

function listen() {
  const listener = openTcp({ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0 });
  keep(listener.fd);
  watchStream(listener.fd, STREAM_EVENT.READABLE);
  return listener;
}

/** Both ends of a connection. */
function connection() {
  openStreams(area, ready, false);
  const listener = listen();
  const client = keepConnection(
    connectStream({ host: '127.0.0.1', port: listener.port, family: 4, localHost: '', keepAliveSec: 60 }),
  );
  watchStream(client, STREAM_EVENT.WRITABLE);
  expect(eventsOf(client) & STREAM_EVENT.WRITABLE).not.toBe(0);
  expect(streamError(client)).toBe(0);
  watchStream(client, STREAM_EVENT.READABLE);
  expect(eventsOf(listener.fd)).toBe(STREAM_EVENT.READABLE);
  const accepted = acceptStream(listener.fd, 60) as AcceptedStream;
  keepConnection(accepted.fd);
  watchStream(accepted.fd, STREAM_EVENT.READABLE);
  return { listener, client, accepted, server: accepted.fd };
}

function put(text: string): number {
  area.set(Buffer.from(text), 100);
  return text.length;
}

function received(fd: number): string {
  expect(eventsOf(fd) & STREAM_EVENT.READABLE).not.toBe(0);
  const bytes = receiveStream(fd, 5000, 1000);
  return Buffer.from(area.slice(5000, 5000 + bytes)).toString();
}

describe('a connection', () => {
  it('carries bytes both ways, from one place of the area to another', () => {
    const { client, server } = connection();
    expect(sendStream(client, 100, put('OPTIONS'))).toBe(7);
    expect(received(server)).toBe('OPTIONS');
    expect(receiveStream(server, 0, 10)).toBe(-EAGAIN);
    expect(sendStream(server, 100, put('200 OK'))).toBe(6);
    expect(received(client)).toBe('200 OK');
  });

  it('is accepted with the address and port of its peer, once', () => {
    const { listener, accepted, client } = connection();
    expect(accepted).toMatchObject({ host: '127.0.0.1', localHost: '127.0.0.1' });
    expect(accepted.port).not.toBe(listener.port);
    expect(acceptStream(listener.fd, 0)).toBe(-EAGAIN);
    expect(client).not.toBe(accepted.fd);
  });

  it('comes from the address that was asked for', () => {
    openStreams(area, ready, false);
    const listener = listen();
    const options = { host: '127.0.0.1', port: listener.port, family: 4, keepAliveSec: 0 } as const;
    keepConnection(connectStream({ ...options, localHost: '127.0.0.2' }));
    eventsOf(listener.fd);
    const { fd, host } = acceptStream(listener.fd, 0) as AcceptedStream;
    keepConnection(fd);
    expect(host).toBe('127.0.0.2');
  });

  it('ends in one direction after the other', () => {
    const { client, server } = connection();
    endStream(client);
    expect(eventsOf(server)).toBe(STREAM_EVENT.READABLE);
    expect(receiveStream(server, 0, 10)).toBe(0);
    expect(sendStream(server, 100, put('late'))).toBe(4);
    expect(received(client)).toBe('late');
    endStream(server);
    expect(eventsOf(client) & STREAM_EVENT.BROKEN).not.toBe(0);
    endStream(client);
  });

  it('that is reset says so', () => {
    const { client, server } = connection();
    resetStream(forget(client));
    expect(eventsOf(server) & STREAM_EVENT.BROKEN).not.toBe(0);
    expect(receiveStream(server, 0, 10)).toBe(-ECONNRESET);
  });

  it('ends with the thread that has it', async () => {
    openStreams(area, ready, false);
    const listener = listen();
    const code = `
      const { workerData, parentPort } = require('node:worker_threads');
      import(workerData.face).then(({ connectStream }) => {
        connectStream({ host: '127.0.0.1', port: workerData.port, family: 4, localHost: '', keepAliveSec: 0 });
        parentPort.once('message', () => { throw new Error('on request'); });
      });`;
    const face = new URL('../../src/runtime/udp-socket.ts', import.meta.url).href;
    const worker = new Worker(code, { eval: true, workerData: { face, port: listener.port } });
    const ended = once(worker, 'error');
    await untilReady(listener.fd);
    const { fd } = acceptStream(listener.fd, 0) as AcceptedStream;
    watchStream(keepConnection(fd), STREAM_EVENT.READABLE);
    expect(waitForStreams(0)).toBe(0);
    worker.postMessage('now');
    await ended;
    await untilReady(fd);
    expect(receiveStream(fd, 0, 10)).toBe(0);
  });

  it('that nobody accepts is refused', () => {
    openStreams(area, ready, false);
    const { port, fd } = openTcp({ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0 });
    close(fd);
    const client = connectStream({ host: '127.0.0.1', port, family: 4, localHost: '', keepAliveSec: 0 });
    if (client < 0) {
      expect(client).toBe(-ECONNREFUSED);
      return;
    }
    keepConnection(client);
    watchStream(client, STREAM_EVENT.WRITABLE);
    expect(eventsOf(client) & STREAM_EVENT.BROKEN).not.toBe(0);
    expect(streamError(client)).toBe(ECONNREFUSED);
    expect(streamError(client)).toBe(0);
  });

  it('takes no more than the peer reads, and says when there is room again', () => {
    const { client, server } = connection();
    let sent = 0;
    let bytes = 0;
    while ((bytes = sendStream(client, 0, AREA_BYTES)) > 0) sent += bytes;
    expect(bytes).toBe(-EAGAIN);
    watchStream(client, STREAM_EVENT.WRITABLE);
    watchStream(server, 0);
    expect(waitForStreams(0)).toBe(0);
    while (sent > 0) sent -= Math.max(0, receiveStream(server, 0, AREA_BYTES));
    expect(eventsOf(client)).toBe(STREAM_EVENT.WRITABLE);
  });
});

describe('waiting', () => {
  it('ends by an eventfd, once for each signal, unread', () => {
    openStreams(area, ready, false);
    const fd = keep(createEventFd());
    watchStream(fd, STREAM_EVENT.READABLE | STREAM_EVENT.EDGE);
    expect(waitForStreams(0)).toBe(0);
    for (let i = 0; i < 2; i++) {
      signal(fd);
      expect(waitForStreams(-1)).toBe(1);
      expect([...ready.subarray(0, 2)]).toEqual([fd, STREAM_EVENT.READABLE]);
      expect(waitForStreams(0)).toBe(0);
    }
  });

  it('tells of no more than there is room for, and of the others next time', () => {
    openStreams(area, new Int32Array(new SharedArrayBuffer(16)), false);
    const fds = [keep(createEventFd()), keep(createEventFd())];
    for (const fd of fds) {
      watchStream(fd, STREAM_EVENT.READABLE | STREAM_EVENT.EDGE);
      signal(fd);
    }
    expect([waitForStreams(0), waitForStreams(0), waitForStreams(0)]).toEqual([1, 1, 0]);
  });

  it('ends when the event loop has something to do, and tells so', async () => {
    const code = `
      const { workerData, parentPort } = require('node:worker_threads');
      import(workerData).then(({ openStreams, waitForStreams, LOOP_READY, createEventFd, signal, watch }) => {
        const ready = new Int32Array(new SharedArrayBuffer(64));
        openStreams(new Uint8Array(new SharedArrayBuffer(64)), ready, true);
        const fd = createEventFd();
        let hasFired = false;
        watch(fd, () => {
          if (hasFired) return;
          const count = waitForStreams(-1);
          parentPort.postMessage(count === 0 || ready[2 * (count - 1)] === LOOP_READY ? 'loop' : 'else');
          signal(fd);
        });
        setTimeout(() => { hasFired = true; parentPort.postMessage('timer'); setImmediate(() => process.exit(0)); }, 30);
        parentPort.on('message', (text) => parentPort.postMessage(text));
        parentPort.postMessage('there');
        signal(fd);
      });`;
    const face = new URL('../../src/runtime/udp-socket.ts', import.meta.url).href;
    const worker = new Worker(code, { eval: true, workerData: face });
    const told: unknown[] = [];
    worker.on('message', (message) => {
      told.push(message);
      if (message === 'there') worker.postMessage('hello');
    });
    await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
    expect(new Set(told)).toEqual(new Set(['there', 'hello', 'timer', 'loop']));
  });
});

describe('misuse', () => {
  const shared = (bytes: number) => new SharedArrayBuffer(bytes);

  it('of the area and of what is ready is refused', () => {
    const open = openStreams as (...values: unknown[]) => void;
    for (const bad of [undefined, {}, new Uint8Array(64), new Int32Array(shared(64)), shared(64), Buffer.alloc(64)]) {
      expect(() => open(bad, ready, false)).toThrow(TypeError);
    }
    for (const bad of [undefined, {}, new Int32Array(16), new Uint8Array(shared(64))]) {
      expect(() => open(area, bad, false)).toThrow(TypeError);
    }
    expect(() => openStreams(area, new Int32Array(shared(8)), false)).toThrow(RangeError);
  });

  it('of a place outside of the area is refused', () => {
    const { client } = connection();
    for (const [offset, length] of [
      [0, AREA_BYTES + 1],
      [AREA_BYTES, 1],
      [0x7fffffff, 0x7fffffff],
    ] as const) {
      expect(() => receiveStream(client, offset, length)).toThrow(RangeError);
      expect(() => sendStream(client, offset, length)).toThrow(RangeError);
    }
    expect(sendStream(client, AREA_BYTES - 1, 1)).toBe(1);
  });

  it('of a descriptor that is closed, or no socket, is told', () => {
    openStreams(area, ready, false);
    const fd = createEventFd();
    expect(sendStream(fd, 0, 1)).toBe(-constants.errno.ENOTSOCK);
    close(fd);
    expect(receiveStream(fd, 0, 1)).toBe(-constants.errno.EBADF);
    expect(streamError(fd)).toBe(constants.errno.EBADF);
    expect(() => watchStream(fd, STREAM_EVENT.READABLE)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => endStream(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => closeStream(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => resetStream(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  it('of options of connectStream is refused', () => {
    const connect = connectStream as (options: unknown) => number;
    const good = { host: '127.0.0.1', port: 9, family: 4, localHost: '', keepAliveSec: 0 };
    for (const key of ['port', 'family', 'keepAliveSec']) {
      expect(() => connect({ ...good, [key]: 'x' })).toThrow(TypeError);
      expect(() => connect({ ...good, [key]: -1 })).toThrow(RangeError);
    }
    expect(() => connect({ ...good, family: 5 })).toThrow(RangeError);
    for (const host of [1, undefined, 'localhost', '127.0.0.1\0', '::1']) {
      expect(() => connect({ ...good, host })).toThrow(TypeError);
    }
    for (const localHost of [1, undefined, 'localhost', '::1']) {
      expect(() => connect({ ...good, localHost })).toThrow(TypeError);
    }
  });
});
