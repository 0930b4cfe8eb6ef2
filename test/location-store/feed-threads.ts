/** The threads of the feed's stress test: shards that number their changes, and a store thread that checks that each comes once
 *  and in order. What is wrong is thrown, and so the thread's `error` event. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../src/base/assert.ts';
import { FeedConsumer, FeedProducer, NO_ENTRY } from '../../src/location/store-feed.ts';

export interface FeedTask {
  readonly feed: SharedArrayBuffer;
  /** The store thread's if there is none. */
  readonly shard: number | null;
  readonly changes: number;
  /** What is in the store, per shard. */
  readonly stored: SharedArrayBuffer;
}

const MAX_LENGTH = 60;
const SLEEP_MS = 5000;

/** Numbers of seven digits, and something behind them, so that entries have every length. */
function spell(change: number): string {
  return String(change).padStart(7, '0') + 'x'.repeat(change % MAX_LENGTH);
}

function produce({ feed, changes, stored }: FeedTask, shard: number): number {
  const producer = new FeedProducer(new Int32Array(feed), shard);
  const store = new Int32Array(stored);
  let turnedAway = 0;
  let waiting: { readonly change: number; readonly sequence: number }[] = [];
  for (let change = 1; change <= changes; ) {
    const aor = Buffer.from(spell(change));
    if (producer.hasRoom(aor.length)) {
      waiting.push({ change, sequence: producer.append(aor, 0, aor.length) });
      change++;
    } else {
      turnedAway++;
      Atomics.wait(store, shard, -1, 0);
    }
    if (waiting.length < 50 && change <= changes) continue;
    waiting = waiting.filter(({ change: each, sequence }) => {
      if (!producer.isCommitted(sequence)) return true;
      assert(Atomics.load(store, shard) >= each, 'committed, and not in the store');
      return false;
    });
  }
  while (!producer.isCommitted(producer.appended)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  assert(Atomics.load(store, shard) === changes, 'not everything is in the store');
  return turnedAway;
}

function consume({ feed, changes, stored }: FeedTask): number {
  const consumer = new FeedConsumer(new Int32Array(feed));
  const store = new Int32Array(stored);
  const target = new Int32Array(256);
  const bytes = Buffer.from(target.buffer);
  const next = new Array<number>(consumer.shardCount).fill(1);
  let sleeps = 0;
  while (next.some((change) => change <= changes)) {
    let count = 0;
    for (let shard = 0; shard < consumer.shardCount; shard++) {
      consumer.open(shard);
      for (
        let length = consumer.take(shard, target, 0);
        length !== NO_ENTRY;
        length = consumer.take(shard, target, 0)
      ) {
        assert(bytes.toString('latin1', 0, length) === spell(next[shard]!), 'another change than the next');
        next[shard]!++;
        count++;
      }
      Atomics.store(store, shard, next[shard]! - 1);
      consumer.commit(shard);
    }
    if (count > 0 || !consumer.trySleep()) continue;
    sleeps++;
    const startMs = performance.now();
    consumer.sleep(SLEEP_MS);
    assert(performance.now() - startMs < SLEEP_MS / 2, 'a lost wake-up');
  }
  return sleeps;
}

if (!isMainThread && (workerData as FeedTask | null)?.stored !== undefined) {
  const task = workerData as FeedTask;
  parentPort?.postMessage(task.shard === null ? consume(task) : produce(task, task.shard));
}
