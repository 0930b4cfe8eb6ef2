/** Which next hops rest after a failure (RFC 3263 4.3, RFC 3261 21.5.4): a shard's own view of them, by the `id` of NextHop.
 *  Runs on the shard. Hot: once per request, allocates nothing. */

import { assert } from '../../base/assert.ts';

/** What a shard has seen of a next hop. */
export interface ListedHop {
  readonly uri: string;
  /** 0: it does not rest. */
  readonly restsForMs: number;
  /** Since the shard began, or since the hop was first configured. */
  readonly failures: number;
  /** Since the last of them; null: there was none. */
  readonly failedAgoMs: number | null;
}

/** The next hops of all snapshots of a shard that are in use: the same URI has the same id in all of them, so that a reload
 *  forgets no failure and what an old snapshot notices all others know. Cold, but for the times. */
export class KnownHops {
  /** When the rest of each next hop ends, in ms; by id. */
  restEndMs = new Float64Array(0);
  /** How often each has failed, and when it did last. */
  failures = new Float64Array(0);
  failedMs = new Float64Array(0);
  readonly #byUri = new Map<string, { readonly id: number; users: number }>();
  readonly #freeIds: number[] = [];
  /** Ids are below it. */
  count = 0;

  /** How many URIs are in use. */
  get size(): number {
    return this.#byUri.size;
  }

  /** The id of a URI, until `release`; so many of these as of `take`. */
  take(uri: string): number {
    const known = this.#byUri.get(uri);
    if (known !== undefined) {
      known.users++;
      return known.id;
    }
    const id = this.#freeIds.pop() ?? this.count++;
    this.#byUri.set(uri, { id, users: 1 });
    this.#makeRoom();
    this.restEndMs[id] = Number.NEGATIVE_INFINITY;
    this.failures[id] = 0;
    return id;
  }

  release(uri: string): void {
    const known = this.#byUri.get(uri);
    assert(known !== undefined, 'a next hop is released that nobody has');
    if (--known.users > 0) return;
    this.#byUri.delete(uri);
    this.#freeIds.push(known.id);
  }

  #makeRoom(): void {
    if (this.count <= this.restEndMs.length) return;
    const length = Math.max(this.count, 2 * this.restEndMs.length);
    this.restEndMs = lengthened(this.restEndMs, length);
    this.failures = lengthened(this.failures, length);
    this.failedMs = lengthened(this.failedMs, length);
  }

  /** For operators. */
  list(nowMs: number): ListedHop[] {
    return [...this.#byUri].map(([uri, { id }]) => ({
      uri,
      restsForMs: Math.max(0, this.restEndMs[id]! - nowMs),
      failures: this.failures[id]!,
      failedAgoMs: this.failures[id] === 0 ? null : nowMs - this.failedMs[id]!,
    }));
  }
}

function lengthened(values: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(values);
  return larger;
}

export class HopHealth {
  readonly #known: KnownHops;
  readonly #restMs: number;

  /** With a `restMs` of 0 none ever rests. */
  constructor(known: KnownHops, restMs: number) {
    assert(restMs >= 0, 'restMs out of range');
    this.#known = known;
    this.#restMs = restMs;
  }

  /** It timed out, was unreachable or answered 503: it rests from now on. `nowMs` is of a clock that neither goes back
   *  nor wraps. */
  fail(id: number, nowMs: number): void {
    assert(id < this.#known.count, 'no such next hop');
    this.#known.restEndMs[id] = nowMs + this.#restMs;
    this.#known.failures[id]!++;
    this.#known.failedMs[id] = nowMs;
  }

  /** It answered: its rest, if any, is over. */
  recover(id: number): void {
    assert(id < this.#known.count, 'no such next hop');
    this.#known.restEndMs[id] = Number.NEGATIVE_INFINITY;
  }

  isResting(id: number, nowMs: number): boolean {
    return nowMs < this.#known.restEndMs[id]!;
  }
}
