/** The store feed in every interleaving of a shard and the store thread, run by the real code: nothing is lost, nothing counts as
 *  committed that the store does not have, and nobody sleeps for good. */

import { describe, expect, it } from 'vitest';
import { type Ending, explore, type Machine, machine } from '../interleaving/explorer.ts';
import { FEED_MUTATIONS, type FeedModule, type FeedMutation, loadFeed } from './feed-source.ts';

const EVENT_FD = 0;
/** A futex wait whose word has been changed ends at once: like an eventfd, it does not miss a notification. */
const atomics = {
  ...machine.atomics,
  notify: () => machine.signal(EVENT_FD),
  wait: () => machine.wait(EVENT_FD),
};
const real = loadFeed(atomics);

const RING_WORDS = 4;
const AORS = ['a', 'b', 'c'];
const template = new Int32Array(real.createStoreFeed(1, RING_WORDS * 4));
const FIRST_RING_WORD = 128;
const STATE_WORD = 32;
const HEAD_WORD = FIRST_RING_WORD + 32;
/** Stands for the store: how many changes it has. */
const STORE_WORD = template.length;
/** The location table: the last change. */
const TABLE_WORD = template.length + 1;

/** Changes the table, tells of it, as long as there is room; notes what is committed that is not in the store. */
function shard(feed: FeedModule, aors: readonly string[], dropsInstead: boolean) {
  return ({ words, note }: Machine) => {
    const producer = new feed.FeedProducer(words, 0);
    for (const [i, aor] of aors.entries()) {
      if (!dropsInstead && !producer.hasRoom(aor.length)) {
        note('is turned away');
        continue;
      }
      machine.atomics.store(words, TABLE_WORD, i + 1);
      const change = producer.append(Buffer.from(aor), 0, aor.length);
      if (!dropsInstead && producer.isCommitted(change) && machine.atomics.load(words, STORE_WORD) < i + 1) {
        note('committed but not stored');
      }
      note(`tells ${aor}`);
    }
  };
}

function storeThread(feed: FeedModule) {
  return ({ words, note }: Machine) => {
    const consumer = new feed.FeedConsumer(words);
    const target = new Int32Array(300);
    for (;;) {
      consumer.open(0);
      let isNew = false;
      for (let bytes = consumer.take(0, target, 0); bytes !== feed.NO_ENTRY; bytes = consumer.take(0, target, 0)) {
        isNew = true;
        note(`takes ${String.fromCharCode(target[0]!)}`);
      }
      if (isNew) {
        machine.atomics.store(words, STORE_WORD, machine.atomics.load(words, TABLE_WORD));
        consumer.commit(0);
      }
      if (consumer.takeLost()) {
        note('rewrites');
        machine.atomics.store(words, STORE_WORD, machine.atomics.load(words, TABLE_WORD));
      }
      if (!isNew && consumer.trySleep()) consumer.sleep(0);
    }
  };
}

function endingsOf(feed: FeedModule, aors: readonly string[], state: number): readonly Ending[] {
  const initial: Record<number, number> = { [STATE_WORD]: state, [FIRST_RING_WORD]: -2, [HEAD_WORD]: -2 };
  for (let word = 0; word < 3; word++) initial[word] = template[word]!;
  const dropsInstead = state === feed.STORE_STATE.FAILED;
  return explore(
    [
      { name: 'shard', run: shard(feed, aors, dropsInstead) },
      { name: 'store', run: storeThread(feed) },
    ],
    { wordCount: template.length + 2, initial, skipsUnshared: true },
  ).endings;
}

/** What is wrong with an ending, or null. */
function flawOf(ending: Ending): string | null {
  if (ending.fault !== null) return ending.fault;
  const told = ending.stories['shard']!.filter((line) => line.startsWith('tells')).map((line) => line.slice(6));
  const taken = ending.stories['store']!.filter((line) => line.startsWith('takes')).map((line) => line.slice(6));
  if (ending.waiting.join() !== 'store') return 'the shard hangs';
  if (ending.stories['shard']!.includes('committed but not stored')) return 'committed but not stored';
  if (ending.words[STORE_WORD] !== ending.words[TABLE_WORD])
    return 'the store thread sleeps, and changes are not stored';
  const isDropped = ending.stories['store']!.includes('rewrites');
  if (!isDropped && taken.join() !== told.join()) return 'entries lost, doubled or out of order';
  return null;
}

function flawsOf(endings: readonly Ending[]): string[] {
  const flaws = endings.map(flawOf);
  return [...new Set(flaws.filter((flaw) => flaw !== null))].sort();
}

const { RUNNING, FAILED } = real.STORE_STATE;

describe('a shard and the store thread', () => {
  it('lose nothing, and nobody sleeps for good, with room and without', () => {
    const endings = endingsOf(real, AORS, RUNNING);
    expect(flawsOf(endings)).toEqual([]);
    const stories = endings.map((ending) => ending.stories['shard']!.join());
    expect(stories).toContain('tells a,tells b,tells c');
    expect(stories).toContain('tells a,tells b,is turned away');
  });

  it('see to it that what was dropped is written with the whole table', () => {
    const endings = endingsOf(real, AORS, FAILED);
    expect(flawsOf(endings)).toEqual([]);
    expect(endings.some(({ stories }) => stories['store']!.includes('rewrites'))).toBe(true);
  });
});

describe('a protocol broken on purpose is caught', () => {
  const ASLEEP = 'the store thread sleeps, and changes are not stored';
  const cases: Record<FeedMutation, { readonly flaw: string | RegExp; readonly state?: number }> = {
    'the producer wakes before it publishes': { flaw: ASLEEP },
    'sleep is stored after the look': { flaw: ASLEEP },
    'the consumer sleeps on after it saw something': { flaw: ASLEEP },
    'the tail is a plain store': { flaw: /data race/ },
    'the head is a plain store': { flaw: /data race/ },
    'the length is written after the tail': { flaw: /data race/ },
    'room is not looked for': { flaw: /data race|no such AoR/, state: FAILED },
    'lost is not looked at before a sleep': { flaw: ASLEEP, state: FAILED },
  };

  it.each(Object.keys(FEED_MUTATIONS) as FeedMutation[])('%s', (mutation) => {
    const { flaw, state = RUNNING } = cases[mutation];
    const flaws = flawsOf(endingsOf(loadFeed(atomics, mutation), AORS, state));
    expect(flaws).toContainEqual(typeof flaw === 'string' ? flaw : expect.stringMatching(flaw));
  });
});
