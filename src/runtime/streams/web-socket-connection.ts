/** One WebSocket (RFC 6455, RFC 7118): each of its messages is a SIP message. It belongs to the thread of the streams; nothing it does
 *  waits for a peer. Hot: once per message read or written.
 *
 *  A client of its kind is reached by it alone, so nobody looks for it by its address, and nothing takes its place once it is gone.
 *  While the shards are behind it is not read, so that TCP holds the peer back, and a peer that has gone meanwhile is heard out before
 *  the WebSocket counts as closed; a peer that does not read what it is sent is cut off, and so is one that answers no ping.
 *
 *  A message that is too long ends it by 1009 (RFC 6455 7.4.1), where a stream of TCP is answered 413 first: a frame says how long
 *  it is before any of it has come, so that there is no request yet to answer, and none is waited for. */

import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { WebSocket } from 'ws';
import type { Config } from '../../config/schema.ts';
import { COUNTER } from '../../observe/counters.ts';
import { FRAME_FAULT } from '../../sip/stream-framing.ts';
import { FrameEnds } from '../../sip/web-socket-frames.ts';
import { CONTENT, contentOf, contentStart } from '../../sip/web-socket-framing.ts';
import type { CloseReason, ConnectionHost, LiveConnection } from './connection.ts';
import { type ConnectionIdentity, errnoOf, IdentifiedConnection } from './identified-connection.ts';
import { type SentRequest, SentRequests } from './sent-requests.ts';

/** How long the other end may take to answer that the WebSocket is closed. */
const CLOSING_MS = 2000;
const LINE_END = Buffer.from('\r\n');
/** A frame's own bytes, at the most. */
const FRAME_HEADER_BYTES = 10;

/** RFC 6455 7.4.1, by why we close; of others 1000, normal closure. */
const CLOSE_CODES: { readonly [reason in CloseReason]?: number } = {
  // Going away.
  stop: 1001,
  // "A message that violates its policy": it is not SIP.
  junk: 1008,
};
const NORMAL_CLOSURE = 1000;

export class WebSocketConnection extends IdentifiedConnection implements LiveConnection {
  readonly isReusable = false;
  readonly isHalfClosed = false;

  readonly #host: ConnectionHost;
  readonly #webSocket: WebSocket;
  /** What it runs over. */
  readonly #socket: Socket;
  readonly #pingMs: number;
  /** Whole messages for which there was no room: those of one read at the most, since nothing is read meanwhile. */
  readonly #refused: Buffer[] = [];
  readonly #output: Buffer[] = [];
  #outputBytes = 0;
  readonly #requests = new SentRequests();
  /** The client sends text, and is sent text where that can be. */
  #isText = true;
  #errno = 0;
  #reason: CloseReason | null = null;
  /** It is gone, and a message that came before waits for room. */
  #isCloseDue = false;
  #hasSpoken = false;
  /** Of the latest ping that was not answered (5.5.3: there need not be a pong for those before it); null: all were. */
  #pong: Buffer | null = null;
  readonly #frames = new FrameEnds();
  readonly #startedMs: number;
  #usedMs: number;
  #heardMs: number;
  /** When a ping was sent that nothing has come after; 0: none. */
  #pingedMs = 0;
  /** When the message began that is not whole; 0: none has. */
  #messageSinceMs = 0;
  /** When it is ended, whatever it does; 0: no such time. */
  #deadlineMs = 0;

  constructor(
    webSocket: WebSocket,
    socket: Socket,
    identity: ConnectionIdentity,
    host: ConnectionHost,
    { pingSec }: Config['webSocket'],
  ) {
    super(identity);
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#host = host;
    this.#pingMs = pingSec * 1000;
    this.#startedMs = this.#usedMs = this.#heardMs = host.nowMs();
    webSocket.on('message', (message: Buffer, isBinary) => this.#onMessage(message, isBinary));
    webSocket.on('ping', (data: Buffer) => this.#onPing(data));
    // Against the protocol, too long, or text that is none; the library has said so by its close code (1002, 1009, 1007).
    webSocket.on('error', () => this.#noteClosing('fault'));
    webSocket.on('close', () => this.#onClose());
    // After the library has read them.
    socket.on('data', (chunk: Buffer) => this.#onBytes(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#errno = errnoOf(error);
    });
  }

  get isOpen(): boolean {
    return this.#reason === null && this.#webSocket.readyState === WebSocket.OPEN;
  }

  send(bytes: Buffer, request: SentRequest | null): void {
    if (this.#isFullFor(bytes.length)) {
      this.#host.undelivered(this, request, constants.errno.ENOBUFS);
      this.#abort('unread');
      return;
    }
    this.#host.counters.count(COUNTER.stream_messages_sent_total);
    if (request !== null) this.#requests.add(request);
    this.#queue(bytes);
  }

  /** One write for all that waits. */
  flush(): void {
    if (!this.#hasOutput || this.#webSocket.readyState !== WebSocket.OPEN) return;
    const socket = this.#socket;
    socket.cork();
    if (this.#pong !== null) this.#webSocket.pong(this.#pong);
    for (const bytes of this.#output) this.#webSocket.send(bytes, { binary: !this.#isText || !isUtf8(bytes) });
    socket.uncork();
    this.#pong = null;
    if (this.#outputBytes === 0) return;
    this.#host.counters.add(COUNTER.stream_bytes_sent_total, this.#outputBytes);
    this.#output.length = 0;
    this.#outputBytes = 0;
    this.#usedMs = this.#host.nowMs();
    if (socket.writableLength === 0) this.#requests.noteSent();
  }

  close(reason: CloseReason): void {
    if (this.#reason !== null) return;
    this.flush();
    this.#noteClosing(reason);
    this.#webSocket.resume();
    this.#webSocket.close(CLOSE_CODES[reason] ?? NORMAL_CLOSURE);
    if (this.#isCloseDue) this.#onClose();
  }

  ban(): void {
    this.#abort('banned');
    if (this.#isCloseDue) this.#onClose();
  }

  readOn(): void {
    if (this.#reason !== null || !this.#takeRefused()) return;
    if (this.#isCloseDue) {
      this.#onClose();
      return;
    }
    // What is not whole could not go on meanwhile.
    if (this.#messageSinceMs !== 0) this.#messageSinceMs = this.#host.nowMs();
    this.#webSocket.resume();
  }

  /** False: there is still no room for all of it. */
  #takeRefused(): boolean {
    while (this.#refused.length > 0) {
      if (!this.#deliver(this.#refused[0]!)) return false;
      this.#refused.shift();
    }
    return true;
  }

  sweep(nowMs: number): void {
    const { settings } = this.#host;
    if (this.#isCloseDue) return;
    if (this.#socket.writableLength + this.#outputBytes === 0) this.#requests.noteSent();
    if (this.#deadlineMs !== 0) {
      if (nowMs >= this.#deadlineMs) this.#webSocket.terminate();
      return;
    }
    // The peer has begun to close it.
    if (this.#webSocket.readyState !== WebSocket.OPEN) {
      this.#deadlineMs = nowMs + CLOSING_MS;
      return;
    }
    // Who is not read cannot be heard.
    if (this.#refused.length > 0) return;
    const isSlow = this.#messageSinceMs !== 0 && nowMs - this.#messageSinceMs >= settings.messageSec * 1000;
    const isSilent = !this.#hasSpoken && nowMs - this.#startedMs >= settings.silentSec * 1000;
    if (isSlow) this.#abort('slow');
    else if (isSilent || nowMs - this.#usedMs >= settings.idleSec * 1000) this.close('idle');
    else this.#ping(nowMs);
  }

  /** RFC 6455 5.5.2, RFC 7118 6. Pings and pongs do not count as use: they only say that somebody is there. */
  #ping(nowMs: number): void {
    if (this.#pingMs === 0) return;
    if (this.#pingedMs !== 0) {
      if (nowMs - this.#pingedMs >= this.#pingMs) this.#abort('dead');
    } else if (nowMs - this.#heardMs >= this.#pingMs) {
      this.#webSocket.ping();
      this.#pingedMs = nowMs;
    }
  }

  get #hasOutput(): boolean {
    return this.#outputBytes > 0 || this.#pong !== null;
  }

  #queue(bytes: Buffer): void {
    if (!this.#hasOutput) this.#host.noteOutput(this);
    this.#output.push(bytes);
    this.#outputBytes += bytes.length;
  }

  /** Whether more would wait than may. */
  #isFullFor(byteCount: number): boolean {
    const waiting = this.#webSocket.bufferedAmount + this.#outputBytes;
    return waiting + byteCount + FRAME_HEADER_BYTES > this.#host.settings.queueBytes;
  }

  #onBytes(chunk: Buffer): void {
    this.#host.counters.add(COUNTER.stream_bytes_received_total, chunk.length);
    this.#requests.noteHeard();
    this.#heardMs = this.#host.nowMs();
    this.#pingedMs = 0;
    if (this.#frames.take(chunk)) this.#messageSinceMs = 0;
    if (this.#frames.isWithin && this.#messageSinceMs === 0) this.#messageSinceMs = this.#heardMs;
  }

  #onMessage(message: Buffer, isBinary: boolean): void {
    if (this.#reason !== null) return;
    this.#hasSpoken = true;
    this.#isText = !isBinary;
    this.#usedMs = this.#host.nowMs();
    const start = contentStart(message);
    switch (contentOf(message, start)) {
      case CONTENT.PING:
        this.#host.counters.count(COUNTER.stream_pings_total);
        if (this.#isFullFor(LINE_END.length)) this.#abort('unread');
        else this.#queue(LINE_END);
        return;
      case CONTENT.LINE_ENDS:
        return;
      case CONTENT.GARBAGE:
        this.close('junk');
        return;
      default:
        this.#take(start === 0 ? message : message.subarray(start));
    }
  }

  #take(message: Buffer): void {
    if (this.#refused.length === 0 && this.#deliver(message)) return;
    if (this.#refused.push(message) > 1) return;
    this.#host.counters.count(COUNTER.stream_stalls_total);
    this.#webSocket.pause();
  }

  #deliver(message: Buffer): boolean {
    return this.#host.deliver(this, message, 0, message.length, FRAME_FAULT.NONE);
  }

  /** RFC 6455 5.5.3. */
  #onPing(data: Buffer): void {
    if (!this.isOpen) return;
    if (this.#isFullFor(data.length)) {
      this.#abort('unread');
      return;
    }
    if (!this.#hasOutput) this.#host.noteOutput(this);
    this.#pong = data;
  }

  #noteClosing(reason: CloseReason): void {
    this.#reason ??= reason;
    this.#deadlineMs = this.#host.nowMs() + CLOSING_MS;
  }

  #abort(reason: CloseReason): void {
    this.#reason ??= reason;
    this.#webSocket.terminate();
  }

  #onClose(): void {
    this.#isCloseDue = this.#reason === null && !this.#takeRefused();
    if (this.#isCloseDue) return;
    const reason = this.#reason ?? (this.#errno === 0 ? 'peer' : 'error');
    this.#reason = reason;
    this.#refused.length = this.#output.length = 0;
    this.#outputBytes = 0;
    this.#pong = null;
    this.#host.closed(this, reason);
    const errno = this.#errno === 0 ? constants.errno.ECONNRESET : this.#errno;
    this.#requests.end(this.#errno !== 0, (request) => this.#host.undelivered(this, request, errno));
  }
}
