/** The typed face of the native addon (native/README.md): batched UDP, sockets that listen, connections of TCP, eventfds,
 *  scheduling, huge pages. Any thread; each thread that imports it has state of its own (attached arena, sockets, watchers, its epoll),
 *  which ends with the thread. File descriptors are the process's: who opened one closes it. Only connections are the thread's.
 *
 *  Misuse throws a TypeError or RangeError; a system call that fails throws a `SystemError`. Hot: `receiveBatch`,
 *  `sendBatch`, `waitForStreams`, `receiveStream`, `sendStream`, `signal` and `nap` are the addon's own functions, called
 *  without anything in between. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from './package-root.ts';

export interface UdpSocketOptions {
  /** A numeric address, `0.0.0.0` or `::` for all; IPv6 without brackets, with its zone if link-local. */
  readonly host: string;
  /** 0: the kernel picks one. */
  readonly port: number;
  readonly family: 4 | 6;
  /** IPv4 as well, on a socket of family 6. */
  readonly dualStack: boolean;
  /** What to ask for, 0 … 2³⁰. The kernel may give less, see `UdpSocket.receiveBufferBytes`. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Differentiated services code point of what is sent, 0 … 63. */
  readonly dscp: number;
  /** SO_REUSEPORT. */
  readonly reusePort: boolean;
  /** A socket that is open and bound already, given by another process, to be set up like one that is opened here. */
  readonly fd?: number;
}

/** As in UdpSocketOptions. */
export type TcpListenOptions = Pick<UdpSocketOptions, 'host' | 'port' | 'family' | 'dualStack' | 'dscp' | 'fd'>;

export interface TcpListener {
  readonly fd: number;
  readonly port: number;
}

export interface UdpSocket {
  readonly fd: number;
  readonly port: number;
  /** What the kernel gave, in the terms it was asked in. Less than asked for: `net.core.rmem_max` clamped it. */
  readonly receiveBufferBytes: number;
}

/** A connection that was accepted. */
export interface AcceptedStream {
  readonly fd: number;
  /** The peer. Numeric; empty: it is gone already. */
  readonly host: string;
  readonly port: number;
  readonly localHost: string;
}

export interface ConnectOptions {
  /** Numeric, IPv6 without brackets, with its zone if link-local. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
  readonly family: 4 | 6;
  /** Where it comes from; empty: the kernel chooses. */
  readonly localHost: string;
  /** As of `acceptStream`. */
  readonly keepAliveSec: number;
}

/** What `watchStream` is asked for and `waitForStreams` tells, in bits. */
export const STREAM_EVENT = {
  READABLE: 1,
  WRITABLE: 2,
  /** Told unasked, of a descriptor that is watched for anything: reset, or closed in both directions. */
  BROKEN: 4,
  /** Asked for with others: told once for each change, however long it lasts. So an eventfd need not be read. */
  EDGE: 8,
} as const;

/** In the place of a descriptor: this thread's event loop has something to do. */
export const LOOP_READY = -1;

export interface Watch {
  /** Stops watching. May be called again, and from the callback. Leaves the eventfd open. */
  close(): void;
}

/** What a failed system call throws. `errno` is negative, as elsewhere in Node. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

/** A socket that somebody else has opened. */
export interface InspectedSocket {
  readonly transport: 'udp' | 'tcp';
  readonly family: 4 | 6;
  /** Numeric, IPv6 compressed. */
  readonly host: string;
  readonly port: number;
  readonly dualStack: boolean;
  /** It accepts connections. */
  readonly isListening: boolean;
}

export interface UnixDatagram {
  readonly bytes: Uint8Array;
  /** Open descriptors, the receiver's from now on. */
  readonly fds: readonly number[];
  /** Of the sender, as the kernel knows it. */
  readonly pid: number;
  readonly uid: number;
}

interface Addon {
  attach(bytes: Uint8Array<SharedArrayBuffer>): void;
  openUdp(options: UdpSocketOptions): UdpSocket;
  openTcp(options: TcpListenOptions): TcpListener;
  duplicate(fd: number): number;
  close(fd: number): void;
  addSocket(index: number, fd: number, family: 4 | 6, wildcard: boolean): void;
  removeSocket(index: number): void;
  receiveFrom(index: number, wanted: boolean): void;
  setFilter(index: number, program: Uint8Array | null): number;
  addRelay(fd: number, receiver: boolean): void;
  inspectSocket(fd: number): InspectedSocket | null;
  createRelay(): { readonly sender: number; readonly receiver: number };
  openUnixDatagram(path: string): { readonly fd: number; readonly path: string };
  sendUnixDatagram(path: string, bytes: Uint8Array, fds: readonly number[]): void;
  receiveUnixDatagram(fd: number): UnixDatagram | null;
  setWake(fd: number): void;
  wakeForLoop(): void;
  receiveBatch(count: number, waitMs: number): number;
  receiveDrops(index: number): number;
  receiveQueued(index: number): number;
  socketErrors(index: number): number;
  takeUnreachable(index: number, words: Int32Array): boolean;
  createEventFd(): number;
  signal(fd: number): void;
  watch(fd: number, callback: () => void): Watch;
  sendBatch(shard: number, first: number, count: number): number;
  openStreams(area: Uint8Array<SharedArrayBuffer>, ready: Int32Array<SharedArrayBuffer>, forLoop: boolean): void;
  watchStream(fd: number, interest: number): void;
  waitForStreams(waitMs: number): number;
  acceptStream(listener: number, keepAliveSec: number): AcceptedStream | number;
  connectStream(options: ConnectOptions): number;
  receiveStream(fd: number, offset: number, length: number): number;
  sendStream(fd: number, offset: number, length: number): number;
  streamError(fd: number): number;
  endStream(fd: number): void;
  closeStream(fd: number): void;
  resetStream(fd: number): void;
  scheduleThread(options: { readonly batch: boolean; readonly timerSlackNs: number }): void;
  nap(microseconds: number): boolean;
  yieldThread(): void;
  threadCpuNs(): number;
  adviseHugePages(bytes: Uint8Array<SharedArrayBuffer>): number;
}

const addon = loadAddon();

/** Shows this thread's addon the arena. Checks magic, layout version and every region against the length; keeps the
 *  memory alive until the thread ends or attaches another. */
export const attach = addon.attach;

/** Opens and binds a non-blocking socket. A wildcard one (`0.0.0.0`, `::`) is set up to tell each datagram's local address;
 *  pass `wildcard: true` to `addSocket` then. Throws a SystemError, `code` EADDRINUSE, EADDRNOTAVAIL, EACCES … */
export const openUdp = addon.openUdp;

/** Opens, binds and listens (SO_REUSEADDR, non-blocking). Connections wait in the kernel until some thread accepts them. Throws
 *  as `openUdp` does. */
export const openTcp = addon.openTcp;

/** Another descriptor of the same socket, for a thread that closes what it has. */
export const duplicate = addon.duplicate;

/** Closes a socket or eventfd. Close its watch first. */
export const close = addon.close;

/** Tells this thread of a socket: `index` (0 … MAX_SOCKETS − 1) is its name in slots and egress entries. An index used
 *  again takes the new socket. `family` is the socket's own: 6 for dual stack, whose IPv4 peers have family 4 in slots
 *  and egress entries all the same. */
export const addSocket = addon.addSocket;

/** Forgets a socket before its descriptor is closed. One that is not there is fine. */
export const removeSocket = addon.removeSocket;

/** Whether this thread's `receiveBatch` asks a socket, as it does at first. Sending is not concerned. */
export const receiveFrom = addon.receiveFrom;

/** Gives a socket a program of classic BPF, in the place of one that it has, that decides which datagrams it takes; null: none. The
 *  kernel keeps a copy, for as long as the socket is open in any process. Returns 0, or the (positive) errno with which the kernel refused it. */
export const setFilter = addon.setFilter;

/** Makes one end of a relay the socket RELAY_SOCKET of this thread; −1: there is none any more. The receiver's end brings slots of
 *  another process: datagrams with the headers that they had there, whose socket index is of this process. */
export const addRelay = addon.addRelay;

/** What a descriptor is; null: no UDP or TCP socket. */
export const inspectSocket = addon.inspectSocket;

/** The two ends of a relay: datagrams between two processes, in order and without loss but for a full buffer. */
export const createRelay = addon.createRelay;

/** Opens a Unix datagram socket at a path, at `@NAME` in the abstract name space, or, for '', at an abstract name that the kernel picks.
 *  Throws a SystemError. */
export const openUnixDatagram = addon.openUnixDatagram;

/** Sends one datagram, with descriptors of this process; they stay open here. Throws a SystemError: ENOENT, ECONNREFUSED where
 *  nobody listens, EAGAIN where his queue is full. */
export const sendUnixDatagram = addon.sendUnixDatagram;

/** The datagram that came first; null: there is none. */
export const receiveUnixDatagram = addon.receiveUnixDatagram;

/** Sets the eventfd that ends a waiting `receiveBatch`, which then reads it empty. */
export const setWake = addon.setWake;

/** From now on a `receiveBatch` that waits also ends when this thread's event loop has something to do: a timer, an answer, a
 *  message, a descriptor. The caller then lets it have its turn before it waits again. Only the callback of a `watch` may wait like
 *  this: in others (immediates, messages) the loop does not show all that is due. Microtasks are never seen: who has made some
 *  takes a turn by itself. Beside `setWake`, whose eventfd need not be watched then. Such a `receiveBatch` waits first and does not ask the sockets
 *  before, so it follows one that has found them empty, or nearly. */
export const wakeForLoop = addon.wakeForLoop;

/** Receives up to `count` (1 … RECEIVE_BATCH) datagrams into the slots that the receive plan names first, in order, and
 *  returns how many came. Goes round the sockets until the batch is full, starting after the one served last. When all are
 *  empty it waits `waitMs` (−1: without limit, 0: not at all) for the first datagram; woken, interrupted by a signal or
 *  out of time, it returns 0.
 *
 *  Writes words 0 … 13 of the slot headers. LENGTH is the true length: what exceeds SLOT_PAYLOAD_BYTES lies in the spill
 *  area of the datagram's position in the batch, until the next call. */
export const receiveBatch = addon.receiveBatch;

/** Datagrams the kernel dropped so far because the socket's receive buffer was full (32 bits, wraps). */
export const receiveDrops = addon.receiveDrops;

/** Bytes of the socket's receive buffer that are in use, in the kernel's own terms: a datagram counts with what it takes of memory,
 *  and the buffer is twice what was asked for. */
export const receiveQueued = addon.receiveQueued;

/** ICMP errors this thread has taken off the socket's error queue so far. Another thread may have taken others. */
export const socketErrors = addon.socketErrors;

/** Family, port, address: what `takeUnreachable` writes. */
export const UNREACHABLE_WORDS = 6;

/** Destinations that ICMP said cannot be reached (RFC 3261 18.4), of those errors that this thread has taken: writes family,
 *  port and the four words of one address, and returns true; false if there are no more. At most 16 wait to be asked for. */
export const takeUnreachable = addon.takeUnreachable;

/** A new eventfd, non-blocking. Closed by `close`. */
export const createEventFd = addon.createEventFd;

/** Makes an eventfd readable: wakes whoever watches it or waits with it. */
export const signal = addon.signal;

/** Calls `callback` on this thread's event loop after each `signal` of the eventfd (several may become one call). Keeps
 *  the loop alive until closed; ends with the thread. One watch per thread and eventfd. */
export const watch = addon.watch;

/** Sends egress entries `first` … `first + count − 1` of a shard and returns how many failed. RESULT of each becomes 0 or
 *  a (positive) errno; one that fails never stops the others. Entries to one destination leave in their order. A full send buffer is waited for, 5 ms at most per call.
 *  ICMP errors of earlier datagrams are counted (`socketErrors`), not laid at the door of these. An entry that is itself
 *  wrong (no such socket, a span outside of the arena …) throws a RangeError before anything is sent. Entries with the bit
 *  ELSEWHERE (layout.ts) in their socket are passed over, and their RESULT stays. */
export const sendBatch = addon.sendBatch;

/** Gives this thread an epoll, in the place of one that it had. `area`: the memory that `receiveStream` writes to and `sendStream`
 *  reads from. `ready`: where `waitForStreams` tells what it has found, two words for each. `forLoop`: its waits also end when the
 *  event loop has something to do; what is said of `wakeForLoop` holds. */
export const openStreams = addon.openStreams;

/** What is wanted of a descriptor, STREAM_EVENT; 0: nothing any more. Closing it does that, too. Throws a SystemError for what
 *  cannot be watched. */
export const watchStream = addon.watchStream;

/** Waits `waitMs` (−1: without limit, 0: not at all) until some descriptor that is watched is ready. Returns how many, and has
 *  written descriptor and STREAM_EVENT of each, or LOOP_READY, to `ready`; 0: out of time, or a signal. */
export const waitForStreams = addon.waitForStreams;

/** Accepts a connection that waits at a socket of `openTcp`; a negative errno: none does, or it could not be accepted. Keep-alives
 *  of TCP begin after `keepAliveSec` (0 … 32767) of silence; 0: there are none. Without Nagle's algorithm. */
export const acceptStream = addon.acceptStream;

/** Begins to connect and returns the descriptor, or a negative errno. It is there, or has failed (`streamError`), once it is
 *  writable. */
export const connectStream = addon.connectStream;

/** Receives into `length` bytes of the area at `offset`. Returns how many bytes came, 0: the peer sends no more, or a negative errno,
 *  EAGAIN if nothing is there. */
export const receiveStream = addon.receiveStream;

/** Sends `length` bytes of the area at `offset`. Returns how many the kernel took, or a negative errno. */
export const sendStream = addon.sendStream;

/** The errno that a connection has met, which is forgotten then; 0: none. */
export const streamError = addon.streamError;

/** This end sends no more. */
export const endStream = addon.endStream;

/** Closes a connection that `acceptStream` or `connectStream` gave; it is not for `close`. Those that are left when this thread ends
 *  are closed then. */
export const closeStream = addon.closeStream;

/** The same, and tells the peer so by a reset. */
export const resetStream = addon.resetStream;

/** Scheduling of the calling thread: SCHED_BATCH or the ordinary class, and how exact its sleeps are. */
export const scheduleThread = addon.scheduleThread;

/** Sleeps, 0 … 1,000,000 µs, whatever comes to the sockets. True, after `wakeForLoop`: it ended early, as the event loop has something to do. */
export const nap = addon.nap;

/** Lets other threads that wait for this core run first (sched_yield). */
export const yieldThread = addon.yieldThread;

/** CPU time the calling thread has used, in nanoseconds. */
export const threadCpuNs = addon.threadCpuNs;

/** Asks the kernel to back memory by huge pages (MADV_HUGEPAGE): that from the first to the last whole page within `bytes`. Returns 0,
 *  or the (positive) errno with which it declined: EINVAL where it has none. Where they are switched off altogether
 *  (`never` in /sys/kernel/mm/transparent_hugepage/enabled) it returns 0, too. */
export const adviseHugePages = addon.adviseHugePages;

/** The addon lies in the package root. STROWGER_ADDON names another file: the tests' sanitized build. */
function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const path = process.env['STROWGER_ADDON'] ?? join(packageRoot(), 'build', 'Release', 'strowger.node');
  try {
    return require(path) as Addon;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'MODULE_NOT_FOUND' ? 'is not built' : `does not load (${message.split('\n')[0]})`;
    throw new Error(`The native addon ${reason}: run 'npm run install'`);
  }
}
