/** Which next hops rest after a failure (RFC 3263 4.3, RFC 3261 21.5.4): a shard's own view of them, by the `id` of NextHop.
 *  Runs on the shard. Hot: once per request, allocates nothing. */

import { assert } from '../../base/assert.ts';
import { parseIpAddress } from '../../sip/ip-address.ts';
import { parseUri, transportAskedBy, UriView } from '../../sip/uri.ts';

/** Where a next hop is. */
export interface HopPlace {
  /** The same for the same URI in all lists and snapshots of the configuration, so that all of them learn of its failure. */
  readonly id: number;
  readonly uri: string;
  /** The host of the URI or its maddr, for the resolver. */
  readonly host: string;
  /** −1: none given. */
  readonly port: number;
  /** 4 or 6 for an address, 0 for a name. */
  readonly family: number;
  /** One of TRANSPORT; NONE: none given. */
  readonly transport: number;
  /** The address in network order. */
  readonly words: Int32Array;
}

interface KnownHop {
  readonly place: HopPlace;
  users: number;
}

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
  readonly #byUri = new Map<string, KnownHop>();
  readonly #freeIds: number[] = [];
  /** Ids are below it. */
  count = 0;

  /** How many URIs are in use. */
  get size(): number {
    return this.#byUri.size;
  }

  /** The place that a URI of the configuration stands for, until `release`; so many of these as of `take`. */
  take(uri: string): HopPlace {
    const known = this.#byUri.get(uri);
    if (known !== undefined) {
      known.users++;
      return known.place;
    }
    const id = this.#freeIds.pop() ?? this.count++;
    const place = readPlace(uri, id);
    this.#byUri.set(uri, { place, users: 1 });
    this.#makeRoom();
    this.restEndMs[id] = Number.NEGATIVE_INFINITY;
    this.failures[id] = 0;
    return place;
  }

  release(uri: string): void {
    const known = this.#byUri.get(uri);
    assert(known !== undefined, 'a next hop is released that nobody has');
    if (--known.users > 0) return;
    this.#byUri.delete(uri);
    this.#freeIds.push(known.place.id);
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
    return [...this.#byUri.values()].map(({ place: { uri, id } }) => ({
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

// A configuration may have ten thousand next hops: one buffer to read them all in.
const MAX_URI_BYTES = 1024;
const uriBytes = new Uint8Array(new SharedArrayBuffer(MAX_URI_BYTES));
const addressWords = new Int32Array(new SharedArrayBuffer(16));
const view = new UriView();
const encoder = new TextEncoder();

/** The URI has passed the configuration's checks. */
function readPlace(uri: string, id: number): HopPlace {
  const text = encoder.encode(uri);
  assert(text.length <= MAX_URI_BYTES, 'a next hop of the configuration is too long');
  uriBytes.set(text);
  assert(parseUri(uriBytes, 0, text.length, view) >= 0, 'a next hop of the configuration is no URI');
  const hasMaddr = view.maddrStart !== -1;
  const start = hasMaddr ? view.maddrStart : view.hostStart;
  const end = hasMaddr ? view.maddrEnd : view.hostEnd;
  addressWords.fill(0);
  const family = parseIpAddress(uriBytes, start, end, addressWords, 0);
  const transport = transportAskedBy(view);
  const host = uri.slice(start, end);
  return { id, uri, host, transport, port: view.port, family, words: new Int32Array(addressWords) };
}
