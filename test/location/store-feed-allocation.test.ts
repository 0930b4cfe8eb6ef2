/** A shard allocates nothing for what it tells the store thread. */

import { expect, it } from 'vitest';
import {
  createStoreFeed,
  FeedConsumer,
  FeedControl,
  FeedProducer,
  STORE_STATE,
} from '../../src/location/store-feed.ts';

const CHANGES = 200_000;
const CHANGES_PER_COMMIT = 500;
const ROUNDS = 3;
/** V8 at work on the code itself. */
const MAX_BYTES_PER_CHANGE = 2;

it('room, a change and the question whether it is committed take no memory', () => {
  const words = new Int32Array(createStoreFeed(1, 65_536));
  new FeedControl(words).state = STORE_STATE.RUNNING;
  const producer = new FeedProducer(words, 0);
  const consumer = new FeedConsumer(words);
  const bytes = Buffer.from('xsip:user@example.com');
  const target = new Int32Array(16);
  let committed = 0;
  const work = () => {
    for (let i = 0; i < CHANGES; i++) {
      if (!producer.hasRoom(bytes.length - 1)) throw new Error('no room');
      if (producer.isCommitted(producer.append(bytes, 1, bytes.length))) committed++;
      if (i % CHANGES_PER_COMMIT !== 0) continue;
      consumer.open(0);
      while (consumer.take(0, target, 0) >= 0);
      consumer.commit(0);
    }
  };
  work();
  const perRound = Array.from({ length: ROUNDS }, () => {
    const before = process.memoryUsage().heapUsed;
    work();
    return (process.memoryUsage().heapUsed - before) / CHANGES;
  });
  expect(committed).toBe(0);
  expect(Math.min(...perRound.map(Math.abs))).toBeLessThan(MAX_BYTES_PER_CHANGE);
});
