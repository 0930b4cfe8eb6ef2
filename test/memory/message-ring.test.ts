/** The message ring: what each call promises with a queue as its model, every interleaving of the wake-up, and real threads. */

import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { MESSAGE_RING, SLOT_HEADER_BYTES } from '../../src/memory/layout.ts';
import { MessageConsumer, MessageProducer } from '../../src/memory/message-ring.ts';
import type { RingStressReport, RingStressTask } from './message-ring-threads.ts';

const CAPACITY = 4096;

function newRing(startAt = 0, capacity = CAPACITY) {
  const words = new Int32Array(new SharedArrayBuffer(MESSAGE_RING.RECORDS_WORD * 4 + capacity));
  words[MESSAGE_RING.TAIL_WORD] = startAt;
  words[MESSAGE_RING.HEAD_WORD] = startAt;
  const bytes = new Uint8Array(words.buffer);
  const producer = new MessageProducer(words, 0, capacity);
  const consumer = new MessageConsumer(words, 0, capacity);
  /** False: there was no room. */
  const offer = (text: string): boolean => {
    const offset = producer.claim(text.length);
    if (offset === -1) return false;
    bytes.set(Buffer.from(text, 'latin1'), offset + SLOT_HEADER_BYTES);
    producer.commit();
    return true;
  };
  const textAt = (offset: number) => {
    const start = offset + SLOT_HEADER_BYTES;
    return Buffer.from(bytes.slice(start, start + words[offset >> 2]!)).toString('latin1');
  };
  const take = (): string | null => {
    const offset = consumer.next();
    if (offset === -1) return null;
    const text = textAt(offset);
    consumer.release();
    return text;
  };
  return { words, producer, consumer, offer, take };
}

describe('a message ring', () => {
  it('shows nothing before publish, and everything after', () => {
    const { producer, offer, take } = newRing();
    offer('a');
    offer('');
    expect(take()).toBeNull();
    producer.publish();
    expect([take(), take(), take()]).toEqual(['a', '', null]);
  });

  it('shows the same record until it is released', () => {
    const { producer, consumer, offer } = newRing();
    offer('a');
    offer('b');
    producer.publish();
    const first = consumer.next();
    expect(consumer.next()).toBe(first);
    consumer.release();
    expect(consumer.next()).not.toBe(first);
  });

  it('has no room for more than its capacity until some of it is released', () => {
    const { producer, offer, take } = newRing();
    const text = 'x'.repeat(CAPACITY / 4 - SLOT_HEADER_BYTES);
    expect([1, 2, 3, 4, 5].map(() => offer(text))).toEqual([true, true, true, true, false]);
    producer.publish();
    take();
    expect([offer(text), offer('')]).toEqual([true, false]);
  });

  it('forgets what was claimed and not committed', () => {
    const { producer, offer, take } = newRing();
    producer.claim(10);
    offer('a');
    producer.publish();
    expect([take(), take()]).toEqual(['a', null]);
  });

  it('refuses a record of more than half of itself, and a capacity that is no power of two', () => {
    const { producer } = newRing();
    expect(() => producer.claim(CAPACITY / 2 - SLOT_HEADER_BYTES + 1)).toThrow(AssertionError);
    expect(producer.claim(CAPACITY / 2 - SLOT_HEADER_BYTES)).not.toBe(-1);
    expect(() => newRing(0, 4000)).toThrow(AssertionError);
    expect(() => newRing().producer.commit()).toThrow(AssertionError);
  });

  it('goes on where predecessors published and released', () => {
    const { words, producer, consumer, offer, take } = newRing();
    for (const text of ['a', 'b', 'c']) offer(text);
    producer.publish();
    take();
    consumer.next();
    offer('lost with its producer');
    const heir = new MessageProducer(words, 0, CAPACITY);
    heir.claim(0);
    heir.commit();
    heir.publish();
    const second = new MessageConsumer(words, 0, CAPACITY);
    expect(second.isNotified(), 'a predecessor may have taken the notice').toBe(true);
    const lengths: number[] = [];
    for (let offset = second.next(); offset !== -1; offset = second.next()) {
      lengths.push(words[offset >> 2]!);
      second.release();
    }
    expect(lengths).toEqual([1, 1, 0]);
  });

  it('is a queue, wherever its counts begin', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.nat(CAPACITY / 2 - SLOT_HEADER_BYTES) },
      { weight: 3, arbitrary: fc.constantFrom('publish' as const) },
      { weight: 6, arbitrary: fc.constantFrom('take' as const) },
    );
    const start = fc.constantFrom(0, 0x7fff_ff00 & -64, -256, 64 * 63);
    fc.assert(
      fc.property(start, fc.array(step, { maxLength: 200 }), (startAt, steps) => {
        const { producer, offer, take } = newRing(startAt);
        const offered: string[] = [];
        const published: string[] = [];
        for (const [i, what] of steps.entries()) {
          if (what === 'publish') {
            producer.publish();
            published.push(...offered.splice(0));
          } else if (what === 'take') {
            expect(take()).toBe(published.shift() ?? null);
          } else {
            const text = String.fromCharCode(33 + (i % 90)).repeat(what);
            const hasRoom = offer(text);
            // An empty ring has room for anything.
            if (offered.length + published.length === 0) expect(hasRoom).toBe(true);
            if (hasRoom) offered.push(text);
          }
        }
      }),
    );
  });
});

/** The steps of message-ring.ts, one atomic access each: what each thread knows is in its own fields. */
interface World {
  tail: number;
  notified: number;
  signals: number;
  // Producer: published so far, and whether its exchange is due.
  published: number;
  mustExchange: boolean;
  mustSignal: boolean;
  // Consumer
  seen: number;
  phase: 'look' | 'clear' | 'drain' | 'sleep';
}

const MESSAGES = 3;

/** Every state that can follow from one step of one thread. `isBroken`: the consumer clears after it drains. */
function successors(world: World, isBroken: boolean): World[] {
  const next: World[] = [];
  const go = (change: Partial<World>) => next.push({ ...world, ...change });
  if (world.mustSignal) go({ mustSignal: false, signals: world.signals + 1 });
  else if (world.mustExchange) go({ mustExchange: false, mustSignal: world.notified === 0, notified: 1 });
  else if (world.published < MESSAGES) go({ published: world.published + 1, tail: world.tail + 1, mustExchange: true });
  switch (world.phase) {
    case 'look':
      go({ phase: world.notified === 0 ? 'sleep' : isBroken ? 'drain' : 'clear' });
      break;
    case 'clear':
      go({ notified: 0, phase: isBroken ? 'look' : 'drain' });
      break;
    case 'drain':
      go({ seen: world.tail, phase: isBroken ? 'clear' : 'look' });
      break;
    case 'sleep':
      if (world.signals > 0) go({ signals: 0, phase: 'look' });
  }
  return next;
}

function lostWakeUps(isBroken: boolean): World[] {
  const start: World = {
    ...{ tail: 0, notified: 0, signals: 0, published: 0, mustExchange: false, mustSignal: false },
    ...{ seen: 0, phase: 'look' },
  };
  const visited = new Set<string>();
  const lost: World[] = [];
  const stack = [start];
  for (let world = stack.pop(); world !== undefined; world = stack.pop()) {
    const key = JSON.stringify(world);
    if (visited.has(key)) continue;
    visited.add(key);
    const following = successors(world, isBroken);
    if (following.length === 0 && world.seen < MESSAGES) lost.push(world);
    stack.push(...following);
  }
  expect(visited.size).toBeGreaterThan(100);
  return lost;
}

describe('the wake-up', () => {
  it('is never lost, in no interleaving', () => {
    expect(lostWakeUps(false)).toEqual([]);
  });

  it('would be, if the notice were cleared after the look', () => {
    expect(lostWakeUps(true)).not.toEqual([]);
  });
});

describe('two threads', () => {
  it('hand over messages of all lengths, whole and in order, and neither sleeps through one', async () => {
    const buffer = new SharedArrayBuffer(MESSAGE_RING.RECORDS_WORD * 4 + CAPACITY + 64);
    const reports: RingStressReport[] = [];
    const faults: string[] = [];
    const run = (role: RingStressTask['role']) => {
      const workerData: RingStressTask = { buffer, role, capacity: CAPACITY, durationMs: 1000, watchdogMs: 4000 };
      const worker = new Worker(new URL('./message-ring-threads.ts', import.meta.url), { workerData });
      worker.on('message', (report: RingStressReport) => reports.push(report));
      worker.on('error', (error) => faults.push((error as Error).message));
      return new Promise((resolve) => worker.once('exit', resolve));
    };
    await Promise.all([run('producer'), run('consumer')]);
    expect(faults).toEqual([]);
    expect(reports).toHaveLength(2);
    expect(reports[0]!.messages).toBe(reports[1]!.messages);
    expect(reports[0]!.messages).toBeGreaterThan(1000);
  });
});
