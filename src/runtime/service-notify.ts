/** What a service manager is told (sd_notify(3)): that the server is up, reloads or ends, how it is, and, for its watchdog, that it
 *  works. Datagrams to the socket that NOTIFY_SOCKET names, one each, without a process. Main thread, cold. */

import { sendUnixDatagram } from './udp-socket.ts';

/** Three pings in what the manager waits for. */
const PINGS_PER_LIMIT = 3;

export interface NotifyEnvironment {
  readonly NOTIFY_SOCKET?: string | undefined;
  readonly WATCHDOG_USEC?: string | undefined;
  readonly WATCHDOG_PID?: string | undefined;
}

export class ServiceNotifier {
  /** null: nobody wants to know. */
  #path: string | null;
  /** Of the manager's watchdog; 0: it has none. */
  readonly watchdogMs: number;
  readonly #onTrouble: (text: string) => void;
  #hasTrouble = false;
  #isStopping = false;
  #timer: NodeJS.Timeout | undefined;

  /** Without NOTIFY_SOCKET every method does nothing. `onTrouble`: told once, a line. */
  constructor(environment: NotifyEnvironment, onTrouble: (text: string) => void, pid = process.pid) {
    const { NOTIFY_SOCKET: path = '', WATCHDOG_USEC: limitUs = '', WATCHDOG_PID: whose } = environment;
    this.#onTrouble = onTrouble;
    this.#path = /^[/@]./.test(path) ? path : null;
    const isForUs = whose === undefined || whose === String(pid);
    this.watchdogMs = this.#path !== null && isForUs && /^[1-9]\d{0,15}$/.test(limitUs) ? Number(limitUs) / 1000 : 0;
    if (path !== '' && this.#path === null) this.#tellTrouble(`NOTIFY_SOCKET=${path} is no path`);
  }

  /** Says nothing once the server stops: a reload then, or one that was under way, must not take that back. */
  ready(status: string): void {
    if (!this.#isStopping) this.#send('READY=1', `STATUS=${status}`);
  }

  /** `ready` follows. As silent as that during a stop. */
  reloading(): void {
    if (!this.#isStopping) this.#send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  /** `limitMs`: how long that takes at the most. */
  stopping(status: string, limitMs: number): void {
    this.#isStopping = true;
    this.#send('STOPPING=1', `STATUS=${status}`, `EXTEND_TIMEOUT_USEC=${limitMs * 1000}`);
  }

  status(status: string): void {
    this.#send(`STATUS=${status}`);
  }

  /** Another process is the service from now on; this one says nothing more. */
  succeededBy(pid: number): void {
    this.#send(`MAINPID=${pid}`);
    this.close();
    this.#path = null;
  }

  /** Pings the watchdog from now on, as long as `isAlive` says so. */
  watch(isAlive: () => Promise<boolean>): void {
    if (this.watchdogMs === 0) return;
    let isAsking = false;
    this.#timer = setInterval(() => {
      if (isAsking) return;
      isAsking = true;
      isAlive().then(
        (alive) => {
          isAsking = false;
          if (alive) this.#send('WATCHDOG=1');
        },
        () => {
          isAsking = false;
        },
      );
    }, this.watchdogMs / PINGS_PER_LIMIT);
    this.#timer.unref();
  }

  /** No more pings. */
  close(): void {
    clearInterval(this.#timer);
  }

  #send(...lines: string[]): void {
    if (this.#path === null) return;
    try {
      sendUnixDatagram(this.#path, Buffer.from(lines.join('\n')), []);
    } catch (error) {
      this.#tellTrouble(`the service manager cannot be told: ${(error as Error).message}`);
    }
  }

  #tellTrouble(text: string): void {
    if (!this.#hasTrouble) this.#onTrouble(text);
    this.#hasTrouble = true;
  }
}
