import { describe, expect, it } from 'vitest';
import { csvFilesOf } from '../../../perf/bench/report/raw-data.ts';
import { STROWGER_AND_KAMAILIO, simulate } from '../simulated-result.ts';

const result = simulate({
  seed: 1,
  rounds: 2,
  durationSec: 3,
  histogramSize: 100,
  contestants: [STROWGER_AND_KAMAILIO[0]!, { ...STROWGER_AND_KAMAILIO[1]!, name: 'a "b", c', cpuUs: null }],
});

function rowsOf(name: string): string[] {
  const { text } = csvFilesOf(result).find((file) => file.name === name)!;
  expect(text.endsWith('\r\n')).toBe(true);
  return text.slice(0, -2).split('\r\n');
}

describe('the CSV files', () => {
  it('have a row for each turn, sample and percentile', () => {
    expect(rowsOf('turns.csv')).toHaveLength(1 + 4);
    expect(rowsOf('over-time.csv')).toHaveLength(1 + 4 * 3);
    const delays = 3;
    const percentiles = Object.keys(result.turns[0]!.delays.setup!.percentilesUs).length;
    expect(rowsOf('percentiles.csv')).toHaveLength(1 + 4 * delays * (percentiles + 2));
  });

  it('quote what needs it (RFC 4180), and leave what is not known empty', () => {
    const [columns, ours, theirs] = rowsOf('turns.csv');
    const cpu = columns!.split(',').indexOf('cpu_us_per_exchange');
    expect(Number(ours!.split(',')[cpu])).toBeCloseTo(71, -1);
    expect(theirs).toMatch(/^"a ""b"", c",0,/);
    expect(theirs!.replace('"a ""b"", c"', 'x').split(',')[cpu]).toBe('');
  });
});
