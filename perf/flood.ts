/** What becomes of calls when far more of them come than there is room for? One server on one CPU, in stages: calls at its
 *  limit, which is its capacity, and new INVITEs at `--times` the capacity, whatever comes back, take turns; last, from a second after the end of
 *  a flood on, half of the capacity. Of issue 3: in a flood as many calls succeed as before and after it, but for a tenth; of the rest some
 *  are answered 503, and all cost far less than a call; in the end nothing fails.
 *
 *  `node perf/flood.ts [--times 3] [--beside 3] [--rounds 5] [--seconds 3] [-- FLAGS OF strowger start]`. One CPU cannot send three times of what
 *  another can serve, so `--beside` programs that never sleep share the server's CPU with it. What they leave it varies: so goodput is
 *  told both as it is and for the CPU time that there was. Nothing is sent again: what a client would retransmit counts as
 *  unanswered. CPU is by `schedstat`. */

import { parseArgs } from 'node:util';
import { configSchema } from '../src/config/schema.ts';
import { describeMachine, machineLine } from './bench/machine.ts';
import { strowger } from './load/contestants.ts';
import type { EngineResult, Stage as LoadStage } from './load/engine-result.ts';
import { cpuUsPerExchange, exchangesPerSec, serverShare } from './load/figures.ts';
import { Histogram } from './load/histogram.ts';
import { runMeasuring } from './load/measuring-command.ts';
import { wholeNumberIn } from './load/options.ts';
import { medianOf } from './load/spread.ts';
import { MAX_EXCHANGES } from './load/stamped-texts.ts';
import { textTable } from './load/text-table.ts';
import type { Cpus } from './load/turn.ts';
import { beside, playStages } from './load/turn.ts';

const SCENARIO = 'call';
const CAPACITY_WINDOW = 256;
const FIRST_WARM_UP_MS = 12_000;
const WARM_UP_MS = 1000;
/** With the second in which the last of the flood is waited for: so soon all is to be as before. */
const CALM_WARM_UP_MS = 1000;

/** Causes of failures, of which a flood has many. */
const REFUSED = 'unexpected 503';
const UNANSWERED = 'timeout';

const USAGE = `node perf/flood.ts [FLAGS] [-- FLAGS OF strowger start]: calls beyond the capacity of a server.

  --times N    new calls in the flood, as a multiple of the capacity; default: 3
  --beside N   programs that share the server's CPU; default: 3
  --rounds N   a stage at the limit and one of the flood in each; default: 5
  --seconds N  of each stage; default: 3
  -h, --help   this text

Exit codes: 0: as it should be; 1: it is not; 2: called wrongly.
`;

interface Options {
  readonly times: number;
  readonly others: number;
  readonly rounds: number;
  readonly durationMs: number;
  readonly serverFlags: readonly string[];
}

interface Stage {
  readonly name: string;
  readonly offeredPerSec: number;
  readonly result: EngineResult;
}

await runMeasuring<Options>({ name: 'flood', usage: USAGE, parse, run });

function parse(argv: readonly string[]): Options | null {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      times: { type: 'string', default: '3' },
      beside: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  return {
    times: wholeNumberIn('times', values.times, 1, 100),
    others: wholeNumberIn('beside', values.beside, 0, 100),
    rounds: wholeNumberIn('rounds', values.rounds, 1, 100),
    durationMs: 1000 * wholeNumberIn('seconds', values.seconds, 1, 60),
    serverFlags: positionals,
  };
}

async function run({ times, others, rounds, durationMs, serverFlags }: Options, cpus: Cpus): Promise<number> {
  const machine = describeMachine(null);
  console.log(machineLine(machine));
  // Its rehearsal is to get the CPU time that it has where nobody is beside it.
  const rehearsal = ['--set', `rehearsalMs=${Math.min(10_000, configSchema.parse({}).rehearsalMs * (others + 1))}`];
  const contestant = strowger(SCENARIO, machine.revision ?? 'without git', [...rehearsal, ...serverFlags]);
  const ownCpus: Cpus = { load: cpus.load, server: cpus.server.slice(0, 1) };
  const drive = (stages: readonly LoadStage[]) =>
    beside(ownCpus.server, others, () => playStages(contestant, ownCpus, { scenario: SCENARIO, users: 2 }, stages));
  const atTheLimit = { window: CAPACITY_WINDOW, rate: 0, warmUpMs: WARM_UP_MS, durationMs };
  const atFirst = { ...atTheLimit, warmUpMs: FIRST_WARM_UP_MS };
  const [alone] = (await drive([atFirst])).results;
  const capacityPerSec = exchangesPerSec(alone!);
  const [floodPerSec, calmPerSec] = [Math.round(times * capacityPerSec), Math.round(capacityPerSec / 2)];
  const open = { window: MAX_EXCHANGES, durationMs };
  const flood = { ...open, rate: floodPerSec, warmUpMs: WARM_UP_MS };
  const { results } = await drive([
    atFirst,
    ...Array.from({ length: rounds }, () => [flood, atTheLimit]).flat(),
    flood,
    { ...open, rate: calmPerSec, warmUpMs: CALM_WARM_UP_MS },
  ]);
  return report(
    results.slice(0, -2).map((result, i) => {
      if (i % 2 === 0) return { name: 'at its limit', offeredPerSec: exchangesPerSec(result), result };
      return { name: `flood, ${times} times of that`, offeredPerSec: floodPerSec, result };
    }),
    { name: 'half of it, after a flood', offeredPerSec: calmPerSec, result: results.at(-1)! },
  );
}

/** `turns`: at the limit, and in every second place a flood. */
function report(turns: readonly Stage[], calm: Stage): number {
  const stages = [...turns, calm];
  const heads = [
    '',
    'offered/s',
    'started/s',
    'calls/s',
    '503/s',
    'unanswered/s',
    'other failures',
    'setup p50 ms',
    'p99 ms',
    'server CPU',
    'drops',
  ];
  const rows = stages.map(({ name, offeredPerSec, result }) => {
    const setup = new Histogram();
    setup.add(result.delays.setup!);
    const ms = (share: number) => (setup.percentileUs(share) / 1000).toFixed(1);
    return [
      name,
      offeredPerSec.toFixed(0),
      ((result.started * 1000) / result.wallMs).toFixed(0),
      exchangesPerSec(result).toFixed(0),
      failedPerSec(result, REFUSED).toFixed(0),
      failedPerSec(result, UNANSWERED).toFixed(0),
      String(otherFailures(result)),
      ms(0.5),
      ms(0.99),
      `${(100 * serverShare(result)).toFixed(0)} %`,
      `${result.serverDrops}+${result.ownDrops}`,
    ];
  });
  console.log(textTable([heads, ...rows]).join('\n'));
  for (const { name, result } of stages) {
    const others = Object.entries(result.failuresByCause).filter(
      ([cause]) => cause !== REFUSED && cause !== UNANSWERED,
    );
    for (const [cause, count] of others) console.log(`${name}: ${count} × ${cause}`);
  }
  const rounds = turns.flatMap(({ result }, i) =>
    i % 2 === 0 ? [] : [compare(turns[i - 1]!.result, result, turns[i + 1]!.result)],
  );
  const middle = (figure: keyof Comparison) => medianOf(rounds.map((round) => round[figure]));
  const kept = middle('keptByCpu');
  console.log(
    `medians: goodput in the flood ${(100 * middle('kept')).toFixed(0)} % of the capacity, ${(100 * kept).toFixed(0)} % of it in the same CPU time; ` +
      `${middle('callUs').toFixed(1)} µs a call, ${middle('refusalUs').toFixed(1)} µs for each that is turned away, at most`,
  );
  const isAsItShould =
    kept >= 0.9 && calm.result.failed === 0 && stages.every(({ result }) => otherFailures(result) === 0);
  return isAsItShould ? 0 : 1;
}

interface Comparison {
  readonly kept: number;
  readonly keptByCpu: number;
  readonly callUs: number;
  readonly refusalUs: number;
}

/** A flood with what was before and after it. */
function compare(before: EngineResult, flood: EngineResult, after: EngineResult): Comparison {
  const callUs = (cpuUsPerExchange(before) + cpuUsPerExchange(after)) / 2;
  const turnedAway = ((failedPerSec(flood, REFUSED) + failedPerSec(flood, UNANSWERED)) * flood.wallMs) / 1000;
  return {
    kept: (2 * exchangesPerSec(flood)) / (exchangesPerSec(before) + exchangesPerSec(after)),
    keptByCpu: callUs / cpuUsPerExchange(flood),
    callUs,
    refusalUs: (flood.serverCpuNs / 1000 - callUs * flood.successful) / turnedAway,
  };
}

/** From warm-up to drain: failures are not told apart by time, but by cause. */
function failedPerSec({ failed, failuresByCause, series }: EngineResult, cause: string): number {
  if (failed === 0) return 0;
  const share = (failuresByCause[cause] ?? 0) / failed;
  const ms = series.reduce((sum, { lengthMs }) => sum + lengthMs, 0);
  return (1000 * share * series.reduce((sum, second) => sum + second.failed, 0)) / ms;
}

function otherFailures({ failed, failuresByCause }: EngineResult): number {
  return failed - (failuresByCause[REFUSED] ?? 0) - (failuresByCause[UNANSWERED] ?? 0);
}
