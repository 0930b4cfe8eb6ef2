/** The used counts of nonces (src/auth/nonce-counts.ts) in every interleaving of a few threads, run by the real code on one entry
 *  that all share, deaths included. What is broken on purpose is caught. */

import { describe, expect, it } from 'vitest';
import { wordsOf } from '../../src/base/cache-lines.ts';
import { type Ending, explore, machine, type Thread } from '../interleaving/explorer.ts';
import { loadNonceCounts, type NonceModule, type NonceMutation } from './nonce-source.ts';

const NOW_MS = 1_764_000_000_000;
const DEATH_FD = 0;

/** The nonce that the thread itself made last. */
const OWN = 0;

/** What a thread does: `issue`, or the use of a count of a nonce by a transaction. */
type Step = 'issue' | readonly [generation: number, count: number, transaction: number];

interface Case {
  /** Nonces given out before. */
  readonly issued: number;
  /** What was used before. */
  readonly used?: readonly Step[];
  readonly threads: readonly (readonly Step[])[];
  readonly firstDies?: boolean;
}

function runSteps({ NonceCounts, USE }: NonceModule, steps: readonly Step[]): Thread['run'] {
  const names = Object.fromEntries(Object.entries(USE).map(([name, value]) => [value, name]));
  return ({ words, note }) => {
    const counts = new NonceCounts(words);
    for (const step of steps) {
      if (step === 'issue') counts.issue();
      else {
        const [generation, count, transaction] = [step[0] === OWN ? counts.generation : step[0], step[1], step[2]];
        note(`${generation}/${count} ${names[counts.use(0, generation, count, transaction, NOW_MS)]}`);
      }
    }
  };
}

function walk(
  { issued, used = [], threads, firstDies }: Case,
  mutation: NonceMutation | null = null,
): readonly Ending[] {
  const real = loadNonceCounts(Atomics);
  const table = wordsOf(real.createNonceTable(1));
  const counts = new real.NonceCounts(table);
  for (let i = 0; i < issued; i++) counts.issue();
  runSteps(real, used)({ ...machine, words: table, note: () => {} });
  const explored = loadNonceCounts(machine.atomics as unknown as typeof Atomics, mutation);
  const actors = threads.map((steps, thread) => ({
    name: `${thread}`,
    run: runSteps(explored, steps),
    ...(firstDies && thread === 0 ? { deathEventFd: DEATH_FD } : {}),
  }));
  const initial = { ...table } as Record<number, number>;
  return explore(actors, { wordCount: table.length, initial, skipsUnshared: true }).endings;
}

/** Every line of every story of an ending, sorted. */
function linesOf(ending: Ending): string[] {
  expect(ending.fault).toBeNull();
  return Object.values(ending.stories).flat().sort();
}

function outcomesOf(endings: readonly Ending[]): string[] {
  return [...new Set(endings.map((ending) => linesOf(ending).join(', ')))].sort();
}

/** Endings in which some count of some nonce was accepted twice. */
function replaysIn(endings: readonly Ending[]): number {
  const isReplay = (ending: Ending) => {
    const fresh = linesOf(ending).filter((line) => line.endsWith('FRESH'));
    return new Set(fresh).size < fresh.length;
  };
  return endings.filter(isReplay).length;
}

describe('one nonce', () => {
  it('gives a count to one of three threads', () => {
    const threads = [[[1, 3, 101]], [[1, 3, 102]], [[1, 3, 103]]] as const;
    expect(outcomesOf(walk({ issued: 1, threads }))).toEqual(['1/3 FRESH, 1/3 REPLAYED, 1/3 REPLAYED']);
  });

  it('gives counts of one word to all who ask', () => {
    const threads = [[[1, 1, 101]], [[1, 2, 102]], [[1, 3, 103]]] as const;
    expect(outcomesOf(walk({ issued: 1, threads }))).toEqual(['1/1 FRESH, 1/2 FRESH, 1/3 FRESH']);
  });

  it('knows a repetition on the same thread, whatever others try', () => {
    const threads = [
      [
        [1, 1, 101],
        [1, 1, 101],
      ],
      [[1, 1, 102]],
    ] as const;
    expect(outcomesOf(walk({ issued: 1, threads }))).toEqual([
      '1/1 FRESH, 1/1 REPEATED, 1/1 REPLAYED',
      '1/1 FRESH, 1/1 REPLAYED, 1/1 REPLAYED',
    ]);
  });

  it('stays whole where a thread dies', () => {
    const threads = [[[1, 1, 101]], [[1, 1, 102]], [[1, 2, 103]]] as const;
    const outcomes = outcomesOf(walk({ issued: 1, threads, firstDies: true }));
    for (const outcome of outcomes) {
      expect(outcome).toContain('1/2 FRESH');
      expect(outcome.split('1/1 FRESH').length).toBeLessThan(3);
    }
    // It died before it had the count, and when it had it and had told nobody.
    expect(outcomes).toContain('1/1 FRESH, 1/2 FRESH');
    expect(outcomes).toContain('1/1 REPLAYED, 1/2 FRESH');
  });
});

const TWO_NONCES: Case = {
  issued: 2,
  threads: [
    [
      [1, 1, 101],
      [1, 2, 104],
    ],
    [[2, 1, 102]],
    [
      [1, 1, 103],
      [2, 1, 105],
    ],
  ],
};

const OUTLIVED: Case = {
  issued: 1,
  threads: [[[1, 1, 101]], [[1, 1, 102]], ['issue', 'issue']],
};

const CLEARED_WHILE_TAKEN: Case = {
  issued: 2,
  used: [[1, 1, 100]],
  threads: [
    ['issue'],
    [
      [2, 1, 101],
      [2, 1, 102],
    ],
  ],
};

const LATE_CLEARING: Case = {
  issued: 1,
  threads: [['issue'], ['issue', [OWN, 1, 101], [OWN, 1, 102]]],
};

const STILL_GOOD: Case = {
  issued: 1,
  threads: [
    ['issue'],
    [
      [1, 1, 101],
      [1, 1, 102],
    ],
  ],
};

const CASES = { TWO_NONCES, OUTLIVED, CLEARED_WHILE_TAKEN, LATE_CLEARING, STILL_GOOD };

describe('nonces that share an entry', () => {
  it.each(Object.entries(CASES))('accept nothing twice: %s', (_name, one) => {
    const endings = walk(one);
    expect(endings.length).toBeGreaterThan(0);
    expect(replaysIn(endings)).toBe(0);
  });

  it('are stale once the later one is in use', () => {
    const outcomes = outcomesOf(walk(TWO_NONCES));
    expect(outcomes.some((outcome) => outcome.includes('1/2 STALE'))).toBe(true);
    expect(outcomes.every((outcome) => outcome.includes('2/1 FRESH'))).toBe(true);
  });
});

describe('a broken protocol is caught', () => {
  it.each([
    ['the bit is set without a comparison', TWO_NONCES],
    ['an earlier nonce takes the word of a later one', TWO_NONCES],
    ['nobody looks again after the bit is set', OUTLIVED],
    ['a word is cleared whatever became of it', CLEARED_WHILE_TAKEN],
    ['clearing compares with the generation that was given out', LATE_CLEARING],
    ['a used count is cleared before its nonce is outlived', STILL_GOOD],
  ] as const)('%s', (mutation, one) => {
    expect(replaysIn(walk(one, mutation))).toBeGreaterThan(0);
  });
});
