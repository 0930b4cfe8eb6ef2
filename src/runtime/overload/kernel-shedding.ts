/** While every shard has too much to do, the kernel drops a share of the new INVITEs at the sockets (invite-filter.ts): what is taken
 *  off a socket only to be dropped costs a tenth of a call, which is much where most are dropped. Belongs to the thread of the
 *  intake. Cold: asked once per round while it is on, else never. */

import type { Arena } from '../../memory/arena.ts';
import { DISPATCHER } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import type { FilteringKernel } from '../intake-kernel.ts';
import { type DroppingSocket, FilterDrops } from './filter-drops.ts';
import { InviteFilter } from './invite-filter.ts';
import { PassShare } from './pass-share.ts';

/** Between two looks at the queue. */
const LEAST_LOOK_MS = 20;
const MOST_LOOK_MS = 100;
/** And as long, within these limits, as it takes to serve this many times what is to wait. */
const LOOK_TARGETS = 4;
/** A share that differs by less (its logarithm) stays as it is: the kernel compiles the program anew each time, which takes almost a
 *  millisecond. */
const LEAST_CHANGE = 0.1;

export interface KernelSheddingParts {
  readonly arena: Arena;
  readonly counters: Counters;
  readonly sockets: readonly DroppingSocket[];
  /** Slots queued at a shard above which it has too much to do. */
  readonly mark: number;
  readonly kernel: FilteringKernel;
}

/** Takes away what another has left at the sockets, in this process or before. */
export function removeFilters(sockets: readonly DroppingSocket[], { setFilter }: FilteringKernel): void {
  for (const { socket } of sockets) setFilter(socket, null);
}

export class KernelShedding {
  readonly mark: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #sheddingWord: number;
  readonly #counters: Counters;
  readonly #sockets: readonly DroppingSocket[];
  readonly #kernel: FilteringKernel;
  readonly #drops: FilterDrops;
  readonly #filter = new InviteFilter();
  readonly #passing: PassShare;
  /** As the kernel knows it; 1: without a filter. */
  #share = 1;
  #lookedMs = 0;
  #takenBefore = 0;
  /** The sockets are another process's, or not yet ours. */
  #isIdle = true;
  #isRefused = false;

  constructor({ arena, counters, sockets, mark, kernel }: KernelSheddingParts) {
    this.mark = mark;
    this.#words = arena.words;
    this.#sheddingWord = (arena.map.dispatcher >> 2) + DISPATCHER.SHEDDING_WORD;
    this.#counters = counters;
    this.#sockets = sockets;
    this.#kernel = kernel;
    this.#drops = new FilterDrops(arena, sockets, kernel);
    this.#passing = new PassShare(mark);
  }

  /** The kernel drops some. */
  get isOn(): boolean {
    return this.#share < 1;
  }

  /** No longer than until the next look: who is dropped wakes nobody. */
  bounded(waitMs: number): number {
    return this.isOn && (waitMs < 0 || waitMs > MOST_LOOK_MS) ? MOST_LOOK_MS : waitMs;
  }

  /** The sockets are this thread's. */
  start(): void {
    this.#isIdle = false;
    this.#allowAll();
  }

  /** They are another's from now on, who finds no filter there. */
  stop(): void {
    if (this.#isIdle) return;
    this.#allowAll();
    this.#isIdle = true;
    this.#drops.begin();
  }

  /** `depth`: what waits for the shard that has the least. `taken`: what shards
   *  have taken so far, on an average; it may begin anew. */
  look(depth: number, taken: number, nowMs: number): void {
    if (!this.isOn) {
      if (this.#isIdle || this.#isRefused || depth <= this.mark) return;
      this.#passing.begin(depth);
    } else {
      const elapsedMs = nowMs - this.#lookedMs;
      const isDue =
        elapsedMs >= MOST_LOOK_MS ||
        (elapsedMs >= LEAST_LOOK_MS && taken - this.#takenBefore >= LOOK_TARGETS * this.#passing.target);
      if (!isDue) return;
      this.#count();
      this.#passing.correct(depth);
    }
    this.#lookedMs = nowMs;
    this.#takenBefore = taken;
    const { share } = this.#passing;
    if (share === 1) this.#allowAll();
    else if (Math.abs(Math.log(share / this.#share)) >= LEAST_CHANGE) this.#allow(share);
  }

  #allow(share: number): void {
    this.#drops.begin();
    this.#filter.share = 1 - share;
    for (const { socket } of this.#sockets) {
      if (this.#kernel.setFilter(socket, this.#filter.program) === 0) continue;
      // It would say the same the next time.
      this.#isRefused = true;
      this.#counters.count(COUNTER.filters_refused_total);
      this.#allowAll();
      return;
    }
    this.#share = share;
    this.#words[this.#sheddingWord] = 1;
  }

  #allowAll(): void {
    this.#share = 1;
    this.#words[this.#sheddingWord] = 0;
    removeFilters(this.#sockets, this.#kernel);
    this.#count();
    this.#drops.end();
  }

  #count(): void {
    this.#counters.add(COUNTER.filtered_requests_total, this.#drops.look());
  }
}
