/** The snapshots of a shard that are in use (snapshot.ts): the current one, which everything new begins with, and those that were
 *  current before, as long as something belongs to them. Runs on the shard. Exchanging them is cold; `of` is hot where there are no
 *  transactions.
 *
 *  Stateful, each transaction's record has the number of its snapshot (transaction-layer.ts), which goes when the last of its
 *  transactions is over. Stateless (RFC 3261 16.11), an old snapshot serves the requests whose transactions it has seen, for as
 *  long as a transaction may last: until its Timer C and 64 × T1 after that.
 *
 *  Where more than MAX_EARLIER are in use, transactions of the oldest go on with the next younger one. */

import { SNAPSHOT_NUMBERS } from '../transaction/transaction-records.ts';
import type { ElementClock } from './ports.ts';
import { RecentTransactions, type TransactionSet } from './proxy/recent-transactions.ts';
import type { TransactionLayer } from './proxy/transaction-layer.ts';
import { type Policy, Snapshot, type SnapshotParts } from './snapshot.ts';

/** Snapshots in use beside the current one. */
const MAX_EARLIER = 15;

interface Earlier {
  readonly snapshot: Snapshot;
  /** Numbers that stand for it. Stateful. */
  numbers: readonly number[];
  /** What it has seen, and until when that counts. Stateless. */
  readonly seen: TransactionSet | null;
  readonly untilMs: number;
}

export class Snapshots {
  current: Snapshot;
  readonly #parts: SnapshotParts;
  readonly #layer: TransactionLayer | null;
  readonly #clock: ElementClock;
  readonly #recent: RecentTransactions | null;
  /** The number of the current one. */
  #number = 0;
  /** The oldest first. */
  #earlier: Earlier[] = [];

  /** `layer`: null in stateless mode. */
  constructor(parts: SnapshotParts, policy: Policy, layer: TransactionLayer | null) {
    this.#parts = parts;
    this.#layer = layer;
    this.#clock = parts.clock;
    this.#recent = layer === null ? new RecentTransactions() : null;
    this.current = new Snapshot(parts, policy, layer, null);
    this.#begin(0);
  }

  /** How many are in use. */
  get count(): number {
    return 1 + this.#earlier.length;
  }

  /** What is new begins with this policy from now on. Not within a datagram. */
  use(policy: Policy): void {
    const before = this.current;
    this.current = new Snapshot(this.#parts, policy, this.#layer, before);
    this.#retire(before);
    this.#release();
    if (this.#earlier.length > MAX_EARLIER) this.#dropOldest();
    this.#begin(this.#freeNumber());
  }

  /** Lets go of snapshots that nothing belongs to any more. Once per duty cycle: allocates nothing where there are none. */
  releaseUnused(): void {
    const earlier = this.#earlier;
    for (let i = 0; i < earlier.length; i++) {
      if (this.#isUsed(earlier[i]!)) continue;
      this.#release();
      return;
    }
  }

  #isUsed({ numbers, untilMs }: Earlier): boolean {
    const layer = this.#layer;
    if (layer === null) return this.#clock.nowMs < untilMs;
    for (let i = 0; i < numbers.length; i++) if (layer.servers.countWith(numbers[i]!) > 0) return true;
    return false;
  }

  /** Afterwards no snapshot has a number that no transaction has. */
  #release(): void {
    const layer = this.#layer;
    this.#earlier = this.#earlier.filter((earlier) => {
      if (layer !== null) earlier.numbers = earlier.numbers.filter((number) => layer.servers.countWith(number) > 0);
      const isUsed = this.#isUsed(earlier);
      if (!isUsed) earlier.snapshot.release();
      return isUsed;
    });
  }

  /** When `releaseUnused` will find something though no transaction ends; Infinity: never. */
  nextReleaseMs(): number {
    return this.#earlier.length === 0 ? Number.POSITIVE_INFINITY : this.#earlier[0]!.untilMs;
  }

  /** Without transactions: the snapshot for a request with this key. `isNew`: false for one that has waited. */
  of(high: number, low: number, isNew: boolean): Snapshot {
    if (this.#earlier.length > 0) {
      const earlier = this.#earlierOf(high, low);
      if (earlier !== null) return earlier;
    }
    if (isNew) this.#recent!.note(high, low);
    return this.current;
  }

  #earlierOf(high: number, low: number): Snapshot | null {
    for (let i = this.#earlier.length - 1; i >= 0; i--) {
      const { seen, snapshot, untilMs } = this.#earlier[i]!;
      if (seen!.has(high, low)) return this.#clock.nowMs < untilMs ? snapshot : null;
    }
    return null;
  }

  #begin(number: number): void {
    const layer = this.#layer;
    const { stateful, templates } = this.current;
    this.#number = number;
    if (layer === null) return;
    layer.begin(number, stateful!, templates);
    for (const { numbers, snapshot } of this.#earlier) for (const one of numbers) layer.assign(one, snapshot.stateful!);
  }

  #retire(snapshot: Snapshot): void {
    const { t1Ms, timerCSec } = snapshot.config.timers;
    const isStateful = this.#layer !== null;
    this.#earlier.push({
      snapshot,
      numbers: isStateful ? [this.#number] : [],
      seen: this.#recent === null ? null : this.#recent.take(),
      untilMs: isStateful ? Number.POSITIVE_INFINITY : this.#clock.nowMs + timerCSec * 1000 + 64 * t1Ms,
    });
  }

  /** A number that no transaction has. */
  #freeNumber(): number {
    const layer = this.#layer;
    if (layer === null) return 0;
    for (let number = 0; number < SNAPSHOT_NUMBERS; number++) {
      if (layer.servers.countWith(number) === 0) return number;
    }
    // As many reloads as there are numbers while calls of each of them run: those of the last one go on with the new one.
    this.current.inherit(this.#earlier.pop()!.snapshot);
    return this.#number;
  }

  #dropOldest(): void {
    const oldest = this.#earlier.shift()!;
    const heir = this.#earlier[0]!;
    if (this.#layer === null) {
      oldest.snapshot.release();
      return;
    }
    heir.numbers = [...oldest.numbers, ...heir.numbers];
    heir.snapshot.inherit(oldest.snapshot);
  }
}
