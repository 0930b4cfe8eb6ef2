/** The classes of src/location/store-feed.ts over other Atomics, and broken on purpose, as in interleaving/ring-source.ts. */

import { readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { assert } from '../../src/base/assert.ts';
import type * as storeFeed from '../../src/location/store-feed.ts';
import { withoutTypes } from '../interleaving/without-types.ts';

export type FeedModule = Pick<
  typeof storeFeed,
  'FeedProducer' | 'FeedConsumer' | 'createStoreFeed' | 'STORE_STATE' | 'NO_ENTRY'
>;

type Replacement = readonly [text: string, replacement: string];

const STORE_TAIL = 'Atomics.store(words, this.#tailWord, this.#tail);\n';
const STORE_SLEEP = 'Atomics.store(words, FEED.SLEEP_WORD, 1);';
const STORE_HEAD = 'Atomics.store(this.#words, headWord, this.#next[shard] );\n';

/** Ways to get it wrong, each as an edit of the source without its types. */
export const FEED_MUTATIONS = {
  'the producer wakes before it publishes': [[STORE_TAIL, `wake(words); ${STORE_TAIL} return this.#tail;\n`]],
  'sleep is stored after the look': [
    [STORE_SLEEP, ''],
    ['if (!this.#isAwaited()) return true;', `if (!this.#isAwaited()) { ${STORE_SLEEP} return true; }`],
  ],
  'the consumer sleeps on after it saw something': [
    ['return Atomics.exchange(words, FEED.SLEEP_WORD, 0) === 0;', 'return true;'],
  ],
  'the tail is a plain store': [[STORE_TAIL, 'words[this.#tailWord] = this.#tail;\n']],
  'the head is a plain store': [[STORE_HEAD, 'this.#words[headWord] = this.#next[shard];\n']],
  'the length is written after the tail': [
    ['words[entries + (position++ & mask)] = aorBytes;', 'const late = position++ & mask;'],
    [STORE_TAIL, `${STORE_TAIL} words[entries + late] = aorBytes;\n`],
  ],
  'room is not looked for': [['if (!this.#isFree(count)) {', 'if (false) {']],
  'lost is not looked at before a sleep': [['if (Atomics.load(words, ring + RING.LOST_WORD) !== 0) return true;', '']],
} as const satisfies Record<string, readonly Replacement[]>;

export type FeedMutation = keyof typeof FEED_MUTATIONS;

const SOURCE = new URL('../../src/location/store-feed.ts', import.meta.url);
/** Small enough that a ring wraps within three entries. */
const SMALL: readonly Replacement[] = [['const MIN_RING_BYTES = 4 * 1024;', 'const MIN_RING_BYTES = 4;']];

export function loadFeed(atomics: object, mutation: FeedMutation | null = null): FeedModule {
  let text = withoutTypes(readFileSync(SOURCE, 'utf8')).replaceAll(/ +$/gm, '');
  for (const [from, to] of [...SMALL, ...(mutation === null ? [] : FEED_MUTATIONS[mutation])]) {
    assert(text.split(from).length === 2, `store-feed.ts no longer has exactly one "${from}"`);
    text = text.replace(from, () => to);
  }
  const code = text.replaceAll(/^import .*$/gm, '').replaceAll(/^export /gm, '');
  const names = 'FeedProducer, FeedConsumer, createStoreFeed, STORE_STATE, NO_ENTRY';
  const make = compileFunction(`${code}\nreturn { ${names} };`, ['Atomics', 'assert', 'MAX_AOR_BYTES']);
  return make(atomics, assert, 1023) as FeedModule;
}
