/** The requests that this shard has answered lately as a UAS: REGISTERs that it has carried out or refused, and in stateful mode OPTIONS
 *  for itself, what it has redirected, and what it has refused but INVITEs, which have transactions. What was carried out is not
 *  carried out again when it comes again, and what was refused gets the same status again, whatever has changed meanwhile (RFC 3261
 *  17.2.2); a CANCEL of it finds it (9.2); the same request by another way is a merged one (8.2.2.2). All of a Call-ID come to the
 *  same shard. Runs on it. Hot: twice per REGISTER, allocates nothing.
 *
 *  Each From tag, Call-ID and CSeq have one place, which those of others may take from them: so many refusals cost nobody anything.
 *  Then what its binding says (registrar.ts) still tells a retransmission, unless the binding went meanwhile. */

import { assert } from '../base/assert.ts';
import { TransactionKey } from '../sip/branch.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import type { ReceivedRequest } from './received-request.ts';
import { REJECT, type Rejection } from './rejection.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** What a request is. REPEATED: it was carried out; REFUSED: it was not, `refusal` says why. MERGED: its From tag, Call-ID and CSeq
 *  are those of one that was carried out, but its transaction is another. */
export const RECENT = { NEW: 0, REPEATED: 1, MERGED: 2, REFUSED: 3 } as const;

const PLACES = 32_768;
/** high and low of the key, low of the transaction; when, the method, and what was answered. All of the key counts: what the number of
 *  the place is made of tells nothing there, and a request that is taken for a merged one is refused. */
const PLACE_SHIFT = 2;
const TRANSACTION_WORD = 2;
const ANSWER_WORD = 3;
/** Of the last word: 1 + the number of the refusal, 0: carried out; the method; units of time. */
const METHOD_SHIFT = 7;
const TIME_SHIFT = 12;
const REFUSAL_MASK = (1 << METHOD_SHIFT) - 1;
const METHOD_MASK = (1 << (TIME_SHIFT - METHOD_SHIFT)) - 1;
const TIME_MASK = (1 << (32 - TIME_SHIFT)) - 1;
const UNIT_MS = 128;
/** Timer J: 64 × T1 by default. */
const LIFETIME_MS = 32_000;
const LIFETIME = LIFETIME_MS / UNIT_MS;
const NOWHERE = -1;

const REFUSALS: readonly Rejection[] = Object.values(REJECT);
assert(REFUSALS.length < REFUSAL_MASK, 'more rejections than a place has numbers for');

export class RecentRequests {
  readonly #words: Words;
  readonly #places = new Int32Array(PLACES << PLACE_SHIFT);
  /** From tag, Call-ID and CSeq of the request that was looked for last. */
  readonly #key = new TransactionKey();
  #lastRefusedMs = Number.NEGATIVE_INFINITY;
  /** After REFUSED. */
  refusal: Rejection = REJECT.noTarget;

  /** `words`: of the arena. */
  constructor(words: Words) {
    this.#words = words;
  }

  /** False: nothing was refused lately. */
  hasRefusals(nowMs: number): boolean {
    return nowMs - this.#lastRefusedMs < LIFETIME_MS;
  }

  /** One of RECENT, for a request whose syntax was checked. */
  find(request: ReceivedRequest, nowMs: number): number {
    const at = this.#find(request, nowMs);
    if (at === NOWHERE) return RECENT.NEW;
    const answer = this.#places[at + ANSWER_WORD]!;
    if (((answer >>> METHOD_SHIFT) & METHOD_MASK) !== request.index.method) return RECENT.NEW;
    const refusal = answer & REFUSAL_MASK;
    const isSame = this.#places[at + TRANSACTION_WORD] === request.transaction.low;
    if (refusal === 0) {
      if (isSame) return RECENT.REPEATED;
      return request.to.tagStart === -1 ? RECENT.MERGED : RECENT.NEW;
    }
    if (!isSame) return RECENT.NEW;
    this.refusal = REFUSALS[refusal - 1]!;
    return RECENT.REFUSED;
  }

  /** Whether what a CANCEL wants to cancel, whose syntax was checked, is known here. */
  hasAnswered(cancel: ReceivedRequest, nowMs: number): boolean {
    const at = this.#find(cancel, nowMs);
    return at !== NOWHERE && this.#places[at + TRANSACTION_WORD] === cancel.transaction.low;
  }

  /** The request that `find` looked for last has been carried out. */
  add(request: ReceivedRequest, nowMs: number): void {
    this.#put(request, 0, nowMs);
  }

  /** A request whose syntax was checked was refused. */
  refuse(request: ReceivedRequest, rejection: Rejection, nowMs: number): void {
    if (this.find(request, nowMs) !== RECENT.NEW) return;
    const number = REFUSALS.indexOf(rejection);
    if (number === -1) return;
    this.#lastRefusedMs = nowMs;
    this.#put(request, number + 1, nowMs);
  }

  #put({ index, transaction }: ReceivedRequest, refusal: number, nowMs: number): void {
    const places = this.#places;
    const key = this.#key;
    const at = placeOf(key);
    places[at] = key.high;
    places[at + 1] = key.low;
    places[at + TRANSACTION_WORD] = transaction.low;
    places[at + ANSWER_WORD] = (unitsOf(nowMs) << TIME_SHIFT) | (index.method << METHOD_SHIFT) | refusal;
  }

  /** The place of the one with this From tag, Call-ID and CSeq number; NOWHERE: none such has come lately. */
  #find({ index, from, cseq }: ReceivedRequest, nowMs: number): number {
    const places = this.#places;
    const key = this.#key;
    const words = this.#words;
    const callId = index.first[HEADER_ID.CALL_ID]!;
    key.begin();
    key.fold(words, index.valueStart(callId), index.valueEnd(callId));
    if (from.tagStart !== -1) key.fold(words, from.tagStart, from.tagEnd);
    key.foldNumber(cseq.number);
    const at = placeOf(key);
    if (places[at] !== key.high || places[at + 1] !== key.low) return NOWHERE;
    const age = (unitsOf(nowMs) - (places[at + ANSWER_WORD]! >>> TIME_SHIFT)) & TIME_MASK;
    return age < LIFETIME ? at : NOWHERE;
  }
}

function placeOf({ low }: TransactionKey): number {
  return (low & (PLACES - 1)) << PLACE_SHIFT;
}

function unitsOf(ms: number): number {
  return (ms / UNIT_MS) | 0;
}
