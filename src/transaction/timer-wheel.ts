/** A hashed timer wheel: O(1) to start and to cancel, no allocation, as many timers as records. Runs on the shard. Hot.
 *
 *  Time is cut into ticks; a timer hangs in the list of its deadline's tick modulo the wheel's size, and one of a later
 *  revolution stays there until its turn comes. A bitmap of the lists that are not empty says where to look next. */

import { assert } from '../base/assert.ts';

/** Lists of the wheel: at 10 ms a tick, 41 s, longer than all timers of a transaction but Timer C. */
const SLOTS = 4096;
const SLOT_MASK = SLOTS - 1;
/** In place of a timer. */
const NONE = 0;
/** In place of a list: the timer does not run. */
const STOPPED = 0;
/** A small integer, not Infinity: counting that down allocates a number for each timer that fires, unless V8 inlines the
 *  call. */
const UNLIMITED = 0x7fffffff;

export class TimerWheel {
  readonly #tickMs: number;
  readonly #startMs: number;
  /** First timer + 1 of each list. */
  readonly #heads = new Int32Array(SLOTS);
  /** Bit per list: it is not empty. */
  readonly #occupied = new Int32Array(SLOTS / 32);
  // By timer: next + 1, previous + 1, tick of the deadline (low 32 bits: 248 days at 10 ms), list + 1.
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #tick: Int32Array;
  readonly #slot: Int16Array;
  /** All ticks up to this one have been looked at, or are being. */
  #now = 0;
  /** The timer to look at after the one that fires, moved on if it is taken out meanwhile. */
  #cursor = NONE;
  count = 0;

  /** Timers are known by ids from 0 to `capacity` − 1, which their owner chooses. */
  constructor(capacity: number, tickMs: number, nowMs: number) {
    this.#tickMs = tickMs;
    // Whole, so that `nextDeadlineMs` is exact: a sum rounded down would be announced again and again.
    this.#startMs = Math.floor(nowMs);
    this.#next = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#tick = new Int32Array(capacity);
    this.#slot = new Int16Array(capacity);
  }

  isRunning(id: number): boolean {
    return this.#slot[id] !== STOPPED;
  }

  /** Starts a timer, or starts it anew. It fires at the first `advance` at or after its deadline, a tick late at most. */
  start(id: number, deadlineMs: number): void {
    assert(id >= 0 && id < this.#slot.length, 'a timer beyond the capacity of its wheel');
    if (this.#slot[id] !== STOPPED) this.#unlink(id);
    let tick = Math.ceil((deadlineMs - this.#startMs) / this.#tickMs);
    if (tick <= this.#now) tick = this.#now + 1;
    const slot = tick & SLOT_MASK;
    const head = this.#heads[slot]!;
    this.#tick[id] = tick;
    this.#slot[id] = slot + 1;
    this.#previous[id] = NONE;
    this.#next[id] = head;
    if (head !== NONE) this.#previous[head - 1] = id + 1;
    else this.#occupied[slot >> 5]! |= 1 << (slot & 31);
    this.#heads[slot] = id + 1;
    this.count++;
  }

  cancel(id: number): void {
    if (this.#slot[id] !== STOPPED) this.#unlink(id);
  }

  /** Fires what is due, tick by tick; `fire` may start and cancel any timer. True: `limit` timers have fired and more may be
   *  due. */
  advance(nowMs: number, fire: (id: number) => void, limit = UNLIMITED): boolean {
    const target = Math.floor((nowMs - this.#startMs) / this.#tickMs);
    let left = limit;
    while (this.#now < target) {
      if (this.count === 0) {
        this.#now = target;
        return false;
      }
      const slot = (this.#now + 1) & SLOT_MASK;
      if (this.#occupied[slot >> 5] === 0) {
        // Nothing in this word of the bitmap, nor before its end.
        this.#now = Math.min(target, this.#now + 32 - (slot & 31));
        continue;
      }
      this.#cursor = this.#heads[slot]!;
      // Before anything fires: what is started late meanwhile goes to the next list, since the cursor is past its place here.
      const due = ++this.#now;
      while (this.#cursor !== NONE) {
        const id = this.#cursor - 1;
        this.#cursor = this.#next[id]!;
        if (((this.#tick[id]! - due) | 0) > 0) continue;
        if (left-- <= 0) {
          this.#now = due - 1;
          return true;
        }
        this.#unlink(id);
        fire(id);
      }
    }
    return false;
  }

  /** When something may be due, exactly or too early by whole revolutions; Infinity without timers. */
  nextDeadlineMs(): number {
    if (this.count === 0) return Number.POSITIVE_INFINITY;
    const first = this.#now + 1;
    for (let ahead = 0; ahead <= SLOTS; ) {
      const slot = (first + ahead) & SLOT_MASK;
      const bits = this.#occupied[slot >> 5]! >>> (slot & 31);
      if (bits !== 0) {
        const tick = first + ahead + (31 - Math.clz32(bits & -bits));
        return this.#startMs + tick * this.#tickMs;
      }
      ahead += 32 - (slot & 31);
    }
    assert(false, 'timers run, but no list has one');
  }

  #unlink(id: number): void {
    const slot = this.#slot[id]! - 1;
    const next = this.#next[id]!;
    const previous = this.#previous[id]!;
    if (this.#cursor === id + 1) this.#cursor = next;
    if (next !== NONE) this.#previous[next - 1] = previous;
    if (previous !== NONE) this.#next[previous - 1] = next;
    else {
      this.#heads[slot] = next;
      if (next === NONE) this.#occupied[slot >> 5]! &= ~(1 << (slot & 31));
    }
    this.#slot[id] = STOPPED;
    this.count--;
  }
}
