/** A stand-in for systemd: the socket that NOTIFY_SOCKET names, and what came there. */

import { setInterval } from 'node:timers';
import { close, openUnixDatagram, receiveUnixDatagram } from '../../src/runtime/udp-socket.ts';

const LOOK_MS = 5;

export interface Notification {
  /** Lines by their names: `READY` → `1`. */
  readonly fields: Readonly<Record<string, string>>;
  readonly pid: number;
  readonly atMs: number;
}

export class FakeSystemd {
  readonly path: string;
  readonly notifications: Notification[] = [];
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;

  /** At a path, or at `@NAME`. */
  constructor(path: string) {
    const { fd, path: bound } = openUnixDatagram(path);
    this.#fd = fd;
    this.path = bound;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  all(): readonly Notification[] {
    this.#look();
    return this.notifications;
  }

  /** Those that have a field, in their order. */
  with(name: string): Notification[] {
    return this.all().filter(({ fields }) => fields[name] !== undefined);
  }

  close(): void {
    clearInterval(this.#timer);
    close(this.#fd);
  }

  #look(): void {
    for (let got = receiveUnixDatagram(this.#fd); got !== null; got = receiveUnixDatagram(this.#fd)) {
      const lines = Buffer.from(got.bytes).toString().split('\n');
      const fields = Object.fromEntries(lines.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
      this.notifications.push({ fields, pid: got.pid, atMs: performance.now() });
    }
  }
}
