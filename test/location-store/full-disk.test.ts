import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { STORE_STATE } from '../../src/location/store-feed.ts';
import { makeDirectory, restore } from './store-world.ts';

/** In the shell's blocks, of 512 or 1024 bytes. */
const MAX_FILE_BLOCKS = 1000;

it('a store that cannot grow: the server goes on from memory and says so, and what was stored is there', async () => {
  const { path, remove } = makeDirectory();
  const script = fileURLToPath(new URL('./full-disk.ts', import.meta.url));
  const command = `ulimit -f ${MAX_FILE_BLOCKS}; exec "$0" "$@"`;
  const { stdout, stderr } = spawnSync('sh', ['-c', command, process.execPath, script, path], { encoding: 'utf8' });
  expect(stdout, stderr).toMatch(/^\{/);
  const { isServing, events, aors } = JSON.parse(stdout);
  expect(isServing).toBe(true);
  expect(aors).toBeGreaterThan(100);
  expect(events[0]).toMatch(/^error: the location store in .+ fails: .+; registrations are kept in memory only$/);

  const world = await restore(path);
  expect(world.store.state).toBe(STORE_STATE.RUNNING);
  expect(world.events).toEqual([]);
  expect(world.store.report).toMatchObject({ lost: 0 });
  expect(world.store.report.loaded).toBeGreaterThan(50);
  remove();
});
