/** Answers to REGISTER requests that wait until what they say is in the store, so that no restart forgets what a client was
 *  told. In the order of their changes. Runs on the shard. Hot: twice per REGISTER, allocates nothing. */

import type { FeedProducer } from '../../location/store-feed.ts';
import { type KeptMessages, NO_BLOCK } from '../../memory/kept-messages.ts';
import type { Outbound } from '../../sip/outbound.ts';

/** Answers of one shard that wait at once: a commit takes a few milliseconds. */
const CAPACITY = 32_768;

export class StoredAnswers {
  readonly #feed: FeedProducer;
  readonly #kept: KeptMessages;
  readonly #outbound: Outbound;
  readonly #sequences = new Int32Array(CAPACITY);
  readonly #blocks = new Int32Array(CAPACITY);
  #first = 0;
  #count = 0;

  constructor(feed: FeedProducer, kept: KeptMessages, outbound: Outbound) {
    this.#feed = feed;
    this.#kept = kept;
    this.#outbound = outbound;
  }

  get isWaiting(): boolean {
    return this.#count > 0;
  }

  /** Answers that wait. */
  get count(): number {
    return this.#count;
  }

  /** Takes the message committed last out of the flush until all changes so far are stored. Without room it is not sent at
   *  all: the client asks again, and by then they are. */
  hold(): void {
    const { appended } = this.#feed;
    if (this.#feed.isCommitted(appended)) return;
    const outbound = this.#outbound;
    const block = this.#count < CAPACITY ? this.#kept.take(outbound.length) : NO_BLOCK;
    if (block !== NO_BLOCK) {
      outbound.keepIn(block);
      const place = (this.#first + this.#count++) % CAPACITY;
      this.#sequences[place] = appended;
      this.#blocks[place] = block;
    }
    outbound.uncommit();
  }

  /** Sends those that may go. */
  release(): void {
    while (this.#count > 0 && this.#feed.isCommitted(this.#sequences[this.#first]!)) {
      const block = this.#blocks[this.#first]!;
      this.#outbound.sendKept(block, 0);
      this.#kept.release(block);
      this.#first = (this.#first + 1) % CAPACITY;
      this.#count--;
    }
  }
}
