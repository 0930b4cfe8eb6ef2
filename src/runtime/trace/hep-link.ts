/** The way to a HEP collector, over UDP or TCP: comes up, goes down, comes up again. What it does not take stays with the caller;
 *  it never waits and never grows. Runs on the export thread, cold. */

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { connect, type Socket as TcpSocket } from 'node:net';
import type { HepTarget } from '../../config/hep-target.ts';

export interface LinkEvents {
  /** It is up, or down again and why; the same never twice in a row. */
  readonly onState: (isUp: boolean, reason: string) => void;
  /** Of packets that were taken: so many are gone. */
  readonly onSent: (count: number) => void;
  readonly onLost: (count: number) => void;
}

export interface HepLink {
  /** Whether a packet would be taken now. */
  readonly hasRoom: boolean;
  send(packet: Buffer): void;
  close(): void;
}

/** The wait doubles from one failure to the next. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** What lasts so long is up: UDP has no handshake, and some accept only to close. */
const PROOF_MS = 2000;
/** UDP packets in the hands of the kernel at once. */
const MAX_UNSENT = 64;
/** Bytes of TCP that wait for the collector. */
const MAX_UNSENT_BYTES = 512 * 1024;
const CONNECT_LIMIT_MS = 5000;
/** A collector that takes nothing for so long is as good as gone. */
const STALL_LIMIT_MS = 20_000;

export function openHepLink(target: HepTarget, events: LinkEvents): HepLink {
  return target.transport === 'udp' ? new UdpLink(target, events) : new TcpLink(target, events);
}

/** What both have: retries, and a state that is told when it changes. */
class Retries {
  readonly #events: LinkEvents;
  readonly #connect: () => void;
  #waitMs = FIRST_WAIT_MS;
  #timer: NodeJS.Timeout | null = null;
  #proof: NodeJS.Timeout | null = null;
  #told: boolean | null = null;
  #isClosed = false;

  constructor(events: LinkEvents, connect: () => void) {
    this.#events = events;
    this.#connect = connect;
  }

  /** So far nothing speaks against it. */
  begin(): void {
    if (this.#isClosed) return;
    this.#proof ??= setTimeout(() => {
      this.#waitMs = FIRST_WAIT_MS;
      this.#tell(true, '');
    }, PROOF_MS);
  }

  down(reason: string): void {
    if (this.#isClosed) return;
    if (this.#proof !== null) clearTimeout(this.#proof);
    this.#proof = null;
    this.#tell(false, reason);
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#connect();
    }, this.#waitMs);
    this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of [this.#timer, this.#proof]) if (timer !== null) clearTimeout(timer);
  }

  #tell(isUp: boolean, reason: string): void {
    if (this.#told === isUp) return;
    this.#told = isUp;
    this.#events.onState(isUp, reason);
  }
}

class UdpLink implements HepLink {
  readonly #target: HepTarget;
  readonly #events: LinkEvents;
  readonly #retries: Retries;
  #socket: UdpSocket | null = null;
  #isConnected = false;
  #isClosed = false;
  #unsent = 0;

  constructor(target: HepTarget, events: LinkEvents) {
    this.#target = target;
    this.#events = events;
    this.#retries = new Retries(events, () => this.#connect());
    this.#connect();
  }

  get hasRoom(): boolean {
    return this.#isConnected && this.#unsent < MAX_UNSENT;
  }

  /** A connected socket hears of ICMP errors; the packet that is refused for one is lost. */
  send(packet: Buffer): void {
    const socket = this.#socket!;
    this.#unsent++;
    this.#retries.begin();
    socket.send(packet, (error) => {
      if (socket === this.#socket) this.#unsent--;
      if (error === null) this.#events.onSent(1);
      else this.#events.onLost(1);
      if (error !== null) this.#drop(socket, error);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#retries.close();
    if (this.#socket !== null) this.#drop(this.#socket, new Error('closed'));
  }

  #connect(): void {
    const { host, port } = this.#target;
    lookup(host, (failure, address, family) => {
      if (this.#isClosed) return;
      if (failure !== null) {
        this.#retries.down(failure.code ?? failure.message);
        return;
      }
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
      this.#socket = socket;
      this.#unsent = 0;
      socket.on('error', (error) => this.#drop(socket, error));
      // Without a route, say, the error comes here, which Node's types do not know of.
      socket.connect(port, address, (error?: NodeJS.ErrnoException) => {
        if (error != null) this.#drop(socket, error);
        else this.#isConnected = socket === this.#socket;
      });
    });
  }

  #drop(socket: UdpSocket, error: NodeJS.ErrnoException): void {
    if (socket !== this.#socket) return;
    this.#isConnected = false;
    this.#socket = null;
    socket.close();
    this.#retries.down(error.code ?? error.message);
  }
}

class TcpLink implements HepLink {
  readonly #target: HepTarget;
  readonly #events: LinkEvents;
  readonly #retries: Retries;
  #socket: TcpSocket | null = null;
  #isConnected = false;

  constructor(target: HepTarget, events: LinkEvents) {
    this.#target = target;
    this.#events = events;
    this.#retries = new Retries(events, () => this.#connect());
    this.#connect();
  }

  get hasRoom(): boolean {
    return this.#isConnected && this.#socket!.writableLength < MAX_UNSENT_BYTES;
  }

  /** It counts as sent once the kernel has it: whether it has arrived nobody tells. */
  send(packet: Buffer): void {
    this.#socket!.write(packet, (error) => (error == null ? this.#events.onSent(1) : this.#events.onLost(1)));
  }

  close(): void {
    this.#retries.close();
    this.#isConnected = false;
    this.#socket?.end();
  }

  #connect(): void {
    const socket = connect(this.#target);
    this.#socket = socket;
    let reason = 'closed by the collector';
    socket.setTimeout(CONNECT_LIMIT_MS);
    // While nothing waits to be written, silence is all right.
    socket.on('timeout', () => {
      if (socket.connecting || socket.writableLength > 0) socket.destroy(new Error('does not take anything'));
    });
    socket.once('connect', () => {
      socket.setKeepAlive(true, STALL_LIMIT_MS);
      socket.setTimeout(STALL_LIMIT_MS);
      this.#isConnected = true;
      this.#retries.begin();
    });
    // Collectors have nothing to say, but unread it would hide their end.
    socket.resume();
    socket.once('error', (error: NodeJS.ErrnoException) => {
      reason = error.code ?? error.message;
    });
    socket.once('close', () => {
      this.#isConnected = false;
      this.#retries.down(reason);
    });
  }
}
