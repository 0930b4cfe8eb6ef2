/** What one turn comes to: rates, CPU for each message and exchange, and what limited it. Pure. */

import type { LimitedBy } from '../bench/result.ts';
import type { EngineResult } from './engine-result.ts';

/** A server that had less of its CPUs was not saturated. */
const SATURATED_SHARE = 0.95;
/** A generator that was busy for longer may have been what held things up. */
const BUSY_SHARE = 0.9;
/** Others took so much of the server's CPUs that the turn is a poor one. Not less, because what they took is known from the tick's
 *  samples only, and a server that naps wakes by the tick's own timer: with nobody there they still find a tenth. */
const DISTURBED_SERVER_SHARE = 0.2;
/** The same for the generator's CPU, where it is known exactly. */
const DISTURBED_GENERATOR_SHARE = 0.1;
const KEPT_RATE_SHARE = 0.99;

export type TurnFigures = Pick<
  EngineResult,
  'wallMs' | 'successful' | 'received' | 'serverCpuNs' | 'foreignCpuNs' | 'generatorBusy' | 'generatorOnCpu' | 'threads'
>;

export function messagesPerSec({ received, wallMs }: TurnFigures): number {
  return (received * 1000) / wallMs;
}

export function exchangesPerSec({ successful, wallMs }: TurnFigures): number {
  return (successful * 1000) / wallMs;
}

/** Microseconds of the server's CPU for each exchange that succeeded: what ratios are made of, because not every server sends
 *  the same messages (a relay sends no 100). */
export function cpuUsPerExchange({ serverCpuNs, successful }: TurnFigures): number {
  return serverCpuNs / 1000 / successful;
}

/** CPUs that the server kept busy. */
export function serverShare({ serverCpuNs, wallMs }: TurnFigures): number {
  return serverCpuNs / 1e6 / wallMs;
}

/** Whether others had so much of the server's CPUs, or of the generator's, that the turn is worth less: a server whose load comes
 *  in jerks sleeps and wakes more often. */
export function isDisturbed(result: TurnFigures, serverCpus: number): boolean {
  const isServerDisturbed = foreignShare(result) > DISTURBED_SERVER_SHARE * serverCpus;
  return isServerDisturbed || result.generatorOnCpu < 1 - DISTURBED_GENERATOR_SHARE;
}

/** Check that the server, not the client, is at 100 %: of its CPUs, or of the one that its busiest thread can use.
 *  `ratePerSec`: 0 is closed loop. */
export function limitOf(result: TurnFigures, ratePerSec: number, serverCpus: number): LimitedBy {
  if (ratePerSec > 0 && exchangesPerSec(result) >= KEPT_RATE_SHARE * ratePerSec) return 'rate';
  const share = serverShare(result);
  const busiest = (result.threads[0]?.ns ?? 0) / 1e6 / result.wallMs;
  if (share >= SATURATED_SHARE * serverCpus || busiest >= SATURATED_SHARE) return 'server';
  if (share + foreignShare(result) >= SATURATED_SHARE * serverCpus) return 'others';
  return result.generatorBusy > BUSY_SHARE ? 'generator' : 'neither';
}

/** CPUs, of the server's, that others kept busy; the kernel's interrupts are among them. */
export function foreignShare({ foreignCpuNs, wallMs }: TurnFigures): number {
  return foreignCpuNs / 1e6 / wallMs;
}
