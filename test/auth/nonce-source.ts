/** The class of src/auth/nonce-counts.ts, made from its source text as in test/interleaving/ring-source.ts: over other Atomics,
 *  with the figures cut down so that every interleaving of a few threads can be walked, or broken on purpose. */

import { readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import type * as nonceCounts from '../../src/auth/nonce-counts.ts';
import { assert } from '../../src/base/assert.ts';
import { allocateLines, wordsOf } from '../../src/base/cache-lines.ts';
import { withoutTypes } from '../interleaving/without-types.ts';

export type NonceModule = Pick<typeof nonceCounts, 'NonceCounts' | 'USE' | 'createNonceTable'>;

type Replacement = readonly [text: string, replacement: string];

/** Entries with three words of used counts; a nonce is outlived by the second that follows in its entry. */
const SMALL: readonly Replacement[] = [
  ['const ENTRY_SHIFT = 4;', 'const ENTRY_SHIFT = 3;'],
  ['const MAX_LAG = 2 ** 14;', 'const MAX_LAG = 1;'],
  ['const CLEARING_PERIOD = 2 ** 10;', 'const CLEARING_PERIOD = 1;'],
];

const SET_BIT = 'if (Atomics.compareExchange(words, word, found, next) === found) break;';
const LOOK_AGAIN = '    if (this.#isOutlived(entry, generation)) return USE.STALE;\n    // A retransmission';

/** Ways to get the protocol wrong, each as an edit of the source. */
const NONCE_MUTATIONS = {
  'the bit is set without a comparison': [[SET_BIT, 'Atomics.store(words, word, next); break;']],
  'an earlier nonce takes the word of a later one': [['if (!isFree && ahead > 0) return USE.STALE;', '']],
  'nobody looks again after the bit is set': [[LOOK_AGAIN, '    // A retransmission']],
  'a word is cleared whatever became of it': [
    ['Atomics.compareExchange(words, word, found, 0);', 'Atomics.store(words, word, 0);'],
  ],
  'clearing compares with the generation that was given out': [
    ['const generation = Atomics.load(words, entry + ENTRY.GENERATION_WORD);', 'const generation = this.generation;'],
    ['>> 16 <= MAX_LAG', '>>> 16 <= MAX_LAG'],
  ],
  'a used count is cleared before its nonce is outlived': [['>> 16 <= MAX_LAG', '>> 16 < MAX_LAG']],
} as const satisfies Record<string, readonly Replacement[]>;

export type NonceMutation = keyof typeof NONCE_MUTATIONS;

const SOURCE = new URL('../../src/auth/nonce-counts.ts', import.meta.url);

/** The module over the given Atomics, cut down. */
export function loadNonceCounts(atomics: Partial<typeof Atomics>, mutation: NonceMutation | null = null): NonceModule {
  let text = readFileSync(SOURCE, 'utf8');
  for (const [from, to] of [...SMALL, ...(mutation === null ? [] : NONCE_MUTATIONS[mutation])]) {
    assert(text.split(from).length === 2, `nonce-counts.ts no longer has exactly one "${from}"`);
    text = text.replace(from, () => to);
  }
  const code = withoutTypes(text)
    .replaceAll(/^import .*$/gm, '')
    .replaceAll(/^export /gm, '');
  const make = compileFunction(`${code}\nreturn { NonceCounts, USE, createNonceTable };`, [
    'Atomics',
    'assert',
    'randomBytes',
    'allocateLines',
    'wordsOf',
  ]);
  return make(atomics, assert, Buffer.alloc, allocateLines, wordsOf) as NonceModule;
}
