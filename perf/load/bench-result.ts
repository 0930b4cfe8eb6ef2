/** A run of the engine as the result that reports and comparisons read (perf/bench/result.ts). Pure. */

import {
  type BenchResult,
  DELAYS,
  type Delay,
  type DelayName,
  type Machine,
  RESULT_FORMAT,
  type Turn,
} from '../bench/result.ts';
import type { PlayedTurn } from './competition.ts';
import type { Contestant } from './contestants.ts';
import { delayOf } from './delays.ts';
import type { EngineResult } from './engine-result.ts';
import { limitOf } from './figures.ts';
import { SCENARIOS } from './scenarios.ts';
import type { Amount } from './turn.ts';

export interface Run {
  readonly title: string | null;
  readonly startedAt: Date;
  readonly machine: Machine;
  readonly amount: Amount;
  readonly serverCpus: number;
  readonly contestants: readonly Contestant[];
  readonly turns: readonly PlayedTurn[];
  readonly warnings: readonly string[];
  /** The command line. */
  readonly command: string;
}

/** Strowger, which it is about, comes first. */
export function benchResultOf(run: Run): BenchResult {
  const { amount, turns, contestants } = run;
  const { rate, window, users, durationMs, warmUpMs, scenario } = amount;
  const byRole = contestants.toSorted((a, b) => Number(b.role === 'subject') - Number(a.role === 'subject'));
  return {
    format: RESULT_FORMAT,
    title: run.title,
    startedAt: run.startedAt.toISOString(),
    machine: run.machine,
    load: {
      scenario,
      generator: 'engine',
      transport: amount.transport ?? 'udp',
      ratePerSec: rate > 0 ? rate : null,
      window,
      connections: amount.transport === 'tcp' ? (amount.connections ?? 1) : 1,
      users: SCENARIOS[scenario].hasUsers ? users : null,
      durationMs,
      amount: null,
      warmUpMs,
      command: run.command,
    },
    contestants: byRole.map(({ name, role, version }) => {
      const { command, target } = turns.find(({ contestant }) => contestant === name)!;
      return { name, role, version, command, target };
    }),
    turns: turns.map((turn) => turnOf(turn, rate, run.serverCpus)),
    search: null,
    warnings: run.warnings,
  };
}

function turnOf({ contestant, round, result, harnessNs }: PlayedTurn, rate: number, serverCpus: number): Turn {
  const { wallMs, started, successful, failed, failuresByCause, skipped, sent, received, retransmissions } = result;
  return {
    contestant,
    round,
    wallMs,
    exchanges: { started, successful, failed, failuresByCause, skipped },
    messages: { sent, received, retransmissions },
    delays: delaysOf(result, rate > 0),
    cpu: {
      serverNs: result.serverCpuNs,
      // The engine never sleeps; looking for messages that are not there is no work.
      generatorNs: [{ name: 'engine, busy', ns: result.generatorBusy * wallMs * 1e6 }],
      harnessNs,
    },
    drops: { server: result.serverDrops, generator: result.ownDrops },
    receiveBufferBytes: { server: null, generator: result.receiveBufferBytes },
    residentKib: { begin: result.residentKib[0], end: result.residentKib[1] },
    limitedBy: limitOf(result, rate, serverCpus),
    series: result.series,
  };
}

/** The disconnect begins with the answer to the INVITE and has no time at which it was due. */
function delaysOf({ delays }: EngineResult, isOpenLoop: boolean): Turn['delays'] {
  const found: { [name in DelayName]?: Delay } = {};
  for (const name of DELAYS) {
    const figures = delays[name];
    const delay = figures === undefined ? null : delayOf(figures, isOpenLoop && name !== 'sessionDisconnect');
    if (delay !== null) found[name] = delay;
  }
  return found;
}
