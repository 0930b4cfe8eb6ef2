/** The ring's sleep and wake-up (src/memory/slot-ring.ts) in every interleaving of its two threads, run by the real
 *  code: which outcomes are allowed, and that a protocol broken on purpose does not get through. */

import { describe, expect, it } from 'vitest';
import { RING } from '../../src/memory/layout.ts';
import { type Ending, type Exploration, explore, type Machine, machine } from './explorer.ts';
import { loadRing, type Mutation, type RingClasses } from './ring-source.ts';

const CAPACITY = 4;
const EVENT_FD = 0;

/** Offers each batch and publishes it, as the dispatcher does after a recvmmsg. */
function producer({ RingProducer }: RingClasses, batches: readonly (readonly number[])[]) {
  return ({ words, signal, note }: Machine) => {
    const ring = new RingProducer(words, 0, CAPACITY);
    for (const batch of batches) {
      for (const value of batch) ring.offer(value);
      if (!ring.publish()) continue;
      note('signal');
      signal(EVENT_FD);
    }
  };
}

/** Drains, tries to sleep, and waits for the eventfd, for ever: the shard's `onWake` (DESIGN.md). */
function consumer({ RingConsumer }: RingClasses) {
  return ({ words, wait, note }: Machine) => {
    const ring = new RingConsumer(words, 0, CAPACITY);
    for (;;) {
      for (let count = ring.poll(); count > 0; count = ring.poll()) {
        for (; count > 0; count--) note(`takes ${ring.take()}`);
        ring.release();
      }
      if (!ring.trySleep()) {
        note('stays awake');
        continue;
      }
      note('sleeps');
      wait(EVENT_FD);
      note('wakes');
    }
  };
}

function exploreRing(ring: RingClasses, batches: readonly (readonly number[])[], startAt = 0): Exploration {
  return explore(
    [
      { name: 'producer', run: producer(ring, batches) },
      { name: 'consumer', run: consumer(ring) },
    ],
    {
      wordCount: RING.ENTRIES_WORD + CAPACITY,
      initial: { [RING.TAIL_WORD]: startAt, [RING.HEAD_WORD]: startAt },
      invariant: oneSignalPerSleep,
    },
  );
}

/** A signal that is not read yet belongs to a sleep whose wake the producer took: never two, none while sleep is set. */
function oneSignalPerSleep(words: readonly number[], readable: readonly number[]): string | null {
  if (readable[EVENT_FD]! > 1) return 'two signals for one sleep';
  if (readable[EVENT_FD] === 1 && words[RING.SLEEP_WORD] === 1) return 'a signal that no sleep called for';
  return null;
}

function takenIn(ending: Ending): number[] {
  return ending.stories['consumer']!.filter((line) => line.startsWith('takes')).map((line) => Number(line.slice(6)));
}

/** What is wrong with an ending, or null: what must hold for any number of batches. */
function flawOf(ending: Ending, batches: readonly (readonly number[])[]): string | null {
  if (ending.fault !== null) return ending.fault;
  const offered = batches.flat();
  const taken = takenIn(ending);
  if (ending.waiting.join() !== 'consumer') return 'the producer hangs';
  if (taken.length < offered.length) return 'lost wake-up: the consumer sleeps and entries are left';
  if (taken.join() !== offered.join()) return 'entries lost, doubled or out of order';
  if (ending.words[RING.SLEEP_WORD] !== 1) return 'asleep without saying so';
  if (ending.words[RING.HEAD_WORD] !== ending.words[RING.TAIL_WORD]) return 'entries taken but not released';
  if (ending.readable[EVENT_FD] !== 0) return 'a signal nobody read';
  return null;
}

function flawsOf(ring: RingClasses, batches: readonly (readonly number[])[], startAt = 0): string[] {
  const flaws = exploreRing(ring, batches, startAt).endings.map((ending) => flawOf(ending, batches));
  return [...new Set(flaws.filter((flaw) => flaw !== null))].sort();
}

const real = loadRing(machine.atomics);

describe('one publish against one consumer that drains and sleeps', () => {
  const ALLOWED = {
    'takes 7, sleeps': 'The entry was there at the first look; the consumer sleeps after it, nobody signals.',
    'takes 7, sleeps, wakes, sleeps':
      'The consumer took the entry and slept before the producer looked at sleep: one signal, for nothing, does no harm.',
    'stays awake, takes 7, sleeps':
      'The entry came between the look and the tail check: the consumer takes its sleep back, nobody signals.',
    'stays awake, takes 7, sleeps, wakes, sleeps':
      'The same, and the second sleep was set when the producer came to look: one signal, for nothing.',
    'sleeps, wakes, takes 7, sleeps':
      'The consumer slept, or lost the exchange and waits: the producer owns the wake and its signal brings the consumer.',
  };

  it('has these outcomes and no others', () => {
    const { endings } = exploreRing(real, [[7]]);
    const outcomes = endings.map((ending) => flawOf(ending, [[7]]) ?? ending.stories['consumer']!.join(', '));
    expect([...new Set(outcomes)].sort()).toEqual(Object.keys(ALLOWED).sort());
  });

  it('signals exactly as often as the consumer wakes', () => {
    for (const ending of exploreRing(real, [[7]]).endings) {
      const wakes = ending.stories['consumer']!.filter((line) => line === 'wakes').length;
      expect(ending.signalled[EVENT_FD], ending.schedule).toBe(wakes);
    }
  });
});

describe('several publishes', () => {
  it.each([
    { batches: [[1], [2]] },
    { batches: [[1, 2], [3]] },
    { batches: [[1], [2, 3]] },
    { batches: [[1], [2], [3]] },
  ])('lose no wake-up and keep the order: $batches', ({ batches }) => {
    expect(flawsOf(real, batches)).toEqual([]);
  });

  it('do so while the sequence numbers pass 2³¹ and 2³²', () => {
    expect(flawsOf(real, [[1], [2]], 2 ** 31 - 1)).toEqual([]);
    expect(flawsOf(real, [[1], [2]], -1)).toEqual([]);
  });

  it('are walked in more than a handful of states', () => {
    expect(exploreRing(real, [[1], [2], [3]]).stateCount).toBeGreaterThan(5_000);
  });
});

describe('a producer that dies at any step, also between publish and signal', () => {
  const DEATH_FD = 1;

  /** Endings in which the consumer sleeps although something was published. */
  function stalls(successorSignals: boolean): Ending[] {
    const { endings } = explore(
      [
        { name: 'producer', run: producer(real, [[1], [2]]), deathEventFd: DEATH_FD },
        { name: 'consumer', run: consumer(real) },
        {
          name: 'successor',
          run: (m) => {
            m.wait(DEATH_FD);
            if (successorSignals) m.signal(EVENT_FD);
            producer(real, [[3]])(m);
          },
        },
      ],
      { wordCount: RING.ENTRIES_WORD + CAPACITY },
    );
    expect(endings.map(({ fault }) => fault).filter((fault) => fault !== null)).toEqual([]);
    return endings.filter(({ words }) => words[RING.HEAD_WORD] !== words[RING.TAIL_WORD]);
  }

  it('stalls nothing, as its successor signals every consumer once, unasked', () => {
    expect(stalls(true).map(({ schedule }) => schedule)).toEqual([]);
  });

  it('would stall the consumer for good if the successor did not', () => {
    expect(stalls(false).length).toBeGreaterThan(0);
  });
});

describe('a protocol broken on purpose is caught', () => {
  const LOST = 'lost wake-up: the consumer sleeps and entries are left';
  it.each<{ mutation: Mutation; flaw: string | RegExp }>([
    { mutation: 'the tail is published after the sleep check', flaw: LOST },
    { mutation: 'sleep is stored after the tail check', flaw: LOST },
    { mutation: 'the producer does not take the wake', flaw: /a signal that no sleep called for/ },
    { mutation: 'the producer takes the wake without an exchange', flaw: /a signal that no sleep called for/ },
    { mutation: 'the consumer takes its sleep back without an exchange', flaw: /a signal that no sleep called for/ },
    { mutation: 'the consumer sleeps on after it saw something', flaw: LOST },
    { mutation: 'the tail is a plain store', flaw: /data race on word 0/ },
    { mutation: 'the entry is written after the tail', flaw: /data race on word 64/ },
  ])('$mutation', ({ mutation, flaw }) => {
    const flaws = flawsOf(loadRing(machine.atomics, mutation), [[1], [2]]);
    expect(flaws).toContainEqual(typeof flaw === 'string' ? flaw : expect.stringMatching(flaw));
  });
});
