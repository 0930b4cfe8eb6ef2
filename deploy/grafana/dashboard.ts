/** The Grafana dashboard, from which deploy/grafana/strowger.json is written (`npm run generate`). Cold. Whatever did not happen
 *  shows 0: no panel divides by nothing, and counters are there from the start. */

/** As Grafana's own JSON has them; only what is used here. */
interface Target {
  readonly expr: string;
  readonly legendFormat: string;
  readonly refId: string;
  readonly datasource: typeof DATASOURCE;
}

interface PanelFacts {
  readonly title: string;
  readonly type: 'timeseries' | 'stat';
  /** Grafana's name of it. */
  readonly unit: string;
  readonly description: string;
  /** Legend and PromQL, in their order. */
  readonly queries: readonly (readonly [legend: string, expr: string])[];
  /** Turns red from this value on; with `isLowBad` below it. */
  readonly red?: number;
  readonly isLowBad?: boolean;
  readonly isStacked?: boolean;
}

interface RowFacts {
  readonly title: string;
  readonly panels: readonly PanelFacts[];
}

const DATASOURCE = { type: 'prometheus', uid: '$datasource' } as const;
const GRID_COLUMNS = 24;
const STAT_HEIGHT = 4;
const GRAPH_HEIGHT = 8;
/** What every query is about. */
const ON = '{instance=~"$instance"}';

/** Adds up what `metric` grows by in a second; `labels` are further conditions. */
function rate(metric: string, by = '', labels = ''): string {
  const grouped = by === '' ? 'sum' : `sum by (${by}) `;
  return `${grouped}(rate(strowger_${metric}{instance=~"$instance"${labels === '' ? '' : `, ${labels}`}}[$__rate_interval]))`;
}

function quantile(q: number, histogram: string, by = 'le', labels = ''): string {
  return `histogram_quantile(${q}, ${rate(`${histogram}_bucket`, by, labels)})`;
}

function gauge(metric: string, by = ''): string {
  return by === '' ? `sum(strowger_${metric}${ON})` : `sum by (${by}) (strowger_${metric}${ON})`;
}

/** The part of the final responses that is of one class; 0 where there are none. */
const SERVER_ERRORS = `${rate('responses_sent_total', '', 'class="5xx"')} / clamp_min(${rate('responses_sent_total', '', 'class!="1xx"')}, 1e-9)`;

const ROWS: readonly RowFacts[] = [
  {
    title: 'At a glance',
    panels: [
      {
        title: 'Ready',
        type: 'stat',
        unit: 'short',
        description: 'Servers that say they are ready for traffic.',
        queries: [['ready', `sum(strowger_ready${ON})`]],
        red: 1,
        isLowBad: true,
      },
      {
        title: 'Calls a second',
        type: 'stat',
        unit: 'reqps',
        description: 'INVITE requests received, those within dialogs and retransmissions included.',
        queries: [['calls', rate('requests_received_total', '', 'method="INVITE"')]],
      },
      {
        title: 'Registered users',
        type: 'stat',
        unit: 'short',
        description: 'Addresses-of-record with bindings.',
        queries: [['users', gauge('location_aors')]],
      },
      {
        title: '5xx share',
        type: 'stat',
        unit: 'percentunit',
        description: 'Of all final responses that were sent.',
        queries: [['5xx', SERVER_ERRORS]],
        red: 0.05,
      },
      {
        title: 'Transit, p99',
        type: 'stat',
        unit: 's',
        description: 'From the receipt of a message to the sending of what came of it.',
        queries: [['p99', quantile(0.99, 'transit_seconds')]],
        red: 0.05,
      },
      {
        title: 'Kernel drops, 1 h',
        type: 'stat',
        unit: 'short',
        description: 'Datagrams the kernel dropped at a full receive buffer.',
        queries: [['drops', `sum(increase(strowger_kernel_drops_total${ON}[1h]))`]],
        red: 1,
      },
      {
        title: 'Shard crashes, 1 h',
        type: 'stat',
        unit: 'short',
        description: 'Each is a datagram in the crash directory.',
        queries: [['crashes', `sum(increase(strowger_shard_crashes_total${ON}[1h]))`]],
        red: 1,
      },
      {
        title: 'Up since',
        type: 'stat',
        unit: 's',
        description: 'Time since the start of the server that was started last.',
        queries: [['uptime', `min(strowger_uptime_seconds${ON})`]],
      },
    ],
  },
  {
    title: 'Traffic',
    panels: [
      {
        title: 'Requests received, by method',
        type: 'timeseries',
        unit: 'reqps',
        description: 'Retransmissions included.',
        queries: [['{{method}}', rate('requests_received_total', 'method')]],
        isStacked: true,
      },
      {
        title: 'Responses sent, by class',
        type: 'timeseries',
        unit: 'reqps',
        description: 'Forwarded ones and our own.',
        queries: [['{{class}}', rate('responses_sent_total', 'class')]],
        isStacked: true,
      },
      {
        title: 'Datagrams',
        type: 'timeseries',
        unit: 'pps',
        description: 'Taken off the sockets and handed to the kernel, and what was no SIP.',
        queries: [
          ['received', rate('datagrams_received_total')],
          ['sent', rate('datagrams_sent_total')],
          ['keep-alives', rate('keepalives_total')],
          ['junk', rate('junk_datagrams_total')],
        ],
      },
      {
        title: 'What becomes of requests',
        type: 'timeseries',
        unit: 'reqps',
        description: 'Requests by what the server did with them.',
        queries: [
          ['forwarded', rate('requests_forwarded_total')],
          ['registered', rate('registrations_total')],
          ['redirected', rate('redirected_total')],
          ['challenged', rate('challenges_total')],
          ['answered here', rate('requests_answered_total')],
          ['malformed', rate('malformed_requests_total')],
          ['relay denied', rate('relay_denied_total')],
        ],
      },
    ],
  },
  {
    title: 'Latency',
    panels: [
      {
        title: 'Transit through the server',
        type: 'timeseries',
        unit: 's',
        description: 'From recvmmsg to sendmmsg, look-ups included, without the time in the kernel before.',
        queries: [0.5, 0.9, 0.99, 0.999].map((q) => [`p${q * 100}`, quantile(q, 'transit_seconds')] as const),
      },
      {
        title: 'Transit p99, by shard',
        type: 'timeseries',
        unit: 's',
        description: 'A shard that stands out has a call that is unlike the others, or a core it does not get.',
        queries: [['{{thread}}', quantile(0.99, 'transit_seconds', 'le, thread')]],
      },
      {
        title: 'INVITE until its final response',
        type: 'timeseries',
        unit: 's',
        description: 'Ringing included.',
        queries: [0.5, 0.95, 0.99].map(
          (q) => [`p${q * 100}`, quantile(q, 'transaction_seconds', 'le', 'kind="invite"')] as const,
        ),
      },
      {
        title: 'Other requests until their final response',
        type: 'timeseries',
        unit: 's',
        description: 'Requests that were forwarded, such as BYE.',
        queries: [0.5, 0.95, 0.99].map(
          (q) => [`p${q * 100}`, quantile(q, 'transaction_seconds', 'le', 'kind="other"')] as const,
        ),
      },
    ],
  },
  {
    title: 'Transactions',
    panels: [
      {
        title: 'In use',
        type: 'timeseries',
        unit: 'short',
        description: 'Finished ones linger for up to 32 s, as RFC 3261 wants it.',
        queries: [['{{side}}', gauge('transactions', 'side')]],
      },
      {
        title: 'Share of the limit',
        type: 'timeseries',
        unit: 'percentunit',
        description: 'The fullest shard. At 1, new requests get 503.',
        queries: [
          ['transactions', `max(strowger_transactions${ON}) / max(clamp_min(strowger_transactions_limit${ON}, 1))`],
          [
            'kept messages',
            `max(strowger_kept_memory_bytes${ON}) / max(clamp_min(strowger_kept_memory_limit_bytes${ON}, 1))`,
          ],
        ],
        red: 0.8,
      },
      {
        title: 'Retransmissions',
        type: 'timeseries',
        unit: 'reqps',
        description: 'Signs of loss: absorbed ones came again, sent ones were not answered in time.',
        queries: [
          ['requests absorbed', rate('request_retransmissions_total')],
          ['responses repeated', rate('response_retransmissions_total')],
          ['requests repeated', rate('retransmissions_sent_total')],
        ],
      },
      {
        title: 'What went wrong',
        type: 'timeseries',
        unit: 'reqps',
        description: 'Next hops that do not answer, and what was done about it.',
        queries: [
          ['timeouts', rate('timeouts_total')],
          ['failovers', rate('failovers_total')],
          ['cancelled', rate('cancels_received_total')],
          ['unacknowledged', rate('unacknowledged_total')],
          ['late responses', rate('late_responses_total')],
          ['unresolvable', rate('unresolvable_total')],
        ],
      },
    ],
  },
  {
    title: 'Location',
    panels: [
      {
        title: 'Users and bindings',
        type: 'timeseries',
        unit: 'short',
        description: 'Addresses-of-record, and the contacts they have.',
        queries: [
          ['users', gauge('location_aors')],
          ['bindings', gauge('location_bindings')],
        ],
      },
      {
        title: 'Registrations',
        type: 'timeseries',
        unit: 'reqps',
        description: 'REGISTER requests by what came of them.',
        queries: [
          ['changed bindings', rate('registrations_total')],
          ['asked, or came again', rate('registration_queries_total')],
          ['refused', rate('registrations_refused_total')],
          ['table full', rate('location_full_total')],
          ['store behind', rate('store_behind_total')],
        ],
      },
      {
        title: 'Authentication',
        type: 'timeseries',
        unit: 'reqps',
        description: 'Digest credentials.',
        queries: [
          ['right', rate('authenticated_total')],
          ['challenged', rate('challenges_total')],
          ['wrong', rate('wrong_credentials_total')],
          ['stale nonce', rate('stale_nonces_total')],
          ['users unavailable', rate('users_unavailable_total')],
        ],
      },
      {
        title: 'Store on disk',
        type: 'timeseries',
        unit: 'short',
        description: 'Servers by the state of their location store.',
        queries: [['{{state}}', gauge('location_store_state', 'state')]],
      },
    ],
  },
  {
    title: 'Shards',
    panels: [
      {
        title: 'Messages served, by shard',
        type: 'timeseries',
        unit: 'mps',
        description: 'Calls are spread by a hash of their Call-ID.',
        queries: [['{{thread}}', rate('transit_seconds_count', 'thread')]],
      },
      {
        title: 'Most datagrams waiting, by shard',
        type: 'timeseries',
        unit: 'short',
        description: 'In the last 15 to 30 s, and the marks above which new requests are answered 503 and dropped.',
        queries: [
          ['{{thread}}', `max by (thread) (strowger_ring_depth_high${ON})`],
          ['503 from here', `min(strowger_ring_reject_mark${ON})`],
          ['dropped from here', `min(strowger_ring_shed_mark${ON})`],
        ],
      },
      {
        title: 'Threads up, and crashes',
        type: 'timeseries',
        unit: 'short',
        description: 'A crashed shard is started again while the others serve on.',
        queries: [
          ['{{thread}} up', `min by (thread) (strowger_thread_up${ON})`],
          ['crashes, 5 m', `sum(increase(strowger_shard_crashes_total${ON}[5m]))`],
        ],
      },
      {
        title: 'CPU and lateness of the main thread',
        type: 'timeseries',
        unit: 'short',
        description:
          'Cores in use by all threads; by how many seconds one timer in a hundred of the main thread was late.',
        queries: [
          ['cores', `sum(rate(process_cpu_seconds_total${ON}[$__rate_interval]))`],
          ['late, p99', quantile(0.99, 'main_event_loop_delay_seconds')],
        ],
      },
      {
        title: 'Memory',
        type: 'timeseries',
        unit: 'bytes',
        description: 'Resident, and what kept messages ever took of it.',
        queries: [
          ['resident', `sum(process_resident_memory_bytes${ON})`],
          ['kept messages', gauge('kept_memory_bytes')],
        ],
      },
      {
        title: 'Slots free',
        type: 'timeseries',
        unit: 'percentunit',
        description: 'Of those for datagrams, and of those for large ones.',
        queries: [
          ['slots', `min(strowger_slots_free${ON} / strowger_slots${ON})`],
          ['jumbo slots', `min(strowger_jumbo_slots_free${ON} / strowger_jumbo_slots${ON})`],
        ],
      },
    ],
  },
  {
    title: 'Kernel drops',
    panels: [
      {
        title: 'Dropped at a full receive buffer',
        type: 'timeseries',
        unit: 'pps',
        description: 'By socket. Raise socket.receiveBufferBytes and net.core.rmem_max.',
        queries: [['{{socket}}', rate('kernel_drops_total', 'socket')]],
        red: 1,
      },
      {
        title: 'Not sent',
        type: 'timeseries',
        unit: 'pps',
        description: 'Lost at a full send buffer, refused by the kernel, or come back by ICMP.',
        queries: [
          ['send buffer full', rate('send_congested_total')],
          ['refused', rate('send_errors_total')],
          ['ICMP', rate('icmp_errors_total')],
        ],
      },
      {
        title: 'Receive buffers',
        type: 'timeseries',
        unit: 'bytes',
        description:
          'What the kernel gave; less than socket.receiveBufferBytes means that net.core.rmem_max clamped it.',
        queries: [['{{socket}}', `min by (socket) (strowger_socket_receive_buffer_bytes${ON})`]],
      },
    ],
  },
  {
    title: 'Overload',
    panels: [
      {
        title: 'Turned away',
        type: 'timeseries',
        unit: 'reqps',
        description: 'New requests that were not served.',
        queries: [
          ['answered 503', rate('overload_rejected_total')],
          ['dropped', rate('shed_requests_total')],
          ['dropped by the kernel', rate('filtered_requests_total')],
          ['no transaction left', rate('transactions_exhausted_total')],
          ['no room to wait for a look-up', rate('parked_exhausted_total')],
          ['no jumbo slot', rate('jumbo_exhausted_total')],
        ],
        red: 1,
      },
      {
        title: 'Waiting',
        type: 'timeseries',
        unit: 'short',
        description: 'For a shard, and for a look-up of a name or a user.',
        queries: [
          ['for a shard', gauge('ring_depth')],
          ['for a look-up', gauge('parked_messages')],
        ],
      },
      {
        title: 'Batching',
        type: 'timeseries',
        unit: 'short',
        description: 'Datagrams per system call: it grows with the load, which is what makes a busy server cheap.',
        queries: [
          ['per recvmmsg', `${rate('datagrams_received_total')} / clamp_min(${rate('receive_batches_total')}, 1e-9)`],
          ['per sendmmsg', `${rate('datagrams_sent_total')} / clamp_min(${rate('send_batches_total')}, 1e-9)`],
        ],
      },
    ],
  },
];

interface GridPosition {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** The dashboard as Grafana imports it. */
export function dashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: facts } of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: GRID_COLUMNS, h: 1 },
    });
    y++;
    const isStats = facts.every(({ type }) => type === 'stat');
    const perLine = isStats ? facts.length : facts.length % 3 === 0 ? 3 : 2;
    const w = GRID_COLUMNS / perLine;
    const h = isStats ? STAT_HEIGHT : GRAPH_HEIGHT;
    for (const [i, panel] of facts.entries()) {
      const position = { x: (i % perLine) * w, y: y + Math.floor(i / perLine) * h, w, h };
      panels.push(renderPanel(panels.length + 1, panel, position));
    }
    y += Math.ceil(facts.length / perLine) * h;
  }
  return {
    uid: 'strowger',
    title: 'Strowger',
    description: 'A SIP server: traffic, latency, transactions, registrations, threads, losses.',
    tags: ['sip', 'strowger'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '5s',
    time: { from: 'now-30m', to: 'now' },
    templating: { list: [datasourceVariable(), instanceVariable()] },
    annotations: { list: [] },
    panels,
  };
}

/** deploy/grafana/strowger.json. */
export function renderDashboard(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`;
}

function renderPanel(id: number, panel: PanelFacts, gridPos: GridPosition): object {
  const { title, type, unit, description, queries, red, isLowBad = false, isStacked = false } = panel;
  const steps = isLowBad
    ? [
        { color: 'red', value: null },
        { color: 'green', value: red! },
      ]
    : [{ color: 'green', value: null }, ...(red === undefined ? [] : [{ color: 'red', value: red }])];
  const custom = {
    drawStyle: 'line',
    lineWidth: 1,
    fillOpacity: 10,
    stacking: { mode: isStacked ? 'normal' : 'none' },
  };
  return {
    id,
    type,
    title,
    description,
    gridPos,
    datasource: DATASOURCE,
    targets: queries.map(
      ([legendFormat, expr], i): Target => ({
        refId: String.fromCharCode('A'.charCodeAt(0) + i),
        expr,
        legendFormat,
        datasource: DATASOURCE,
      }),
    ),
    fieldConfig: {
      defaults: { unit, min: 0, thresholds: { mode: 'absolute', steps }, ...(type === 'stat' ? {} : { custom }) },
      overrides: [],
    },
    options:
      type === 'stat'
        ? {
            colorMode: 'value',
            graphMode: 'area',
            reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
          }
        : {
            legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'] },
            tooltip: { mode: 'multi', sort: 'desc' },
          },
  };
}

function datasourceVariable(): object {
  return { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source', hide: 0, refresh: 1 };
}

function instanceVariable(): object {
  const query = 'label_values(strowger_build_info, instance)';
  return {
    name: 'instance',
    type: 'query',
    label: 'Server',
    datasource: DATASOURCE,
    definition: query,
    query: { query, refId: 'instance' },
    includeAll: true,
    allValue: '.*',
    multi: true,
    current: { selected: true, text: ['All'], value: ['$__all'] },
    refresh: 2,
    sort: 1,
  };
}
