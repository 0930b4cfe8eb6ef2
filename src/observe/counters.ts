/** The one registry of counters: name, help, and an index into a thread's block of the arena. A block is written by its
 *  own thread only, as plain Float64 additions (aligned, so never torn), and read by anyone. Hot: `count` is one add. */

import type { Arena } from '../memory/arena.ts';
import { COUNTERS_PER_THREAD, countersOffset, EXTRA_THREADS } from '../memory/layout.ts';

/** Name and help of every counter; the position is the id. Names follow Prometheus: base units, `_total`. */
const REGISTRY = {
  datagrams_received_total: 'Datagrams taken off the sockets',
  receive_batches_total: 'recvmmsg calls that brought at least one datagram',
  keepalives_total: 'CRLF keep-alives taken (RFC 5626 4.4.1)',
  stun_requests_total: 'STUN binding requests answered (RFC 5626 4.4.2)',
  stun_ignored_total: 'STUN messages that are not binding requests, ignored',
  junk_datagrams_total: 'Datagrams that are not SIP at all, dropped',
  banned_datagrams_total: 'Datagrams from banned sources, dropped unread',
  jumbo_datagrams_total: 'Datagrams longer than a slot, served from a jumbo slot',
  jumbo_exhausted_total: 'Jumbo datagrams dropped because every jumbo slot was in use',
  shed_requests_total: 'New out-of-dialog requests dropped above the overload mark',
  filtered_requests_total:
    'New INVITEs that the kernel dropped at the sockets while every shard had too much to do (limits.shedInKernel)',
  filters_refused_total: 'Times that the kernel refused the filter by which it drops them',
  slots_exhausted_total: 'Receive rounds skipped because no slot was free',
  swept_slots_total: 'Slots taken back after the death of their shard',
  naps_total: 'Naps the dispatcher took to let datagrams gather',
  wakeups_total: 'Signals sent to sleeping shards',
  kernel_drops_total: 'Datagrams the kernel dropped at a full receive buffer (SO_MEMINFO)',
  icmp_errors_total: 'ICMP errors reported for datagrams sent earlier',
  requests_received_total: 'Requests parsed',
  // By method, in the order of sip/methods.ts.
  other_requests_total: 'Requests parsed with a method of none of these names',
  invite_requests_total: 'Requests parsed whose method is INVITE',
  ack_requests_total: 'Requests parsed whose method is ACK',
  cancel_requests_total: 'Requests parsed whose method is CANCEL',
  bye_requests_total: 'Requests parsed whose method is BYE',
  register_requests_total: 'Requests parsed whose method is REGISTER',
  options_requests_total: 'Requests parsed whose method is OPTIONS',
  prack_requests_total: 'Requests parsed whose method is PRACK',
  update_requests_total: 'Requests parsed whose method is UPDATE',
  info_requests_total: 'Requests parsed whose method is INFO',
  subscribe_requests_total: 'Requests parsed whose method is SUBSCRIBE',
  notify_requests_total: 'Requests parsed whose method is NOTIFY',
  publish_requests_total: 'Requests parsed whose method is PUBLISH',
  message_requests_total: 'Requests parsed whose method is MESSAGE',
  refer_requests_total: 'Requests parsed whose method is REFER',
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
  max_breadth_exceeded_total: 'Requests answered 440 (RFC 5393)',
  transactions_exhausted_total: 'New requests answered 503 because no transaction or no memory for one was left',
  overload_rejected_total: 'New out-of-dialog requests answered 503 because too much was queued at their shard',
  drain_rejected_total: 'New out-of-dialog requests answered 503 because the server drains',
  passed_to_predecessor_total:
    'Messages of calls that the server before this one has begun, passed on to it after a takeover',
  drain_passed_on_total: 'New out-of-dialog requests passed on to the peer because the server drains',
  server_transactions_total: 'Server transactions begun',
  server_transactions_ended_total: 'Server transactions whose record is free again; begun less ended are in use',
  client_transactions_total: 'Client transactions begun, one for each branch and each CANCEL',
  client_transactions_ended_total: 'Client transactions whose record is free again; begun less ended are in use',
  request_retransmissions_total: 'Retransmitted requests absorbed by their transaction',
  response_retransmissions_total: 'Responses sent again, by Timer G or for a retransmitted request',
  retransmissions_sent_total: 'Requests sent again, by Timer A or E',
  timeouts_total: 'Client transactions that got no final response (Timer B, F or C)',
  unacknowledged_total: 'Failed INVITEs whose final response nobody acknowledged (Timer H)',
  cancels_received_total: 'CANCELs that matched a transaction',
  cancels_sent_total: 'CANCELs sent',
  failovers_total: 'Requests tried at another next hop after one failed',
  forks_total: 'Requests forwarded to more than one target',
  redirects_followed_total: 'Contacts of 3xx responses tried (recursion)',
  forged_responses_total: 'Responses whose top Via is ours but belongs to no transaction, dropped (RFC 6026 7.3)',
  late_responses_total: 'Responses to transactions that are over, dropped',
  unkept_responses_total: 'Responses forwarded that could not be kept for retransmission',
  relay_denied_total: 'Requests for foreign domains from untrusted sources, answered 403',
  registrations_total: 'REGISTER requests that changed bindings',
  registration_queries_total: 'REGISTER requests that asked for bindings, or came again',
  registrations_refused_total: 'REGISTER requests refused, for another reason than their syntax or their credentials',
  location_full_total: 'REGISTER requests answered 503 because the location table is full',
  store_behind_total: 'REGISTER requests answered 503 because the location store is too far behind',
  challenges_total: 'Requests answered 401 or 407',
  authenticated_total: 'Requests whose digest credentials were right',
  stale_nonces_total: 'Requests challenged again because their nonce was old or used, though their password was right',
  wrong_credentials_total:
    'Requests challenged again because of a wrong password, an unknown user or an algorithm that was not offered',
  forbidden_total: 'Authenticated requests refused because they speak for another user, answered 403',
  users_unavailable_total: 'Requests answered 503 because users could not be looked up',
  users_reloads_total: 'Times that changed files of users were taken over',
  users_reload_failures_total:
    'Times that changed files of users could not be used, so that the users of before stayed',
  // By what came of it.
  config_applied_reloads_total: 'Reloads that exchanged the configuration',
  config_unchanged_reloads_total: 'Reloads after which nothing live was different',
  config_failed_reloads_total: 'Reloads that changed nothing because something was wrong',
  redirected_total: 'Requests answered 302 with the contacts of a user',
  unresolvable_total: 'Messages whose next hop could not be resolved',
  unsupported_transport_total: 'Messages whose next hop wants a transport that is not there',
  parked_total: 'Messages that waited for a name look-up',
  parked_exhausted_total: 'Messages dropped or answered 503 because too many waited for look-ups',
  datagrams_sent_total: 'Datagrams handed to the kernel',
  // By class, in ascending order.
  responses_1xx_total: 'Responses sent with a status code of 1xx, retransmissions among them',
  responses_2xx_total: 'Responses sent with a status code of 2xx, retransmissions among them',
  responses_3xx_total: 'Responses sent with a status code of 3xx, retransmissions among them',
  responses_4xx_total: 'Responses sent with a status code of 4xx, retransmissions among them',
  responses_5xx_total: 'Responses sent with a status code of 5xx, retransmissions among them',
  responses_6xx_total: 'Responses sent with a status code of 6xx, retransmissions among them',
  send_batches_total: 'sendmmsg flushes',
  send_errors_total: 'Datagrams the kernel refused',
  send_congested_total: 'Datagrams lost because the send buffer stayed full (EAGAIN)',
  traced_messages_total: 'Messages kept in the ring of recent ones (trace)',
  trace_lost_total: 'Messages that were overwritten before those who watched them had them',
  hep_sent_total: 'Messages sent to the HEP collector',
  hep_dropped_total: 'Messages for the HEP collector that were overwritten before they could be sent',
  hep_errors_total: 'Messages for the HEP collector that the network refused or lost',
  shard_crashes_total: 'Crashes of shards',
  log_lines_lost_total: 'Log lines lost because nobody read them, or because they could not be written',
  control_unauthorized_total: 'Requests for control over HTTP without the right token, refused',
  live_pages_refused_total: 'Live pages turned away because too many were open',
  live_pages_cut_off_total: 'Live pages cut off because they did not read what was sent',
  stream_accepted_total: 'Connections accepted',
  stream_opened_total: 'Connections opened to others',
  stream_refused_total: 'Connections turned away because there are too many, in all or from one address',
  stream_banned_total: 'Connections of banned sources, turned away',
  // By reason, in the order of CLOSE_REASONS.
  stream_closed_peer_total: 'Connections closed by the peer',
  stream_closed_idle_total: 'Connections closed because nothing was sent or heard for long',
  stream_closed_slow_total: 'Connections closed because a message did not become whole in time',
  stream_closed_unread_total: 'Connections closed because the peer does not read what it is sent',
  stream_closed_fault_total: 'Connections closed because the end of a message could not be known, or it was too long',
  stream_closed_junk_total: 'Connections closed because what came was not SIP',
  stream_closed_error_total: 'Connections that broke',
  stream_closed_unconnected_total: 'Connections that could not be opened',
  stream_closed_stop_total: 'Connections closed because their thread ended',
  stream_closed_handshake_total: 'Connections on which TLS could not be agreed upon',
  stream_closed_untrusted_total:
    'Connections closed because the certificate of the peer, or that it has none, is not accepted',
  stream_closed_banned_total: 'Connections closed because their source was banned meanwhile',
  stream_closed_upgrade_total: 'Connections of which no WebSocket came',
  stream_closed_dead_total: 'WebSockets closed because nothing came after a ping',
  stream_bytes_received_total: 'Bytes read from connections',
  stream_bytes_sent_total: 'Bytes written to connections',
  stream_messages_received_total: 'Messages read from connections',
  stream_messages_sent_total: 'Messages written to connections',
  stream_pings_total: 'Keep-alives on connections answered (RFC 5626 4.4.1)',
  stream_undelivered_total: 'Messages that could not be written to a connection',
  stream_tls_handshakes_total: 'TLS handshakes that came to an end',
  stream_tls_resumptions_total: 'TLS handshakes that resumed a session',
  stream_upgrades_total: 'WebSockets agreed upon',
  stream_upgrades_refused_total: 'HTTP requests that asked for no WebSocket, or for one that they did not get',
  stream_foreign_origins_total: 'Those refused because of the web page they came from (webSocket.origins)',
  tls_reloads_total: 'Times that changed certificates were taken over',
  tls_reload_failures_total: 'Times that changed certificates could not be used, so that those of before stayed',
  stream_stalls_total: 'Times that a connection was not read on because shards were behind',
} as const;

export type CounterName = keyof typeof REGISTRY;

/** Threads that count: the shards, who has the intake (the dispatcher, or the only shard), the main thread, that of the
 *  streams. */
export type CountingThread = 'shard' | 'intake' | 'main' | 'streams';

/** Who counts what the shards do not count, or not alone. */
const COUNTED_BY: { readonly [name in CounterName]?: readonly CountingThread[] } = {
  datagrams_received_total: ['intake'],
  receive_batches_total: ['intake'],
  keepalives_total: ['intake'],
  junk_datagrams_total: ['shard', 'intake'],
  banned_datagrams_total: ['intake'],
  jumbo_datagrams_total: ['intake'],
  jumbo_exhausted_total: ['intake'],
  shed_requests_total: ['intake'],
  filtered_requests_total: ['intake'],
  filters_refused_total: ['intake'],
  slots_exhausted_total: ['intake'],
  swept_slots_total: ['intake'],
  naps_total: ['intake'],
  wakeups_total: ['intake'],
  kernel_drops_total: ['main'],
  icmp_errors_total: ['shard', 'intake'],
  tls_reloads_total: ['main'],
  tls_reload_failures_total: ['main'],
  users_reloads_total: ['main'],
  config_applied_reloads_total: ['main'],
  config_unchanged_reloads_total: ['main'],
  config_failed_reloads_total: ['main'],
  users_reload_failures_total: ['main'],
  trace_lost_total: ['main'],
  hep_sent_total: ['main'],
  hep_dropped_total: ['main'],
  hep_errors_total: ['main'],
  shard_crashes_total: ['main'],
  log_lines_lost_total: ['shard', 'main'],
  control_unauthorized_total: ['main'],
  live_pages_refused_total: ['main'],
  live_pages_cut_off_total: ['main'],
};

/** The threads that count `name`: elsewhere it stays zero. */
export function countingThreads(name: CounterName): readonly CountingThread[] {
  return COUNTED_BY[name] ?? [name.startsWith('stream_') ? 'streams' : 'shard'];
}

export const COUNTER_NAMES = Object.keys(REGISTRY) as readonly CounterName[];

/** Counter ids, e.g. `COUNTER.shed_requests_total`. */
export const COUNTER = Object.fromEntries(COUNTER_NAMES.map((name, id) => [name, id])) as {
  readonly [name in CounterName]: number;
};

export function counterHelp(name: CounterName): string {
  return REGISTRY[name];
}

/** One thread's block. `thread`: a shard's index, then the dispatcher's (shardCount), main's (shardCount + 1) and that of the
 *  streams (shardCount + 2). */
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

  valueOf(id: number): number {
    return this.#doubles[this.#first + id]!;
  }

  /** Brings `id` up to `other`: what `other` has counted more is over for another reason, such as a crash. */
  level(id: number, other: number): void {
    this.#doubles[this.#first + id] = this.#doubles[this.#first + other]!;
  }

  /** For a value that is itself a running total, such as the kernel's drop count. */
  set(id: number, value: number): void {
    this.#doubles[this.#first + id] = value;
  }
}

/** Why connections end, as counters and metrics have it. */
export const CLOSE_REASONS = [
  'peer',
  'idle',
  'slow',
  'unread',
  'fault',
  'junk',
  'error',
  'unconnected',
  'stop',
  'handshake',
  'untrusted',
  'banned',
  'upgrade',
  'dead',
] as const;

/** Connections that are open, or being opened. Cold. */
export function connectionCount(arena: Arena): number {
  const counters = new Counters(arena, arena.map.shardCount + 2);
  let over = 0;
  // In this order: one that begins and ends in between must not make it negative.
  for (const reason of CLOSE_REASONS) over += counters.valueOf(COUNTER[`stream_closed_${reason}_total`]);
  return counters.valueOf(COUNTER.stream_accepted_total) + counters.valueOf(COUNTER.stream_opened_total) - over;
}

/** Sums over all threads, by name. Cold. */
export function readCounters(arena: Arena): Record<CounterName, number> {
  const sums = {} as Record<CounterName, number>;
  const threadCount = arena.map.shardCount + EXTRA_THREADS;
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
