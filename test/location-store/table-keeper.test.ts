import { describe, expect, it } from 'vitest';
import {
  createStoreFeed,
  FeedConsumer,
  FeedControl,
  FeedProducer,
  STORE_STATE,
} from '../../src/location/store-feed.ts';
import { MAX_CHANGES, type RecordSink, TableKeeper } from '../../src/runtime/location-store/table-keeper.ts';
import { LocationWorld } from '../location/location-world.ts';
import { phone } from './store-world.ts';

const ALICE = 'sip:alice@example.com';
const BOB = 'sip:bob@example.com';
const SHARDS = 2;

/** A store in an array's stead: what was committed, by AoR, and how often. */
class Sink implements RecordSink {
  readonly records = new Map<string, Buffer>();
  commits = 0;
  puts = 0;
  isFull = false;

  transaction(write: () => void): void {
    const before = new Map(this.records);
    write();
    this.commits++;
    if (!this.isFull) return;
    this.records.clear();
    for (const [aor, record] of before) this.records.set(aor, record);
    throw new Error('full');
  }

  put(aor: Buffer, record: Buffer): void {
    this.puts++;
    this.records.set(aor.toString(), Buffer.from(record));
  }

  remove(aor: Buffer): boolean {
    return this.records.delete(aor.toString());
  }

  aors(from: Buffer, limit: number): Buffer[] {
    const keys = [...this.records.keys()].map((aor) => Buffer.from(aor)).sort(Buffer.compare);
    return keys.filter((key) => Buffer.compare(key, from) >= 0).slice(0, limit);
  }
}

class KeeperWorld {
  readonly table = new LocationWorld({ capacity: 6000, spareBytes: 2 ** 22 });
  readonly sink = new Sink();
  readonly keeper: TableKeeper;
  readonly feed: FeedConsumer;
  readonly #producers: readonly FeedProducer[];

  constructor() {
    const words = new Int32Array(createStoreFeed(SHARDS));
    new FeedControl(words).state = STORE_STATE.RUNNING;
    this.feed = new FeedConsumer(words);
    this.#producers = Array.from({ length: SHARDS }, (_, shard) => new FeedProducer(words, shard));
    this.keeper = new TableKeeper(this.table.tables[1]!, this.feed, this.table.source.bytes);
  }

  set(aor: string, count: number, shard = 0): void {
    this.table.set(
      aor,
      Array.from({ length: count }, (_, i) => phone(i + 1)),
    );
    this.#producers[shard]!.append(Buffer.from(aor), 0, aor.length);
  }

  stored(): string[] {
    return [...this.sink.records.keys()].sort();
  }
}

describe('a group commit', () => {
  it('holds what all shards have told, each AoR once, as it is now', () => {
    const world = new KeeperWorld();
    for (let i = 0; i < 10; i++) world.set(ALICE, 1 + (i % 3), 0);
    world.set(BOB, 1, 1);
    world.set('sip:gone@example.com', 1, 1);
    world.set('sip:gone@example.com', 0, 1);
    expect(world.keeper.drain(world.sink)).toBe(13);
    expect(world.sink).toMatchObject({ commits: 1, puts: 2 });
    expect(world.stored()).toEqual([ALICE, BOB]);
    expect(world.keeper.drain(world.sink)).toBe(0);
    expect(world.sink.commits).toBe(1);
  });

  it('removes what is no longer in the table', () => {
    const world = new KeeperWorld();
    world.set(ALICE, 1);
    world.keeper.drain(world.sink);
    world.set(ALICE, 0);
    world.keeper.drain(world.sink);
    expect(world.stored()).toEqual([]);
  });

  it('has a limit, and leaves no shard for the end every time', () => {
    const world = new KeeperWorld();
    for (let i = 0; i < MAX_CHANGES + 100; i++) world.set(ALICE, 1, 0);
    for (let i = 0; i < MAX_CHANGES + 100; i++) world.set(BOB, 1, 1);
    const rounds = [1, 2, 3].map(() => world.keeper.drain(world.sink));
    expect(rounds).toEqual([MAX_CHANGES, MAX_CHANGES, 200]);
    expect(world.stored()).toEqual([ALICE, BOB]);
  });

  it('that fails leaves it to the caller what becomes of the changes', () => {
    const world = new KeeperWorld();
    world.sink.isFull = true;
    world.set(ALICE, 1);
    expect(() => world.keeper.drain(world.sink)).toThrow('full');
    world.sink.isFull = false;
    world.feed.rewind(0);
    expect(world.keeper.drain(world.sink)).toBe(1);
    expect(world.stored()).toEqual([ALICE]);
  });

  it('without a store only takes them', () => {
    const world = new KeeperWorld();
    world.set(ALICE, 1);
    expect(world.keeper.drain(null)).toBe(1);
    expect(world.stored()).toEqual([]);
  });
});

describe('the whole table', () => {
  const AORS = 2500;

  it('is written some buckets at a time', () => {
    const world = new KeeperWorld();
    for (let i = 0; i < AORS; i++) world.set(`sip:${i}@b`, 1);
    let bucket = world.keeper.writeBuckets(world.sink, 0);
    expect(world.sink.records.size).toBeLessThan(AORS);
    while (bucket !== 0) bucket = world.keeper.writeBuckets(world.sink, bucket);
    expect(world.stored()).toEqual(world.table.aors());
  });

  it('is what stays in the store after a pass over it', () => {
    const world = new KeeperWorld();
    for (let i = 0; i < AORS; i++) world.set(`sip:${i}@b`, 1);
    while (world.keeper.drain(world.sink) > 0);
    for (let i = 0; i < AORS; i += 3) world.table.set(`sip:${i}@b`, []);
    // Not of ours, and longer than any AoR.
    world.sink.records.set('x'.repeat(1500), Buffer.alloc(4));
    let steps = 1;
    while (world.keeper.forgetStale(world.sink)) steps++;
    expect(steps).toBe(Math.ceil(AORS / 256));
    expect(world.stored()).toEqual(world.table.aors());
    const { commits } = world.sink;
    while (world.keeper.forgetStale(world.sink));
    expect(world.sink.commits).toBe(commits);
  });
});
