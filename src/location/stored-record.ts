/** A binding record as it is kept outside of the table, beside its AoR: what a store holds. Any thread; cold.
 *
 *  ```
 *  word 0 hash of the rest, seeded by the hash of the AoR | 1 length of the AoR, number of bindings << 16 (RECORD.COUNTS_WORD)
 *       2… the bindings (BINDING)
 *  ```
 *  Little-endian, as everything in shared memory. What the table makes of it again (the hash, which is seeded, the length, the
 *  earliest expiry) is left out. */

import { hashBytes } from '../base/hash.ts';
import { areBindings, BindingView, RecordDraft, type TextSource } from './bindings.ts';
import { BINDING, LINE_SHIFT, MAX_RECORD_WORDS, RECORD } from './table-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** Grows with every change of what a stored record is, BINDING's layout included. */
export const STORED_VERSION = 1;

const CHECK_WORD = 0;
const COUNTS_WORD = 1;
const BINDINGS_WORD = 2;
export const MAX_STORED_WORDS = MAX_RECORD_WORDS;

const COUNT_SHIFT = 16;
const LENGTH_MASK = 0xffff;
const HASH_SEED = 0;
/** Where a record is staged: as in a table, whose line 0 is none. */
const STAGED_LINE = 1;
const STAGED_WORD = STAGED_LINE << LINE_SHIFT;

/** Writes the record to `target` from word `at` on, which must have room for MAX_STORED_WORDS and one more. Returns how many
 *  words it is. */
export function exportRecord(words: Words, record: number, target: Words, at: number): number {
  const from = record << LINE_SHIFT;
  const counts = words[from + RECORD.COUNTS_WORD]!;
  const aorBytes = counts & LENGTH_MASK;
  const aorAt = from + RECORD.AOR_WORD;
  const bindingsAt = aorAt + ((aorBytes + 3) >> 2);
  const bindingWords = words[from + RECORD.LENGTH_WORD]! - (bindingsAt - from);
  target[at + COUNTS_WORD] = counts;
  for (let i = 0; i < bindingWords; i++) target[at + BINDINGS_WORD + i] = words[bindingsAt + i]!;
  const count = BINDINGS_WORD + bindingWords;
  target[at + CHECK_WORD] = checkOf(hashBytes(words, aorAt * 4, aorAt * 4 + aorBytes, HASH_SEED), target, at, count);
  return count;
}

function checkOf(aorHash: number, stored: Words, at: number, count: number): number {
  return hashBytes(stored, (at + COUNTS_WORD) * 4, (at + count) * 4, aorHash);
}

/** One stored record on its way back into a table. */
export class StagedRecord {
  /** The record to come. */
  readonly draft: RecordDraft;
  readonly #words: Words;
  readonly #view: BindingView;
  #aor: Int32Array = new Int32Array();
  #aorBytes = 0;

  constructor(table: TextSource, source: TextSource) {
    const buffer = new SharedArrayBuffer((STAGED_WORD + MAX_RECORD_WORDS) * 4);
    this.#words = new Int32Array(buffer);
    const staged = { words: this.#words, bytes: new Uint8Array(buffer) };
    this.draft = new RecordDraft(table, source, staged);
    this.#view = new BindingView(staged);
  }

  /** Takes a stored record in, for an AoR that is padded with zeros and followed by one word more. False: it is not sound, or
   *  not of this AoR. */
  stage(aor: Words, aorBytes: number, stored: Words, at: number, count: number): boolean {
    const bindingWords = count - BINDINGS_WORD;
    const bindingsAt = RECORD.AOR_WORD + ((aorBytes + 3) >> 2);
    if (bindingWords < BINDING.ADDRESSES_WORD || bindingsAt + bindingWords > MAX_RECORD_WORDS) return false;
    const counts = stored[at + COUNTS_WORD]!;
    if ((counts & LENGTH_MASK) !== aorBytes) return false;
    if (stored[at + CHECK_WORD] !== checkOf(hashBytes(aor, 0, aorBytes, HASH_SEED), stored, at, count)) return false;
    const bindings = at + BINDINGS_WORD;
    if (!areBindings(stored, bindings, bindings + bindingWords, counts >>> COUNT_SHIFT)) return false;
    const words = this.#words;
    words[STAGED_WORD + RECORD.COUNTS_WORD] = counts;
    for (let i = 0; i < bindingWords; i++) words[STAGED_WORD + bindingsAt + i] = stored[bindings + i]!;
    this.#aor = aor;
    this.#aorBytes = aorBytes;
    return true;
  }

  /** Begins the draft anew, with the bindings that are still valid at `nowMs`. */
  keepUnexpired(hash: number, nowMs: number): void {
    this.draft.begin(hash, this.#aor, this.#aorBytes);
    this.#view.open(STAGED_LINE);
    while (this.#view.next()) if (this.#view.expiresMs > nowMs) this.draft.keep(this.#view);
  }
}
