/** What was acknowledged outlives a `kill -9` of the whole process at any moment, and an exit that closes nothing. `SEED` replays
 *  the moments of a run. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Binding } from '../location/location-world.ts';
import { aorOf, bindingsAfter } from './killed-server.ts';
import { makeDirectory, restore, type StoreWorld } from './store-world.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const LIVES = 4;
const MAX_LIFE_MS = 400;
/** More than what can be on its way to the store when a server ends. */
const MAX_UNSAID = 5_000;
const MIN_COMMITTED = 100;

type End = 'kill -9' | 'exit';

/** Runs a server until its end. Returns the changes that it said are committed. */
async function lifeOf(directory: string, first: number, lifeMs: number, end: End): Promise<number[]> {
  const script = fileURLToPath(new URL('./killed-server.ts', import.meta.url));
  const options = [script, directory, String(first), ...(end === 'exit' ? [String(lifeMs)] : [])];
  const server = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => server.once('exit', (code, signal) => resolve(signal ?? code)));
  let said = '';
  for await (const chunk of server.stdout.setEncoding('utf8')) {
    if (said === '' && end === 'kill -9') setTimeout(() => server.kill('SIGKILL'), lifeMs);
    said += chunk;
  }
  expect(await ended).toBe(end === 'exit' ? 0 : 'SIGKILL');
  const lines = said.split('\n').slice(0, -1);
  expect(lines[0]).toMatch(/^loaded \d+ lost 0$/);
  return lines.slice(1).map(Number);
}

/** What is wrong with an AoR, after `committed` was said to be the last of its changes: it must be as that left it or a later one
 *  before `limit` did, of which the server had no time to tell. */
function flawOf(world: StoreWorld, aor: string, committed: number, limit: number): string | null {
  const found = JSON.stringify(world.table.get(aor));
  for (let change = committed; change < limit; change++) {
    if (aorOf(change) === aor && JSON.stringify(bindingsAfter(change).map(fieldsOf)) === found) return null;
  }
  return `${aor}: change ${committed} was committed, and there is ${found}`;
}

/** In the order in which a test reads them. */
function fieldsOf({ contact, expiresMs, q, callId, cseq }: Binding) {
  return { contact, expiresMs, q, callId, cseq };
}

it.each<End>(['kill -9', 'exit'])(
  `every change that was acknowledged is there after %s (SEED=${SEED})`,
  async (end) => {
    const { path, remove } = makeDirectory();
    const last = new Map<string, number>();
    let state = SEED;
    let next = 1;
    let count = 0;
    for (let life = 0; life < LIVES; life++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      const committed = await lifeOf(path, next, (state >>> 8) % MAX_LIFE_MS, end);
      for (const change of committed) last.set(aorOf(change), change);
      count += committed.length;
      next = (committed.at(-1) ?? next) + MAX_UNSAID;
      const world = await restore(path);
      expect(world.events).toEqual([]);
      const flaws = [...last].map(([aor, change]) => flawOf(world, aor, change, next));
      expect(flaws.filter((flaw) => flaw !== null)).toEqual([]);
    }
    expect(count).toBeGreaterThan(MIN_COMMITTED);
    remove();
  },
);
