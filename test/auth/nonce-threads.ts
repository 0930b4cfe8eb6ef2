/** A thread of test/auth/nonce-threads.test.ts: uses every count of many nonces, in an order of its own, and reports what it was
 *  given. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { USE } from '../../src/auth/nonce-counts.ts';
import { NONCE, NONCE_CHARS, Nonces } from '../../src/auth/nonces.ts';

export interface NonceTask {
  readonly table: SharedArrayBuffer;
  readonly secret: Uint8Array;
  readonly nonces: readonly string[];
  readonly counts: number;
  readonly nowMs: number;
  readonly seed: number;
  /** Word 0: threads that are ready. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

function run({ table, secret, nonces, counts, nowMs, seed, gate, threads }: NonceTask): string[] {
  const mine = new Nonces(table, secret, 300);
  const texts = nonces.map((nonce) => new TextEncoder().encode(nonce));
  const given: string[] = [];
  const spare = new Uint8Array(NONCE_CHARS);
  const ready = new Int32Array(gate);
  Atomics.add(ready, 0, 1);
  Atomics.notify(ready, 0);
  for (let count = Atomics.load(ready, 0); count < threads; count = Atomics.load(ready, 0)) {
    Atomics.wait(ready, 0, count, 1000);
  }
  // Steps that have no factor in common with the number of nonces: each thread meets the others' everywhere.
  for (let step = 0; step < nonces.length * counts; step++) {
    const nonce = (step * (seed * 2 + 1)) % nonces.length;
    const count = 1 + (Math.floor(step / nonces.length) % counts);
    if (mine.check(texts[nonce]!, 0, NONCE_CHARS, 0, nowMs) !== NONCE.OK) throw new Error('a nonce was lost');
    if (mine.use(count, seed * 1_000_000 + step, nowMs) === USE.FRESH) given.push(`${nonce} ${count}`);
    if (step % 64 === 0) mine.write(spare, 0, 0, nowMs);
  }
  return given;
}

if (!isMainThread) parentPort?.postMessage(run(workerData as NonceTask));
