/** Global setup: what tests and the servers they start leave in the folder for temporary files is gone with the run. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default function setUp(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-tests-'));
  // Of the processes that run tests, which start after this.
  process.env.TMPDIR = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
