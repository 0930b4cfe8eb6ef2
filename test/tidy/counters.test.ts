/** Every counter is counted somewhere, and its name and help can be shown to an operator as they are. */

import { describe, expect, it } from 'vitest';
import { COUNTER_NAMES, counterHelp } from '../../src/observe/counters.ts';
import { readSourceFiles, type SourceFile } from './source-files.ts';

/** Prometheus: snake_case, base units; these only ever grow, so `_total`. */
const NAME = /^[a-z][a-z0-9]*(?:_[a-z0-9]+)*_total$/;

function unusedCounters(names: readonly string[], files: readonly SourceFile[]): string[] {
  const used = new Set<string>();
  for (const { text } of files) {
    for (const match of text.matchAll(/\bCOUNTER\.(\w+)/g)) used.add(match[1]!);
  }
  return names.filter((name) => !used.has(name));
}

describe('counters', () => {
  it('are all counted somewhere in src', () => {
    expect(unusedCounters(COUNTER_NAMES, readSourceFiles('src/**/*.ts'))).toEqual([]);
  });

  it('are named and explained', () => {
    for (const name of COUNTER_NAMES) {
      expect(name).toMatch(NAME);
      expect(counterHelp(name), name).toMatch(/^(?:[A-Z0-9].*|(?:recv|send)mmsg .*)[^.]$/);
    }
  });

  it('finds what it looks for', () => {
    const files = [{ path: 'src/a.ts', text: 'counters.count(COUNTER.naps_total);' }];
    expect(unusedCounters(['naps_total', 'loops_total'], files)).toEqual(['loops_total']);
  });
});
