/** Records of transactions: the pool, two timers on one wheel entry, and a clock that outgrows 32 bits. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { ACTION } from '../../src/transaction/actions.ts';
import { StateTable } from '../../src/transaction/state-table.ts';
import {
  FIRED,
  lingersOf,
  type Machine,
  NO_RECORD,
  RECORD,
  RECORD_WORDS,
  TransactionRecords,
} from '../../src/transaction/transaction-records.ts';
import { TICK_MS, type TimedOptions, TimedRecords } from './timed-records.ts';

const STATE = { TERMINATED: 0, RUNNING: 1, OVER: 2 } as const;
const EVENT = { BEGIN: 0, AGAIN: 1, AT_T2: 2, PAUSE: 3, UNLIMITED: 4, OVER: 5, END: 6, NOTE: 7 } as const;
const row = (state: number, event: number, next: number, actions = 0) => ({ state, event, next, actions, section: '' });

/** One state in which timers run and one that lingers: what the tables of the RFC are made of. */
const TABLE = new StateTable(Object.keys(STATE), Object.keys(EVENT), [
  row(STATE.TERMINATED, EVENT.BEGIN, STATE.RUNNING, ACTION.START_RETRANSMIT | ACTION.START_TIMEOUT),
  row(STATE.RUNNING, EVENT.AGAIN, STATE.RUNNING, ACTION.RETRANSMIT | ACTION.BACK_OFF),
  row(STATE.RUNNING, EVENT.AT_T2, STATE.RUNNING, ACTION.RETRANSMIT | ACTION.AT_T2),
  row(STATE.RUNNING, EVENT.PAUSE, STATE.RUNNING, ACTION.STOP_RETRANSMIT),
  row(STATE.RUNNING, EVENT.UNLIMITED, STATE.RUNNING, ACTION.STOP_TIMEOUT),
  row(STATE.RUNNING, EVENT.OVER, STATE.OVER, ACTION.PASS_UP | ACTION.START_LINGER),
  row(STATE.RUNNING, EVENT.END, STATE.TERMINATED, ACTION.REPORT_TIMEOUT),
  row(STATE.RUNNING, EVENT.NOTE, STATE.RUNNING, ACTION.PASS_UP),
  row(STATE.OVER, EVENT.END, STATE.TERMINATED),
]);

function machine(durations: Partial<Machine['durations']> = {}): Machine {
  return {
    table: TABLE,
    durations: {
      retransmitMs: 500,
      maxRetransmitMs: 4000,
      timeoutMs: 32_000,
      lingerMs: lingersOf({ [STATE.OVER]: 5000 }),
      ...durations,
    },
  };
}

const USUAL = machine();

function newRecords(capacity = 4, options: TimedOptions = {}): TimedRecords<TransactionRecords> {
  return new TimedRecords((clock, wheel, first) => new TransactionRecords(capacity, clock, wheel, first), options);
}

/** A record that has begun. */
function begin(records: TransactionRecords, of = USUAL): number {
  const record = records.take();
  records.step(record, of, EVENT.BEGIN);
  return record;
}

/** What timers stand for goes back into the machine. */
function running(records: TransactionRecords, of = USUAL) {
  return (record: number, fired: number) => {
    if (fired !== FIRED.WATCH) records.step(record, of, fired === FIRED.RETRANSMIT ? EVENT.AGAIN : EVENT.END);
  };
}

describe('take and free', () => {
  it('gives each record once, and NO_RECORD when all are in use', () => {
    const { records } = newRecords(4);
    const taken = Array.from({ length: 4 }, () => records.take());
    expect(new Set(taken)).toEqual(new Set([0, 1, 2, 3]));
    expect(records.take()).toBe(NO_RECORD);
    expect({ isFull: records.isFull, count: records.count }).toEqual({ isFull: true, count: 4 });
  });

  it('uses a freed record again', () => {
    const { records } = newRecords(2);
    records.take();
    const second = records.take();
    records.free(second);
    expect({ isFull: records.isFull, count: records.count }).toEqual({ isFull: false, count: 1 });
    expect(records.take()).toBe(second);
    expect(records.isFull).toBe(true);
  });

  it('zeroes a record that is used again, and no other', () => {
    const { records } = newRecords(3);
    for (let i = 0; i < 3; i++) records.words.fill(i + 7, records.at(records.take()), records.at(i + 1));
    records.words[records.at(1) + RECORD.STATE] = 0;
    records.free(1);
    expect(records.take()).toBe(1);
    const rows = [0, 1, 2].map((record) => new Set(records.words.subarray(records.at(record), records.at(record + 1))));
    expect(rows).toEqual([new Set([7]), new Set([0]), new Set([9])]);
  });

  it('frees nothing that lives', () => {
    const { records } = newRecords();
    const record = begin(records);
    expect(() => records.free(record)).toThrow(AssertionError);
    records.terminate(record);
    records.free(record);
    expect(records.count).toBe(0);
  });

  it('has room for any taking and freeing as long as less than the capacity is in use', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 200 }), (choices) => {
        const { records } = newRecords(6);
        const inUse: number[] = [];
        for (const choice of choices) {
          if (choice < inUse.length) records.free(inUse.splice(choice, 1)[0]!);
          else {
            const record = records.take();
            expect(record === NO_RECORD).toBe(inUse.length === 6);
            if (record === NO_RECORD) continue;
            expect(inUse).not.toContain(record);
            inUse.push(record);
          }
          expect(records.count).toBe(inUse.length);
          expect(records.isFull).toBe(inUse.length === 6);
        }
      }),
    );
  });

  it('has rows of RECORD_WORDS', () => {
    const { records } = newRecords(5);
    expect(records.words).toHaveLength(5 * RECORD_WORDS);
    expect([records.at(0), records.at(4)]).toEqual([0, 4 * RECORD_WORDS]);
  });
});

describe('step', () => {
  it('moves to the next state and says what is left to do', () => {
    const { records } = newRecords();
    const record = begin(records);
    expect(records.stateOf(record)).toBe(STATE.RUNNING);
    expect(records.step(record, USUAL, EVENT.OVER) & ACTION.PASS_UP).not.toBe(0);
    expect(records.stateOf(record)).toBe(STATE.OVER);
  });

  it('changes no timer where the table does not say so', () => {
    const { records, advance } = newRecords();
    const record = begin(records);
    advance(400);
    records.step(record, USUAL, EVENT.NOTE);
    expect(advance(200)).toEqual(['500 RETRANSMIT']);
  });

  it('stops all timers at the end', () => {
    const { records, wheel, advance } = newRecords();
    const record = begin(records);
    records.step(record, USUAL, EVENT.END);
    expect(wheel.count).toBe(0);
    expect(advance(60_000)).toEqual([]);
  });
});

describe('two timers on one entry of the wheel', () => {
  it('retransmits at doubled intervals up to the cap, then ends', () => {
    const { records, advance } = newRecords();
    begin(records);
    expect(advance(60_000, running(records))).toEqual([
      ...[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((ms) => `${ms} RETRANSMIT`),
      '32000 TIMEOUT',
    ]);
  });

  it('retransmits without a cap', () => {
    const { records, advance } = newRecords();
    const uncapped = machine({ maxRetransmitMs: Number.MAX_SAFE_INTEGER });
    begin(records, uncapped);
    expect(advance(60_000, running(records, uncapped))).toEqual([
      ...[500, 1500, 3500, 7500, 15_500, 31_500].map((ms) => `${ms} RETRANSMIT`),
      '32000 TIMEOUT',
    ]);
  });

  it('goes on at T2 once told so, whatever the interval was', () => {
    const { records, advance } = newRecords();
    begin(records);
    const atT2 = (record: number) => records.step(record, USUAL, EVENT.AT_T2);
    expect(advance(9000, atT2)).toEqual(['500 RETRANSMIT', '4500 RETRANSMIT', '8500 RETRANSMIT']);
  });

  it('ends before a retransmission that is due later', () => {
    const { records, advance } = newRecords();
    const short = machine({ timeoutMs: 700 });
    begin(records, short);
    expect(advance(60_000, running(records, short))).toEqual(['500 RETRANSMIT', '700 TIMEOUT']);
  });

  it('ends, and retransmits no more, where both are due at once', () => {
    const { records, advance } = newRecords();
    const equal = machine({ timeoutMs: 500 });
    begin(records, equal);
    expect(advance(60_000, running(records, equal))).toEqual(['500 TIMEOUT']);
  });

  it('makes up for nothing after a pause of the machine: one retransmission, and the next from now', () => {
    const { records, wheel, clock } = newRecords();
    const record = begin(records);
    const told: number[] = [];
    clock.nowMs = 20_000;
    wheel.advance(clock.nowMs, () => {
      for (let fired = records.fired(record); fired !== FIRED.NOTHING; fired = records.fired(record)) {
        told.push(fired);
        records.step(record, USUAL, EVENT.AGAIN);
      }
    });
    expect(told).toEqual([FIRED.RETRANSMIT]);
    expect(wheel.nextDeadlineMs()).toBe(21_000);
  });

  it('stops the one and leaves the other', () => {
    const paused = newRecords();
    paused.records.step(begin(paused.records), USUAL, EVENT.PAUSE);
    expect(paused.advance(60_000, running(paused.records))).toEqual(['32000 TIMEOUT']);
    const unlimited = newRecords();
    unlimited.records.step(begin(unlimited.records), USUAL, EVENT.UNLIMITED);
    expect(unlimited.advance(4000, running(unlimited.records))).toEqual([
      '500 RETRANSMIT',
      '1500 RETRANSMIT',
      '3500 RETRANSMIT',
    ]);
  });

  it('takes the record off the wheel with the last of them', () => {
    const { records, wheel } = newRecords();
    const record = begin(records);
    records.step(record, USUAL, EVENT.PAUSE);
    expect(wheel.count).toBe(1);
    records.step(record, USUAL, EVENT.UNLIMITED);
    expect(wheel.count).toBe(0);
  });

  it('lingers without either of them', () => {
    const { records, advance } = newRecords();
    const record = begin(records);
    advance(100);
    records.step(record, USUAL, EVENT.OVER);
    expect(advance(60_000, running(records))).toEqual(['5100 LINGER']);
  });

  it('never retransmits where the interval is 0', () => {
    const { records, advance } = newRecords();
    const reliable = machine({ retransmitMs: 0 });
    records.step(begin(records, reliable), reliable, EVENT.AGAIN);
    expect(advance(60_000, running(records, reliable))).toEqual(['32000 TIMEOUT']);
  });

  it('lingers for one tick where the time is 0', () => {
    const { records, advance } = newRecords();
    const reliable = machine({ lingerMs: lingersOf({}) });
    records.step(begin(records, reliable), reliable, EVENT.OVER);
    expect(advance(60_000, running(records, reliable))).toEqual([`${TICK_MS} LINGER`]);
  });

  it('knows whose timer it is, where wheel ids begin later', () => {
    const { records, wheel, advance } = newRecords(2, { firstTimer: 40, timerCount: 42 });
    begin(records);
    begin(records);
    expect([39, 40, 41].map((id) => wheel.isRunning(id))).toEqual([false, true, true]);
    const seen: number[] = [];
    advance(500, (record) => void seen.push(record));
    expect(seen.sort()).toEqual([0, 1]);
  });
});

describe('watch', () => {
  it('fires once, beside retransmissions', () => {
    const { records, advance } = newRecords();
    const record = begin(records);
    records.step(record, USUAL, EVENT.UNLIMITED);
    records.watch(record, 1000);
    expect(advance(3000, running(records))).toEqual(['500 RETRANSMIT', '1000 WATCH', '1500 RETRANSMIT']);
  });

  it('replaces an earlier one', () => {
    const { records, advance } = newRecords();
    const record = begin(records);
    records.step(record, USUAL, EVENT.PAUSE);
    records.watch(record, 1000);
    advance(900);
    records.watch(record, 1000);
    expect(advance(60_000)).toEqual(['1900 WATCH']);
  });

  it('may be set anew when it fires', () => {
    const { records, advance } = newRecords();
    const record = begin(records);
    records.step(record, USUAL, EVENT.PAUSE);
    records.watch(record, 1000);
    expect(advance(3500, () => records.watch(record, 1000))).toEqual(['1000 WATCH', '2000 WATCH', '3000 WATCH']);
  });

  it('gives way to an end that the machine sets', () => {
    const { records, advance } = newRecords();
    const record = begin(records);
    records.watch(record, 180_000);
    records.step(record, USUAL, EVENT.OVER);
    expect(advance(400_000, running(records))).toEqual(['5000 LINGER']);
  });

  it('ends with the transaction', () => {
    const { records, wheel } = newRecords();
    const record = begin(records);
    records.watch(record, 180_000);
    records.terminate(record);
    expect(wheel.count).toBe(0);
    expect(records.fired(record)).toBe(FIRED.NOTHING);
    expect(wheel.count).toBe(0);
  });
});

describe('a clock that outgrows 32 bits, after 24.8 days', () => {
  const expected = [
    ...[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((ms) => `${ms} RETRANSMIT`),
    '32000 TIMEOUT',
  ];
  const STARTS_MS = [2 ** 31 - 16_000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 16_000, 2 ** 32 - 1, 3 * 2 ** 31 - 700, 2 ** 40];

  it.each(STARTS_MS)('changes no timer of a transaction begun at %i ms', (startMs) => {
    const { records, advance } = newRecords(4, { startMs });
    const record = begin(records);
    expect(advance(60_000, running(records))).toEqual(expected);
    records.free(record);
    records.watch(begin(records), 180_000);
    expect(advance(180_500)).toContain('240000 WATCH');
  });

  it.each(STARTS_MS)('wakes nobody in between, at %i ms', (startMs) => {
    const { records, wheel } = newRecords(4, { startMs });
    const record = begin(records);
    expect(wheel.nextDeadlineMs()).toBe(startMs + 500);
    records.step(record, USUAL, EVENT.PAUSE);
    expect(wheel.nextDeadlineMs()).toBe(startMs + 32_000);
  });

  it.each(STARTS_MS)('has timers one tick late at most on a wheel begun at 0, at %i ms', (startMs) => {
    const { records, advance } = newRecords(4, { startMs, wheelStartMs: 0 });
    begin(records);
    const told = advance(60_000, running(records));
    // Each retransmission may be a tick late, and the next is counted from it.
    expect(told).toHaveLength(expected.length);
    for (const [i, one] of told.entries()) {
      const lateMs = Number.parseInt(one, 10) - Number.parseInt(expected[i]!, 10);
      expect(lateMs).toBeGreaterThanOrEqual(0);
      expect(lateMs).toBeLessThan((one.endsWith('TIMEOUT') ? 1 : i + 1) * TICK_MS);
      expect(one.split(' ')[1]).toBe(expected[i]!.split(' ')[1]);
    }
  });
});

/** What the timers of one record promise, told naively in full milliseconds. */
class TimerModel {
  retransmitAt = Number.POSITIVE_INFINITY;
  endsAt = Number.POSITIVE_INFINITY;
  end = '';
  intervalMs = 0;
}

describe('any steps and watches at any time', () => {
  it('are as the model says', () => {
    const events = fc.constantFrom(...Object.values(EVENT));
    const turn = fc.record({
      jumpMs: fc.oneof(fc.nat(30), fc.nat(6000), fc.nat(200_000)),
      event: fc.option(events, { freq: 5 }),
      watchMs: fc.constantFrom(100, 32_000, 180_000),
    });
    const startMs = fc.constantFrom(0, 2 ** 31 - 60_000, 2 ** 32 - 60_000);
    fc.assert(
      fc.property(startMs, fc.array(turn, { minLength: 1, maxLength: 30 }), (start, turns) => {
        const { records, wheel, clock, advance } = newRecords(1, { startMs: start });
        const record = records.take();
        const model = new TimerModel();
        let state: number = STATE.TERMINATED;
        const step = (event: number) => {
          const nowMs = clock.nowMs;
          const cell = TABLE.rows.find((one) => one.state === state && one.event === event);
          records.step(record, USUAL, event);
          if (cell === undefined) return;
          state = cell.next;
          switch (event) {
            case EVENT.BEGIN:
              Object.assign(model, {
                retransmitAt: nowMs + 500,
                intervalMs: 500,
                endsAt: nowMs + 32_000,
                end: 'TIMEOUT',
              });
              break;
            case EVENT.AGAIN:
              model.intervalMs = Math.min(4000, 2 * model.intervalMs);
              model.retransmitAt = nowMs + model.intervalMs;
              break;
            case EVENT.AT_T2:
              model.intervalMs = 4000;
              model.retransmitAt = nowMs + 4000;
              break;
            case EVENT.PAUSE:
              model.retransmitAt = Number.POSITIVE_INFINITY;
              break;
            case EVENT.UNLIMITED:
              if (model.end === 'TIMEOUT') model.endsAt = Number.POSITIVE_INFINITY;
              break;
            case EVENT.OVER:
              Object.assign(model, new TimerModel(), { endsAt: nowMs + 5000, end: 'LINGER' });
              break;
            case EVENT.END:
              Object.assign(model, new TimerModel());
              break;
          }
        };
        for (const { jumpMs, event, watchMs } of turns) {
          advance(jumpMs, (_, fired) => {
            const dueMs = fired === FIRED.RETRANSMIT ? model.retransmitAt : model.endsAt;
            expect(clock.nowMs - dueMs, 'is not early').toBeGreaterThanOrEqual(0);
            expect(clock.nowMs - dueMs, 'is a tick late at most').toBeLessThanOrEqual(TICK_MS);
            if (fired === FIRED.RETRANSMIT) {
              model.retransmitAt = Number.POSITIVE_INFINITY;
              step(EVENT.AGAIN);
              return;
            }
            expect(FIRED[model.end as keyof typeof FIRED]).toBe(fired);
            model.endsAt = Number.POSITIVE_INFINITY;
            if (fired !== FIRED.WATCH) step(EVENT.END);
          });
          if (event !== null) step(event);
          else if (state === STATE.RUNNING) {
            records.watch(record, watchMs);
            Object.assign(model, { endsAt: clock.nowMs + watchMs, end: 'WATCH' });
          }
          const nextMs = Math.min(model.retransmitAt, model.endsAt);
          expect(records.stateOf(record)).toBe(state);
          expect(wheel.isRunning(0)).toBe(nextMs !== Number.POSITIVE_INFINITY);
          // What is overdue by the rest of a tick fires with the next one.
          if (wheel.isRunning(0)) expect(nextMs).toBeGreaterThan(clock.nowMs - TICK_MS);
        }
      }),
      { numRuns: 300 },
    );
  });
});
