/** The location table's protocol (src/location) in every interleaving of a few threads, run by the real code on cut-down
 *  sizes: insert, replace, remove, look up and expire, and deaths at every step. What is broken on purpose is caught. */

import { describe, expect, it } from 'vitest';
import { type Ending, explore, type Machine, machine, type Thread } from './explorer.ts';
import { type LocationModules, type LocationMutation, loadLocation } from './location-source.ts';

/** A case is walked in a second or two, but on a machine that has other things to do. */
/** Two AoRs of one hash, so of one path, and one of another home (where there are two buckets). */
const X = 0x58;
const Y = 0x59;
const HASH = 5;
const AOR_BYTES = 4;

const DEATH_FD = 0;

interface Shape {
  readonly threadCount: number;
  readonly lines: number;
  /** Of these, how many each thread has in its own free list at the start, so that threads meet in the entries alone. */
  readonly ownLines?: number;
  readonly buckets?: number;
}

function mapOf(modules: LocationModules, { threadCount, lines, buckets = 1 }: Shape) {
  const threads = modules.TABLE_WORDS;
  const bucketsAt = threads + threadCount * modules.THREAD_WORDS;
  const firstLine = (bucketsAt >> 3) + buckets;
  const endLine = firstLine + lines;
  return {
    capacity: 100,
    threadCount,
    recordBytes: 64,
    spareBytes: 0,
    bucketCount: buckets,
    threads,
    buckets: bucketsAt,
    firstLine,
    endLine,
    wordCount: endLine * 8,
  };
}

/** What a thread does: the loop of a writer or reader over the real classes, with records of one value. */
class Actor {
  readonly #modules: LocationModules;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #note: (line: string) => void;
  readonly epochs;
  readonly memory;
  readonly entries;
  readonly #aor = new Int32Array(1);

  constructor(modules: LocationModules, shape: Shape, thread: number, words: unknown, note: (line: string) => void) {
    const map = mapOf(modules, shape);
    this.#modules = modules;
    this.#words = words as Int32Array<SharedArrayBuffer>;
    this.#note = note;
    this.epochs = new modules.Epochs(this.#words, map, thread);
    this.memory = new modules.RecordMemory(this.#words, map, thread, this.epochs);
    this.entries = new modules.Entries(this.#words, map, thread, this.memory, this.#aor);
    this.epochs.quiesce();
  }

  valueOf(line: number): number {
    return this.#words[line * 8 + this.#modules.RECORD.EXPIRES_SEC_WORD]!;
  }

  /** Puts a record with this value in place of the current one; 0 removes the AoR. */
  put(aor: number, value: number): void {
    const words = this.#words;
    const { RECORD, BUILD, SWAP } = this.#modules;
    let saw = 0;
    this.#aor[0] = aor;
    const outcome = this.entries.swap(HASH, AOR_BYTES, (current) => {
      saw = current === 0 ? 0 : this.valueOf(current);
      if (value === 0) return 0;
      const line = this.memory.take(1);
      if (line === 0) return BUILD.FULL;
      words[line * 8 + RECORD.HASH_WORD] = HASH;
      words[line * 8 + RECORD.COUNTS_WORD] = AOR_BYTES;
      words[line * 8 + RECORD.AOR_WORD] = aor;
      words[line * 8 + RECORD.EXPIRES_SEC_WORD] = value;
      return line;
    });
    this.#note(outcome === SWAP.DONE ? `${aor}: ${saw} → ${value}` : `${aor}: full`);
  }

  /** Reads the value only after it has held the record for a while. */
  read(aor: number): void {
    this.#aor[0] = aor;
    const line = this.entries.find(HASH, AOR_BYTES);
    this.#note(`${aor}: reads ${line === 0 ? 0 : this.valueOf(line)}`);
  }

  /** As the sweep: removes what has this value, found by walking through the table. */
  expire(value: number, buckets = 1, entries = 2): void {
    for (let bucket = 0; bucket < buckets; bucket++) {
      for (let index = 0; index < entries; index++) {
        const line = this.entries.recordAt(bucket, index);
        if (line === 0 || this.valueOf(line) !== value) continue;
        const aor = this.#words[line * 8 + this.#modules.RECORD.AOR_WORD]!;
        if (this.entries.exchange(this.entries.entryAt(bucket, index), line, 0)) this.#note(`${aor}: ${value} → 0`);
      }
    }
  }

  quiesce(): void {
    this.epochs.quiesce();
    this.memory.reclaim(9);
  }
}

type Act = (actor: Actor) => void;

const real = loadLocation(Atomics, true);

/** The words of a table after `prepare`, run by thread 0 alone. */
function prepared(shape: Shape, prepare: Act): Int32Array<SharedArrayBuffer> {
  const map = mapOf(real, shape);
  const words = new Int32Array(new SharedArrayBuffer(map.wordCount * 4));
  words[real.TABLE.EPOCH_WORD] = real.FIRST_EPOCH;
  words[real.TABLE.UNUSED_WORD] = map.firstLine;
  const actors = Array.from(
    { length: shape.threadCount },
    (_, thread) => new Actor(real, shape, thread, words, () => {}),
  );
  for (const { memory } of actors) {
    const taken = Array.from({ length: shape.ownLines ?? 0 }, () => memory.take(1));
    for (const line of taken) memory.retire(line);
  }
  const settle = () => {
    for (let round = 0; round < 4; round++) for (const actor of actors) actor.quiesce();
  };
  settle();
  prepare(actors[0]!);
  settle();
  for (const { epochs } of actors) epochs.rest();
  return words;
}

interface Case {
  readonly shape: Shape;
  readonly prepare?: Act;
  readonly acts: readonly Act[];
  /** The first of them may die at any step, and the last one buries it, then does its act. */
  readonly dies?: boolean;
  /** Its act comes before the burial. */
  readonly isBuriedLast?: boolean;
}

function run(
  { shape, prepare = () => {}, acts, dies = false, isBuriedLast = false }: Case,
  mutation: LocationMutation | null = null,
  isEnough: (ending: Ending) => boolean = () => false,
) {
  const modules = loadLocation(machine.atomics, true, mutation);
  const threads = acts.map((act, thread): Thread => {
    const isSupervisor = dies && thread === acts.length - 1;
    const start = (m: Machine) => {
      if (isSupervisor) m.wait(DEATH_FD);
      const actor = new Actor(modules, shape, thread, m.words, m.note);
      if (isBuriedLast) act(actor);
      if (isSupervisor) {
        actor.entries.finish(0);
        actor.memory.adopt(0);
        actor.epochs.endOf(0);
      }
      if (!isBuriedLast) act(actor);
    };
    return { name: `${thread}`, run: start, ...(dies && thread === 0 ? { deathEventFd: DEATH_FD } : {}) };
  });
  const initial = { ...prepared(shape, prepare) } as Record<number, number>;
  return explore(threads, { wordCount: mapOf(real, shape).wordCount, initial, isEnough, skipsUnshared: true });
}

/** Values of an AoR in the table at the end, and what became of every block. */
function inspect(shape: Shape, ending: Ending) {
  const words = new Int32Array(new SharedArrayBuffer(ending.words.length * 4));
  words.set(ending.words);
  const map = mapOf(real, shape);
  const members: string[] = [];
  const lines = new Set<number>();
  const actor = new Actor(real, shape, shape.threadCount - 1, words, () => {});
  let unsettled = 0;
  for (let bucket = 0; bucket < map.bucketCount; bucket++) {
    for (let index = 0; index < 2; index++) {
      const reference = words[actor.entries.entryAt(bucket, index) + 1]!;
      const line = actor.entries.recordAt(bucket, index);
      if (line !== 0) {
        members.push(`${words[line * 8 + real.RECORD.AOR_WORD]}: ${actor.valueOf(line)}`);
        lines.add(line);
      } else if (reference !== 0) unsettled++;
    }
  }
  const { limbo, free } = actor.memory.census();
  const cut = words[real.TABLE.UNUSED_WORD]! - map.firstLine;
  return {
    members: members.sort(),
    unsettled,
    lost: cut - lines.size - limbo.size - free.size,
    count: words[real.TABLE.COUNT_WORD]!,
  };
}

/** What is wrong with an ending, whatever the threads did; null: nothing. */
function flawOf(shape: Shape, ending: Ending, initial: readonly string[] = []): string | null {
  if (ending.fault !== null) return ending.fault;
  const { members, unsettled, lost, count } = inspect(shape, ending);
  const isDead = ending.dead.length > 0;
  if (ending.waiting.length > (isDead ? 0 : 1)) return 'somebody waits';
  if (new Set(members.map((member) => member.split(':')[0])).size < members.length) return 'an AoR is there twice';
  if (unsettled > 0) return 'an entry is left half-way';
  if (lost > (isDead ? 1 : 0) || lost < 0) return `${lost} blocks are lost`;
  if (Math.abs(count - members.length) > (isDead ? 1 : 0)) return `the count is wrong`;
  return isDead ? null : brokenChain(members, ending, initial);
}

/** Every value that was written must have been put in place of another, each of which was replaced once at most. */
function brokenChain(members: readonly string[], ending: Ending, initial: readonly string[]): string | null {
  const writes = Object.values(ending.stories)
    .flat()
    .flatMap((line) => /^(\d+): (\d+) → (\d+)$/.exec(line) ?? [])
    .filter((_, i) => i % 4 !== 0);
  const live = new Map<string, number>();
  const add = (key: string, change: number) => live.set(key, (live.get(key) ?? 0) + change);
  for (const member of initial) add(member, 1);
  for (let i = 0; i < writes.length; i += 3) {
    if (writes[i + 1] !== '0') add(`${writes[i]}: ${writes[i + 1]}`, -1);
    if (writes[i + 2] !== '0') add(`${writes[i]}: ${writes[i + 2]}`, 1);
  }
  const expected = [...live].flatMap(([member, count]) =>
    count === 0 ? [] : [count === 1 ? member : `${count} × ${member}`],
  );
  return expected.sort().join() === members.join() ? null : 'an update is lost';
}

function flawsOf(test: Case, initial: readonly string[] = [], mutation: LocationMutation | null = null): string[] {
  const { endings } = run(test, mutation);
  return [...new Set(endings.map((ending) => flawOf(test.shape, ending, initial) ?? ''))].filter((flaw) => flaw !== '');
}

/** The stories of all threads in order, and what is in the table at the end. */
function outcomesOf(test: Case): string[] {
  const { endings } = run(test);
  const outcomes = endings.map((ending) => {
    const stories = Object.values(ending.stories).map((story) => story.join(', ') || '–');
    return ending.fault ?? `${stories.join(' | ')} | ${inspect(test.shape, ending).members.join(', ') || 'empty'}`;
  });
  return [...new Set(outcomes)].sort();
}

const TWO: Shape = { threadCount: 3, lines: 9, ownLines: 3 };
/** All blocks are cut from the rest. */
const UNCUT: Shape = { threadCount: 2, lines: 6 };

describe('two threads and one AoR', () => {
  it('both put it in: one is first, the other replaces its record', () => {
    expect(outcomesOf({ shape: TWO, acts: [(a) => a.put(X, 1), (a) => a.put(X, 2)] })).toEqual(
      ['88: 0 → 1 | 88: 1 → 2 | 88: 2', '88: 2 → 1 | 88: 0 → 2 | 88: 1'].sort(),
    );
  });

  it('both replace its record: neither update is lost', () => {
    const prepare: Act = (a) => a.put(X, 9);
    expect(outcomesOf({ shape: UNCUT, prepare, acts: [(a) => a.put(X, 1), (a) => a.put(X, 2)] })).toEqual(
      ['88: 9 → 1 | 88: 1 → 2 | 88: 2', '88: 2 → 1 | 88: 9 → 2 | 88: 1'].sort(),
    );
  });

  it('one replaces, one removes', () => {
    const prepare: Act = (a) => a.put(X, 9);
    expect(outcomesOf({ shape: TWO, prepare, acts: [(a) => a.put(X, 1), (a) => a.put(X, 0)] })).toEqual(
      ['88: 9 → 1 | 88: 1 → 0 | empty', '88: 0 → 1 | 88: 9 → 0 | 88: 1'].sort(),
    );
  });

  it('one refreshes, one expires: a refreshed binding stays', () => {
    const prepare: Act = (a) => a.put(X, 9);
    expect(outcomesOf({ shape: TWO, prepare, acts: [(a) => a.put(X, 1), (a) => a.expire(9)] })).toEqual(
      [
        // The sweep was first, and the AoR comes in anew.
        '88: 0 → 1 | 88: 9 → 0 | 88: 1',
        // The refresh was first; the sweep found it, or lost its record to it.
        '88: 9 → 1 | – | 88: 1',
      ].sort(),
    );
  });

  it('one looks it up while the other replaces, removes and puts it in again: always a whole record, in order', () => {
    const prepare: Act = (a) => a.put(X, 9);
    const acts: Act[] = [
      (a) => {
        a.put(X, 1);
        a.put(X, 0);
        a.put(X, 2);
      },
      (a) => {
        a.read(X);
        a.read(X);
      },
    ];
    const outcomes = outcomesOf({ shape: TWO, prepare, acts });
    const reads = outcomes.map((outcome) => outcome.split(' | ')[1]!.replaceAll('88: reads ', ''));
    const order = ['9', '1', '0', '2'];
    const allowed = order.flatMap((first, i) => order.slice(i).map((second) => `${first}, ${second}`));
    expect([...new Set(reads)].sort()).toEqual(allowed.sort());
  });
});

/** The entry of Y comes free early or late, so the two who put in X may choose different entries. */
const MOVING: readonly (Case & { readonly name: string })[] = [
  {
    name: 'two threads',
    shape: { threadCount: 2, lines: 6, ownLines: 3 },
    prepare: (a) => a.put(Y, 9),
    acts: [
      (a) => {
        a.expire(9, 1, 1);
        a.put(X, 1);
      },
      (a) => a.put(X, 2),
    ],
  },
  // A quarter of a million states: `EXHAUSTIVE=1 npm test -- interleaving/location`.
  ...(process.env['EXHAUSTIVE'] === undefined
    ? []
    : [
        {
          name: 'three threads',
          shape: TWO,
          prepare: (a: Actor) => a.put(Y, 9),
          acts: [(a: Actor) => a.expire(9, 1, 1), (a: Actor) => a.put(X, 1), (a: Actor) => a.put(X, 2)],
        },
      ]),
];

/** The home of all is full, so that X goes to the bucket behind it. */
const OVERFLOWING: Case = {
  shape: { threadCount: 2, lines: 6, ownLines: 3, buckets: 2 },
  prepare: (a) => {
    a.put(Y, 9);
    a.put(0x5a, 8);
  },
  acts: [(a) => a.put(X, 1), (a) => a.put(X, 2)],
};

describe('two AoRs in one path', () => {
  it('are put in, removed and looked up beside each other', () => {
    const prepare: Act = (a) => a.put(Y, 9);
    const acts: Act[] = [
      (a) => {
        a.put(Y, 0);
        a.put(Y, 3);
      },
      (a) => {
        a.put(X, 1);
        a.read(X);
      },
    ];
    expect(flawsOf({ shape: TWO, prepare, acts }, ['89: 9'])).toEqual([]);
    expect(outcomesOf({ shape: TWO, prepare, acts })).toEqual([
      '89: 9 → 0, 89: 0 → 3 | 88: 0 → 1, 88: reads 1 | 88: 1, 89: 3',
    ]);
  });

  it.each(MOVING)(
    'one comes in twice while the other leaves the entry before ($name): it is never there twice',
    (test) => {
      expect(flawsOf(test, ['89: 9'])).toEqual([]);
    },
  );

  it('are found in a second bucket, by whoever comes after', () => {
    const acts: Act[] = [
      (a) => a.put(X, 1),
      (a) => {
        a.read(X);
        a.read(X);
      },
    ];
    expect(flawsOf({ ...OVERFLOWING, acts }, ['89: 9', '90: 8'])).toEqual([]);
    const reads = outcomesOf({ ...OVERFLOWING, acts }).map((outcome) => outcome.split(' | ')[1]);
    expect(reads).toEqual(['88: reads 0, 88: reads 0', '88: reads 0, 88: reads 1', '88: reads 1, 88: reads 1']);
  });
});

describe('epochs', () => {
  /** Three blocks for a record that is replaced again and again: each must be reused at once. */
  const SCARCE: Case = {
    shape: { threadCount: 2, lines: 3 },
    prepare: (a) => a.put(X, 9),
    acts: [
      (a) => {
        for (const value of [1, 2, 3, 4]) {
          a.put(X, value);
          a.quiesce();
        }
      },
      (a) => {
        a.read(X);
        a.quiesce();
        a.read(X);
      },
    ],
  };

  it('give a record to nobody else while a thread reads it', () => {
    const { endings } = run(SCARCE);
    expect([...new Set(endings.map((ending) => ending.fault))]).toEqual([null]);
    // The case is as scarce as it means to be: memory is reused in some endings, and lacking in others.
    expect(endings.some(({ stories }) => stories['0']!.every((line) => !line.includes('full')))).toBe(true);
    expect(endings.some(({ stories }) => stories['0']!.some((line) => line.includes('full')))).toBe(true);
  });

  it.each<LocationMutation>(['one epoch is enough', 'the epoch does not wait'])('but not so if %s', (mutation) => {
    expect(flawsOf(SCARCE, ['88: 9'], mutation)).toContainEqual(expect.stringContaining('data race'));
  });
});

describe('a writer that dies at any step', () => {
  const CASES: Record<string, Case & { readonly allowed: readonly string[] }> = {
    'of an insertion': {
      shape: TWO,
      dies: true,
      acts: [(a) => a.put(X, 1), () => {}],
      allowed: ['empty', '88: 1'],
    },
    'of a replacement, an epoch and another': {
      shape: { threadCount: 2, lines: 4 },
      dies: true,
      prepare: (a) => a.put(X, 9),
      acts: [
        (a) => {
          a.put(X, 1);
          a.quiesce();
          a.quiesce();
          a.put(X, 2);
          a.quiesce();
        },
        () => {},
      ],
      allowed: ['88: 9', '88: 1', '88: 2'],
    },
    'of a removal': {
      shape: TWO,
      dies: true,
      prepare: (a) => a.put(X, 9),
      acts: [(a) => a.put(X, 0), () => {}],
      allowed: ['88: 9', 'empty'],
    },
    'of an insertion, before another of the same AoR that comes before its burial': {
      shape: { threadCount: 2, lines: 6, ownLines: 3 },
      dies: true,
      isBuriedLast: true,
      acts: [(a) => a.put(X, 1), (a) => a.put(X, 2)],
      allowed: ['88: 2'],
    },
    ...(process.env['EXHAUSTIVE'] === undefined
      ? {}
      : {
          'of an insertion, beside another of the same AoR': {
            shape: TWO,
            dies: true,
            acts: [(a: Actor) => a.put(X, 1), (a: Actor) => a.put(X, 2), () => {}],
            allowed: ['88: 1', '88: 2'],
          },
        }),
  };

  it.each(Object.entries(CASES))('%s leaves the table whole and loses one block at most', (_, test) => {
    const { endings } = run(test);
    expect(
      [...new Set(endings.map((ending) => flawOf(test.shape, ending, [])))].filter(
        (f) => f !== null && f !== 'an update is lost',
      ),
    ).toEqual([]);
    const dead = endings.filter((ending) => ending.dead.length > 0);
    const members = dead.map((ending) => inspect(test.shape, ending).members.join(', ') || 'empty');
    expect([...new Set(members)].sort()).toEqual([...test.allowed].sort());
  });

  it('has its AoR put in again by its successor', () => {
    const test: Case = { shape: TWO, dies: true, acts: [(a) => a.put(X, 1), (a) => a.put(X, 3)] };
    for (const ending of run(test).endings.filter(({ dead }) => dead.length > 0)) {
      expect(ending.fault, ending.schedule).toBeNull();
      expect(inspect(TWO, ending).members).toEqual(['88: 3']);
    }
  });
});

describe('a protocol broken on purpose is caught', () => {
  const INSERTS = MOVING[0]!;
  const REPLACES: Case = { shape: TWO, prepare: (a) => a.put(X, 9), acts: [(a) => a.put(X, 1), (a) => a.put(X, 2)] };

  it.each<{ mutation: LocationMutation; test: Case; initial: string; flaw: string }>([
    { mutation: 'a new AoR is a member at once', test: INSERTS, initial: '89: 9', flaw: 'an AoR is there twice' },
    {
      mutation: 'an insertion does not look for members',
      test: INSERTS,
      initial: '89: 9',
      flaw: 'an AoR is there twice',
    },
    { mutation: 'tentative entries are not refused', test: INSERTS, initial: '89: 9', flaw: 'an AoR is there twice' },
    {
      mutation: 'the record is swapped in without a comparison',
      test: REPLACES,
      initial: '88: 9',
      // Two threads retire the same record.
      flaw: 'data race',
    },
    { mutation: 'an entry is claimed without a comparison', test: INSERTS, initial: '89: 9', flaw: 'blocks are lost' },
    {
      mutation: 'the reach is raised after the entry is used',
      test: OVERFLOWING,
      initial: '89: 9',
      flaw: 'an AoR is there twice',
    },
    { mutation: 'the reference is a plain store', test: INSERTS, initial: '89: 9', flaw: 'data race' },
  ])('$mutation', ({ mutation, test, initial, flaw }) => {
    const isCaught = (ending: Ending) => flawOf(test.shape, ending, [initial])?.includes(flaw) ?? false;
    expect(run(test, mutation, isCaught).endings.some(isCaught)).toBe(true);
  });
});
