/** Transaction records with a wheel and a clock that a test moves: what their timers stand for, and when. */

import { TimerWheel } from '../../src/transaction/timer-wheel.ts';
import { type Clock, FIRED, type TransactionRecords } from '../../src/transaction/transaction-records.ts';

export const TICK_MS = 10;
const NAMES: readonly string[] = Object.keys(FIRED);

export interface TimedOptions {
  readonly startMs?: number;
  /** When the wheel began, if not with the clock. */
  readonly wheelStartMs?: number;
  /** Wheel id of record 0. */
  readonly firstTimer?: number;
  readonly timerCount?: number;
}

export class TimedRecords<Records extends TransactionRecords> {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly records: Records;
  readonly #startMs: number;
  readonly #firstTimer: number;

  constructor(
    create: (clock: Clock, wheel: TimerWheel, firstTimer: number) => Records,
    { startMs = 0, wheelStartMs = startMs, firstTimer = 0, timerCount = 64 }: TimedOptions = {},
  ) {
    this.clock = { nowMs: startMs };
    this.#startMs = startMs;
    this.#firstTimer = firstTimer;
    this.wheel = new TimerWheel(timerCount, TICK_MS, wheelStartMs);
    this.wheel.advance(startMs, () => {});
    this.records = create(this.clock, this.wheel, firstTimer);
  }

  /** Lets time pass as a shard does, from one deadline of the wheel to the next, and gives what each timer stands for to
   *  `take`. Returns it all as "1500 RETRANSMIT", in milliseconds since the beginning. */
  readonly advance = (ms: number, take: (record: number, fired: number) => void = () => {}): string[] => {
    const { clock, wheel, records } = this;
    const told: string[] = [];
    const endMs = clock.nowMs + ms;
    const fire = (timer: number) => {
      const record = timer - this.#firstTimer;
      for (let fired = records.fired(record); fired !== FIRED.NOTHING; fired = records.fired(record)) {
        told.push(`${clock.nowMs - this.#startMs} ${NAMES[fired]}`);
        take(record, fired);
        if (records.stateOf(record) === 0) return;
      }
    };
    while (clock.nowMs < endMs) {
      clock.nowMs = Math.min(endMs, Math.max(clock.nowMs + 1, wheel.nextDeadlineMs()));
      wheel.advance(clock.nowMs, fire);
    }
    return told;
  };
}
