/** The way to a HEP collector, over UDP or TCP: comes up, goes down, comes up again. What it does not take stays with the caller;
 *  it never waits and never grows. Runs on the export thread, cold. */

import { lookup } from 'node:dns';
import { connect, type Socket as TcpSocket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { HepTarget } from '../../config/hep-target.ts';
import { HepOutbox } from './hep-outbox.ts';
import { MAX_HEP_BYTES } from './hep-packet.ts';

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
  /** Where a packet is to be written to, at `next`: while it has room, MAX_HEP_BYTES are there. */
  readonly area: Uint8Array;
  readonly next: number;
  /** Takes the packet that was written, up to `end`. It leaves with the next flush. */
  add(end: number): void;
  /** To be called now and then, with packets or without. */
  flush(): void;
  close(): void;
}

/** The wait doubles from one failure to the next. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** What lasts so long is up: UDP has no handshake, and some accept only to close. */
const PROOF_MS = 2000;
/** Bytes of TCP that wait for the collector. */
const MAX_UNSENT_BYTES = 512 * 1024;
/** Packets of one flush. */
const TCP_AREA_BYTES = 256 * 1024;
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
  readonly #outbox = new HepOutbox();
  #isOpen = false;
  #isClosed = false;

  constructor(target: HepTarget, events: LinkEvents) {
    this.#target = target;
    this.#events = events;
    this.#retries = new Retries(events, () => this.#open());
    this.#open();
  }

  get hasRoom(): boolean {
    return this.#isOpen && this.#outbox.hasRoom;
  }

  get area(): Uint8Array {
    return this.#outbox.area;
  }

  get next(): number {
    return this.#outbox.next;
  }

  add(end: number): void {
    this.#outbox.add(end);
  }

  /** What the kernel refuses, or has no room for, is lost. */
  flush(): void {
    if (!this.#isOpen) return;
    if (this.#outbox.count > 0) this.#retries.begin();
    const { sent, failed, errno } = this.#outbox.flush();
    if (sent > 0) this.#events.onSent(sent);
    if (failed > 0) this.#events.onLost(failed);
    const isDown = errno !== 0 && errno !== constants.errno.EAGAIN && errno !== constants.errno.ENOBUFS;
    if (isDown) this.#down(getSystemErrorName(-errno));
  }

  close(): void {
    this.flush();
    this.#isClosed = true;
    this.#retries.close();
    this.#shut();
  }

  #open(): void {
    const { host, port } = this.#target;
    lookup(host, (failure, address, family) => {
      if (this.#isClosed) return;
      try {
        if (failure !== null) throw failure;
        this.#outbox.open(address, family === 6 ? 6 : 4, port);
        this.#isOpen = true;
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        this.#retries.down(code ?? message);
      }
    });
  }

  #down(reason: string): void {
    this.#shut();
    this.#retries.down(reason);
  }

  #shut(): void {
    this.#isOpen = false;
    this.#outbox.close();
  }
}

class TcpLink implements HepLink {
  readonly #target: HepTarget;
  readonly #events: LinkEvents;
  readonly #retries: Retries;
  #socket: TcpSocket | null = null;
  #isConnected = false;
  readonly area = Buffer.alloc(TCP_AREA_BYTES);
  next = 0;
  #packets = 0;

  constructor(target: HepTarget, events: LinkEvents) {
    this.#target = target;
    this.#events = events;
    this.#retries = new Retries(events, () => this.#connect());
    this.#connect();
  }

  get hasRoom(): boolean {
    const isFull = this.next + MAX_HEP_BYTES > TCP_AREA_BYTES;
    return this.#isConnected && !isFull && this.#socket!.writableLength + this.next < MAX_UNSENT_BYTES;
  }

  add(end: number): void {
    this.next = end;
    this.#packets++;
  }

  /** They count as sent once the kernel has them: whether they have arrived nobody tells. */
  flush(): void {
    const count = this.#packets;
    if (count === 0) return;
    // A copy: the socket may keep it for a while.
    this.#socket!.write(Buffer.from(this.area.subarray(0, this.next)), (error) =>
      error == null ? this.#events.onSent(count) : this.#events.onLost(count),
    );
    this.#packets = this.next = 0;
  }

  close(): void {
    this.flush();
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
