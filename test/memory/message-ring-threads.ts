/** The threads of the stress test of the message ring: a producer of messages of all lengths and a consumer that checks each, with
 *  a futex word for an eventfd. What is wrong is thrown, and so reaches the test as the thread's `error` event. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../src/base/assert.ts';
import { MESSAGE_RING, SLOT_HEADER_BYTES } from '../../src/memory/layout.ts';
import { MessageConsumer, MessageProducer } from '../../src/memory/message-ring.ts';

export interface RingStressTask {
  /** The ring, then one cache line with the word that wakes. */
  readonly buffer: SharedArrayBuffer;
  readonly role: 'producer' | 'consumer';
  readonly capacity: number;
  readonly durationMs: number;
  /** A consumer that sleeps so long while the producer works has missed its wake-up. */
  readonly watchdogMs: number;
}

export interface RingStressReport {
  readonly role: RingStressTask['role'];
  readonly messages: number;
}

/** Of the word that says how many messages there will have been. */
const RUNNING = -1;

function lengthOf(serial: number, capacity: number): number {
  return Math.imul(serial, 0x9e3779b1) % 7 === 0 ? (serial * 37) % (capacity / 2 - SLOT_HEADER_BYTES) : serial % 90;
}

function run({ buffer, role, capacity, durationMs, watchdogMs }: RingStressTask): RingStressReport {
  const words = new Int32Array(buffer);
  const bytes = new Uint8Array(buffer);
  const wakeWord = MESSAGE_RING.RECORDS_WORD + (capacity >> 2);
  const totalWord = wakeWord + 1;
  let messages = 0;
  if (role === 'producer') {
    const ring = new MessageProducer(words, 0, capacity);
    const publish = () => {
      if (!ring.publish()) return;
      Atomics.add(words, wakeWord, 1);
      Atomics.notify(words, wakeWord);
    };
    const endMs = performance.now() + durationMs;
    Atomics.store(words, totalWord, RUNNING);
    while (performance.now() < endMs) {
      const burst = (messages * 7) % 13;
      for (let i = 0; i <= burst; i++) {
        const length = lengthOf(messages, capacity);
        const offset = ring.claim(length);
        if (offset === -1) {
          publish();
          break;
        }
        bytes.fill(messages & 255, offset + SLOT_HEADER_BYTES, offset + SLOT_HEADER_BYTES + length);
        words[(offset >> 2) + 1] = messages++;
        ring.commit();
      }
      publish();
      // Now and then long enough for the consumer to fall asleep.
      if (messages % 50 === 0) Atomics.wait(words, wakeWord + 2, 0, 0.2);
    }
    Atomics.store(words, totalWord, messages);
    while (ring.claim(0) === -1) publish();
    ring.commit();
    publish();
    return { role, messages };
  }
  const ring = new MessageConsumer(words, 0, capacity);
  for (;;) {
    const before = Atomics.load(words, wakeWord);
    if (ring.isNotified()) {
      for (let offset = ring.next(); offset !== -1; offset = ring.next()) {
        const length = words[offset >> 2]!;
        if (Atomics.load(words, totalWord) === messages && length === 0) return { role, messages };
        assert(length === lengthOf(messages, capacity), 'a message is missing, or not whole');
        assert(words[(offset >> 2) + 1] === messages, 'messages are out of order');
        for (let i = 0; i < length; i++) {
          assert(bytes[offset + SLOT_HEADER_BYTES + i] === (messages & 255), 'a message was overwritten');
        }
        messages++;
        ring.release();
      }
      continue;
    }
    assert(Atomics.wait(words, wakeWord, before, watchdogMs) !== 'timed-out', 'lost wake-up');
  }
}

if (!isMainThread) parentPort!.postMessage(run(workerData as RingStressTask));
