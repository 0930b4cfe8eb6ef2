/** Where HA1s come from when there is a directory: first the table of the configuration and its files, then what the directory
 *  said lately, and else the directory is asked while the request waits. Runs on the shard, once per request that is
 *  authenticated. A user of the table costs nothing; others a string or two.
 *
 *  | what                                           | answer                                    |
 *  |------------------------------------------------|-------------------------------------------|
 *  | in the table, or known for `cacheSec`          | FOUND                                     |
 *  | no such user, known for `absentSec`            | ABSENT                                    |
 *  | being looked for, once however many ask        | PENDING, until `whenKnown`                |
 *  | looked for in vain within FAILED_MS            | UNAVAILABLE: who waited must not ask anew |
 *  | `maxPending` users being looked for            | UNAVAILABLE                               |
 *  | FAILURES in a row, for REST_MS, then one trial | UNAVAILABLE                               | */

import { type Algorithm, DIGEST_BYTES } from '../../auth/algorithms.ts';
import { MAX_USERNAME_BYTES } from '../../auth/credential-table.ts';
import type { Text } from '../../auth/digest-credentials.ts';
import { HA1, type Ha1Answer, type Ha1Source } from '../../auth/ha1-source.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { TimedCache } from './timed-cache.ts';
import type { Ha1s, UserLookup } from './user-lookup.ts';

export const FAILURES = 5;
export const REST_MS = 1000;
export const FAILED_MS = 500;
/** Users remembered. Apart, so that made-up names do not drive out real ones. */
const MAX_KNOWN = 65_536;
const MAX_ABSENT = 16_384;

export interface DirectorySettings {
  /** How long one look-up may take. */
  readonly timeoutMs: number;
  /** How long a user is remembered, and how long that there is none. */
  readonly cacheSec: number;
  readonly absentSec: number;
  /** Users looked for at once. */
  readonly maxPending: number;
}

export interface LookedUpUsersParts {
  readonly table: Ha1Source;
  readonly directory: UserLookup;
  /** Names, by realm number. */
  readonly realms: readonly string[];
  readonly settings: DirectorySettings;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** The directory has failed FAILURES times in a row, for the last time like this. */
  readonly onTrouble: (error: unknown) => void;
  /** It answers again. */
  readonly onRecovery: () => void;
}

export class LookedUpUsers implements Ha1Source {
  readonly #parts: LookedUpUsersParts;
  readonly #known = new TimedCache<Ha1s>(MAX_KNOWN);
  readonly #absent = new TimedCache<true>(MAX_ABSENT);
  readonly #failed = new TimedCache<true>(MAX_ABSENT);
  readonly #pending = new Map<string, { readonly known: Promise<void>; readonly abort: AbortController }>();
  readonly #breaker = new CircuitBreaker(FAILURES, REST_MS);
  /** The look-up that the last PENDING was about. */
  #asked: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: LookedUpUsersParts) {
    this.#parts = parts;
  }

  lookup(realm: number, text: Text, start: number, end: number, algorithm: Algorithm, target: Uint8Array): Ha1Answer {
    const { table, realms } = this.#parts;
    return this.#lookUpIn(table, realms, realm, text, start, end, algorithm, target);
  }

  /** The same directory behind another table, for another configuration. `realms`: names, by realm number. */
  behind(table: Ha1Source, realms: readonly string[]): Ha1Source {
    return {
      lookup: (realm, text, start, end, algorithm, target) =>
        this.#lookUpIn(table, realms, realm, text, start, end, algorithm, target),
    };
  }

  #lookUpIn(
    table: Ha1Source,
    realms: readonly string[],
    realm: number,
    text: Text,
    start: number,
    end: number,
    algorithm: Algorithm,
    target: Uint8Array,
  ): Ha1Answer {
    const inTable = table.lookup(realm, text, start, end, algorithm, target);
    if (inTable !== HA1.ABSENT || end - start > MAX_USERNAME_BYTES) return inTable;
    // Copied: shared memory cannot be decoded.
    const user = Buffer.from(text.bytes.slice(start, end)).toString('utf8');
    if (!isUserName(user)) return HA1.ABSENT;
    return this.#lookUp(realms[realm]!, user, algorithm, target);
  }

  /** Settles, and never rejects, once it is known what the last `lookup` said PENDING about. */
  whenKnown(): Promise<void> {
    return this.#asked;
  }

  /** What is being looked for becomes UNAVAILABLE, and so does everything that is asked from now on. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { abort } of this.#pending.values()) abort.abort(new Error('the directory was closed'));
    await this.#parts.directory.close();
  }

  #lookUp(realm: string, user: string, algorithm: Algorithm, target: Uint8Array): Ha1Answer {
    const nowMs = this.#parts.nowMs();
    const key = `${realm}\0${user}`;
    const ha1s = this.#known.get(key, nowMs);
    if (ha1s !== undefined) return copyHa1(ha1s[algorithm], algorithm, target);
    if (this.#absent.get(key, nowMs) === true) return HA1.ABSENT;
    if (this.#failed.get(key, nowMs) === true) return HA1.UNAVAILABLE;
    const pending = this.#pending.get(key);
    if (pending !== undefined) {
      this.#asked = pending.known;
      return HA1.PENDING;
    }
    const isFull = this.#pending.size >= this.#parts.settings.maxPending;
    if (this.#isClosed || isFull || !this.#breaker.mayTry(nowMs)) return HA1.UNAVAILABLE;
    const abort = new AbortController();
    const known = this.#ask(key, realm, user, abort);
    this.#pending.set(key, { known, abort });
    this.#asked = known;
    return HA1.PENDING;
  }

  async #ask(key: string, realmName: string, user: string, abort: AbortController): Promise<void> {
    const { directory, settings, nowMs, onTrouble, onRecovery } = this.#parts;
    const { timeoutMs, cacheSec, absentSec } = settings;
    const deadline = setTimeout(() => abort.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      const find = async () => directory.find(realmName, user, abort.signal);
      const ha1s = await unlessAborted(find(), abort.signal);
      if (ha1s === null) this.#absent.set(key, true, nowMs() + absentSec * 1000);
      else this.#known.set(key, ha1s, nowMs() + cacheSec * 1000);
      if (this.#breaker.succeeded()) onRecovery();
    } catch (error) {
      this.#failed.set(key, true, nowMs() + FAILED_MS);
      if (this.#breaker.failed(nowMs()) && !this.#isClosed) onTrouble(error);
    } finally {
      clearTimeout(deadline);
      this.#pending.delete(key);
    }
  }
}

/** NUL is in no text of a database, and U+FFFD stands for what is not UTF-8. */
function isUserName(text: string): boolean {
  return text !== '' && !text.includes('\0') && !text.includes('\ufffd');
}

function copyHa1(ha1: Uint8Array | null, algorithm: Algorithm, target: Uint8Array): Ha1Answer {
  if (ha1 === null) return HA1.ABSENT;
  for (let i = 0; i < DIGEST_BYTES[algorithm]; i++) target[i] = ha1[i]!;
  return HA1.FOUND;
}

/** Keeps a deadline whatever `work` makes of it. */
function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}
