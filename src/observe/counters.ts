/** The one registry of counters: name, help, and an index into a thread's block of the arena. A block is written by its
 *  own thread only, as plain Float64 additions (aligned, so never torn), and read by anyone. Hot: `count` is one add. */

import type { Arena } from '../memory/arena.ts';
import { COUNTERS_PER_THREAD, countersOffset } from '../memory/layout.ts';

/** Name and help of every counter; the position is the id. Names follow Prometheus: base units, `_total`. */
const REGISTRY = {
  datagrams_received_total: 'Datagrams taken off the sockets',
  receive_batches_total: 'recvmmsg calls that brought at least one datagram',
  keepalives_total: 'CRLF keep-alives taken (RFC 5626 4.4.1)',
  stun_requests_total: 'STUN binding requests answered (RFC 5626 4.4.2)',
  stun_ignored_total: 'STUN messages that are not binding requests, ignored',
  junk_datagrams_total: 'Datagrams that are not SIP at all, dropped',
  jumbo_datagrams_total: 'Datagrams longer than a slot, served from a jumbo slot',
  jumbo_exhausted_total: 'Jumbo datagrams dropped because every jumbo slot was in use',
  shed_requests_total: 'New out-of-dialog requests dropped above the overload mark',
  slots_exhausted_total: 'Receive rounds skipped because no slot was free',
  swept_slots_total: 'Slots taken back after the death of their shard',
  naps_total: 'Naps the dispatcher took to let datagrams gather',
  wakeups_total: 'Signals sent to sleeping shards',
  kernel_drops_total: 'Datagrams the kernel dropped at a full receive buffer (SO_MEMINFO)',
  icmp_errors_total: 'ICMP errors reported for datagrams sent earlier',
  requests_received_total: 'Requests parsed',
  responses_received_total: 'Responses parsed',
  requests_forwarded_total: 'Requests forwarded',
  responses_forwarded_total: 'Responses forwarded',
  requests_answered_total: 'Requests answered by this server itself',
  malformed_requests_total: 'Requests answered 400 or 505 because of their syntax',
  malformed_responses_total: 'Responses dropped because of their syntax',
  unanswerable_total: 'Broken requests dropped because no answer could be addressed',
  bad_acks_dropped_total: 'ACKs that could not be forwarded, dropped: an ACK is never answered (RFC 3261 17)',
  stray_responses_total: 'Responses dropped because the top Via is not ours or nothing is left after it',
  too_many_hops_total: 'Requests answered 483',
  loops_detected_total: 'Requests answered 482',
  relay_denied_total: 'Requests for foreign domains from untrusted sources, answered 403',
  unresolvable_total: 'Messages whose next hop could not be resolved',
  unsupported_transport_total: 'Messages whose next hop wants a transport that is not there',
  parked_total: 'Messages that waited for a name look-up',
  parked_exhausted_total: 'Messages dropped or answered 503 because too many waited for look-ups',
  datagrams_sent_total: 'Datagrams handed to the kernel',
  send_batches_total: 'sendmmsg flushes',
  send_errors_total: 'Datagrams the kernel refused',
  send_congested_total: 'Datagrams lost because the send buffer stayed full (EAGAIN)',
  shard_crashes_total: 'Crashes of shards',
} as const;

export type CounterName = keyof typeof REGISTRY;

export const COUNTER_NAMES = Object.keys(REGISTRY) as readonly CounterName[];

/** Counter ids, e.g. `COUNTER.shed_requests_total`. */
export const COUNTER = Object.fromEntries(COUNTER_NAMES.map((name, id) => [name, id])) as {
  readonly [name in CounterName]: number;
};

export function counterHelp(name: CounterName): string {
  return REGISTRY[name];
}

/** One thread's block. `thread`: a shard's index, then the dispatcher's (shardCount), then main's (shardCount + 1). */
export class Counters {
  readonly #doubles: Float64Array<SharedArrayBuffer>;
  readonly #first: number;

  constructor(arena: Arena, thread: number) {
    this.#doubles = arena.doubles;
    this.#first = countersOffset(arena.map, thread) / 8;
  }

  count(id: number): void {
    this.#doubles[this.#first + id]!++;
  }

  add(id: number, amount: number): void {
    this.#doubles[this.#first + id]! += amount;
  }

  /** For a value that is itself a running total, such as the kernel's drop count. */
  set(id: number, value: number): void {
    this.#doubles[this.#first + id] = value;
  }
}

/** Sums over all threads, by name. Cold. */
export function readCounters(arena: Arena): Record<CounterName, number> {
  const sums = {} as Record<CounterName, number>;
  const threadCount = arena.map.shardCount + 2;
  for (const [id, name] of COUNTER_NAMES.entries()) {
    let sum = 0;
    for (let thread = 0; thread < threadCount; thread++) {
      sum += arena.doubles[countersOffset(arena.map, thread) / 8 + id]!;
    }
    sums[name] = sum;
  }
  return sums;
}

if (COUNTER_NAMES.length > COUNTERS_PER_THREAD) throw new Error('more counters than a thread block holds');
