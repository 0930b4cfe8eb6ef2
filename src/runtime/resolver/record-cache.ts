/** What is known of names, by kind of record, bounded. Runs on the shard. A hit is hot: it allocates nothing. */

import type { Address } from './host-addresses.ts';
import { rulesWithoutNaptr, type ServiceRule, type SrvTarget, serviceNamesOf } from './service-records.ts';

/** An answer that ran out is served for so long if no other is to be had (RFC 8767). */
const STALE_SEC = 86_400;

export const KIND = { NAPTR: 0, SRV: 1, A: 2, AAAA: 3 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

export const KNOWN = {
  NOTHING: 0,
  PRESENT: 1,
  /** The name, or a record of this kind, does not exist. */
  ABSENT: 2,
  /** No answer in time, or none that the server could give. */
  FAILED: 3,
  /** Nothing, and no query could be made to change it. Never in a set. */
  REFUSED: 4,
} as const;
export type Known = (typeof KNOWN)[keyof typeof KNOWN];

/** What a query brought. Lists other than that of its kind are left out. */
export interface Answer {
  readonly known: Known;
  readonly ttlSec: number;
  readonly rules?: readonly ServiceRule[];
  readonly targets?: readonly SrvTarget[];
  readonly addresses?: readonly Address[];
}

const NONE: readonly never[] = [];

/** The records of one kind that one name has, or what else is known about them. */
export class RecordSet {
  readonly kind: Kind;
  readonly name: string;
  known: Known = KNOWN.NOTHING;
  /** Of a NAPTR set: what to look up, at any time. Without NAPTR records, that is SRV records. */
  rules: readonly ServiceRule[];
  targets: readonly SrvTarget[] = NONE;
  addresses: readonly Address[] = NONE;
  /** Until then nobody asks again. */
  freshUntilMs = Number.NEGATIVE_INFINITY;
  /** Until then what is known is served although a new answer is due. */
  staleUntilMs = Number.NEGATIVE_INFINITY;
  /** Settles when a query on its way was answered or given up; null: none is. Looked at by all who wait for the name. */
  query: Promise<void> | null = null;
  /** Of a NAPTR set: its name is in the hosts file or is an address, so nothing but that counts. */
  isLocal = false;
  /** Of a NAPTR set, by TRANSPORT: the names of its SRV records. */
  readonly serviceNames: readonly string[];
  /** Asked for since the last time the cache looked for something to drop. */
  isUsed = true;
  readonly #rulesWithoutNaptr: readonly ServiceRule[];

  /** `transports`: those that are supported. */
  constructor(kind: Kind, name: string, transports: readonly number[]) {
    this.kind = kind;
    this.name = name;
    this.serviceNames = kind === KIND.NAPTR ? serviceNamesOf(name) : NONE;
    this.#rulesWithoutNaptr = kind === KIND.NAPTR ? rulesWithoutNaptr(name, transports) : NONE;
    this.rules = this.#rulesWithoutNaptr;
  }

  /** Records outlive a failure to get newer ones. So does, of NAPTR, that there are none or that no answer came: most
   *  domains have none and some name servers never say so, and their calls would wait for it again and again. */
  learn(answer: Answer, nowMs: number): void {
    const freshUntilMs = nowMs + answer.ttlSec * 1000;
    this.freshUntilMs = freshUntilMs;
    if (answer.known === KNOWN.FAILED && this.known === KNOWN.PRESENT && nowMs < this.staleUntilMs) return;
    const isServedStale = answer.known === KNOWN.PRESENT || this.kind === KIND.NAPTR;
    this.staleUntilMs = isServedStale ? freshUntilMs + STALE_SEC * 1000 : freshUntilMs;
    this.#take(answer);
  }

  /** What needs no name server and never changes. */
  learnForGood(answer: Omit<Answer, 'ttlSec'>): void {
    this.freshUntilMs = Number.POSITIVE_INFINITY;
    this.#take({ ...answer, ttlSec: 0 });
  }

  #take(answer: Answer): void {
    this.known = answer.known;
    this.rules = answer.rules ?? this.#rulesWithoutNaptr;
    this.targets = answer.targets ?? NONE;
    this.addresses = answer.addresses ?? NONE;
  }
}

/** Record sets of one kind by name, bounded. Which to drop is found by second chance: a walk in order of arrival spares
 *  what was used since the last walk, once. That is nearly least-recently-used, and a hit costs one store. */
export class RecordCache {
  readonly kind: Kind;
  readonly #sets = new Map<string, RecordSet>();
  readonly #maxNames: number;
  readonly #transports: readonly number[];
  evicted = 0;

  constructor(kind: Kind, maxNames: number, transports: readonly number[] = NONE) {
    this.kind = kind;
    this.#maxNames = maxNames;
    this.#transports = transports;
  }

  get(name: string): RecordSet | undefined {
    return this.#sets.get(name);
  }

  add(name: string): RecordSet {
    if (this.#sets.size >= this.#maxNames) this.#dropOne();
    const set = new RecordSet(this.kind, name, this.#transports);
    this.#sets.set(name, set);
    return set;
  }

  /** Has everything that is known be asked for again at its next use; where it may be, it is served until an answer comes. What
   *  needs no name server stays. */
  expire(nowMs: number): void {
    for (const set of this.#sets.values()) {
      if (set.freshUntilMs !== Number.POSITIVE_INFINITY) set.freshUntilMs = Math.min(set.freshUntilMs, nowMs);
    }
  }

  /** Forgets everything but what is being asked for. */
  clear(): void {
    for (const [name, { query }] of this.#sets) if (query === null) this.#sets.delete(name);
  }

  #dropOne(): void {
    for (const [name, set] of this.#sets) {
      this.#sets.delete(name);
      if (!set.isUsed && set.query === null) {
        this.evicted++;
        return;
      }
      set.isUsed = false;
      this.#sets.set(name, set);
    }
  }
}
