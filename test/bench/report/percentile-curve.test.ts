import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { percentileCurveOf } from '../../../perf/bench/report/percentile-curve.ts';
import { summarize } from '../../../perf/bench/report/summary.ts';
import { delayOf, STROWGER_AND_KAMAILIO, simulate } from '../simulated-result.ts';

/** Of one turn with these values, in microseconds. */
function curveOf(valuesUs: readonly number[]) {
  const quick = { seed: 1, rounds: 1, durationSec: 1, histogramSize: 10 };
  const result = simulate({ ...quick, contestants: [STROWGER_AND_KAMAILIO[0]!] });
  const turns = result.turns.map((turn) => ({ ...turn, delays: { setup: delayOf(valuesUs) } }));
  return percentileCurveOf('setup', summarize({ ...result, turns }))!;
}

describe('the percentile curve', () => {
  it('reaches from the least to the last percentile that has a value beyond it, and never falls', () => {
    const manyUs = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 10, maxLength: 3000 });
    fc.assert(
      fc.property(manyUs, (valuesUs) => {
        const { grid, lines } = curveOf(valuesUs);
        const heights = lines[0]!.values.map((value) => value?.at);
        expect(heights).not.toContain(undefined);
        expect(heights).toEqual([...heights].sort((a, b) => a! - b!));
        expect(grid.map(({ at }) => at)).toEqual(grid.map(({ at }) => at).sort((a, b) => a - b));
        expect([grid[0]!.at, Number(grid.at(-1)!.at.toFixed(4))]).toEqual([0, 1]);
      }),
      { numRuns: 40 },
    );
  });

  it('is logarithmic where the tail is far away, and only there', () => {
    const even = Array.from({ length: 1000 }, (_, i) => 1000 + i);
    expect(curveOf(even).isLogarithmic).toBe(false);
    expect(curveOf([...even, 900_000]).isLogarithmic).toBe(true);
  });

  it('stops where a contestant has too few values, if another has more', () => {
    const quick = { seed: 1, rounds: 1, durationSec: 1, histogramSize: 20_000 };
    const result = simulate({ ...quick, contestants: STROWGER_AND_KAMAILIO });
    const [ours, theirs] = result.turns;
    const turns = [ours!, { ...theirs!, delays: { setup: delayOf([1000, 2000, 3000, 4000]) } }];
    const { lines } = percentileCurveOf('setup', summarize({ ...result, turns }))!;
    expect(lines[0]!.values).not.toContain(null);
    expect(lines[1]!.values[0]).not.toBeNull();
    expect(lines[1]!.values.at(-1)).toBeNull();
  });
});
