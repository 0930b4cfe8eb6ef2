import { describe, expect, it } from 'vitest';
import { IncomparableError } from '../../../perf/bench/compare/comparability.ts';
import { type ComparedFigure, type Comparison, compare } from '../../../perf/bench/compare/comparison.ts';
import type { BenchResult } from '../../../perf/bench/result.ts';
import { type SimulatedContestant, type Simulation, STROWGER_AND_KAMAILIO, simulate } from '../simulated-result.ts';

const [STROWGER, KAMAILIO] = STROWGER_AND_KAMAILIO as [SimulatedContestant, SimulatedContestant];

function run(seed: number, changes: Partial<Simulation> = {}): BenchResult {
  const quick = { rounds: 5, noise: 0.01, durationSec: 4, histogramSize: 1500 };
  return simulate({ seed, contestants: [STROWGER], ...quick, ...changes });
}

function compared(before: BenchResult, after: BenchResult): Comparison {
  return compare({ file: 'before.json', result: before }, { file: 'after.json', result: after });
}

function figure(
  { contestants }: Comparison,
  measure: ComparedFigure['measure'],
  { delay = null, percentile = null, beside = null }: Partial<ComparedFigure> = {},
): ComparedFigure {
  const found = contestants[0]!.figures.filter(
    (one) => one.measure === measure && one.delay === delay && one.percentile === percentile && one.beside === beside,
  );
  expect(found).toHaveLength(1);
  return found[0]!;
}

const MEDIAN = { delay: 'sessionRequest', percentile: 50 } as const;
const WHOLE = { delay: 'sessionRequest' } as const;

describe('a comparison', () => {
  it('finds nothing where nothing changed', () => {
    const { verdicts } = compared(run(1), run(2));
    expect(verdicts).toMatchObject({ better: 0, worse: 0, drift: 0, unknown: 0 });
    expect(verdicts.same).toBeGreaterThan(10);
  });

  it('of a run with itself finds no change at all', () => {
    const one = run(1);
    const { contestants, verdicts } = compared(one, one);
    expect(verdicts).toMatchObject({ better: 0, worse: 0 });
    expect(contestants[0]!.figures.filter(({ change }) => change !== null && change !== 0)).toEqual([]);
  });

  it('finds a tenth less in rate, CPU and delays, and which way each is', () => {
    const slower = { ...STROWGER, ratePerSec: STROWGER.ratePerSec * 0.9, cpuUs: 78, delayUs: 1000 };
    const found = compared(run(1), run(2, { contestants: [slower] }));
    for (const one of [figure(found, 'rate'), figure(found, 'cpu'), figure(found, 'percentile', MEDIAN)]) {
      expect(one.verdict).toBe('worse');
      expect(Math.abs(one.change!)).toBeGreaterThan(one.noise!);
    }
    expect(figure(found, 'rate').change).toBeCloseTo(-0.1, 1);
    expect(figure(found, 'distribution', WHOLE).verdict).toBe('worse');
    const back = compared(run(2, { contestants: [slower] }), run(1));
    for (const one of [figure(back, 'rate'), figure(back, 'cpu'), figure(back, 'percentile', MEDIAN)])
      expect(one.verdict).toBe('better');
  });

  it('does not call the same change one where the rounds vary by more', () => {
    const slower = { ...STROWGER, ratePerSec: STROWGER.ratePerSec * 0.9, cpuUs: 78 };
    const loud = { noise: 0.15 };
    const found = compared(run(1, loud), run(2, { ...loud, contestants: [slower] }));
    expect([figure(found, 'rate').verdict, figure(found, 'cpu').verdict]).toEqual(['same', 'same']);
  });

  it('never calls less than the least change one, however quiet the rounds were', () => {
    const quiet = { noise: 0.0005 };
    const slower = { ...STROWGER, cpuUs: STROWGER.cpuUs! * 1.02 };
    const [before, after] = [run(1, quiet), run(2, { ...quiet, contestants: [slower] })];
    expect(figure(compared(before, after), 'cpu').verdict).toBe('same');
    const finer = compare({ file: 'a', result: before }, { file: 'b', result: after }, 0.01);
    expect(figure(finer, 'cpu').verdict).toBe('worse');
  });

  it('tells the machine’s change from the server’s by what another server did', () => {
    const contestants = [STROWGER, KAMAILIO];
    const before = run(1, { contestants });
    const drifted = compared(before, run(2, { contestants, slowness: 1.15 }));
    expect(figure(drifted, 'cpu')).toMatchObject({ verdict: 'drift', reason: 'kamailio changed alike' });
    expect(figure(drifted, 'cpu', { beside: 'kamailio' }).verdict).toBe('same');
    expect(drifted.verdicts).toMatchObject({ worse: 0, better: 0 });
    const changed = [{ ...STROWGER, cpuUs: STROWGER.cpuUs! * 1.15 }, KAMAILIO];
    const worse = compared(before, run(3, { contestants: changed }));
    expect(figure(worse, 'cpu').verdict).toBe('worse');
    expect(figure(worse, 'cpu', { beside: 'kamailio' }).verdict).toBe('worse');
  });

  it('does not go by a server that is another version now', () => {
    const after = run(2, { contestants: [STROWGER, { ...KAMAILIO, version: '5.8.0' }], slowness: 1.15 });
    const found = compared(run(1, { contestants: [STROWGER, KAMAILIO] }), after);
    expect(figure(found, 'cpu').verdict).toBe('worse');
  });

  it('judges no rate that the load generator limited', () => {
    const limited: SimulatedContestant = { ...STROWGER, limitedBy: 'generator' };
    const found = compared(run(1), run(2, { contestants: [{ ...limited, ratePerSec: 9000 }] }));
    expect(figure(found, 'rate').verdict).toBe('unknown');
    expect(figure(found, 'cpu').verdict).toBe('same');
  });

  it('finds failures that were not there', () => {
    const failing = { ...STROWGER, failureShare: 0.002 };
    const found = compared(run(1), run(2, { contestants: [failing] }));
    expect(figure(found, 'failures')).toMatchObject({ verdict: 'worse', change: null, before: 0 });
  });

  it('finds failures of exchanges that all began before the window', () => {
    const { turns, ...rest } = run(2, { contestants: [{ ...STROWGER, failureShare: 0.01 }] });
    const stalled = turns.map((turn) => ({ ...turn, exchanges: { ...turn.exchanges, started: 0, successful: 0 } }));
    const found = compared(run(1), { ...rest, turns: stalled });
    expect(figure(found, 'failures')).toMatchObject({ verdict: 'worse', after: 1 });
  });

  it('judges nothing by a single round, but that nothing failed', () => {
    const found = compared(run(1), run(2, { rounds: 1 }));
    const judged = found.contestants[0]!.figures.filter(({ verdict }) => verdict !== 'unknown');
    expect(judged.map(({ measure }) => measure)).toEqual(['failures']);
  });

  it('says no percentile that the rounds are too short for', () => {
    const found = compared(run(1), run(2));
    const said = found.contestants[0]!.figures.filter(({ delay }) => delay === 'setup').map((one) => one.percentile);
    expect(said).toEqual([50, 90, 99, null]);
  });

  it('sets what runs are about beside each other, whatever it is called', () => {
    const found = compared(run(1), run(2, { contestants: [{ ...STROWGER, name: '192.0.2.1:5060' }] }));
    expect(found.doubts).toContain('Another one was measured: strowger before, 192.0.2.1:5060 after.');
    expect(figure(found, 'cpu').verdict).toBe('same');
  });

  it('says what else differs', () => {
    const other = run(2, { rounds: 3, contestants: [STROWGER, KAMAILIO], warnings: ['The disk was full.'] });
    const after = { ...other, machine: { ...other.machine, node: '27.0.0' } };
    expect(compared(run(1), after).doubts).toEqual([
      'Not the same Node.js: 26.10.0 before, 27.0.0 after.',
      'After: The disk was full.',
      'Only one of the two has kamailio: it is not compared.',
    ]);
  });

  it.each([
    ['another scenario', run(2, { scenario: 'options' }), 'another scenario: call before, options after'],
    ['another rate', run(2, { ratePerSec: 100 }), /^another rate .*: none before, 100 after$/],
    ['nobody in both', run(2, { contestants: [KAMAILIO] }), 'nobody has had a turn in both'],
    ['no turns', { ...run(2), turns: [] }, 'nobody has had a turn in both'],
  ])('refuses %s', (_, after, message) => {
    const attempt = () => compared(run(1), after);
    expect(attempt).toThrow(IncomparableError);
    expect(attempt).toThrow(message);
  });
});
