/** Sockets that another process has opened for this one: a service manager (socket activation, sd_listen_fds(3)), or the server
 *  that this one takes over from. Main thread, cold. */

import { canonicalHost, type ListenPoint } from '../config/listen-point.ts';
import { close, type InspectedSocket, inspectSocket } from './udp-socket.ts';

/** The first descriptor that a service manager passes. */
const FIRST_FD = 3;
const MAX_GIVEN = 1024;

export interface ListenEnvironment {
  LISTEN_PID?: string | undefined;
  LISTEN_FDS?: string | undefined;
  LISTEN_FDNAMES?: string | undefined;
}

export interface GivenSocket extends InspectedSocket {
  readonly fd: number;
}

/** The descriptors that a service manager has passed to this process. Takes them out of the environment: they are nobody else's. */
export function takeActivatedFds(environment: ListenEnvironment, pid = process.pid): number[] {
  const { LISTEN_PID: whose, LISTEN_FDS: count = '' } = environment;
  delete environment.LISTEN_PID;
  delete environment.LISTEN_FDS;
  delete environment.LISTEN_FDNAMES;
  if (whose !== String(pid) || !/^\d{1,4}$/.test(count)) return [];
  return Array.from({ length: Math.min(Number(count), MAX_GIVEN) }, (_, i) => FIRST_FD + i);
}

/** Sockets that were given and are not yet used. */
export class GivenSockets {
  #left: GivenSocket[] = [];
  readonly #unknown: number[] = [];

  /** They are this object's from now on. */
  constructor(fds: readonly number[]) {
    for (const fd of fds) {
      const inspected = inspectSocket(fd);
      if (inspected === null) this.#unknown.push(fd);
      else this.#left.push({ ...inspected, fd });
    }
  }

  /** The socket for a listen point, the caller's from now on; null: there is none. A point with port 0 takes any port. */
  take(point: ListenPoint): GivenSocket | null {
    const found = this.#left.find((socket) => isFor(socket, point)) ?? null;
    this.#left = this.#left.filter((socket) => socket !== found);
    return found;
  }

  /** Closes what nobody wanted. Returns it as `udp:ADDRESS:PORT`. */
  closeRest(): string[] {
    const rest = this.#left.map(({ transport, host, port }) => `${transport}:${bracketed(host)}:${port}`);
    for (const { fd } of this.#left) close(fd);
    for (const fd of this.#unknown) close(fd);
    const unknown = this.#unknown.map((fd) => `descriptor ${fd}`);
    this.#left = [];
    this.#unknown.length = 0;
    return [...rest, ...unknown];
  }
}

function isFor(socket: GivenSocket, point: ListenPoint): boolean {
  return (
    (socket.transport === 'udp') === (point.transport === 'udp') &&
    socket.family === point.family &&
    socket.isListening === (point.transport !== 'udp') &&
    (point.port === 0 || socket.port === point.port) &&
    canonicalHost(socket.host) === canonicalHost(point.host) &&
    (point.family === 4 || socket.dualStack === point.dualStack)
  );
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
