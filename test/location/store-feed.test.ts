import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createStoreFeed,
  FeedConsumer,
  FeedControl,
  FeedProducer,
  NO_ENTRY,
  STORE_STATE,
} from '../../src/location/store-feed.ts';

const RING_BYTES = 4096;
const ALICE = 'sip:alice@example.com';
const BOB = 'sip:bob@example.com';
/** Header of the feed, then tail, lost, head and entries of each shard. */
const FIRST_RING_WORD = 128;
const HEAD_WORD = 32;

class FeedWorld {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly control: FeedControl;
  producers: FeedProducer[];
  consumer: FeedConsumer;

  constructor(shardCount = 1, startAt = 0) {
    this.words = new Int32Array(createStoreFeed(shardCount, RING_BYTES));
    this.words[FIRST_RING_WORD] = this.words[FIRST_RING_WORD + HEAD_WORD] = startAt;
    this.control = new FeedControl(this.words);
    this.control.state = STORE_STATE.RUNNING;
    this.producers = Array.from({ length: shardCount }, (_, shard) => new FeedProducer(this.words, shard));
    this.consumer = new FeedConsumer(this.words);
  }

  append(aor: string, shard = 0): number {
    // Somewhere in the bytes, at any alignment.
    const bytes = Buffer.from(`xyz${aor}#`);
    return this.producers[shard]!.append(bytes, 3, bytes.length - 1);
  }

  take(shard = 0): string[] {
    const aors: string[] = [];
    const target = new Int32Array(300);
    this.consumer.open(shard);
    for (;;) {
      target.fill(-1);
      const length = this.consumer.take(shard, target, 1);
      if (length === NO_ENTRY) return aors;
      const text = Buffer.from(target.buffer).subarray(4, 4 + length);
      aors.push(text.toString());
    }
  }
}

describe('changes', () => {
  it('arrive in order, and are committed when the store thread says so', () => {
    const feed = new FeedWorld();
    const first = feed.append(ALICE);
    const second = feed.append(BOB);
    expect(feed.producers[0]!.appended).toBe(second);
    expect(feed.take()).toEqual([ALICE, BOB]);
    expect(feed.producers[0]!.isCommitted(first)).toBe(false);
    expect(feed.consumer.commit(0)).toBe(true);
    expect(feed.producers[0]!.isCommitted(first)).toBe(true);
    expect(feed.producers[0]!.isCommitted(second)).toBe(true);
    expect(feed.consumer.commit(0)).toBe(false);
    expect(feed.take()).toEqual([]);
  });

  it('that come after the store thread has looked wait for its next round', () => {
    const feed = new FeedWorld();
    feed.append(ALICE);
    feed.consumer.open(0);
    const second = feed.append(BOB);
    const target = new Int32Array(16);
    expect(feed.consumer.take(0, target, 0)).toBe(ALICE.length);
    expect(feed.consumer.take(0, target, 0)).toBe(NO_ENTRY);
    feed.consumer.commit(0);
    expect(feed.producers[0]!.isCommitted(second)).toBe(false);
    expect(feed.take()).toEqual([BOB]);
  });

  it('of one shard do not concern another', () => {
    const feed = new FeedWorld(2);
    const change = feed.append(ALICE, 0);
    feed.append(BOB, 1);
    expect(feed.take(1)).toEqual([BOB]);
    feed.consumer.commit(1);
    expect(feed.producers[0]!.isCommitted(change)).toBe(false);
    expect(feed.take(0)).toEqual([ALICE]);
  });

  it('are taken again by the successor of a store thread that did not commit them', () => {
    const feed = new FeedWorld();
    feed.append(ALICE);
    feed.take();
    feed.consumer.commit(0);
    const change = feed.append(BOB);
    expect(feed.take()).toEqual([BOB]);
    feed.consumer = new FeedConsumer(feed.words);
    expect(feed.producers[0]!.isCommitted(change)).toBe(false);
    expect(feed.take()).toEqual([BOB]);
  });

  it('are taken again after a rewind', () => {
    const feed = new FeedWorld();
    feed.append(ALICE);
    feed.take();
    feed.consumer.rewind(0);
    expect(feed.take()).toEqual([ALICE]);
  });

  it('of a shard that died are taken, and its successor goes on behind them', () => {
    const feed = new FeedWorld();
    feed.append(ALICE);
    feed.producers[0] = new FeedProducer(feed.words, 0);
    feed.append(BOB);
    expect(feed.take()).toEqual([ALICE, BOB]);
  });

  it.each([{ startAt: 2 ** 31 - 7 }, { startAt: -5 }])('go on beyond position $startAt', ({ startAt }) => {
    const feed = new FeedWorld(1, startAt | 0);
    for (let round = 0; round < 50; round++) {
      const first = feed.append(ALICE);
      const second = feed.append(BOB);
      expect(feed.producers[0]!.isCommitted(first)).toBe(false);
      expect(feed.take()).toEqual([ALICE, BOB]);
      feed.consumer.commit(0);
      expect(feed.producers[0]!.isCommitted(second)).toBe(true);
    }
  });

  it('hold any AoR there can be, and no other', () => {
    const feed = new FeedWorld();
    for (const length of [1, 2, 3, 4, 5, 1022, 1023]) feed.append('a'.repeat(length));
    expect(feed.take().map((aor) => aor.length)).toEqual([1, 2, 3, 4, 5, 1022, 1023]);
    feed.consumer.commit(0);
    expect(() => feed.append('')).toThrow('in no table');
    expect(() => feed.append('a'.repeat(1024))).toThrow('in no table');
  });
});

describe('a full ring', () => {
  it('says so before the table is touched, and has room again after a commit', () => {
    const feed = new FeedWorld();
    let count = 0;
    while (feed.producers[0]!.hasRoom(ALICE.length)) {
      feed.append(ALICE);
      count++;
    }
    expect(count).toBe(Math.floor(1024 / 7));
    expect(feed.producers[0]!.hasRoom(1)).toBe(true);
    feed.take();
    expect(feed.producers[0]!.hasRoom(ALICE.length)).toBe(false);
    feed.consumer.commit(0);
    expect(feed.producers[0]!.hasRoom(ALICE.length)).toBe(true);
    expect(feed.consumer.takeLost()).toBe(false);
  });

  it('of a store that failed drops, and says that something is lost', () => {
    const feed = new FeedWorld();
    feed.control.state = STORE_STATE.FAILED;
    for (let i = 0; i < 200; i++) {
      expect(feed.producers[0]!.hasRoom(ALICE.length)).toBe(true);
      expect(feed.producers[0]!.isCommitted(feed.append(ALICE))).toBe(true);
    }
    expect(feed.consumer.trySleep()).toBe(false);
    expect(feed.consumer.takeLost()).toBe(true);
    expect(feed.consumer.takeLost()).toBe(false);
    expect(feed.take()).toHaveLength(Math.floor(1024 / 7));
  });
});

describe('without a running store', () => {
  it('everything counts as committed', () => {
    const feed = new FeedWorld();
    const change = feed.append(ALICE);
    expect(feed.producers[0]!.isCommitted(change)).toBe(false);
    feed.control.state = STORE_STATE.FAILED;
    expect(feed.producers[0]!.isCommitted(change)).toBe(true);
    expect(feed.producers[0]!.state).toBe(STORE_STATE.FAILED);
    expect(feed.control.state).toBe(STORE_STATE.FAILED);
  });

  it('nothing is kept for a store that there is not', () => {
    const feed = new FeedWorld();
    feed.control.state = STORE_STATE.OFF;
    for (let i = 0; i < 1000; i++) expect(feed.producers[0]!.isCommitted(feed.append(ALICE))).toBe(true);
    expect(feed.take()).toEqual([]);
    expect(feed.consumer.takeLost()).toBe(false);
  });
});

describe('sleep', () => {
  it('is not begun while something waits, or the end is near', () => {
    const feed = new FeedWorld();
    expect(feed.consumer.trySleep()).toBe(true);
    feed.append(ALICE);
    expect(feed.consumer.trySleep()).toBe(false);
    feed.take();
    expect(feed.consumer.trySleep()).toBe(true);
    feed.control.stop();
    expect(feed.consumer.isStopping).toBe(true);
    expect(feed.consumer.trySleep()).toBe(false);
  });
});

describe('a feed behaves like a queue', () => {
  it('for any sequence of changes, looks, commits and deaths', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), length: fc.integer({ min: 1, max: 1023 }) }),
      fc.record({ kind: fc.constantFrom('take', 'commit', 'consumer dies', 'producer dies') }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer(), (steps, startAt) => {
        const feed = new FeedWorld(1, startAt);
        let waiting: { aor: string; sequence: number }[] = [];
        let takenCount = 0;
        for (const [i, each] of steps.entries()) {
          if (each.kind === 'append') {
            const aor = `${i}`.padEnd(each.length, 'x').slice(0, each.length);
            if (!feed.producers[0]!.hasRoom(aor.length)) continue;
            waiting.push({ aor, sequence: feed.append(aor) });
          }
          if (each.kind === 'take') {
            expect(feed.take()).toEqual(waiting.slice(takenCount).map(({ aor }) => aor));
            takenCount = waiting.length;
          }
          if (each.kind === 'commit') {
            feed.consumer.commit(0);
            const committed = waiting.slice(0, takenCount);
            for (const { sequence } of committed) expect(feed.producers[0]!.isCommitted(sequence)).toBe(true);
            waiting = waiting.slice(takenCount);
            takenCount = 0;
          }
          if (each.kind === 'consumer dies') {
            feed.consumer = new FeedConsumer(feed.words);
            takenCount = 0;
          }
          if (each.kind === 'producer dies') feed.producers[0] = new FeedProducer(feed.words, 0);
          for (const { sequence } of waiting) expect(feed.producers[0]!.isCommitted(sequence)).toBe(false);
        }
        expect(feed.consumer.takeLost()).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});
