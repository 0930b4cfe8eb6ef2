/** The kernel has one count of what a socket has dropped: at a full receive buffer, and by a filter. Here it is divided.
 *
 *  While a filter is there, all that was dropped since the last look is the filter's, unless the buffer was half full then or is so now:
 *  then all of it counts as overflow, since that is what somebody has to do something about. Where there is no filter, it is all
 *  overflow. The epoch is odd while only the thread of the intake knows: with a filter, or while another process has the
 *  socket; others read then what was true at its last look.
 *
 *  drops of the kernel = FILTERED + OVERFLOWS (mod 2³²), after each look. Cold. */

import type { Arena } from '../../memory/arena.ts';
import { DISPATCHER } from '../../memory/layout.ts';
import type { FilteringKernel } from '../intake-kernel.ts';
import { receiveDrops } from '../udp-socket.ts';

export interface DroppingSocket {
  readonly socket: number;
  /** As asked for: the kernel allows twice as much. */
  readonly receiveBufferBytes: number;
}

/** The side of the intake. */
export class FilterDrops {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #control: number;
  readonly #sockets: readonly DroppingSocket[];
  readonly #kernel: FilteringKernel;
  readonly #wasHalfFull: boolean[];

  constructor(arena: Arena, sockets: readonly DroppingSocket[], kernel: FilteringKernel) {
    this.#kernel = kernel;
    this.#words = arena.words;
    this.#control = arena.map.dispatcher >> 2;
    this.#sockets = sockets;
    this.#wasHalfFull = sockets.map(() => false);
  }

  /** From now on what is dropped may be the filter's. */
  begin(): void {
    if (this.#isOdd()) return;
    for (const { socket } of this.#sockets) {
      this.#words[this.#overflows(socket)] = this.#kernel.receiveDrops(socket) - this.#words[this.#filtered(socket)]!;
    }
    Atomics.add(this.#words, this.#control + DISPATCHER.FILTER_EPOCH_WORD, 1);
  }

  /** Returns how many the filter has dropped since the last look; 0 without one. */
  look(): number {
    if (!this.#isOdd()) return 0;
    let sum = 0;
    for (const [i, { socket, receiveBufferBytes }] of this.#sockets.entries()) {
      const [filtered, overflows] = [this.#filtered(socket), this.#overflows(socket)];
      const isHalfFull = this.#kernel.receiveQueued(socket) > receiveBufferBytes;
      const dropped = (this.#kernel.receiveDrops(socket) - this.#words[filtered]! - this.#words[overflows]!) >>> 0;
      const isOverflow = isHalfFull || this.#wasHalfFull[i]!;
      this.#words[isOverflow ? overflows : filtered]! += dropped;
      this.#wasHalfFull[i] = isHalfFull;
      if (!isOverflow) sum += dropped;
    }
    return sum;
  }

  /** The last look has been taken, and there is no filter any more. */
  end(): void {
    if (this.#isOdd()) Atomics.add(this.#words, this.#control + DISPATCHER.FILTER_EPOCH_WORD, 1);
  }

  #isOdd(): boolean {
    return (this.#words[this.#control + DISPATCHER.FILTER_EPOCH_WORD]! & 1) === 1;
  }

  #filtered(socket: number): number {
    return this.#control + DISPATCHER.FILTERED_WORD + socket;
  }

  #overflows(socket: number): number {
    return this.#control + DISPATCHER.OVERFLOWS_WORD + socket;
  }
}

/** What a socket has dropped at a full receive buffer (32 bits, wraps), for the other threads. */
export function overflowsOf(arena: Arena, socket: number): number {
  const { words, map } = arena;
  const control = map.dispatcher >> 2;
  for (;;) {
    const epoch = Atomics.load(words, control + DISPATCHER.FILTER_EPOCH_WORD);
    if ((epoch & 1) === 1) return words[control + DISPATCHER.OVERFLOWS_WORD + socket]! >>> 0;
    const drops = (receiveDrops(socket) - words[control + DISPATCHER.FILTERED_WORD + socket]!) >>> 0;
    // Partner: FilterDrops.begin.
    if (Atomics.load(words, control + DISPATCHER.FILTER_EPOCH_WORD) === epoch) return drops;
  }
}

/** What sockets have dropped until now is another server's. Before the intake begins. */
export function forgetDrops(arena: Arena, sockets: readonly DroppingSocket[]): void {
  const first = (arena.map.dispatcher >> 2) + DISPATCHER.FILTERED_WORD;
  for (const { socket } of sockets) arena.words[first + socket] = receiveDrops(socket);
}
