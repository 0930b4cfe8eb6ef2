/** A WebSocket client that remembers what came and can wait for it with a deadline. */

import { once } from 'node:events';
import type { ClientRequestArgs, IncomingMessage } from 'node:http';
import { type ClientOptions, WebSocket } from 'ws';
import { until } from '../../process/server-process.ts';
import { TcpPeer } from './tcp-peer.ts';

export interface Ending {
  /** RFC 6455 7.4.1; 1006: without a close frame. */
  readonly code: number;
  readonly reason: string;
}

export class WebSocketPeer {
  readonly socket: WebSocket;
  /** Messages, latin1, in their order. */
  readonly messages: { readonly text: string; readonly isBinary: boolean }[] = [];
  ending: Ending | null = null;
  pings = 0;
  #localPort = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => this.messages.push({ text: data.toString('latin1'), isBinary }));
    socket.on('ping', () => this.pings++);
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => {
      this.ending = { code, reason: reason.toString() };
    });
  }

  static async connect(url: string, options: ClientOptions | ClientRequestArgs = {}): Promise<WebSocketPeer> {
    const socket = new WebSocket(url, 'sip', options);
    const peer = new WebSocketPeer(socket);
    const upgraded = once(socket, 'upgrade') as Promise<[IncomingMessage]>;
    await Promise.all([upgraded, once(socket, 'open')]);
    peer.#localPort = (await upgraded)[0].socket.localPort!;
    return peer;
  }

  get localPort(): number {
    return this.#localPort;
  }

  /** All that came, latin1. */
  get text(): string {
    return this.messages.map(({ text }) => text).join('');
  }

  /** A string goes as text, bytes as binary. */
  send(message: string | Buffer): void {
    this.socket.send(message);
  }

  /** The first message with `wanted` in it. */
  async receive(wanted: string): Promise<{ readonly text: string; readonly isBinary: boolean }> {
    await until(
      `${JSON.stringify(wanted)} by WebSocket`,
      () => this.messages.some(({ text }) => text.includes(wanted)),
      { explain: () => `came: ${JSON.stringify(this.text.slice(-500))}, ended: ${JSON.stringify(this.ending)}` },
    );
    return this.messages.find(({ text }) => text.includes(wanted))!;
  }

  async untilClosed(): Promise<Ending> {
    await until('the WebSocket is closed', () => this.ending !== null);
    return this.ending!;
  }

  close(): void {
    this.socket.terminate();
  }
}

/** The answer to a request for a WebSocket that is refused. */
export async function refusalOf(
  url: string,
  protocols: readonly string[] = ['sip'],
  options: ClientOptions = {},
): Promise<{ readonly status: number; readonly text: string; readonly headers: IncomingMessage['headers'] }> {
  const socket = new WebSocket(url, [...protocols], options);
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode!, text: Buffer.concat(chunks).toString(), headers: response.headers };
}

/** A connection that was upgraded by hand: the test writes the frames. `head`: what comes with the request. */
export async function upgradedByHand(to: number | TcpPeer, head: Uint8Array = Buffer.alloc(0)): Promise<TcpPeer> {
  const peer = typeof to === 'number' ? await TcpPeer.connect(to) : to;
  peer.send(Buffer.concat([Buffer.from(upgradeRequest()), head]));
  await peer.receive('\r\n\r\n');
  return peer;
}

export function upgradeRequest(headers: readonly string[] = []): string {
  const lines = [
    'GET / HTTP/1.1',
    'Host: sip.example',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol: sip',
    'Sec-WebSocket-Version: 13',
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** A client's frame (RFC 6455 5.2), masked with zeros unless `isMasked` is false. */
export function frame(
  opcode: number,
  payload: string | Buffer,
  { isLast = true, isMasked = true }: { readonly isLast?: boolean; readonly isMasked?: boolean } = {},
): Buffer {
  const bytes = Buffer.from(payload as string, 'latin1');
  const mask = isMasked ? 0x80 : 0;
  const first = (isLast ? 0x80 : 0) | opcode;
  const key = isMasked ? [0, 0, 0, 0] : [];
  return Buffer.concat([Buffer.from([first]), lengthOf(bytes.length, mask), Buffer.from(key), bytes]);
}

function lengthOf(length: number, mask: number): Buffer {
  if (length < 126) return Buffer.from([mask | length]);
  if (length < 0x1_0000) return Buffer.from([mask | 126, length >> 8, length & 0xff]);
  const field = Buffer.alloc(9);
  field[0] = mask | 127;
  field.writeUInt32BE(length, 5);
  return field;
}
