/** The classes of src/location that share memory, made from their source text as in ring-source.ts: over other Atomics, with
 *  the sizes cut down so that every interleaving of a few threads can be walked, or broken on purpose. */

import { readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { assert } from '../../src/base/assert.ts';
import type * as entries from '../../src/location/entries.ts';
import type * as epochs from '../../src/location/epochs.ts';
import type * as recordMemory from '../../src/location/record-memory.ts';
import type * as tableLayout from '../../src/location/table-layout.ts';
import { withoutTypes } from './without-types.ts';

export type LocationModules = Pick<typeof entries, 'Entries' | 'SWAP' | 'BUILD'> &
  Pick<typeof epochs, 'Epochs'> &
  Pick<typeof recordMemory, 'RecordMemory'> &
  Pick<
    typeof tableLayout,
    'TABLE' | 'TABLE_WORDS' | 'THREAD' | 'THREAD_WORDS' | 'RECORD' | 'STATE_BITS' | 'FIRST_EPOCH'
  >;

type Replacement = readonly [text: string, replacement: string];

/** Lines of 8 words with buckets of two entries, and one size of block. */
const SMALL: readonly Replacement[] = [
  ['const LINE_SHIFT = 4;', 'const LINE_SHIFT = 3;'],
  ['const PADDING_WORDS = 32;', 'const PADDING_WORDS = 8;'],
  ['const BUCKET_ENTRIES = 7;', 'const BUCKET_ENTRIES = 2;'],
  ['...[1, 2, 3, 4],', '...[1],'],
  ['[1, 2, 4, 8, 16, 32, 64, 128]', '[]'],
];

/** Ways to get the protocol wrong, each as an edit of the source. */
const LOCATION_MUTATIONS = {
  'one epoch is enough': [['>= 2 * EPOCH_STEP', '>= EPOCH_STEP']],
  'the epoch does not wait': [['if (announced !== now && announced !== RESTING) return now;', '']],
  'a new AoR is a member at once': [
    ['this.#decide(entry, tentative);\n    // Nobody', '// Nobody'],
    ['(line << STATE_BITS) | STATE.TENTATIVE;', '(line << STATE_BITS) | STATE.MEMBER;'],
  ],
  'an insertion does not look for members': [
    ['if ((reference & STATE_MASK) === STATE.MEMBER) {\n            Atomics', 'if (false) {\n            Atomics'],
    [
      'if (reference <= FREE_ENTRY || (reference & STATE_MASK) === STATE.REFUSED) break;',
      'if (reference <= FREE_ENTRY || (reference & STATE_MASK) !== STATE.TENTATIVE) break;',
    ],
  ],
  'tentative entries are not refused': [
    [
      'if (reference <= FREE_ENTRY || (reference & STATE_MASK) === STATE.REFUSED) break;',
      'if (reference <= FREE_ENTRY || (reference & STATE_MASK) !== STATE.MEMBER) break;',
    ],
  ],
  'the record is swapped in without a comparison': [
    [
      'Atomics.compareExchange(this.#words, entry + 1, expected, next << STATE_BITS) !== expected',
      'Atomics.exchange(this.#words, entry + 1, next << STATE_BITS) === FREE_ENTRY',
    ],
  ],
  'an entry is claimed without a comparison': [
    [
      'if (Atomics.compareExchange(words, entry + 1, FREE_ENTRY, ownedBy(this.#thread)) === FREE_ENTRY) return entry;',
      'Atomics.store(words, entry + 1, ownedBy(this.#thread)); return entry;',
    ],
  ],
  'the reference is a plain store': [['Atomics.store(words, entry + 1, tentative);', 'words[entry + 1] = tentative;']],
  'the reach is raised after the entry is used': [
    ['this.#reachOut(home, distance);', ''],
    [
      'words[entryWord] = NO_ENTRY;\n    return isRefused',
      'this.#reachOut(this.#homeOf(hash), 1); words[entryWord] = NO_ENTRY;\n    return isRefused',
    ],
  ],
} as const satisfies Record<string, readonly Replacement[]>;

export type LocationMutation = keyof typeof LOCATION_MUTATIONS;

const FILES = ['table-layout', 'epochs', 'record-memory', 'entries'];

/** The modules over the given Atomics. `isSmall`: with the sizes cut down. */
export function loadLocation(
  atomics: Partial<typeof Atomics>,
  isSmall: boolean,
  mutation: LocationMutation | null = null,
): LocationModules {
  let text = FILES.map((file) => readFileSync(new URL(`../../src/location/${file}.ts`, import.meta.url), 'utf8')).join(
    '\n',
  );
  const replacements = [...(isSmall ? SMALL : []), ...(mutation === null ? [] : LOCATION_MUTATIONS[mutation])];
  for (const [from, to] of replacements) {
    assert(text.split(from).length === 2, `src/location no longer has exactly one "${from}"`);
    text = text.replace(from, () => to);
  }
  const code = withoutTypes(text)
    .replaceAll(/^import [^;]*;$/gm, '')
    .replaceAll(/^export /gm, '')
    .replaceAll(/^const (RESTING|NO_ENTRY|AOR_LENGTH_MASK|SIZE_MASK|OWNER_SHIFT) /gm, 'var $1 ');
  const names = [
    'Entries',
    'SWAP',
    'BUILD',
    'Epochs',
    'RecordMemory',
    'TABLE',
    'TABLE_WORDS',
    'THREAD',
    'THREAD_WORDS',
  ];
  const make = compileFunction(`${code}\nreturn { ${[...names, 'RECORD', 'STATE_BITS', 'FIRST_EPOCH'].join(', ')} };`, [
    'Atomics',
    'assert',
  ]);
  return make(atomics, assert) as LocationModules;
}
