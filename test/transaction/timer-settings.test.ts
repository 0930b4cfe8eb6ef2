import { describe, expect, it } from 'vitest';
import { TimerValues } from '../../src/transaction/timer-settings.ts';

const DEFAULTS = { t1Ms: 500, t2Ms: 4000, t4Ms: 5000 };

function timerValues({ t1Ms, t2Ms, t4Ms } = DEFAULTS): TimerValues {
  return new TimerValues(t1Ms, t2Ms, t4Ms);
}

describe('table 4, RFC 6026 8.11', () => {
  it('gives the timers their values over UDP', () => {
    const { a, b, d, e, f, g, h, i, j, k, l, m } = timerValues();
    expect({ a, b, d, e, f, g, h, i, j, k, l, m }).toEqual({
      a: 500,
      b: 32_000,
      d: 32_000,
      e: 500,
      f: 32_000,
      g: 500,
      h: 32_000,
      i: 5000,
      j: 32_000,
      k: 5000,
      l: 32_000,
      m: 32_000,
    });
  });

  it('sends nothing again over a reliable transport and waits for nothing that may still be on its way', () => {
    const { a, b, d, e, f, g, h, i, j, k, l, m } = timerValues().overReliable();
    expect([a, e, g]).toEqual([0, 0, 0]);
    expect([d, i, j, k]).toEqual([0, 0, 0, 0]);
    expect([b, f, h, l, m]).toEqual([32_000, 32_000, 32_000, 32_000, 32_000]);
  });

  it('scales with T1 what is a multiple of it', () => {
    const { a, b, e, f, g, h, j, l, m } = timerValues({ ...DEFAULTS, t1Ms: 100 });
    expect([a, e, g]).toEqual([100, 100, 100]);
    expect([b, f, h, j, l, m]).toEqual([6400, 6400, 6400, 6400, 6400, 6400]);
  });

  it('keeps Timer D at 32 s at least, since the T1 of the server is not known', () => {
    expect(timerValues({ ...DEFAULTS, t1Ms: 100 }).d).toBe(32_000);
    expect(timerValues({ ...DEFAULTS, t1Ms: 1000 }).d).toBe(64_000);
  });
});

describe("RFC 4320 4.1: when the client's Timer E is reset to T2", () => {
  it.each([
    // Retransmissions at 0.5, 1.5 and 3.5 s; the third time the interval becomes 4 s.
    { t1Ms: 500, t2Ms: 4000, tryingMs: 3500 },
    { t1Ms: 1000, t2Ms: 4000, tryingMs: 3000 },
    // 0.5, 1.5, 3.5: MIN(4 s, T2).
    { t1Ms: 500, t2Ms: 3000, tryingMs: 3500 },
    { t1Ms: 3000, t2Ms: 4000, tryingMs: 3000 },
    // Before the first retransmission nothing is reset.
    { t1Ms: 500, t2Ms: 500, tryingMs: 500 },
  ])('is after $tryingMs ms where T1 is $t1Ms ms and T2 $t2Ms ms', ({ t1Ms, t2Ms, tryingMs }) => {
    expect(timerValues({ ...DEFAULTS, t1Ms, t2Ms }).tryingMs).toBe(tryingMs);
  });
});
