/** `npm run perf:scale`: what more workers bring, and what a larger machine should do. Runs Strowger with 1 … n workers in
 *  turns under the load engine, adds up the CPU of each stage, and fits the Universal Scalability Law. */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { describeMachine, machineLine } from '../bench/machine.ts';
import { strowger } from '../load/contestants.ts';
import type { EngineResult } from '../load/engine-result.ts';
import { isDisturbed } from '../load/figures.ts';
import { runMeasuring, say } from '../load/measuring-command.ts';
import { CLOSED_WINDOW, DEFAULT_USERS, numberIn, scenarioIn, wholeNumberIn } from '../load/options.ts';
import { SCENARIOS, type ScenarioName } from '../load/scenarios.ts';
import { type Cpus, play } from '../load/turn.ts';
import { pointOf, predict, renderPoints, renderPrediction } from './prediction.ts';
import { LEAST_POINTS } from './scalability-law.ts';

const USAGE = `npm run perf:scale -- [options]

What do more workers bring? Strowger runs with 1 … n of them in turns, with a load over loopback from a CPU of its own.
Prints the CPU that a message takes at each stage, the Universal Scalability Law through that, and what it predicts for
larger machines.

  --scenario NAME   as of npm run perf, default call
  --workers LIST    numbers of workers, at least ${LEAST_POINTS}; default 1,2,3,4, and on to one fewer than there are CPUs
  --rounds N        turns of each, default 3
  --duration SEC    measured window of a turn, default 2
  --json FILE       everything, also as JSON; - is standard output
  --quick           one short round that only shows that all of this works

Exit code 1: something failed; 2: wrong usage, or no second CPU.
`;

interface Options {
  readonly scenario: ScenarioName;
  readonly workers: readonly number[];
  readonly rounds: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly json: string | null;
}

const MAX_WORKERS = 64;

await runMeasuring({ name: 'perf:scale', usage: USAGE, parse: parseOptions, run });

async function run(options: Options, cpus: Cpus): Promise<number> {
  const { scenario, rounds, workers, json } = options;
  const machine = describeMachine(null);
  const startedAt = new Date().toISOString();
  say(`${machineLine(machine)}, ${startedAt}`);
  say(`${SCENARIOS[scenario].title}; load on CPU ${cpus.load}, server on CPU ${cpus.server.join(',')}`);
  const results = new Map<number, EngineResult[]>(workers.map((count) => [count, []]));
  for (let round = 0; round < rounds; round++) {
    for (const count of workers) {
      // One worker on one core would have no dispatcher, and nothing could be said of more.
      const contestant = strowger(scenario, machine.revision ?? 'without git', [
        '--workers',
        `${count}`,
        '--set',
        'dispatcher.thread=own',
      ]);
      // Each worker has as much in flight as one has alone, or there would be nothing to do for many.
      const window = CLOSED_WINDOW * count;
      const { result } = await play(contestant, cpus, { ...options, window, rate: 0, users: DEFAULT_USERS });
      results.get(count)!.push(result);
      say(`round ${round + 1}: ${count} workers: ${((result.received * 1000) / result.wallMs).toFixed(0)} messages/s`);
    }
  }
  const points = workers.map((count) => pointOf(count, results.get(count)!, cpus.server.length));
  const prediction = predict(points);
  const disturbed = [...results.values()].flat().filter((result) => isDisturbed(result, cpus.server.length)).length;
  if (disturbed > 0)
    say(`warning: ${disturbed} turns shared the CPU with other programs; repeat this on a quiet machine`);
  const text = `${renderPoints(points)}\n\n${renderPrediction(prediction, cpus.server.length)}\n`;
  if (json === '-') process.stderr.write(text);
  else process.stdout.write(text);
  if (json !== null) {
    const everything = {
      format: 'strowger-scale/1',
      startedAt,
      machine,
      scenario,
      serverCpus: cpus.server,
      points,
      prediction,
    };
    writeFileSync(json === '-' ? 1 : json, `${JSON.stringify(everything, null, 1)}\n`);
  }
  const failed = [...results.values()].flat().reduce((sum, result) => sum + result.failed, 0);
  if (failed > 0) say(`perf:scale: ${failed} exchanges failed, so this is no study of anything`);
  return failed > 0 ? 1 : 0;
}

function parseOptions(argv: readonly string[], serverCpus: number): Options | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      scenario: { type: 'string', default: 'call' },
      workers: { type: 'string' },
      rounds: { type: 'string' },
      duration: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const { quick } = values;
  const scenario = scenarioIn(values.scenario);
  if (scenario === 'register-insert')
    throw new Error('--scenario register-insert ends with its users and does not scale');
  const list = values.workers?.split(',') ?? [...defaultWorkers(quick ? 0 : serverCpus)].map(String);
  const workers = [...new Set(list.map((text) => wholeNumberIn('workers', text, 1, MAX_WORKERS)))].sort(
    (a, b) => a - b,
  );
  if (workers.length < LEAST_POINTS) throw new Error(`--workers has ${LEAST_POINTS} numbers or more, such as 1,2,3`);
  return {
    scenario,
    workers,
    rounds: wholeNumberIn('rounds', values.rounds ?? (quick ? '1' : '3'), 1, 100),
    durationMs: 1000 * numberIn('duration', values.duration ?? (quick ? '0.3' : '2'), 0.1, 60),
    warmUpMs: quick ? 200 : SCENARIOS[scenario].warmUpMs,
    json: values.json ?? null,
  };
}

/** All up to four, then half as many again each time, and the most that have a CPU each beside the dispatcher's. */
function defaultWorkers(serverCpus: number): Set<number> {
  const most = Math.min(Math.max(serverCpus - 1, 4), MAX_WORKERS);
  const numbers = new Set([1, 2, 3, 4]);
  for (let count = 6; count < most; count = Math.ceil(count * 1.5)) numbers.add(count);
  return numbers.add(most);
}
