/** The location table under real threads: recorded histories are linearizable, nothing read is ever torn, and threads that
 *  are terminated in the middle leave a whole table. `SEED` in the environment replays the choices of a run. */

import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { BindingView } from '../../src/location/bindings.ts';
import { createLocationTable, LocationTable } from '../../src/location/location-table.ts';
import { ACKNOWLEDGED_WORD, type Operation, type StressTask } from './location-threads.ts';
import { lostLines } from './location-world.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const THREADS = 3;
const MAX_LINES = 8;
const SPARE_BYTES = 2 ** 23;

function startWorker(task: StressTask, faults: string[]) {
  const worker = new Worker(new URL('./location-threads.ts', import.meta.url), { workerData: task });
  worker.on('error', (error) => faults.push((error as Error).message));
  const history = new Promise<readonly Operation[]>((resolve) => {
    let operations: readonly Operation[] = [];
    worker.on('message', (message: readonly Operation[]) => {
      operations = message;
    });
    worker.once('exit', () => resolve(operations));
  });
  return { worker, history };
}

function openTable(buffer: SharedArrayBuffer, thread: number): LocationTable {
  const texts = new SharedArrayBuffer(4096);
  return new LocationTable(buffer, thread, { bytes: new Uint8Array(texts), words: new Int32Array(texts) });
}

/** True if the operations of one AoR, in some order that agrees with their times, each saw what the one before it left
 *  (Wing and Gong): a walk over how far each thread has come and what is in the table then. */
function isLinearizable(histories: readonly (readonly Operation[])[]): boolean {
  const seen = new Set<string>();
  const open: { readonly done: readonly number[]; readonly value: number }[] = [
    { done: histories.map(() => 0), value: 0 },
  ];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const { done, value } = state;
    const nexts = histories.map((history, thread) => history[done[thread]!]);
    if (nexts.every((next) => next === undefined)) return true;
    const firstEnd = Math.min(...nexts.map((next) => next?.to ?? Number.POSITIVE_INFINITY));
    for (const [thread, next] of nexts.entries()) {
      if (next === undefined || next.from > firstEnd || next.saw !== value) continue;
      const after = { done: done.with(thread, done[thread]! + 1), value: next.wrote ?? value };
      const key = `${after.done}:${after.value}`;
      if (!seen.has(key)) open.push(after);
      seen.add(key);
    }
  }
  return false;
}

describe(`${THREADS} threads on the same AoRs (SEED=${SEED})`, () => {
  const AORS = 4;
  const OPERATIONS = 30_000;

  it('make a history that could have happened one after the other', async () => {
    const buffer = createLocationTable({ capacity: AORS, threadCount: THREADS + 1, spareBytes: SPARE_BYTES }, SEED);
    const board = new SharedArrayBuffer(256);
    const faults: string[] = [];
    const workers = Array.from({ length: THREADS }, (_, thread) =>
      startWorker(
        { buffer, thread, aorCount: AORS, isShared: true, operations: OPERATIONS, seed: SEED * (thread + 3), board },
        faults,
      ),
    );
    const histories = await Promise.all(workers.map(({ history }) => history));
    expect(faults).toEqual([]);
    for (let aor = 0; aor < AORS; aor++) {
      const ofAor = histories.map((history) => history.filter((operation) => operation.aor === aor));
      expect(isLinearizable(ofAor), `AoR ${aor}`).toBe(true);
    }
    // They did meet: some operations overlapped, how many is up to the machine.
    const overlaps = histories[0]!.filter(({ from, to }) => to - from > 1).length;
    expect(overlaps).toBeGreaterThan(0);
    expect(histories.flat().length).toBeGreaterThan(THREADS * OPERATIONS * 0.5);
    const table = openTable(buffer, THREADS);
    expect(lostLines(table)).toBe(0);
  });

  it('and what could not have happened is told apart', () => {
    const write = (saw: number, wrote: number, from: number, to: number) => ({ aor: 0, saw, wrote, from, to });
    const read = (saw: number, from: number, to: number) => ({ aor: 0, saw, from, to });
    expect(isLinearizable([[write(0, 1, 0, 3)], [write(1, 2, 1, 2)]])).toBe(true);
    // An update is lost: both saw nothing.
    expect(isLinearizable([[write(0, 1, 0, 3)], [write(0, 2, 1, 2)]])).toBe(false);
    // A look-up saw what was replaced before it began.
    expect(isLinearizable([[write(0, 1, 0, 1), write(1, 2, 2, 3)], [read(1, 4, 5)]])).toBe(false);
    expect(isLinearizable([[write(0, 1, 0, 1), write(1, 2, 2, 5)], [read(1, 4, 6)]])).toBe(true);
  });
});

describe('threads that are terminated while they write', () => {
  const DEATHS = 12;

  it('leave a whole table, lose one record each at most, and nothing that was acknowledged', async () => {
    const buffer = createLocationTable({ capacity: 16, threadCount: 3, spareBytes: SPARE_BYTES }, SEED);
    const board = new SharedArrayBuffer(256);
    const words = new Int32Array(board);
    const faults: string[] = [];
    const survivor = openTable(buffer, 2);
    const task = { buffer, aorCount: 1, isShared: false, operations: 1e9, board };
    const start = (thread: number, death: number) =>
      startWorker({ ...task, thread, seed: SEED + death + thread }, faults);
    let workers = [start(0, 0), start(1, 0)];
    for (let death = 1; death <= DEATHS; death++) {
      const victim = death & 1;
      const before = words[ACKNOWLEDGED_WORD + victim]!;
      // The survivor passes quiescent points, and waits until the victim is at work.
      while (Atomics.load(words, ACKNOWLEDGED_WORD + victim) < before + 200 && faults.length === 0) {
        survivor.quiesce();
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await workers[victim]!.worker.terminate();
      survivor.bury(victim);
      workers = workers.with(victim, start(victim, death));
    }
    for (const { worker } of workers) await worker.terminate();
    for (const thread of [0, 1]) survivor.bury(thread);
    expect(faults).toEqual([]);

    const values: number[] = [];
    const view = new BindingView(survivor);
    survivor.list(0, survivor.map.bucketCount, (record) => {
      view.open(record);
      view.next();
      values.push(view.cseq);
    });
    expect(values).toHaveLength(2);
    values.sort((a, b) => a - b);
    for (const thread of [0, 1]) {
      const acknowledged = words[ACKNOWLEDGED_WORD + thread]!;
      expect(values[thread]! - acknowledged).toBeGreaterThanOrEqual(0);
      expect(values[thread]! - acknowledged).toBeLessThanOrEqual(1);
    }
    expect(lostLines(survivor)).toBeLessThanOrEqual((DEATHS + 2) * MAX_LINES);
  });
});
