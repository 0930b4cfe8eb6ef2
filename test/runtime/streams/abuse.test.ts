/** The table of docs/transports.md about TCP and TLS, row by row, against the real server. */

import { once } from 'node:events';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../../process/server-process.ts';
import { optionsRequest } from '../../process/sip-texts.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import { Authority, type IssuedCertificate, readPair } from '../tls/authority.ts';
import { connectByTls } from '../tls/tls-peers.ts';
import { AbusedServer, IN_ALL, PER_SOURCE, type Row, tryTable } from './abuse-table.ts';
import { TcpPeer } from './tcp-peer.ts';

const authority = new Authority();
const others = new Authority('Somebody Else');
const own = authority.issue('own', ['IP:127.0.0.1', 'DNS:edge.example']);
const good = authority.issue('good', ['IP:127.0.0.1']);
const expired = authority.issue('expired', ['IP:127.0.0.1'], { days: -1 });
const elsewhere = authority.issue('elsewhere', ['DNS:elsewhere.example']);
const selfMade = others.issue('self', ['IP:127.0.0.1']);

let server: AbusedServer;
let tcpPort = 0;
let tlsPort = 0;
let udpPort = 0;

beforeAll(async () => {
  const { certificate, key } = own;
  server = await AbusedServer.start(
    ['tls:127.0.0.1:0'],
    [
      `tls.certificates=[{certificate: ${certificate}, key: ${key}}]`,
      `tls.authorities=${authority.file}`,
      'tls.clientCertificates=required',
    ],
  );
  [udpPort, tcpPort, tlsPort] = [server.portOf('udp'), server.portOf('tcp'), server.portOf('tls')];
});

afterAll(() => {
  authority.close();
  others.close();
});

const ask = (fields: Parameters<AbusedServer['ask']>[0] = {}) => server.ask(fields);

/** Sends, and waits for the end that the server makes. */
async function ended(bytes: string | Buffer, { port = tcpPort, answer = '' } = {}): Promise<void> {
  const one = await server.peer(port);
  one.send(bytes);
  await until('the end', () => one.hasEnded || one.isClosed, { explain: () => one.text });
  expect(answer === '' ? one.text : one.text.slice(0, answer.length)).toBe(answer);
}

/** How a TLS client with `pair` fares. */
async function turnedAway(pair: IssuedCertificate | null): Promise<void> {
  const options: ConnectionOptions = { host: '127.0.0.1', port: tlsPort, ca: authority.pem };
  const socket = connect({ ...options, ...(pair === null ? {} : readPair(pair)) });
  server.open.push({ close: () => socket.destroy() });
  socket.on('error', () => undefined);
  socket.write(ask());
  let came = '';
  socket.on('data', (chunk) => {
    came += chunk;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  expect(came).toBe('');
}

/** A server with `pair` is sent nothing, and who wanted it is told so. */
async function notSentTo(pair: IssuedCertificate): Promise<void> {
  let came = '';
  const next = createServer(readPair(pair), (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      came += chunk.toString('latin1');
    });
  });
  next.on('tlsClientError', () => undefined);
  next.listen(0, '127.0.0.1');
  await once(next, 'listening');
  server.open.push(next);
  const { port } = next.address() as { port: number };
  const udp = await UdpPeer.open();
  server.open.push(udp);
  const callId = server.newCallId();
  const uri = `sips:bob@127.0.0.1:${port}`;
  await udp.send(optionsRequest({ uri, callId, sentBy: `127.0.0.1:${udp.port}` }), udpPort);
  const { datagram } = await udp.receive(`Call-ID: ${callId}\r`);
  expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 500 /);
  expect(came).toBe('');
}

const TLS_HELLO = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(506, 7)]);

const ROWS: Record<string, Row> = {
  'the header of a message, byte by byte (slowloris)': {
    counter: 'stream_closed_slow_total',
    count: 1,
    run: async () => {
      const one = await server.peer();
      const text = ask({ headers: [`X-Long: ${'a'.repeat(20_000)}`] });
      let at = 0;
      await until('the end', () => {
        if (at < 10_000 && !one.isClosed) one.send(text[at++]!);
        return one.hasEnded || one.isClosed;
      });
      expect([one.text, at < 10_000]).toEqual(['', true]);
    },
  },
  'a body that does not come': {
    counter: 'stream_closed_slow_total',
    count: 1,
    run: () => ended(ask().replace('Content-Length: 0', 'Content-Length: 50')),
  },
  'nothing after the connection': { counter: 'stream_closed_idle_total', count: 1, run: () => ended('') },
  'no TLS handshake, or half of one': {
    counter: 'stream_closed_handshake_total',
    count: 2,
    run: async () => {
      await Promise.all([ended('', { port: tlsPort }), ended(TLS_HELLO.subarray(0, 5), { port: tlsPort })]);
    },
  },
  'the end of the connection within a message': {
    counter: 'stream_closed_peer_total',
    count: 2,
    run: async () => {
      for (const text of [ask().slice(0, 60), ask().replace('Content-Length: 0', 'Content-Length: 50')]) {
        const one = await server.peer();
        one.socket.end(text, 'latin1');
        await one.untilClosed();
        expect(one.text).toBe('');
      }
    },
  },
  'no Content-Length, or a negative, malformed or repeated one': {
    counter: 'stream_closed_fault_total',
    count: 8,
    run: async () => {
      for (const length of ['', '-1', 'abc', '0x10', '+5', '1 2', '5, 5', '0\r\nl: 5']) {
        const header = length === '' ? '' : `Content-Length: ${length}\r\n`;
        await ended(ask().replace('Content-Length: 0\r\n', header), { answer: 'SIP/2.0 400 ' });
      }
    },
  },
  'a Content-Length beyond `streams.messageBytes`': {
    counter: 'stream_closed_fault_total',
    count: 3,
    run: async () => {
      for (const length of ['65536', '4294967296', '99999999999999999999']) {
        const text = ask().replace('Content-Length: 0', `Content-Length: ${length}`);
        await ended(text, { answer: 'SIP/2.0 413 ' });
      }
    },
  },
  'headers beyond `streams.messageBytes`': {
    counter: 'stream_closed_fault_total',
    count: 1,
    run: () => ended(ask({ headers: [`X-Big: ${'a'.repeat(200_000)}`] })),
  },
  'bytes that are no SIP': {
    counter: 'stream_closed_junk_total',
    count: 3,
    run: async () => {
      for (const bytes of [Buffer.alloc(2000), Buffer.alloc(2000, 0xff), 'hello there\r\n\r\n']) await ended(bytes);
    },
  },
  'an HTTP request at a port of SIP': {
    counter: 'stream_closed_junk_total',
    count: 2,
    run: async () => {
      await ended('GET / HTTP/1.1\r\nHost: edge.example\r\n\r\n');
      await ended('POST / HTTP/1.1\r\nHost: edge.example\r\nContent-Length: 3\r\n\r\nabc');
    },
  },
  'TLS at the port of TCP': { counter: 'stream_closed_junk_total', count: 1, run: () => ended(TLS_HELLO) },
  'no SIP after requests': {
    counter: 'stream_closed_junk_total',
    count: 1,
    run: () => ended(`${ask()}\0\0\0\0`, { answer: 'SIP/2.0 200 ' }),
  },
  'SIP at the port of TLS': {
    counter: 'stream_closed_handshake_total',
    count: 1,
    run: () => ended(ask(), { port: tlsPort }),
  },
  'a certificate of a client that has expired, or of an authority that is not known, or none where `tls.clientCertificates` is `required`':
    {
      counter: 'stream_closed_untrusted_total',
      count: 3,
      run: async () => {
        for (const pair of [expired, selfMade, null]) await turnedAway(pair);
        // And one that is neither, is served.
        const one = await connectByTls(tlsPort, { ca: authority.pem, ...readPair(good) });
        server.open.push(one);
        one.send(ask());
        await one.receive('SIP/2.0 200');
      },
    },
  'a certificate of a server that has expired, or for another name': {
    counter: 'stream_closed_untrusted_total',
    count: 3,
    run: async () => {
      for (const pair of [expired, elsewhere, selfMade]) await notSentTo(pair);
    },
  },
  'more connections than `streams.connectionsPerSource`': {
    counter: 'stream_refused_total',
    count: 4,
    run: async () => {
      expect(await server.resetOf(tcpPort, PER_SOURCE + 4, 4, () => '127.0.0.1')).toBe(4);
    },
  },
  'more connections than `streams.connections`': {
    counter: 'stream_refused_total',
    count: 5,
    run: async () => {
      expect(await server.resetOf(tcpPort, IN_ALL + 5, 5, (i) => `127.0.0.${2 + (i % 5)}`)).toBe(5);
      await server.closeAll();
    },
  },
  'a peer that does not read its answers': {
    counter: 'stream_closed_unread_total',
    count: 1,
    run: async () => {
      const one = await server.peer();
      one.socket.pause();
      const texts = Buffer.from(ask().repeat(200), 'latin1');
      await until('it is cut off', async () => {
        if (!one.isClosed && one.socket.writableLength < 4 * texts.length) one.send(texts);
        return one.isClosed || (await server.count('stream_closed_unread_total')) === 1;
      });
    },
  },
  'a reset while it is answered': {
    counter: 'stream_closed_error_total',
    count: 1,
    run: async () => {
      const one = await server.peer();
      one.send(ask().repeat(50));
      await one.receive('SIP/2.0 200');
      one.socket.resetAndDestroy();
    },
  },
  'anything from a banned source': {
    counter: 'stream_banned_total',
    count: 1,
    run: async () => {
      server.strowger('ban', 'add', '--force', '127.0.0.7');
      const socket = await TcpPeer.connect(tcpPort, { localAddress: '127.0.0.7' }).catch(() => null);
      if (socket !== null) {
        server.open.push(socket);
        await until('the end', () => socket.isClosed);
        expect(socket.text).toBe('');
      }
      server.strowger('ban', 'remove', '127.0.0.7');
    },
  },
};

tryTable('## Abuse, and how it ends', ROWS, () => server);
