/** What a thread had goes back to the system with it, and what it does not touch takes no memory, for the thousandth as for the first:
 *  a shard that takes the place of a dead one costs what that did. */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const PATIENCE_MS = 120_000;
/** A thread has 64 MiB of tables, of which it touches one. The code of several threads may stay. */
const LEEWAY_KIB = 32 * 1024;
const main = fileURLToPath(new URL('./large-blocks-main.ts', import.meta.url));

it('the tables of a thread are in memory where they are touched, and gone with it', { timeout: PATIENCE_MS }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const [first, ...later] = JSON.parse(stdout) as number[];
  expect(later).toHaveLength(5);
  for (const reading of later) expect(reading - first!).toBeLessThan(LEEWAY_KIB);
});
