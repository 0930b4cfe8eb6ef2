/** Destinations that ICMP said cannot be reached a moment ago (RFC 3261 18.4), or that take no TCP (18.1.1). Runs on the shard. Cold but for `isKnown`, which is
 *  asked before each retransmission; allocates nothing. */

import { SLOT } from '../../memory/layout.ts';
import type { Clock } from '../../transaction/transaction-records.ts';

/** Destinations remembered at once; the oldest gives way. */
const MAX_PLACES = 32;
/** Family, port, four words of the address, and when it was said. */
export const PLACE_WORDS = 7;
const SAID_AT = 6;

/** Where a transaction's record has its family; the socket stands before it. */
const FAMILY_IN_ROUTE = SLOT.FAMILY_WORD - SLOT.SOCKET_WORD;
const COMPARED_WORDS = 6;

export class UnreachablePlaces {
  readonly #clock: Clock;
  readonly #places = new Int32Array(MAX_PLACES * PLACE_WORDS);
  #next = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `words` from `familyAt`: family, port and four words of an address, as in a slot's header. */
  note(words: Int32Array, familyAt: number): void {
    const at = this.#next * PLACE_WORDS;
    for (let i = 0; i < COMPARED_WORDS; i++) this.#places[at + i] = words[familyAt + i]!;
    this.#places[at + SAID_AT] = this.#clock.nowMs;
    this.#next = (this.#next + 1) % MAX_PLACES;
  }

  /** True if that was said of where a transaction's record goes, within the last `ms`. `routeAt`: its route. */
  isKnown(record: Int32Array, routeAt: number, ms: number): boolean {
    const places = this.#places;
    const family = routeAt + FAMILY_IN_ROUTE;
    for (let at = 0; at < places.length; at += PLACE_WORDS) {
      if (places[at] !== record[family] || places[at + 1] !== record[family + 1]) continue;
      if (places[at + 2] !== record[family + 2] || places[at + 3] !== record[family + 3]) continue;
      if (places[at + 4] !== record[family + 4] || places[at + 5] !== record[family + 5]) continue;
      if (((this.#clock.nowMs - places[at + SAID_AT]!) | 0) <= ms) return true;
    }
    return false;
  }
}
