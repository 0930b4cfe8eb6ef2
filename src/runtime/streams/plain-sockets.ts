/** Connections of TCP without TLS, by the addon: what net.Socket is to Node, as far as connections need it, at a third of the
 *  price. They wait at an epoll of their thread and not in its event loop, which has its turn in between (stream-thread.ts).
 *  Hot: once for whatever the kernel has of a connection at a time.
 *
 *  Events are called as those of Node are: `data`, `end` and `connect` by `serve`, `error` and `close` after the callback in
 *  which it came to that. What `data` is given is the memory that the next bytes are received into. */

import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import {
  acceptStream,
  type ConnectOptions,
  closeStream,
  connectStream,
  endStream,
  LOOP_READY,
  openStreams,
  receiveStream,
  resetStream,
  STREAM_EVENT,
  sendStream,
  streamError,
  waitForStreams,
  watchStream,
} from '../udp-socket.ts';
import type { ByteSocket } from './connection.ts';

const { EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM } = constants.errno;

/** Received at once, of one connection. */
const RECEIVE_BYTES = 64 * 1024;
/** Sent at once, over one connection. */
const SEND_BYTES = 64 * 1024;
const SEND_AT = RECEIVE_BYTES;
/** Descriptors told of in a round. */
const READY = 128;
/** Accepted in a row, before others have their turn. */
const ACCEPT_BATCH = 32;
/** Pause where there is no descriptor, or no memory, for one more connection. */
const ACCEPT_RETRY_MS = 100;

/** A connection that ended, and why. */
interface Ending {
  readonly socket: PlainSocket;
  readonly wantsReset: boolean;
}

export class PlainSockets {
  /** What `serve` has found wants microtasks, or ticks, to be run. */
  hasTicks = false;
  readonly area: Buffer = Buffer.from(new SharedArrayBuffer(RECEIVE_BYTES + SEND_BYTES));
  readonly view = new DataView(this.area.buffer);
  readonly #keepAliveSec: number;
  readonly #ready = new Int32Array(new SharedArrayBuffer(8 * READY));
  /** By descriptor. */
  readonly #sockets: (PlainSocket | undefined)[] = [];
  readonly #listeners = new Map<number, (socket: PlainSocket) => void>();
  readonly #endings: Ending[] = [];
  readonly #onEndings = (): void => this.#end();

  /** `wakeFd`: an eventfd that ends a wait, unread. */
  constructor(keepAliveSec: number, wakeFd: number) {
    this.#keepAliveSec = keepAliveSec;
    openStreams(new Uint8Array(this.area.buffer as SharedArrayBuffer), this.#ready, true);
    watchStream(wakeFd, STREAM_EVENT.READABLE | STREAM_EVENT.EDGE);
  }

  /** Calls `onConnection` with each that comes to a listening socket, which stays somebody else's. */
  listen(fd: number, onConnection: (socket: PlainSocket) => void): void {
    this.#listeners.set(fd, onConnection);
    watchStream(fd, STREAM_EVENT.READABLE);
  }

  stopListening(): void {
    for (const fd of this.#listeners.keys()) watchStream(fd, 0);
    this.#listeners.clear();
  }

  connect(options: Omit<ConnectOptions, 'keepAliveSec'>): PlainSocket {
    const fd = connectStream({ ...options, keepAliveSec: this.#keepAliveSec });
    const socket = new PlainSocket(this, fd, true, options.host, options.port, options.localHost);
    if (fd < 0) {
      socket.fail(-fd);
    } else {
      this.#sockets[fd] = socket;
      socket.watch();
    }
    return socket;
  }

  /** One round: waits `waitMs` (−1: without limit, 0: not at all), and has all that is ready served. False: the event loop wants its
   *  turn. */
  serve(waitMs: number): boolean {
    const count = waitForStreams(waitMs);
    const ready = this.#ready;
    let isLoopIdle = count > 0 || waitMs === 0;
    for (let i = 0; i < count; i++) {
      const fd = ready[2 * i]!;
      if (fd === LOOP_READY) {
        isLoopIdle = false;
        continue;
      }
      const socket = this.#sockets[fd];
      if (socket !== undefined) socket.onReady(ready[2 * i + 1]!);
      else if (this.#listeners.has(fd)) this.#accept(fd);
    }
    return isLoopIdle;
  }

  /** `socket` has ended: its descriptor is closed, and it says so, once whoever has ended it is done. */
  noteEnd(socket: PlainSocket, wantsReset: boolean): void {
    if (this.#endings.push({ socket, wantsReset }) > 1) return;
    this.hasTicks = true;
    process.nextTick(this.#onEndings);
  }

  #end(): void {
    this.hasTicks = false;
    for (const { socket, wantsReset } of this.#endings.splice(0)) {
      const { fd } = socket;
      if (fd >= 0) {
        this.#sockets[fd] = undefined;
        if (wantsReset) resetStream(fd);
        else closeStream(fd);
      }
      socket.tellEnd();
    }
  }

  #accept(listener: number): void {
    for (let i = 0; i < ACCEPT_BATCH; i++) {
      const accepted = acceptStream(listener, this.#keepAliveSec);
      if (typeof accepted === 'object') {
        const { fd, host, port, localHost } = accepted;
        const socket = new PlainSocket(this, fd, false, host, port, localHost);
        this.#sockets[fd] = socket;
        this.#listeners.get(listener)?.(socket);
        continue;
      }
      if (accepted === -EAGAIN) return;
      if ([EMFILE, ENFILE, ENOBUFS, ENOMEM].includes(-accepted)) {
        watchStream(listener, 0);
        setTimeout(() => {
          if (this.#listeners.has(listener)) watchStream(listener, STREAM_EVENT.READABLE);
        }, ACCEPT_RETRY_MS);
        return;
      }
      // Any other is about that connection alone: it is gone again.
    }
  }
}

type Listener = (...values: never[]) => void;
/** Gets the memory that is received into, and how much has come. */
type DataListener = (bytes: Buffer, end: number, view: DataView) => void;

export class PlainSocket implements ByteSocket {
  readonly allowHalfOpen = true;
  readonly fd: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  destroyed = false;
  /** Bytes that the kernel has not taken yet. */
  writableLength = 0;
  readonly #sockets: PlainSockets;
  #isConnecting: boolean;
  #isReading = false;
  /** The peer sends no more. */
  #hasPeerEnded = false;
  /** This end sends no more, once what waits has left, and then has said so. */
  #isEnding = false;
  #hasEnded = false;
  /** As the epoll knows it. */
  #interest = 0;
  #errno = 0;
  /** What the kernel has not taken; of the first piece, from `#pendingAt` on. */
  readonly #pending: Buffer[] = [];
  #pendingAt = 0;
  #onData: DataListener = () => undefined;
  #onEnd: () => void = () => undefined;
  #onError: (error: NodeJS.ErrnoException) => void = () => undefined;
  #onClose: () => void = () => undefined;
  #onConnect: () => void = () => undefined;

  constructor(sockets: PlainSockets, fd: number, isConnecting: boolean, host: string, port: number, localHost: string) {
    this.#sockets = sockets;
    this.fd = fd;
    this.#isConnecting = isConnecting;
    this.remoteAddress = host;
    this.remotePort = port;
    this.localAddress = localHost;
  }

  /** One listener for each event. With one for `data` it is read. */
  on(event: 'data', listener: DataListener): this;
  on(event: 'end' | 'close' | 'connect', listener: () => void): this;
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): this;
  on(event: 'data' | 'end' | 'close' | 'connect' | 'error', listener: Listener): this {
    switch (event) {
      case 'data':
        this.#onData = listener as DataListener;
        this.resume();
        break;
      case 'end':
        this.#onEnd = listener as () => void;
        break;
      case 'close':
        this.#onClose = listener as () => void;
        break;
      case 'connect':
        this.#onConnect = listener as () => void;
        break;
      case 'error':
        this.#onError = listener as (error: NodeJS.ErrnoException) => void;
    }
    return this;
  }

  pause(): void {
    this.#isReading = false;
    this.watch();
  }

  resume(): void {
    this.#isReading = true;
    this.watch();
  }

  /** Sends all, in one call to the kernel if it fits; keeps what the kernel does not take. */
  writeAll(pieces: readonly Buffer[]): void {
    if (this.destroyed || this.#isEnding) return;
    for (const piece of pieces) {
      this.#pending.push(piece);
      this.writableLength += piece.length;
    }
    const isWaiting = (this.#interest & STREAM_EVENT.WRITABLE) !== 0;
    if (!isWaiting) this.#send();
  }

  /** Sends no more once what waits has left. */
  end(): void {
    if (this.destroyed || this.#isEnding) return;
    this.#isEnding = true;
    if (this.writableLength === 0) this.#endNow();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#sockets.noteEnd(this, false);
  }

  /** The peer is told by a reset. */
  resetAndDestroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#sockets.noteEnd(this, true);
  }

  fail(errno: number): void {
    this.#errno = errno;
    this.destroy();
  }

  // ---- For PlainSockets ---------------------------------------------------------------------------------------------

  /** Tells the epoll what is wanted. */
  watch(): void {
    if (this.destroyed) return;
    const reads = this.#isReading && !this.#hasPeerEnded && !this.#isConnecting ? STREAM_EVENT.READABLE : 0;
    const writes = this.#isConnecting || this.writableLength > 0 ? STREAM_EVENT.WRITABLE : 0;
    const interest = reads | writes;
    if (interest === this.#interest) return;
    this.#interest = interest;
    watchStream(this.fd, interest);
  }

  /** `events`: of STREAM_EVENT. */
  onReady(events: number): void {
    if (this.#isConnecting && !this.destroyed) {
      this.#open();
      return;
    }
    if ((events & (STREAM_EVENT.WRITABLE | STREAM_EVENT.BROKEN)) !== 0 && this.writableLength > 0 && !this.destroyed) {
      this.#send();
    }
    const isReadable = (events & (STREAM_EVENT.READABLE | STREAM_EVENT.BROKEN)) !== 0;
    if (isReadable && !this.destroyed && (this.#interest & STREAM_EVENT.READABLE) !== 0) this.#receive();
  }

  tellEnd(): void {
    this.#pending.length = 0;
    this.writableLength = 0;
    if (this.#errno !== 0) {
      const code = getSystemErrorName(-this.#errno);
      this.#onError(Object.assign(new Error(code), { code }));
    }
    this.#onClose();
  }

  #open(): void {
    const errno = streamError(this.fd);
    if (errno !== 0) {
      this.fail(errno);
      return;
    }
    this.#isConnecting = false;
    this.watch();
    this.#onConnect();
  }

  #receive(): void {
    const received = receiveStream(this.fd, 0, RECEIVE_BYTES);
    if (received > 0) {
      this.#onData(this.#sockets.area, received, this.#sockets.view);
    } else if (received === 0) {
      this.#hasPeerEnded = true;
      this.watch();
      this.#onEnd();
      if (this.#hasEnded) this.destroy();
    } else if (received !== -EAGAIN) {
      this.fail(-received);
    }
  }

  #send(): void {
    while (this.writableLength > 0) {
      const bytes = this.#gather();
      const sent = sendStream(this.fd, SEND_AT, bytes);
      if (sent < 0 && sent !== -EAGAIN) {
        this.fail(-sent);
        return;
      }
      if (sent > 0) this.#drop(sent);
      if (sent < bytes) break;
    }
    this.watch();
    if (this.#isEnding && this.writableLength === 0) this.#endNow();
  }

  /** Copies what comes next to where it is sent from. Returns how much that is. */
  #gather(): number {
    const { area } = this.#sockets;
    let bytes = 0;
    let from = this.#pendingAt;
    for (const piece of this.#pending) {
      const copied = piece.copy(area, SEND_AT + bytes, from);
      bytes += copied;
      if (copied < piece.length - from) break;
      from = 0;
    }
    return bytes;
  }

  /** So many bytes of what waited have left. */
  #drop(bytes: number): void {
    this.writableLength -= bytes;
    if (this.writableLength === 0) {
      this.#pending.length = 0;
      this.#pendingAt = 0;
      return;
    }
    let at = this.#pendingAt + bytes;
    let whole = 0;
    while (at >= this.#pending[whole]!.length) at -= this.#pending[whole++]!.length;
    this.#pending.splice(0, whole);
    this.#pendingAt = at;
  }

  #endNow(): void {
    this.#hasEnded = true;
    if (!this.#isConnecting) endStream(this.fd);
    if (this.#hasPeerEnded) this.destroy();
  }
}
