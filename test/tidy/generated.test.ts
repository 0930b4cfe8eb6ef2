/** Generated files are as their generators would write them now. */

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { root } from './source-files.ts';

describe('generated files', () => {
  it('are fresh', () => {
    const check = spawnSync(process.execPath, ['scripts/generate.ts', '--check'], { cwd: root, encoding: 'utf8' });
    expect(check.stderr).toBe('');
    expect(check.status).toBe(0);
  });
});
