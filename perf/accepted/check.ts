/** `npm run perf:check`: has Strowger become slower than what was accepted? Plays it and the bare relay in turns and compares the
 *  ratio of their CPU per exchange with the accepted ones; absolute figures are another machine's, or another day's.
 *  `npm run perf:accept` does the same and then writes what it found to perf/accepted. */

import { parseArgs } from 'node:util';
import { describeMachine, machineLine } from '../bench/machine.ts';
import { enter, type PlayedTurn, playRound } from '../load/competition.ts';
import { cpuUsPerExchange, foreignShare, isDisturbed } from '../load/figures.ts';
import { runMeasuring, say } from '../load/measuring-command.ts';
import {
  CLOSED_WINDOW,
  DEFAULT_USERS,
  scenarioIn,
  wholeNumberIn,
  withJoinedServerArguments,
  wordsOf,
} from '../load/options.ts';
import { ratiosOf } from '../load/report.ts';
import { SCENARIOS, type ScenarioName } from '../load/scenarios.ts';
import { textTable } from '../load/text-table.ts';
import type { Cpus } from '../load/turn.ts';
import {
  ACCEPTED_FORMAT,
  type AcceptedFigures,
  acceptedScenarios,
  LEAST_ROUNDS,
  readAccepted,
  writeAccepted,
} from './accepted-figures.ts';
import { type Verdict, verdictOf } from './verdict.ts';

const USAGE = `npm run perf:check -- [options]
npm run perf:accept -- [options]

Is Strowger slower than what perf/accepted says? Compares its CPU per exchange as a multiple of a bare relay's in the same
round. perf:accept writes what it finds to perf/accepted instead; commit that together with what caused it.

  --scenario NAME     as of npm run perf, may be repeated; default: all that have a file in perf/accepted
  --rounds N          turns of each, default 7, at least ${LEAST_ROUNDS}; those that others disturbed are played again
  --server-args '…'   more flags for strowger start (perf:check only)

Exit code 1: slower by more than the noise, or something failed; 2: wrong usage, no accepted figures, or no second CPU; 3: so
noisy that nothing can be told.
`;

const EXIT = { OK: 0, SLOWER: 1, USAGE: 2, UNCLEAR: 3 } as const;
const WORDS = {
  same: 'within the noise',
  worse: 'SLOWER',
  better: 'faster: npm run perf:accept',
  unclear: 'too noisy to tell',
} as const;

const DURATION_MS = 1000;
/** A round in which others had a part of the CPUs is played again, so many times as many rounds as there should be. */
const MAX_ATTEMPTS = 5;

/** Too few rounds had the CPUs for themselves. */
class DisturbedError extends Error {}

interface Options {
  readonly scenarios: readonly ScenarioName[];
  readonly rounds: number;
  readonly serverArguments: readonly string[];
  readonly accepts: boolean;
}

await runMeasuring({
  name: 'perf:check',
  usage: USAGE,
  parse: parseOptions,
  run,
  exitAfter: (error) => (error instanceof DisturbedError ? EXIT.UNCLEAR : EXIT.SLOWER),
});

async function run(options: Options, { load, server }: Cpus): Promise<number> {
  const cpus = { load, server: server.slice(0, 1) };
  const machine = describeMachine(null);
  // All files are read before anything is measured, so that a broken one costs no minutes.
  const accepted = new Map(options.scenarios.map((name) => [name, readAccepted(name)]));
  const unknown = options.scenarios.filter((name) => accepted.get(name) === null);
  if (!options.accepts && unknown.length > 0) {
    say(`perf:check: nothing is accepted for ${unknown.join(', ')}; npm run perf:accept -- --scenario ${unknown[0]}`);
    return EXIT.USAGE;
  }
  say(machineLine(machine));
  const verdicts: [ScenarioName, Verdict][] = [];
  let failed = 0;
  for (const scenario of options.scenarios) {
    const found = await measure(scenario, options, cpus);
    failed += found.failed;
    const before = accepted.get(scenario) ?? null;
    if (before !== null) verdicts.push([scenario, verdictOf(before, found.figures.timesRelay, machine)]);
    if (options.accepts && found.failed === 0) writeAccepted(found.figures);
  }
  if (verdicts.length > 0) process.stdout.write(`${render(verdicts)}\n`);
  if (failed > 0) say(`perf:check: ${failed} exchanges of Strowger's failed, see above`);
  if (failed > 0) return EXIT.SLOWER;
  if (options.accepts) {
    process.stdout.write(`accepted: ${options.scenarios.map((name) => `perf/accepted/${name}.json`).join(', ')}\n`);
    return EXIT.OK;
  }
  return exitCodeOf(verdicts.map(([, verdict]) => verdict));
}

async function measure(
  scenario: ScenarioName,
  { rounds, serverArguments }: Options,
  cpus: Cpus,
): Promise<{ readonly figures: AcceptedFigures; readonly failed: number }> {
  const machine = describeMachine(null);
  const measuredAt = new Date().toISOString();
  const { warmUpMs } = SCENARIOS[scenario];
  const load = { durationMs: DURATION_MS, warmUpMs, window: CLOSED_WINDOW, users: DEFAULT_USERS };
  const entries = {
    revision: '',
    serverArguments,
    transport: 'udp' as const,
    wantsBatchingRelay: false,
    wantsKamailio: false,
  };
  const contestants = enter(scenario, entries, say);
  say(`${scenario}: ${SCENARIOS[scenario].title}`);
  const amount = { scenario, rate: 0, ...load };
  const turns: PlayedTurn[] = [];
  let failed = 0;
  let quiet = 0;
  for (let round = 0; round < MAX_ATTEMPTS * rounds && quiet < rounds; round++) {
    const played = await playRound(contestants, cpus, amount, round, say);
    failed += failuresOf(played);
    const disturbed = played.find(({ result }) => isDisturbed(result, cpus.server.length));
    if (disturbed === undefined) {
      turns.push(...played);
      quiet++;
    } else {
      const { contestant, result } = disturbed;
      const ofServer = percent(foreignShare(result) / cpus.server.length);
      const ofLoad = percent(1 - result.generatorOnCpu);
      say(
        `round ${round + 1} does not count: during ${contestant} others had ${ofServer} of its CPU and ${ofLoad} of the load's`,
      );
    }
  }
  if (quiet < LEAST_ROUNDS) {
    throw new DisturbedError(
      `${scenario}: other programs disturbed all but ${quiet} rounds; repeat this on a quiet machine`,
    );
  }
  const cpuOf = (name: string) =>
    turns.filter(({ contestant }) => contestant === name).map(({ result }) => rounded(cpuUsPerExchange(result)));
  return {
    failed,
    figures: {
      format: ACCEPTED_FORMAT,
      scenario,
      measuredAt,
      machineLine: machineLine(machine),
      machine: { ...machine, nodeFlags: [...machine.nodeFlags] },
      load,
      timesRelay: ratiosOf('strowger', 'relay', turns).map(rounded),
      cpuUsPerExchange: { strowger: cpuOf('strowger'), relay: cpuOf('relay') },
    },
  };
}

function failuresOf(turns: readonly PlayedTurn[]): number {
  return turns.reduce((sum, { contestant, result }) => sum + (contestant === 'strowger' ? result.failed : 0), 0);
}

function render(verdicts: readonly [ScenarioName, Verdict][]): string {
  const rows = verdicts.map(([scenario, { kind, accepted, now, change, noise }]) => [
    scenario,
    accepted.toFixed(2),
    now.toFixed(2),
    `${change < 0 ? '−' : '+'}${percent(Math.abs(change))}`,
    `±${percent(noise)}`,
    WORDS[kind],
  ]);
  const table = textTable([['CPU per exchange, × relay', 'accepted', 'now', 'change', 'noise', ''], ...rows]);
  if (!verdicts.some(([, { isOtherMachine }]) => isOtherMachine)) return table.join('\n');
  return [...table, 'accepted on another kind of machine, so only a large change says anything'].join('\n');
}

function exitCodeOf(verdicts: readonly Verdict[]): number {
  if (verdicts.some(({ kind }) => kind === 'worse')) return EXIT.SLOWER;
  return verdicts.some(({ kind }) => kind === 'unclear') ? EXIT.UNCLEAR : EXIT.OK;
}

function parseOptions(argv: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: withJoinedServerArguments(argv),
    options: {
      scenario: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '7' },
      'server-args': { type: 'string', default: '' },
      accept: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const serverArguments = wordsOf(values['server-args']);
  if (values.accept && serverArguments.length > 0)
    throw new Error('only the defaults are accepted, so no --server-args');
  const scenarios = values.scenario?.map(scenarioIn) ?? acceptedScenarios();
  if (scenarios.length === 0) throw new Error('perf/accepted has no figures yet, so name a --scenario');
  return {
    scenarios: [...new Set(scenarios)],
    rounds: wholeNumberIn('rounds', values.rounds, LEAST_ROUNDS, 1000),
    serverArguments,
    accepts: values.accept,
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
