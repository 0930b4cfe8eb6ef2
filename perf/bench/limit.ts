/** What limited a turn. Check that the server, not the client, is at 100 %. Pure. */

import type { LimitedBy } from './result.ts';

/** A server that had less of its CPUs was not saturated. */
const SATURATED_SHARE = 0.95;
/** A generator that was busy for longer may have been what held things up. */
const BUSY_SHARE = 0.9;
const KEPT_RATE_SHARE = 0.99;

export interface LimitFigures {
  /** Null: closed loop. */
  readonly ratePerSec: number | null;
  readonly wallMs: number;
  /** What the figures of CPU are of; not there: `wallMs`. */
  readonly cpuMs?: number;
  readonly successful: number;
  readonly isBaseline: boolean;
  /** Null: its processes are not known. */
  readonly serverNs: number | null;
  /** How many CPUs it had for itself; null: all of them, together with everybody. */
  readonly serverCpus: number | null;
  /** Of these CPUs, by whoever; null: not known. */
  readonly serverBusyNs: number | null;
  /** Of the server's busiest thread; null: not known. */
  readonly busiestThreadNs: number | null;
  /** Of each process. SIPp has one thread that works. */
  readonly generatorNs: readonly number[];
  /** Of the CPUs that the generator may use, by whoever. */
  readonly generatorBusyNs: number;
  readonly generatorCpus: number;
}

export function limitOf(figures: LimitFigures): LimitedBy {
  const { ratePerSec, wallMs, successful, isBaseline, serverNs, serverCpus, serverBusyNs, busiestThreadNs } = figures;
  const share = (ns: number) => ns / 1e6 / (figures.cpuMs ?? wallMs);
  if (ratePerSec !== null && (successful * 1000) / wallMs >= KEPT_RATE_SHARE * ratePerSec) return 'rate';
  if (serverNs !== null && serverCpus !== null) {
    if (share(serverNs) >= SATURATED_SHARE * serverCpus) return 'server';
    if (serverBusyNs !== null && share(serverBusyNs) >= SATURATED_SHARE * serverCpus && !isBaseline) return 'others';
  }
  if (busiestThreadNs !== null && share(busiestThreadNs) >= SATURATED_SHARE) return 'server';
  const generators = figures.generatorNs.map(share);
  const cpus = figures.generatorCpus;
  const sum = generators.reduce((total, one) => total + one, 0);
  // CPUs that somebody else keeps busy hold up the load just the same.
  const isBusy = share(figures.generatorBusyNs) > SATURATED_SHARE * cpus;
  if (isBusy || sum > BUSY_SHARE * cpus || generators.some((one) => one > BUSY_SHARE)) return 'generator';
  return isBaseline || serverNs !== null ? 'neither' : 'unknown';
}

/** Beside what the load could do without a server: a server that was hardly slower than none has not been at its limit.
 *  `baselinePerSec`: exchanges a second; null: it was not measured. */
export function limitBeside(limitedBy: LimitedBy, ratePerSec: number, baselinePerSec: number | null): LimitedBy {
  const isOpen = limitedBy === 'neither' || limitedBy === 'unknown';
  return isOpen && baselinePerSec !== null && ratePerSec > BUSY_SHARE * baselinePerSec ? 'generator' : limitedBy;
}
