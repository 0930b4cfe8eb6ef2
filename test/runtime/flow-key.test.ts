/** The key of flow tokens: the same for every process that has the directory. */

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { flowKeyIn } from '../../src/runtime/flow-key.ts';

const root = mkdtempSync(join(tmpdir(), 'strowger-flow-key-'));
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the key of flow tokens', () => {
  it('is made once for a directory, which need not be there, and read from then on', () => {
    const directory = join(root, 'state', 'location-5060');
    const key = flowKeyIn(directory);
    expect(key).toHaveLength(4);
    expect(flowKeyIn(directory)).toEqual(key);
    expect(flowKeyIn(join(root, 'other'))).not.toEqual(key);
  });

  it('is for nobody else to read', () => {
    flowKeyIn(root);
    expect(statSync(join(root, 'flow-key')).mode & 0o777).toBe(0o600);
  });

  it('is made anew where the file is damaged', () => {
    const key = flowKeyIn(root);
    writeFileSync(join(root, 'flow-key'), 'short');
    const other = flowKeyIn(root);
    expect(other).not.toEqual(key);
    expect(flowKeyIn(root)).toEqual(other);
  });

  it('is of one process alone without a directory', () => {
    expect(flowKeyIn(null)).not.toEqual(flowKeyIn(null));
  });

  it('says so if it cannot be kept', () => {
    flowKeyIn(root);
    expect(() => flowKeyIn(join(root, 'flow-key', 'below'))).toThrow('ENOTDIR');
  });
});
