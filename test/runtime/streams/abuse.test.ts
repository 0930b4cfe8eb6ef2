/** The table of docs/transports.md, row by row, against the real server: how each abuse ends, what counts it, and that others are served
 *  all the while. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { optionsRequest } from '../../process/sip-texts.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import { Authority, type IssuedCertificate, readPair } from '../tls/authority.ts';
import { TcpPeer } from './tcp-peer.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const PER_SOURCE = 8;
const IN_ALL = 10;

const authority = new Authority();
const others = new Authority('Somebody Else');
const own = authority.issue('own', ['IP:127.0.0.1', 'DNS:edge.example']);
const good = authority.issue('good', ['IP:127.0.0.1']);
const expired = authority.issue('expired', ['IP:127.0.0.1'], { days: -1 });
const elsewhere = authority.issue('elsewhere', ['DNS:elsewhere.example']);
const selfMade = others.issue('self', ['IP:127.0.0.1']);

const open: { close(): void }[] = [];
let server: ServerProcess;
let tcpPort = 0;
let tlsPort = 0;
let udpPort = 0;
let callCount = 0;

beforeAll(async () => {
  const { certificate, key } = own;
  const settings = [
    `tls.certificates=[{certificate: ${certificate}, key: ${key}}]`,
    `tls.authorities=${authority.file}`,
    'tls.clientCertificates=required',
    'streams.messageSec=1',
    'streams.silentSec=2',
    `streams.connectionsPerSource=${PER_SOURCE}`,
    `streams.connections=${IN_ALL}`,
    'streams.queueBytes=65536',
    // One source floods: it is not to be taken for overload.
    'limits.overloadMark=0.01',
    'limits.rejectMark=0.001',
  ];
  server = await ServerProcess.start(
    ...['--mode', 'stateful', '--listen', '127.0.0.1:0', '--listen', 'tls:127.0.0.1:0'],
    ...settings.flatMap((setting) => ['--set', setting]),
  );
  const portOf = (transport: string) =>
    Number(new RegExp(`${transport}:127\\.0\\.0\\.1:(\\d+)`).exec(server.stdout)![1]);
  [udpPort, tcpPort, tlsPort] = [portOf('udp'), portOf('tcp'), portOf('tls')];
});

afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await until('all connections are over', async () => (await openConnections()) === 0);
});

afterAll(async () => {
  await endServers();
  authority.close();
  others.close();
});

async function counters(): Promise<Record<string, number>> {
  return server.counters();
}

async function openConnections(): Promise<number> {
  const all = Object.entries(await counters());
  const sum = (pattern: RegExp) => all.reduce((total, [name, value]) => total + (pattern.test(name) ? value : 0), 0);
  return sum(/^stream_(accepted|opened)_total$/) - sum(/^stream_closed_/);
}

function ask(fields: { readonly headers?: readonly string[]; readonly body?: Buffer } = {}): string {
  const request = optionsRequest({
    uri: `sip:127.0.0.1:${tcpPort}`,
    callId: `call-${++callCount}`,
    sentBy: '127.0.0.1:9',
    ...fields,
  });
  return request.toString('latin1').replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
}

async function peer(port = tcpPort, from = '127.0.0.1'): Promise<TcpPeer> {
  const one = await TcpPeer.connect(port, { localAddress: from });
  open.push(one);
  return one;
}

/** Another source is served by UDP and by a new connection. */
async function expectServed(): Promise<void> {
  const udp = await UdpPeer.open();
  open.push(udp);
  const callId = `served-${++callCount}`;
  const sentBy = `127.0.0.1:${udp.port}`;
  udp.send(optionsRequest({ uri: `sip:127.0.0.1:${udpPort}`, callId, sentBy }), udpPort);
  await udp.receive(callId);
  const one = await peer(tcpPort, '127.0.0.9');
  one.send(ask());
  await one.receive('SIP/2.0 200');
  one.close();
}

/** Sends, and waits for the end that the server makes. */
async function ended(bytes: string | Buffer, { port = tcpPort, answer = '' } = {}): Promise<void> {
  const one = await peer(port);
  one.send(bytes);
  await until('the end', () => one.hasEnded || one.isClosed, { explain: () => one.text });
  expect(answer === '' ? one.text : one.text.slice(0, answer.length)).toBe(answer);
}

/** How a TLS client with `pair` fares. */
async function turnedAway(pair: IssuedCertificate | null): Promise<void> {
  const options: ConnectionOptions = { host: '127.0.0.1', port: tlsPort, ca: authority.pem };
  const socket = connect({ ...options, ...(pair === null ? {} : readPair(pair)) });
  open.push({ close: () => socket.destroy() });
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
  open.push(next);
  const { port } = next.address() as { port: number };
  const udp = await UdpPeer.open();
  open.push(udp);
  const callId = `next-${++callCount}`;
  const uri = `sips:bob@127.0.0.1:${port}`;
  udp.send(optionsRequest({ uri, callId, sentBy: `127.0.0.1:${udp.port}` }), udpPort);
  const { datagram } = await udp.receive(callId);
  expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 500 /);
  expect(came).toBe('');
}

/** Connects `count` times; how many of them are reset, once that are `atLeast` so many. */
async function resetOf(count: number, atLeast: number, from: (i: number) => string): Promise<number> {
  const refusedBefore = (await counters())['stream_refused_total']!;
  const peers: TcpPeer[] = [];
  for (let i = 0; i < count; i++) {
    const socket = await TcpPeer.connect(tcpPort, { localAddress: from(i) }).catch((error: NodeJS.ErrnoException) => {
      expect(error.code).toBe('ECONNRESET');
      return null;
    });
    if (socket !== null) peers.push(socket);
  }
  open.push(...peers);
  let refused = 0;
  await until('some are turned away', async () => {
    refused = (await counters())['stream_refused_total']! - refusedBefore;
    return refused >= atLeast && refused + peers.filter(({ isClosed }) => !isClosed).length === count;
  });
  return refused;
}

interface Row {
  /** Of the table. */
  readonly counter: string;
  /** How many more the counter has then. */
  readonly count: number;
  run(): Promise<void>;
}

const TLS_HELLO = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(506, 7)]);

const ROWS: Record<string, Row> = {
  'the header of a message, byte by byte (slowloris)': {
    counter: 'stream_closed_slow_total',
    count: 1,
    run: async () => {
      const one = await peer();
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
        const one = await peer();
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
        const socket = connect({ host: '127.0.0.1', port: tlsPort, ca: authority.pem, ...readPair(good) });
        await once(socket, 'secureConnect');
        const one = new TcpPeer(socket);
        open.push(one);
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
      expect(await resetOf(PER_SOURCE + 4, 4, () => '127.0.0.1')).toBe(4);
    },
  },
  'more connections than `streams.connections`': {
    counter: 'stream_refused_total',
    count: 5,
    run: async () => {
      expect(await resetOf(IN_ALL + 5, 5, (i) => `127.0.0.${2 + (i % 5)}`)).toBe(5);
      for (const one of open.splice(0)) one.close();
      await until('they are over', async () => (await openConnections()) === 0);
    },
  },
  'a peer that does not read its answers': {
    counter: 'stream_closed_unread_total',
    count: 1,
    run: async () => {
      const one = await peer();
      one.socket.pause();
      const texts = Buffer.from(ask().repeat(200), 'latin1');
      await until('it is cut off', async () => {
        if (!one.isClosed && one.socket.writableLength < 4 * texts.length) one.send(texts);
        return one.isClosed || (await counters())['stream_closed_unread_total'] === 1;
      });
    },
  },
  'a reset while it is answered': {
    counter: 'stream_closed_error_total',
    count: 1,
    run: async () => {
      const one = await peer();
      one.send(ask().repeat(50));
      await one.receive('SIP/2.0 200');
      one.socket.resetAndDestroy();
    },
  },
  'anything from a banned source': {
    counter: 'stream_banned_total',
    count: 1,
    run: async () => {
      const control = `${server.folder}/control.sock`;
      const strowger = (...args: string[]) =>
        execFileSync(process.execPath, ['bin/strowger.js', ...args, '--control', control], { cwd: root });
      strowger('ban', 'add', '--force', '127.0.0.7');
      const socket = await TcpPeer.connect(tcpPort, { localAddress: '127.0.0.7' }).catch(() => null);
      if (socket !== null) {
        open.push(socket);
        await until('the end', () => socket.isClosed);
        expect(socket.text).toBe('');
      }
      strowger('ban', 'remove', '127.0.0.7');
    },
  },
};

const document = readFileSync(new URL('docs/transports.md', `file://${root}`), 'utf8');
const TABLE = [...document.matchAll(/^\| (?!what comes)([^|]+) \| [^|]+ \| `(\w+)` \|$/gm)].map(
  ([, what, counter]) => ({
    what: what!,
    counter: counter!,
  }),
);

describe('how abuse ends', () => {
  it('is in the document, and all that is there is tried', () => {
    const rows = Object.entries(ROWS).map(([what, { counter }]) => ({ what, counter }));
    expect(rows).toEqual(TABLE);
  });

  it.each(TABLE)('$what', async ({ what }) => {
    const { counter, count, run } = ROWS[what]!;
    const before = (await counters())[counter]!;
    await run();
    await until(`${counter} has ${count} more`, async () => (await counters())[counter]! - before >= count, {
      explain: () => `it had ${before}`,
    });
    expect((await counters())[counter]! - before).toBe(count);
    await expectServed();
  });
});
