/** `npm run perf:forward`: what a forwarded message costs, beside a bare relay and Kamailio in the same run. Plays the
 *  contestants in turns, so that a machine whose speed drifts is fair to all, and prints what came of it; options.ts has
 *  the manual, perf/README.md how to read the figures. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus as listCpus, release } from 'node:os';
import { type Contestant, type Cpus, kamailio, measure, relay, strowger } from './contestants.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { allowedCpus } from './process-figures.ts';
import { cpuUsPerMessage, renderTable, type Summary, summarize, type Turn } from './report.ts';

const EXIT = { OK: 0, FAILED: 1, USAGE: 2, GENERATOR_LIMITED: 3 } as const;

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => process.exit(code)); // contestants.ts leaves nothing behind
}
process.exitCode = await main();

async function main(): Promise<number> {
  let options: Options | null;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`perf:forward: ${(error as Error).message}\n`);
    return EXIT.USAGE;
  }
  if (options === null) {
    process.stdout.write(USAGE);
    return EXIT.OK;
  }
  const [load, server] = allowedCpus();
  if (server === undefined) {
    process.stderr.write('perf:forward: needs two CPUs, one for the load and one for the server; not measured\n');
    return options.isQuick ? EXIT.OK : EXIT.USAGE;
  }
  try {
    return await compete(options, { load: load!, server });
  } catch (error) {
    process.stderr.write(`perf:forward: ${(error as Error).message}\n`);
    return EXIT.FAILED;
  }
}

async function compete(options: Options, cpus: Cpus): Promise<number> {
  const revision = gitRevision();
  const contestants = enter(options, revision);
  const machine = machineLine(revision);
  const say = (line: string) => process.stderr.write(`${line}\n`);
  say(machine);
  say(conditions(options, cpus, contestants));

  const turns: Turn[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (let i = 0; i < contestants.length; i++) {
      // Another one begins each round, so that none always follows the same one.
      const contestant = contestants[(i + round) % contestants.length]!;
      const result = await measure(contestant, cpus, options);
      turns.push({ contestant: contestant.name, round, result });
      const perSec = (result.messages * 1000) / result.wallMs;
      const cpu = cpuUsPerMessage(result).toFixed(2);
      say(`round ${round + 1}: ${contestant.name}: ${perSec.toFixed(0)} messages/s, ${cpu} µs of CPU each`);
    }
  }
  const summaries = contestants.map(({ name }) => summarize(name, turns, options.rate));
  const text = renderTable(summaries);
  if (options.json === '-') say(text);
  else process.stdout.write(`${text}\n`);
  if (options.json !== null) {
    const { json, ...conditionsOfRun } = options;
    const versions = Object.fromEntries(contestants.map(({ name, version }) => [name, version]));
    const everything = { machine, options: conditionsOfRun, versions, summaries, turns };
    writeFileSync(json === '-' ? 1 : json!, `${JSON.stringify(everything, null, 1)}\n`);
  }
  return verdict(summaries.find(({ contestant }) => contestant === 'strowger')!, options);
}

function enter(options: Options, revision: string): Contestant[] {
  const contestants = [relay('one'), ...(options.isQuick ? [] : [relay('batch')])];
  contestants.push(strowger(revision, options.serverArguments));
  if (!options.wantsKamailio) return contestants;
  const other = kamailio();
  if (other === null)
    process.stderr.write('kamailio is not installed, so there is nothing to compare with but the relay\n');
  else contestants.push(other);
  return contestants;
}

function verdict({ failed, lost, bottleneck }: Summary, { isQuick, rate }: Options): number {
  if (failed + (rate > 0 ? 0 : lost) > 0) return EXIT.FAILED;
  return bottleneck === 'generator' && !isQuick ? EXIT.GENERATOR_LIMITED : EXIT.OK;
}

function machineLine(revision: string): string {
  const all = listCpus();
  return [
    `${all[0]?.model.trim() ?? 'unknown CPU'} × ${all.length}`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
    `strowger ${revision}`,
    new Date().toISOString(),
  ].join(', ');
}

function conditions(options: Options, cpus: Cpus, contestants: readonly Contestant[]): string {
  const { rounds, durationMs, warmUpMs, window, rate } = options;
  const how = rate > 0 ? `open loop at ${rate} exchanges/s` : `closed loop, ${window} exchanges in flight`;
  const who = contestants.map(({ name, version }) => `${name} (${version})`).join(', ');
  const turns = `${rounds} × ${durationMs / 1000} s after ${warmUpMs / 1000} s of warm-up`;
  return `OPTIONS and its 200, ${how}, ${turns}; load on CPU ${cpus.load}, server on CPU ${cpus.server}: ${who}`;
}

function gitRevision(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' and changes');
  } catch {
    return 'without git';
  }
}
