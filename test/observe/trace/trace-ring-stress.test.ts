/** The ring under threads: a reader that races a writer round a small ring never takes a torn record for a whole one. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createTrace, MIN_RING_BYTES } from '../../../src/observe/trace/trace-layout.ts';
import { TraceRingReader } from '../../../src/observe/trace/trace-ring.ts';
import { byteOf, lengthOf, type WriterTask } from './trace-threads.ts';

interface Outcome {
  readonly written: number;
  readonly whole: number;
  readonly gone: number;
  readonly torn: number;
}

/** Reads the newest, the oldest and what lies between, over and over. */
async function race(isEarly: boolean): Promise<Outcome> {
  const memory = createTrace({ shardCount: 1, ringBytes: MIN_RING_BYTES, messageBytes: 4096 });
  const workerData: WriterTask = { trace: memory.buffer, durationMs: 1500, isEarly };
  const worker = new Worker(new URL('./trace-threads.ts', import.meta.url), { workerData });
  const finished = once(worker, 'message');
  let isOver = false;
  finished.then(() => {
    isOver = true;
  });
  const reader = new TraceRingReader(memory, 0);
  let whole = 0;
  let gone = 0;
  let torn = 0;
  while (!isOver) {
    for (let i = 0; i < 200; i++) {
      const first = reader.first;
      const count = (reader.next - first) | 0;
      // The oldest records are those that are overwritten right now.
      const sequence = (first + (count === 0 ? 0 : (i * i) % count)) | 0;
      const record = reader.read(sequence);
      if (record === null) gone++;
      else if (record.bytes.length === lengthOf(sequence) && record.bytes.every((byte) => byte === byteOf(sequence)))
        whole++;
      else torn++;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [written] = (await finished) as [number];
  return { written, whole, gone, torn };
}

describe('a reader beside a writer', () => {
  it('never reads a torn record', async () => {
    const { written, whole, gone, torn } = await race(false);
    expect(torn).toBe(0);
    // It was a race: the ring went round many times, and both were seen.
    expect(written).toBeGreaterThan(1000);
    expect(whole).toBeGreaterThan(0);
    expect(gone).toBeGreaterThan(0);
  });

  it('would: records that are shown before they are written are torn', async () => {
    const outcomes = [await race(true)];
    // On one core it takes luck to look in the midst of a record.
    while (outcomes.every(({ torn }) => torn === 0) && outcomes.length < 5) outcomes.push(await race(true));
    expect(outcomes.some(({ torn }) => torn > 0)).toBe(true);
  });
});
