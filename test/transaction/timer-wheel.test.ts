/** The timer wheel: what each call promises, and a plain list of deadlines as its model. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { TimerWheel } from '../../src/transaction/timer-wheel.ts';

const CAPACITY = 16;
const TICK_MS = 10;
const HOUR_MS = 3_600_000;
/** One turn of the wheel. */
const REVOLUTION_MS = 4096 * TICK_MS;

function newWheel(nowMs = 0): TimerWheel {
  return new TimerWheel(CAPACITY, TICK_MS, nowMs);
}

/** Advances and returns who fired, in order. */
function firedAt(wheel: TimerWheel, nowMs: number): number[] {
  const fired: number[] = [];
  expect(wheel.advance(nowMs, (id) => fired.push(id))).toBe(false);
  return fired;
}

describe('start', () => {
  it('fires once, at the deadline and not before', () => {
    const wheel = newWheel();
    wheel.start(3, 500);
    expect(firedAt(wheel, 499.999)).toEqual([]);
    expect(firedAt(wheel, 500)).toEqual([3]);
    expect(firedAt(wheel, 10_000)).toEqual([]);
  });

  it('rounds a deadline within a tick up', () => {
    const wheel = newWheel();
    wheel.start(3, 501);
    expect(firedAt(wheel, 509)).toEqual([]);
    expect(firedAt(wheel, 510)).toEqual([3]);
  });

  it('moves the deadline of a timer that runs', () => {
    const wheel = newWheel();
    wheel.start(3, 500);
    wheel.start(3, 900);
    expect(wheel.count).toBe(1);
    expect(firedAt(wheel, 890)).toEqual([]);
    wheel.start(4, 2000);
    wheel.start(4, 950);
    expect(firedAt(wheel, 1000)).toEqual([3, 4]);
  });

  it('fires at the next tick what was due before it was started', () => {
    const wheel = newWheel();
    firedAt(wheel, 1000);
    wheel.start(3, 20);
    wheel.start(4, 1000);
    expect(firedAt(wheel, 1010).sort()).toEqual([3, 4]);
  });

  it('takes no id beyond the capacity', () => {
    expect(() => newWheel().start(CAPACITY, 100)).toThrow(AssertionError);
    expect(() => newWheel().start(-1, 100)).toThrow(AssertionError);
  });
});

describe('cancel', () => {
  it('keeps a timer from firing', () => {
    const wheel = newWheel();
    wheel.start(3, 500);
    wheel.start(4, 500);
    wheel.start(5, 500);
    wheel.cancel(4);
    expect([3, 4, 5].map((id) => wheel.isRunning(id))).toEqual([true, false, true]);
    expect(firedAt(wheel, 500).sort()).toEqual([3, 5]);
  });

  it('does nothing to a timer that does not run', () => {
    const wheel = newWheel();
    wheel.cancel(3);
    wheel.start(3, 10);
    firedAt(wheel, 10);
    wheel.cancel(3);
    expect(wheel.count).toBe(0);
  });
});

describe('advance', () => {
  it('fires in the order of ticks, whatever the order of starts', () => {
    const wheel = newWheel();
    for (const [id, deadlineMs] of [300, 100, 50_000, 200, 41_000].entries()) wheel.start(id, deadlineMs);
    expect(firedAt(wheel, 60_000)).toEqual([1, 3, 0, 4, 2]);
  });

  it('leaves a timer of a later revolution in its place', () => {
    const wheel = newWheel();
    wheel.start(3, 100);
    wheel.start(4, 100 + REVOLUTION_MS);
    wheel.start(5, 100 + 2 * REVOLUTION_MS);
    expect(firedAt(wheel, 100)).toEqual([3]);
    expect(firedAt(wheel, 90 + REVOLUTION_MS)).toEqual([]);
    expect(firedAt(wheel, 100 + REVOLUTION_MS)).toEqual([4]);
    expect(firedAt(wheel, 100 + 2 * REVOLUTION_MS)).toEqual([5]);
  });

  it('fires all that is due after a machine was suspended for an hour', () => {
    const wheel = newWheel();
    for (let id = 0; id < CAPACITY; id++) wheel.start(id, (HOUR_MS / CAPACITY) * (id + 1));
    expect(firedAt(wheel, HOUR_MS)).toEqual(Array.from({ length: CAPACITY }, (_, id) => id));
  });

  it('has forgotten nothing after a year without timers', () => {
    const wheel = newWheel();
    const yearMs = 365 * 24 * HOUR_MS;
    expect(firedAt(wheel, yearMs)).toEqual([]);
    wheel.start(3, yearMs + 500);
    expect(firedAt(wheel, yearMs + 490)).toEqual([]);
    expect(firedAt(wheel, yearMs + 500)).toEqual([3]);
  });

  it('does not fire early when ticks outgrow 32 bits', () => {
    // 2³¹ ticks of 10 ms are 248 days.
    const wheel = newWheel();
    const nowMs = 2 ** 31 * TICK_MS - HOUR_MS;
    firedAt(wheel, nowMs);
    wheel.start(3, nowMs + 2 * HOUR_MS);
    wheel.start(4, nowMs + HOUR_MS / 2);
    expect(firedAt(wheel, nowMs + HOUR_MS / 2)).toEqual([4]);
    expect(firedAt(wheel, nowMs + 2 * HOUR_MS - TICK_MS)).toEqual([]);
    expect(firedAt(wheel, nowMs + 2 * HOUR_MS)).toEqual([3]);
  });

  it('does not mind where the clock starts', () => {
    for (const startMs of [-987_654.375, 0.1, 1234.567, 2 ** 40 + 0.5]) {
      const wheel = newWheel(startMs);
      wheel.start(3, startMs + 500);
      expect(firedAt(wheel, startMs + 499)).toEqual([]);
      expect(firedAt(wheel, startMs + 511)).toEqual([3]);
    }
  });

  it('does nothing when the clock stands still or goes back', () => {
    const wheel = newWheel();
    wheel.start(3, 1000);
    firedAt(wheel, 900);
    expect(firedAt(wheel, 900)).toEqual([]);
    expect(firedAt(wheel, 100)).toEqual([]);
    expect(firedAt(wheel, 1000)).toEqual([3]);
  });

  it('stops at the limit, says that more is due, and goes on at the next call', () => {
    const wheel = newWheel();
    const fired: number[] = [];
    const fire = (id: number) => fired.push(id);
    for (let id = 0; id < 5; id++) wheel.start(id, 100 + 10 * (id >> 1));
    expect(wheel.advance(1000, fire, 3)).toBe(true);
    expect(fired).toHaveLength(3);
    expect(wheel.nextDeadlineMs()).toBeLessThanOrEqual(1000);
    expect(wheel.advance(1000, fire, 2)).toBe(false);
    expect(fired.sort()).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('fire', () => {
  it('may start its own timer again', () => {
    const wheel = newWheel();
    const firedMs: number[] = [];
    wheel.start(3, 500);
    for (let nowMs = 0; nowMs <= 4000; nowMs += 10) {
      wheel.advance(nowMs, (id) => {
        firedMs.push(nowMs);
        wheel.start(id, nowMs + 1000);
      });
    }
    expect(firedMs).toEqual([500, 1500, 2500, 3500]);
  });

  it('may start a timer that is due already: it fires a tick later, not a revolution', () => {
    const wheel = newWheel();
    wheel.start(3, 500);
    wheel.advance(500, () => wheel.start(4, 500));
    expect(wheel.nextDeadlineMs()).toBe(510);
    expect(firedAt(wheel, 510)).toEqual([4]);
  });

  it('may cancel and move others that are due with it', () => {
    for (const first of [0, 1, 2]) {
      const wheel = newWheel();
      for (let id = 0; id < 3; id++) wheel.start(id, 100);
      const fired: number[] = [];
      wheel.advance(100, (id) => {
        fired.push(id);
        if (fired.length > 1) return;
        wheel.cancel((id + 1) % 3);
        wheel.start((id + 2) % 3, 200 + first);
      });
      expect(fired).toHaveLength(1);
      expect(firedAt(wheel, 210)).toEqual([(fired[0]! + 2) % 3]);
      expect(wheel.count).toBe(0);
    }
  });
});

describe('nextDeadlineMs', () => {
  it('is infinite while no timer runs', () => {
    const wheel = newWheel();
    expect(wheel.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY);
    wheel.start(3, 100);
    wheel.cancel(3);
    expect(wheel.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY);
  });

  it.each([1, 10, 11, 320, 500, 12_345, REVOLUTION_MS - 10, REVOLUTION_MS])(
    'is the tick of a deadline in %i ms',
    (ms) => {
      const wheel = newWheel();
      firedAt(wheel, 7770);
      wheel.start(3, 7770 + ms);
      expect(wheel.nextDeadlineMs()).toBe(Math.ceil((7770 + ms) / 10) * 10);
    },
  );

  it('makes a timer of a later revolution cost one idle wake each', () => {
    const wheel = newWheel();
    wheel.start(3, HOUR_MS);
    let wakes = 0;
    for (let isOver = false; !isOver && wakes < 1000; wakes++)
      wheel.advance(wheel.nextDeadlineMs(), () => (isOver = true));
    expect(wakes).toBeLessThanOrEqual(Math.ceil(HOUR_MS / REVOLUTION_MS) + 1);
  });

  it('is when the timer fires, whatever fraction of a millisecond the clock started at', () => {
    for (let startMs = 0.1; startMs < 2000; startMs += 17.3) {
      const wheel = newWheel(startMs);
      for (let ms = 1; ms < 3000; ms += 77.7) {
        wheel.start(3, startMs + ms);
        expect(firedAt(wheel, wheel.nextDeadlineMs())).toEqual([3]);
      }
    }
  });
});

/** What the wheel promises, told naively: the tick of each deadline in a map. It follows the wheel from one firing to the
 *  next, since timers of one tick may fire in any order. */
class WheelModel {
  readonly ticks = new Map<number, number>();
  readonly #startMs: number;
  now = 0;

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  tickOf(nowMs: number): number {
    return Math.floor((nowMs - this.#startMs) / TICK_MS);
  }

  start(id: number, deadlineMs: number): void {
    this.ticks.set(id, Math.max(Math.ceil((deadlineMs - this.#startMs) / TICK_MS), this.now + 1));
  }

  earliest(): number {
    return Math.min(...this.ticks.values());
  }

  msOf(tick: number): number {
    return this.#startMs + tick * TICK_MS;
  }
}

type Change = { readonly id: number; readonly inMs: number | null };
type Turn = { readonly changes: readonly Change[]; readonly jumpMs: number; readonly limit: number };

const id = fc.nat(CAPACITY - 1);
/** Eighths of a millisecond, so that sums are exact. */
const eighths = (max: number) => fc.nat(max * 8).map((n) => n / 8);
const inMs = fc.oneof(
  eighths(30).map((ms) => ms - 5),
  eighths(1000),
  eighths(2 * REVOLUTION_MS),
  eighths(HOUR_MS),
  fc.constantFrom(0, TICK_MS, REVOLUTION_MS, REVOLUTION_MS + TICK_MS),
);
const change: fc.Arbitrary<Change> = fc.record({ id, inMs: fc.option(inMs, { freq: 4 }) });
const turn: fc.Arbitrary<Turn> = fc.record({
  changes: fc.array(change, { maxLength: 6 }),
  jumpMs: fc.oneof(fc.constant(0), eighths(30), eighths(1000), eighths(REVOLUTION_MS), eighths(2 * HOUR_MS)),
  limit: fc.constantFrom(0, 1, 2, 5, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
});

describe('any starts, cancels and jumps of the clock, inside fire too', () => {
  it('are as the model says', () => {
    const startMs = fc.integer({ min: -1_000_000, max: 1_000_000_000 });
    const turns = fc.array(turn, { minLength: 1, maxLength: 25 });
    // Each firing takes the next change, so that a timer that starts itself anew in the past comes to an end.
    const changesInFire = fc.array(fc.option(change), { maxLength: 60 });
    fc.assert(
      fc.property(startMs, turns, changesInFire, (start, all, inFire) => {
        const wheel = newWheel(start);
        const model = new WheelModel(start);
        const script = [...inFire];
        let nowMs = start;
        const apply = ({ id, inMs }: Change) => {
          if (inMs === null) {
            wheel.cancel(id);
            model.ticks.delete(id);
          } else {
            wheel.start(id, nowMs + inMs);
            model.start(id, nowMs + inMs);
          }
        };
        for (const { changes, jumpMs, limit } of all) {
          for (const one of changes) apply(one);
          nowMs += jumpMs;
          const target = model.tickOf(nowMs);
          let fired = 0;
          const isMoreDue = wheel.advance(
            nowMs,
            (id) => {
              fired++;
              expect(model.ticks.get(id), 'fires the earliest').toBe(model.earliest());
              model.now = model.earliest();
              expect(model.now, 'is due').toBeLessThanOrEqual(target);
              model.ticks.delete(id);
              expect(wheel.isRunning(id)).toBe(false);
              const one = script.shift();
              if (one) apply(one);
            },
            limit,
          );
          expect(isMoreDue, 'tells whether more is due').toBe(model.earliest() <= target);
          if (isMoreDue) expect(fired).toBe(limit);
          model.now = isMoreDue ? model.earliest() - 1 : target;
          expect(wheel.count).toBe(model.ticks.size);
          for (let id = 0; id < CAPACITY; id++) expect(wheel.isRunning(id)).toBe(model.ticks.has(id));
          expect(wheel.nextDeadlineMs(), 'is not late').toBeLessThanOrEqual(model.msOf(model.earliest()));
          expect(wheel.nextDeadlineMs(), 'is not busy').toBeGreaterThanOrEqual(model.msOf(model.now + 1));
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** Numbers below `bound`, xorshift from a fixed seed. */
function xorshift(): (bound: number) => number {
  let state = 0x2545f491;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

describe('a million timers', () => {
  const count = 1_000_000;

  it('are started, cancelled and fired at their ticks', () => {
    const random = xorshift();
    const wheel = new TimerWheel(count, TICK_MS, 0);
    const deadlines = Int32Array.from({ length: count }, () => random(64_000));
    for (let id = 0; id < count; id++) wheel.start(id, deadlines[id]!);
    for (let id = 0; id < count; id += 2) wheel.cancel(id);
    expect(wheel.count).toBe(count / 2);
    let firedCount = 0;
    let wrongCount = 0;
    let nowMs = 0;
    const fire = (id: number) => {
      firedCount++;
      const lateMs = nowMs - deadlines[id]!;
      // What is due at once fires with the first tick.
      if (lateMs < 0 || lateMs >= (deadlines[id] === 0 ? TICK_MS + 1 : TICK_MS) || (id & 1) === 0) wrongCount++;
    };
    for (; nowMs <= 64_000; nowMs += TICK_MS) wheel.advance(nowMs, fire);
    expect({ firedCount, wrongCount, left: wheel.count }).toEqual({ firedCount: count / 2, wrongCount: 0, left: 0 });
  });
});
