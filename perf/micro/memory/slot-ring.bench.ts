/** What does a slot number cost on its way through the rings: offered and published by the dispatcher, polled, taken and
 *  released by the shard, and home again over the return ring? Both ends run on this one thread, so this is the work of
 *  the code without the cache lines that travel between cores. Batches are as irregular as recvmmsg makes them, from a
 *  fixed seed. Goal: under 20 ns there and back in batches of 16. In batches of 1 the Atomics are most of it.
 *  CPU time of this thread. `--quick` runs a few rounds only. */

import { createArena } from '../../../src/memory/arena.ts';
import { ingressRingOffset, returnRingOffset } from '../../../src/memory/layout.ts';
import { RingConsumer, RingProducer } from '../../../src/memory/slot-ring.ts';

const SLOTS_MOVED = process.argv.includes('--quick') ? 10_000 : 20_000_000;
const BATCHES = 1024;

const { words, map } = createArena({ shardCount: 1, slotCount: 16_384, jumboCount: 64 });
const ingress = new RingProducer(words, ingressRingOffset(map, 0), map.ringCapacity);
const shard = new RingConsumer(words, ingressRingOffset(map, 0), map.ringCapacity);
const returns = new RingProducer(words, returnRingOffset(map, 0), map.ringCapacity);
const home = new RingConsumer(words, returnRingOffset(map, 0), map.ringCapacity);
const free = Int32Array.from({ length: map.slotCount }, (_, slot) => slot);
let freeCount = free.length;
let checksum = 0;
let wakeCount = 0;

for (const meanBatch of [1, 4, 16, 64]) {
  const batches = batchesOf(meanBatch);
  for (const sleeps of [false, true]) {
    run(batches, SLOTS_MOVED / 10, sleeps); // warm-up
    const began = process.threadCpuUsage();
    const moved = run(batches, SLOTS_MOVED, sleeps);
    const ns = (process.threadCpuUsage(began).user * 1000) / moved;
    const label = `batches of ${meanBatch} on average${sleeps ? ', asleep in between' : ''}`;
    console.log(`${label.padEnd(48)} ${ns.toFixed(1).padStart(7)} ns per slot, there and back`);
  }
}
console.log(`checksum ${checksum}, wakes ${wakeCount}`);

/** Batch sizes between 1 and twice the mean, xorshift from a fixed seed. */
function batchesOf(mean: number): Int32Array {
  let state = 0x2545f491;
  return Int32Array.from({ length: BATCHES }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return mean === 1 ? 1 : 1 + ((state >>> 0) % (2 * mean - 1));
  });
}

/** Moves at least `slotCount` slots there and back; returns how many. */
function run(batches: Int32Array, slotCount: number, sleeps: boolean): number {
  let moved = 0;
  for (let turn = 0; moved < slotCount; turn = (turn + 1) & (BATCHES - 1)) {
    if (sleeps) shard.trySleep();
    const batch = batches[turn]!;
    for (let i = 0; i < batch; i++) ingress.offer(free[--freeCount]!);
    if (ingress.publish()) wakeCount++;

    const taken = shard.poll();
    for (let i = 0; i < taken; i++) {
      const slot = shard.take();
      checksum = (Math.imul(checksum, 31) + slot) | 0;
      returns.offer(slot);
    }
    shard.release();
    returns.publish();

    const returned = home.poll();
    for (let i = 0; i < returned; i++) free[freeCount++] = home.take();
    home.release();
    moved += batch;
  }
  return moved;
}
