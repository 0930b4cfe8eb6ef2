/** The real server over TLS: it answers, its certificates are exchanged under it, operators see how long they last. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, createServer, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { okTo, optionsRequest } from '../../process/sip-texts.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import type { TcpPeer } from '../streams/tcp-peer.ts';
import { Authority, type IssuedCertificate, readPair } from './authority.ts';
import { connectByTls } from './tls-peers.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const authority = new Authority();
const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endServers();
});
afterAll(() => authority.close());

const one = authority.issue('one', ['DNS:one.example']);
const renewed = authority.issue('renewed', ['DNS:one.example', 'DNS:new.example']);

function put(from: IssuedCertificate): IssuedCertificate {
  const live = { certificate: join(authority.folder, 'live.pem'), key: join(authority.folder, 'live.key') };
  copyFileSync(from.certificate, live.certificate);
  copyFileSync(from.key, live.key);
  return live;
}

async function start(...flags: string[]) {
  const live = put(one);
  const port = await freeTcpPort();
  const control = join(authority.folder, 'control.sock');
  const server = await ServerProcess.start(
    ...['--listen', `tls:127.0.0.1:${port}`, '--set', `control.socket=${control}`],
    ...['--set', `tls.certificates=[{certificate: ${live.certificate}, key: ${live.key}}]`],
    ...flags,
  );
  const client = async (options: ConnectionOptions = {}) => {
    const peer = await connectByTls(port, { ca: authority.pem, servername: 'one.example', ...options });
    open.push(peer);
    return peer;
  };
  const ask = (peer: TcpPeer, callId: string) => {
    const text = optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: peer.hostPort }).toString('latin1');
    peer.send(text.replace('SIP/2.0/UDP', 'SIP/2.0/TLS'));
    return peer.receive(`${callId}\r`);
  };
  const strowger = (...args: string[]) =>
    execFileSync(process.execPath, ['bin/strowger.js', ...args, '--control', control], { cwd: root, encoding: 'utf8' });
  return { server, client, ask, strowger, live, port };
}

describe('a server with a TLS socket', () => {
  it('answers, and takes new certificates without closing a connection', async () => {
    const { server, client, ask, strowger } = await start();
    const before = await client();
    expect(await ask(before, 'first')).toContain('SIP/2.0 200');
    expect(strowger('tls', 'list')).toMatch(/live\.pem +one\.example +20\d\d-\d\d-\d\d +36\d +CN=Test Authority/);
    put(renewed);
    // Or the server has noticed by itself.
    expect(strowger('tls', 'reload')).toMatch(/new connections get the new certificates|have not changed/);
    expect(strowger('tls', 'reload')).toContain('have not changed');
    expect(JSON.parse(strowger('tls', 'list', '--json')).certificates[0].names).toEqual(['one.example', 'new.example']);
    await until('the new one is shown', async () => {
      const names = ((await client()).socket as TLSSocket).getPeerX509Certificate()!.subjectAltName;
      return names?.includes('new.example') ?? false;
    });
    expect(await ask(before, 'second')).toContain('second');
    expect(before.isClosed).toBe(false);
    await until('it is counted', async () => (await server.counters())['tls_reloads_total'] === 1);
  });

  it('takes a client that comes again from the same port before the end of its last connection has been seen', async () => {
    const { server, client, port } = await start('--set', 'streams.connectionsPerSource=2');
    const first = connectPlain(port, '127.0.0.1');
    await once(first, 'connect');
    const { localPort } = first;
    await until('it is accepted', async () => (await server.counters())['stream_accepted_total'] === 1);
    server.child.kill('SIGSTOP');
    first.resetAndDestroy();
    await once(first, 'close');
    const second = connectPlain({ port, host: '127.0.0.1', localPort });
    await once(second, 'connect');
    server.child.kill('SIGCONT');
    const again = await client({ socket: second });
    expect((await server.counters())['stream_closed_handshake_total']).toBe(1);
    // Neither counts as a connection of its source any more.
    // In order: a socket that is thrown away before it has read the session tickets is reset, which is another end.
    again.socket.end();
    await until('it is closed', async () => (await server.counters())['stream_closed_peer_total'] === 1);
    await Promise.all([client(), client()]);
    expect((await server.counters())['stream_refused_total']).toBe(0);
  });

  it('does so by itself when the files change, and keeps the old ones while the new ones are wrong', async () => {
    const { server, client, ask, live } = await start();
    const peer = await client();
    await ask(peer, 'first');
    copyFileSync(renewed.key, live.key);
    await until('it is noticed', async () => (await server.counters())['tls_reload_failures_total'] === 1);
    expect(server.log.some(({ msg }) => msg.includes('live.key is not the key of'))).toBe(true);
    expect(await ask(await client(), 'while-wrong')).toContain('SIP/2.0 200');
    copyFileSync(renewed.certificate, live.certificate);
    await until('it is taken over', async () => (await server.counters())['tls_reloads_total'] === 1);
    await ask(peer, 'second');
  });

  it('forwards by TLS to whoever shows the right certificate, and nothing to others', async () => {
    const right = authority.issue('right', ['IP:127.0.0.1']);
    const { client, server } = await start('--mode', 'stateful', '--set', `tls.authorities=${authority.file}`);
    const peer = await client();
    for (const [pair, status] of [
      [right, 'SIP/2.0 200'],
      [one, 'SIP/2.0 500'],
    ] as const) {
      const text: string[] = [];
      const next = createServer(readPair(pair), (socket) => {
        socket.on('data', (chunk: Buffer) => {
          text.push(chunk.toString('latin1'));
          socket.write(okTo(chunk));
        });
      }).listen(0, '127.0.0.1');
      await once(next, 'listening');
      open.push(next);
      const { port } = next.address() as { port: number };
      const uri = `sip:bob@127.0.0.1:${port};transport=tls`;
      const request = optionsRequest({ uri, callId: `by-${status.slice(8)}`, sentBy: peer.hostPort }).toString(
        'latin1',
      );
      peer.send(request.replace('SIP/2.0/UDP', 'SIP/2.0/TLS'));
      await peer.receive(`by-${status.slice(8)}\r`);
      expect(peer.text.slice(peer.text.lastIndexOf('SIP/2.0 '))).toContain(status);
      expect(text.join('').startsWith('OPTIONS ')).toBe(status === 'SIP/2.0 200');
    }
    expect((await server.counters())['stream_closed_untrusted_total']).toBe(1);
  });

  it.each(['stateful', 'stateless'])(
    'has requests go by the connection of who is known, %s (RFC 5923)',
    async (mode) => {
      const carrier = readPair(authority.issue('carrier', ['IP:127.0.0.1']));
      const { client, server } = await start(
        ...['--mode', mode, '--set', `tls.authorities=${authority.file}`, '--set', 'tls.clientCertificates=optional'],
        ...['--listen', 'udp:127.0.0.1:0'],
      );
      const udpPort = Number(/udp:127\.0\.0\.1:(\d+)/.exec(server.stdout)![1]);
      const caller = await UdpPeer.open();
      open.push(caller);
      for (const [pair, isFound] of [
        [{}, false],
        [carrier, true],
      ] as const) {
        const peer = await client(pair);
        peer.socket.on('data', (chunk: Buffer) => {
          if (chunk.toString('latin1').startsWith('OPTIONS ')) peer.socket.write(okTo(chunk));
        });
        // Nobody listens there.
        const port = await freeTcpPort();
        const callId = `first-${port}`;
        const first = optionsRequest({ uri: `sip:127.0.0.1:${udpPort}`, callId, sentBy: `127.0.0.1:${port};alias` });
        peer.send(first.toString('latin1').replace('SIP/2.0/UDP', 'SIP/2.0/TLS'));
        await peer.receive(`first-${port}\r`);
        const uri = `sip:bob@127.0.0.1:${port};transport=tls`;
        const sentBy = `127.0.0.1:${caller.port}`;
        caller.send(optionsRequest({ uri, callId: `back-${port}`, sentBy }), udpPort);
        const tried = async () => (await server.counters())['stream_closed_unconnected_total'] === 1;
        if (isFound)
          expect((await caller.receive(`back-${port}`)).datagram.toString('latin1')).toContain('SIP/2.0 200');
        else await until('it has tried to connect', tried);
        expect(peer.text.includes('OPTIONS sip:bob')).toBe(isFound);
      }
    },
  );

  it('does not start with a key that is not its own, and says so in one line', () => {
    const sets = ['--set', `tls.certificates=[{certificate: ${one.certificate}, key: ${renewed.key}}]`];
    for (const command of ['start', 'check']) {
      const run = () =>
        execFileSync(process.execPath, ['bin/strowger.js', command, '--listen', 'tls:127.0.0.1:0', ...sets], {
          cwd: root,
          encoding: 'utf8',
          stdio: 'pipe',
        });
      expect(run).toThrow(/renewed\.key is not the key of .*one\.pem/);
    }
  });
});
