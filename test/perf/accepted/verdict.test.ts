import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ACCEPTED_FORMAT,
  acceptedScenarios,
  parseAccepted,
  readAccepted,
} from '../../../perf/accepted/accepted-figures.ts';
import { LEAST_NOISE, standardErrorOf, verdictOf } from '../../../perf/accepted/verdict.ts';
import type { Machine } from '../../../perf/bench/result.ts';
import { root } from '../../tidy/source-files.ts';

const MACHINE: Machine = {
  cpu: 'a',
  cores: 2,
  memoryMib: 1024,
  kernel: '6',
  node: 'v26.1.0',
  nodeFlags: [],
  revision: 'abc',
  sippVersion: null,
};
const ROUNDS = [0.99, 1, 1, 1, 1.01];
const times = (factor: number) => ROUNDS.map((round) => round * factor);
const kindOf = (before: readonly number[], now: readonly number[], machine = MACHINE) =>
  verdictOf({ timesRelay: [...before], machine: { ...MACHINE, nodeFlags: [] } }, now, machine).kind;

describe('verdict', () => {
  it('is that nothing changed where the change is within the least noise', () => {
    expect(kindOf(ROUNDS, times(1 + LEAST_NOISE - 0.01))).toBe('same');
    expect(kindOf(ROUNDS, times(1 - LEAST_NOISE + 0.01))).toBe('same');
  });

  it('is slower or faster beyond it', () => {
    expect(kindOf(ROUNDS, times(1 + LEAST_NOISE + 0.01))).toBe('worse');
    expect(kindOf(ROUNDS, times(1 - LEAST_NOISE - 0.01))).toBe('better');
  });

  it('is not moved by a single stray round', () => {
    expect(kindOf(ROUNDS, [...times(1), 9])).toBe('same');
    expect(standardErrorOf([1, 1, 1, 1, 1, 50])).toBe(0);
  });

  it('allows more where the rounds lie further apart, until nothing can be told', () => {
    expect(kindOf(ROUNDS, [0.95, 1.02, 1.1, 1.18, 1.3])).toBe('same');
    expect(kindOf(ROUNDS, [0.5, 0.7, 1, 1.4, 1.9])).toBe('unclear');
    expect(kindOf(ROUNDS, [5, 7, 10, 14, 19])).toBe('worse');
  });

  it('asks for a large change on another CPU, kernel or major of Node, not on another patch level', () => {
    for (const other of [{ cpu: 'b' }, { kernel: '7' }, { node: 'v27.0.0' }]) {
      expect(kindOf(ROUNDS, times(1.2), { ...MACHINE, ...other })).toBe('same');
      expect(kindOf(ROUNDS, times(1.4), { ...MACHINE, ...other })).toBe('worse');
    }
    expect(kindOf(ROUNDS, times(1.2), { ...MACHINE, node: 'v26.9.9', revision: 'def' })).toBe('worse');
  });
});

describe('perf/accepted', () => {
  it('has only files that can be read, each named after its scenario', () => {
    const files = readdirSync(join(root, 'perf', 'accepted')).filter((name) => name.endsWith('.json'));
    expect(
      acceptedScenarios()
        .map((name) => `${name}.json`)
        .sort(),
    ).toEqual(files.sort());
    for (const scenario of acceptedScenarios()) expect(readAccepted(scenario)!.scenario).toBe(scenario);
  });

  it('says in one line what is wrong with a file', () => {
    const figures = {
      format: ACCEPTED_FORMAT,
      scenario: 'options',
      measuredAt: '2026-11-25T12:00:00.000Z',
      machineLine: '2 × a',
      machine: MACHINE,
      load: { durationMs: 1000, warmUpMs: 1000, window: 64, users: 100 },
      timesRelay: ROUNDS,
      cpuUsPerExchange: { strowger: ROUNDS, relay: ROUNDS },
    };
    const text = JSON.stringify(figures);
    expect(() => parseAccepted('perf/accepted/options.json', text)).not.toThrow();
    expect(() => parseAccepted('perf/accepted/call.json', text)).toThrow('call.json is about options');
    expect(() => parseAccepted('options.json', '{')).toThrow(
      /^options\.json is not JSON .*perf:accept writes it anew$/,
    );
    const without = JSON.stringify({ ...figures, timesRelay: [1] });
    expect(() => parseAccepted('options.json', without)).toThrow(/^options\.json: timesRelay: /);
  });
});
