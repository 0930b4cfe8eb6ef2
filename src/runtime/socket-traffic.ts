/** Datagrams by socket: the intake counts them in words of 32 bits, here they are carried on beyond that. Main thread, cold. */

import type { Arena } from '../memory/arena.ts';
import { DISPATCHER, MAX_SOCKETS } from '../memory/layout.ts';

/** A word does not go round in less than hours. */
const CARRY_MS = 60_000;

export class SocketTraffic {
  readonly #arena: Arena;
  readonly #seen = new Int32Array(MAX_SOCKETS);
  readonly #totals = new Float64Array(MAX_SOCKETS);
  #timer: NodeJS.Timeout | null = null;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  start(): void {
    const carry = () => {
      for (let socket = 0; socket < MAX_SOCKETS; socket++) this.received(socket);
    };
    this.#timer = setInterval(carry, CARRY_MS).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Since the start. */
  received(socket: number): number {
    const { words, map } = this.#arena;
    const count = words[(map.dispatcher >> 2) + DISPATCHER.SOCKET_COUNTS_WORD + socket]!;
    this.#totals[socket]! += (count - this.#seen[socket]!) >>> 0;
    this.#seen[socket] = count;
    return this.#totals[socket]!;
  }
}
