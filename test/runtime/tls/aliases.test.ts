/** RFC 5923 at the thread of the streams, over loopback: the test is the intake and the shards. */

import type { ConnectionOptions } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { EGRESS_FLAG } from '../../../src/memory/layout.ts';
import type { StreamTask } from '../../../src/runtime/streams/stream-thread.ts';
import { endStreams, StreamWorld } from '../streams/stream-world.ts';
import { TcpListener, TcpPeer } from '../streams/tcp-peer.ts';
import { Authority, readPair } from './authority.ts';
import { connectByTls, listenByTls, materialOf } from './tls-peers.ts';

const authority = new Authority();
const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endStreams();
});
afterAll(() => authority.close());

const edge = authority.issue('edge', ['DNS:edge.example']);
const carrier = authority.issue('carrier', ['DNS:carrier.example', 'DNS:carrier2.example', 'IP:127.0.0.1']);
const stranger = authority.issue('stranger', ['DNS:stranger.example']);
const nameless = authority.issue('nameless', ['DNS:carrier.example']);

function world(tls: Partial<StreamTask['tls']> = {}): StreamWorld {
  return new StreamWorld(
    ['tls:127.0.0.1:0', 'tcp:127.0.0.1:0'],
    {},
    { clientCertificates: 'optional', ...tls },
    materialOf(authority, [edge]),
  );
}

/** Where the carrier listens: requests for it come here if no connection of its own will do. */
async function listening(): Promise<TcpListener> {
  const listener = await listenByTls(carrier);
  open.push(listener);
  return listener;
}

async function client(port: number, options: ConnectionOptions = {}): Promise<TcpPeer> {
  const peer = await connectByTls(port, { ca: authority.pem, servername: 'edge.example', ...options });
  open.push(peer);
  return peer;
}

function options(via: string, callId = 'one'): string {
  return [
    'OPTIONS sip:edge.example SIP/2.0',
    `Via: ${via}`,
    'Max-Forwards: 70',
    'From: <sip:a@carrier.example>;tag=1',
    'To: <sip:edge.example>',
    `Call-ID: ${callId}`,
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
}

/** The harness puts the first half of a text into the first span: here that is the name. */
function put(streams: StreamWorld, name: string, port: number): string {
  const text = 'x'.repeat(name.length);
  streams.put(name + text, { port, flags: EGRESS_FLAG.NAMED, tag: 1 });
  return text;
}

describe('RFC 5923 8.2 a client that asks for an alias', () => {
  it.each([
    { via: (port: number) => `SIP/2.0/TLS 127.0.0.1:${port};branch=z9hG4bKa;alias` },
    { via: (port: number) => `SIP/2.0/TLS carrier.example : ${port} ; Alias ;branch=z9hG4bKa;rport` },
    { via: (port: number) => `SIP/2.0/TLS 127.0.0.1:${port};alias;branch=z9hG4bKa, SIP/2.0/UDP a;branch=z9hG4bKb` },
    { via: (port: number) => `SIP/2.0/TLS 127.0.0.1:${port};x="a;b";alias=yes;branch=z9hG4bKa` },
  ])('is sent requests for its domains by its connection: $via', async ({ via }) => {
    const streams = world();
    const there = await listening();
    const peer = await client(streams.port, readPair(carrier));
    peer.send(options(via(there.port)));
    await streams.receive('Call-ID: one');
    let sent = '';
    for (const name of ['carrier.example', 'carrier2.example', 'CARRIER.example']) {
      sent += put(streams, name, there.port);
      await peer.receive(sent);
    }
    // Its certificate is for its address, too.
    streams.put('to the address', { port: there.port });
    await peer.receive('to the address');
    expect(there.peers).toEqual([]);
    expect(streams.count('stream_opened_total')).toBe(0);
  });

  it('without a port in its sent-by is at 5061, and answers by that connection as well', async () => {
    const streams = world();
    const peer = await client(streams.port, readPair(carrier));
    peer.send(options('SIP/2.0/TLS carrier.example;branch=z9hG4bKa;alias'));
    const { connection } = await streams.receive('Call-ID: one');
    await peer.receive(put(streams, 'carrier.example', 5061));
    peer.send('SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n');
    expect((await streams.receive('CSeq: 1 BYE')).connection).toBe(connection);
  });

  it('keeps the first that it has asked for', async () => {
    const streams = world();
    const there = await listening();
    const peer = await client(streams.port, readPair(carrier));
    peer.send(options('SIP/2.0/TLS carrier.example:5071;branch=z9hG4bKa;alias'));
    peer.send(options(`SIP/2.0/TLS carrier.example:${there.port};branch=z9hG4bKb;alias`, 'two'));
    await streams.receive('Call-ID: two');
    await peer.receive(put(streams, 'carrier.example', 5071));
    put(streams, 'carrier.example', there.port);
    await streams.untilCount('stream_opened_total', 1);
  });

  it('that is gone is connected to; one that has come again is not', async () => {
    const streams = world();
    const there = await listening();
    const via = `SIP/2.0/TLS carrier.example:${there.port};branch=z9hG4bKa;alias`;
    const first = await client(streams.port, readPair(carrier));
    first.send(options(via));
    await streams.receive('Call-ID: one');
    const second = await client(streams.port, readPair(carrier));
    second.send(options(via, 'two'));
    await streams.receive('Call-ID: two');
    await second.receive(put(streams, 'carrier.example', there.port));
    second.socket.end();
    await streams.untilCount('stream_closed_peer_total', 1);
    await first.receive(put(streams, 'carrier2.example', there.port));
    first.socket.end();
    await streams.untilCount('stream_closed_peer_total', 2);
    put(streams, 'carrier.example', there.port);
    await streams.untilCount('stream_opened_total', 1);
  });
});

describe('RFC 5923 9 a connection is not used for requests to its peer', () => {
  const VIA = (port: number) => `SIP/2.0/TLS 127.0.0.1:${port};branch=z9hG4bKa;alias`;

  it.each([
    { what: 'without a certificate', pair: null, via: VIA, tls: {} },
    { what: 'for another domain', pair: stranger, via: VIA, tls: {} },
    {
      what: 'that did not ask for it',
      pair: carrier,
      via: (port: number) => VIA(port).replace(';alias', ''),
      tls: {},
    },
    { what: 'where no certificate is asked for', pair: carrier, via: VIA, tls: { clientCertificates: 'off' } as const },
    { what: 'where it is switched off', pair: carrier, via: VIA, tls: { aliases: false } },
    {
      what: 'with the alias in another Via than the topmost',
      pair: carrier,
      via: (port: number) => `SIP/2.0/TLS 127.0.0.1:${port};branch=z9hG4bKa, ${VIA(port)}`,
      tls: {},
    },
    {
      what: 'with the alias in quotes',
      pair: carrier,
      via: (port: number) => `SIP/2.0/TLS 127.0.0.1:${port};branch=z9hG4bKa;x=";alias"`,
      tls: {},
    },
    {
      what: 'with a Via by TCP',
      pair: carrier,
      via: (port: number) => VIA(port).replace('TLS', 'TCP'),
      tls: {},
    },
  ])('$what', async ({ pair, via, tls }) => {
    const streams = world(tls);
    const there = await listening();
    const peer = await client(streams.port, pair === null ? {} : readPair(pair));
    peer.send(options(via(there.port)));
    await streams.receive('Call-ID: one');
    put(streams, 'carrier.example', there.port);
    await streams.untilCount('stream_opened_total', 1);
    expect(peer.text).toBe('');
  });

  it('that is for a domain at that address, and not for the address itself', async () => {
    const streams = world();
    const there = await listening();
    const peer = await client(streams.port, readPair(nameless));
    peer.send(options(VIA(there.port)));
    await streams.receive('Call-ID: one');
    streams.put('to the address', { port: there.port });
    await streams.untilCount('stream_opened_total', 1);
    await peer.receive(put(streams, 'carrier.example', there.port));
  });

  it('of TCP, whatever its Via says', async () => {
    const streams = world();
    const there = await TcpListener.open();
    open.push(there);
    const peer = await TcpPeer.connect(streams.ports[1]!);
    open.push(peer);
    peer.send(options(VIA(there.port).replace('TLS', 'TCP')));
    await streams.receive('Call-ID: one');
    streams.put('by a connection of ours', { socket: 1, port: there.port });
    await (await there.peer()).receive('by a connection of ours');
    expect(peer.text).toBe('');
  });
});
