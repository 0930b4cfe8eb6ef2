/** Walks through every interleaving of a few threads over shared words, one shared access at a time.
 *
 *  The threads are ordinary synchronous functions that call the real code; no model of it is kept in step by hand. A
 *  thread's state is the list of results its accesses returned so far. To move it on by one access, its function is run
 *  again from the start and fed that list; the first access beyond the list is carried out on the shared words, and the
 *  run is cut off at the one after it. States that were seen before are not walked again, so small cases end.
 *
 *  Only sequentially consistent executions are walked. That is all there is, on weakly ordered CPUs too, as long as no
 *  two accesses race (ECMA-262, memory model: a data-race-free program has only sequentially consistent executions).
 *  So the explorer also keeps a vector clock per thread and takes a race on a plainly accessed word for a fault. An
 *  eventfd orders nothing in this bookkeeping, although it does in the kernel: the rings must be right without it. */

type Words = Int32Array<SharedArrayBuffer>;

/** What a thread under exploration may touch besides its own locals. */
export interface Machine {
  /** Plain reads and writes of shared words. */
  readonly words: Words;
  /** Stands in for the global of this name. */
  readonly atomics: Pick<typeof Atomics, 'load' | 'store' | 'exchange' | 'compareExchange' | 'add' | 'sub'>;
  /** Makes an eventfd readable. */
  signal(eventFd: number): void;
  /** Blocks until the eventfd is readable, and reads it empty. */
  wait(eventFd: number): void;
  /** Leaves a line in the thread's story, for the test to judge. Not a shared access. */
  note(line: string): void;
}

export interface Thread {
  readonly name: string;
  readonly run: (machine: Machine) => void;
  /** If given, the thread may die before any of its accesses; the death makes this eventfd readable. Whoever waits for
   *  it comes after everything the dead thread did, as a supervisor does after a worker's exit. */
  readonly deathEventFd?: number;
}

export interface World {
  readonly wordCount: number;
  readonly initial?: Readonly<Record<number, number>>;
  /** Must hold after every single access; returns what is wrong, or null. */
  readonly invariant?: (words: readonly number[], readable: readonly number[]) => string | null;
  /** Ends the walk early, at the first ending for which it returns true. */
  readonly isEnough?: (ending: Ending) => boolean;
  /** Does not interleave accesses to words that one thread alone accesses, or that nobody writes: their order makes no
   *  difference to anyone. For larger cases; the endings are the same. */
  readonly skipsUnshared?: boolean;
}

/** A state in which no thread can move any more, or in which something went wrong. */
export interface Ending {
  /** What went wrong: a thrown assertion, a race, a broken invariant; null: all threads are done, dead or waiting. */
  readonly fault: string | null;
  readonly stories: Readonly<Record<string, readonly string[]>>;
  /** Names of the threads that wait for an eventfd. */
  readonly waiting: readonly string[];
  readonly dead: readonly string[];
  readonly words: readonly number[];
  /** How often each eventfd was signalled (deaths included), and how much of that was not read. */
  readonly signalled: readonly number[];
  readonly readable: readonly number[];
  /** The accesses that led here, in order. */
  readonly schedule: string;
}

export interface Exploration {
  readonly endings: readonly Ending[];
  readonly stateCount: number;
}

const MAX_STATES = 400_000;
const MAX_ACCESSES = 500;
const EVENT_FDS = 4;

const RUNNING = 0;
const DONE = 1;
const DEAD = 2;

/** Also an atomic access of an unshared word, where those are skipped. */
const PLAIN = -1;
const ATOMIC = -2;
const NO_WORD = -1;

/** Who accesses each word, as far as the walk has come. Where it learns that a word is shared after it took it for unshared,
 *  it begins again. That it would have missed such an access cannot be: up to the first one, all it left out is accesses in
 *  another order that made no difference. */
class Sharing {
  readonly #accesses = new Map<number, { thread: number; isWritten: boolean }>();

  /** Notes an access; throws RESTART if the word is shared from now on. */
  note(word: number, thread: number, isWrite: boolean): void {
    const before = this.#accesses.get(word);
    const wasShared = before !== undefined && before.thread === MANY && before.isWritten;
    const isForeign = before !== undefined && before.thread !== thread;
    const now = { thread: isForeign ? MANY : thread, isWritten: isWrite || (before?.isWritten ?? false) };
    this.#accesses.set(word, now);
    if (!wasShared && now.thread === MANY && now.isWritten) throw RESTART;
  }

  /** Words that were accessed so far. */
  get touched(): Iterable<number> {
    return this.#accesses.keys();
  }

  isShared(word: number): boolean {
    const access = this.#accesses.get(word);
    return access !== undefined && access.thread === MANY && access.isWritten;
  }
}

const MANY = -1;
const RESTART = Symbol('restart');

interface ThreadState {
  readonly status: number;
  /** What the last run was cut off at: PLAIN, ATOMIC, or the eventfd it is about to wait for. */
  readonly next: number;
  readonly results: readonly number[];
  readonly clock: readonly number[];
  /** The story of a thread that is dead or done: all that tells two of its endings apart. */
  readonly epitaph: string;
  /** Its part of the key of a state, kept because states have most of their parts in common. */
  readonly key: string;
}

interface WordState {
  /** What a load of this word learns of each thread's progress. */
  readonly released: readonly number[] | null;
  /** The last plain write: who and when. */
  readonly writer: number;
  readonly writtenAt: number;
  /** Each thread's last plain read. */
  readonly readAt: readonly number[] | null;
  /** The word was accessed by Atomics; then it never is plainly, and the other way round. */
  readonly isAtomic: boolean | null;
  /** As that of a thread. */
  readonly key: string;
}

interface State {
  readonly words: readonly number[];
  readonly readable: readonly number[];
  readonly signalled: readonly number[];
  readonly threads: readonly ThreadState[];
  readonly wordStates: ReadonlyMap<number, WordState>;
  readonly parent: State | null;
  readonly label: string;
}

interface Draft {
  words: number[];
  readable: number[];
  signalled: number[];
  clock: number[];
  wordStates: Map<number, WordState>;
  hasSignalled: boolean;
  invariant: World['invariant'];
  sharing: Sharing | null;
  label: string;
}

/** Thrown through the code under test to cut its run off; it has no catch or finally to notice. */
const CUT = Symbol('cut');
const BLOCKED = Symbol('blocked');

/** How far a run goes on after its first new access. All three lead to the same endings: the second where the thread
 *  cannot die in between, the third where all other threads wait. */
type Reach = 'one access' | 'plain accesses' | 'until it signals';

/** One re-run of one thread: feeds it its past, then carries out what is new, then cuts it off. */
class Run {
  readonly story: string[] = [];
  readonly #thread: number;
  readonly #past: readonly number[];
  readonly #draft: Draft | null;
  readonly #reach: Reach;
  readonly #sharing: Sharing | null;
  #position = 0;
  readonly results: number[] = [];
  next = ATOMIC;

  /** Without a draft nothing is carried out: the run ends where the past ends. */
  constructor(thread: number, past: readonly number[], draft: Draft | null, reach: Reach) {
    this.#thread = thread;
    this.#past = past;
    this.#draft = draft;
    this.#reach = reach;
    this.#sharing = draft?.sharing ?? null;
  }

  #access(kind: number, word: number, isWrite: boolean, carryOut: (draft: Draft) => number): number {
    if (this.#position < this.#past.length) return this.#past[this.#position++]!;
    const draft = this.#draft;
    const next = kind === ATOMIC && this.#sharing !== null && word >= 0 && !this.#sharing.isShared(word) ? PLAIN : kind;
    if (draft === null || (this.results.length > 0 && !this.#reachesOn(draft, next))) {
      this.next = next;
      throw CUT;
    }
    if (word >= 0) draft.sharing?.note(word, this.#thread, isWrite);
    if (this.#past.length + this.results.length > MAX_ACCESSES) throw new Error('does not come to an end');
    const result = carryOut(draft);
    const broken = draft.invariant?.(draft.words, draft.readable) ?? null;
    if (broken !== null) throw new Error(broken);
    this.results.push(result);
    return result;
  }

  #reachesOn(draft: Draft, next: number): boolean {
    if (next >= 0 && draft.readable[next] === 0) return false;
    return this.#reach === 'until it signals'
      ? !draft.hasSignalled
      : this.#reach === 'plain accesses' && next === PLAIN;
  }

  plain(word: number, value: number | null): number {
    return this.#access(PLAIN, word, value !== null, (draft) => {
      const verb = value === null ? 'reads' : 'writes';
      draft.label += ` ${verb} ${word}${value === null ? '' : ` = ${value}`}`;
      assertInside(draft, word);
      if (draft.sharing?.isShared(word) === false) {
        if (value !== null) draft.words[word] = value | 0;
        return draft.words[word]!;
      }
      // Time passes by plain accesses alone: nothing else is ever compared with it.
      draft.clock[this.#thread]!++;
      const before = draft.wordStates.get(word);
      if (before !== undefined) this.#refuseRaces(draft, word, before, value !== null);
      const state = before ?? UNTOUCHED;
      const now = draft.clock[this.#thread]!;
      draft.wordStates.set(
        word,
        value === null
          ? keyed({ ...state, isAtomic: false, readAt: withTime(state.readAt, this.#thread, now, draft.clock.length) })
          : keyed({ ...state, isAtomic: false, writer: this.#thread, writtenAt: now }),
      );
      if (value === null) return draft.words[word]!;
      draft.words[word] = value | 0;
      return value;
    });
  }

  #refuseRaces(draft: Draft, word: number, state: WordState, isWrite: boolean): void {
    const known = draft.clock;
    const races = (at: readonly number[] | null) =>
      at?.some((time, thread) => thread !== this.#thread && time > known[thread]!) ?? false;
    const racesWithWrite = state.writer !== this.#thread && state.writtenAt > (known[state.writer] ?? 0);
    if (racesWithWrite || state.isAtomic || (isWrite && races(state.readAt))) {
      throw new Error(`data race on word ${word}`);
    }
  }

  /** `change` gives the word's next value, null: it stays, and the access is a load. */
  atomic(verb: string, word: number, change: (old: number) => number | null, value?: number): number {
    return this.#access(ATOMIC, word, verb !== 'load', (draft) => {
      draft.label += ` ${verb} ${word}${value === undefined ? '' : ` = ${value}`}`;
      assertInside(draft, word);
      if (draft.sharing?.isShared(word) === false) {
        const old = draft.words[word]!;
        draft.words[word] = change(old) ?? old;
        return verb === 'store' ? value! : old;
      }
      const state = draft.wordStates.get(word) ?? UNTOUCHED;
      if (state.isAtomic === false) throw new Error(`data race on word ${word}`);
      if (verb !== 'store') joinClock(draft.clock, state.released);
      const old = draft.words[word]!;
      const next = change(old);
      const released = next === null ? state.released : draft.clock.slice();
      draft.wordStates.set(word, keyed({ ...state, released, isAtomic: true }));
      if (next !== null) draft.words[word] = next | 0;
      return verb === 'store' ? value! : old;
    });
  }

  signal(eventFd: number): void {
    this.#access(ATOMIC, NO_WORD, true, (draft) => {
      draft.label += ` signals ${eventFd}`;
      draft.hasSignalled = true;
      draft.readable[eventFd]!++;
      draft.signalled[eventFd]!++;
      return 0;
    });
  }

  wait(eventFd: number): void {
    this.#access(eventFd, NO_WORD, true, (draft) => {
      if (draft.readable[eventFd] === 0) throw BLOCKED;
      draft.label += ` wakes by ${eventFd}`;
      draft.readable[eventFd] = 0;
      return 0;
    });
  }
}

const UNTOUCHED: WordState = { released: null, writer: -1, writtenAt: 0, readAt: null, isAtomic: null, key: '' };

function withTime(
  times: readonly number[] | null,
  thread: number,
  now: number,
  threadCount: number,
): readonly number[] {
  const copy = times?.slice() ?? new Array<number>(threadCount).fill(0);
  copy[thread] = now;
  return copy;
}

function joinClock(clock: number[], other: readonly number[] | null): void {
  if (other === null) return;
  for (const [thread, time] of other.entries()) if (time > clock[thread]!) clock[thread] = time;
}

function assertInside(draft: Draft, word: number): void {
  if (!(word >= 0 && word < draft.words.length)) throw new Error(`access outside the shared words: ${word}`);
}

// The code under test sees these. Threads run one at a time, so one current run is enough.
let current: Run;

export const machine: Machine = {
  words: new Proxy({} as Words, {
    get: (_, key) => current.plain(Number(key), null),
    set: (_, key, value: number) => {
      current.plain(Number(key), value);
      return true;
    },
  }),
  atomics: {
    load: (_: unknown, word: number) => current.atomic('load', word, () => null),
    store: (_: unknown, word: number, value: number) => current.atomic('store', word, () => value, value),
    exchange: (_: unknown, word: number, value: number) => current.atomic('exchange', word, () => value, value),
    compareExchange: (_: unknown, word: number, expected: number, value: number) =>
      current.atomic('compareExchange', word, (old) => (old === (expected | 0) ? value : null), value),
    add: (_: unknown, word: number, value: number) => current.atomic('add', word, (old) => old + value, value),
    sub: (_: unknown, word: number, value: number) => current.atomic('sub', word, (old) => old - value, value),
  } as Machine['atomics'],
  signal: (eventFd) => current.signal(eventFd),
  wait: (eventFd) => current.wait(eventFd),
  note: (line) => {
    current.story.push(line);
  },
};

/** Every ending that any interleaving of the threads, and any allowed death, leads to. Endings that differ only in the
 *  order of accesses are reported once for each distinct final state. */
export function explore(threads: readonly Thread[], world: World): Exploration {
  const sharing = world.skipsUnshared ? new Sharing() : null;
  for (;;) {
    try {
      return walk(threads, world, sharing);
    } catch (error) {
      if (error !== RESTART) throw error;
    }
  }
}

function walk(threads: readonly Thread[], world: World, sharing: Sharing | null): Exploration {
  const words = new Array<number>(world.wordCount).fill(0);
  for (const [word, value] of Object.entries(world.initial ?? {})) words[Number(word)] = value;
  const first: State = {
    words,
    readable: new Array<number>(EVENT_FDS).fill(0),
    signalled: new Array<number>(EVENT_FDS).fill(0),
    threads: threads.map(() =>
      keyedThread({
        status: RUNNING,
        next: ATOMIC,
        results: [],
        clock: new Array<number>(threads.length).fill(0),
        epitaph: '',
      }),
    ),
    wordStates: new Map(),
    parent: null,
    label: '',
  };
  const seen = new Set([keyOf(first, sharing)]);
  const open = [first];
  const endings: Ending[] = [];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const movable = state.threads.flatMap(({ status, next }, index) =>
      status === RUNNING && (next < 0 || state.readable[next]! > 0) ? [index] : [],
    );
    const plain = movable.find((index) => state.threads[index]!.next === PLAIN);
    const nexts: StepResult[] = [];
    const endingCount = endings.length;
    let isStuck = true;
    for (const index of plain === undefined ? movable : [plain]) {
      const canDie = threads[index]!.deathEventFd !== undefined;
      const reach = canDie ? 'one access' : movable.length === 1 ? 'until it signals' : 'plain accesses';
      const stepped = step(state, index, threads[index]!, reach, world, sharing);
      if (stepped === null) continue;
      isStuck = false;
      nexts.push(stepped);
    }
    for (const [index, thread] of threads.entries()) {
      const isDue = plain === undefined || plain === index;
      if (isDue && thread.deathEventFd !== undefined && state.threads[index]!.status === RUNNING) {
        nexts.push({ state: die(state, index, thread, thread.deathEventFd), fault: null });
      }
    }
    if (isStuck) endings.push(endingOf(state, threads, null));
    for (const next of nexts) {
      const key = keyOf(next.state, sharing);
      if (next.fault !== null) endings.push(endingOf(next.state, threads, next.fault));
      else if (!seen.has(key)) open.push(next.state);
      seen.add(key);
    }
    if (world.isEnough !== undefined && endings.slice(endingCount).some(world.isEnough)) break;
    if (seen.size > MAX_STATES) throw new Error('too many states: make the case smaller');
  }
  return { endings, stateCount: seen.size };
}

interface StepResult {
  readonly state: State;
  readonly fault: string | null;
}

/** The state after the thread's next access or accesses; null: it waits. */
function step(
  state: State,
  index: number,
  thread: Thread,
  reach: Reach,
  world: World,
  sharing: Sharing | null,
): StepResult | null {
  const before = state.threads[index]!;
  const draft: Draft = {
    words: state.words.slice(),
    readable: state.readable.slice(),
    signalled: state.signalled.slice(),
    clock: before.clock.slice(),
    wordStates: new Map(state.wordStates),
    hasSignalled: false,
    invariant: world.invariant,
    sharing,
    label: '',
  };
  const run = new Run(index, before.results, draft, reach);
  current = run;
  let status = DONE;
  let fault: string | null = null;
  try {
    thread.run(machine);
  } catch (error) {
    if (error === BLOCKED) return null;
    if (error === RESTART) throw error;
    if (error === CUT) status = RUNNING;
    else fault = `${thread.name}: ${(error as Error).message}`;
  }
  const results = [...before.results, ...run.results];
  return {
    fault,
    state: {
      words: draft.words,
      readable: draft.readable,
      signalled: draft.signalled,
      threads: state.threads.with(
        index,
        keyedThread({
          status,
          next: run.next,
          results,
          clock: status === DONE ? [] : draft.clock,
          epitaph: status === DONE ? run.story.join() : '',
        }),
      ),
      wordStates: draft.wordStates,
      parent: state,
      label: `${thread.name}${draft.label || ' ends'}`,
    },
  };
}

/** What a dead thread did cannot race with what others do from now on: they come after its death, or else they would
 *  have raced with it while it lived, which is walked too. So its traces in the clocks are wiped, and states that
 *  differ in nothing else fall together. */
function die(state: State, index: number, thread: Thread, eventFd: number): State {
  const add = (counts: readonly number[]) => counts.with(eventFd, counts[eventFd]! + 1);
  const wipe = (clock: readonly number[] | null) => clock?.with(index, 0) ?? null;
  const dead = { ...state.threads[index]!, status: DEAD };
  const epitaph = storyOf(thread, index, dead).join();
  const wordStates = new Map<number, WordState>();
  for (const [word, of] of state.wordStates) {
    const writer = of.writer === index ? { writer: -1, writtenAt: 0 } : {};
    wordStates.set(word, keyed({ ...of, ...writer, released: wipe(of.released), readAt: wipe(of.readAt) }));
  }
  return {
    ...state,
    readable: add(state.readable),
    signalled: add(state.signalled),
    threads: state.threads
      .map((each) => keyedThread({ ...each, clock: each.clock.length === 0 ? [] : each.clock.with(index, 0) }))
      .with(index, keyedThread({ ...dead, epitaph, clock: [] })),
    wordStates,
    parent: state,
    label: `${thread.name} dies`,
  };
}

/** Words that no thread has touched so far are as they were at the start, and need not stand in the key. */
function keyOf(state: State, sharing: Sharing | null): string {
  let key = `${state.readable}|${state.signalled}`;
  if (sharing === null) key += `|${state.words}`;
  else for (const word of sharing.touched) if (state.words[word] !== 0) key += `|${word}=${state.words[word]}`;
  for (const thread of state.threads) key += thread.key;
  for (const [word, of] of [...state.wordStates].sort(([a], [b]) => a - b)) key += `|${word}${of.key}`;
  return key;
}

function threadKey({ status, results, clock, epitaph }: Omit<ThreadState, 'key'>): string {
  return `|${status}:${status === RUNNING ? results : epitaph}:${clock}`;
}

function keyed(of: Omit<WordState, 'key'>): WordState {
  const { released, writer, writtenAt, readAt } = of;
  return { ...of, key: `:${released}:${writer}:${writtenAt}:${readAt}` };
}

function keyedThread(of: Omit<ThreadState, 'key'>): ThreadState {
  return { ...of, key: threadKey(of) };
}

function endingOf(state: State, threads: readonly Thread[], fault: string | null): Ending {
  const named = (status: number) => threads.filter((_, i) => state.threads[i]!.status === status).map((t) => t.name);
  return {
    fault,
    stories: Object.fromEntries(threads.map((thread, i) => [thread.name, storyOf(thread, i, state.threads[i]!)])),
    waiting: named(RUNNING),
    dead: named(DEAD),
    words: state.words,
    signalled: state.signalled,
    readable: state.readable,
    get schedule() {
      return scheduleOf(state);
    },
  };
}

function scheduleOf(state: State): string {
  const labels: string[] = [];
  for (let at: State | null = state; at !== null && at.parent !== null; at = at.parent) labels.push(at.label);
  return labels.reverse().join('\n');
}

function storyOf(thread: Thread, index: number, state: ThreadState): readonly string[] {
  const run = new Run(index, state.results, null, 'one access');
  current = run;
  try {
    thread.run(machine);
  } catch {
    // Cut off at the end of its past, or the very fault that is being reported: the story so far is what is wanted.
  }
  return run.story;
}
