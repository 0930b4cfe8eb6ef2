/** TLS at both ends of a test: clients, listeners, and what a server has of certificates. */

import { once } from 'node:events';
import { type ConnectionOptions, connect, createServer, type TlsOptions } from 'node:tls';
import type { StreamTask } from '../../../src/runtime/streams/stream-thread.ts';
import { TcpListener, TcpPeer } from '../streams/tcp-peer.ts';
import { type Authority, type IssuedCertificate, readPair } from './authority.ts';

/** Certificates, each with the names that it is shown for, of a server that trusts `authority`. */
export function materialOf(
  authority: Authority,
  ...pairs: readonly (readonly [IssuedCertificate, ...string[]])[]
): StreamTask['material'] {
  const certificates = pairs.map(([pair, ...names]) => {
    const { cert, key } = readPair(pair);
    return { chain: cert, key, names };
  });
  return { certificates, authorities: authority.pem };
}

/** A connection to 127.0.0.1 once TLS is agreed upon. */
export async function connectByTls(port: number, options: ConnectionOptions = {}): Promise<TcpPeer> {
  const socket = connect({ host: '127.0.0.1', port, ...options });
  await once(socket, 'secureConnect');
  return new TcpPeer(socket);
}

/** Waits for connections, and shows the certificate `pair`. */
export async function listenByTls(pair: IssuedCertificate, options: TlsOptions = {}): Promise<TcpListener> {
  const server = createServer({ ...readPair(pair), ...options });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new TcpListener(server, 'secureConnection');
}
