/** The hash table of AoRs: open addressing over pairs of Int32, (hash, reference), without a lock. Any thread. `find` is hot:
 *  once per request, allocates nothing.
 *
 *  An entry goes round like this; what a line names is one compare-exchange or store of its reference:
 *  ```
 *  FREE ──→ this thread's ──→ TENTATIVE ──→ MEMBER ──→ FREE     an AoR is put in, lives, is removed
 *    ↑      (hash written)        │          ↻ replaced: another record, the same AoR
 *    └───────────────────────  REFUSED                          the AoR was there already
 *  ```
 *  Replace and remove are one compare-exchange of the reference, from the record that the new one was made from: whoever
 *  loses it starts again from the winner's. A record's line is not used for another record while a thread may still hold it
 *  (epochs.ts), so an equal reference is the same record: no ABA.
 *
 *  Putting in is where two threads could both succeed, in different entries. So an entry is tentative first. Whoever
 *  `decide`s on it, its owner or any writer of the same AoR that comes by, looks at every other entry of the AoR's path:
 *  - a member with this AoR: the entry is refused;
 *  - a tentative one later in the path: that one is refused;
 *  - a tentative one earlier in the path: that one is decided first;
 *  - nothing of the like: the entry becomes a member.
 *  Never two members of one AoR: let p come before q in the path, and look at the walk of whoever made the later tentative
 *  of the two a member. It began after both were tentative, so it met the other, as a member and refused its own, or
 *  as tentative. If it walked for p it refused q, or found it a member after all; if it walked for q it decided p first.
 *  Nobody waits for anybody: a thread that stands still, or is dead, has its tentative entry decided by others.
 *  Only the owner takes away what was refused, so that it cannot mistake a refusal for a success that was already replaced.
 *
 *  A reader that finds nothing is right: an AoR that is there all the while is in one entry all the while, and every entry of
 *  the path is loaded; where it moves from one entry to another, there is a time between at which it is in none.
 *
 *  On weakly ordered CPUs: every word that one thread may write while another reads it is accessed by Atomics alone. The rest,
 *  the contents of records, is written plainly before the compare-exchange or store that publishes the reference, read after
 *  the load that found it, and written again only after an epoch has ordered that behind the reads. So no two accesses race,
 *  and a program without races has sequentially consistent executions only (ECMA-262, memory model), on any CPU. That is
 *  what test/interleaving/location.test.ts walks through, and it takes a race for a fault. */

import type { RecordMemory } from './record-memory.ts';
import {
  BUCKET_ENTRIES,
  BUCKET_REACH_WORD,
  FREE_ENTRY,
  LINE_SHIFT,
  MAX_REACH,
  NO_RECORD,
  RECORD,
  STATE,
  STATE_BITS,
  STATE_MASK,
  TABLE,
  type TableMap,
  THREAD,
  threadWord,
} from './table-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** What `swap` comes to. */
export const SWAP = { DONE: 0, DECLINED: 1, FULL: 2, TOO_LARGE: 3 } as const;
export type Swap = (typeof SWAP)[keyof typeof SWAP];

/** Instead of a record to swap in: do nothing, and why. NO_RECORD: remove the AoR. */
export const BUILD = { DECLINED: -1, FULL: -2, TOO_LARGE: -3 } as const;

/** Makes the record to follow `current`, in a block of its own. Returns its line, or one of BUILD. */
export type Build = (current: number) => number;

const NO_ENTRY = 0;
const AOR_LENGTH_MASK = 0xffff;

export class Entries {
  readonly #words: Words;
  readonly #map: TableMap;
  readonly #thread: number;
  readonly #memory: RecordMemory;
  /** The AoR in question, padded with zeros. */
  readonly #aor: Int32Array;
  readonly #bucketCount: number;
  readonly #scale: number;
  /** Where `#search` found the AoR. */
  #foundEntry = NO_ENTRY;
  /** The record that the last `swap` put into the table; NO_RECORD if it removed the AoR. */
  swappedIn = NO_RECORD;

  /** `aor` is where the caller of `find` and `swap` puts the bytes of the AoR. */
  constructor(words: Words, map: TableMap, thread: number, memory: RecordMemory, aor: Int32Array) {
    this.#words = words;
    this.#map = map;
    this.#thread = thread;
    this.#memory = memory;
    this.#aor = aor;
    this.#bucketCount = map.bucketCount;
    this.#scale = map.bucketCount / 2 ** 32;
  }

  /** The record of an AoR, NO_RECORD if there is none. Valid until this thread's next quiescent point. */
  find(hash: number, aorBytes: number): number {
    const words = this.#words;
    const home = this.#homeOf(hash);
    for (let distance = 0; ; distance++) {
      const first = this.#bucketWord(home, distance);
      for (let entry = first; entry < first + 2 * BUCKET_ENTRIES; entry += 2) {
        // Partner: the store in `#putIn`. A stale hash is that of an entry which did not hold this AoR all the while.
        if (Atomics.load(words, entry) !== hash) continue;
        // Partner: whatever published the record, in `swap` or `#putIn`.
        const reference = Atomics.load(words, entry + 1);
        if (reference <= FREE_ENTRY || (reference & STATE_MASK) !== STATE.MEMBER) continue;
        const line = reference >> STATE_BITS;
        if (this.#isAorOf(line, aorBytes)) return line;
      }
      // Partner: the compare-exchange in `#reachOut`, which comes before the entry is used.
      if (distance >= Atomics.load(words, this.#bucketWord(home, 0) + BUCKET_REACH_WORD)) return NO_RECORD;
    }
  }

  /** Puts what `build` makes from the current record of an AoR in its place, at once and as a whole. `build` is called again
   *  where another thread was faster, with that thread's record. */
  swap(hash: number, aorBytes: number, build: Build): Swap {
    for (;;) {
      const current = this.#search(hash, aorBytes);
      const entry = this.#foundEntry;
      const next = build(current);
      if (next < NO_RECORD) {
        return next === BUILD.DECLINED ? SWAP.DECLINED : next === BUILD.FULL ? SWAP.FULL : SWAP.TOO_LARGE;
      }
      this.swappedIn = next;
      if (current !== NO_RECORD) {
        if (this.exchange(entry, current, next)) return SWAP.DONE;
      } else {
        if (next === NO_RECORD) return SWAP.DONE;
        const outcome = this.#insert(hash, next);
        if (outcome !== INSERT.REFUSED) return outcome === INSERT.DONE ? SWAP.DONE : SWAP.FULL;
      }
    }
  }

  /** Puts the record `next` in place of `current` in this entry, or removes its AoR. False if it is there no more; then
   *  `next` is given up. */
  exchange(entry: number, current: number, next: number): boolean {
    // Publishes the record to `find` and `#search`. NO_RECORD is a free entry.
    const expected = current << STATE_BITS;
    if (Atomics.compareExchange(this.#words, entry + 1, expected, next << STATE_BITS) !== expected) {
      if (next !== NO_RECORD) this.#memory.retire(next);
      return false;
    }
    this.#memory.retire(current);
    if (next === NO_RECORD) Atomics.sub(this.#words, TABLE.COUNT_WORD, 1);
    return true;
  }

  /** AoRs in the table; each thread that died while it put one in or removed one may have made it wrong by one. */
  count(): number {
    return Atomics.load(this.#words, TABLE.COUNT_WORD);
  }

  /** The record in an entry, given by bucket and number, NO_RECORD if it holds none. For walks through the table. */
  recordAt(bucket: number, index: number): number {
    const reference = Atomics.load(this.#words, this.entryAt(bucket, index) + 1);
    return reference > FREE_ENTRY && (reference & STATE_MASK) === STATE.MEMBER ? reference >> STATE_BITS : NO_RECORD;
  }

  entryAt(bucket: number, index: number): number {
    return this.#bucketWord(bucket, 0) + 2 * index;
  }

  /** Brings to an end what a dead thread had begun. */
  finish(thread: number): void {
    const words = this.#words;
    const entryWord = threadWord(this.#map, thread) + THREAD.ENTRY_WORD;
    const entry = words[entryWord]!;
    words[entryWord] = NO_ENTRY;
    if (entry === NO_ENTRY) return;
    let reference = Atomics.load(words, entry + 1);
    if (reference === ownedBy(thread)) {
      Atomics.store(words, entry + 1, FREE_ENTRY);
      Atomics.sub(words, TABLE.COUNT_WORD, 1);
      return;
    }
    if (reference <= FREE_ENTRY || this.#memory.ownerOf(reference >> STATE_BITS) !== thread) return;
    if ((reference & STATE_MASK) === STATE.TENTATIVE) this.#decide(entry, reference);
    reference = Atomics.load(words, entry + 1);
    if (reference <= FREE_ENTRY || (reference & STATE_MASK) !== STATE.REFUSED) return;
    if (this.#memory.ownerOf(reference >> STATE_BITS) !== thread) return;
    this.#takeAway(entry, reference >> STATE_BITS);
    Atomics.sub(words, TABLE.COUNT_WORD, 1);
  }

  // ---- The writers' side --------------------------------------------------------------------------------------------

  /** As `find`, and leaves the entry in `#foundEntry`; decides on tentative entries of this AoR. */
  #search(hash: number, aorBytes: number): number {
    const words = this.#words;
    const home = this.#homeOf(hash);
    const reach = Atomics.load(words, this.#bucketWord(home, 0) + BUCKET_REACH_WORD);
    this.#foundEntry = NO_ENTRY;
    for (let distance = 0; distance <= reach; distance++) {
      const first = this.#bucketWord(home, distance);
      for (let entry = first; entry < first + 2 * BUCKET_ENTRIES; entry += 2) {
        if (Atomics.load(words, entry) !== hash) continue;
        let reference = Atomics.load(words, entry + 1);
        if (reference <= FREE_ENTRY || !this.#isAorOf(reference >> STATE_BITS, aorBytes)) continue;
        if ((reference & STATE_MASK) === STATE.TENTATIVE) {
          this.#decide(entry, reference);
          reference = Atomics.load(words, entry + 1);
          if (reference <= FREE_ENTRY || !this.#isAorOf(reference >> STATE_BITS, aorBytes)) continue;
        }
        if ((reference & STATE_MASK) !== STATE.MEMBER) continue;
        this.#foundEntry = entry;
        return reference >> STATE_BITS;
      }
    }
    return NO_RECORD;
  }

  #insert(hash: number, line: number): Insert {
    const words = this.#words;
    const isRoom = Atomics.add(words, TABLE.COUNT_WORD, 1) < this.#map.capacity;
    const outcome = isRoom ? this.#putIn(hash, line) : INSERT.FULL;
    if (outcome === INSERT.DONE) return outcome;
    if (outcome === INSERT.FULL) this.#memory.retire(line);
    Atomics.sub(words, TABLE.COUNT_WORD, 1);
    return outcome;
  }

  #putIn(hash: number, line: number): Insert {
    const words = this.#words;
    const entryWord = threadWord(this.#map, this.#thread) + THREAD.ENTRY_WORD;
    const entry = this.#claim(hash, entryWord);
    if (entry === NO_ENTRY) return INSERT.FULL;
    Atomics.store(words, entry, hash);
    const tentative = (line << STATE_BITS) | STATE.TENTATIVE;
    // Publishes hash and record to `#search` and `#decide`.
    Atomics.store(words, entry + 1, tentative);
    this.#decide(entry, tentative);
    // Nobody but this thread takes away a refused entry, and the line is used for nothing else until it quiesces.
    const isRefused = Atomics.load(words, entry + 1) === ((line << STATE_BITS) | STATE.REFUSED);
    if (isRefused) this.#takeAway(entry, line);
    words[entryWord] = NO_ENTRY;
    return isRefused ? INSERT.REFUSED : INSERT.DONE;
  }

  /** Makes the first free entry of a path this thread's own, and says so where `finish` looks. */
  #claim(hash: number, entryWord: number): number {
    const words = this.#words;
    const home = this.#homeOf(hash);
    const furthest = Math.min(MAX_REACH, this.#bucketCount - 1);
    for (let distance = 0; distance <= furthest; distance++) {
      const first = this.#bucketWord(home, distance);
      for (let entry = first; entry < first + 2 * BUCKET_ENTRIES; entry += 2) {
        if (Atomics.load(words, entry + 1) !== FREE_ENTRY) continue;
        this.#reachOut(home, distance);
        words[entryWord] = entry;
        // Partner: the same in other threads, one of which gets it; and the store of FREE_ENTRY before.
        if (Atomics.compareExchange(words, entry + 1, FREE_ENTRY, ownedBy(this.#thread)) === FREE_ENTRY) return entry;
      }
    }
    words[entryWord] = NO_ENTRY;
    return NO_ENTRY;
  }

  #reachOut(home: number, distance: number): void {
    const words = this.#words;
    const reachWord = this.#bucketWord(home, 0) + BUCKET_REACH_WORD;
    for (let reach = Atomics.load(words, reachWord); reach < distance; ) {
      // Partner: the loads of `reach` by everyone who walks a path.
      const found = Atomics.compareExchange(words, reachWord, reach, distance);
      if (found === reach) return;
      reach = found;
    }
  }

  /** Makes a tentative entry a member or refuses it (see above), unless another thread has done so by then. */
  #decide(entry: number, tentative: number): void {
    const words = this.#words;
    const line = tentative >> STATE_BITS;
    const hash = words[(line << LINE_SHIFT) + RECORD.HASH_WORD]!;
    const home = this.#homeOf(hash);
    const refused = (line << STATE_BITS) | STATE.REFUSED;
    const reach = Atomics.load(words, this.#bucketWord(home, 0) + BUCKET_REACH_WORD);
    let isLater = false;
    for (let distance = 0; distance <= reach; distance++) {
      const first = this.#bucketWord(home, distance);
      for (let other = first; other < first + 2 * BUCKET_ENTRIES; other += 2) {
        if (other === entry) {
          isLater = true;
          continue;
        }
        if (Atomics.load(words, other) !== hash) continue;
        for (;;) {
          const reference = Atomics.load(words, other + 1);
          if (reference <= FREE_ENTRY || (reference & STATE_MASK) === STATE.REFUSED) break;
          if (!this.#isSameAor(line, reference >> STATE_BITS)) break;
          if ((reference & STATE_MASK) === STATE.MEMBER) {
            Atomics.compareExchange(words, entry + 1, tentative, refused);
            return;
          }
          // Every turn ends with the other entry no longer tentative with this record.
          if (isLater) {
            const otherRefused = reference - STATE.TENTATIVE + STATE.REFUSED;
            Atomics.compareExchange(words, other + 1, reference, otherRefused);
          } else {
            this.#decide(other, reference);
          }
        }
      }
    }
    Atomics.compareExchange(words, entry + 1, tentative, line << STATE_BITS);
  }

  #takeAway(entry: number, line: number): void {
    Atomics.store(this.#words, entry + 1, FREE_ENTRY);
    this.#memory.retire(line);
  }

  // ---- Where and which ----------------------------------------------------------------------------------------------

  #homeOf(hash: number): number {
    return Math.floor((hash >>> 0) * this.#scale);
  }

  #bucketWord(home: number, distance: number): number {
    const bucket = home + distance;
    const inside = bucket < this.#bucketCount ? bucket : bucket - this.#bucketCount;
    return this.#map.buckets + (inside << LINE_SHIFT);
  }

  #isAorOf(line: number, aorBytes: number): boolean {
    const words = this.#words;
    const aor = this.#aor;
    const record = line << LINE_SHIFT;
    if ((words[record + RECORD.COUNTS_WORD]! & AOR_LENGTH_MASK) !== aorBytes) return false;
    const wordCount = (aorBytes + 3) >> 2;
    for (let i = 0; i < wordCount; i++) if (words[record + RECORD.AOR_WORD + i] !== aor[i]) return false;
    return true;
  }

  #isSameAor(line: number, other: number): boolean {
    const words = this.#words;
    const a = line << LINE_SHIFT;
    const b = other << LINE_SHIFT;
    const aorBytes = words[a + RECORD.COUNTS_WORD]! & AOR_LENGTH_MASK;
    if ((words[b + RECORD.COUNTS_WORD]! & AOR_LENGTH_MASK) !== aorBytes) return false;
    const wordCount = (aorBytes + 3) >> 2;
    for (let i = 0; i < wordCount; i++) {
      if (words[a + RECORD.AOR_WORD + i] !== words[b + RECORD.AOR_WORD + i]) return false;
    }
    return true;
  }
}

const INSERT = { DONE: 0, REFUSED: 1, FULL: 2 } as const;
type Insert = (typeof INSERT)[keyof typeof INSERT];

/** Stands for a thread in an entry that it is filling in. */
function ownedBy(thread: number): number {
  return -1 - thread;
}
