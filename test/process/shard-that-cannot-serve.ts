/** Preloaded into a server, makes every shard throw as soon as it looks at its ring. */

import { isMainThread, workerData } from 'node:worker_threads';

// The dispatcher has rings too, and must live.
const isDispatcher = workerData?.wakeFd !== undefined;
if (!isMainThread && !isDispatcher) {
  const { RingConsumer } = await import('../../src/memory/slot-ring.ts');
  RingConsumer.prototype.poll = () => {
    throw new Error('this shard cannot serve');
  };
}
