/** What does it cost to be observed? The same server in turns, calls at its limit on one CPU: with nothing on, and with all of it
 *  on: the admin listener, scraped each second; a live page that somebody watches; the trace and its ring; logs; messages exported to
 *  a HEP collector by UDP. Issue 6: all of it costs less than 5 % of throughput.
 *
 *  `node perf/observed.ts [--rounds N] [--duration SEC] [--hep-sample N,N]`. The load is that of `npm run perf -- --scenario call`; CPU is
 *  by `schedstat`. That of the shard is told by itself: the export and the admin listener have threads of their own, which share the
 *  server's one CPU here and need not elsewhere. What part of the CPU the export thread takes is told within one turn, so that it
 *  means something on a machine that is not the same from one turn to the next. */

import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openUdp } from '../src/runtime/udp-socket.ts';
import { freeTcpPort } from '../test/process/tcp-port.ts';
import { describeMachine, machineLine } from './bench/machine.ts';
import { type Contestant, strowger } from './load/contestants.ts';
import type { EngineResult } from './load/engine-result.ts';
import { cpuUsPerExchange, exchangesPerSec, isDisturbed } from './load/figures.ts';
import { wholeNumberIn } from './load/options.ts';
import { allowedCpus } from './load/process-figures.ts';
import { SCENARIOS } from './load/scenarios.ts';
import { spreadOf, textOfSpread } from './load/spread.ts';
import { textTable } from './load/text-table.ts';
import { exitOnSignals, play } from './load/turn.ts';

const SCENARIO = 'call';
const WINDOW = 64;
const EVERY_MS = 1000;
const SINK_BYTES = 1 << 20;

/** A way to run the server, and what goes on beside it. */
interface Way {
  readonly name: string;
  readonly settings: readonly string[];
  /** Of the admin listener; null: there is none. */
  readonly adminPort: number | null;
}

interface Turn {
  readonly way: string;
  readonly round: number;
  readonly result: EngineResult;
  readonly seen: Seen;
}

/** What the observers got. */
interface Seen {
  scrapes: number;
  frames: number;
  /** Messages for the collector, as of the last scrape. */
  hepSent: number;
  hepDropped: number;
}

exitOnSignals();
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    duration: { type: 'string', default: '4' },
    'hep-sample': { type: 'string', default: '1,16' },
  },
});
const rounds = wholeNumberIn('rounds', values.rounds, 1, 100);
const durationMs = 1000 * wholeNumberIn('duration', values.duration, 1, 60);
const hepSamples = values['hep-sample'].split(',').map((text) => wholeNumberIn('hep-sample', text, 1, 1_000_000));
await measure();

async function measure(): Promise<void> {
  const [load, server] = allowedCpus();
  if (load === undefined || server === undefined)
    throw new Error('needs two CPUs, one for the load and one for the server');
  // The observers are others: they take none of the server's CPU.
  spawnSync('taskset', ['-a', '-c', '-p', String(load), String(process.pid)]);
  const machine = describeMachine(null);
  console.log(`${machineLine(machine)}; ${SCENARIOS[SCENARIO].title}; ${rounds} rounds of ${durationMs / 1000} s`);
  const ways = await waysOf();
  const turns: Turn[] = [];
  const amount = { scenario: SCENARIO, window: WINDOW, rate: 0, users: 2, durationMs } as const;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < ways.length; i++) {
      const way = ways[(i + round) % ways.length]!;
      const observers = new AbortController();
      const seen = { scrapes: 0, frames: 0, hepSent: 0, hepDropped: 0 };
      const observing = way.adminPort === null ? [] : observersAt(way.adminPort, seen, observers.signal);
      const contestant = contestantOf(way, machine.revision ?? 'without git');
      const { result } = await play(
        contestant,
        { load, server: [server] },
        { ...amount, warmUpMs: SCENARIOS[SCENARIO].warmUpMs },
      );
      observers.abort();
      await Promise.all(observing);
      turns.push({ way: way.name, round, result, seen });
      const disturbed = isDisturbed(result, 1) ? ', disturbed by others' : '';
      const failed = result.failed > 0 ? `, ${result.failed} FAILED` : '';
      console.error(
        `round ${round + 1}: ${way.name}: ${exchangesPerSec(result).toFixed(0)} calls/s, ${cpuUsPerExchange(result).toFixed(1)} µs${disturbed}${failed}`,
      );
    }
  }
  report(ways, turns);
}

async function waysOf(): Promise<Way[]> {
  const off = ['trace.recentKiB=0', 'log.level=silent', 'admin.listen=off'];
  const adminPort = await freeTcpPort();
  const on = [`admin.listen=127.0.0.1:${adminPort}`];
  // Nobody reads it: a collector that is slow, and the kernel drops what does not fit.
  const sink = openUdp({
    ...{ host: '127.0.0.1', port: 0, family: 4, dualStack: false, dscp: 0, reusePort: false },
    ...{ receiveBufferBytes: SINK_BYTES, sendBufferBytes: SINK_BYTES },
  });
  const exporting = hepSamples.map((sample) => ({
    name: sample === 1 ? 'all on, HEP of every call' : `all on, HEP of one call in ${sample}`,
    settings: [...on, `hep.to=udp:127.0.0.1:${sink.port}`, `hep.sample=${sample}`],
    adminPort,
  }));
  return [
    { name: 'all off', settings: off, adminPort: null },
    { name: 'all on but HEP', settings: on, adminPort },
    ...exporting,
  ];
}

function contestantOf({ name, settings }: Way, revision: string): Contestant {
  const own = strowger(
    SCENARIO,
    revision,
    settings.flatMap((set) => ['--set', set]),
  );
  return { ...own, name };
}

/** A scrape each second, and a page that is open, from when the server is there. */
function observersAt(port: number, seen: Seen, signal: AbortSignal): Promise<void>[] {
  const url = `http://127.0.0.1:${port}`;
  const untilOver = async (work: () => Promise<void>) => {
    while (!signal.aborted) {
      // Before the server is up, and after its end.
      await work().catch(() => undefined);
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  };
  return [
    untilOver(async () => {
      const response = await fetch(`${url}/metrics`, { signal });
      const text = await response.text();
      if (text.includes('strowger_ready 1')) seen.scrapes++;
      seen.hepSent = sumOf(text, 'strowger_hep_sent_total');
      seen.hepDropped = sumOf(text, 'strowger_hep_dropped_total') + sumOf(text, 'strowger_hep_errors_total');
    }),
    untilOver(async () => {
      const response = await fetch(`${url}/live/events`, { signal });
      for await (const chunk of response.body!) if (Buffer.from(chunk).includes('event: frame')) seen.frames++;
    }),
  ];
}

function sumOf(metrics: string, name: string): number {
  const values = [...metrics.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'gm'))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

function report(ways: readonly Way[], turns: readonly Turn[]): void {
  const [first] = ways;
  const rows = ways.map(({ name }) => {
    const own = turns.filter(({ way }) => way === name);
    const ratios = (figure: (result: EngineResult) => number) =>
      own.map(
        ({ result, round }) =>
          figure(result) / figure(turns.find((turn) => turn.way === first!.name && turn.round === round)!.result) - 1,
      );
    const percent = (values: readonly number[]) => textOfSpread(spreadOf(values.map((value) => value * 100)), 1);
    const seen = own.reduce((sum, turn) => sum + turn.seen.scrapes + turn.seen.frames, 0);
    const sent = own.reduce((sum, turn) => sum + turn.seen.hepSent, 0);
    const dropped = own.reduce((sum, turn) => sum + turn.seen.hepDropped, 0);
    return [
      name,
      textOfSpread(spreadOf(own.map(({ result }) => exchangesPerSec(result))), 0),
      textOfSpread(spreadOf(own.map(({ result }) => cpuUsPerExchange(result))), 1),
      percent(ratios(exchangesPerSec)),
      percent(ratios(cpuUsPerExchange)),
      percent(ratios(busiestUs)),
      textOfSpread(spreadOf(own.map(({ result }) => exportShare(result) * 100)), 1),
      String(own.reduce((sum, { result }) => sum + result.failed, 0)),
      String(seen),
      sent + dropped === 0 ? '' : `${Math.round(sent / own.length)}, ${Math.round(dropped / own.length)}`,
    ];
  });
  const heads = [
    '',
    'calls/s',
    'CPU µs/call',
    'calls/s, %',
    'CPU, %',
    'CPU of the shard, %',
    'of CPU the export, %',
    'failed',
    'scrapes, frames',
    'HEP sent, dropped',
  ];
  console.log(textTable([heads, ...rows]).join('\n'));
  const idle = turns.filter(({ way, seen }) => way !== first!.name && (seen.scrapes === 0 || seen.frames === 0));
  if (idle.length > 0) throw new Error(`${idle.length} turns were not observed`);
}

/** What part of the server's CPU time its export thread has had. */
function exportShare({ threads }: EngineResult): number {
  const own = threads.find(({ name }) => name === 'hep')?.ns ?? 0;
  return own / threads.reduce((sum, { ns }) => sum + ns, 0);
}

/** Microseconds of the busiest thread, which is the shard, for each call. */
function busiestUs({ threads, successful }: EngineResult): number {
  return threads[0]!.ns / 1000 / successful;
}
