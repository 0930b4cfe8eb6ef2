import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { createStoreFeed, FeedControl, STORE_STATE } from '../../src/location/store-feed.ts';
import type { FeedTask } from './feed-threads.ts';

const SHARDS = 2;
const CHANGES = 60_000;

it('changes of real threads come once and in order, are committed when they are stored, and wake the store thread', async () => {
  const feed = createStoreFeed(SHARDS, 4096);
  new FeedControl(new Int32Array(feed)).state = STORE_STATE.RUNNING;
  const stored = new SharedArrayBuffer(SHARDS * 4);
  const faults: string[] = [];
  const counts = await Promise.all(
    [null, 0, 1].map((shard) => {
      const task: FeedTask = { feed, shard, changes: CHANGES, stored };
      const worker = new Worker(new URL('./feed-threads.ts', import.meta.url), { workerData: task });
      worker.on('error', (error) => faults.push((error as Error).message));
      return new Promise<number>((resolve) => {
        let count = 0;
        worker.on('message', (message: number) => {
          count = message;
        });
        worker.once('exit', () => resolve(count));
      });
    }),
  );
  expect(faults).toEqual([]);
  // They did meet: the store thread slept, and rings were full.
  expect(counts[0]).toBeGreaterThan(10);
  expect(counts[1]! + counts[2]!).toBeGreaterThan(10);
});
