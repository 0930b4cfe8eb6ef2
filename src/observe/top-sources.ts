/** Who sends most: a sketch of the sources of datagrams, in shared memory of its own. The intake writes it, the main thread reads
 *  it, and only while somebody looks: otherwise a batch costs one load.
 *
 *  One datagram of each batch, chosen by chance, stands for the whole batch and weighs as much: a source's weight is on average
 *  what it sent, exactly so where datagrams come one by one, and in a flood the cost is one look per RECEIVE_BATCH. Weights go
 *  into a table by the space-saving algorithm (Metwally, Agrawal, El Abbadi 2005): a source that is not in it takes the place of
 *  the lightest one and its weight, which is remembered as what may be too much. Whoever has sent more than a SOURCES-th of
 *  all is in the table, however many others there are.
 *
 *  Time is cut into windows, which alternate between two tables, so that the one which is read is not written:
 *  ```
 *  word 0 WANTED   the window that the reader wants written, 0: none
 *  word 1 CURRENT  the window that the writer has begun last; the one before is complete
 *  word 16…        table of the even windows, then that of the odd ones: SOURCES entries of
 *                  0…3 address | 4 family, 0: free | 5 port, MANY_PORTS: several | 6 weight | 7 what may be too much of it
 *  ``` */

import { formatIpAddress, MAX_ADDRESS_BYTES } from '../sip/ip-address.ts';

const WANTED = 0;
const CURRENT = 1;
const TABLES = 16;

/** Entries of a table. */
export const SOURCES = 64;
const ENTRY_WORDS = 8;
const TABLE_WORDS = SOURCES * ENTRY_WORDS;
const FAMILY = 4;
const PORT = 5;
const WEIGHT = 6;
const EXCESS = 7;

/** In place of a port: datagrams came from several ports of that address. */
export const MANY_PORTS = -1;

/** Memory for `TopSourcesWriter` and `TopSourcesReader`. */
export function createTopSources(): SharedArrayBuffer {
  return new SharedArrayBuffer((TABLES + 2 * TABLE_WORDS) * 4);
}

function tableOf(window: number): number {
  return TABLES + (window & 1) * TABLE_WORDS;
}

/** The intake's end; there is one at a time. Hot: once per batch, allocates nothing. */
export class TopSourcesWriter {
  readonly #words: Int32Array<SharedArrayBuffer>;
  #window: number;
  /** Of a xorshift generator: chance, and nothing that must not be guessed. */
  #random = 0x2545_f491;

  /** A predecessor may have died in the middle of a window: it is continued. */
  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#window = this.#words[CURRENT]!;
  }

  /** Whether somebody looks; begins the window that is wanted. To be asked before `pick` and `add`. */
  isWatched(): boolean {
    // Partner: the reader's stores in `watch`, `take` and `rest`.
    const wanted = Atomics.load(this.#words, WANTED);
    if (wanted === 0) return false;
    if (wanted !== this.#window) this.#begin(wanted);
    return true;
  }

  /** The datagram that stands for a batch of `count`: 0 … count − 1, each as likely. */
  pick(count: number): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return Math.trunc(((x >>> 0) * count) / 0x1_0000_0000);
  }

  /** Adds `weight` to the source whose address begins at `from[address]`, four words in network order, IPv4 in the first. */
  add(from: Int32Array<SharedArrayBuffer>, address: number, family: number, port: number, weight: number): void {
    const words = this.#words;
    const table = tableOf(this.#window);
    const a = from[address]!;
    const b = family === 4 ? 0 : from[address + 1]!;
    const c = family === 4 ? 0 : from[address + 2]!;
    const d = family === 4 ? 0 : from[address + 3]!;
    let lightest = table;
    let least = 0x7fff_ffff;
    for (let at = table; at < table + TABLE_WORDS; at += ENTRY_WORDS) {
      if (
        words[at] === a &&
        words[at + FAMILY] === family &&
        words[at + 1] === b &&
        words[at + 2] === c &&
        words[at + 3] === d
      ) {
        words[at + WEIGHT]! += weight;
        if (words[at + PORT] !== port) words[at + PORT] = MANY_PORTS;
        return;
      }
      if (words[at + WEIGHT]! < least) {
        least = words[at + WEIGHT]!;
        lightest = at;
      }
    }
    words[lightest] = a;
    words[lightest + 1] = b;
    words[lightest + 2] = c;
    words[lightest + 3] = d;
    words[lightest + FAMILY] = family;
    words[lightest + PORT] = port;
    words[lightest + WEIGHT] = least + weight;
    words[lightest + EXCESS] = least;
  }

  #begin(window: number): void {
    const table = tableOf(window);
    this.#words.fill(0, table, table + TABLE_WORDS);
    this.#window = window;
    // Says that the window before is complete. Partner: the reader's load in `take`.
    Atomics.store(this.#words, CURRENT, window);
  }
}

/** A source in one window. */
export interface TopSource {
  /** Without brackets. */
  readonly address: string;
  /** MANY_PORTS: several. */
  readonly port: number;
  /** Datagrams, about. */
  readonly weight: number;
  /** So much of `weight` may be another's. */
  readonly excess: number;
}

/** The reader's end; there is one. Cold. */
export class TopSourcesReader {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #text = new Uint8Array(new SharedArrayBuffer(MAX_ADDRESS_BYTES));
  #wanted = 0;
  /** Windows up to here are read, or too old to be. */
  #read = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  /** Somebody looks from now on. */
  watch(): void {
    this.#read = this.#wanted;
    this.#want();
  }

  /** Nobody looks any more. */
  rest(): void {
    Atomics.store(this.#words, WANTED, 0);
  }

  /** What came between the two calls before this one, in no order; begins another window. To be called at an even pace. */
  take(): TopSource[] {
    // Partner: the writer's store in `#begin`.
    const current = Atomics.load(this.#words, CURRENT);
    const hasBegun = current === this.#wanted;
    // Where the wanted window has not begun, no datagram came since it was wanted, and the one before is complete all the same.
    const complete = this.#wanted - 1;
    const sources = complete > this.#read && (hasBegun || current === complete) ? this.#readTable(complete) : [];
    this.#read = Math.max(this.#read, complete);
    if (hasBegun) this.#want();
    return sources;
  }

  #want(): void {
    this.#wanted++;
    Atomics.store(this.#words, WANTED, this.#wanted);
  }

  #readTable(window: number): TopSource[] {
    const words = this.#words;
    const sources: TopSource[] = [];
    const table = tableOf(window);
    for (let at = table; at < table + TABLE_WORDS; at += ENTRY_WORDS) {
      const family = words[at + FAMILY]!;
      if (family === 0) continue;
      const end = formatIpAddress(words, at, family, this.#text, 0);
      sources.push({
        address: String.fromCharCode(...this.#text.subarray(0, end)),
        port: words[at + PORT]!,
        weight: words[at + WEIGHT]!,
        excess: words[at + EXCESS]!,
      });
    }
    return sources;
  }
}
