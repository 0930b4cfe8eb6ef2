/** Where log lines go: a descriptor that is written to without ever waiting for it. A reader that stops reading, a full disk or a
 *  closed pipe cost log lines, which are counted, and nothing else. Main thread, cold.
 *
 *  The descriptor is opened a second time, through /proc, so that O_NONBLOCK is on a description of our own: on the one that we were
 *  started with it would be on that of the shell, too. Where that is not possible (a socket, such as the journal's, or a pipe of
 *  another user's, as in a container), it is set on what we have. */

import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

export interface LogSinkOptions {
  /** What waits for a reader at the most. */
  readonly limitBytes?: number;
  /** Made of what was lost, once lines go through again. */
  readonly sayLost?: (lines: number) => string;
  /** Writes to the descriptor; for tests. Throws as writeSync does. */
  readonly writeTo?: (fd: number, bytes: Buffer) => number;
}

const DEFAULT_LIMIT_BYTES = 1 << 20;
const RETRY_MS = 100;
/** A thread that ends waits so long for its last lines. */
const LAST_LINES_MS = 200;
const PAUSE_MS = 5;

export class LogSink {
  readonly #fd: number;
  readonly #options: LogSinkOptions;
  readonly #limitBytes: number;
  /** Keeps O_NONBLOCK on a socket. */
  readonly #socket: Socket | null;
  /** Lines that wait, oldest first; of the first one a part may be written. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #lostUnsaid = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(fd: number, options: LogSinkOptions = {}) {
    const { limitBytes = DEFAULT_LIMIT_BYTES, writeTo } = options;
    const opened = writeTo === undefined ? openNonBlocking(fd) : { fd, socket: null };
    this.#fd = opened.fd;
    this.#socket = opened.socket;
    this.#options = options;
    this.#limitBytes = limitBytes;
  }

  /** Lines that nobody will read. */
  get lostLines(): number {
    return this.#lost;
  }

  /** Whole lines, as one. */
  write(text: string): void {
    this.#drain();
    const bytes = Buffer.from(text);
    if (this.#waitingBytes + bytes.length > this.#limitBytes) {
      this.#lose();
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#drain();
    if (this.#waiting.length > 0) this.#retryLater();
  }

  /** Writes what waits, for as long as an end may take. */
  end(): void {
    const deadlineMs = performance.now() + LAST_LINES_MS;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
      this.#drain();
      if (this.#waiting.length === 0 || performance.now() > deadlineMs) return;
      Atomics.wait(pause, 0, 0, PAUSE_MS);
    }
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#socket === null && this.#fd > 2 && this.#options.writeTo === undefined) closeSync(this.#fd);
  }

  #drain(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const written = this.#tryWrite(first);
      if (written === null) return;
      this.#waitingBytes -= written;
      if (written < first.length) this.#waiting[0] = first.subarray(written);
      else this.#waiting.shift();
      if (this.#waiting.length === 0) this.#sayLost();
    }
  }

  /** How much went; null: nothing does for now. What cannot be written at all is lost, and counts as gone. */
  #tryWrite(bytes: Buffer): number | null {
    const { writeTo = writeSync } = this.#options;
    try {
      return writeTo(this.#fd, bytes);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return null;
      // EPIPE, ENOSPC, EIO: there is nowhere left to say it, and no reason to stop serving.
      this.#lose();
      return bytes.length;
    }
  }

  #lose(): void {
    this.#lost++;
    this.#lostUnsaid++;
  }

  #sayLost(): void {
    const { sayLost, writeTo = writeSync } = this.#options;
    if (this.#lostUnsaid === 0 || sayLost === undefined) return;
    try {
      writeTo(this.#fd, Buffer.from(sayLost(this.#lostUnsaid)));
      this.#lostUnsaid = 0;
    } catch {
      // It is said when a later line goes through.
    }
  }

  #retryLater(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#drain();
      if (this.#waiting.length > 0) this.#retryLater();
    }, RETRY_MS);
    this.#timer.unref();
  }
}

function openNonBlocking(fd: number): { readonly fd: number; readonly socket: Socket | null } {
  const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    if (fstatSync(fd).isSocket()) return { fd, socket: setNonBlocking(fd) };
    return { fd: openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY), socket: null };
  } catch {
    return { fd, socket: isPipe(fd) ? setNonBlocking(fd) : null };
  }
}

/** A pipe may be another user's to open, as that of a container whose server is not root. */
function isPipe(fd: number): boolean {
  try {
    return fstatSync(fd).isFIFO();
  } catch {
    return false; // it is closed: each write says so
  }
}

/** By what Node does for its own streams. */
function setNonBlocking(fd: number): Socket | null {
  try {
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.on('error', () => undefined);
    socket.unref();
    return socket;
  } catch {
    return null; // written to as it is
  }
}
