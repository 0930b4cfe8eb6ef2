/** One connection over loopback, with a clock that the test advances and a host that remembers. */

import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';
import { constants } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { createArena } from '../../../src/memory/arena.ts';
import { COUNTER, Counters } from '../../../src/observe/counters.ts';
import { addressWords, NO_ADDRESS } from '../../../src/runtime/streams/address-words.ts';
import {
  type CloseReason,
  Connection,
  type ConnectionHost,
  type SentResponse,
} from '../../../src/runtime/streams/connection.ts';
import type { SentRequest } from '../../../src/runtime/streams/sent-requests.ts';
import { FRAME_FAULT } from '../../../src/sip/stream-framing.ts';
import { TRANSPORT } from '../../../src/sip/transport.ts';
import { until } from '../../process/server-process.ts';
import { TcpPeer } from './tcp-peer.ts';

const SETTINGS = {
  messageBytes: 65_535,
  messageSec: 10,
  silentSec: 60,
  idleSec: 3900,
  connectMs: 5000,
  queueBytes: 1024 * 1024,
};
const OK = 'SIP/2.0 200 OK\r\nl: 0\r\n\r\n';
const ASK = 'MESSAGE sip:a SIP/2.0\r\nl: 0\r\n\r\n';
const ANSWER = Buffer.from('SIP/2.0 202 Accepted\r\nl: 0\r\n\r\n');

class Host implements ConnectionHost {
  readonly settings;
  readonly counters = new Counters(createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 }), 3);
  clockMs = 1_000_000;
  hasRoom = true;
  readonly messages: { text: string; fault: number }[] = [];
  readonly undeliveredTags: number[][] = [];
  readonly dirty: Connection[] = [];
  reason: CloseReason | null = null;
  readonly reopened: SentResponse[] = [];

  constructor(settings: Partial<typeof SETTINGS>) {
    this.settings = { ...SETTINGS, ...settings };
  }

  nowMs(): number {
    return this.clockMs;
  }

  deliver(_: Connection, bytes: Uint8Array, start: number, end: number, fault: number): boolean {
    if (this.hasRoom) this.messages.push({ text: Buffer.from(bytes.slice(start, end)).toString('latin1'), fault });
    return this.hasRoom;
  }

  noteOutput(connection: Connection): void {
    this.dirty.push(connection);
  }

  undelivered(_: unknown, request: SentRequest | null, errno: number): void {
    this.undeliveredTags.push(request === null ? [errno] : [request.shard, request.tag, request.flags, errno]);
  }

  reopen(response: SentResponse): void {
    this.reopened.push(response);
  }

  closed(_: Connection, reason: CloseReason): void {
    this.reason = reason;
  }

  get texts(): string[] {
    return this.messages.map(({ text }) => text);
  }

  flush(): void {
    for (const connection of this.dirty.splice(0)) connection.flush();
  }
}

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

/** An accepted connection and its peer. Without `allowHalfOpen` as by TLS. */
async function accepted(settings: Partial<typeof SETTINGS> = {}, allowHalfOpen = true) {
  const host = new Host(settings);
  const server = createServer({ allowHalfOpen }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [[socket], peer] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    TcpPeer.connect((server.address() as { port: number }).port),
  ]);
  const connection = new Connection(
    socket,
    {
      number: 7,
      socket: 0,
      transport: TRANSPORT.TCP,
      peer: addressWords('127.0.0.1'),
      port: peer.port,
      local: NO_ADDRESS,
      source: '127.0.0.1',
      serverName: '',
      peerNames: null,
    },
    host,
  );
  opened.push(server, peer, { close: () => socket.destroy() });
  /** Lets time pass as the thread's sweeper does. */
  const pass = (seconds: number) => {
    host.clockMs += seconds * 1000;
    connection.sweep(host.clockMs);
  };
  const untilTexts = (...texts: string[]) =>
    until('the messages', () => host.texts.length >= texts.length).then(() => expect(host.texts).toEqual(texts));
  const untilReason = (reason: CloseReason) =>
    until('the end', () => host.reason !== null).then(() => expect(host.reason).toBe(reason));
  const count = (name: keyof typeof COUNTER) => host.counters.valueOf(COUNTER[name]);
  return { host, socket, peer, connection, pass, untilTexts, untilReason, count };
}

describe('what a peer sends', () => {
  it('becomes messages, however it is cut', async () => {
    const { peer, untilTexts } = await accepted();
    const long = `MESSAGE sip:a SIP/2.0\r\nl: 20000\r\n\r\n${'x'.repeat(20_000)}`;
    peer.send(OK + OK);
    await untilTexts(OK, OK);
    for (const byte of OK) peer.send(byte);
    await untilTexts(OK, OK, OK);
    peer.send(OK + long.slice(0, 9000));
    await untilTexts(OK, OK, OK, OK);
    peer.send(long.slice(9000, 15_000));
    peer.send(long.slice(15_000) + OK);
    await untilTexts(OK, OK, OK, OK, long, OK);
  });

  it('waits while there is no room, in order', async () => {
    const { host, peer, connection, socket, untilTexts, count } = await accepted();
    host.hasRoom = false;
    const [first, second] = ['1', '2'].map((body) => `SIP/2.0 200 OK\r\nl: 1\r\n\r\n${body}`);
    peer.send(first! + second!.slice(0, 5));
    await until('it stalls', () => count('stream_stalls_total') === 1);
    expect(socket.isPaused()).toBe(true);
    peer.send(second!.slice(5));
    connection.readOn();
    expect(count('stream_stalls_total')).toBe(2);
    expect(host.texts).toEqual([]);
    host.hasRoom = true;
    connection.readOn();
    await untilTexts(first!, second!);
    expect(socket.isPaused()).toBe(false);
  });

  describe.each([
    { how: 'ends', reason: 'peer', leave: (peer: TcpPeer) => void peer.socket.end() },
    { how: 'resets it', reason: 'error', leave: (peer: TcpPeer) => void (peer.socket as Socket).resetAndDestroy() },
  ] as const)('while there is no room, and then $how', ({ reason, leave }) => {
    async function left() {
      const { host, socket, peer, count, ...more } = await accepted({}, false);
      host.hasRoom = false;
      peer.send(ASK + OK + OK.slice(0, 9));
      await until('it stalls', () => count('stream_stalls_total') === 1);
      leave(peer);
      await until('it is gone', () => socket.closed);
      expect(host.texts).toEqual([]);
      return { host, socket, peer, count, ...more };
    }

    it('is heard out', async () => {
      const { host, connection, pass } = await left();
      expect([connection.isOpen, connection.isReusable]).toEqual([false, false]);
      connection.readOn();
      pass(5000);
      expect([host.texts, host.reason]).toEqual([[], null]);
      host.hasRoom = true;
      connection.readOn();
      expect([host.texts, host.reason]).toEqual([[ASK, OK], reason]);
    });

    it.each(['banned', 'stop'] as const)('is not, once it is %s', async (end) => {
      const { host, connection } = await left();
      if (end === 'banned') connection.ban();
      else connection.close(end);
      expect(host.reason).toBe(end);
      host.hasRoom = true;
      connection.readOn();
      expect(host.texts).toEqual([]);
    });
  });

  it('keep-alives are answered by one line end each', async () => {
    const { host, peer, count } = await accepted();
    peer.send(`\r\n\r\n${OK}\r\n\r\n\r\n\r\n`);
    await until('three', () => count('stream_pings_total') === 3);
    host.flush();
    await peer.receive('\r\n\r\n\r\n');
    expect(peer.text).toBe('\r\n\r\n\r\n');
  });

  it('is given up when a message is not whole in time', async () => {
    const { peer, pass, untilTexts, untilReason } = await accepted();
    peer.send(OK + OK.slice(0, 20));
    await untilTexts(OK);
    pass(9);
    peer.send(OK.slice(20) + OK.slice(0, 5));
    await untilTexts(OK, OK);
    pass(9);
    peer.send(OK.slice(5, 6));
    pass(1);
    await untilReason('slow');
    await peer.untilClosed();
  });

  it('is not given up for what we are slow at', async () => {
    const { host, peer, connection, pass, count, untilTexts } = await accepted();
    host.hasRoom = false;
    peer.send(OK);
    await until('it stalls', () => count('stream_stalls_total') === 1);
    pass(100);
    host.hasRoom = true;
    connection.readOn();
    await untilTexts(OK);
    expect(connection.isOpen).toBe(true);
  });

  it.each([
    { what: 'no SIP', text: 'GET / HTTP/1.1\r\n\r\n', reason: 'junk' },
    { what: 'headers without an end', text: `MESSAGE sip:a SIP/2.0\r\nX: ${'x'.repeat(65_535)}`, reason: 'fault' },
  ] as const)('$what ends the connection at once', async ({ text, reason }) => {
    const { host, peer, untilReason } = await accepted();
    peer.send(text);
    await untilReason(reason);
    expect(host.texts).toEqual([]);
  });

  it('without an end that can be known is answered once, and then closed', async () => {
    const { host, peer, connection, untilTexts, untilReason } = await accepted();
    const text = 'MESSAGE sip:a SIP/2.0\r\nCall-ID: a\r\n\r\n';
    peer.send(`${OK}${text}body${OK}`);
    await untilTexts(OK, text);
    expect(host.messages[1]!.fault).toBe(FRAME_FAULT.NO_CONTENT_LENGTH);
    expect(connection.isReusable).toBe(false);
    expect(connection.isOpen, 'for the answer').toBe(true);
    peer.send(OK.repeat(1000));
    connection.send(ANSWER, null);
    host.flush();
    expect(await peer.receive('202')).toBe(ANSWER.toString());
    await until('the end of it', () => peer.hasEnded);
    expect(peer.error).toBeNull();
    peer.socket.end();
    await untilReason('fault');
    expect(host.texts).toEqual([OK, text]);
  });

  it('is no SIP after something that was: answers to that still go this way, then it is closed (18.2.2)', async () => {
    const { host, peer, connection, pass, untilTexts, untilReason } = await accepted();
    peer.send(`${ASK}${ASK}\0\0\0\0`);
    await untilTexts(ASK, ASK);
    await until('the end of reading', () => !connection.isReusable);
    for (const count of [1, 2]) {
      connection.send(ANSWER, null);
      host.flush();
      await until('an answer', () => peer.text === ANSWER.toString().repeat(count));
    }
    expect(peer.hasEnded).toBe(false);
    pass(2);
    await untilReason('junk');
  });

  it('and nobody answers: it is closed all the same', async () => {
    const { peer, pass, untilTexts, untilReason } = await accepted();
    const response = 'SIP/2.0 200 OK\r\n\r\n';
    peer.send(response);
    await untilTexts(response);
    pass(2);
    await untilReason('fault');
  });
});

describe('what is sent', () => {
  it('leaves in order, in one write', async () => {
    const { host, peer, connection, count } = await accepted();
    for (const text of ['one', 'two', 'three']) connection.send(Buffer.from(text), null);
    expect(host.dirty).toEqual([connection]);
    host.flush();
    expect(await peer.receive('three')).toBe('onetwothree');
    expect([count('stream_messages_sent_total'), count('stream_bytes_sent_total')]).toEqual([3, 11]);
  });

  it('to a peer that does not read is bounded: it is cut off, and what waited is told', async () => {
    const { host, peer, connection, untilReason } = await accepted({ queueBytes: 65_536 });
    peer.socket.pause();
    let tag = 0;
    while (connection.isOpen && tag < 10_000) {
      connection.send(Buffer.alloc(16_384), { shard: 3, tag: ++tag, flags: 9, origin: null });
      host.flush();
    }
    await untilReason('unread');
    const { ENOBUFS, ECONNRESET } = constants.errno;
    const [refused, ...waiting] = host.undeliveredTags;
    expect(refused).toEqual([3, tag, 9, ENOBUFS]);
    expect(waiting.length).toBeGreaterThan(1);
    expect(waiting.every(([shard, , flags, errno]) => shard === 3 && flags === 9 && errno === ECONNRESET)).toBe(true);
    expect(new Set(host.undeliveredTags.map(([, each]) => each)).size).toBe(host.undeliveredTags.length);
  });

  it('is told of what has left and was followed by a reset (18.4)', async () => {
    const { host, peer, connection, pass, untilReason } = await accepted();
    connection.send(ANSWER, { shard: 0, tag: 1, flags: 0, origin: null });
    host.flush();
    await peer.receive('202');
    pass(1);
    peer.socket.resetAndDestroy();
    await untilReason('error');
    expect(host.undeliveredTags).toEqual([[0, 1, 0, constants.errno.ECONNRESET]]);
  });

  it('is told of nothing once the peer has said something, or if it closes in order', async () => {
    for (const isReset of [true, false]) {
      const { host, peer, connection, count, pass, untilReason } = await accepted();
      connection.send(ANSWER, { shard: 0, tag: 1, flags: 0, origin: null });
      host.flush();
      await peer.receive('202');
      if (isReset) {
        peer.send('\r\n\r\n');
        await until('it is heard', () => count('stream_pings_total') === 1);
        host.flush();
        pass(1);
        await peer.receive('\r\n');
        peer.socket.resetAndDestroy();
      } else {
        peer.socket.end();
      }
      await untilReason(isReset ? 'error' : 'peer');
      expect(host.undeliveredTags).toEqual([]);
    }
  });
});

describe('a connection that nobody uses', () => {
  it('is closed when it has said nothing at first', async () => {
    const { peer, pass, untilReason } = await accepted();
    pass(59);
    pass(1);
    await until('the end of it', () => peer.hasEnded);
    peer.socket.end();
    await untilReason('idle');
  });

  it('is closed after long, counted from the last message in either direction', async () => {
    const { host, peer, connection, pass, untilTexts, untilReason } = await accepted();
    peer.send(OK);
    await untilTexts(OK);
    pass(3899);
    connection.send(ANSWER, null);
    host.flush();
    pass(3899);
    expect(connection.isOpen).toBe(true);
    pass(1);
    await until('the end of it', () => peer.hasEnded);
    peer.socket.end();
    await untilReason('idle');
  });

  it('and whose peer does not close its half, is ended', async () => {
    const { peer, pass, untilReason } = await accepted();
    pass(60);
    await until('the end of it', () => peer.hasEnded);
    pass(2);
    await untilReason('idle');
  });
});

describe('a peer that closes', () => {
  it('has its connection closed', async () => {
    const { peer, untilReason } = await accepted();
    peer.socket.end();
    await untilReason('peer');
    await peer.untilClosed();
  });

  it('in the middle of a message: what there is of it is dropped', async () => {
    const { host, peer, untilReason } = await accepted();
    peer.send(`MESSAGE sip:a SIP/2.0\r\nl: 5\r\n\r\nhe`);
    peer.socket.end();
    await untilReason('peer');
    expect(host.texts).toEqual([]);
  });

  describe('its half only, with a request unanswered (RFC 3261 18.2.2)', () => {
    async function halfClosed(...texts: string[]) {
      const world = await accepted();
      const { peer, connection, untilTexts } = world;
      peer.socket.end(texts.join(''), 'latin1');
      await untilTexts(...texts);
      await until('its end', () => !connection.isReusable);
      expect([connection.isOpen, connection.isHalfClosed]).toEqual([true, true]);
      return world;
    }

    const response = (text: string): [Buffer, null, SentResponse] => {
      const bytes = Buffer.from(`SIP/2.0 ${text}\r\nl: 0\r\n\r\n`);
      return [bytes, null, { bytes, record: new Int32Array(16) }];
    };

    it('gets all responses this way, and then the end', async () => {
      const { host, peer, connection, pass, untilReason } = await halfClosed(ASK, ASK);
      host.flush();
      // Long after the call has begun to ring.
      pass(170);
      for (const text of ['180 Ringing', '200 OK', '486 Busy Here']) {
        expect(peer.hasEnded).toBe(false);
        connection.send(...response(text));
        host.flush();
        await peer.receive(text);
      }
      expect(peer.text).toMatch(/^(\r\n)+SIP\/2\.0 180/);
      pass(1);
      await untilReason('peer');
      await peer.untilClosed();
      expect(host.reopened).toEqual([]);
    });

    it('and never an answer: is closed after as long as a call may ring', async () => {
      const { host, pass, connection, untilReason } = await halfClosed(ASK);
      host.flush();
      pass(184);
      expect(connection.isOpen).toBe(true);
      pass(1);
      await untilReason('peer');
    });

    it('is told apart from one that is gone altogether, to which nothing need be sent', async () => {
      const { host, peer, pass, untilReason } = await halfClosed(ASK);
      peer.socket.destroy();
      await until('a reset', () => {
        pass(1);
        host.flush();
        return host.reason !== null;
      });
      await untilReason('peer');
    });

    it('and is gone altogether: what was sent to it is to go by another connection', async () => {
      const { host, peer, connection, pass, untilReason } = await halfClosed(ASK);
      peer.socket.destroy();
      connection.send(...response('180 Ringing'));
      connection.send(...response('200 OK'));
      host.flush();
      await until('a reset', () => {
        pass(1);
        host.flush();
        return host.reason !== null;
      });
      await untilReason('peer');
      expect(host.reopened.map(({ bytes }) => bytes.toString().slice(8, 11))).toEqual(['180', '200']);
    });
  });

  it.each([
    { what: 'a response', text: OK },
    { what: 'an ACK', text: 'ACK sip:a SIP/2.0\r\nl: 0\r\n\r\n' },
  ])('its half only after $what has asked for nothing', async ({ text }) => {
    const { peer, untilTexts, untilReason } = await accepted();
    peer.socket.end(text, 'latin1');
    await untilTexts(text);
    await untilReason('peer');
  });

  it('by a reset: it broke', async () => {
    const { peer, untilReason } = await accepted();
    peer.socket.resetAndDestroy();
    await untilReason('error');
  });
});

describe('a connection that is opened', () => {
  function opening(socket: Socket, host: Host): Connection {
    const peer = addressWords('127.0.0.1');
    const identity = {
      number: 7,
      socket: 0,
      transport: TRANSPORT.TCP,
      peer,
      port: 1,
      local: NO_ADDRESS,
      source: null,
      serverName: '',
      peerNames: null,
    };
    return new Connection(socket, identity, host, { event: 'connect', isTrusted: () => true });
  }

  it('and gets no answer is given up, and what waited is told', async () => {
    const host = new Host({});
    const connection = opening(new Socket(), host);
    connection.send(ANSWER, { shard: 1, tag: 5, flags: 6, origin: null });
    connection.sweep(host.clockMs + 4999);
    expect(connection.isOpen).toBe(true);
    connection.sweep(host.clockMs + 5000);
    await until('the end', () => host.reason !== null);
    expect(host.reason).toBe('unconnected');
    expect(host.undeliveredTags).toEqual([[1, 5, 6, constants.errno.ETIMEDOUT]]);
  });

  it('and is open has no deadline, and may say nothing for long', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const socket = connect((server.address() as { port: number }).port, '127.0.0.1');
    opened.push(server, { close: () => socket.destroy() });
    const host = new Host({});
    const connection = opening(socket, host);
    connection.send(ANSWER, null);
    host.flush();
    const peer = new TcpPeer((await connected)[0]);
    opened.push(peer);
    expect(await peer.receive('202')).toBe(ANSWER.toString());
    connection.sweep(host.clockMs + 100_000);
    expect(connection.isReusable).toBe(true);
  });
});
