/** Sockets of our own over loopback: what net.Socket does in the same place, by the same events. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type PlainSocket, PlainSockets } from '../../../src/runtime/streams/plain-sockets.ts';
import { close, createEventFd, openTcp } from '../../../src/runtime/udp-socket.ts';
import { until } from '../../process/server-process.ts';
import { TcpPeer } from './tcp-peer.ts';

const KEEP_ALIVE_SEC = 60;

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

/** Served between two turns of this thread's loop, as the thread of the streams does it. */
function served(): PlainSockets {
  const wakeFd = createEventFd();
  const sockets = new PlainSockets(KEEP_ALIVE_SEC, wakeFd);
  const timer = setInterval(() => sockets.serve(0), 1);
  ends.push(() => {
    clearInterval(timer);
    close(wakeFd);
  });
  return sockets;
}

/** What a socket has told. */
class Log {
  readonly events: string[] = [];
  text = '';
  readonly socket: PlainSocket;

  constructor(socket: PlainSocket) {
    this.socket = socket;
    socket.on('end', () => this.events.push('end'));
    socket.on('connect', () => this.events.push('connect'));
    socket.on('error', ({ code }) => this.events.push(`error ${code}`));
    socket.on('close', () => this.events.push('close'));
  }

  read(): this {
    this.socket.on('data', (bytes, end) => {
      this.text += bytes.toString('latin1', 0, end);
    });
    return this;
  }

  untilText(text: string): Promise<void> {
    return until('the text', () => this.text === text, { explain: () => this.text.slice(-200) });
  }

  untilEvents(...events: string[]): Promise<void> {
    return until(events.join(), () => this.events.length >= events.length).then(() =>
      expect(this.events).toEqual(events),
    );
  }
}

async function accepted() {
  const sockets = served();
  const { fd, port } = openTcp({ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0 });
  ends.push(() => close(fd));
  const came: PlainSocket[] = [];
  sockets.listen(fd, (socket) => came.push(socket));
  const peer = await TcpPeer.connect(port);
  ends.push(() => peer.close());
  await until('a connection', () => came.length === 1);
  const socket = came[0]!;
  ends.push(() => socket.destroy());
  return { sockets, peer, socket, log: new Log(socket), port, came };
}

const piece = (text: string) => Buffer.from(text, 'latin1');

describe('a connection that was accepted', () => {
  it('knows both of its addresses', async () => {
    const { socket, peer } = await accepted();
    expect(socket).toMatchObject({ remoteAddress: '127.0.0.1', remotePort: peer.port, localAddress: '127.0.0.1' });
  });

  it('is read once somebody listens, and not while it pauses', async () => {
    const { peer, log, socket } = await accepted();
    peer.send('one');
    log.read();
    await log.untilText('one');
    socket.pause();
    peer.send('two');
    await new Promise((resolve) => setImmediate(resolve));
    expect(log.text).toBe('one');
    socket.resume();
    await log.untilText('onetwo');
  });

  it('sends pieces in their order, also those that wait until the peer reads', async () => {
    const { peer, log, socket } = await accepted();
    log.read();
    peer.socket.pause();
    const large = Array.from({ length: 300 }, (_, i) => `${i} ${'x'.repeat(40_000)}\n`);
    for (const text of large) socket.writeAll([piece(text), piece('.')]);
    expect(socket.writableLength).toBeGreaterThan(0);
    socket.end();
    peer.socket.resume();
    const whole = large.map((text) => `${text}.`).join('');
    await until('all of it', () => peer.text.length >= whole.length);
    expect(peer.text === whole).toBe(true);
    expect(socket.writableLength).toBe(0);
    await until('the end', () => peer.hasEnded);
  });

  it('ends in one direction, and is over when both have', async () => {
    const { peer, log, socket } = await accepted();
    log.read();
    peer.socket.end();
    await log.untilEvents('end');
    socket.writeAll([piece('late')]);
    await until('the answer', () => peer.text === 'late');
    socket.end();
    await log.untilEvents('end', 'close');
    expect(socket.destroyed).toBe(true);
  });

  it('that the peer resets is an error, and over', async () => {
    const { peer, log } = await accepted();
    log.read();
    peer.socket.resetAndDestroy();
    await log.untilEvents('error ECONNRESET', 'close');
  });

  it('that nobody reads learns of a reset by what it sends', async () => {
    const { peer, log, socket } = await accepted();
    peer.socket.resetAndDestroy();
    await until('the reset', () => {
      socket.writeAll([piece('x')]);
      return log.events.length === 2;
    });
    expect(log.events[0]).toMatch(/^error (EPIPE|ECONNRESET)$/);
  });

  it('tells its end after the callback that ended it, once', async () => {
    const { log, socket } = await accepted();
    socket.destroy();
    socket.destroy();
    socket.resetAndDestroy();
    expect(log.events).toEqual([]);
    await log.untilEvents('close');
    socket.writeAll([piece('x')]);
    socket.end();
    socket.pause();
    expect(log.events).toEqual(['close']);
  });

  it('resets where that is wanted', async () => {
    const { peer, socket } = await accepted();
    socket.resetAndDestroy();
    await until('the reset', () => peer.error !== null);
    expect(peer.error).toBe('ECONNRESET');
  });

  it('comes no more once nobody listens', async () => {
    const { sockets, port, came } = await accepted();
    sockets.stopListening();
    const late = await TcpPeer.connect(port);
    ends.push(() => late.close());
    sockets.serve(0);
    expect(came).toHaveLength(1);
  });
});

describe('a connection that is opened', () => {
  const options = (port: number) => ({ host: '127.0.0.1', port, family: 4, localHost: '' }) as const;

  it('says that it is there, and then carries what waited', async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ends.push(() => server.close());
    const socket = served().connect(options((server.address() as { port: number }).port));
    ends.push(() => socket.destroy());
    const log = new Log(socket).read();
    await log.untilEvents('connect');
    socket.writeAll([piece('echo')]);
    await log.untilText('echo');
  });

  it('that is refused says so', async () => {
    const { fd, port } = openTcp({ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0 });
    close(fd);
    await new Log(served().connect(options(port))).untilEvents('error ECONNREFUSED', 'close');
  });

  it('that cannot even be begun says so, too', async () => {
    const socket = served().connect({ ...options(9), localHost: '192.0.2.1' });
    await new Log(socket).untilEvents('error EADDRNOTAVAIL', 'close');
  });
});

describe('a round', () => {
  it('in which a connection has ended wants a turn of the loop', async () => {
    const wakeFd = createEventFd();
    const sockets = new PlainSockets(KEEP_ALIVE_SEC, wakeFd);
    ends.push(() => close(wakeFd));
    const socket = sockets.connect({ host: '127.0.0.1', port: 9, family: 4, localHost: '192.0.2.1' });
    expect([socket.destroyed, sockets.hasTicks]).toEqual([true, true]);
    await new Log(socket).untilEvents('error EADDRNOTAVAIL', 'close');
    expect(sockets.hasTicks).toBe(false);
  });
});
