/** A shard's thread loads what it serves with and nothing else: a server is up when its last shard has loaded its modules, and a
 *  crashed shard is back when its successor has. */

import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './source-files.ts';

/** Imports of values; those of types are gone when the module is loaded. What is imported when it is asked for does not count. */
const VALUE_IMPORT = /^(?:import|export)\s+(?!type\b)(?:[^;'"]*?\bfrom\s*)?'([^']+)'/gm;

/** The schema takes a tenth of a second to load with its library; shards get a configuration that is valid. */
const KEPT_OUT = ['zod', 'src/config/schema.ts'];

type ReadModule = (path: string) => string;

/** Ways from a module to one that is kept out, as `a.ts > b.ts > zod`; at most one for each. */
function waysTo(keptOut: readonly string[], entry: string, read: ReadModule): string[] {
  const ways: string[] = [];
  const seen = new Set<string>();
  const follow = (path: string, way: readonly string[]) => {
    if (seen.has(path)) return;
    seen.add(path);
    if (keptOut.includes(path)) ways.push([...way, path].join(' > '));
    if (!path.startsWith('src/')) return; // a package
    for (const [, target = ''] of read(path).matchAll(VALUE_IMPORT)) {
      follow(target.startsWith('.') ? posix.join(posix.dirname(path), target) : target, [...way, path]);
    }
  };
  follow(entry, []);
  return ways;
}

describe('the start of a shard', () => {
  const read: ReadModule = (path) => (path.endsWith('.ts') ? readFileSync(join(root, path), 'utf8') : '');

  it.each(['src/runtime/shard.ts', 'src/runtime/dispatcher.ts', 'src/runtime/streams/stream-thread.ts'])(
    '%s loads no schema',
    (entry) => {
      expect(waysTo(KEPT_OUT, entry, read)).toEqual([]);
    },
  );

  it('finds what it looks for', () => {
    expect(waysTo(KEPT_OUT, 'src/runtime/supervisor.ts', read), 'the main thread reads configurations').not.toEqual([]);
    const modules: Record<string, string> = {
      'src/a.ts': "import type { Config } from './config/schema.ts';\nimport {\n  b,\n} from './b/b.ts';",
      'src/b/b.ts': "export { c } from '../c.ts';\nimport './d.ts';",
      'src/c.ts': "import { z } from 'zod';\nimport { b } from './b/b.ts';",
      'src/b/d.ts': "const late = await import('zod');",
    };
    const waysFrom = (entry: string) => waysTo(['zod', 'src/config/schema.ts'], entry, (path) => modules[path]!);
    expect(waysFrom('src/a.ts')).toEqual(['src/a.ts > src/b/b.ts > src/c.ts > zod']);
    expect(waysFrom('src/b/d.ts')).toEqual([]);
  });
});
