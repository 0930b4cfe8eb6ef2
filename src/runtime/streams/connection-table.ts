/** The connections of one thread: by number, by whom they lead to, and how many each source has. Thread of the streams. The
 *  look-ups are hot: once per message written, without allocation. */

import { assert } from '../../base/assert.ts';

/** The other end. */
export interface Place {
  readonly family: number;
  readonly port: number;
  readonly a0: number;
  readonly a1: number;
  readonly a2: number;
  readonly a3: number;
}

/** What the table knows a connection by. */
export interface TableEntry extends Place {
  /** Not 0. */
  readonly number: number;
  /** TRANSPORT. */
  readonly transport: number;
  /** The domain that its certificate was checked for; empty: none. */
  readonly serverName: string;
  /** False: it is found by its number alone. */
  readonly isReusable: boolean;
  /** The table's own: the next of those whose peers have the same hash. */
  nextOfHash: TableEntry | null;
}

export class ConnectionTable<Entry extends TableEntry> {
  readonly #byNumber = new Map<number, Entry>();
  readonly #byPeer = new Map<number, Entry>();
  readonly #bySource = new Map<string, number>();
  #lastNumber: number;

  /** Numbers begin behind `start`, any Int32: a random one, so that those of an earlier process mean nothing here. */
  constructor(start: number) {
    this.#lastNumber = start | 0;
  }

  get count(): number {
    return this.#byNumber.size;
  }

  [Symbol.iterator](): IterableIterator<Entry> {
    return this.#byNumber.values();
  }

  /** A number that no connection has, and that none had for four thousand million others. */
  newNumber(): number {
    do this.#lastNumber = (this.#lastNumber + 1) | 0;
    while (this.#lastNumber === 0 || this.#byNumber.has(this.#lastNumber));
    return this.#lastNumber;
  }

  add(entry: Entry): void {
    assert(entry.number !== 0 && !this.#byNumber.has(entry.number), 'a connection needs a number of its own');
    this.#byNumber.set(entry.number, entry);
    const hash = peerHash(entry.transport, entry.port, entry.a0, entry.a1, entry.a2, entry.a3);
    entry.nextOfHash = this.#byPeer.get(hash) ?? null;
    this.#byPeer.set(hash, entry);
  }

  /** One that is not there is fine. */
  remove(entry: Entry): void {
    if (!this.#byNumber.delete(entry.number)) return;
    const hash = peerHash(entry.transport, entry.port, entry.a0, entry.a1, entry.a2, entry.a3);
    let other = this.#byPeer.get(hash) as TableEntry;
    if (other === entry) {
      if (entry.nextOfHash === null) this.#byPeer.delete(hash);
      else this.#byPeer.set(hash, entry.nextOfHash as Entry);
      return;
    }
    while (other.nextOfHash !== entry) other = other.nextOfHash!;
    other.nextOfHash = entry.nextOfHash;
  }

  byNumber(number: number): Entry | undefined {
    return this.#byNumber.get(number);
  }

  /** The latest reusable connection to an address and port, null: there is none. With a `serverName` only one that was checked for
   *  it will do. */
  byPeer(
    transport: number,
    family: number,
    port: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    serverName = '',
  ): Entry | null {
    let entry: TableEntry | null = this.#byPeer.get(peerHash(transport, port, a0, a1, a2, a3)) ?? null;
    for (; entry !== null; entry = entry.nextOfHash) {
      if (
        entry.port === port &&
        isReusableTo(entry, transport, family, a0, a1, a2, a3) &&
        (serverName === '' || entry.serverName === serverName)
      ) {
        return entry as Entry;
      }
    }
    return null;
  }

  /** Counts an accepted connection of `source`, unless that has `limit` of them already. */
  admit(source: string, limit: number): boolean {
    const count = this.#bySource.get(source) ?? 0;
    if (count >= limit) return false;
    this.#bySource.set(source, count + 1);
    return true;
  }

  dismiss(source: string): void {
    const count = this.#bySource.get(source) ?? 0;
    assert(count > 0, 'a source lost a connection that it did not have');
    if (count === 1) this.#bySource.delete(source);
    else this.#bySource.set(source, count - 1);
  }
}

/** Whether what is for an address may go by a connection, as far as that does not depend on the port. */
export function isReusableTo(
  entry: TableEntry,
  transport: number,
  family: number,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): boolean {
  return (
    entry.isReusable &&
    entry.a0 === a0 &&
    entry.a1 === a1 &&
    entry.a2 === a2 &&
    entry.a3 === a3 &&
    entry.family === family &&
    entry.transport === transport
  );
}

/** 31 bits, so that a Map keeps it as a small integer. */
export function peerHash(transport: number, port: number, a0: number, a1: number, a2: number, a3: number): number {
  let hash = Math.imul(a0 ^ Math.imul(a1 ^ Math.imul(a2 ^ Math.imul(a3, 31), 31), 31), 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + (port << 3) + transport, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) & 0x3fff_ffff;
}
