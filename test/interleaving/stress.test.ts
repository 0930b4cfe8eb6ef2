/** The rings under real threads: what the interleaving tests prove for small cases, tried a hundred thousand times on
 *  this machine's memory model, compiled by V8. `SEED` in the environment replays a run's bursts and pauses. */

import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import type { StressReport, StressTask } from './stress-threads.ts';

const SHARD_COUNT = 2;
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

interface Outcome {
  readonly reports: readonly StressReport[];
  readonly faults: readonly string[];
}

async function stress(variant: Partial<StressTask>): Promise<Outcome> {
  const arena = createArena({ shardCount: SHARD_COUNT, slotCount: 192, jumboCount: 1 });
  const reports: StressReport[] = [];
  const faults: string[] = [];
  const start = (role: StressTask['role'], shard: number): Promise<void> => {
    const task: StressTask = {
      arena: arena.buffer,
      role,
      shard,
      durationMs: 1500,
      watchdogMs: 4000,
      seed: SEED,
      mutation: null,
      misdeed: 'none',
      ...variant,
    };
    const worker = new Worker(new URL('./stress-threads.ts', import.meta.url), { workerData: task });
    worker.on('message', (report: StressReport) => reports.push(report));
    worker.on('error', (error) => faults.push((error as Error).message));
    return new Promise((resolve) => worker.once('exit', () => resolve()));
  };
  const shards = Array.from({ length: SHARD_COUNT }, (_, shard) => start('shard', shard));
  await Promise.all([start('dispatcher', -1), ...shards]);
  return { reports, faults };
}

describe(`one dispatcher and ${SHARD_COUNT} shards (SEED=${SEED})`, () => {
  it('move slots round without a lost wake-up, a double free or a torn slot', async () => {
    const { reports, faults } = await stress({});
    expect(faults).toEqual([]);
    const dispatcher = reports.find(({ role }) => role === 'dispatcher')!;
    const shards = reports.filter(({ role }) => role === 'shard');
    expect(shards.reduce((sum, { slotsMoved }) => sum + slotsMoved, 0)).toBe(dispatcher.slotsMoved);
    // Each shard wakes once more, because it is stopped.
    expect(shards.reduce((sum, { signals }) => sum + signals, 0)).toBe(dispatcher.signals + SHARD_COUNT);
    expect(dispatcher.trials).toBeGreaterThan(100);
  });
});

describe('what is broken on purpose is caught', () => {
  it.each<{ what: string; variant: Partial<StressTask>; fault: string }>([
    ...(['the tail is published after the sleep check', 'sleep is stored after the tail check'] as const).map(
      (mutation) => ({ what: mutation, variant: { mutation }, fault: 'lost wake-up' }),
    ),
    ...(
      [
        ['returns a slot twice', 'double free'],
        ['returns a slot before it is done with it', 'torn slot'],
      ] as const
    ).map(([misdeed, fault]) => ({ what: `a shard that ${misdeed}`, variant: { misdeed }, fault })),
  ])('$what', async ({ variant, fault }) => {
    const { faults } = await stress({ durationMs: 8000, watchdogMs: 500, ...variant });
    expect(faults).toContainEqual(expect.stringContaining(fault));
  });
});
