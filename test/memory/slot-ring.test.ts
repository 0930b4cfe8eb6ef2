/** The slot ring called from one thread: what each call promises, and a queue as its model. How two threads meet in it is
 *  tested in test/interleaving/. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { RING } from '../../src/memory/layout.ts';
import { RingConsumer, RingProducer } from '../../src/memory/slot-ring.ts';

const CAPACITY = 8;

/** An empty ring whose sequence numbers begin at `startAt`. */
function newWords(startAt = 0): Int32Array<SharedArrayBuffer> {
  const words = new Int32Array(new SharedArrayBuffer((RING.ENTRIES_WORD + CAPACITY) * 4));
  words[RING.TAIL_WORD] = startAt;
  words[RING.HEAD_WORD] = startAt;
  return words;
}

function newRing(startAt = 0) {
  const words = newWords(startAt);
  return { words, producer: new RingProducer(words, 0, CAPACITY), consumer: new RingConsumer(words, 0, CAPACITY) };
}

function takeAll(consumer: RingConsumer): number[] {
  const taken: number[] = [];
  for (let count = consumer.poll(); count > 0; count--) taken.push(consumer.take());
  return taken;
}

describe('offer and publish', () => {
  it('shows nothing to the consumer before publish, and everything after', () => {
    const { producer, consumer } = newRing();
    producer.offer(5);
    producer.offer(6);
    expect(consumer.poll()).toBe(0);
    producer.publish();
    expect(takeAll(consumer)).toEqual([5, 6]);
    expect(consumer.poll()).toBe(0);
  });

  it('counts in depth what was not released, unpublished entries included', () => {
    const { producer, consumer } = newRing();
    producer.offer(5);
    expect(producer.depth()).toBe(1);
    producer.publish();
    takeAll(consumer);
    expect(producer.depth()).toBe(1);
    consumer.release();
    expect(producer.depth()).toBe(0);
  });

  it('is above a mark only while more entries than that wait', () => {
    const { producer, consumer } = newRing();
    for (let i = 0; i < 3; i++) producer.offer(i);
    expect([2, 3].map((mark) => producer.isAbove(mark))).toEqual([true, false]);
    producer.publish();
    takeAll(consumer);
    expect(producer.isAbove(2)).toBe(true);
    consumer.release();
    expect(producer.isAbove(2)).toBe(false);
  });

  it('takes as many entries as there is room for', () => {
    const { producer, consumer } = newRing();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < CAPACITY; i++) producer.offer(i);
      producer.publish();
      expect(takeAll(consumer)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      consumer.release();
    }
  });

  it('asserts that there is never one more', () => {
    const { producer, consumer } = newRing();
    for (let i = 0; i < CAPACITY; i++) producer.offer(i);
    expect(() => producer.offer(8)).toThrow(AssertionError);
    producer.publish();
    takeAll(consumer);
    expect(() => producer.offer(8)).toThrow(AssertionError);
    consumer.release();
    producer.offer(8);
  });

  it('refuses a capacity that is not a power of two', () => {
    expect(() => new RingProducer(newWords(), 0, 6)).toThrow(AssertionError);
    expect(() => new RingConsumer(newWords(), 0, 6)).toThrow(AssertionError);
  });
});

describe('trySleep and the signal', () => {
  it('asks for one signal by the first publish after the consumer fell asleep', () => {
    const { producer, consumer } = newRing();
    expect(consumer.trySleep()).toBe(true);
    producer.offer(1);
    expect(producer.publish()).toBe(true);
    producer.offer(2);
    expect(producer.publish()).toBe(false);
  });

  it('asks for none while the consumer is awake', () => {
    const { producer } = newRing();
    producer.offer(1);
    expect(producer.publish()).toBe(false);
  });

  it('asks for none where nothing was offered', () => {
    const { producer, consumer } = newRing();
    consumer.trySleep();
    expect(producer.publish()).toBe(false);
  });

  it('refuses to sleep while entries are left, and leaves no trace of the attempt', () => {
    const { words, producer, consumer } = newRing();
    producer.offer(1);
    producer.publish();
    expect(consumer.trySleep()).toBe(false);
    expect(words[RING.SLEEP_WORD]).toBe(0);
  });
});

describe('a successor', () => {
  it('of a producer goes on behind what was published, and drops what was not', () => {
    const { words, producer, consumer } = newRing();
    producer.offer(1);
    producer.publish();
    producer.offer(2);
    const successor = new RingProducer(words, 0, CAPACITY);
    successor.offer(3);
    successor.publish();
    expect(takeAll(consumer)).toEqual([1, 3]);
  });

  it('of a consumer goes on at the released head', () => {
    const { words, producer, consumer } = newRing();
    for (const value of [1, 2, 3]) producer.offer(value);
    producer.publish();
    consumer.poll();
    consumer.take();
    consumer.release();
    consumer.take();
    expect(takeAll(new RingConsumer(words, 0, CAPACITY))).toEqual([2, 3]);
  });

  it('of a consumer goes on at the cursor it is given, and hands back what lies before', () => {
    const { words, producer, consumer } = newRing();
    for (const value of [1, 2, 3]) producer.offer(value);
    producer.publish();
    consumer.poll();
    consumer.take();
    consumer.take();
    const successor = new RingConsumer(words, 0, CAPACITY, consumer.next);
    expect(producer.depth()).toBe(1);
    expect(takeAll(successor)).toEqual([3]);
  });
});

it('behaves like a queue, whatever is called when, wherever the sequence numbers stand', () => {
  const step = fc.oneof(
    fc.record({ call: fc.constant('offer' as const), count: fc.integer({ min: 1, max: CAPACITY }) }),
    fc.record({ call: fc.constant('take' as const), count: fc.integer({ min: 1, max: CAPACITY }) }),
    fc.record({
      call: fc.constantFrom('publish' as const, 'release' as const, 'sleep' as const),
      count: fc.constant(1),
    }),
  );
  const startAt = fc.oneof(fc.constantFrom(0, -1, -3, 2 ** 31 - 1, -(2 ** 31)), fc.integer());
  fc.assert(
    fc.property(startAt, fc.array(step, { maxLength: 60 }), (start, steps) => {
      const { producer, consumer } = newRing(start);
      const queue: number[] = [];
      let published = 0;
      let unreleased = 0;
      let serial = 0;
      let isAsleep = false;
      for (const { call, count } of steps) {
        if (call === 'offer') {
          for (let i = 0; i < count && queue.length + unreleased < CAPACITY; i++) {
            queue.push(++serial);
            producer.offer(serial);
          }
        } else if (call === 'publish') {
          expect(producer.publish()).toBe(isAsleep && published < queue.length);
          if (published < queue.length) isAsleep = false;
          published = queue.length;
        } else if (call === 'take') {
          expect(consumer.poll()).toBe(published);
          for (let i = 0; i < count && published > 0; i++, published--, unreleased++) {
            expect(consumer.take()).toBe(queue.shift());
          }
        } else if (call === 'release') {
          consumer.release();
          unreleased = 0;
        } else {
          isAsleep = consumer.trySleep();
          expect(isAsleep).toBe(published === 0);
        }
        expect(producer.depth()).toBe(queue.length + unreleased);
      }
    }),
    { numRuns: 300 },
  );
});
