/** Messages between a server and the one that takes over from it: JSON, a line each, over a stream. Main thread, cold. */

import type { Socket } from 'node:net';

const MAX_LINE_BYTES = 64 * 1024;

export type ChannelMessage = Readonly<Record<string, unknown>>;

export class LineChannel {
  readonly #socket: Socket;
  #pending = '';
  readonly #lines: ChannelMessage[] = [];
  #waiter: ((message: ChannelMessage | null) => void) | null = null;
  #isClosed = false;
  /** Resolves when either side has closed it, or has died. */
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#take(chunk));
    // Seen as its end.
    socket.on('error', () => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        this.#settle(null);
        resolve();
      });
    });
  }

  send(message: ChannelMessage): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** The next message; null: the channel is closed, or nothing came within `limitMs`. One call at a time. */
  receive(limitMs: number): Promise<ChannelMessage | null> {
    const next = this.#lines.shift();
    if (next !== undefined || this.#isClosed) return Promise.resolve(next ?? null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(null), limitMs);
      this.#waiter = (message) => {
        clearTimeout(timer);
        resolve(message);
      };
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** It alone is no reason for the process to live. */
  unref(): void {
    this.#socket.unref();
  }

  #settle(message: ChannelMessage | null): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.(message);
  }

  #take(chunk: string): void {
    this.#pending += chunk;
    for (let newline = this.#pending.indexOf('\n'); newline >= 0; newline = this.#pending.indexOf('\n')) {
      const message = parsed(this.#pending.slice(0, newline));
      this.#pending = this.#pending.slice(newline + 1);
      if (message === null) {
        this.close();
        return;
      }
      if (this.#waiter === null) this.#lines.push(message);
      else this.#settle(message);
    }
    if (this.#pending.length > MAX_LINE_BYTES) this.close();
  }
}

function parsed(line: string): ChannelMessage | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as ChannelMessage) : null;
  } catch {
    return null; // whoever writes this is no server of ours
  }
}
