/** The real server in stateful mode, whose finished transactions linger for a second (plant-short-lingers.ts): its pools are
 *  empty a moment after the last call. T1 is long, so that nothing is sent again but what a test is about, however busy the
 *  machine is. */

import { expect } from 'vitest';
import { ServerProcess, until } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';

/** Timer K and Timer I: the shorter, the sooner the pools are empty. */
const T4_MS = 100;
const PATIENT_T1_MS = 4000;
const IDLE_POLL_MS = 100;

export interface StatefulOptions {
  readonly t1Ms?: number;
  /** False: timers D, J, L and M are as long as they should be. */
  readonly isLingeringShort?: boolean;
  readonly shards?: number;
  /** Settings by path, the value in YAML. */
  readonly sets?: Readonly<Record<string, string>>;
}

export interface StatefulServer {
  readonly server: ServerProcess;
  readonly port: number;
  /** `HOST:PORT`, for SIPp. */
  readonly by: string;
}

export async function startStateful(options: StatefulOptions = {}): Promise<StatefulServer> {
  const { t1Ms = PATIENT_T1_MS, isLingeringShort = true, shards = 2, sets = {} } = options;
  const port = await freePort();
  const timers = { 'timers.t1Ms': String(t1Ms), 'timers.t4Ms': String(T4_MS) };
  const preload = isLingeringShort ? [new URL('../../process/plant-short-lingers.ts', import.meta.url)] : [];
  const server = await ServerProcess.startPreloaded(
    preload,
    ...['--mode', 'stateful', '--listen', `udp:127.0.0.1:${port}`, '--workers', String(shards)],
    ...Object.entries({ ...timers, ...sets }).flatMap(([path, value]) => ['--set', `${path}=${value}`]),
  );
  return { server, port, by: `127.0.0.1:${port}` };
}

/** Waits until no transaction is in use on any shard, and returns the counters then: nothing will change them any more. */
export async function countersOnceIdle({ server }: StatefulServer): Promise<Record<string, number>> {
  let counters: Record<string, number> = {};
  const inUse = (side: string) =>
    counters[`${side}_transactions_total`]! - counters[`${side}_transactions_ended_total`]!;
  await until(
    'all transactions have ended',
    async () => {
      counters = await server.counters();
      return inUse('server') === 0 && inUse('client') === 0;
    },
    { pollMs: IDLE_POLL_MS, explain: () => JSON.stringify(counters) },
  );
  return counters;
}

/** What no call here may come to, whatever it is about. */
export const HARMLESS = {
  shed_requests_total: 0,
  filtered_requests_total: 0,
  filters_refused_total: 0,
  malformed_requests_total: 0,
  malformed_responses_total: 0,
  stray_responses_total: 0,
  forged_responses_total: 0,
  transactions_exhausted_total: 0,
  overload_rejected_total: 0,
  unkept_responses_total: 0,
  unacknowledged_total: 0,
  kernel_drops_total: 0,
  send_errors_total: 0,
  send_congested_total: 0,
  shard_crashes_total: 0,
} as const;

/** Both shards had their share. */
export async function expectBothShardsServed({ server }: StatefulServer): Promise<void> {
  const { threads } = await server.observe();
  for (const shard of [0, 1]) expect(threads[shard]!['server_transactions_total'], `shard ${shard}`).toBeGreaterThan(0);
}
