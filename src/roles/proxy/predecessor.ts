/** The server that this one has taken over from, for as long as it lives: its transactions go on there (RFC 3261 17), while all that
 *  comes, comes here. Requests of theirs are known by their keys, which were written down when it took its last datagram:
 *  retransmissions, CANCEL, and the ACK to a failure (17.2.3). Responses are those to a branch that nobody knows here
 *  (17.1.3). Both are passed on as they arrived, header of the slot and all. Runs on the shard. Hot: once per request and
 *  response of no transaction of ours, allocates nothing. */

import type { Arena } from '../../memory/arena.ts';
import { RELAY_SOCKET, SLOT, SLOT_HEADER_BYTES } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { type Outbound, TRACE_MARK } from '../../sip/outbound.ts';

const LEAST_PLACES = 1024;

/** A table of transaction keys, pairs of words, to be shared by all shards: open addressing, (0, 0) is an empty place. The key
 *  (0, 0) itself is left out: it belongs to no transaction but by a chance of 2⁻⁶⁴. */
export function createKeyTable(keys: Int32Array): SharedArrayBuffer {
  let places = LEAST_PLACES;
  while (places < keys.length) places *= 2; // half full at the most
  const buffer = new SharedArrayBuffer(places * 8);
  const table = new Int32Array(buffer);
  for (let i = 0; i + 1 < keys.length; i += 2) {
    let place = keys[i + 1]! & (places - 1);
    while ((table[2 * place]! | table[2 * place + 1]!) !== 0) place = (place + 1) & (places - 1);
    table[2 * place] = keys[i]!;
    table[2 * place + 1] = keys[i + 1]!;
  }
  return buffer;
}

/** What `createKeyTable` made, as one thread reads it. */
export class KeyTable {
  readonly #table: Int32Array<SharedArrayBuffer>;
  readonly #mask: number;

  constructor(buffer: SharedArrayBuffer) {
    this.#table = new Int32Array(buffer);
    this.#mask = this.#table.length / 2 - 1;
  }

  has(high: number, low: number): boolean {
    const table = this.#table;
    for (let place = low & this.#mask; ; place = (place + 1) & this.#mask) {
      const there = table[2 * place]!;
      const thereLow = table[2 * place + 1]!;
      if ((there | thereLow) === 0) return false;
      if (there === high && thereLow === low) return true;
    }
  }
}

/** The keys of a table, as `createKeyTable` takes them: a server that hands over passes on what it passes on itself. */
export function keysIn(buffer: SharedArrayBuffer): Int32Array {
  const table = new Int32Array(buffer);
  const keys: number[] = [];
  for (let at = 0; at < table.length; at += 2) {
    if ((table[at]! | table[at + 1]!) !== 0) keys.push(table[at]!, table[at + 1]!);
  }
  return Int32Array.from(keys);
}

export class Predecessor {
  readonly #arena: Arena;
  readonly #outbound: Outbound;
  readonly #counters: Counters;
  readonly #keys: KeyTable;
  readonly #sockets: readonly number[];

  /** `keys`: of `createKeyTable`. `sockets`: by the index of a socket here, its index there; −1: it was not there. */
  constructor(
    arena: Arena,
    outbound: Outbound,
    counters: Counters,
    keys: SharedArrayBuffer,
    sockets: readonly number[],
  ) {
    this.#arena = arena;
    this.#outbound = outbound;
    this.#counters = counters;
    this.#keys = new KeyTable(keys);
    this.#sockets = sockets;
  }

  /** Whether it had a server transaction with this key. */
  has(high: number, low: number): boolean {
    return this.#keys.has(high, low);
  }

  /** Passes on the datagram of a slot. False: it came to a socket that was not there. */
  pass(slotWord: number): boolean {
    const { words } = this.#arena;
    const socket = this.#sockets[words[slotWord + SLOT.SOCKET_WORD]!] ?? -1;
    if (socket < 0) return false;
    words[slotWord + SLOT.SOCKET_WORD] = socket;
    const outbound = this.#outbound;
    outbound.begin();
    const start = slotWord << 2;
    outbound.keep(start, start + SLOT_HEADER_BYTES + words[slotWord + SLOT.LENGTH_WORD]!);
    outbound.to(RELAY_SOCKET, 4, 0, 0, 0, 0, 0, 0);
    // It is traced there.
    const mark = outbound.traceMark;
    outbound.traceMark = TRACE_MARK.NO;
    outbound.commit(0);
    outbound.traceMark = mark;
    this.#counters.count(COUNTER.passed_to_predecessor_total);
    return true;
  }
}
