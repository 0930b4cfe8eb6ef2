/** A writer that dies before any of its atomic steps, on a table of full size: what others find then. The interleavings of
 *  such deaths with other threads are walked in test/interleaving/location.test.ts. */

import { afterEach, describe, expect, it } from 'vitest';
import { type Binding, LocationWorld, lostLines } from './location-world.ts';

const ALICE = 'sip:alice@example.com';
const PHONE: Binding = { contact: 'sip:alice@192.0.2.7', expiresMs: 60_000, cseq: 1 };
const LAPTOP: Binding = { contact: 'sip:alice@192.0.2.8:5062', expiresMs: 90_000, path: 'p'.repeat(200), cseq: 2 };
/** The blocks of PHONE and of both take so many lines at the most. */
const MAX_LINES = 8;

const atomics = globalThis.Atomics;

/** From now on the step after the next `count` throws, and none before. */
function dieAfter(count: number): void {
  let left = count;
  const dying = Object.create(null) as Record<string, unknown>;
  for (const name of ['load', 'store', 'exchange', 'compareExchange', 'add', 'sub'] as const) {
    dying[name] = (words: Int32Array, word: number, ...values: [number, number]) => {
      if (left-- === 0) throw new Error('planted');
      return (atomics[name] as (...all: unknown[]) => number)(words, word, ...values);
    };
  }
  globalThis.Atomics = dying as unknown as typeof Atomics;
}

afterEach(() => {
  globalThis.Atomics = atomics;
});

interface Life {
  readonly name: string;
  readonly before: readonly Binding[];
  readonly act: (world: LocationWorld) => void;
  readonly after: readonly Binding[];
}

const LIVES: readonly Life[] = [
  { name: 'an insertion', before: [], act: (world) => void world.set(ALICE, [PHONE]), after: [PHONE] },
  {
    name: 'a replacement',
    before: [PHONE],
    act: (world) => void world.change(ALICE, (current) => [...current, LAPTOP]),
    after: [PHONE, LAPTOP],
  },
  { name: 'a removal', before: [PHONE], act: (world) => void world.set(ALICE, []), after: [] },
  {
    name: 'an expiry',
    before: [PHONE, LAPTOP],
    act: (world) => void world.tables[0]!.sweep(60_000, 99),
    after: [LAPTOP],
  },
  {
    name: 'a quiescent point that frees records',
    before: [PHONE],
    act: (world) => {
      world.tables[1]!.quiesce();
      world.tables[0]!.quiesce();
    },
    after: [PHONE],
  },
];

describe('a writer that dies before any step', () => {
  it.each(LIVES)(
    'of $name leaves the old bindings or the new ones, and loses one record at most',
    ({ before, act, after }) => {
      let died = true;
      let steps = 0;
      for (; died; steps++) {
        const world = new LocationWorld({ capacity: 8 });
        // Something in the free lists and in limbo.
        for (let i = 0; i < 4; i++) {
          world.set('sip:other@b', [{ ...PHONE, expiresMs: 99_000 }]);
          world.tables[0]!.quiesce();
          world.tables[1]!.quiesce();
        }
        world.set(ALICE, before);
        const known = lostLines(world.tables[1]!);
        expect(known).toBe(0);
        dieAfter(steps);
        died = false;
        try {
          act(world);
        } catch (error) {
          if ((error as Error).message !== 'planted') throw error;
          died = true;
        } finally {
          globalThis.Atomics = atomics;
        }

        const survivor = world.tables[1]!;
        expect([before, after]).toContainEqual(world.get(ALICE, 1));
        survivor.bury(0);
        expect([before, after]).toContainEqual(world.get(ALICE, 1));
        expect(lostLines(survivor)).toBeLessThanOrEqual(died ? MAX_LINES : 0);
        expect(Math.abs(survivor.count() - world.aors().length)).toBeLessThanOrEqual(died ? 1 : 0);

        // Life goes on, in the memory that is left.
        for (let i = 0; i < 40; i++) {
          expect(world.set(ALICE, [{ ...LAPTOP, cseq: i + 1 }], 1)).toBe(0);
          survivor.quiesce();
        }
        expect(world.get(ALICE, 1)).toEqual([{ ...LAPTOP, cseq: 40 }]);
        expect(world.aors()).toEqual([ALICE, 'sip:other@b']);
      }
      expect(steps).toBeGreaterThan(5);
    },
  );
});
