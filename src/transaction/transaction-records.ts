/** Records of transactions: fixed rows of Int32 words, their state machine's step, and their timers. What server and client
 *  transactions have in common. Runs on the shard. Hot: a few times per message, allocates nothing. */

import { assert } from '../base/assert.ts';
import { ownWords } from '../base/cache-lines.ts';
import { ACTION } from './actions.ts';
import { actionsOf, nextOf, type StateTable } from './state-table.ts';
import type { TimerWheel } from './timer-wheel.ts';

/** ```
 *  word 0 state | 1 retransmit at | 2 ends at | 3 retransmit interval | 4 what the timers are for | 5 next free or in a chain
 *       6…15 the kind's own (server-transactions.ts, client-transactions.ts)
 *       16…27 route: socket, family, port, address × 4, local address × 4, scope, as in an egress entry | 28…31 the kind's own
 *  ```
 *  Times are milliseconds of the shard's clock, low 32 bits. A zeroed row is free. */
export const RECORD = {
  STATE: 0,
  RETRANSMIT_AT: 1,
  ENDS_AT: 2,
  INTERVAL: 3,
  TIMERS: 4,
  NEXT: 5,
  ROUTE: 16,
} as const;
export const RECORD_WORDS = 32;
const RECORD_SHIFT = 5;
export const NO_RECORD = -1;

/** State 0 of every table. */
export const TERMINATED = 0;

/** Milliseconds of one transaction's timers (RFC 3261 table 4). */
export interface TimerDurations {
  /** A, E, G: the first interval; 0: never. */
  readonly retransmitMs: number;
  /** Cap of the interval; Timer A has none. */
  readonly maxRetransmitMs: number;
  /** B, F, H. */
  readonly timeoutMs: number;
  /** D, I, J, K, L, M, by the state that is entered. */
  readonly lingerMs: readonly number[];
}

/** One state machine with its timers. */
export interface Machine {
  readonly table: StateTable;
  readonly durations: TimerDurations;
}

/** The machines of one kind of transport. */
export interface Machines {
  readonly invite: Machine;
  readonly nonInvite: Machine;
}

/** Durations by state, 0 where a state does not linger. */
export function lingersOf(durations: Readonly<Record<number, number>>): number[] {
  return Array.from({ length: MAX_STATES }, (_, state) => durations[state] ?? 0);
}

const MAX_STATES = 8;
/** Bit of a record's flags, of which the lower ones are the transaction user's: its transport is reliable. */
export const RELIABLE = 0x4000_0000;
/** Bits of a record's flags: the number of the snapshot of the configuration that the transaction began with. */
const SNAPSHOT_SHIFT = 8;
/** Numbers of snapshots are below it. */
export const SNAPSHOT_NUMBERS = 1024;

/** The number in a record's flags. */
export function snapshotIn(flags: number): number {
  return (flags >>> SNAPSHOT_SHIFT) & (SNAPSHOT_NUMBERS - 1);
}

/** What a new record has as its flags. */
export function firstFlags(snapshot: number, isReliable: boolean): number {
  return (snapshot << SNAPSHOT_SHIFT) | (isReliable ? RELIABLE : 0);
}

/** The machines with the timers of one configuration, by whether the transport is reliable. */
export interface TimedMachines {
  readonly unreliable: Machines;
  readonly reliable: Machines;
}

/** The machines by the number of the snapshot whose timers they have. */
export class MachinesBySnapshot {
  readonly #timed: TimedMachines[];

  constructor(timed: TimedMachines) {
    this.#timed = new Array<TimedMachines>(SNAPSHOT_NUMBERS).fill(timed);
  }

  /** `flags`: of a record. */
  of(flags: number): Machines {
    const timed = this.#timed[snapshotIn(flags)]!;
    return (flags & RELIABLE) === 0 ? timed.unreliable : timed.reliable;
  }

  /** Cold. Transactions of this number that run already go on with these timers. */
  use(snapshot: number, timed: TimedMachines): void {
    this.#timed[snapshot] = timed;
  }
}

// Bits of RECORD.TIMERS.
const RETRANSMITS = 1;
const TIMES_OUT = 2;
const LINGERS = 4;
const WATCHED = 8;
const ENDS = TIMES_OUT | LINGERS | WATCHED;

/** What a timer that fired stands for. */
export const FIRED = { NOTHING: 0, RETRANSMIT: 1, TIMEOUT: 2, LINGER: 3, WATCH: 4 } as const;

/** The shard's clock: whole milliseconds since it started. Set once per duty cycle. */
export interface Clock {
  nowMs: number;
}

export class TransactionRecords {
  readonly words: Int32Array;
  readonly capacity: number;
  readonly clock: Clock;
  readonly #wheel: TimerWheel;
  /** Wheel id of record 0. */
  readonly #firstTimer: number;
  #unused = 0;
  #free = NO_RECORD;
  count = 0;

  constructor(capacity: number, clock: Clock, wheel: TimerWheel, firstTimer: number) {
    this.words = ownWords(capacity * RECORD_WORDS);
    this.capacity = capacity;
    this.clock = clock;
    this.#wheel = wheel;
    this.#firstTimer = firstTimer;
  }

  /** Records from this one on were never used. */
  get reached(): number {
    return this.#unused;
  }

  get isFull(): boolean {
    return this.#free === NO_RECORD && this.#unused === this.capacity;
  }

  /** Records in use of which `isCounted` says so. Looks at every one that was ever used. Cold. */
  countWhere(isCounted: (at: number, state: number) => boolean): number {
    let count = 0;
    for (let record = 0; record < this.#unused; record++) {
      const at = record << RECORD_SHIFT;
      const state = this.words[at + RECORD.STATE]!;
      if (state !== TERMINATED && isCounted(at, state)) count++;
    }
    return count;
  }

  /** First word of a record. */
  at(record: number): number {
    return record << RECORD_SHIFT;
  }

  stateOf(record: number): number {
    return this.words[(record << RECORD_SHIFT) + RECORD.STATE]!;
  }

  /** Takes a zeroed record, NO_RECORD if all are in use. */
  take(): number {
    let record = this.#free;
    if (record !== NO_RECORD) {
      this.#free = this.words[(record << RECORD_SHIFT) + RECORD.NEXT]! - 1;
      this.words.fill(0, record << RECORD_SHIFT, (record + 1) << RECORD_SHIFT);
    } else {
      if (this.#unused === this.capacity) return NO_RECORD;
      record = this.#unused++;
    }
    this.count++;
    return record;
  }

  /** Gives a terminated record back; its timers have been stopped by the step that ended it. */
  free(record: number): void {
    const at = record << RECORD_SHIFT;
    assert(this.words[at + RECORD.STATE] === TERMINATED, 'a record is freed while its transaction lives');
    this.words[at + RECORD.NEXT] = this.#free + 1;
    this.#free = record;
    this.count--;
  }

  /** Puts an event into the machine: the next state, its timers. Returns the ACTION bits that are left to do. */
  step(record: number, machine: Machine, event: number): number {
    const { words } = this;
    const at = record << RECORD_SHIFT;
    const step = machine.table.step(words[at + RECORD.STATE]!, event);
    const next = nextOf(step);
    const actions = actionsOf(step);
    words[at + RECORD.STATE] = next;
    if (next === TERMINATED) this.stopTimers(record);
    else if ((actions & ACTION_TIMERS) !== 0) this.#setTimers(record, at, machine.durations, next, actions);
    return actions;
  }

  /** What the timer of a record is for now; to be called when the wheel fires, until it says NOTHING. */
  fired(record: number): number {
    const { words } = this;
    const at = record << RECORD_SHIFT;
    const now = this.clock.nowMs;
    const timers = words[at + RECORD.TIMERS]!;
    if ((timers & ENDS) !== 0 && isDue(words[at + RECORD.ENDS_AT]!, now)) {
      words[at + RECORD.TIMERS] = timers & ~ENDS;
      return (timers & TIMES_OUT) !== 0 ? FIRED.TIMEOUT : (timers & LINGERS) !== 0 ? FIRED.LINGER : FIRED.WATCH;
    }
    if ((timers & RETRANSMITS) !== 0 && isDue(words[at + RECORD.RETRANSMIT_AT]!, now)) {
      words[at + RECORD.TIMERS] = timers & ~RETRANSMITS;
      return FIRED.RETRANSMIT;
    }
    this.#arm(record, at);
    return FIRED.NOTHING;
  }

  /** Has the record looked at after `ms` unless its machine sets an end before: Timer C, the wait after a CANCEL. In place of
   *  an earlier watch, and of an end that was set before. */
  watch(record: number, ms: number): void {
    const { words } = this;
    const at = record << RECORD_SHIFT;
    words[at + RECORD.ENDS_AT] = this.clock.nowMs + ms;
    words[at + RECORD.TIMERS] = (words[at + RECORD.TIMERS]! & ~ENDS) | WATCHED;
    this.#arm(record, at);
  }

  stopTimers(record: number): void {
    this.words[(record << RECORD_SHIFT) + RECORD.TIMERS] = 0;
    this.#wheel.cancel(this.#firstTimer + record);
  }

  /** Ends a transaction whatever its state. Not for server transactions, which would stay in their bucket. */
  terminate(record: number): void {
    this.words[(record << RECORD_SHIFT) + RECORD.STATE] = TERMINATED;
    this.stopTimers(record);
  }

  #setTimers(record: number, at: number, durations: TimerDurations, next: number, actions: number): void {
    const { words } = this;
    const now = this.clock.nowMs;
    let timers = words[at + RECORD.TIMERS]!;
    if ((actions & ACTION.STOP_RETRANSMIT) !== 0) timers &= ~RETRANSMITS;
    if ((actions & ACTION.STOP_TIMEOUT) !== 0) timers &= ~TIMES_OUT;
    if ((actions & ACTION.START_RETRANSMIT) !== 0 && durations.retransmitMs > 0) {
      words[at + RECORD.INTERVAL] = durations.retransmitMs;
      words[at + RECORD.RETRANSMIT_AT] = now + durations.retransmitMs;
      timers |= RETRANSMITS;
    }
    if ((actions & (ACTION.BACK_OFF | ACTION.AT_T2)) !== 0 && durations.retransmitMs > 0) {
      const doubled = words[at + RECORD.INTERVAL]! * 2;
      const isCapped = (actions & ACTION.AT_T2) !== 0 || doubled > durations.maxRetransmitMs;
      words[at + RECORD.INTERVAL] = isCapped ? durations.maxRetransmitMs : doubled;
      words[at + RECORD.RETRANSMIT_AT] = now + words[at + RECORD.INTERVAL]!;
      timers |= RETRANSMITS;
    }
    if ((actions & ACTION.START_TIMEOUT) !== 0) {
      words[at + RECORD.ENDS_AT] = now + durations.timeoutMs;
      timers = (timers & ~ENDS) | TIMES_OUT;
    }
    if ((actions & ACTION.START_LINGER) !== 0) {
      words[at + RECORD.ENDS_AT] = now + durations.lingerMs[next]!;
      timers = LINGERS;
    }
    words[at + RECORD.TIMERS] = timers;
    this.#arm(record, at);
  }

  /** The wheel knows one timer of each record: the earlier of the two. */
  #arm(record: number, at: number): void {
    const { words, clock } = this;
    const timers = words[at + RECORD.TIMERS]!;
    const timer = this.#firstTimer + record;
    if (timers === 0) {
      this.#wheel.cancel(timer);
      return;
    }
    const now = clock.nowMs;
    const untilEnd = (timers & ENDS) !== 0 ? (words[at + RECORD.ENDS_AT]! - now) | 0 : NEVER;
    const untilRetransmit = (timers & RETRANSMITS) !== 0 ? (words[at + RECORD.RETRANSMIT_AT]! - now) | 0 : NEVER;
    this.#wheel.start(timer, now + Math.min(untilEnd, untilRetransmit));
  }
}

const NEVER = 0x7fffffff;
const ACTION_TIMERS =
  ACTION.START_RETRANSMIT |
  ACTION.BACK_OFF |
  ACTION.AT_T2 |
  ACTION.START_TIMEOUT |
  ACTION.START_LINGER |
  ACTION.STOP_RETRANSMIT |
  ACTION.STOP_TIMEOUT;

function isDue(deadline: number, nowMs: number): boolean {
  return ((deadline - nowMs) | 0) <= 0;
}
