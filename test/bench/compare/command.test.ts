import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { benchCompare } from '../../../perf/bench/compare/command.ts';
import { COMPARISON_FORMAT, type Comparison } from '../../../perf/bench/compare/comparison.ts';
import type { BenchResult } from '../../../perf/bench/result.ts';
import { type Simulation, STROWGER_AND_KAMAILIO, simulate } from '../simulated-result.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-compare-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, changes: Partial<Simulation> & Pick<Simulation, 'seed'>): string {
  const quick = { rounds: 5, noise: 0.01, durationSec: 4, histogramSize: 300 };
  const result: BenchResult = simulate({ contestants: STROWGER_AND_KAMAILIO, ...quick, ...changes });
  writeFileSync(join(folder, name), JSON.stringify(result));
  return join(folder, name);
}

const slower = STROWGER_AND_KAMAILIO.map((one) => (one.role === 'subject' ? { ...one, cpuUs: one.cpuUs! * 1.2 } : one));
const before = file('before.json', { seed: 1 });
const same = file('same.json', { seed: 2 });
const worse = file('worse.json', { seed: 3, contestants: slower });
const single = file('single.json', { seed: 4, rounds: 1 });
const options = file('options.json', { seed: 5, scenario: 'options', delays: ['response'] });

let output = '';
let errors = '';
beforeEach(() => {
  output = '';
  errors = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += text;
    return true;
  });
  vi.spyOn(console, 'error').mockImplementation((text) => {
    errors += `${text}\n`;
  });
});
afterEach(() => vi.restoreAllMocks());

describe('strowger bench compare', () => {
  it('prints a row for each figure, with its noise and verdict', () => {
    expect(benchCompare([before, worse])).toBe(0);
    const row = output.split('\n').find((line) => line.includes('CPU per call'))!;
    expect(row.replaceAll('\u00a0', ' ')).toMatch(/^ {2}CPU per call +\S+ µs +\S+ µs +\+\S+ % +±\S+ % {2}WORSE$/);
    expect(output).toMatch(/^strowger: \d+ worse, .*within the noise\.$/m);
    expect(output).toContain('Welch');
    expect(errors).toBe('');
  });

  it('prints the whole comparison with --json', () => {
    expect(benchCompare(['--json', before, worse])).toBe(0);
    const { format, verdicts, contestants } = JSON.parse(output) as Comparison;
    expect(format).toBe(COMPARISON_FORMAT);
    expect(verdicts.worse).toBeGreaterThan(0);
    expect(contestants.map(({ name }) => name)).toEqual(['strowger', 'kamailio']);
  });

  it('is a gate with --fail-on worse: 1 if something is worse, 2 if nothing can be judged', () => {
    expect(benchCompare(['--fail-on', 'worse', before, same])).toBe(0);
    expect(benchCompare(['--fail-on', 'worse', before, worse])).toBe(1);
    expect(benchCompare(['--fail-on', 'worse', worse, before])).toBe(0);
    expect(errors).toBe('');
    expect(benchCompare(['--fail-on', 'worse', before, single])).toBe(2);
    expect(errors).toBe(
      'strowger: no figure could be judged, so --fail-on has nothing to go by: measure with --rounds 5\n',
    );
  });

  it('takes --least as what is never called a change', () => {
    expect(benchCompare(['--fail-on', 'worse', '--least', '50', before, worse])).toBe(0);
  });

  it('says how it is called', () => {
    expect(benchCompare(['--help'])).toBe(0);
    expect(output).toMatch(/^strowger bench compare /);
    expect(output).toContain('Exit codes');
  });

  it.each([
    [[before], /^strowger: bench compare takes two files: strowger bench compare BEFORE\.json AFTER\.json$/],
    [[before, same, worse], /^strowger: bench compare takes two files/],
    [['--fail-on', 'better', before, same], /^strowger: --fail-on takes only the word worse, not 'better'$/],
    [['--least', 'much', before, same], /^strowger: --least takes a number of percent, 0 to 999, not 'much'$/],
    [['--colour', before, same], /^strowger: Unknown option '--colour'/],
    [[before, join(folder, 'nothing.json')], /^strowger: .*nothing\.json cannot be read \(ENOENT\)$/],
    [[before, options], /^strowger: .* cannot be compared: another scenario: call before, options after$/],
  ])('%#: what cannot be done is one line and exit code 2', (argv, message) => {
    expect(benchCompare(argv)).toBe(2);
    expect(errors.trimEnd()).toMatch(message);
    expect(errors.trimEnd()).not.toContain('\n');
    expect(output).toBe('');
  });
});
