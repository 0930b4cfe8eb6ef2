/** The writer's thread of the stress test: writes records whose every byte follows from their sequence number, as fast as it can,
 *  around a ring that is much too small. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { openTrace, RECORD, RECORD_HEADER_BYTES } from '../../../src/observe/trace/trace-layout.ts';
import { TraceRingWriter } from '../../../src/observe/trace/trace-ring.ts';

export interface WriterTask {
  readonly trace: SharedArrayBuffer;
  readonly durationMs: number;
  /** Publishes a record before it is written: what the readers are there to notice. */
  readonly isEarly: boolean;
}

/** Lengths of all alignments, some of them long. */
export function lengthOf(sequence: number): number {
  return (Math.imul(sequence, 0x9e3779b1) >>> 20) % 1500;
}

export function byteOf(sequence: number): number {
  return Math.imul(sequence, 0x85ebca6b) >>> 24;
}

function run({ trace, durationMs, isEarly }: WriterTask): number {
  const memory = openTrace(trace);
  const writer = new TraceRingWriter(memory, 0);
  const source = new Uint8Array(new SharedArrayBuffer(2048));
  const words = new Int32Array(source.buffer);
  const end = performance.now() + durationMs;
  let sequence = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 100; i++, sequence++) {
      const length = lengthOf(sequence);
      source.fill(byteOf(sequence));
      const record = writer.claim(length);
      memory.words[(record >> 2) + RECORD.KEPT_WORD] = length;
      memory.words[(record >> 2) + RECORD.LENGTH_WORD] = length;
      if (isEarly) writer.publish();
      writer.copy(words, source, sequence & 3, (sequence & 3) + length, record + RECORD_HEADER_BYTES);
      if (!isEarly) writer.publish();
    }
  }
  return sequence;
}

if (!isMainThread) parentPort?.postMessage(run(workerData as WriterTask));
