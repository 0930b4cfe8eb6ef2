/** The location service (RFC 3261 10): which bindings an address-of-record has. One table in shared memory that every shard
 *  reads and writes without a lock. Runs on any thread, one LocationTable for each. `lookup` is hot: it allocates nothing.
 *
 *  AoRs are given in canonical form (sip/address-of-record.ts), as spans of the caller's bytes. A record that `lookup` returns
 *  stays valid until this thread's next `quiesce` or `rest`, whatever other threads do; it is all bindings of the AoR as
 *  one REGISTER left them, never some of one and some of another. */

import { assert } from '../base/assert.ts';
import { allocateLines, FIRST_LINE, wordsOf } from '../base/cache-lines.ts';
import { hashBytes } from '../base/hash.ts';
import { copyBytes, viewOf } from '../base/spans.ts';
import { BindingView, RecordDraft, type TextSource } from './bindings.ts';
import { BUILD, Entries, SWAP, type Swap } from './entries.ts';
import { Epochs } from './epochs.ts';
import { RecordMemory } from './record-memory.ts';
import { exportRecord, StagedRecord } from './stored-record.ts';
import {
  BUCKET_ENTRIES,
  FIRST_EPOCH,
  LINE_BYTES,
  LINE_SHIFT,
  MAX_AOR_BYTES,
  MAX_RECORD_LINES,
  mapTable,
  NO_RECORD,
  RECORD,
  TABLE,
  TABLE_MAGIC,
  TABLE_VERSION,
  type TableMap,
  type TableShape,
  THREAD,
  threadWord,
} from './table-layout.ts';

type Words = Int32Array<SharedArrayBuffer>;

/** Decides on the bindings of an AoR: walks through `current`, keeps or adds to `next`, which begins empty. True: `next`
 *  takes the place of `current`, or the AoR goes if it stayed empty. False: all stays as it is. Called again, with the
 *  winner's bindings, where another thread was faster; so it must do nothing else. */
export type WriteBindings = (current: BindingView, next: RecordDraft) => boolean;

/** What came of an update. FULL: no room for another AoR or a larger record. TOO_LARGE: no record is that large. */
export const UPDATE = {
  DONE: SWAP.DONE,
  UNCHANGED: SWAP.DECLINED,
  FULL: SWAP.FULL,
  TOO_LARGE: SWAP.TOO_LARGE,
} as const;
export type Update = Swap;

/** What came of an import. KNOWN: the AoR has bindings already, which stay. EXPIRED: nothing of it is left. UNSOUND: it is not
 *  what an export made, or not of this AoR. */
export const IMPORT = {
  DONE: SWAP.DONE,
  FULL: SWAP.FULL,
  TOO_LARGE: SWAP.TOO_LARGE,
  KNOWN: 4,
  EXPIRED: 5,
  UNSOUND: 6,
} as const;
export type Import = (typeof IMPORT)[keyof typeof IMPORT];

/** Blocks freed at one quiescent point, at the most. */
const RECLAIM_BUDGET = 1024;

/** Allocates and labels a table. `seed` makes hashes unforeseeable from outside. */
export function createLocationTable(shape: TableShape, seed = 0): SharedArrayBuffer {
  const map = mapTable(shape);
  const buffer = allocateLines(map.wordCount * 4);
  const words = wordsOf(buffer);
  words[TABLE.MAGIC_WORD] = TABLE_MAGIC;
  words[TABLE.VERSION_WORD] = TABLE_VERSION;
  words[TABLE.CAPACITY_WORD] = map.capacity;
  words[TABLE.THREAD_COUNT_WORD] = map.threadCount;
  words[TABLE.RECORD_BYTES_WORD] = map.recordBytes;
  words[TABLE.SPARE_BYTES_WORD] = map.spareBytes;
  words[TABLE.SEED_WORD] = seed;
  words[TABLE.EPOCH_WORD] = FIRST_EPOCH;
  words[TABLE.UNUSED_WORD] = map.firstLine;
  return buffer;
}

export class LocationTable {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly words: Words;
  readonly map: TableMap;
  readonly #source: TextSource;
  readonly #sourceView: DataView;
  readonly #seed: number;
  readonly #epochs: Epochs;
  readonly #memory: RecordMemory;
  readonly #entries: Entries;
  readonly #view: BindingView;
  readonly #draft: RecordDraft;
  /** Made by the first import. */
  #staged: StagedRecord | null = null;
  readonly #aor = new Int32Array(new SharedArrayBuffer(((MAX_AOR_BYTES >> 2) + 2) * 4));
  readonly #aorView = new DataView(this.#aor.buffer);
  #aorBytes = 0;
  #hash = 0;
  #write: WriteBindings = removeAll;
  readonly #bindingsWord: number;
  /** Bindings of the AoR in question, in the record that was there and in the one that was built. */
  #countBefore = 0;
  #countAfter = 0;
  readonly #build = (current: number): number => this.#buildFrom(current);

  /** `thread`: below the threadCount of the table, one for each. AoRs and texts come from `source`, e.g. the arena. */
  constructor(buffer: SharedArrayBuffer, thread: number, source: TextSource) {
    this.bytes = new Uint8Array(buffer, FIRST_LINE);
    this.words = wordsOf(buffer);
    this.map = openMap(this.words);
    assert(thread >= 0 && thread < this.map.threadCount, 'the table knows no such thread');
    this.#source = source;
    this.#sourceView = viewOf(source.bytes);
    this.#bindingsWord = threadWord(this.map, thread) + THREAD.BINDINGS_WORD;
    this.#seed = this.words[TABLE.SEED_WORD]!;
    this.#epochs = new Epochs(this.words, this.map, thread);
    this.#memory = new RecordMemory(this.words, this.map, thread, this.#epochs);
    this.#entries = new Entries(this.words, this.map, thread, this.#memory, this.#aor);
    this.#view = new BindingView(this);
    this.#draft = new RecordDraft(this, source);
    this.quiesce();
  }

  /** The record with the bindings of the AoR in [start, end) of the source, for a BindingView to open; NO_RECORD if it has
   *  none. Those that expired may still be among them. */
  lookup(start: number, end: number): number {
    assert(!this.#epochs.isResting, 'a look-up by a resting thread');
    return this.#take(start, end) ? this.#entries.find(this.#hash, this.#aorBytes) : NO_RECORD;
  }

  /** Replaces the bindings of an AoR by what `write` decides, all at once. */
  update(start: number, end: number, write: WriteBindings): Update {
    assert(!this.#epochs.isResting, 'an update by a resting thread');
    if (!this.#take(start, end)) return UPDATE.TOO_LARGE;
    this.#write = write;
    const outcome = this.#entries.swap(this.#hash, this.#aorBytes, this.#build);
    if (outcome === SWAP.DONE) this.#countBindings(this.#countAfter - this.#countBefore);
    return outcome;
  }

  /** Removes an AoR with all its bindings. */
  remove(start: number, end: number): void {
    this.update(start, end, removeAll);
  }

  /** The record that the last update which was DONE put in: what a 200 lists. Valid as that of `lookup`. */
  get updated(): number {
    return this.#entries.swappedIn;
  }

  /** Once per duty cycle, and after `rest`: this thread holds no record from before. Frees some that no thread holds. */
  quiesce(): void {
    this.#epochs.quiesce();
    this.#memory.reclaim(RECLAIM_BUDGET);
  }

  /** Before this thread sleeps: it holds no record, and nobody waits for it to pass a quiescent point. */
  rest(): void {
    this.#epochs.rest();
  }

  /** The buckets, and the bytes that blocks are cut from, one after the other. */
  get searchedArea(): Uint8Array<SharedArrayBuffer> {
    return this.bytes.subarray(this.map.buckets * 4, this.map.endLine * LINE_BYTES);
  }

  /** AoRs in the table. Each thread that died while it put one in or removed one may have made it wrong by one. */
  count(): number {
    return this.#entries.count();
  }

  /** Bindings in the table, those that expired and were not swept yet included. A thread that died in the midst of a change may
   *  have made it wrong by what it changed. */
  bindingCount(): number {
    let sum = 0;
    for (let thread = 0; thread < this.map.threadCount; thread++) {
      sum += this.words[threadWord(this.map, thread) + THREAD.BINDINGS_WORD]!;
    }
    return sum;
  }

  /** Removes expired bindings from the next `budget` buckets, which hold four AoRs each on average. Any number of
   *  threads may take part; each step goes on where the last one of any thread ended. Returns how many bindings expired. */
  sweep(nowMs: number, budget: number): number {
    const { bucketCount } = this.map;
    const count = Math.min(budget, bucketCount);
    let bucket = (Atomics.add(this.words, TABLE.SWEEP_WORD, count) >>> 0) % bucketCount;
    const nowSec = Math.floor(nowMs / 1000);
    let expired = 0;
    for (let i = 0; i < count; i++) {
      for (let entry = 0; entry < BUCKET_ENTRIES; entry++) {
        const record = this.#entries.recordAt(bucket, entry);
        if (record === NO_RECORD) continue;
        if (this.words[(record << LINE_SHIFT) + RECORD.EXPIRES_SEC_WORD]! >>> 0 > nowSec) continue;
        expired += this.#expire(this.#entries.entryAt(bucket, entry), record, nowMs);
      }
      bucket = bucket + 1 === bucketCount ? 0 : bucket + 1;
    }
    return expired;
  }

  /** Shows `visit` the records of the next `budget` buckets from `bucket` on. Returns the bucket to go on with, 0 at the end.
   *  Between two calls the thread should pass a quiescent point. An AoR that is there all the while is shown once; one that
   *  comes, goes or comes again meanwhile may be shown or not, or twice. */
  list(bucket: number, budget: number, visit: (record: number) => void): number {
    const end = Math.min(bucket + budget, this.map.bucketCount);
    for (let at = bucket; at < end; at++) {
      for (let entry = 0; entry < BUCKET_ENTRIES; entry++) {
        const record = this.#entries.recordAt(at, entry);
        if (record !== NO_RECORD) visit(record);
      }
    }
    return end === this.map.bucketCount ? 0 : end;
  }

  /** After the death of a thread and before its successor begins: finishes what it was at, and takes over its limbo. At most
   *  the block it had in its hand is lost. */
  bury(thread: number): void {
    assert(!this.#epochs.isResting, 'a burial by a resting thread');
    this.#entries.finish(thread);
    this.#memory.adopt(thread);
    this.#epochs.endOf(thread);
  }

  /** Writes a record to `target`, from word `at` on, for an `importRecord` in another life: what it takes at the most is
   *  MAX_STORED_WORDS. Returns how many words it is. */
  exportRecord(record: number, target: Words, at: number): number {
    return exportRecord(this.words, record, target, at);
  }

  /** Puts what `exportRecord` wrote, `count` words of `stored` from word `at` on, back for the AoR in [start, end) of the source,
   *  but for the bindings that have expired. `stored` reaches one word further. */
  importRecord(start: number, end: number, stored: Words, at: number, count: number, nowMs: number): Import {
    assert(!this.#epochs.isResting, 'an import by a resting thread');
    if (!this.#take(start, end)) return IMPORT.UNSOUND;
    this.#staged ??= new StagedRecord(this, this.#source);
    const staged = this.#staged;
    if (!staged.stage(this.#aor, this.#aorBytes, stored, at, count)) return IMPORT.UNSOUND;
    let refusal: Import = IMPORT.DONE;
    const outcome = this.#entries.swap(this.#hash, this.#aorBytes, (current) => {
      staged.keepUnexpired(this.#hash, nowMs);
      refusal = current !== NO_RECORD ? IMPORT.KNOWN : staged.draft.count === 0 ? IMPORT.EXPIRED : IMPORT.DONE;
      return refusal === IMPORT.DONE ? this.#writeDraft(staged.draft) : BUILD.DECLINED;
    });
    if (outcome === SWAP.DONE) this.#countBindings(staged.draft.count);
    return outcome === SWAP.DECLINED ? refusal : outcome;
  }

  /** For tests: the memory of this table's records. */
  get memory(): RecordMemory {
    return this.#memory;
  }

  /** Makes an AoR the one in question. False if it is longer than any in the table. */
  #take(start: number, end: number): boolean {
    const aorBytes = end - start;
    if (aorBytes > MAX_AOR_BYTES) return false;
    this.#aorBytes = aorBytes;
    // The last word is padded with zeros.
    if (aorBytes > 0) this.#aor[(aorBytes - 1) >> 2] = 0;
    copyBytes(this.#sourceView, start, end, this.#aorView, 0);
    this.#hash = hashBytes(this.#aor, 0, aorBytes, this.#seed);
    return true;
  }

  #buildFrom(current: number): number {
    const draft = this.#draft;
    this.#view.open(current);
    draft.begin(this.#hash, this.#aor, this.#aorBytes);
    this.#countBefore = current === NO_RECORD ? 0 : this.#view.count;
    if (!this.#write(this.#view, draft)) return BUILD.DECLINED;
    this.#countAfter = draft.count;
    return this.#writeDraft(draft);
  }

  #writeDraft(draft: RecordDraft): number {
    if (draft.isTooLarge) return BUILD.TOO_LARGE;
    if (draft.count === 0) return NO_RECORD;
    const { lines } = draft;
    assert(lines <= MAX_RECORD_LINES, 'a record larger than the largest block');
    const line = this.#memory.take(lines);
    if (line === NO_RECORD) return BUILD.FULL;
    draft.writeTo(line);
    return line;
  }

  /** Where another thread was faster, or no memory is left, the next round of the sweep sees to it. */
  #expire(entry: number, record: number, nowMs: number): number {
    const view = this.#view;
    const draft = this.#draft;
    draft.beginAs(record);
    view.open(record);
    while (view.next()) if (view.expiresMs > nowMs) draft.keep(view);
    const expired = view.count - draft.count;
    if (expired === 0) return 0;
    const next = this.#writeDraft(draft);
    if (next < NO_RECORD || !this.#entries.exchange(entry, record, next)) return 0;
    this.#countBindings(-expired);
    return expired;
  }

  /** Nobody else writes this thread's word. */
  #countBindings(change: number): void {
    if (change !== 0) this.words[this.#bindingsWord]! += change;
  }
}

function removeAll(): boolean {
  return true;
}

function openMap(words: Words): TableMap {
  assert(words[TABLE.MAGIC_WORD] === TABLE_MAGIC, 'not a location table');
  assert(words[TABLE.VERSION_WORD] === TABLE_VERSION, 'a location table of another version');
  const map = mapTable({
    capacity: words[TABLE.CAPACITY_WORD]!,
    threadCount: words[TABLE.THREAD_COUNT_WORD]!,
    recordBytes: words[TABLE.RECORD_BYTES_WORD]!,
    spareBytes: words[TABLE.SPARE_BYTES_WORD]!,
  });
  assert(map.wordCount === words.length, 'table and map disagree about the size');
  return map;
}
