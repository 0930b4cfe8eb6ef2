/** A process of its own that reads a store and tries to write to it, as LMDB may end the process on a file that is not sound
 *  (record-store.ts). `store-reader DIRECTORY load|probe`: `load` writes all records to stdout as try-store.ts reads them;
 *  both then open the store for writing, make it if there is none, and commit something. How far it came, it says on
 *  stderr, a line each: a step, or what is wrong. */

import { existsSync, writeSync } from 'node:fs';
import { RecordStore, type RecordVisitor, StoreVersionError, storeFile } from './record-store.ts';
import { isDamage } from './store-errors.ts';
import { FRAME_WORDS, PROBLEM, STEP } from './store-frames.ts';

const STDOUT = 1;
const STDERR = 2;
const BATCH_BYTES = 256 * 1024;

/** Puts frames together, and sends many at a time. */
class FrameWriter implements RecordVisitor {
  #batch = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #length = 0;
  #keyBytes = 0;

  key(bytes: Uint8Array, start: number, end: number): void {
    this.#keyBytes = end - start;
    this.#makeRoom(FRAME_WORDS * 4 + padded(this.#keyBytes));
    this.#copy(bytes, start, this.#keyBytes, this.#length + FRAME_WORDS * 4);
  }

  record(bytes: Uint8Array, length: number): void {
    const keyFrameBytes = FRAME_WORDS * 4 + padded(this.#keyBytes);
    this.#makeRoom(keyFrameBytes + padded(length));
    this.#batch.writeUInt32LE(this.#keyBytes, this.#length);
    this.#batch.writeUInt32LE(length, this.#length + 4);
    this.#copy(bytes, 0, length, this.#length + keyFrameBytes);
    this.#length += keyFrameBytes + padded(length);
  }

  flush(): void {
    writeAll(this.#batch.subarray(0, this.#length));
    this.#length = 0;
  }

  /** Sends the frames that are complete if the next does not fit behind them; what there is of it moves to the front. */
  #makeRoom(frameBytes: number): void {
    if (this.#length + frameBytes <= this.#batch.length) return;
    const begun = this.#batch.subarray(this.#length, this.#length + FRAME_WORDS * 4 + padded(this.#keyBytes));
    const next = frameBytes > BATCH_BYTES ? Buffer.allocUnsafeSlow(frameBytes) : this.#batch;
    const isInPlace = this.#length === 0 && next === this.#batch;
    this.flush();
    if (!isInPlace) begun.copy(next);
    this.#batch = next;
  }

  /** Byte by byte, as a record is short. */
  #copy(bytes: Uint8Array, from: number, count: number, to: number): void {
    const batch = this.#batch;
    for (let i = 0; i < count; i++) batch[to + i] = bytes[from + i]!;
    for (let i = count; i < padded(count); i++) batch[to + i] = 0;
  }
}

function padded(bytes: number): number {
  return (bytes + 3) & -4;
}

function sendAll(directory: string): void {
  const store = new RecordStore(directory, { sync: false, isReadOnly: true });
  const frames = new FrameWriter();
  store.visit(frames);
  frames.flush();
  store.close();
}

function writeAll(bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(STDOUT, bytes, written);
}

function say(line: string): void {
  writeSync(STDERR, `${line}\n`);
}

const [directory = '', task = ''] = process.argv.slice(2);
try {
  if (task === 'load' && existsSync(storeFile(directory))) sendAll(directory);
  say(STEP.READ);
  const store = new RecordStore(directory, { sync: false });
  store.writeOnTrial();
  store.close();
  say(STEP.WRITTEN);
} catch (error) {
  const problem =
    error instanceof StoreVersionError ? PROBLEM.VERSION : isDamage(error) ? PROBLEM.DAMAGE : PROBLEM.OTHER;
  say(`${problem} ${(error as Error).message}`);
  process.exitCode = 1;
}
