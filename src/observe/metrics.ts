/** Every metric that the server shows to Prometheus: name, type, help, labels. docs/metrics.md is written from it. Cold.
 *
 *  Counters are those of counters.ts, with the prefix. Two groups of them are one metric each, with a label in place of a
 *  part of the name. */

import { METHOD_NAMES } from '../sip/methods.ts';
import { CLOSE_REASONS, COUNTER_NAMES, type CounterName, counterHelp, countingThreads } from './counters.ts';
import type { MetricHead } from './exposition.ts';

const PREFIX = 'strowger_';

export interface Metric extends MetricHead {
  /** Names of its labels, in their order. */
  readonly labels: readonly string[];
}

/** Labels and what their values are. */
export const LABELS: Readonly<Record<string, string>> = {
  thread:
    '`shard-0`, `shard-1` …, `dispatcher` (where there is one: `dispatcher.thread`), `streams` (where there are any) or `main`: who counted',
  socket: 'a socket as `listen` has it, with the port it got: `udp:192.0.2.10:5060`',
  method: 'the method, `other` for those that the server has no name for',
  class: '`1xx` to `6xx`',
  side: '`server` or `client`',
  kind: '`invite` or `other`',
  certificate: 'its file, as `tls.certificates` has it',
  reason:
    'why: `peer`, `idle`, `slow`, `unread`, `fault`, `junk`, `error`, `unconnected`, `stop`, `handshake`, `untrusted`, `banned`, `upgrade` or `dead`',
  state: 'the state; the one that holds is 1, the others 0',
  result: '`applied`, `unchanged` or `failed`',
  version: 'of Strowger',
  node: 'version of Node.js',
  mode: '`stateful` or `stateless`',
  le: 'upper bound of the bucket, in seconds',
};

function metric(type: MetricHead['type'], name: string, help: string, ...labels: string[]): Metric {
  return { name, type, help, labels: type === 'histogram' ? [...labels, 'le'] : labels };
}

/** Metrics that are no counters of the arena, or not as they are there. */
export const METRIC = {
  buildInfo: metric('gauge', `${PREFIX}build_info`, 'What is running; always 1', 'version', 'node', 'mode'),
  ready: metric('gauge', `${PREFIX}ready`, 'Whether the server is ready for traffic, as /readyz says'),
  uptime: metric('gauge', `${PREFIX}uptime_seconds`, 'Time since the start'),

  requests: metric('counter', `${PREFIX}requests_received_total`, 'Requests parsed', 'method', 'thread'),
  responses: metric(
    'counter',
    `${PREFIX}responses_sent_total`,
    'Responses sent, forwarded ones and our own, retransmissions among them',
    'class',
    'thread',
  ),
  kernelDrops: metric('counter', `${PREFIX}kernel_drops_total`, counterHelp('kernel_drops_total'), 'socket'),
  socketDatagrams: metric(
    'counter',
    `${PREFIX}socket_datagrams_received_total`,
    'Datagrams that came by a socket, those from banned sources included',
    'socket',
  ),
  receiveQueue: metric(
    'gauge',
    `${PREFIX}socket_receive_queue_bytes`,
    "Kernel memory that waits in a socket's receive buffer; datagrams are dropped at about twice the buffer's size",
    'socket',
  ),
  receiveBuffer: metric(
    'gauge',
    `${PREFIX}socket_receive_buffer_bytes`,
    'Receive buffer that the kernel gave to a socket',
    'socket',
  ),

  connections: metric('gauge', `${PREFIX}stream_connections`, 'Connections that are open, or being opened'),
  connectionsLimit: metric(
    'gauge',
    `${PREFIX}stream_connections_limit`,
    'Connections that there may be at once (streams.connections)',
  ),
  connectionsClosed: metric(
    'counter',
    `${PREFIX}stream_connections_closed_total`,
    'Connections that are over: the peer closed it; nothing was sent or heard for long; a message did not become whole in time; the peer does not read; the end of a message could not be known; it was not SIP; it broke; it could not be opened; its thread ended; TLS could not be agreed upon; the certificate of the peer is not accepted; its source was banned; no WebSocket came of it; nothing came after a ping',
    'reason',
    'thread',
  ),

  certificateExpiry: metric(
    'gauge',
    `${PREFIX}tls_certificate_expires_seconds`,
    'When a certificate of ours expires, in seconds since 1970',
    'certificate',
  ),

  transit: metric(
    'histogram',
    `${PREFIX}transit_seconds`,
    'From the receipt of a datagram (recvmmsg) to the flush that sent what came of it (sendmmsg); every datagram, those that waited for a look-up included, but not the time in the kernel before',
    'thread',
  ),
  transaction: metric(
    'histogram',
    `${PREFIX}transaction_seconds`,
    'From the receipt of a request that is forwarded to its final response, ringing included, or until it is given up; in stateful mode',
    'kind',
  ),
  transactions: metric(
    'gauge',
    `${PREFIX}transactions`,
    'Transactions in use, finished ones that linger included',
    'side',
    'thread',
  ),
  transactionsLimit: metric(
    'gauge',
    `${PREFIX}transactions_limit`,
    'Transactions that a shard can have on each side (limits.transactions); 0 in stateless mode',
  ),
  keptMessages: metric(
    'gauge',
    `${PREFIX}kept_messages`,
    'Messages kept for transactions and waiting answers',
    'thread',
  ),
  keptMemory: metric(
    'gauge',
    `${PREFIX}kept_memory_bytes`,
    'Memory for kept messages that was ever used: it is used again, and never given back',
    'thread',
  ),
  keptMemoryLimit: metric(
    'gauge',
    `${PREFIX}kept_memory_limit_bytes`,
    'Memory for kept messages of each shard (limits.messageMemoryMiB)',
  ),
  parked: metric('gauge', `${PREFIX}parked_messages`, 'Messages that wait for a look-up', 'thread'),

  bans: metric('gauge', `${PREFIX}bans`, 'Sources that are banned: addresses and blocks'),
  reloads: metric(
    'counter',
    `${PREFIX}config_reloads_total`,
    'Reloads of the configuration, by what came of them',
    'result',
    'thread',
  ),
  configGeneration: metric(
    'gauge',
    `${PREFIX}config_generation`,
    'How many configurations have run since the start, the first one included',
  ),
  configHash: metric(
    'gauge',
    `${PREFIX}config_hash`,
    'What tells the configuration that runs from others, as a number: the same on all servers that have the same one. Secrets do not count',
  ),
  configTime: metric(
    'gauge',
    `${PREFIX}config_taken_timestamp_seconds`,
    'When the configuration that runs was taken over, in seconds since 1970',
  ),
  configNeedsRestart: metric(
    'gauge',
    `${PREFIX}config_needs_restart`,
    'Settings of the file that wait for a new start',
  ),

  aors: metric('gauge', `${PREFIX}location_aors`, 'Addresses-of-record with bindings'),
  bindings: metric('gauge', `${PREFIX}location_bindings`, 'Bindings, expired ones until they are swept included'),
  locationLimit: metric(
    'gauge',
    `${PREFIX}location_limit_aors`,
    'Addresses-of-record that the location table can hold (location.capacity)',
  ),
  storeState: metric('gauge', `${PREFIX}location_store_state`, 'State of the location store on disk', 'state'),

  threadCpu: metric(
    'counter',
    `${PREFIX}thread_cpu_seconds_total`,
    'CPU time that a thread has spent; it begins again with the thread, and is NaN where the kernel does not say',
    'thread',
  ),
  threadUp: metric('gauge', `${PREFIX}thread_up`, 'Whether a shard or the dispatcher runs', 'thread'),
  shardStarts: metric('counter', `${PREFIX}shard_starts_total`, 'Starts of a shard, the first included', 'thread'),
  shardCrashes: metric('counter', `${PREFIX}shard_crashes_total`, 'Crashes of a shard', 'thread'),
  ringDepth: metric('gauge', `${PREFIX}ring_depth`, 'Datagrams that wait for a shard', 'thread'),
  ringHigh: metric(
    'gauge',
    `${PREFIX}ring_depth_high`,
    'Most datagrams that waited for a shard at once, in the last 15 to 30 s',
    'thread',
  ),
  ringRejectMark: metric(
    'gauge',
    `${PREFIX}ring_reject_mark`,
    'Depth above which new requests begin to be answered 503 (limits.rejectMark)',
  ),
  ringShedMark: metric(
    'gauge',
    `${PREFIX}ring_shed_mark`,
    'Depth above which new requests are dropped (limits.overloadMark)',
  ),
  slotsFree: metric('gauge', `${PREFIX}slots_free`, 'Slots for datagrams that are free'),
  slots: metric('gauge', `${PREFIX}slots`, 'Slots for datagrams there are (limits.slots)'),
  jumbosFree: metric('gauge', `${PREFIX}jumbo_slots_free`, 'Slots for large datagrams that are free'),
  jumbos: metric('gauge', `${PREFIX}jumbo_slots`, 'Slots for large datagrams there are (limits.jumboSlots)'),

  loopDelay: metric(
    'histogram',
    `${PREFIX}main_event_loop_delay_seconds`,
    'How late a timer of the main thread was, ten a second: that thread starts the others and answers operators',
  ),
  residentMemory: metric('gauge', 'process_resident_memory_bytes', 'Resident memory size'),
  cpu: metric('counter', 'process_cpu_seconds_total', 'User and system CPU time spent, of all threads'),
  startTime: metric('gauge', 'process_start_time_seconds', 'Start time of the process since the Unix epoch'),
} as const;

/** A counter that one value of a label stands for. */
interface LabelledCounter {
  readonly metric: Metric;
  readonly label: string;
  readonly value: string;
}

const LABELLED = new Map<CounterName, LabelledCounter>([
  ...(['applied', 'unchanged', 'failed'] as const).map((value): [CounterName, LabelledCounter] => [
    `config_${value}_reloads_total`,
    { metric: METRIC.reloads, label: 'result', value },
  ]),
  ...METHOD_NAMES.map((name): [CounterName, LabelledCounter] => {
    const value = name === '' ? 'other' : name;
    return [
      `${value.toLowerCase()}_requests_total` as CounterName,
      { metric: METRIC.requests, label: 'method', value },
    ];
  }),
  ...[1, 2, 3, 4, 5, 6].map((digit): [CounterName, LabelledCounter] => [
    `responses_${digit}xx_total` as CounterName,
    { metric: METRIC.responses, label: 'class', value: `${digit}xx` },
  ]),
  ...CLOSE_REASONS.map((reason): [CounterName, LabelledCounter] => [
    `stream_closed_${reason}_total`,
    { metric: METRIC.connectionsClosed, label: 'reason', value: reason },
  ]),
]);

/** Counters that are shown from a better source than the arena, or whose sum by a label is another one. */
const SHOWN_OTHERWISE: ReadonlySet<CounterName> = new Set([
  'requests_received_total',
  'kernel_drops_total',
  'shard_crashes_total',
]);

/** How a counter of the arena is shown: its metric, and the labels beside `thread`. null: from elsewhere. */
export function metricOfCounter(
  name: CounterName,
): { readonly metric: Metric; readonly labels: Record<string, string> } | null {
  const labelled = LABELLED.get(name);
  if (labelled !== undefined) return { metric: labelled.metric, labels: { [labelled.label]: labelled.value } };
  if (SHOWN_OTHERWISE.has(name)) return null;
  return { metric: metric('counter', `${PREFIX}${name}`, counterHelp(name), 'thread'), labels: {} };
}

/** All of them, once each: those of METRIC in its order, then the counters. */
export function allMetrics(): Metric[] {
  const counters = COUNTER_NAMES.flatMap((name) => {
    const shown = metricOfCounter(name);
    return shown === null || LABELLED.has(name) ? [] : [shown.metric];
  });
  return [...Object.values(METRIC), ...counters];
}

/** docs/metrics.md. */
export function renderMetricsReference(): string {
  const rows = allMetrics().map(
    ({ name, type, help, labels }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help.replaceAll('|', '\\|')} |`,
  );
  const labelRows = Object.entries(LABELS).map(([label, meaning]) => `| \`${label}\` | ${meaning} |`);
  return `# Metrics

<!-- Generated from src/observe/metrics.ts by \`npm run generate\`. Do not edit. -->

\`strowger --admin 127.0.0.1:9560\` (setting \`admin.listen\`) opens an HTTP listener for monitoring:

| path | answer |
|---|---|
| \`/\` | a live page for people, who give the token where \`control.tokenFile\` has one; \`/live.json\` has its figures |
| \`/metrics\` | everything below, for Prometheus (text format 0.0.4) |
| \`/healthz\` | 200 as long as the process answers: a probe of liveness |
| \`/readyz\` | 200 when traffic may come, else 503 with a line for each reason: a probe of readiness |

It is off by default, and a bind to every interface (\`*:9560\`) is refused unless \`admin.allowWildcard\` says that it is meant.
\`/metrics\`, \`/healthz\` and \`/readyz\` have no password. The data of the live page asks for the token where \`control.tokenFile\` has
one. Without a token whoever reaches the listener reads \`/live.json\`: figures as in \`/metrics\`, and also which addresses send most, the
next hops, and the latest errors; single calls are then shown only where the listener is on loopback.

What shards count lies in memory that they share with the main thread, which answers: no shard notices a scrape. Durations are
recorded for every message, in buckets two to each doubling. Scrape configuration, alert rules and a Grafana dashboard are in
[\`deploy/\`](../deploy/README.md).

## Labels

| label | value |
|---|---|
${labelRows.join('\n')}

## All metrics

Counters are given by the thread that counts, so \`sum without (thread)\` is what happened. They begin with 0 and not when something
first happens, and a shard that is started again goes on counting.

| metric | type | labels | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

/** Where a thread's counters lie, by its index in the arena. */
export function threadName(thread: number, shardCount: number): string {
  if (thread < shardCount) return `shard-${thread}`;
  return ['dispatcher', 'main', 'streams'][thread - shardCount]!;
}

/** Indices of the threads that count `name`, ascending. Without a dispatcher the only shard has the intake. */
export function threadsCounting(name: CounterName, shardCount: number, hasDispatcher: boolean): number[] {
  const indices = countingThreads(name).flatMap((thread) => {
    if (thread === 'shard') return Array.from({ length: shardCount }, (_, shard) => shard);
    if (thread === 'main') return [shardCount + 1];
    if (thread === 'streams') return [shardCount + 2];
    return [hasDispatcher ? shardCount : 0];
  });
  return [...new Set(indices)].sort((a, b) => a - b);
}
