/** A plain TCP endpoint that remembers what came and can wait for it with a deadline. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket, type TcpNetConnectOpts } from 'node:net';
import { until } from '../../process/server-process.ts';

export class TcpPeer {
  readonly socket: Socket;
  /** All that came, latin1. */
  text = '';
  /** The other end has closed its half. */
  hasEnded = false;
  isClosed = false;
  /** code of the error, if there was one. */
  error: string | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      this.text += chunk.toString('latin1');
    });
    socket.on('end', () => {
      this.hasEnded = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  static async connect(port: number, options: Partial<TcpNetConnectOpts> = {}): Promise<TcpPeer> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, ...options });
    await once(socket, 'connect');
    return new TcpPeer(socket);
  }

  get port(): number {
    return this.socket.localPort!;
  }

  get hostPort(): string {
    const { localAddress, localPort } = this.socket;
    return localAddress!.includes(':') ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`;
  }

  send(text: string | Buffer): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits until `wanted` has come, and returns all that came. */
  async receive(wanted: string): Promise<string> {
    await until(`${JSON.stringify(wanted)} by TCP`, () => this.text.includes(wanted), {
      explain: () => `came: ${JSON.stringify(this.text.slice(-500))}, closed: ${this.isClosed}, ${this.error}`,
    });
    return this.text;
  }

  untilClosed(): Promise<void> {
    return until('the connection is closed', () => this.isClosed || this.hasEnded);
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Waits for connections. */
export class TcpListener {
  readonly peers: TcpPeer[] = [];
  readonly #server: Server;

  /** Of a server that listens. `event`: by which it tells of a connection that can be used. */
  constructor(server: Server, event: 'connection' | 'secureConnection' = 'connection') {
    this.#server = server;
    server.on(event, (socket: Socket) => this.peers.push(new TcpPeer(socket)));
  }

  static async open(address = '127.0.0.1', port = 0): Promise<TcpListener> {
    const server = createServer({ allowHalfOpen: true }).listen(port, address);
    await once(server, 'listening');
    return new TcpListener(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async peer(index = 0): Promise<TcpPeer> {
    await until(`connection ${index}`, () => this.peers.length > index);
    return this.peers[index]!;
  }

  close(): void {
    this.#server.close();
    for (const peer of this.peers) peer.close();
  }
}
