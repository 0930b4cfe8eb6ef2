/** The location store as the main thread sees it: opens it, hears from the store thread, brings it back when it dies, and
 *  ends it in order. Cold. */

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { FeedControl, STORE_STATE, type StoreState } from '../../location/store-feed.ts';
import { signal } from '../udp-socket.ts';
import { StoreInUseError } from './store-lock.ts';
import type { LoadReport, StoreMessage, StoreTask } from './store-thread.ts';

export interface LocationStoreOptions {
  /** The location table. */
  readonly table: SharedArrayBuffer;
  /** The store thread's number in it. */
  readonly thread: number;
  readonly feed: SharedArrayBuffer;
  /** Eventfds of the shards, by number. */
  readonly shardFds: readonly number[];
  /** Made if it is not there. null: nothing is stored, and the state OFF; expired bindings are swept all the same. */
  readonly directory: string | null;
  /** Committed means: on the disk. Otherwise in the page cache, which outlives the process but not a power failure. */
  readonly sync?: boolean;
  /** Between two attempts to open a store that failed. */
  readonly retryMs?: number;
  /** In which the sweep passes the whole table. */
  readonly sweepPeriodMs?: number;
  /** Another server has the store, and this one takes over from it: what it holds is read at once (`preloaded`), and it is opened
   *  after `takeOver`. */
  readonly isTakeover?: boolean;
  /** The table has all that the store holds, and knows better. Then a store that another server uses is one that fails, and is tried
   *  again. */
  readonly isLoaded?: boolean;
  /** Told of what an operator wants to know, a line each: a failure once, its end once. */
  readonly onEvent: (level: 'info' | 'warn' | 'error', text: string) => void;
  /** After the store thread's death, before its successor begins: `LocationTable.bury(thread)` by another thread. */
  readonly bury: (thread: number) => void;
}

const RETRY_MS = 5000;
const SWEEP_PERIOD_MS = 30_000;
/** More than one commit takes, and less than an operator waits. */
const END_TIMEOUT_MS = 1000;
const FIRST_RESTART_MS = 10;
const LAST_RESTART_MS = 5000;
/** A thread that lived so long has nothing to do with its predecessor's death. */
const SOUND_LIFE_MS = 60_000;
/** From the second death within a SOUND_LIFE_MS on, shards no longer wait for what nobody may commit. */
const DEATHS_UNTIL_FAILED = 2;

/** Opens the store and puts what it holds into the table, which shards use only after that. What is wrong with the store is an
 *  event and a state; only if another server uses it this throws (StoreInUseError). */
export async function openLocationStore(options: LocationStoreOptions): Promise<LocationStore> {
  const store = new LocationStore(options);
  await store.ready;
  return store;
}

export class LocationStore {
  readonly #options: LocationStoreOptions;
  readonly #control: FeedControl;
  #worker: Worker;
  #report: LoadReport = { loaded: 0, expired: 0, lost: 0, durationMs: 0 };
  #onPreloaded: () => void = () => undefined;
  #isEnding = false;
  #isLoaded = false;
  #deaths = 0;
  #restart: NodeJS.Timeout | undefined;
  readonly #endWithProcess = () => this.#endNow();
  /** Resolves when the table is filled; rejects with StoreInUseError. */
  readonly ready: Promise<void>;
  /** Of a takeover: resolves when what the store holds so far is in the table, or is not to be had. */
  readonly preloaded: Promise<void>;

  constructor(options: LocationStoreOptions) {
    this.#options = options;
    this.#isLoaded = options.isLoaded ?? false;
    this.#control = new FeedControl(new Int32Array(options.feed));
    this.#control.begin();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    const preloaded = Promise.withResolvers<void>();
    this.preloaded = preloaded.promise;
    this.#onPreloaded = preloaded.resolve;
    promise.then(preloaded.resolve, preloaded.resolve);
    this.#worker = this.#startThread(resolve, reject);
    process.on('exit', this.#endWithProcess);
  }

  /** STORE_STATE: FAILED means that registrations would not outlive the process. */
  get state(): StoreState {
    return this.#control.state;
  }

  /** The other server has closed the store: `ready` follows. */
  takeOver(): void {
    this.#worker.postMessage('go on');
  }

  /** Another server is about to take over: all of the journal stays as it is, until it has, or no longer. */
  hold(isHeld: boolean): void {
    this.#control.hold(isHeld);
  }

  /** What came back at the start. */
  get report(): LoadReport {
    return this.#report;
  }

  /** Commits what the shards have told, and closes the store. After the shards have ended. */
  async close(): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#restart);
    this.#control.stop();
    // For one that still waits for the other server.
    this.#worker.postMessage('go on');
    if (this.#worker.threadId !== -1) {
      await new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    }
    process.off('exit', this.#endWithProcess);
  }

  /** Before an exit of the process that comes without `close`: Node would end the thread where it stands, and within a
   *  transaction lmdb then waits for ever for a mutex that it holds itself. */
  #endNow(): void {
    this.#isEnding = true;
    this.#control.stop();
    if (this.#worker.threadId !== -1) this.#control.awaitEnd(END_TIMEOUT_MS);
  }

  #startThread(resolve: () => void, reject: (error: Error) => void): Worker {
    const { table, thread, feed, shardFds, directory } = this.#options;
    const task: StoreTask = {
      table,
      thread,
      feed,
      shardFds,
      directory,
      sync: this.#options.sync ?? false,
      retryMs: this.#options.retryMs ?? RETRY_MS,
      sweepPeriodMs: this.#options.sweepPeriodMs ?? SWEEP_PERIOD_MS,
      isSuccessor: this.#isLoaded,
      isTakeover: this.#options.isTakeover === true && !this.#isLoaded,
    };
    const startMs = performance.now();
    let wasReady = false;
    const worker = new Worker(threadFile(), { workerData: task, name: 'store' });
    worker.on('message', (message: StoreMessage) => {
      if (message.kind === 'event') this.#options.onEvent(message.level, message.text);
      if (message.kind === 'preloaded') this.#onPreloaded();
      if (message.kind === 'in use') {
        this.#isEnding = true;
        process.off('exit', this.#endWithProcess);
        reject(new StoreInUseError(message.text));
      }
      if (message.kind !== 'ready') return;
      wasReady = true;
      if (!this.#isLoaded) this.#report = message.report;
      this.#isLoaded ||= message.isLoaded;
      resolve();
    });
    worker.on('error', (error) => {
      this.#options.onEvent('error', `the store thread died: ${(error as Error).message}`);
    });
    worker.once('exit', () => {
      if (this.#isEnding) return;
      // Without a store rather than not at all.
      if (!wasReady) this.#fail();
      resolve();
      this.#succeed(performance.now() - startMs);
    });
    return worker;
  }

  #succeed(lifeMs: number): void {
    this.#options.bury(this.#options.thread);
    this.#deaths = lifeMs < SOUND_LIFE_MS ? this.#deaths + 1 : 1;
    if (this.#deaths >= DEATHS_UNTIL_FAILED) this.#fail();
    const delayMs = Math.min(LAST_RESTART_MS, FIRST_RESTART_MS * 2 ** (this.#deaths - 1));
    this.#restart = setTimeout(() => {
      const ignore = () => undefined;
      this.#worker = this.#startThread(ignore, ignore);
    }, delayMs);
  }

  /** Instead of the store thread: shards that wait for a commit are woken, and wait no longer. */
  #fail(): void {
    if (this.#options.directory === null) return;
    this.#control.state = STORE_STATE.FAILED;
    for (const fd of this.#options.shardFds) signal(fd);
  }
}

function threadFile(): string {
  return fileURLToPath(new URL(`./store-thread${extname(import.meta.url)}`, import.meta.url));
}
