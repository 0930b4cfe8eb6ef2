/** Preloaded into a server, makes the dispatcher throw when it counts a datagram of junk: in the middle of a batch. */

import { isMainThread, workerData } from 'node:worker_threads';

const isDispatcher = !isMainThread && workerData?.wakeFd !== undefined;
if (isDispatcher) {
  const { COUNTER, Counters } = await import('../../src/observe/counters.ts');
  const { count } = Counters.prototype;
  Counters.prototype.count = function (this: InstanceType<typeof Counters>, id) {
    if (id === COUNTER.junk_datagrams_total) throw new Error('the planted fault of the dispatcher');
    count.call(this, id);
  };
}
