/** Keeps the store like the location table: what the shards say has changed, in group commits; the whole table, after a
 *  failure; and AoRs that are in the store alone, which go. Store thread; cold beside the path of a message.
 *
 *  A record is looked up in the transaction that writes it, and this thread alone writes: so what a later transaction writes for
 *  an AoR is never older than what an earlier one wrote, whatever called for it. */

import type { LocationTable } from '../../location/location-table.ts';
import { type FeedConsumer, NO_ENTRY } from '../../location/store-feed.ts';
import { MAX_STORED_WORDS } from '../../location/stored-record.ts';
import { LINE_SHIFT, MAX_AOR_BYTES, NO_RECORD, RECORD } from '../../location/table-layout.ts';
import { FIRST_AOR, type RecordStore } from './record-store.ts';

/** Where records go: the store, or the journal before it. */
export interface RecordSink {
  transaction(write: () => void): void;
  /** `name`: the AoR as latin-1. */
  put(aor: Buffer, record: Buffer, name: string): void;
  remove(aor: Buffer, name: string): unknown;
}

/** What is asked of a store here. */
export type RecordShelf = Pick<RecordStore, 'transaction' | 'put' | 'remove' | 'aors'>;

/** Changes in one commit, at the most: some tens of milliseconds. */
export const MAX_CHANGES = 4096;
const BUCKETS_PER_COMMIT = 256;
const AORS_PER_STEP = 256;
const LENGTH_MASK = 0xffff;

export class TableKeeper {
  readonly #table: LocationTable;
  readonly #feed: FeedConsumer;
  /** Where the table takes AoRs from. */
  readonly #source: Uint8Array<SharedArrayBuffer>;
  readonly #taken = new Int32Array((MAX_AOR_BYTES + 3) >> 2);
  readonly #takenBytes = Buffer.from(this.#taken.buffer);
  readonly #stored = new Int32Array(new SharedArrayBuffer((MAX_STORED_WORDS + 1) * 4));
  readonly #storedBytes = new Uint8Array(this.#stored.buffer);
  readonly #key = Buffer.allocUnsafeSlow(MAX_AOR_BYTES);
  readonly #value = Buffer.allocUnsafeSlow(MAX_STORED_WORDS * 4);
  readonly #changed = new Set<string>();
  #firstShard = 0;
  /** Where `forgetStale` goes on. */
  #next = FIRST_AOR;

  constructor(table: LocationTable, feed: FeedConsumer, source: Uint8Array<SharedArrayBuffer>) {
    this.#table = table;
    this.#feed = feed;
    this.#source = source;
  }

  /** Brings what the shards have told into the journal or the store, or only takes it, without one. The caller commits it to the feed.
   *  Returns how many entries that were. Throws what the store throws; then nothing is in it. */
  drain(store: RecordSink | null): number {
    let count = 0;
    this.#changed.clear();
    const { shardCount } = this.#feed;
    // Another one first each time, as what exceeds the limit waits.
    this.#firstShard = (this.#firstShard + 1) % shardCount;
    for (let i = 0; i < shardCount && count < MAX_CHANGES; i++) {
      count += this.#take((this.#firstShard + i) % shardCount, MAX_CHANGES - count);
    }
    if (store === null || count === 0) return count;
    store.transaction(() => {
      for (const aor of this.#changed) this.#write(store, this.#key.write(aor, 'latin1'), aor);
    });
    return count;
  }

  /** Writes what some AoRs, in latin-1, have now. */
  write(store: RecordSink, aors: readonly string[]): void {
    store.transaction(() => {
      for (const aor of aors) this.#write(store, this.#key.write(aor, 'latin1'), aor);
    });
  }

  /** Writes the records of some buckets from `bucket` on. Returns the bucket to go on with, 0 at the end. */
  writeBuckets(store: RecordSink, bucket: number): number {
    let next = 0;
    store.transaction(() => {
      next = this.#table.list(bucket, BUCKETS_PER_COMMIT, (record) => this.#writeRecord(store, record));
    });
    return next;
  }

  /** Removes some AoRs from the store that are no longer in the table. False at the end of a pass. */
  forgetStale(store: RecordShelf): boolean {
    const aors = store.aors(this.#next, AORS_PER_STEP);
    const stale = aors.filter((aor) => this.#lookup(aor, aor.length) === NO_RECORD);
    if (stale.length > 0) {
      store.transaction(() => {
        // Looked up again: it may have come since, and then a change that is on its way would not find what it wrote.
        for (const aor of stale) if (this.#lookup(aor, aor.length) === NO_RECORD) store.remove(aor);
      });
    }
    const last = aors.at(-1);
    const isDone = last === undefined || aors.length < AORS_PER_STEP;
    this.#next = isDone ? FIRST_AOR : Buffer.concat([last, Buffer.from([0])]);
    return !isDone;
  }

  /** Has `forgetStale` begin anew. */
  startOver(): void {
    this.#next = FIRST_AOR;
  }

  #take(shard: number, limit: number): number {
    if (!this.#feed.open(shard)) return 0;
    for (let count = 0; count < limit; count++) {
      const aorBytes = this.#feed.take(shard, this.#taken, 0);
      if (aorBytes === NO_ENTRY) return count;
      this.#changed.add(this.#takenBytes.toString('latin1', 0, aorBytes));
    }
    return limit;
  }

  /** Writes what the AoR in `#key` has now, or removes it. */
  #write(store: RecordSink, aorBytes: number, name: string): void {
    const record = this.#lookup(this.#key, aorBytes);
    if (record === NO_RECORD) store.remove(this.#key.subarray(0, aorBytes), name);
    else this.#put(store, aorBytes, record, name);
  }

  #writeRecord(store: RecordSink, record: number): void {
    const at = (record << LINE_SHIFT) + RECORD.COUNTS_WORD;
    const aorBytes = this.#table.words[at]! & LENGTH_MASK;
    const start = ((record << LINE_SHIFT) + RECORD.AOR_WORD) * 4;
    this.#key.set(this.#table.bytes.subarray(start, start + aorBytes));
    this.#put(store, aorBytes, record, this.#key.toString('latin1', 0, aorBytes));
  }

  #put(store: RecordSink, aorBytes: number, record: number, name: string): void {
    const valueBytes = this.#table.exportRecord(record, this.#stored, 0) * 4;
    this.#value.set(this.#storedBytes.subarray(0, valueBytes));
    store.put(this.#key.subarray(0, aorBytes), this.#value.subarray(0, valueBytes), name);
  }

  #lookup(aor: Uint8Array, aorBytes: number): number {
    // What no AoR can be was never in the table.
    if (aorBytes > MAX_AOR_BYTES) return NO_RECORD;
    for (let i = 0; i < aorBytes; i++) this.#source[i] = aor[i]!;
    return this.#table.lookup(0, aorBytes);
  }
}
