/** From an accepted connection to a WebSocket (RFC 6455 4.2, RFC 7118 4.1): the HTTP in front of it. Thread of the streams, cold: once
 *  per connection. One for each listening point.
 *
 *  Departs from RFC 7118 7: cookies are not looked at and nobody is answered 401 here, for there is no web site that a session could
 *  belong to. SIP asks for credentials (A.1). */

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { Origins } from '../../config/origins.ts';
import type { Config } from '../../config/schema.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';

/** RFC 7118 4.1. */
const SUBPROTOCOL = 'sip';
/** What those get who ask for a page. */
const HINT = 'This is a SIP server. It speaks WebSocket here, subprotocol sip (RFC 7118).\n';
/** A request line and its headers, cookies included. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Frames of a message, of which browsers send one, and pieces in which the bytes of a frame may come: each takes memory. */
const MAX_PIECES = 1024;

export interface UpgradeParts {
  readonly settings: Config['webSocket'];
  /** Longest message. */
  readonly messageBytes: number;
  readonly counters: Counters;
  /** There is a WebSocket, over `socket`, which is this thread's from now on. */
  readonly onUpgraded: (webSocket: WebSocket, socket: Socket) => void;
}

export class WebSocketUpgrades {
  readonly #parts: UpgradeParts;
  readonly #origins: Origins;
  /** It listens to nothing: connections are handed to it. */
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;

  constructor(parts: UpgradeParts) {
    this.#parts = parts;
    this.#origins = new Origins(parts.settings.origins);
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: parts.messageBytes,
      maxFragments: MAX_PIECES,
      maxBufferedChunks: MAX_PIECES,
      // Pings are answered within the limit for what may wait (web-socket-connection.ts).
      autoPong: false,
      handleProtocols: () => SUBPROTOCOL,
    });
    this.#webSockets.on('wsClientError', ({ message }, socket) => this.#refuse(socket, 400, message));
    this.#http = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) =>
      this.#answer(request, response),
    );
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head));
    this.#http.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#complain(error, socket));
  }

  /** Reads a request from a connection that was accepted, or on which TLS was agreed upon. */
  take(socket: Socket): void {
    this.#http.emit('connection', socket);
  }

  /** An HTTP request that asks for no upgrade. */
  #answer({ method }: IncomingMessage, response: ServerResponse): void {
    this.#parts.counters.count(COUNTER.stream_upgrades_refused_total);
    response.writeHead(426, {
      Upgrade: 'websocket',
      Connection: 'Upgrade, close',
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': HINT.length,
    });
    response.end(method === 'HEAD' ? '' : HINT);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { counters, onUpgraded } = this.#parts;
    if (!this.#origins.has(request.headers.origin)) {
      counters.count(COUNTER.stream_foreign_origins_total);
      this.#refuse(socket, 403, 'This page may not connect here (webSocket.origins)');
      return;
    }
    if (!asksForSip(request)) {
      this.#refuse(socket, 400, 'Sec-WebSocket-Protocol: sip is missing (RFC 7118 4.1)');
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      counters.count(COUNTER.stream_upgrades_total);
      onUpgraded(webSocket, socket);
    });
  }

  /** What came is no HTTP, or too much of it. */
  #complain({ code }: NodeJS.ErrnoException, socket: Duplex): void {
    if (code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else this.#refuse(socket, code === 'HPE_HEADER_OVERFLOW' ? 431 : 400, 'No WebSocket could be agreed upon');
  }

  #refuse(socket: Duplex, status: number, why: string): void {
    this.#parts.counters.count(COUNTER.stream_upgrades_refused_total);
    const text = `${why}\n`;
    const versions = status === 400 ? 'Sec-WebSocket-Version: 13\r\n' : '';
    const headers = `Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`;
    // What still comes is thrown away: closed with bytes unread, it would reach the peer as a reset, before the answer. Who does not
    // close has until the sweep.
    socket.resume();
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}${versions}\r\n${text}`);
  }
}

/** RFC 6455 11.3.4: a list of tokens; subprotocols are compared as they are written. */
function asksForSip({ headers }: IncomingMessage): boolean {
  const offered = headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some((token) => token.trim() === SUBPROTOCOL);
}
