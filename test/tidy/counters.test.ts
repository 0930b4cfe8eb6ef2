/** Every counter is counted somewhere, and its name and help can be shown to an operator as they are. */

import { describe, expect, it } from 'vitest';
import { CLOSE_REASONS, COUNTER_NAMES, counterHelp, countingThreads } from '../../src/observe/counters.ts';
import { METHOD_NAMES } from '../../src/sip/methods.ts';
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

/** Groups are counted by their first and an offset; the offset is the position of the others behind it. */
const GROUPS: readonly { readonly first: string; readonly size: number }[] = [
  { first: 'other_requests_total', size: METHOD_NAMES.length },
  { first: 'responses_1xx_total', size: 6 },
  // By name: `stream_closed_${reason}_total`.
  { first: 'stream_closed_peer_total', size: CLOSE_REASONS.length },
];

function groupOf({ first, size }: (typeof GROUPS)[number]): readonly string[] {
  const at = (COUNTER_NAMES as readonly string[]).indexOf(first);
  return COUNTER_NAMES.slice(at, at + size);
}

const MAIN = /^src\/runtime\/(?:main|supervisor|live\/live-view)\.ts$/;
const INTAKE = new Set([
  'src/runtime/intake.ts',
  'src/runtime/dispatcher.ts',
  'src/runtime/overload/kernel-shedding.ts',
]);
/** What shard.ts counts as the one that has the intake. */
const OF_THE_INTAKE = new Set(['naps_total']);

/** By the file that counts. */
function threadsByFile(name: string, files: readonly SourceFile[]): Set<string> {
  const isUsed = new RegExp(`\\bCOUNTER\\.${name}\\b`);
  // What is said or shown of a counter is no count.
  const isShown = ({ path }: SourceFile) =>
    /^src\/observe\/[^/]+$/.test(path) ||
    /^src\/runtime\/(?:server-metrics|live\/live-(?:frame|reading))\.ts$/.test(path);
  const counting = files.filter((file) => !isShown(file) && isUsed.test(file.text));
  return new Set(
    counting.map(({ path }) => {
      if (MAIN.test(path)) return 'main';
      if (path.startsWith('src/runtime/streams/')) return 'streams';
      return INTAKE.has(path) || OF_THE_INTAKE.has(name) ? 'intake' : 'shard';
    }),
  );
}

describe('counters', () => {
  it('are all counted somewhere in src', () => {
    const grouped = new Set(GROUPS.flatMap((group) => groupOf(group).slice(1)));
    const alone = COUNTER_NAMES.filter((name) => !grouped.has(name) && !name.startsWith('stream_closed_'));
    expect(unusedCounters(alone, readSourceFiles('src/**/*.ts'))).toEqual([]);
  });

  it('that are counted as a group stand together, in the order of what tells them apart', () => {
    const [methods, classes, reasons] = GROUPS.map(groupOf);
    const expected = METHOD_NAMES.map((name) => `${(name === '' ? 'other' : name).toLowerCase()}_requests_total`);
    expect(methods).toEqual(expected);
    expect(reasons).toEqual(CLOSE_REASONS.map((reason) => `stream_closed_${reason}_total`));
    expect(classes).toEqual([1, 2, 3, 4, 5, 6].map((digit) => `responses_${digit}xx_total`));
  });

  it('are counted by the threads that the registry names', () => {
    const files = readSourceFiles('src/**/*.ts');
    const grouped = new Set(GROUPS.flatMap((group) => groupOf(group).slice(1)));
    for (const name of COUNTER_NAMES.filter((each) => !grouped.has(each) && !each.startsWith('stream_closed_'))) {
      expect([...threadsByFile(name, files)].sort(), name).toEqual([...countingThreads(name)].sort());
    }
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
