/** The REGISTER requests that this shard has carried out lately, by their transactions: one that comes again is answered and
 *  not carried out again (RFC 3261 17.2.2), though others may have come in between. All of a Call-ID come to the same shard. Runs on
 *  it. Hot: twice per REGISTER, allocates nothing.
 *
 *  Each transaction has one place, which later ones may take from it. Then what its binding says (registrar.ts) still tells a
 *  retransmission, unless the binding went meanwhile. */

import type { TransactionKey } from '../../sip/branch.ts';

const PLACES = 32_768;
/** high and low of the key, when, spare. */
const PLACE_SHIFT = 2;
/** Timer J: 64 × T1 by default. */
const LIFETIME_MS = 32_000;

export class RecentRegisters {
  readonly #places = new Int32Array(PLACES << PLACE_SHIFT);

  has(key: TransactionKey, nowMs: number): boolean {
    const places = this.#places;
    const at = placeOf(key);
    if (places[at] !== key.high || places[at + 1] !== key.low) return false;
    const ageMs = ((nowMs | 0) - places[at + 2]!) | 0;
    return ageMs >= 0 && ageMs < LIFETIME_MS;
  }

  add(key: TransactionKey, nowMs: number): void {
    const places = this.#places;
    const at = placeOf(key);
    places[at] = key.high;
    places[at + 1] = key.low;
    places[at + 2] = nowMs | 0;
  }
}

function placeOf({ low }: TransactionKey): number {
  return (low & (PLACES - 1)) << PLACE_SHIFT;
}
