/** Messages that wait for one sendmmsg, all from one socket to the server. Hot: allocates nothing. */

import { assert } from '../../src/base/assert.ts';
import type { Arena } from '../../src/memory/arena.ts';
import { EGRESS, EGRESS_STRIDE_BYTES } from '../../src/memory/layout.ts';

const ENTRY_WORDS = EGRESS_STRIDE_BYTES >> 2;

/** Where flows put what they send. */
export interface Sending {
  /** Messages since the last flush. */
  readonly count: number;
  /** Begins a message, which `add` fills. Those with the same number go by the same connection. */
  begin(number: number): void;
  /** Appends bytes of the arena to the message; no bytes are fine. */
  add(at: number, bytes: number): void;
}

export class Outbox implements Sending {
  count = 0;
  readonly first: number;
  readonly #words: Int32Array;
  readonly #table: number;
  readonly #room: number;
  #entry = 0;

  /** Egress entries `first` … `first + room − 1` are addressed to the server's port, once and for all. */
  constructor(arena: Arena, first: number, room: number, socket: number, serverPort: number) {
    this.first = first;
    this.#words = arena.words;
    this.#table = arena.map.egress >> 2;
    this.#room = room;
    for (let entry = first; entry < first + room; entry++) {
      const word = this.#table + entry * ENTRY_WORDS;
      this.#words[word + EGRESS.SOCKET_WORD] = socket;
      this.#words[word + EGRESS.FAMILY_WORD] = 4;
      this.#words[word + EGRESS.PORT_WORD] = serverPort;
      arena.bytes.set([127, 0, 0, 1], (word + EGRESS.ADDRESS_WORD) * 4);
    }
  }

  begin(): void {
    assert(this.count < this.#room, 'more messages than one flush holds');
    this.#entry = this.#table + (this.first + this.count++) * ENTRY_WORDS;
    this.#words[this.#entry + EGRESS.SPAN_COUNT_WORD] = 0;
  }

  add(at: number, bytes: number): void {
    if (bytes === 0) return;
    const words = this.#words;
    const spans = words[this.#entry + EGRESS.SPAN_COUNT_WORD]!++;
    const word = this.#entry + EGRESS.SPANS_WORD + 2 * spans;
    words[word] = at;
    words[word + 1] = bytes;
  }

  /** The spans of message i, (offset, length) each. Cold: for tests. */
  spansOf(i: number): number[] {
    const word = this.#table + (this.first + i) * ENTRY_WORDS;
    const count = this.#words[word + EGRESS.SPAN_COUNT_WORD]!;
    return [...this.#words.subarray(word + EGRESS.SPANS_WORD, word + EGRESS.SPANS_WORD + 2 * count)];
  }

  clear(): void {
    this.count = 0;
  }
}
