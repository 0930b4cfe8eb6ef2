/** Those who watch the live page: one reading a second for all of them together, and none while nobody watches. Main thread, cold.
 *  Events are those of the HTML standard's server-sent events:
 *
 *  ```
 *  event: hello   LiveHello: once, at the beginning
 *  event: frame   LiveFrame: every second
 *  event: bye     the server stops
 *  ``` */

import type { DistinctError } from '../../observe/distinct-errors.ts';
import type { ListedHop } from '../shard-service.ts';
import { frameOf, type LiveFacts, type LiveFrame, type LivePoint, WINDOW_READINGS } from './live-frame.ts';
import type { LiveReading } from './live-reading.ts';

const INTERVAL_MS = 1000;
const WINDOW_SEC = (WINDOW_READINGS * INTERVAL_MS) / 1000;
export const MAX_WATCHERS = 20;
/** What a watcher may leave unread: some minutes of frames. */
const MAX_UNREAD_BYTES = 512 * 1024;
/** Points that a page gets when it is opened: of the last minutes in which somebody watched. */
const MAX_POINTS = 300;
const MAX_ERRORS = 20;

export interface LiveHello {
  readonly facts: LiveFacts;
  /** Of the files of the page. */
  readonly pageVersion: string;
  /** Commands for a first call. */
  readonly firstCall: readonly string[];
  readonly intervalMs: number;
  /** Seconds that percentiles and talkers are about. */
  readonly windowSec: number;
  /** Oldest first. */
  readonly points: readonly LivePoint[];
}

/** What the feed needs of a server. */
export interface LiveView {
  readonly facts: LiveFacts;
  /** From now on `read` is called once a second … */
  watch(): void;
  /** … until this. */
  rest(): void;
  read(): LiveReading;
  /** Asks the shards; rejects if one of them does not answer. */
  hops(): Promise<readonly ListedHop[]>;
  /** A page was turned away because there were too many. */
  noteRefused(): void;
  /** A page was cut off because it did not read. */
  noteCutOff(): void;
}

export interface LiveFeedOptions {
  readonly view: LiveView;
  readonly pageVersion: string;
  readonly firstCall: readonly string[];
  /** What went wrong lately, the latest first. */
  readonly recentErrors: (limit: number) => readonly DistinctError[];
  /** A reading failed, which is our mistake: all pages are closed. */
  readonly onError: (error: unknown) => void;
}

/** An open answer of HTTP. */
export interface Watcher {
  /** Never blocks. */
  write(text: string): void;
  /** Written, and not yet taken by the network. */
  readonly unreadBytes: number;
  /** After what is written has been read. */
  end(): void;
  /** Now. */
  cutOff(): void;
}

/** `/live.json`. */
export interface LiveSnapshot {
  readonly facts: LiveFacts;
  readonly windowSec: number;
  readonly frame: LiveFrame;
}

export class LiveFeed {
  readonly #options: LiveFeedOptions;
  readonly #view: LiveView;
  readonly #watchers = new Set<Watcher>();
  readonly #readings: LiveReading[] = [];
  readonly #points: LivePoint[] = [];
  #last: LiveFrame | null = null;
  #hops: readonly ListedHop[] | null = null;
  #isAskingForHops = false;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: LiveFeedOptions) {
    this.#options = options;
    this.#view = options.view;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Sends `watcher` the beginning, and then every frame until `remove`. False: too many watch, and nothing was written. Throws if the
   *  first reading fails. */
  add(watcher: Watcher): boolean {
    if (this.#isClosed || this.#watchers.size >= MAX_WATCHERS) {
      this.#view.noteRefused();
      return false;
    }
    if (this.#timer === null) this.#begin();
    this.#watchers.add(watcher);
    watcher.write(eventText('hello', this.#hello()));
    watcher.write(eventText('frame', this.#last!));
    return true;
  }

  /** May be called again. */
  remove(watcher: Watcher): void {
    if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#rest();
  }

  /** A frame with its rates, for which it may take a second to compare two readings. null: too many watch, or the server stops. */
  snapshot(): Promise<LiveSnapshot | null> {
    return new Promise((resolve) => {
      const watcher: Watcher = {
        unreadBytes: 0,
        write: () => {
          const frame = this.#last!;
          if (frame.point === null) return;
          this.remove(watcher);
          resolve({ facts: this.#view.facts, windowSec: WINDOW_SEC, frame });
        },
        end: () => resolve(null),
        cutOff: () => resolve(null),
      };
      if (!this.add(watcher)) resolve(null);
    });
  }

  /** Tells everybody that the server stops. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const watcher of this.#watchers) {
      watcher.write(eventText('bye', {}));
      watcher.end();
    }
    this.#watchers.clear();
    if (this.#timer !== null) this.#rest();
  }

  #begin(): void {
    this.#view.watch();
    try {
      this.#tick();
    } catch (error) {
      this.#view.rest();
      throw error;
    }
    this.#timer = setInterval(() => {
      try {
        this.#tick();
      } catch (error) {
        this.#fail(error);
      }
    }, INTERVAL_MS);
    this.#timer.unref();
  }

  /** A page is no reason to take the server down: the thread goes on, the pages come back by themselves. */
  #fail(error: unknown): void {
    this.#options.onError(error);
    for (const watcher of this.#watchers) watcher.cutOff();
    this.#watchers.clear();
    this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer!);
    this.#timer = null;
    // What they would be compared with later is too long ago to be a rate of anything.
    this.#readings.length = 0;
    this.#view.rest();
  }

  #tick(): void {
    const readings = this.#readings;
    readings.push(this.#view.read());
    if (readings.length > WINDOW_READINGS + 1) readings.shift();
    const frame = frameOf(readings, {
      startedAtMs: this.#view.facts.startedAtMs,
      // The first one is about to be added.
      watchers: Math.max(1, this.#watchers.size),
      errors: this.#options.recentErrors(MAX_ERRORS),
      hops: this.#hops,
    });
    this.#askForHops();
    this.#last = frame;
    if (frame.point !== null) this.#points.push(frame.point);
    if (this.#points.length > MAX_POINTS) this.#points.shift();
    const text = eventText('frame', frame);
    for (const watcher of this.#watchers) this.#send(watcher, text);
  }

  /** For the next frame. One question at a time: a shard that is busy is not asked again and again. */
  #askForHops(): void {
    if (this.#isAskingForHops) return;
    this.#isAskingForHops = true;
    const settle = (hops: readonly ListedHop[] | null) => {
      this.#hops = hops;
      this.#isAskingForHops = false;
    };
    this.#view.hops().then(settle, () => settle(null));
  }

  #send(watcher: Watcher, text: string): void {
    if (watcher.unreadBytes <= MAX_UNREAD_BYTES) {
      watcher.write(text);
      return;
    }
    this.#view.noteCutOff();
    watcher.cutOff();
    this.remove(watcher);
  }

  #hello(): LiveHello {
    const { pageVersion, firstCall } = this.#options;
    return {
      facts: this.#view.facts,
      pageVersion,
      firstCall,
      intervalMs: INTERVAL_MS,
      windowSec: WINDOW_SEC,
      points: this.#points,
    };
  }
}

function eventText(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
