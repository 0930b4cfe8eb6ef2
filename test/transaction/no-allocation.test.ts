/** Tables, timers and records allocate nothing, by V8's count of all it ever allocated, which no collection lowers. Times are
 *  whole milliseconds, as the shard's clock has them. */

import { getHeapStatistics } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import { KeptMessages } from '../../src/memory/kept-messages.ts';
import { METHOD } from '../../src/sip/methods.ts';
import { CLIENT_EVENT } from '../../src/transaction/client-events.ts';
import { ClientTransactions } from '../../src/transaction/client-transactions.ts';
import { INVITE_CLIENT, INVITE_CLIENT_STATE } from '../../src/transaction/invite-client.ts';
import { SERVER_EVENT } from '../../src/transaction/server-events.ts';
import { ServerTransactions } from '../../src/transaction/server-transactions.ts';
import { actionsOf, nextOf } from '../../src/transaction/state-table.ts';
import { TimerValues } from '../../src/transaction/timer-settings.ts';
import { TimerWheel } from '../../src/transaction/timer-wheel.ts';

const CALLS = 500_000;
const TIMERS = 4096;
/** V8's own bookkeeping while it optimises is not ours, nor is the test runner's. The smallest object takes 12 bytes. */
const TOLERATED_BYTES_PER_CALL = 4;

let nowMs = 0;
/** Small at all times: what outgrows a small integer is allocated. */
let sum = 0;
const wheel = new TimerWheel(TIMERS, 10, nowMs);
const fire = (id: number) => {
  sum ^= id;
  wheel.start(id, nowMs + 500 + (id & 1023));
};

const kept = new KeptMessages(createArena({ shardCount: 1, slotCount: 128, jumboCount: 1, keptBytes: 1024 * 1024 }), 0);

/** A server transaction and its branch, from the request to the end of both, with all their timers. */
function transact(beganMs: number): (call: number) => void {
  const clock = { nowMs: beganMs };
  const timers = new TimerValues(500, 4000, 5000);
  const own = new TimerWheel(128, 10, beganMs);
  const servers = new ServerTransactions(64, clock, own, 0, timers);
  const clients = new ClientTransactions(64, clock, own, 64, timers, () => 0x1234);
  return (call) => {
    clock.nowMs += 1;
    const method = (call & 1) === 0 ? METHOD.INVITE : METHOD.BYE;
    const server = servers.open(call & 7, call & 1023, method);
    const branch = clients.open(server, method);
    clients.put(branch, CLIENT_EVENT.SEND);
    sum ^= servers.find(call & 7, call & 1023, method) + clients.find(branch, 0x1234);
    clients.put(branch, CLIENT_EVENT.RESPONSE_1XX);
    clients.watch(branch, 180_000);
    sum ^= clients.fired(branch) + servers.fired(server);
    clients.put(branch, CLIENT_EVENT.RESPONSE_2XX);
    clients.put(branch, CLIENT_EVENT.TIMER_LINGER);
    clients.free(branch);
    servers.put(server, SERVER_EVENT.SEND_2XX);
    servers.put(server, SERVER_EVENT.TIMER_LINGER);
    servers.free(server);
  };
}

const HOT: readonly (readonly [string, (call: number) => void])[] = [
  [
    'a step of a state table',
    (call) => {
      const step = INVITE_CLIENT.step(call % 5, CLIENT_EVENT.RESPONSE_2XX);
      sum ^= nextOf(step) + actionsOf(step) + INVITE_CLIENT_STATE.ACCEPTED;
    },
  ],
  ['start', (call) => wheel.start(call & (TIMERS - 1), nowMs + 500 + (call & 63))],
  [
    'start and cancel',
    (call) => {
      wheel.start(1, nowMs + 32_000 + (call & 63));
      wheel.cancel(1);
    },
  ],
  ['advance with what it fires', () => void wheel.advance(++nowMs, fire)],
  ['nextDeadlineMs', () => void (sum ^= wheel.nextDeadlineMs() | 0)],
  ['a whole transaction', transact(0)],
  ['a whole transaction after 24.8 days', transact(2 ** 31)],
  [
    'a kept message',
    (call) => {
      kept.release(kept.take(call & 2047));
      kept.settle();
    },
  ],
];

describe('tables, timers and records', () => {
  it.each(HOT)('%s allocates nothing', (_name, run) => {
    let least = Number.POSITIVE_INFINITY;
    // The lowest of a few rounds: the optimiser's or the test runner's own work in between only adds.
    for (let round = 0; round < 5; round++) {
      const before = getHeapStatistics().total_allocated_bytes;
      for (let call = 0; call < CALLS; call++) run(call);
      least = Math.min(least, (getHeapStatistics().total_allocated_bytes - before) / CALLS);
    }
    expect(least).toBeLessThan(TOLERATED_BYTES_PER_CALL);
  });
});
