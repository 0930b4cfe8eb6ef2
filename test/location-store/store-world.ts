/** A server's worth of location table and store, without its shards: REGISTERs by hand, restarts, and what an operator is told. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UPDATE } from '../../src/location/location-table.ts';
import { createStoreFeed, FeedProducer, STORE_STATE } from '../../src/location/store-feed.ts';
import {
  LocationStore,
  type LocationStoreOptions,
  openLocationStore,
} from '../../src/runtime/location-store/location-store.ts';
import { type Binding, LocationWorld } from '../location/location-world.ts';
import { PATIENCE_MS } from '../process/patience.ts';

export const SHARDS = 2;
const STORE_THREAD = SHARDS;
/** Of the feed's header, and of a ring's. */
const FEED_WORDS = 128;
const RING_WORDS = 64;
const POLL_MS = 2;

export function makeDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'strowger-store-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Some AoR's binding, told apart by its number. */
export function phone(number: number, expiresMs = Date.now() + 3_600_000): Binding {
  return { contact: `sip:phone@192.0.2.${number & 255}:5060`, expiresMs, callId: `call-${number}`, cseq: number };
}

export class StoreWorld {
  readonly table: LocationWorld;
  readonly feed: SharedArrayBuffer;
  readonly producers: readonly FeedProducer[];
  readonly events: string[] = [];
  #store: LocationStore | null = null;
  readonly #options: LocationStoreOptions;

  constructor(directory: string | null, options: Partial<LocationStoreOptions> = {}, ringBytes?: number) {
    this.table = new LocationWorld({ capacity: 4096, threadCount: SHARDS + 1, spareBytes: 2 ** 20 });
    // The store thread has a LocationTable of its own.
    this.table.tables[STORE_THREAD]!.rest();
    this.feed = createStoreFeed(SHARDS, ringBytes);
    const words = new Int32Array(this.feed);
    this.producers = Array.from({ length: SHARDS }, (_, shard) => new FeedProducer(words, shard));
    this.#options = {
      table: this.table.buffer,
      thread: STORE_THREAD,
      feed: this.feed,
      shardFds: [],
      directory,
      retryMs: 100,
      onEvent: (level, text) => this.events.push(`${level}: ${text}`),
      bury: (thread) => this.table.tables[0]!.bury(thread),
      ...options,
    };
  }

  get store(): LocationStore {
    return this.#store!;
  }

  async open(): Promise<this> {
    this.#store = await openLocationStore(this.#options);
    return this;
  }

  /** As a server that takes over from the one that has the store: resolves when what is there so far is in the table. */
  async preload(): Promise<this> {
    this.#store = new LocationStore({ ...this.#options, isTakeover: true });
    await this.#store.preloaded;
    return this;
  }

  /** As a REGISTER does: the table, then the store. Returns the change. */
  set(aor: string, bindings: readonly Binding[], shard = 0): number {
    const outcome = this.table.set(aor, bindings, shard);
    if (outcome !== UPDATE.DONE) throw new Error(`an update came to ${outcome}`);
    this.table.tables[shard]!.quiesce();
    return this.producers[shard]!.append(Buffer.from(aor), 0, aor.length);
  }

  /** Appends an entry to the shard's ring that is longer than any AoR. Returns where it lies. */
  appendBadEntry(shard: number): number {
    const words = new Int32Array(this.feed);
    const ringWords = words[2]!;
    const ring = FEED_WORDS + shard * (RING_WORDS + ringWords);
    const tail = Atomics.load(words, ring);
    const entryWord = ring + RING_WORDS + (tail & (ringWords - 1));
    words[entryWord] = 5000;
    Atomics.store(words, ring, tail + 2);
    return entryWord;
  }

  /** Makes it one of an AoR of four bytes, which nobody has. */
  mendEntry(entryWord: number): void {
    new Int32Array(this.feed)[entryWord] = 4;
  }

  async committed(change: number, shard = 0): Promise<void> {
    await until(() => this.producers[shard]!.isCommitted(change), 'a commit');
  }

  /** Waits for so many lines to the operator: they come after the state that they are about. */
  async told(count: number): Promise<readonly string[]> {
    await until(() => this.events.length >= count, `${count} events`);
    return this.events;
  }

  async running(): Promise<void> {
    await until(() => this.store.state === STORE_STATE.RUNNING, 'the store to run');
  }

  async failed(): Promise<void> {
    await until(() => this.store.state === STORE_STATE.FAILED, 'the store to fail');
  }
}

/** What a server that starts on this directory gets back. */
export async function restore(directory: string): Promise<StoreWorld> {
  const world = await new StoreWorld(directory).open();
  await world.store.close();
  return world;
}

export async function until(isSo: () => boolean, what: string): Promise<void> {
  for (const startMs = performance.now(); !isSo(); ) {
    if (performance.now() - startMs > PATIENCE_MS) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
