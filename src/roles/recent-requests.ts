/** The requests that this shard has answered lately as a UAS: REGISTERs that it has carried out, and in stateful mode OPTIONS for itself
 *  and what it has redirected. One that comes again is not carried out again (RFC 3261 17.2.2), though others may have come in
 *  between; the same request by another way is a merged one (8.2.2.2). All of a Call-ID come to the same shard. Runs on it. Hot: twice
 *  per REGISTER, allocates nothing.
 *
 *  Each From tag, Call-ID and CSeq have one place, which those of others may take from them. Then what its binding says
 *  (registrar.ts) still tells a retransmission, unless the binding went meanwhile. */

import { TransactionKey } from '../sip/branch.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import type { ReceivedRequest } from './received-request.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** What a request is. MERGED: its From tag, Call-ID and CSeq are those of one that was answered, but its transaction is another. */
export const RECENT = { NEW: 0, REPEATED: 1, MERGED: 2 } as const;

const PLACES = 32_768;
/** high and low of the key, low of the transaction, when. All of the key counts: what the number of the place is made of tells nothing
 *  there, and a request that is taken for a merged one is refused. */
const PLACE_SHIFT = 2;
/** Timer J: 64 × T1 by default. */
const LIFETIME_MS = 32_000;

export class RecentRequests {
  readonly #words: Words;
  readonly #places = new Int32Array(PLACES << PLACE_SHIFT);
  /** From tag, Call-ID and CSeq of the request that was looked for last. */
  readonly #key = new TransactionKey();

  /** `words`: of the arena. */
  constructor(words: Words) {
    this.#words = words;
  }

  /** One of RECENT, for a request whose From, To, CSeq and transaction have been read. */
  find(request: ReceivedRequest, nowMs: number): number {
    const places = this.#places;
    const at = this.#placeOf(request, request.index.method, nowMs);
    if (at === -1) return RECENT.NEW;
    if (places[at + 2] === request.transaction.low) return RECENT.REPEATED;
    return request.to.tagStart === -1 ? RECENT.MERGED : RECENT.NEW;
  }

  /** Whether what a CANCEL, which has been read, wants to cancel is a request of `method` that is known here. Cold. */
  hasCancelled(cancel: ReceivedRequest, method: number, nowMs: number): boolean {
    const at = this.#placeOf(cancel, method, nowMs);
    return at !== -1 && this.#places[at + 2] === cancel.transaction.low;
  }

  /** The request that `find` looked for last, which is in `transaction`, has been answered. */
  add({ low }: TransactionKey, nowMs: number): void {
    const places = this.#places;
    const key = this.#key;
    const at = placeOf(key);
    places[at] = key.high;
    places[at + 1] = key.low;
    places[at + 2] = low;
    places[at + 3] = nowMs | 0;
  }

  /** Of the one with this From tag, Call-ID and CSeq; −1: none such has come lately. */
  #placeOf({ index, from, cseq }: ReceivedRequest, method: number, nowMs: number): number {
    const places = this.#places;
    const key = this.#key;
    const words = this.#words;
    const callId = index.first[HEADER_ID.CALL_ID]!;
    key.begin();
    key.fold(words, index.valueStart(callId), index.valueEnd(callId));
    if (from.tagStart !== -1) key.fold(words, from.tagStart, from.tagEnd);
    key.foldNumber(cseq.number);
    key.foldNumber(method);
    const at = placeOf(key);
    if (places[at] !== key.high || places[at + 1] !== key.low) return -1;
    const ageMs = ((nowMs | 0) - places[at + 3]!) | 0;
    return ageMs >= 0 && ageMs < LIFETIME_MS ? at : -1;
  }
}

function placeOf({ low }: TransactionKey): number {
  return (low & (PLACES - 1)) << PLACE_SHIFT;
}
