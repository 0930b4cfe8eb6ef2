/** Whether two results may be set beside each other at all, and what makes that doubtful. Cold. */

import type { BenchResult, LoadDescription, Machine } from '../result.ts';

/** Two results of which a comparison would say nothing. */
export class IncomparableError extends Error {
  override name = 'IncomparableError';
}

/** What must be the same, as words and values. */
const LOAD_OF_ONE_KIND: readonly (readonly [
  words: string,
  value: (load: LoadDescription) => string | number | null,
])[] = [
  ['scenario', ({ scenario }) => scenario],
  ['transport', ({ transport }) => transport],
  ['load generator', ({ generator }) => generator],
  ['rate (exchanges/s; none: as many as come back)', ({ ratePerSec }) => ratePerSec],
];

const LOAD_OF_ONE_SIZE: typeof LOAD_OF_ONE_KIND = [
  ['exchanges in flight', ({ window }) => window],
  ['processes of the load generator', ({ connections }) => connections],
  ['users', ({ users }) => users],
  ['duration (ms)', ({ durationMs }) => durationMs],
  ['amount', ({ amount }) => amount],
];

const MACHINE: readonly (readonly [words: string, value: (machine: Machine) => string | number | null])[] = [
  ['CPU', ({ cpu }) => cpu],
  ['number of cores', ({ cores }) => cores],
  ['kernel', ({ kernel }) => kernel],
  ['Node.js', ({ node }) => node],
  ['flags of Node.js', ({ nodeFlags }) => nodeFlags.join(' ') || null],
  ['SIPp', ({ sippVersion }) => sippVersion],
];

/** Sentences: what differs besides what is to be compared. Throws IncomparableError where nothing can be learned. */
export function doubtsOfComparing(before: BenchResult, after: BenchResult): readonly string[] {
  for (const [words, value] of LOAD_OF_ONE_KIND) {
    const [a, b] = [value(before.load), value(after.load)];
    if (a !== b) throw new IncomparableError(`another ${words}: ${textOf(a)} before, ${textOf(b)} after`);
  }
  const differences = [
    ...MACHINE.map(([words, value]) => difference(words, value(before.machine), value(after.machine))),
    ...LOAD_OF_ONE_SIZE.map(([words, value]) => difference(words, value(before.load), value(after.load))),
  ];
  return [
    ...differences.filter((sentence) => sentence !== null),
    ...before.warnings.map((warning) => `Before: ${warning}`),
    ...after.warnings.map((warning) => `After: ${warning}`),
  ];
}

function difference(words: string, before: string | number | null, after: string | number | null): string | null {
  return before === after ? null : `Not the same ${words}: ${textOf(before)} before, ${textOf(after)} after.`;
}

function textOf(value: string | number | null): string {
  return value === null ? 'none' : String(value);
}
