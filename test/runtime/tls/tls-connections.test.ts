/** TLS at the thread of the streams, over loopback: the test is the intake and the shards. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectByTcp } from 'node:net';
import { constants } from 'node:os';
import { type ConnectionOptions, connect, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { EGRESS_FLAG } from '../../../src/memory/layout.ts';
import type { StreamTask } from '../../../src/runtime/streams/stream-thread.ts';
import { until } from '../../process/server-process.ts';
import { endStreams, StreamWorld } from '../streams/stream-world.ts';
import { type TcpListener, TcpPeer } from '../streams/tcp-peer.ts';
import { Authority, type IssuedCertificate, readPair } from './authority.ts';
import { connectByTls, listenByTls, materialOf } from './tls-peers.ts';

const authority = new Authority();
const others = new Authority('Somebody Else');
const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endStreams();
});
afterAll(() => {
  authority.close();
  others.close();
});

const one = authority.issue('one', ['DNS:one.example']);
const two = authority.issue('two', ['DNS:two.example', 'URI:sip:two.example']);
const byAddress = authority.issue('address', ['IP:127.0.0.1']);
const expired = authority.issue('expired', ['DNS:one.example'], { days: -1 });
const selfMade = others.issue('self', ['DNS:one.example']);

function world(tls: Partial<StreamTask['tls']> = {}, settings: Partial<StreamTask['settings']> = {}): StreamWorld {
  return new StreamWorld(
    ['tls:127.0.0.1:0'],
    settings,
    tls,
    materialOf(authority, [one, 'one.example'], [two, '*.two.example']),
  );
}

/** A client that trusts the authority of these tests. */
async function client(port: number, options: ConnectionOptions = {}): Promise<TcpPeer> {
  const peer = await connectByTls(port, { ca: authority.pem, servername: 'one.example', ...options });
  open.push(peer);
  return peer;
}

/** How an attempt to connect, and then to read, ends: closed, or an error. */
function endOf(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca: authority.pem, servername: 'one.example', ...options });
  open.push({ close: () => socket.destroy() });
  socket.resume();
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('closed'));
  });
}

async function server(pair: IssuedCertificate, options: TlsOptions = {}): Promise<TcpListener> {
  const listener = await listenByTls(pair, options);
  open.push(listener);
  return listener;
}

function message(body: string): string {
  return `MESSAGE sip:a SIP/2.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

describe('who connects', () => {
  it('is served as by TCP', async () => {
    const streams = world();
    const peer = await client(streams.port);
    const long = message('x'.repeat(60_000));
    peer.send(message('one') + long + message('two'));
    const { connection, port, source } = await streams.receive('one');
    await streams.receive('\r\n\r\ntwo');
    expect(streams.messages.map(({ text }) => text)).toEqual([message('one'), long, message('two')]);
    expect([port, source]).toEqual([peer.port, '127.0.0.1']);
    streams.put(Buffer.alloc(50_000, 'y'), { connection });
    streams.put('last', { connection });
    expect(await peer.receive('last')).toHaveLength(50_004);
    peer.socket.end();
    await streams.untilCount('stream_closed_peer_total', 1);
    expect(streams.count('stream_tls_handshakes_total')).toBe(1);
  });

  it('while the shards are behind, and leaves at once, is heard all the same', async () => {
    const streams = world();
    streams.isTaking = false;
    const filling = await client(streams.port);
    for (let i = 0; i < 300; i++) filling.send(message('x'.repeat(40_000)));
    await until('it stalls', () => streams.count('stream_stalls_total') > 0);
    const leaving = await client(streams.port);
    leaving.send(message(`the last word ${'x'.repeat(40_000)}`));
    leaving.socket.end();
    await leaving.untilClosed();
    streams.isTaking = true;
    streams.take();
    await streams.receive('the last word');
    await streams.untilCount('stream_closed_peer_total', 1);
  });

  it.each([
    { servername: 'one.example', name: 'one.example' },
    { servername: 'ONE.example', name: 'one.example' },
    { servername: 'sip.two.example', name: 'two.example' },
    { servername: 'unknown.example', name: 'one.example' },
    { servername: '', name: 'one.example' },
  ])('and asks for "$servername" is shown the certificate of $name', async ({ servername, name }) => {
    const streams = world();
    const peer = await client(streams.port, { servername, checkServerIdentity: () => undefined });
    expect((peer.socket as TLSSocket).getPeerX509Certificate()!.subjectAltName).toContain(`DNS:${name}`);
  });

  it('again resumes the session, also after certificates have changed', async () => {
    const streams = world();
    const socket = connect({ host: '127.0.0.1', port: streams.port, ca: authority.pem, servername: 'one.example' });
    const [session] = (await once(socket, 'session')) as [Buffer];
    socket.destroy();
    for (const resumptions of [1, 2]) {
      const peer = await client(streams.port, { session });
      expect((peer.socket as TLSSocket).isSessionReused()).toBe(true);
      await streams.untilCount('stream_tls_resumptions_total', resumptions);
      streams.tell({ material: materialOf(authority, [one, 'one.example']) });
    }
  });

  it('speaks at least TLS 1.2, or what is asked for', async () => {
    const streams = world();
    expect(
      await endOf(streams.port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }),
    ).toMatch(/^ERR_SSL|^ECONNRESET|closed/);
    const strict = world({ minVersion: 'TLSv1.3' });
    expect(await endOf(strict.port, { maxVersion: 'TLSv1.2' })).toMatch(/ERR_SSL/);
    await strict.untilCount('stream_closed_handshake_total', 1);
    expect((await client(strict.port)).error).toBeNull();
  });

  it('and does not speak TLS at all, or says nothing, or leaves in the middle, is let go', async () => {
    const streams = world({}, { silentSec: 1 });
    const speaking = await TcpPeer.connect(streams.port);
    const silent = await TcpPeer.connect(streams.port);
    const leaving = await TcpPeer.connect(streams.port);
    open.push(speaking, silent, leaving);
    speaking.send(message('in the clear'));
    leaving.send(Buffer.from([22, 3, 1, 2, 0]));
    leaving.socket.end();
    await Promise.all([speaking.untilClosed(), silent.untilClosed(), leaving.untilClosed()]);
    await streams.untilCount('stream_closed_handshake_total', 3);
    expect(streams.messages).toEqual([]);
  });

  it('counts for the limits from the start', async () => {
    const streams = world({}, { connections: 2 });
    const raw = [connectByTcp(streams.port, '127.0.0.1'), connectByTcp(streams.port, '127.0.0.1')];
    for (const socket of raw) open.push({ close: () => socket.destroy() });
    await streams.untilCount('stream_accepted_total', 2);
    expect(await endOf(streams.port)).not.toBe('');
    await streams.untilCount('stream_refused_total', 1);
    for (const socket of raw) socket.destroy();
    await streams.untilCount('stream_closed_handshake_total', 2);
    expect((await client(streams.port)).error).toBeNull();
  });
});

describe('RFC 5922 7.4 mutual TLS', () => {
  it.each([
    { what: 'a valid certificate', shown: one, policy: 'required', names: [], isServed: true },
    {
      what: 'one of a domain that may',
      shown: two,
      policy: 'required',
      names: ['x.example', 'two.example'],
      isServed: true,
    },
    { what: 'one of another domain', shown: one, policy: 'required', names: ['two.example'], isServed: false },
    { what: 'one that has expired', shown: expired, policy: 'required', names: [], isServed: false },
    { what: "one of somebody's own", shown: selfMade, policy: 'required', names: [], isServed: false },
    { what: 'none where one is required', shown: null, policy: 'required', names: [], isServed: false },
    { what: 'none where that is left to them', shown: null, policy: 'optional', names: [], isServed: true },
    { what: 'a wrong one where that is left to them', shown: selfMade, policy: 'optional', names: [], isServed: false },
    { what: 'a wrong one that nobody asks for', shown: selfMade, policy: 'off', names: [], isServed: true },
  ] as const)('$what', async ({ shown, policy, names, isServed }) => {
    const streams = world({ clientCertificates: policy, clientNames: [...names] });
    const options = shown === null ? {} : readPair(shown);
    if (isServed) {
      (await client(streams.port, options)).send(message('hello'));
      await streams.receive('hello');
      return;
    }
    expect(await endOf(streams.port, options)).not.toBe('');
    await until('it is counted', () => {
      const ends = streams.count('stream_closed_untrusted_total') + streams.count('stream_closed_handshake_total');
      return ends === 1;
    });
    expect(streams.messages).toEqual([]);
  });
});

describe('a client with a certificate that comes again', () => {
  it.each([
    { names: ['one.example'], isServed: true },
    { names: ['two.example'], isServed: false },
  ])('is still who it was: $names', async ({ names, isServed }) => {
    const lax = world({ clientCertificates: 'required' });
    const options = { host: '127.0.0.1', ca: authority.pem, servername: 'one.example', ...readPair(one) };
    const socket = connect({ ...options, port: lax.port });
    const [session] = (await once(socket, 'session')) as [Buffer];
    socket.destroy();
    expect((await client(lax.port, { ...readPair(one), session })).error).toBeNull();
    await lax.untilCount('stream_tls_resumptions_total', 1);
    const strict = world({ clientCertificates: 'required', clientNames: names });
    // Another thread has other keys for tickets: this is a whole handshake.
    if (isServed) expect((await client(strict.port, { ...readPair(one), session })).error).toBeNull();
    else expect(await endOf(strict.port, { ...readPair(one), session })).not.toBe('');
  });
});

describe('new certificates', () => {
  it('are for new connections, and nobody else notices', async () => {
    const streams = world();
    const before = await client(streams.port);
    before.send(message('before'));
    const { connection } = await streams.receive('before');
    const renewed = authority.issue('renewed', ['DNS:one.example']);
    streams.tell({ material: materialOf(authority, [renewed, 'one.example']) });
    const fingerprint = async () => {
      const peer = await client(streams.port);
      return (peer.socket as TLSSocket).getPeerX509Certificate()!.fingerprint256;
    };
    const { X509Certificate } = await import('node:crypto');
    const wanted = new X509Certificate(readFileSync(renewed.certificate)).fingerprint256;
    await until('the new one is shown', async () => (await fingerprint()) === wanted);
    streams.put('still here', { connection });
    await before.receive('still here');
    before.send(message('after'));
    expect((await streams.receive('after')).connection).toBe(connection);
  });
});

describe('RFC 5922 7.3 servers that we connect to', () => {
  const { EACCES } = constants.errno;
  const named = (name: string, text: string) => `${name}${text}`;

  /** The harness puts the first half of a text into the first span: here that is the name. */
  function putNamed(streams: StreamWorld, name: string, port: number, tag = 0): void {
    const padded = named(name, 'x'.repeat(name.length));
    streams.put(padded, { port, flags: EGRESS_FLAG.NAMED, tag });
  }

  it('are sent to once their certificate is for the domain', async () => {
    const streams = world();
    const there = await server(one);
    putNamed(streams, 'one.example', there.port);
    const peer = await there.peer();
    expect(await peer.receive('x'.repeat(11))).toBe('x'.repeat(11));
    putNamed(streams, 'ONE.example', there.port);
    await peer.receive('x'.repeat(22));
    peer.send(message('back'));
    const { connection } = await streams.receive('back');
    streams.put('over it', { connection });
    await peer.receive('over it');
    expect(there.peers).toHaveLength(1);
  });

  it('resume sessions when we come again', async () => {
    const streams = world();
    const there = await server(one);
    for (let visit = 0; visit < 2; visit++) {
      putNamed(streams, 'one.example', there.port);
      const peer = await there.peer(visit);
      await peer.receive('x');
      // A ticket comes with the first bytes.
      peer.send('\r\n\r\n');
      await peer.receive('\r\n');
      peer.socket.end();
      await streams.untilCount('stream_closed_peer_total', visit + 1);
    }
    expect(streams.count('stream_tls_resumptions_total')).toBe(1);
  });

  it('are known by their address where there is no name', async () => {
    const streams = world();
    const there = await server(byAddress);
    streams.put('to an address', { port: there.port });
    await (await there.peer()).receive('to an address');
  });

  it.each([
    { what: 'another domain', pair: two, name: 'one.example' },
    { what: 'a domain that only ends like it', pair: one, name: 'x.one.example' },
    { what: 'no address of it', pair: one, name: '' },
    { what: 'it, but has expired', pair: expired, name: 'one.example' },
    { what: 'it, but by an authority that nobody knows', pair: selfMade, name: 'one.example' },
  ])('with a certificate for $what get nothing', async ({ pair, name }) => {
    const streams = world();
    const there = await server(pair);
    if (name === '') streams.put('secret', { port: there.port, tag: 7 });
    else putNamed(streams, name, there.port, 7);
    expect(await streams.fate()).toMatchObject({ tag: 7, errno: EACCES });
    await streams.untilCount('stream_closed_untrusted_total', 1);
    expect(there.peers.map(({ text }) => text).join('')).toBe('');
  });

  it('are not looked at where that is said', async () => {
    const streams = world({ verifyServers: false });
    const there = await server(selfMade);
    putNamed(streams, 'other.example', there.port);
    await (await there.peer()).receive('x');
  });

  it('that speak no TLS are told to the shard', async () => {
    const streams = world();
    const net = await import('node:net');
    const plain = net.createServer((socket) => socket.end('no TLS here')).listen(0, '127.0.0.1');
    await once(plain, 'listening');
    open.push(plain);
    putNamed(streams, 'one.example', (plain.address() as { port: number }).port, 3);
    expect((await streams.fate()).tag).toBe(3);
    await streams.untilCount('stream_closed_unconnected_total', 1);
  });
});

describe('RFC 3261 18.2.2 a response whose connection is gone', () => {
  const response = (sentBy: string) =>
    `SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS ${sentBy};branch=z9hG4bKa;received=127.0.0.1\r\nContent-Length: 0\r\n\r\n`;

  it.each([
    { what: 'the name in its Via', pair: one, sentBy: (port: number) => `one.example:${port}` },
    { what: 'that name, in capitals', pair: one, sentBy: (port: number) => `ONE.example:${port}` },
    { what: 'the address in its Via', pair: byAddress, sentBy: (port: number) => `127.0.0.1:${port}` },
  ])('goes to whoever has a certificate for $what', async ({ pair, sentBy }) => {
    const streams = world();
    const there = await server(pair);
    streams.put(response(sentBy(there.port)), { connection: 77, port: there.port });
    await (await there.peer()).receive('SIP/2.0 200');
  });

  it('goes to nobody else', async () => {
    const streams = world();
    const there = await server(two);
    streams.put(response(`one.example:${there.port}`), { connection: 77, port: there.port });
    await streams.untilCount('stream_closed_untrusted_total', 1);
    expect(there.peers.map(({ text }) => text).join('')).toBe('');
  });
});
