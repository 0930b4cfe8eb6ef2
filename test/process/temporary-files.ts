/** Global setup: what tests and the servers they start leave in the folder for temporary files is gone with the run. */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let folder = '';

/** Called by vitest before the processes that run tests, which inherit the variable. */
export function setup(): void {
  folder = mkdtempSync(join(tmpdir(), 'strowger-tests-'));
  // A database is another user's process.
  chmodSync(folder, 0o755);
  process.env.TMPDIR = folder;
}

/** Called by vitest at the end. */
export function teardown(): void {
  rmSync(folder, { recursive: true, force: true });
}
