/** The real engine against the bare relay, and against servers that are not what they should be. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeMachine } from '../../../perf/bench/machine.ts';
import { type BenchResult, RESULT_FORMAT } from '../../../perf/bench/result.ts';
import { benchResultOf } from '../../../perf/load/bench-result.ts';
import { playRound } from '../../../perf/load/competition.ts';
import { type Contestant, relay } from '../../../perf/load/contestants.ts';
import { allowedCpus } from '../../../perf/load/process-figures.ts';
import { play } from '../../../perf/load/turn.ts';
import { root } from '../../tidy/source-files.ts';

const AMOUNT = { scenario: 'options', window: 16, rate: 0, users: 100, warmUpMs: 200, durationMs: 300 } as const;
const [load, server] = allowedCpus();
const cpus = { load: load!, server: [server ?? load!] };

describe('a turn', () => {
  it('of the relay comes back whole, as a result that others can read', async () => {
    const contestants = [relay('options', 'one')];
    const turns = await playRound(contestants, cpus, AMOUNT, 0, () => undefined);
    const [{ result }] = turns as [(typeof turns)[number]];
    expect(result.failed).toBe(0);
    expect(result.successful).toBeGreaterThan(100);
    expect(result.received).toBeGreaterThanOrEqual(2 * (result.successful - AMOUNT.window));
    expect(result.delays.response!.bins.reduce((sum, [, count]) => sum + count, 0)).toBe(result.successful);
    expect(result.serverCpuNs).toBeGreaterThan(0);

    const run = {
      title: 'a test',
      startedAt: new Date(0),
      machine: describeMachine(null),
      amount: AMOUNT,
      serverCpus: 1,
    };
    const json: BenchResult = JSON.parse(
      JSON.stringify(benchResultOf({ ...run, contestants, turns, warnings: [], command: 'npm run perf' })),
    );
    expect(json).toMatchObject({
      format: RESULT_FORMAT,
      startedAt: '1970-01-01T00:00:00.000Z',
      load: { scenario: 'options', generator: 'engine', ratePerSec: null, users: null, window: 16 },
      contestants: [{ name: 'relay', role: 'relay' }],
    });
    expect(json.turns[0]!.delays.response!.count).toBe(result.successful);
    expect(json.turns[0]!.delays.response!.isCorrected).toBe(false);
    expect(JSON.stringify(json.contestants)).not.toContain(root);
  });

  it.each(['options', 'call', 'register'] as const)('of the relay by TCP: %s', async (scenario) => {
    const byTcp = { ...AMOUNT, scenario, transport: 'tcp', connections: 3 } as const;
    const { result, target } = await play(relay(scenario, 'tcp'), cpus, byTcp);
    expect(result.failuresByCause).toEqual({});
    expect(result.successful).toBeGreaterThan(100);
    expect(target).toMatch(/^sip:127\.0\.0\.1:\d+;transport=tcp$/);
  });

  it('is not played by TCP with a server that closes connections', async () => {
    const byTcp = { ...AMOUNT, transport: 'tcp', connections: 2 } as const;
    const code = (port: number) =>
      `require('net').createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end())).listen(${port}, '127.0.0.1')`;
    const closing: Contestant = {
      ...relay('options', 'tcp'),
      name: 'closing',
      command: ({ serverPort }) => [process.execPath, '-e', code(serverPort)],
    };
    await expect(play(closing, cpus, byTcp)).rejects.toThrow(/^closing: the load engine failed, see above/);
  });

  it('is not played with a server that does not do its part', async () => {
    // A relay in the place of a proxy: no Via, no Max-Forwards.
    const impostor: Contestant = { ...relay('options', 'one'), name: 'impostor', role: 'subject' };
    await expect(play(impostor, cpus, AMOUNT)).rejects.toThrow(/^impostor: the load engine failed, see above/);
  });

  it('is not played with a server that does not start', async () => {
    const broken: Contestant = {
      ...relay('options', 'one'),
      name: 'broken',
      command: () => ['/bin/sh', '-c', 'echo no port >&2'],
    };
    await expect(play(broken, cpus, AMOUNT)).rejects.toThrow(/^broken: broken ended by itself\nno port/);
  });
});

describe('npm run perf', () => {
  const perf = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'perf', 'load', 'load.ts'), ...args], { encoding: 'utf8' });

  it('says in one line what it cannot do', () => {
    const { status, stderr, stdout } = perf('--scenario', 'fax');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^perf: --scenario is one of .*; npm run perf -- --help\n$/);
    expect(perf('--help').stdout).toContain('call-located');
  });
});
