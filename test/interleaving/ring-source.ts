/** The classes of src/memory/slot-ring.ts, made from its source text, so that a test can put another `Atomics` under
 *  them and can break them on purpose. A mutation whose text is not in the source is an error: the tests that show the
 *  others' teeth cannot fall behind the code unnoticed. */

import { readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { assert } from '../../src/base/assert.ts';
import { RING } from '../../src/memory/layout.ts';
import type * as slotRing from '../../src/memory/slot-ring.ts';
import { withoutTypes } from './without-types.ts';

export type RingClasses = Pick<typeof slotRing, 'RingProducer' | 'RingConsumer'>;

type Replacement = readonly [text: string, replacement: string];

const STORE_TAIL = 'Atomics.store(this.#words, this.#tailWord, this.#tail);';
const STORE_SLEEP = 'Atomics.store(this.#words, this.#sleepWord, 1);';
const TAKE_WAKE = 'Atomics.exchange(this.#words, this.#sleepWord, 0) === 1';
const PUBLISH_RESULT = `return Atomics.load(this.#words, this.#sleepWord) === 1 && ${TAKE_WAKE};`;
const TAIL_CHECK = 'if (((Atomics.load(this.#words, this.#tailWord) - this.#next) | 0) === 0) return true;';
const TAKE_BACK = 'return Atomics.exchange(this.#words, this.#sleepWord, 0) === 0;';
const WRITE_ENTRY = 'this.#words[this.#entriesWord + (this.#tail & this.#mask)] = value;';

/** Ways to get the protocol wrong, each as an edit of the source. */
export const MUTATIONS = {
  'the tail is published after the sleep check': [
    [STORE_TAIL, ''],
    [
      PUBLISH_RESULT,
      `const wakes = Atomics.load(this.#words, this.#sleepWord) === 1 && ${TAKE_WAKE};
       for (let spin = 0; spin < SPIN_COUNT; spin++);
       ${STORE_TAIL}
       return wakes;`,
    ],
  ],
  'sleep is stored after the tail check': [
    [STORE_SLEEP, ''],
    [
      TAIL_CHECK,
      `if (((Atomics.load(this.#words, this.#tailWord) - this.#next) | 0) === 0) {
         for (let spin = 0; spin < SPIN_COUNT; spin++);
         ${STORE_SLEEP}
         return true;
       }`,
    ],
  ],
  'the producer does not take the wake': [[PUBLISH_RESULT, 'return Atomics.load(this.#words, this.#sleepWord) === 1;']],
  'the producer takes the wake without an exchange': [
    [
      PUBLISH_RESULT,
      `if (Atomics.load(this.#words, this.#sleepWord) !== 1) return false;
       Atomics.store(this.#words, this.#sleepWord, 0);
       return true;`,
    ],
  ],
  'the consumer takes its sleep back without an exchange': [
    [TAKE_BACK, 'Atomics.store(this.#words, this.#sleepWord, 0); return false;'],
  ],
  'the consumer sleeps on after it saw something': [[TAKE_BACK, 'return true;']],
  'the tail is a plain store': [[STORE_TAIL, 'this.#words[this.#tailWord] = this.#tail;']],
  'the entry is written after the tail': [
    [WRITE_ENTRY, 'this.late = [this.#entriesWord + (this.#tail & this.#mask), value];'],
    [STORE_TAIL, `${STORE_TAIL} this.#words[this.late[0]] = this.late[1];`],
  ],
  'a successor does not publish where it starts': [
    ['if (start !== undefined) Atomics.store(words, this.#headWord, start);', ''],
  ],
} as const satisfies Record<string, readonly Replacement[]>;

export type Mutation = keyof typeof MUTATIONS;

const SOURCE = new URL('../../src/memory/slot-ring.ts', import.meta.url);

/** The ring's classes over the given Atomics; `spinCount` widens the gap that an order mutation opens. */
export function loadRing(
  atomics: Partial<typeof Atomics>,
  mutation: Mutation | null = null,
  spinCount = 0,
): RingClasses {
  let text = readFileSync(SOURCE, 'utf8');
  for (const [from, to] of mutation === null ? [] : MUTATIONS[mutation]) {
    assert(text.split(from).length === 2, `slot-ring.ts no longer has exactly one "${from}"`);
    text = text.replace(from, () => to);
  }
  const code = withoutTypes(text)
    .replaceAll(/^import .*$/gm, '')
    .replaceAll(/^export /gm, '');
  const make = compileFunction(`${code}\nreturn { RingProducer, RingConsumer };`, [
    'Atomics',
    'assert',
    'RING',
    'SPIN_COUNT',
  ]);
  return make(atomics, assert, RING, spinCount) as RingClasses;
}
