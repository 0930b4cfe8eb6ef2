/** A single-producer, single-consumer ring of messages in the arena: between the thread of the streams and the others, where a
 *  slot's number would not do because no slot has the message yet. Hot on both sides where there are streams: allocates nothing.
 *
 *  A record is claimed, filled in place and committed by the producer, and becomes visible with `publish`; the consumer looks
 *  at it in place and lets it go with `release`. Records begin like slots (layout.ts). Tail and head count bytes and only grow
 *  (mod 2³²).
 *
 *  Waking. Producer: store tail, then exchange notified for 1; who has found 0 there signals. Consumer: load notified; if it is
 *  1, store 0, then load tail. So a tail that the consumer does not see finds notified 0 and is signalled, and one that is not
 *  signalled follows a signal that the consumer has yet to answer by a look. A consumer with nothing to do loads one word;
 *  one that died between its store and its loads has a successor that looks unasked. test/memory/message-ring.test.ts walks
 *  through all interleavings. */

import { assert } from '../base/assert.ts';
import { MESSAGE_RING, MESSAGE_RING_BYTES, RECORD_PADDING, SLOT, SLOT_HEADER_BYTES } from './layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** Records begin on cache lines. */
const RECORD_ALIGN = 64;

function recordBytes(length: number): number {
  return (SLOT_HEADER_BYTES + length + RECORD_ALIGN - 1) & -RECORD_ALIGN;
}

/** The producer's end. One thread at a time. */
export class MessageProducer {
  readonly #words: Words;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #notifiedWord: number;
  readonly #records: number;
  readonly #capacity: number;
  #tail: number;
  #head: number;
  #published: number;
  #claimed = 0;

  /** `offset` in bytes, of an arena's `words`; `capacity` a power of two. Continues where a predecessor published. */
  constructor(words: Words, offset: number, capacity = MESSAGE_RING_BYTES) {
    assert((capacity & (capacity - 1)) === 0, 'ring capacity must be a power of two');
    const word = offset >> 2;
    this.#words = words;
    this.#tailWord = word + MESSAGE_RING.TAIL_WORD;
    this.#headWord = word + MESSAGE_RING.HEAD_WORD;
    this.#notifiedWord = word + MESSAGE_RING.NOTIFIED_WORD;
    this.#records = offset + MESSAGE_RING.RECORDS_WORD * 4;
    this.#capacity = capacity;
    this.#tail = this.#published = Atomics.load(words, this.#tailWord);
    this.#head = Atomics.load(words, this.#headWord);
  }

  /** Room for a record with a payload of `length` bytes: the offset of its header in the arena, whose length is set; −1: there
   *  is none for now. One claimed and not committed is claimed anew by the next call. A record, padding included, takes half of
   *  the ring at the most, so that there is room for it once the ring is empty. */
  claim(length: number): number {
    const bytes = recordBytes(length);
    assert(bytes <= this.#capacity >> 1, 'a message is longer than its ring allows');
    let at = this.#tail & (this.#capacity - 1);
    const left = this.#capacity - at;
    const padding = left < bytes ? left : 0;
    if (!this.#hasRoom(padding + bytes)) return -1;
    if (padding > 0) {
      this.#words[((this.#records + at) >> 2) + SLOT.LENGTH_WORD] = RECORD_PADDING;
      this.#tail = (this.#tail + padding) | 0;
      at = 0;
    }
    this.#claimed = bytes;
    const offset = this.#records + at;
    this.#words[(offset >> 2) + SLOT.LENGTH_WORD] = length;
    return offset;
  }

  /** The record claimed last is complete; the consumer sees it after `publish`. */
  commit(): void {
    assert(this.#claimed > 0, 'no record was claimed');
    this.#tail = (this.#tail + this.#claimed) | 0;
    this.#claimed = 0;
  }

  /** Publishes what was committed. True: the caller must signal the consumer. */
  publish(): boolean {
    if (this.#tail === this.#published) return false;
    // Publishes the records to MessageConsumer.next.
    Atomics.store(this.#words, this.#tailWord, this.#tail);
    this.#published = this.#tail;
    // Partner: MessageConsumer.isNotified.
    return Atomics.exchange(this.#words, this.#notifiedWord, 1) === 0;
  }

  #hasRoom(bytes: number): boolean {
    if (((this.#tail - this.#head) | 0) + bytes <= this.#capacity) return true;
    // Partner: MessageConsumer.release.
    this.#head = Atomics.load(this.#words, this.#headWord);
    return ((this.#tail - this.#head) | 0) + bytes <= this.#capacity;
  }
}

/** The consumer's end. One thread at a time. */
export class MessageConsumer {
  readonly #words: Words;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #notifiedWord: number;
  readonly #records: number;
  readonly #capacity: number;
  #next: number;
  #tail: number;
  #current = 0;

  /** Continues at what a predecessor released last, and is notified once unasked. */
  constructor(words: Words, offset: number, capacity = MESSAGE_RING_BYTES) {
    assert((capacity & (capacity - 1)) === 0, 'ring capacity must be a power of two');
    const word = offset >> 2;
    this.#words = words;
    this.#tailWord = word + MESSAGE_RING.TAIL_WORD;
    this.#headWord = word + MESSAGE_RING.HEAD_WORD;
    this.#notifiedWord = word + MESSAGE_RING.NOTIFIED_WORD;
    this.#records = offset + MESSAGE_RING.RECORDS_WORD * 4;
    this.#capacity = capacity;
    this.#next = this.#tail = Atomics.load(words, this.#headWord);
    Atomics.store(words, this.#notifiedWord, 1);
  }

  /** Whether records may have come since the last time it said so. If they have, the caller looks: with `next` until there are no
   *  more, or again later unasked. */
  isNotified(): boolean {
    // Partner: MessageProducer.publish's exchange after its store of tail.
    if (Atomics.load(this.#words, this.#notifiedWord) === 0) return false;
    Atomics.store(this.#words, this.#notifiedWord, 0);
    return true;
  }

  /** The offset of the next record's header in the arena, −1: there is none. The same until `release`. */
  next(): number {
    for (;;) {
      if (this.#next === this.#tail) {
        // Partner: MessageProducer.publish.
        this.#tail = Atomics.load(this.#words, this.#tailWord);
        if (this.#next === this.#tail) return -1;
      }
      const at = this.#next & (this.#capacity - 1);
      const offset = this.#records + at;
      const length = this.#words[(offset >> 2) + SLOT.LENGTH_WORD]!;
      if (length !== RECORD_PADDING) {
        this.#current = recordBytes(length);
        return offset;
      }
      this.#next = (this.#next + this.#capacity - at) | 0;
    }
  }

  /** The record that `next` returned is read and its room is the producer's again. */
  release(): void {
    this.#next = (this.#next + this.#current) | 0;
    this.#current = 0;
    // Partner: MessageProducer.claim.
    Atomics.store(this.#words, this.#headWord, this.#next);
  }
}
