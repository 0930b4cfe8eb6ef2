/** The transactions that a stateless proxy has seen lately, so that what belongs to them keeps going where they went when the
 *  configuration is exchanged (RFC 3261 16.11). A request has nothing of ours in it by which to tell: its top Via, Call-ID and
 *  route are the client's. So their keys are noted as they come, one behind the other, which costs two stores per request,
 *  and when a reload comes those noted since the last one become a set. Runs on the shard. Hot: `note`, allocates nothing. */

/** Keys noted at once; older ones are forgotten. */
export const MAX_RECENT = 262_144;
const MASK = MAX_RECENT - 1;

export class RecentTransactions {
  /** (high, low) of each. */
  readonly #keys = new Int32Array(2 * MAX_RECENT);
  #noted = 0;

  /** The key of a request's transaction (identity.ts). */
  note(high: number, low: number): void {
    const at = (this.#noted & MASK) << 1;
    this.#noted++;
    this.#keys[at] = high;
    this.#keys[at + 1] = low;
  }

  /** Those noted since it was asked last, at the most MAX_RECENT. Cold: some nanoseconds for each. */
  take(): TransactionSet {
    const count = Math.min(this.#noted, MAX_RECENT);
    this.#noted = 0;
    return new TransactionSet(this.#keys, count);
  }
}

/** Keys of transactions, fixed. Hot while an old configuration is kept. */
export class TransactionSet {
  /** (high, low) in the places that the key says, or behind them; (0, 0): empty. */
  readonly #places: Int32Array;
  readonly #mask: number;
  /** A key of two zeros, which has no place. */
  #hasZero = false;
  readonly count: number;

  /** The first `count` pairs of `keys`. */
  constructor(keys: Int32Array, count: number) {
    const places = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * count)));
    this.#places = new Int32Array(2 * places);
    this.#mask = places - 1;
    let different = 0;
    for (let i = 0; i < count; i++) if (this.#add(keys[2 * i]!, keys[2 * i + 1]!)) different++;
    this.count = different;
  }

  has(high: number, low: number): boolean {
    if ((high | low) === 0) return this.#hasZero;
    const places = this.#places;
    for (let at = (low & this.#mask) << 1; ; at = (at + 2) & ((this.#mask << 1) | 1)) {
      if (places[at] === high && places[at + 1] === low) return true;
      if ((places[at]! | places[at + 1]!) === 0) return false;
    }
  }

  #add(high: number, low: number): boolean {
    if ((high | low) === 0) {
      const isNew = !this.#hasZero;
      this.#hasZero = true;
      return isNew;
    }
    const places = this.#places;
    for (let at = (low & this.#mask) << 1; ; at = (at + 2) & ((this.#mask << 1) | 1)) {
      if (places[at] === high && places[at + 1] === low) return false;
      if ((places[at]! | places[at + 1]!) !== 0) continue;
      places[at] = high;
      places[at + 1] = low;
      return true;
    }
  }
}
