/** `npm run perf`: what an exchange costs a server, beside a bare relay and Kamailio in the same run; options.ts has the manual,
 *  perf/README.md how to read the figures. */

import { writeFileSync } from 'node:fs';
import { describeMachine, machineLine } from '../bench/machine.ts';
import { benchResultOf } from './bench-result.ts';
import { enter, type PlayedTurn, playRound } from './competition.ts';
import type { Contestant } from './contestants.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { allowedCpus } from './process-figures.ts';
import { notesOf, renderTable, type Summary, summarize } from './report.ts';
import { SCENARIOS } from './scenarios.ts';
import { type Cpus, exitOnSignals } from './turn.ts';

const EXIT = { OK: 0, FAILED: 1, USAGE: 2, GENERATOR_LIMITED: 3 } as const;

exitOnSignals();
process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  let options: Options | null;
  try {
    options = parseOptions(argv);
  } catch (error) {
    say(`perf: ${(error as Error).message}; npm run perf -- --help`);
    return EXIT.USAGE;
  }
  if (options === null) {
    process.stdout.write(USAGE);
    return EXIT.OK;
  }
  const [load, server] = allowedCpus();
  if (load === undefined || server === undefined) {
    say('perf: needs two CPUs, one for the load and one for the server; not measured');
    return options.isQuick ? EXIT.OK : EXIT.USAGE;
  }
  try {
    return await run(options, { load, server: [server] }, argv);
  } catch (error) {
    say(`perf: ${(error as Error).message}`);
    return EXIT.FAILED;
  }
}

async function run(options: Options, cpus: Cpus, argv: readonly string[]): Promise<number> {
  const { scenario, rounds, rate, json, title } = options;
  const startedAt = new Date();
  const machine = describeMachine(null);
  const contestants = enter(
    scenario,
    { ...options, revision: machine.revision ?? 'without git', wantsBatchingRelay: !options.isQuick },
    say,
  );
  say(`${machineLine(machine)}, ${startedAt.toISOString()}`);
  say(conditionsLine(options, cpus, contestants));

  const turns: PlayedTurn[] = [];
  for (let round = 0; round < rounds; round++) turns.push(...(await playRound(contestants, cpus, options, round, say)));

  const { mainDelay } = SCENARIOS[scenario];
  const conditions = { rate, serverCpus: cpus.server.length, mainDelay };
  const summaries = contestants.map(({ name }) => summarize(name, turns, conditions));
  const table = renderTable(summaries);
  if (json === '-') say(table);
  else process.stdout.write(`${table}\n`);
  if (json !== null) {
    const warnings = summaries.flatMap(notesOf);
    const command = ['npm run perf --', ...argv].join(' ');
    const result = benchResultOf({
      title,
      startedAt,
      machine,
      amount: options,
      serverCpus: cpus.server.length,
      contestants,
      turns,
      warnings,
      command,
    });
    writeFileSync(json === '-' ? 1 : json, `${JSON.stringify(result, null, 1)}\n`);
  }
  return verdict(summaries.find(({ contestant }) => contestant === 'strowger')!, options);
}

function verdict({ failed, limitedBy }: Summary, { isQuick }: Options): number {
  if (failed > 0) return EXIT.FAILED;
  return limitedBy === 'generator' && !isQuick ? EXIT.GENERATOR_LIMITED : EXIT.OK;
}

function conditionsLine(options: Options, cpus: Cpus, contestants: readonly Contestant[]): string {
  const { scenario, rounds, durationMs, warmUpMs, window, rate, users } = options;
  const { title, hasUsers } = SCENARIOS[scenario];
  const how = rate > 0 ? `open loop at ${rate} exchanges/s` : `closed loop, ${window} exchanges in flight`;
  const who = contestants.map(({ name, version }) => `${name} (${version})`).join(', ');
  const turns = `${rounds} × ${durationMs / 1000} s after ${warmUpMs / 1000} s of warm-up`;
  const whom = hasUsers ? `, ${users} users` : '';
  return `${title}${whom}; ${how}, ${turns}; load on CPU ${cpus.load}, server on CPU ${cpus.server.join(',')}: ${who}`;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
