/** A file imports only from its own floor or a lower one, and the lower floors keep away from what they must not know. */

import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lineOf, readSourceFiles, type SourceFile } from './source-files.ts';

/** From the ground up; the same list stands in src/README.md. */
const FLOORS = [
  'base',
  'memory',
  'sip',
  'observe',
  'config',
  'transaction',
  'location',
  'auth',
  'roles',
  'runtime',
  'cli',
];

/** Floors that run under a fake clock and an array for a network: they know neither Node nor any npm package. */
const PURE_FLOORS = new Set(['base', 'memory', 'sip', 'transaction', 'roles']);

/** Where the command may look outside of src: the benchmark is one of its commands, and its files are no part of a server. */
const BENCHMARK = 'perf/bench/';

/** What a pure floor would read the world by, if it could. */
const WORLD =
  /\b(?:Date\.now|performance\.now|process\.|setTimeout|setInterval|setImmediate|Math\.random|console\.|new Date\(\))/g;

const IMPORT = /^\s*(?:import|export)\b[^;'"]*?\bfrom\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm;
const MODULE_URL = /new URL\(\s*'([^']+\.(?:ts|js|mjs))'\s*,\s*import\.meta\.url/g;

function findingsOfFloors({ path, text }: SourceFile): string[] {
  const findings: string[] = [];
  const floor = floorOf(path);
  if (FLOORS.indexOf(floor) < 0) return [`${path}: src/${floor} is not a floor; the floors are ${FLOORS.join(', ')}`];
  const report = (index: number, what: string) => findings.push(`${path}:${lineOf(text, index)}: ${what}`);

  for (const match of [...text.matchAll(IMPORT), ...text.matchAll(MODULE_URL)]) {
    const target = match[1] ?? match[2] ?? match[3] ?? '';
    if (!target.startsWith('.')) {
      if (PURE_FLOORS.has(floor)) report(match.index, `${floor} must not import ${target}`);
      continue;
    }
    const resolved = posix.join(posix.dirname(path), target);
    if (!resolved.startsWith('src/')) {
      if (floor !== 'cli' || !resolved.startsWith(BENCHMARK)) {
        report(match.index, `imports ${resolved}, which is outside src`);
      }
    } else if (FLOORS.indexOf(floorOf(resolved)) > FLOORS.indexOf(floor)) {
      report(match.index, `${floor} must not import from the higher floor ${floorOf(resolved)} (${target})`);
    }
    if (!/\.(?:ts|js|mjs|json|node)$/.test(target)) report(match.index, `'${target}' lacks its extension`);
  }
  if (PURE_FLOORS.has(floor)) {
    for (const match of withoutComments(text).matchAll(WORLD)) report(match.index, `${floor} must not use ${match[0]}`);
  }
  return findings;
}

function floorOf(path: string): string {
  return path.split('/')[1] ?? '';
}

/** Blanks comments, so that positions stay. Good enough for code in our own style: `//` inside a string ends it early. */
function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, ' ');
  return text.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/(?<![:'"`])\/\/.*$/gm, blank);
}

describe('floors', () => {
  it('imports go to the same floor or down', () => {
    expect(readSourceFiles('src/**/*.ts').flatMap(findingsOfFloors)).toEqual([]);
  });

  it('finds what it looks for', () => {
    const findings = (path: string, text: string) => findingsOfFloors({ path, text });
    expect(findings('src/sip/uri.ts', "import { assert } from '../base/assert.ts';")).toEqual([]);
    expect(findings('src/sip/uri.ts', "import {\n  log,\n} from '../observe/log.ts';")).toEqual([
      'src/sip/uri.ts:1: sip must not import from the higher floor observe (../observe/log.ts)',
    ]);
    expect(findings('src/roles/proxy/stateless.ts', "export { shard } from '../../runtime/shard.ts';")).toHaveLength(1);
    expect(findings('src/runtime/main.ts', "new URL('../cli/x.ts', import.meta.url)")).toHaveLength(1);
    expect(findings('src/base/clock.ts', "const early = 1;\nimport fs from 'node:fs';")).toEqual([
      'src/base/clock.ts:2: base must not import node:fs',
    ]);
    expect(findings('src/runtime/main.ts', "import { Piscina } from 'piscina';")).toEqual([]);
    expect(findings('src/runtime/main.ts', "import './shard';")).toEqual([
      "src/runtime/main.ts:1: './shard' lacks its extension",
    ]);
    expect(findings('src/config/load.ts', "import { x } from '../../scripts/y.ts';")).toHaveLength(1);
    expect(findings('src/cli/bench.ts', "import { x } from '../../perf/bench/command.ts';")).toEqual([]);
    expect(findings('src/cli/bench.ts', "import { x } from '../../perf/load/load.ts';")).toHaveLength(1);
    expect(findings('src/runtime/main.ts', "import { x } from '../../perf/bench/command.ts';")).toHaveLength(1);
    expect(findings('src/utils/x.ts', '')).toHaveLength(1);
    expect(findings('src/sip/branch.ts', '// Date.now() is not for us\nreturn Date.now();')).toEqual([
      'src/sip/branch.ts:2: sip must not use Date.now',
    ]);
    expect(findings('src/runtime/shard.ts', 'return Date.now();')).toEqual([]);
  });
});
