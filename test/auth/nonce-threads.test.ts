/** Real threads ask for the same counts of the same nonces: each count is given to one of them. */

import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { createNonceTable } from '../../src/auth/nonce-counts.ts';
import { NONCE_CHARS, Nonces } from '../../src/auth/nonces.ts';
import type { NonceTask } from './nonce-threads.ts';

const THREADS = 3;
const COUNTS = 60;
const NOW_MS = 1_764_000_000_000;
const SECRET = new TextEncoder().encode('a secret of the test');

function start(task: NonceTask): Promise<readonly string[]> {
  const worker = new Worker(new URL('./nonce-threads.ts', import.meta.url), { workerData: task });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** What each of the threads was given, with `nonceCount` nonces over a table of `entryCount`. */
function race(nonceCount: number, entryCount: number): Promise<(readonly string[])[]> {
  const table = createNonceTable(entryCount);
  const maker = new Nonces(table, SECRET, 300);
  const bytes = new Uint8Array(NONCE_CHARS);
  const nonces = Array.from({ length: nonceCount }, () => {
    maker.write(bytes, 0, 0, NOW_MS);
    return Buffer.from(bytes).toString();
  });
  const gate = new SharedArrayBuffer(4);
  const common = { table, secret: SECRET, nonces, counts: COUNTS, nowMs: NOW_MS, gate, threads: THREADS };
  return Promise.all(Array.from({ length: THREADS }, (_, seed) => start({ ...common, seed })));
}

it('each count of a nonce with an entry of its own is given once, and none is lost', async () => {
  const given = await race(256, 1024);
  const all = given.flat();
  expect(new Set(all).size).toBe(all.length);
  expect(all.length).toBe(256 * COUNTS);
});

it('no count is given twice where nonces share entries', async () => {
  const all = (await race(256, 32)).flat();
  expect(new Set(all).size).toBe(all.length);
  // The last nonce of each entry keeps all of its counts.
  expect(all.length).toBeGreaterThanOrEqual(32 * COUNTS);
});
