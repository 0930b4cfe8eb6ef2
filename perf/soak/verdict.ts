/** What must not be in a soak's result. Pure. */

import { medianOf } from '../load/spread.ts';
import type { Sample, SoakResult } from './result.ts';

/** What calls, scrapes and reloads count. */
const TRAFFIC = new Set([
  ...['requests_received', 'responses_sent', 'socket_datagrams_received', 'datagrams_received', 'receive_batches'],
  ...['responses_received', 'requests_forwarded', 'responses_forwarded', 'requests_answered', 'naps', 'wakeups'],
  ...['server_transactions', 'server_transactions_ended', 'client_transactions', 'client_transactions_ended'],
  ...['datagrams_sent', 'send_batches', 'traced_messages', 'config_reloads', 'shard_starts', 'thread_cpu_seconds'],
]);
/** What a killed shard leaves to the others, or a machine that is busy with other programs: datagrams late, lost and sent again. */
const SENT_AGAIN = new Set([
  ...['request_retransmissions', 'response_retransmissions', 'retransmissions_sent', 'kernel_drops'],
  ...['late_responses', 'swept_slots', 'slots_exhausted'],
]);
/** A killed shard's ring fills up until its successor serves: what it is too late for then is answered 503, a call of that shard. */
const OF_KILLS = new Set(['shard_crashes', 'timeouts', 'unacknowledged', 'overload_rejected']);

/** Of the run, until memory is expected to stay as it is. */
const WARM_UP_SHARE = 1 / 3;
const MAX_GROWTH = 0.03;
const LEAST_SAMPLES = 3;
/** In a shorter run there is no telling. */
const LEAST_MINUTES_FOR_MEMORY = 10;

export function problemsOf(result: Omit<SoakResult, 'problems'>): string[] {
  const { calls, kills, otherFailures, counters, rest, exitCode, settings, samples } = result;
  const problems: string[] = [];
  const lost = kills.reduce((sum, { lostCalls }) => sum + lostCalls, 0);
  for (const { callId, shard, why } of otherFailures)
    problems.push(`call ${callId} of shard ${shard}, which nobody killed then, failed: ${why}`);
  const nameless = calls.failed + calls.refused - lost - otherFailures.length;
  if (nameless !== 0) problems.push(`${nameless} more calls failed than SIPp named`);
  if (calls.started !== calls.successful + calls.failed)
    problems.push(`${calls.started - calls.successful - calls.failed} calls came to no end`);
  for (const [name, value] of Object.entries(counters)) {
    const short = name.replace(/^strowger_|_total$/g, '');
    const isExplained = TRAFFIC.has(short) || SENT_AGAIN.has(short) || (OF_KILLS.has(short) && kills.length > 0);
    if (name.startsWith('strowger_') && !isExplained) problems.push(`${name} is ${value}, which nothing explains`);
  }
  const crashes = counters['strowger_shard_crashes_total'] ?? 0;
  if (crashes !== kills.length) problems.push(`${crashes} shards crashed, ${kills.length} were killed`);
  const { afterSec, ...left } = rest;
  for (const [name, value] of Object.entries(left))
    if (value !== 0) problems.push(`${name} is ${value}, ${afterSec} s after the last call`);
  if (exitCode !== 0) problems.push(`the server ended with exit code ${exitCode}`);
  if (settings.minutes >= LEAST_MINUTES_FOR_MEMORY) {
    const growth = growthOf(samples);
    if (growth > MAX_GROWTH) problems.push(`RSS grew by ${(growth * 100).toFixed(1)} % from the middle to the end`);
  }
  return problems;
}

/** Of the memory, from the median of the middle of the samples to that of their end: 0.01 is a hundredth. NaN: too few samples. */
export function growthOf(samples: readonly Sample[]): number {
  if (samples.length < LEAST_SAMPLES) return Number.NaN;
  const from = Math.floor(samples.length * WARM_UP_SHARE);
  const middle = from + ((samples.length - from) >> 1);
  return medianOf(samples.slice(middle).map(rssOf)) / medianOf(samples.slice(from, middle).map(rssOf)) - 1;
}

function rssOf({ rssMb }: Sample): number {
  return rssMb;
}
