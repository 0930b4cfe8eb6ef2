/** `npm run perf`: what an exchange costs a server, beside a bare relay and Kamailio in the same run; options.ts has the manual,
 *  perf/README.md how to read the figures. */

import { writeFileSync } from 'node:fs';
import { describeMachine, machineLine } from '../bench/machine.ts';
import { benchResultOf } from './bench-result.ts';
import { enter, type PlayedTurn, playRound } from './competition.ts';
import type { Contestant } from './contestants.ts';
import { runMeasuring, say } from './measuring-command.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { notesOf, renderTable, type Summary, summarize } from './report.ts';
import { SCENARIOS } from './scenarios.ts';
import type { Cpus } from './turn.ts';

const EXIT = { OK: 0, FAILED: 1, USAGE: 2, GENERATOR_LIMITED: 3 } as const;

await runMeasuring({
  name: 'perf',
  usage: USAGE,
  parse: parseOptions,
  run,
  exitWithoutCpus: ({ isQuick }) => (isQuick ? EXIT.OK : EXIT.USAGE),
});

async function run(options: Options, { load, server }: Cpus, argv: readonly string[]): Promise<number> {
  const cpus = { load, server: server.slice(0, 1) };
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
  const { scenario, transport, connections, rounds, durationMs, warmUpMs, window, rate, users } = options;
  const { title, hasUsers } = SCENARIOS[scenario];
  const how = rate > 0 ? `open loop at ${rate} exchanges/s` : `closed loop, ${window} exchanges in flight`;
  const who = contestants.map(({ name, version }) => `${name} (${version})`).join(', ');
  const turns = `${rounds} × ${durationMs / 1000} s after ${warmUpMs / 1000} s of warm-up`;
  const whom = hasUsers ? `, ${users} users` : '';
  const by = transport === 'udp' ? 'UDP' : `TCP, ${connections} connections on either side`;
  return `${title}${whom}, by ${by}; ${how}, ${turns}; load on CPU ${cpus.load}, server on CPU ${cpus.server.join(',')}: ${who}`;
}
