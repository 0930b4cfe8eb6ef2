/** WSS: WebSockets by the certificates and rules of TLS listening points (RFC 7118 9.1). */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectByTcp } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { CLOSE_REASONS } from '../../../src/observe/counters.ts';
import type { StreamTask } from '../../../src/runtime/streams/stream-thread.ts';
import { until } from '../../process/server-process.ts';
import { endStreams, StreamWorld } from '../streams/stream-world.ts';
import { TcpPeer } from '../streams/tcp-peer.ts';
import { frame, OPCODE, refusalOf, upgradeRequest, WebSocketPeer } from '../streams/web-socket-peer.ts';
import { Authority, readPair } from './authority.ts';
import { connectByTls, materialOf } from './tls-peers.ts';

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
const two = authority.issue('two', ['DNS:two.example']);
const renewed = authority.issue('renewed', ['DNS:one.example']);
/** A client that trusts the authority of these tests. */
const TRUST = { ca: authority.pem, servername: 'one.example' };
const selfMade = others.issue('self', ['DNS:one.example']);

function world(settings: Partial<StreamTask['settings']> = {}, tls: Partial<StreamTask['tls']> = {}): StreamWorld {
  const material = materialOf(authority, [one, 'one.example'], [two, 'two.example']);
  return new StreamWorld(['wss:127.0.0.1:0'], settings, tls, material);
}

async function client(port: number, options: ClientOptions = {}): Promise<WebSocketPeer> {
  const peer = await WebSocketPeer.connect(`wss://127.0.0.1:${port}/`, { ...TRUST, ...options });
  open.push(peer);
  return peer;
}

/** TLS alone. */
async function secureClient(port: number, options: ConnectionOptions = {}): Promise<TcpPeer> {
  const peer = await connectByTls(port, { ...TRUST, ...options });
  open.push(peer);
  return peer;
}

function message(body: string): string {
  return `MESSAGE sip:a SIP/2.0\r\n\r\n${body}`;
}

describe('who comes by WSS', () => {
  it('is served as by WS, with his address', async () => {
    const streams = world();
    const peer = await client(streams.port);
    const long = message('x'.repeat(60_000));
    peer.send(long);
    peer.send(message('two'));
    const { connection, source } = await streams.receive('two');
    expect([source, streams.messages.map(({ text }) => text.length)]).toEqual([
      '127.0.0.1',
      [long.length, message('two').length],
    ]);
    for (const text of ['y'.repeat(60_000), 'last']) streams.put(text, { connection });
    await peer.receive('last');
    expect(peer.messages.map(({ text }) => text.length)).toEqual([60_000, 4]);
    peer.socket.close();
    await streams.untilCount('stream_closed_peer_total', 1);
    expect(streams.count('stream_tls_handshakes_total')).toBe(1);
    expect(streams.count('stream_upgrades_total')).toBe(1);
  });

  it.each([
    { servername: 'two.example', name: 'two.example' },
    { servername: 'unknown.example', name: 'one.example' },
  ])('and asks for $servername is shown the certificate of $name', async ({ servername, name }) => {
    const streams = world();
    const peer = await secureClient(streams.port, { servername, checkServerIdentity: () => undefined });
    expect((peer.socket as TLSSocket).getPeerX509Certificate()!.subjectAltName).toBe(`DNS:${name}`);
  });

  it('is refused as by WS: without the subprotocol, and without an upgrade', async () => {
    const streams = world();
    expect((await refusalOf(`wss://127.0.0.1:${streams.port}/`, [], TRUST)).status).toBe(400);
    const peer = await secureClient(streams.port);
    peer.send('GET / HTTP/1.1\r\nHost: one.example\r\n\r\n');
    expect(await peer.receive('\r\n\r\n')).toMatch(/^HTTP\/1\.1 426 /);
    await streams.untilCount('stream_closed_upgrade_total', 2);
  });

  it('and does not trust the certificate, goes away', async () => {
    const streams = world();
    const socket = new WebSocket(`wss://127.0.0.1:${streams.port}/`, 'sip', { ...TRUST, ca: others.pem });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/certificate/);
    await until('it is counted', () => {
      const ends = streams.count('stream_closed_handshake_total') + streams.count('stream_closed_upgrade_total');
      return ends === 1;
    });
    expect(streams.count('stream_upgrades_total')).toBe(0);
  });

  it('speaks no TLS, or none in time, or asks for nothing after it: closed, each for its reason', async () => {
    const streams = world({ messageSec: 1, silentSec: 2 });
    const [plain, silent] = [await TcpPeer.connect(streams.port), await TcpPeer.connect(streams.port)];
    open.push(plain, silent);
    plain.send(upgradeRequest());
    const waiting = await secureClient(streams.port);
    await Promise.all([plain.untilClosed(), silent.untilClosed(), waiting.untilClosed()]);
    await streams.untilCount('stream_closed_handshake_total', 2);
    await streams.untilCount('stream_closed_upgrade_total', 1);
  });

  it('and resets in the middle of it all, harms nobody', async () => {
    const streams = world();
    for (const bytes of ['', upgradeRequest().slice(0, 40), upgradeRequest()]) {
      const wire = connectByTcp(streams.port, '127.0.0.1');
      const peer = await secureClient(streams.port, { socket: wire });
      peer.send(bytes);
      if (bytes.endsWith('\r\n\r\n')) await peer.receive('\r\n\r\n');
      if (bytes.endsWith('\r\n\r\n')) peer.send(frame(OPCODE.TEXT, message('half')).subarray(0, 9));
      wire.resetAndDestroy();
    }
    const closed = () => CLOSE_REASONS.map((reason) => streams.count(`stream_closed_${reason}_total`));
    await until('all are over', () => closed().reduce((sum, count) => sum + count, 0) === 3, {
      explain: () => `${CLOSE_REASONS}: ${closed()}`,
    });
    (await client(streams.port)).send(message('after'));
    await streams.receive('after');
    expect(streams.error).toBeNull();
  });
});

describe('certificates', () => {
  it('that are new are for new WebSockets, and nobody else notices', async () => {
    const streams = world();
    const before = await client(streams.port);
    before.send(message('before'));
    const { connection } = await streams.receive('before');
    streams.tell({ material: materialOf(authority, [renewed, 'one.example']) });
    const { X509Certificate } = await import('node:crypto');
    const wanted = new X509Certificate(readFileSync(renewed.certificate)).fingerprint256;
    await until('the new one is shown', async () => {
      const peer = await secureClient(streams.port);
      return (peer.socket as TLSSocket).getPeerX509Certificate()!.fingerprint256 === wanted;
    });
    streams.put('still here', { connection });
    await before.receive('still here');
  });

  it('of clients are asked for as by TLS', async () => {
    const streams = world({}, { clientCertificates: 'required' });
    (await client(streams.port, readPair(one))).send(message('known'));
    await streams.receive('known');
    for (const shown of [{}, readPair(selfMade)]) {
      const socket = new WebSocket(`wss://127.0.0.1:${streams.port}/`, 'sip', { ...TRUST, ...shown });
      await once(socket, 'error');
    }
    await until('both are counted', () => {
      const ends = streams.count('stream_closed_untrusted_total') + streams.count('stream_closed_handshake_total');
      return ends === 2;
    });
  });
});
