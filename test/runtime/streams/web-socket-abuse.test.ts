/** The table of docs/transports.md about WebSockets, row by row, against the real server. */

import { afterAll, beforeAll, expect } from 'vitest';
import type { ClientOptions } from 'ws';
import { until } from '../../process/server-process.ts';
import { Authority } from '../tls/authority.ts';
import { connectByTls } from '../tls/tls-peers.ts';
import { AbusedServer, IN_ALL, PER_SOURCE, type Row, tryTable } from './abuse-table.ts';
import type { TcpPeer } from './tcp-peer.ts';
import { frame, OPCODE, refusalOf, upgradedByHand, upgradeRequest, WebSocketPeer } from './web-socket-peer.ts';

const authority = new Authority();
const own = authority.issue('own', ['IP:127.0.0.1']);

let server: AbusedServer;

beforeAll(async () => {
  const { certificate, key } = own;
  server = await AbusedServer.start(
    ['ws:127.0.0.1:0', 'wss:127.0.0.1:0'],
    [
      `tls.certificates=[{certificate: ${certificate}, key: ${key}}]`,
      'webSocket.origins=[https://phone.example, none]',
      // Longer than whatever is not about it.
      'webSocket.pingSec=3',
    ],
  );
});

afterAll(() => authority.close());

type By = 'ws' | 'wss';
const BOTH: readonly By[] = ['ws', 'wss'];

/** The same by WS and by WSS, at once. */
async function byBoth(run: (by: By) => Promise<void>): Promise<void> {
  await Promise.all(BOTH.map(run));
}

const ask = (by: By, fields: Parameters<AbusedServer['ask']>[0] = {}) =>
  server.ask({ by: by.toUpperCase(), ...fields });
const urlOf = (by: By) => `${by}://127.0.0.1:${server.portOf(by)}/`;

/** A connection, of WSS with TLS, that asks for nothing so far. */
async function arrived(by: By): Promise<TcpPeer> {
  if (by === 'ws') return server.peer(server.portOf('ws'));
  const peer = await connectByTls(server.portOf('wss'), { ca: authority.pem });
  server.open.push(peer);
  return peer;
}

/** A WebSocket whose frames the test writes. `text` has what has come since. */
async function upgraded(by: By): Promise<TcpPeer> {
  const peer = await upgradedByHand(await arrived(by));
  peer.text = '';
  return peer;
}

async function client(by: By, options: ClientOptions = {}): Promise<WebSocketPeer> {
  const peer = await WebSocketPeer.connect(urlOf(by), { ca: authority.pem, ...options });
  server.open.push(peer);
  return peer;
}

const hasEnded = (peer: TcpPeer) => peer.hasEnded || peer.isClosed;

async function end(peer: TcpPeer): Promise<void> {
  await until('the end', () => hasEnded(peer), { explain: () => JSON.stringify(peer.text) });
}

/** What is sent in the place of HTTP, and how it is answered. */
async function answered(by: By, bytes: string | Buffer, answer: RegExp): Promise<void> {
  const peer = await arrived(by);
  peer.send(bytes);
  await end(peer);
  peer.socket.end();
  expect(peer.text).toMatch(answer);
}

/** Frames that end the WebSocket, with `code` (RFC 6455 7.4.1). Nobody says that it is closed: it ends all the same. */
async function closedBy(by: By, frames: Buffer, code: number): Promise<void> {
  const peer = await upgraded(by);
  peer.send(frames);
  await end(peer);
  const closing = Buffer.from(peer.text, 'latin1');
  expect([closing[0], closing.readUInt16BE(2)]).toEqual([0x80 | OPCODE.CLOSE, code]);
}

/** Sends one piece after the other until the server has had enough, which must be before they are at their end. */
async function dripped(peer: TcpPeer, pieces: (n: number) => string | Buffer): Promise<void> {
  let sent = 0;
  await until('the end', () => {
    if (!hasEnded(peer)) peer.send(pieces(sent++));
    return hasEnded(peer);
  });
}

/** Bytes one by one; there are enough of them for all of a test's patience. */
const byteByByte = (bytes: Buffer) => (n: number) => bytes.subarray(n, n + 1);

const GARBAGE = Buffer.alloc(2000, 0xff);
const TLS_HELLO = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(506, 7)]);

const ROWS: Record<string, Row> = {
  'no request for a WebSocket after the connection, or half of one': {
    counter: 'stream_closed_upgrade_total',
    count: 4,
    run: () =>
      byBoth(async (by) => {
        const [silent, half] = [await arrived(by), await arrived(by)];
        half.send(upgradeRequest().slice(0, 60));
        await Promise.all([end(silent), end(half)]);
        expect([silent.text, half.text]).toEqual(['', '']);
      }),
  },
  'a request for a WebSocket, byte by byte (slowloris)': {
    counter: 'stream_closed_upgrade_total',
    count: 2,
    run: () =>
      byBoth(async (by) => {
        const peer = await arrived(by);
        const text = upgradeRequest([`X-Long: ${'a'.repeat(12_000)}`]);
        await dripped(peer, byteByByte(Buffer.from(text)));
        expect(peer.text).toBe('');
      }),
  },
  'HTTP that asks for no WebSocket, or for one without the subprotocol `sip`, of another version or without a key': {
    counter: 'stream_upgrades_refused_total',
    count: 10,
    run: () =>
      byBoth(async (by) => {
        await answered(by, 'GET / HTTP/1.1\r\nHost: edge.example\r\n\r\n', /^HTTP\/1\.1 426 /);
        await answered(by, upgradeRequest().replace('GET', 'POST'), /^HTTP\/1\.1 400 /);
        for (const [from, to] of [
          ['Protocol: sip', 'Protocol: chat'],
          ['Version: 13', 'Version: 7'],
          ['dGhlIHNhbXBsZSBub25jZQ==', 'c2hvcnQ='],
        ] as const) {
          await answered(by, upgradeRequest().replace(from, to), /^HTTP\/1\.1 400 /);
        }
      }),
  },
  'headers of HTTP beyond 16 KiB': {
    counter: 'stream_upgrades_refused_total',
    count: 2,
    run: () => byBoth((by) => answered(by, upgradeRequest([`Cookie: ${'a'.repeat(20_000)}`]), /^HTTP\/1\.1 431 /)),
  },
  'a page of an origin that is not among `webSocket.origins`': {
    counter: 'stream_foreign_origins_total',
    count: 4,
    run: () =>
      byBoth(async (by) => {
        for (const origin of ['https://evil.example', 'null']) {
          expect((await refusalOf(urlOf(by), ['sip'], { ca: authority.pem, origin })).status).toBe(403);
        }
        const page = await client(by, { origin: 'https://phone.example' });
        page.send(ask(by));
        await page.receive('SIP/2.0 200');
      }),
  },
  'SIP, TLS or garbage in the place of HTTP': {
    counter: 'stream_upgrades_refused_total',
    count: 8,
    run: () =>
      byBoth(async (by) => {
        for (const bytes of [ask(by), TLS_HELLO, GARBAGE, frame(OPCODE.TEXT, ask(by))]) {
          await answered(by, bytes, /^HTTP\/1\.1 400 /);
        }
      }),
  },
  'no TLS at the port of WSS': {
    counter: 'stream_closed_handshake_total',
    count: 3,
    run: async () => {
      for (const bytes of [upgradeRequest(), ask('wss'), GARBAGE]) {
        const peer = await server.peer(server.portOf('wss'));
        peer.send(bytes);
        await end(peer);
        expect(peer.text).not.toContain('HTTP');
      }
    },
  },
  'frames against RFC 6455: not masked, of no known kind, compressed, or garbage': {
    counter: 'stream_closed_fault_total',
    count: 12,
    run: () =>
      byBoth(async (by) => {
        const frames = [
          frame(OPCODE.TEXT, ask(by), { isMasked: false }),
          frame(5, ask(by)),
          Buffer.concat([Buffer.from([0xc1]), frame(OPCODE.TEXT, ask(by)).subarray(1)]),
          frame(OPCODE.CONTINUATION, ask(by)),
          GARBAGE,
          Buffer.from(ask(by)),
        ];
        for (const bytes of frames) await closedBy(by, bytes, 1002);
      }),
  },
  'text that is not UTF-8': {
    counter: 'stream_closed_fault_total',
    count: 2,
    run: () => byBoth((by) => closedBy(by, frame(OPCODE.TEXT, ask(by).replace('tester', 't\xe9ster')), 1007)),
  },
  'a message beyond `streams.messageBytes`, in one frame or in several': {
    counter: 'stream_closed_fault_total',
    count: 6,
    run: () =>
      byBoth(async (by) => {
        const text = ask(by, { body: Buffer.alloc(70_000, 'x') });
        const pieces = [text.slice(0, 30_000), text.slice(30_000, 60_000), text.slice(60_000)].map((piece, i) =>
          frame(i === 0 ? OPCODE.TEXT : OPCODE.CONTINUATION, piece, { isLast: i === 2 }),
        );
        await closedBy(by, frame(OPCODE.BINARY, text), 1009);
        await closedBy(by, Buffer.concat(pieces), 1009);
        // The length alone is enough, a year's worth of bytes.
        await closedBy(by, Buffer.from([0x82, 0xff, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1009);
      }),
  },
  'a message in more than 1,024 frames': {
    counter: 'stream_closed_fault_total',
    count: 2,
    run: () =>
      byBoth((by) => {
        const frames = Array.from({ length: 1025 }, (_, i) =>
          frame(i === 0 ? OPCODE.TEXT : OPCODE.CONTINUATION, 'x', { isLast: false }),
        );
        return closedBy(by, Buffer.concat(frames), 1008);
      }),
  },
  'half a frame, byte by byte, or frames of a message that has no end, with pings between them': {
    counter: 'stream_closed_slow_total',
    count: 4,
    run: () =>
      byBoth(async (by) => {
        const [slow, endless] = [await upgraded(by), await upgraded(by)];
        const long = frame(OPCODE.TEXT, ask(by, { body: Buffer.alloc(60_000, 'x') }));
        endless.send(frame(OPCODE.TEXT, ask(by), { isLast: false }));
        await Promise.all([
          dripped(slow, byteByByte(long)),
          dripped(endless, (n) =>
            n % 10 === 0
              ? Buffer.concat([frame(OPCODE.CONTINUATION, 'x', { isLast: false }), frame(OPCODE.PING, 'there?')])
              : '',
          ),
        ]);
        expect(slow.text).toBe('');
      }),
  },
  'a message that is no SIP': {
    counter: 'stream_closed_junk_total',
    count: 10,
    run: () =>
      byBoth(async (by) => {
        const messages = [
          frame(OPCODE.TEXT, 'hello there\r\n\r\n'),
          frame(OPCODE.TEXT, '{"method":"REGISTER"}\r\n'),
          frame(OPCODE.TEXT, upgradeRequest()),
          frame(OPCODE.BINARY, GARBAGE),
          frame(OPCODE.BINARY, TLS_HELLO),
        ];
        for (const bytes of messages) await closedBy(by, bytes, 1008);
      }),
  },
  'nothing but pings': {
    counter: 'stream_closed_idle_total',
    count: 2,
    run: () =>
      byBoth(async (by) => {
        const peer = await upgraded(by);
        const pings = Buffer.concat(Array.from({ length: 2000 }, (_, n) => frame(OPCODE.PING, `ping-${n}`)));
        peer.send(pings);
        await peer.receive('ping-1999');
        // One pong for all that came together.
        expect(peer.text.length).toBeLessThan(pings.length / 4);
        await dripped(peer, () => frame(OPCODE.PING, 'more'));
        const closing = Buffer.from(peer.text, 'latin1').subarray(-4);
        expect([closing[0], closing.readUInt16BE(2)]).toEqual([0x80 | OPCODE.CLOSE, 1000]);
      }),
  },
  'a client that is not there any more: it answers no ping': {
    counter: 'stream_closed_dead_total',
    count: 2,
    run: () =>
      byBoth(async (by) => {
        const peer = await upgraded(by);
        peer.send(frame(OPCODE.TEXT, ask(by)));
        await peer.receive('SIP/2.0 200');
        await end(peer);
      }),
  },
  'a client that does not read its answers': {
    counter: 'stream_closed_unread_total',
    count: 2,
    run: async () => {
      for (const [n, by] of BOTH.entries()) {
        const before = await server.count('stream_closed_unread_total');
        const peer = await upgraded(by);
        peer.socket.pause();
        const frames = Buffer.concat(Array.from({ length: 200 }, () => frame(OPCODE.TEXT, ask(by))));
        await until(`it is cut off (${n})`, async () => {
          if (!peer.isClosed && peer.socket.writableLength < 4 * frames.length) peer.send(frames);
          return peer.isClosed || (await server.count('stream_closed_unread_total')) > before;
        });
        peer.close();
      }
    },
  },
  'the end of the connection within a message, or a close frame': {
    counter: 'stream_closed_peer_total',
    count: 6,
    run: () =>
      byBoth(async (by) => {
        const half = frame(OPCODE.TEXT, ask(by).slice(0, 100), { isLast: false });
        const close = frame(OPCODE.CLOSE, Buffer.from([0x03, 0xe8]));
        for (const bytes of [half, half.subarray(0, 50), Buffer.concat([half, close])]) {
          const peer = await upgraded(by);
          peer.socket.end(bytes);
          await end(peer);
          expect(peer.text).not.toContain('SIP/2.0');
        }
      }),
  },
  'a reset while it is answered': {
    counter: 'stream_closed_error_total',
    count: 1,
    run: async () => {
      const peer = await upgraded('ws');
      peer.send(Buffer.concat(Array.from({ length: 50 }, () => frame(OPCODE.TEXT, ask('ws')))));
      await peer.receive('SIP/2.0 200');
      peer.socket.resetAndDestroy();
    },
  },
  'more connections than `streams.connectionsPerSource`, upgraded or not': {
    counter: 'stream_refused_total',
    count: 4,
    run: async () => {
      await client('ws');
      await client('wss');
      expect(await server.resetOf(server.portOf('ws'), PER_SOURCE + 1, 3, () => '127.0.0.1')).toBe(3);
      await expect(client('wss')).rejects.toThrow();
    },
  },
  'more connections than `streams.connections`, upgraded or not': {
    counter: 'stream_refused_total',
    count: 4,
    run: async () => {
      await client('ws', { localAddress: '127.0.0.2' });
      await client('wss', { localAddress: '127.0.0.3' });
      expect(await server.resetOf(server.portOf('wss'), IN_ALL + 2, 4, (i) => `127.0.0.${4 + (i % 5)}`)).toBe(4);
      await server.closeAll();
    },
  },
  'anything from a banned source': {
    counter: 'stream_banned_total',
    count: 2,
    run: async () => {
      const before = await server.count('stream_closed_banned_total');
      const localAddress = '127.0.0.7';
      const [one, two, other] = [
        await client('ws', { localAddress }),
        await client('wss', { localAddress }),
        await client('ws'),
      ];
      const arriving = await server.peer(server.portOf('ws'), localAddress);
      server.strowger('ban', 'add', '--force', localAddress);
      // Without a close frame.
      expect([(await one.untilClosed()).code, (await two.untilClosed()).code]).toEqual([1006, 1006]);
      await end(arriving);
      expect(await server.count('stream_closed_banned_total')).toBe(before + 2);
      for (const by of BOTH) await expect(client(by, { localAddress })).rejects.toThrow();
      server.strowger('ban', 'remove', localAddress);
      const again = await client('ws', { localAddress });
      for (const peer of [again, other]) {
        peer.send(ask('ws'));
        await peer.receive('SIP/2.0 200');
      }
    },
  },
};

tryTable('### By WebSocket', ROWS, () => server);
