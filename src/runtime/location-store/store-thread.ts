/** The store thread: brings the location table's records into the store and, at the start, back from it; sweeps expired
 *  bindings from the table. A Worker (StoreTask) whose loop blocks in the feed's sleep word, but for what needs an event loop:
 *  the load, and the lock. It tells the main thread (location-store.ts) by messages.
 *
 *  One round: a group commit of what has come, the shards that wait woken; a step of the sweep; a step of whatever is to be
 *  done slowly; sleep. What comes during a commit goes with the next.
 *
 *  A commit goes to the journal, and from there into the store (journal.ts).
 *
 *  When the store fails, the feed's state says so to the shards, which then answer without it; one message; and every few
 *  seconds an attempt to open it again. Once that succeeds the whole table is written, what is no longer in the table is removed,
 *  and only then is the state RUNNING. */

import { once } from 'node:events';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { AssertionError } from '../../base/assert.ts';
import { IMPORT, LocationTable } from '../../location/location-table.ts';
import { FeedConsumer, STORE_STATE } from '../../location/store-feed.ts';
import { signal } from '../udp-socket.ts';
import { Journal, type Journaled, readJournal, removeSegments } from './journal.ts';
import { RecordStore, readersFile, storeFile } from './record-store.ts';
import { isDamage, reasonOf } from './store-errors.ts';
import { StoreInUseError, StoreLock } from './store-lock.ts';
import { SweepPace } from './sweep-pace.ts';
import { TableKeeper } from './table-keeper.ts';
import { INBOX_BYTES, loadFrom, probe, TRIAL, type Trial } from './try-store.ts';

export interface StoreTask {
  readonly table: SharedArrayBuffer;
  /** This thread's number in the table. */
  readonly thread: number;
  readonly feed: SharedArrayBuffer;
  /** Eventfds of the shards, by number, signalled when something of theirs was committed. */
  readonly shardFds: readonly number[];
  /** null: no store; only the sweep. */
  readonly directory: string | null;
  readonly sync: boolean;
  readonly retryMs: number;
  readonly sweepPeriodMs: number;
  /** The table is filled, and what a predecessor has not committed is in the feed. */
  readonly isSuccessor: boolean;
  /** Another server has the store and goes on writing. What it holds is read at once, the rest of it, and the store itself, once a
   *  message says that the other server has closed it. */
  readonly isTakeover: boolean;
}

/** What came back from the store. */
export interface LoadReport {
  /** AoRs that are back in the table. */
  readonly loaded: number;
  /** AoRs of which nothing was valid any more. */
  readonly expired: number;
  /** Records that were damaged, or found no room: they are lost. */
  readonly lost: number;
  readonly durationMs: number;
}

export type StoreMessage =
  /** `isLoaded`: what the store holds is in the table. Sent again if that comes late. */
  | { readonly kind: 'ready'; readonly report: LoadReport; readonly isLoaded: boolean }
  /** Of a takeover: what there is so far is in the table. */
  | { readonly kind: 'preloaded' }
  | { readonly kind: 'in use'; readonly text: string }
  | { readonly kind: 'event'; readonly level: 'info' | 'warn' | 'error'; readonly text: string };

const TICK_MS = 250;
const MAX_SWEEP_MS = 2;
const BUCKETS_PER_SWEEP = 256;
/** AoRs of one step of a fold: a few milliseconds, in which what comes has to wait. */
const AORS_PER_FOLD = 256;
/** A step of a slow pass takes some hundred AoRs. */
const SLOW_STEP_MS = 250;
const IN_PLACE_CHECK_MS = 2000;
/** For what is left of a recovery when the server stops; less than main waits before an exit. */
const MAX_STOP_MS = 700;
const DIRECTORY_MODE = 0o700;
/** After so many records the load passes a quiescent point. */
const RECORDS_PER_QUIESCENCE = 256;
const PADDING_BYTES = 8;
const NOTHING_LOADED: LoadReport = { loaded: 0, expired: 0, lost: 0, durationMs: 0 };

type Words = Int32Array<SharedArrayBuffer>;

class StoreThread {
  readonly #task: StoreTask;
  readonly #feed: FeedConsumer;
  readonly #table: LocationTable;
  readonly #keeper: TableKeeper;
  readonly #pace: SweepPace;
  readonly #inbox: Uint8Array<SharedArrayBuffer>;
  readonly #inboxWords: Int32Array<SharedArrayBuffer>;
  /** What the store held is in the table, or is not to be had. */
  #isLoaded: boolean;
  #lock: StoreLock | null = null;
  #store: RecordStore | null = null;
  /** null unless the state is RUNNING. */
  #journal: Journal | null = null;
  /** AoRs of which segments of the journal told that were there before; they are to be folded. */
  #unfolded: Iterable<string> = [];
  /** What the operator was told since the store has failed, each reason once. */
  readonly #told = new Set<string>();
  #retryAtMs = 0;
  /** When this thread saw that it is to stop. */
  #stopAtMs = Number.POSITIVE_INFINITY;
  #slowStepAtMs = 0;
  /** Something of the journal is being folded: no time to sleep. */
  #isFolding = false;
  #checkAtMs = 0;

  constructor(task: StoreTask) {
    this.#task = task;
    this.#isLoaded = task.isSuccessor;
    const inbox = new SharedArrayBuffer(INBOX_BYTES + PADDING_BYTES);
    this.#inbox = new Uint8Array(inbox, 0, INBOX_BYTES);
    this.#inboxWords = new Int32Array(inbox);
    const source = { bytes: new Uint8Array(inbox), words: this.#inboxWords };
    this.#feed = new FeedConsumer(new Int32Array(task.feed));
    this.#table = new LocationTable(task.table, task.thread, source);
    this.#keeper = new TableKeeper(this.#table, this.#feed, source.bytes);
    this.#pace = new SweepPace(this.#table.map.bucketCount, task.sweepPeriodMs, performance.now());
  }

  async run(): Promise<void> {
    const report = await this.#start();
    if (report === null) return;
    tell({ kind: 'ready', report, isLoaded: this.#isLoaded });
    while (!this.#feed.isStopping) {
      this.#table.quiesce();
      const count = this.#drain();
      await this.#work(performance.now());
      if (count === 0 && !this.#isFolding) this.#sleep();
    }
    while (this.#drain() > 0) this.#table.quiesce();
    // Who takes over reads the journal: it need not wait for that.
    if (!this.#feed.isHeld) this.#foldAll();
    this.#close();
    this.#feed.end();
  }

  // ---- Beginning and end --------------------------------------------------------------------------------------------

  /** null: another server has the store, and this thread ends. */
  async #start(): Promise<LoadReport | null> {
    const { directory, isSuccessor } = this.#task;
    if (directory === null) return NOTHING_LOADED;
    const preload = this.#task.isTakeover ? await this.#preload(directory) : null;
    if (this.#feed.isStopping) return null;
    try {
      mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
      this.#lock = await StoreLock.acquire(directory);
    } catch (error) {
      if (error instanceof StoreInUseError && !isSuccessor) {
        tell({ kind: 'in use', text: error.message });
        return null;
      }
      // Perhaps it can be read all the same, as what cannot be written is nobody's.
      this.#fail(error);
    }
    if (isSuccessor) {
      this.#continue(directory);
      return NOTHING_LOADED;
    }
    const isPreloaded = preload !== null && preload.trial.outcome === TRIAL.GOOD;
    if (isPreloaded) this.#applyJournal(directory);
    const { trial, report } = isPreloaded ? preload : await this.#load(directory);
    try {
      if (this.#lock !== null) this.#begin(directory, trial);
    } catch (error) {
      this.#fail(error);
    }
    return report;
  }

  /** The store of another server, while that goes on writing: it keeps its journal meanwhile, so that all it changes from now on
   *  is told there. Resolves when it has closed the store. */
  async #preload(directory: string): Promise<{ trial: Trial; report: LoadReport }> {
    const loaded = await this.#load(directory);
    const closed = once(parentPort!, 'message');
    tell({ kind: 'preloaded' });
    await closed;
    return loaded;
  }

  /** What the other server has changed since: the last word on each AoR of the journal, in place of what is in the table. */
  #applyJournal(directory: string): void {
    const nowMs = Date.now();
    const inbox = Buffer.from(this.#inbox.buffer, 0, this.#inbox.length);
    const journaled = this.#readJournal(directory);
    let lost = 0;
    let record = 0;
    for (const [aor, { words, at, count }] of journaled) {
      const aorBytes = inbox.write(aor, 0, 'latin1');
      this.#table.remove(0, aorBytes);
      const outcome = count > 0 ? this.#table.importRecord(0, aorBytes, words, at, count, nowMs) : IMPORT.DONE;
      if (outcome !== IMPORT.DONE && outcome !== IMPORT.EXPIRED) lost++;
      if (++record % RECORDS_PER_QUIESCENCE === 0) this.#table.quiesce();
    }
    this.#unfolded = [...journaled.keys()];
    if (lost > 0) event('error', `${lost} AoRs of the location store had no room in the location table`);
  }

  async #load(directory: string): Promise<{ trial: Trial; report: LoadReport }> {
    const startMs = performance.now();
    const nowMs = Date.now();
    const counts = { loaded: 0, expired: 0, lost: 0 };
    let record = 0;
    const put = (start: number, aorBytes: number, words: Words, word: number, count: number) => {
      const outcome = this.#table.importRecord(start, start + aorBytes, words, word, count, nowMs);
      if (outcome === IMPORT.DONE) counts.loaded++;
      else if (outcome === IMPORT.EXPIRED) counts.expired++;
      else if (outcome !== IMPORT.KNOWN) counts.lost++;
      if (++record % RECORDS_PER_QUIESCENCE === 0) this.#table.quiesce();
    };
    const inbox = Buffer.from(this.#inbox.buffer, 0, this.#inbox.length);
    const journaled = this.#readJournal(directory);
    // The journal knows better than the store.
    for (const [aor, { words, at, count }] of journaled) {
      if (count > 0) put(0, inbox.write(aor, 0, 'latin1'), words, at, count);
    }
    const trial = await loadFrom(directory, this.#inbox, (start, aorBytes, word, count) => {
      const isKnown = journaled.size > 0 && journaled.has(inbox.toString('latin1', start, start + aorBytes));
      if (!isKnown) put(start, aorBytes, this.#inboxWords, word, count);
    });
    this.#unfolded = [...journaled.keys()];
    if (counts.lost > 0) {
      event('error', `${counts.lost} AoRs of the location store were damaged, or had no room in the location table`);
    }
    this.#isLoaded = trial.outcome !== TRIAL.UNREADABLE;
    return { trial, report: { ...counts, durationMs: performance.now() - startMs } };
  }

  #readJournal(directory: string): Map<string, Journaled> {
    try {
      return readJournal(directory);
    } catch (error) {
      // No directory: that is said elsewhere, if it cannot be made.
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return new Map();
      event('error', `the journal of the location store cannot be read: ${reasonOf(error, directory)}`);
      return new Map();
    }
  }

  /** Opens the store after its trial, a new one if need be. Throws if there is none to be had. */
  #begin(directory: string, trial: Trial): void {
    if (this.#feed.isStopping) return;
    const isRenewed = trial.outcome === TRIAL.DAMAGED || trial.outcome === TRIAL.VERSION;
    if (isRenewed) this.#moveAside(directory, trial);
    const { outcome, reason } = isRenewed ? probe(directory) : trial;
    if (outcome !== TRIAL.GOOD) throw new Error(reason);
    this.#store = new RecordStore(directory, { sync: this.#task.sync });
    this.#keeper.startOver();
    // What the table has beyond the store, it has from a damaged one, or from while there was none.
    if (isRenewed || this.#feed.state === STORE_STATE.FAILED) {
      this.#recover();
      return;
    }
    this.#journal = new Journal(directory, this.#task.sync, this.#unfolded, performance.now());
    this.#unfolded = [];
    this.#feed.state = STORE_STATE.RUNNING;
  }

  /** After a predecessor's death: the state is what it was. */
  #continue(directory: string): void {
    if (this.#feed.state !== STORE_STATE.RUNNING) return;
    this.#unfolded = this.#readJournal(directory).keys();
    try {
      if (this.#lock !== null) this.#begin(directory, probe(directory));
    } catch (error) {
      this.#fail(error);
    }
  }

  #moveAside(directory: string, { outcome, reason }: Trial): void {
    const kind = outcome === TRIAL.VERSION ? 'version' : 'damaged';
    const aside = `${storeFile(directory)}.${kind}-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
    renameSync(storeFile(directory), aside);
    rmSync(readersFile(directory), { force: true });
    const what = kind === 'version' ? 'is of another version' : 'is damaged';
    event('error', `the location store ${what} (${reason}): moved aside to ${aside}, and a new one begun`);
  }

  #close(): void {
    this.#journal?.close(this.#feed.isHeld);
    this.#journal = null;
    this.#store?.close();
    this.#store = null;
    this.#lock?.release();
    this.#lock = null;
    this.#table.rest();
  }

  // ---- The rounds ---------------------------------------------------------------------------------------------------

  /** Commits what the shards have told. Returns how many changes that were. */
  #drain(): number {
    let count = 0;
    try {
      count = this.#keeper.drain(this.#journal);
    } catch (error) {
      this.#fail(error);
      return 1;
    }
    if (count > 0) this.#commitFeed();
    return count;
  }

  #commitFeed(): void {
    const { shardFds } = this.#task;
    for (let shard = 0; shard < this.#feed.shardCount; shard++) {
      const fd = shardFds[shard];
      if (this.#feed.commit(shard) && fd !== undefined) signal(fd);
    }
  }

  async #work(nowMs: number): Promise<void> {
    this.#sweep(nowMs);
    const { directory } = this.#task;
    if (directory === null) return;
    if (this.#store === null) {
      if (nowMs >= this.#retryAtMs) await this.#retry(directory);
      return;
    }
    try {
      if (nowMs >= this.#checkAtMs) this.#checkPlace();
      if (this.#feed.takeLost()) this.#recover();
      this.#fold(nowMs);
      if (nowMs >= this.#slowStepAtMs) this.#forgetStale(this.#store);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A step of bringing the journal into the store. */
  #fold(nowMs: number): void {
    const aors = this.#journal?.takeDue(AORS_PER_FOLD, nowMs) ?? [];
    this.#isFolding = aors.length > 0;
    if (!this.#isFolding) return;
    this.#keeper.write(this.#store!, aors);
    if (!this.#feed.isHeld) this.#journal!.folded();
  }

  /** Before the end, as far as there is time: what is left is read from the journal. */
  #foldAll(): void {
    try {
      this.#journal?.finishSegment(performance.now());
      do this.#fold(performance.now());
      while (this.#isFolding && !this.#isOutOfTime());
    } catch (error) {
      this.#fail(error);
    }
  }

  #sleep(): void {
    if (!this.#feed.trySleep()) return;
    this.#table.rest();
    this.#feed.sleep(TICK_MS);
    this.#table.quiesce();
  }

  #sweep(nowMs: number): void {
    const endMs = nowMs + MAX_SWEEP_MS;
    do {
      const count = this.#pace.take(performance.now(), BUCKETS_PER_SWEEP);
      // An empty table, which has millions of buckets all the same, is not worth the way through it.
      if (count === 0 || this.#table.count() <= 0) return;
      this.#table.sweep(Date.now(), count);
      this.#table.quiesce();
    } while (performance.now() < endMs);
  }

  #forgetStale(store: RecordStore): void {
    this.#keeper.forgetStale(store);
    this.#slowStepAtMs = performance.now() + SLOW_STEP_MS;
  }

  #checkPlace(): void {
    this.#checkAtMs = performance.now() + IN_PLACE_CHECK_MS;
    if (this.#lock?.isHeld() === false) {
      this.#lock.release();
      this.#lock = null;
      throw new Error('its lock was removed or replaced');
    }
    if (this.#store?.isInPlace() === false) throw new Error('its file was removed or replaced');
  }

  // ---- Failure and recovery -----------------------------------------------------------------------------------------

  /** From now on the server runs from memory. What was taken from the feed counts as done: the whole table will be written. */
  #fail(error: unknown): void {
    if (error instanceof AssertionError) throw error;
    const { directory, retryMs } = this.#task;
    const reason = reasonOf(error, directory ?? '');
    this.#feed.state = STORE_STATE.FAILED;
    this.#commitFeed();
    this.#wakeAll();
    this.#retryAtMs = performance.now() + retryMs;
    const store = this.#store;
    this.#store = null;
    this.#leaveJournal();
    if (!this.#told.has(reason)) {
      event('error', `the location store in ${directory} fails: ${reason}; registrations are kept in memory only`);
    }
    this.#told.add(reason);
    store?.close();
    if (store !== null && isDamage(error)) this.#setAside(directory!, reason);
  }

  /** Its segments stay, until the store has the whole table. */
  #leaveJournal(): void {
    try {
      this.#journal?.close();
    } catch {
      // What was to be in it is in the table.
    }
    this.#journal = null;
    this.#isFolding = false;
  }

  /** The table has it all, so a file that LMDB finds fault with is not needed. */
  #setAside(directory: string, reason: string): void {
    try {
      this.#moveAside(directory, { outcome: TRIAL.DAMAGED, reason });
    } catch (error) {
      event('error', `the location store could not be moved aside: ${reasonOf(error, directory)}`);
    }
  }

  async #retry(directory: string): Promise<void> {
    try {
      mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
      this.#lock ??= await StoreLock.acquire(directory);
      this.#begin(directory, this.#isLoaded ? probe(directory) : await this.#loadLate(directory));
    } catch (error) {
      this.#fail(error);
    }
  }

  async #loadLate(directory: string): Promise<Trial> {
    const { trial, report } = await this.#load(directory);
    tell({ kind: 'ready', report, isLoaded: this.#isLoaded });
    return trial;
  }

  /** Makes the store agree with the table, while changes go on coming. RUNNING at the end, unless this thread is to stop and has
   *  no time for it. Throws if the store fails again. */
  #recover(): void {
    const store = this.#store!;
    this.#leaveJournal();
    this.#feed.state = STORE_STATE.FAILED;
    this.#wakeAll();
    do {
      this.#feed.takeLost();
      let bucket = 0;
      do {
        bucket = this.#keeper.writeBuckets(store, bucket);
        this.#pass(store);
      } while (bucket !== 0 && !this.#isOutOfTime());
      this.#keeper.startOver();
      while (this.#keeper.forgetStale(store) && !this.#isOutOfTime()) this.#pass(store);
    } while (this.#feed.takeLost() && !this.#isOutOfTime());
    if (this.#isOutOfTime()) return;
    const directory = this.#task.directory!;
    removeSegments(directory);
    this.#journal = new Journal(directory, this.#task.sync, [], performance.now());
    this.#unfolded = [];
    this.#feed.state = STORE_STATE.RUNNING;
    if (this.#told.size > 0) event('info', 'the location store works again, and has every registration');
    this.#told.clear();
  }

  #isOutOfTime(): boolean {
    if (!this.#feed.isStopping) return false;
    this.#stopAtMs = Math.min(this.#stopAtMs, performance.now());
    return performance.now() - this.#stopAtMs > MAX_STOP_MS;
  }

  /** Between two steps of a recovery. */
  #pass(store: RecordStore): void {
    this.#table.quiesce();
    if (this.#keeper.drain(store) > 0) this.#commitFeed();
    this.#sweep(performance.now());
  }

  #wakeAll(): void {
    for (const fd of this.#task.shardFds) signal(fd);
  }
}

function event(level: 'info' | 'warn' | 'error', text: string): void {
  tell({ kind: 'event', level, text });
}

function tell(message: StoreMessage): void {
  parentPort!.postMessage(message);
}

await new StoreThread(workerData as StoreTask).run();
