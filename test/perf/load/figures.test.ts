import { describe, expect, it } from 'vitest';
import type { EngineResult } from '../../../perf/load/engine-result.ts';
import { cpuUsPerExchange, isDisturbed, limitOf, type TurnFigures } from '../../../perf/load/figures.ts';
import { ratiosOf } from '../../../perf/load/report.ts';
import { medianOf, spreadOf, textOfSpread } from '../../../perf/load/spread.ts';
import { textTable } from '../../../perf/load/text-table.ts';

/** A second in which the server was on a CPU for `serverMs`. */
function turn(serverMs: number, more: Partial<TurnFigures> = {}): TurnFigures {
  const figures = {
    wallMs: 1000,
    successful: 1000,
    received: 2000,
    foreignCpuNs: 0,
    generatorBusy: 0.5,
    generatorOnCpu: 0.99,
    threads: [],
  };
  return { ...figures, serverCpuNs: serverMs * 1e6, ...more };
}

describe('what limited a turn', () => {
  it.each<readonly [limit: string, what: string, figures: TurnFigures, rate: number, cpus: number]>([
    ['server', 'it had its whole CPU', turn(960), 0, 1],
    ['neither', 'half of two CPUs is not all', turn(960), 0, 2],
    [
      'server',
      'its busiest thread had a whole CPU',
      turn(1200, { threads: [{ pid: 1, tid: 1, name: '', ns: 970e6, userTicks: 0, systemTicks: 0 }] }),
      0,
      4,
    ],
    ['others', 'what it had not, others had', turn(500, { foreignCpuNs: 480e6 }), 0, 1],
    ['generator', 'it waited and the generator did not', turn(500, { generatorBusy: 0.95 }), 0, 1],
    ['neither', 'both waited', turn(500), 0, 1],
    ['rate', 'the rate was kept', turn(500), 1005, 1],
    ['server', 'the rate was not kept', turn(960), 1100, 1],
  ])('is the %s: %s', (limit, _, figures, rate, cpus) => {
    expect(limitOf(figures, rate, cpus)).toBe(limit);
  });

  it("is worth less where others had more than a fifth of the server's CPUs, or a tenth of the generator's", () => {
    expect(isDisturbed(turn(800, { foreignCpuNs: 220e6 }), 1)).toBe(true);
    expect(isDisturbed(turn(800, { foreignCpuNs: 220e6 }), 2)).toBe(false);
    expect(isDisturbed(turn(800, { generatorOnCpu: 0.85 }), 1)).toBe(true);
  });
});

describe('ratios', () => {
  it('are of CPU per exchange, within a round, of rounds that both played', () => {
    const played = (contestant: string, round: number, serverMs: number) => ({
      contestant,
      round,
      result: turn(serverMs) as EngineResult,
    });
    const turns = [
      played('a', 0, 300),
      played('b', 0, 100),
      played('b', 1, 200),
      played('a', 1, 500),
      played('a', 2, 900),
    ];
    expect(ratiosOf('a', 'b', turns)).toEqual([3, 2.5]);
    expect(cpuUsPerExchange(turn(300))).toBe(300);
  });
});

describe('spread', () => {
  it('has the value in the middle, or the mean of the two', () => {
    expect(medianOf([3, 1, 2])).toBe(2);
    expect(medianOf([4, 1, 2, 3])).toBe(2.5);
    expect(() => medianOf([])).toThrow('no values, no median');
    expect(textOfSpread(spreadOf([3, 1, 2]), 1)).toBe('2.0 [1.0–3.0]');
  });
});

describe('table', () => {
  it('has words to the left and figures to the right', () => {
    expect(
      textTable([
        ['', 'per second'],
        ['relay', '5'],
        ['us', '12'],
      ]),
    ).toEqual(['       per second', 'relay           5', 'us             12']);
  });
});
