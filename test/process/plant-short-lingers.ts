/** Preloaded into the real server by tests that wait for empty pools. How long a finished transaction lingers (RFC 3261 timers
 *  D and J, RFC 6026 timers L and M) is 64 × T1, for D at least 32 s: here it is LINGER_MS for all four, while T1 and with
 *  it every retransmission and timeout stays as configured. With a short T1 instead, each hiccup of a busy machine would
 *  have messages sent again, which SIPp bears badly and exact counts not at all. */

import { isMainThread } from 'node:worker_threads';

const LINGER_MS = 1000;

if (!isMainThread) {
  const { TimerValues } = await import('../../src/transaction/timer-settings.ts');
  for (const timer of ['d', 'j', 'l', 'm']) Object.defineProperty(TimerValues.prototype, timer, { value: LINGER_MS });
}
