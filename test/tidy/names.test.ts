/** Names and shapes of modules: kebab-case nouns, named exports, no drawers for odds and ends. */

import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lineOf, readSourceFiles, type SourceFile } from './source-files.ts';

const FORBIDDEN_WORDS = /(?:^|[-_./])(?:utils?|helpers?|commons?|managers?|controllers?|misc|impl)(?:[-_./]|$)/i;
const FORBIDDEN_FILES = new Set(['index.ts', 'types.ts']);
const FORBIDDEN_CLASS = /\b(?:class|interface)\s+(I[A-Z]\w*|\w*(?:Manager|Controller|Helper|Util|Impl))\b/g;
const KEBAB_CASE = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test|\.bench)?\.ts$/;
const DEFAULT_EXPORT = /^\s*export\s+default\b|\bas\s+default\b/gm;

/** Tools that want a default export of their configuration. */
const DEFAULT_EXPORT_ALLOWED = new Set(['vitest.config.ts']);

function findingsOfNames({ path, text }: SourceFile): string[] {
  const findings: string[] = [];
  const file = basename(path);
  if (FORBIDDEN_FILES.has(file)) findings.push(`${path}: no ${file}: import from the module that has the noun`);
  if (FORBIDDEN_WORDS.test(path)) findings.push(`${path}: the name says nothing; name it after its noun`);
  if (!KEBAB_CASE.test(file) && !DEFAULT_EXPORT_ALLOWED.has(path)) findings.push(`${path}: not kebab-case`);
  for (const match of text.matchAll(FORBIDDEN_CLASS)) {
    findings.push(`${path}:${lineOf(text, match.index)}: ${match[1]} hides its noun`);
  }
  if (!DEFAULT_EXPORT_ALLOWED.has(path)) {
    for (const match of text.matchAll(DEFAULT_EXPORT)) {
      findings.push(`${path}:${lineOf(text, match.index)}: default export`);
    }
  }
  return findings;
}

describe('names', () => {
  it('files are kebab-case nouns, exports have names', () => {
    const files = readSourceFiles('{src,test,perf,scripts}/**/*.ts', 'vitest.config.ts');
    // The samples of this file would be findings.
    expect(files.filter(({ path }) => path !== 'test/tidy/names.test.ts').flatMap(findingsOfNames)).toEqual([]);
  });

  it('finds what it looks for', () => {
    const count = (path: string, text = '') => findingsOfNames({ path, text }).length;
    expect(count('src/sip/message-index.ts', 'export class MessageIndex {}')).toBe(0);
    expect(count('src/sip/index.ts')).toBe(1);
    expect(count('src/sip/types.ts')).toBe(1);
    expect(count('src/sip/uri-utils.ts')).toBe(1);
    expect(count('src/common/uri.ts')).toBe(1);
    expect(count('src/sip/uncommon-header.ts')).toBe(0);
    expect(count('src/sip/messageIndex.ts')).toBe(1);
    expect(count('perf/micro/sip/scan.bench.ts')).toBe(0);
    expect(count('src/a/shard.ts', 'export default class Shard {}')).toBe(1);
    expect(count('src/a/shard.ts', 'class ShardManager {}')).toBe(1);
    expect(count('src/a/shard.ts', 'interface IShard {}')).toBe(1);
    expect(count('src/a/shard.ts', 'interface Ingress {} // exports default figures')).toBe(0);
    expect(count('vitest.config.ts', 'export default {}')).toBe(0);
  });
});
