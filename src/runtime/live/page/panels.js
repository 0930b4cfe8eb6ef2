/** The panels below the charts: threads, errors, talkers, next hops, sockets, location, pools, signs of trouble. Each is made once and
 *  then updated in place. */

/** @import { LiveFacts, LiveFrame, LiveShard, Signal, SignalName, ThreadLoad } from '../live-frame.ts' */

import { byId, h, setAttribute, setRows, setText } from './dom.js';
import { bytesText, countText, dateText, durationText, rateText, shareText, spanText } from './figures.js';

/** @typedef {{ update(frame: LiveFrame, facts: LiveFacts): void }} Panel */

/** @returns {Panel[]} */
export function makePanels() {
  return [
    threadsPanel(),
    errorsPanel(),
    talkersPanel(),
    hopsPanel(),
    socketsPanel(),
    locationPanel(),
    poolsPanel(),
    processPanel(),
    signalsPanel(),
  ];
}

/** A bar of a share, with a mark where it becomes serious.
 *  @param {number | null} mark 0 to 1 */
function bar(mark = null) {
  const fill = h('i');
  const element = h('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
  if (mark !== null) {
    const at = h('b');
    at.style.left = `${mark * 100}%`;
    element.append(at);
  }
  return element;
}

/** @param {Element} element of `bar`
 *  @param {number} share
 *  @param {'good' | 'warn' | 'bad'} [look] */
function fillBar(element, share, look = 'good') {
  const fill = /** @type {HTMLElement} */ (element.firstElementChild);
  fill.style.width = `${Math.min(1, Math.max(0, share)) * 100}%`;
  setAttribute(element, 'data-look', look);
}

/** @param {number} share
 *  @param {number} warn
 *  @param {number} bad */
function lookOf(share, warn, bad) {
  return share >= bad ? 'bad' : share >= warn ? 'warn' : 'good';
}

/** A table whose rows are updated cell by cell.
 *  @param {string} caption
 *  @param {readonly { name: string, title?: string, kind?: 'figure' | 'text' | 'minor' }[]} columns */
function table(caption, columns) {
  const body = h('tbody');
  const element = h(
    'div',
    { class: 'scroller', tabindex: '0', role: 'region', 'aria-label': caption },
    h(
      'table',
      {},
      h('caption', { class: 'unseen' }, caption),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...columns.map(({ name, title, kind = 'figure' }) => h('th', { scope: 'col', class: kind, title }, name)),
        ),
      ),
      body,
    ),
  );
  return { element, body };
}

// ---- Threads --------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function threadsPanel() {
  const { element, body } = table('Threads: the main thread, the dispatcher, that of the streams and the shards', [
    { name: 'Thread', kind: 'text' },
    { name: 'CPU', title: 'Share of a core' },
    { name: 'Waits', title: 'Share of the time in which it could have run and waited for a core', kind: 'minor' },
    { name: 'Messages/s' },
    { name: 'Transit p99' },
    {
      name: 'Ring',
      title: 'Datagrams that wait for the shard now, and the most lately; the mark is where new requests get 503',
    },
    { name: 'Transactions', kind: 'minor' },
    { name: 'Parked', title: 'Messages that wait for a look-up', kind: 'minor' },
    { name: 'Restarts' },
  ]);
  byId('shards').append(element);
  const makeRow = () =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, h('span', { class: 'light', 'aria-hidden': 'true' }), h('span'), h('em')),
      h('td', { class: 'figure' }, h('span', { class: 'with-bar' }, bar(), h('span'))),
      h('td', { class: 'figure minor' }),
      h('td', { class: 'figure' }),
      h('td', { class: 'figure' }),
      h('td', { class: 'figure' }),
      h('td', { class: 'figure minor' }),
      h('td', { class: 'figure minor' }),
      h('td', { class: 'figure' }),
    );
  return {
    update(frame, facts) {
      /** @type {{ name: string, load: ThreadLoad, shard: LiveShard | null, p99Us: number | null }[]} */
      const rows = [{ name: 'main', load: frame.main, shard: null, p99Us: null }];
      if (frame.dispatcher !== null) {
        rows.push({ name: 'dispatcher', load: frame.dispatcher, shard: null, p99Us: null });
      }
      if (frame.streams !== null) rows.push({ name: 'streams', load: frame.streams, shard: null, p99Us: null });
      for (const [i, shard] of frame.shards.entries()) {
        rows.push({ name: `shard ${i}`, load: shard, shard, p99Us: shard.p99Us });
      }
      setRows(body, rows, makeRow, (row, { name, load, shard }) => updateThread(row, name, load, shard, facts));
    },
  };
}

/** @param {Element} row
 *  @param {string} name
 *  @param {ThreadLoad} load
 *  @param {LiveShard | null} shard
 *  @param {LiveFacts} facts */
function updateThread(row, name, load, shard, facts) {
  const [head, cpu, waits, messages, p99, ring, transactions, parked, restarts] = /** @type {Element[]} */ ([
    ...row.children,
  ]);
  if (!head || !cpu || !waits || !messages || !p99 || !ring || !transactions || !parked || !restarts) return;
  setAttribute(row, 'data-state', load.isRunning ? 'up' : 'down');
  setText(/** @type {Element} */ (head.children[1]), name);
  setText(/** @type {Element} */ (head.children[2]), load.isRunning ? '' : 'down');
  const cpuBox = /** @type {Element} */ (cpu.firstElementChild);
  fillBar(/** @type {Element} */ (cpuBox.children[0]), load.cpu ?? 0, lookOf(load.cpu ?? 0, 0.75, 0.92));
  setText(/** @type {Element} */ (cpuBox.children[1]), shareText(load.cpu));
  setText(waits, shareText(load.waiting));
  waits.classList.toggle('warn', (load.waiting ?? 0) > 0.5);
  if (shard === null) {
    for (const cell of [messages, p99, ring, transactions, parked, restarts]) setText(cell, '');
    return;
  }
  setText(messages, rateText(shard.messagesPerSec));
  setText(p99, durationText(shard.p99Us));
  setText(ring, `${countText(shard.ringDepth)} / ${countText(shard.ringHigh)}`);
  const isHigh = shard.ringHigh >= facts.ringRejectMark;
  ring.classList.toggle('bad', isHigh);
  ring.classList.toggle('warn', !isHigh && shard.ringHigh >= facts.ringRejectMark / 2);
  setText(transactions, countText(shard.transactions));
  setText(parked, countText(shard.parked));
  const again = Math.max(0, shard.starts - 1);
  setText(restarts, again === 0 ? '0' : `${countText(again)}`);
  restarts.classList.toggle('bad', shard.crashes > 0);
}

// ---- Errors ---------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function errorsPanel() {
  const none = h('p', { class: 'quiet' }, 'None since the server started.');
  const list = h('ul', { class: 'errors', tabindex: '0', 'aria-labelledby': 'errors-title' });
  byId('errors').append(none, list);
  const link = byId('errors-link');
  const makeRow = () =>
    h('li', {}, h('p', { class: 'what' }), h('p', { class: 'hint' }), h('p', { class: 'quiet how-often' }));
  return {
    update({ errors, at }) {
      none.hidden = errors.length > 0;
      list.hidden = errors.length === 0;
      const recent = errors.filter(({ lastAt }) => at - Date.parse(lastAt) < 15 * 60_000).length;
      link.hidden = recent === 0;
      setText(link, recent === 1 ? '1 recent error' : `${recent} recent errors`);
      setRows(list, errors, makeRow, (row, { kind, text, hint, count, lastAt }) => {
        const [what, todo, when] = /** @type {HTMLElement[]} */ ([...row.children]);
        if (!what || !todo || !when) return;
        const agoSec = (at - Date.parse(lastAt)) / 1000;
        setAttribute(row, 'data-age', agoSec < 60 ? 'fresh' : agoSec < 900 ? 'recent' : 'old');
        setText(what, text);
        setText(todo, hint ?? furtherHint(kind));
        const times = count === 1 ? 'once' : `${countText(count)} times`;
        setText(when, `${times}, last ${spanText(agoSec)} ago · ${kind}`);
      });
    },
  };
}

/** Where the log has nothing to advise.
 *  @param {string} kind */
function furtherHint(kind) {
  return kind.startsWith('answered ')
    ? 'an answer of our own: the log names the calls by call_id, and below they are shown message by message'
    : 'the log of the server says more';
}

// ---- Talkers --------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function talkersPanel() {
  const none = h('p', { class: 'quiet' }, 'Nobody sends anything.');
  const { element, body } = table('Top talkers: sources by messages a second', [
    { name: 'Source', kind: 'text' },
    { name: 'Share' },
    { name: 'Messages/s', title: 'Datagrams and messages of connections, by samples, in the last seconds' },
  ]);
  byId('talkers').append(none, element);
  const makeRow = () =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, h('span'), h('em')),
      h('td', { class: 'figure' }, h('span', { class: 'with-bar' }, bar(), h('span'))),
      h('td', { class: 'figure' }),
    );
  return {
    update({ talkers }) {
      none.hidden = (talkers ?? []).length > 0;
      element.hidden = !none.hidden;
      setRows(body, talkers ?? [], makeRow, (row, { address, port, perSec, share }) => {
        const [source, part, rate] = /** @type {Element[]} */ ([...row.children]);
        const box = /** @type {Element} */ (part?.firstElementChild);
        setText(/** @type {Element} */ (source?.children[0]), address);
        setText(/** @type {Element} */ (source?.children[1]), port === null ? ' several ports' : ` :${port}`);
        fillBar(/** @type {Element} */ (box.children[0]), share);
        setText(/** @type {Element} */ (box.children[1]), shareText(share));
        setText(/** @type {Element} */ (rate), rateText(perSec));
      });
    },
  };
}

// ---- Next hops ------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function hopsPanel() {
  const none = h('p', { class: 'quiet' });
  const { element, body } = table('Next hops', [
    { name: 'Next hop', kind: 'text' },
    { name: 'State' },
    { name: 'Failures', title: 'Timeouts, 503s and destinations that could not be reached, since the shards began' },
  ]);
  byId('hops').append(none, element);
  const makeRow = () =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, h('span', { class: 'light', 'aria-hidden': 'true' }), h('span')),
      h('td', { class: 'figure' }),
      h('td', { class: 'figure' }),
    );
  return {
    update({ hops, shards, at }) {
      const rows = hops ?? [];
      setText(
        none,
        hops === null
          ? 'The shards have not said yet.'
          : 'None are configured: requests go to registered users, or where their Request-URI says.',
      );
      none.hidden = rows.length > 0;
      element.hidden = rows.length === 0;
      setRows(body, rows, makeRow, (row, { uri, state, restingOn, restsForSec, failures, lastFailedAt }) => {
        const [name, how, failed] = /** @type {Element[]} */ ([...row.children]);
        if (!name || !how || !failed) return;
        // One shard may have tried it at a bad moment; once all pass it over, it is down.
        const isDown = state === 'resting' && restingOn === shards.length;
        setAttribute(
          row,
          'data-state',
          isDown ? 'down' : state === 'resting' ? 'some' : state === 'up' ? 'up' : 'unknown',
        );
        setText(/** @type {Element} */ (name.children[1]), uri);
        setAttribute(name, 'title', uri);
        const rests = `rests ${spanText(restsForSec)}`;
        setText(
          how,
          state === 'resting'
            ? isDown
              ? rests
              : `${rests} on ${restingOn} of ${shards.length}`
            : state === 'up'
              ? 'up'
              : 'not watched',
        );
        how.classList.toggle('bad', isDown);
        how.classList.toggle('warn', state === 'resting' && !isDown);
        const ago = lastFailedAt === null ? '' : `, ${spanText((at - Date.parse(lastFailedAt)) / 1000)} ago`;
        setText(failed, failures === 0 ? '0' : `${countText(failures)}${ago}`);
      });
    },
  };
}

// ---- Sockets --------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function socketsPanel() {
  const { element, body } = table('Sockets', [
    { name: 'Socket', kind: 'text' },
    { name: 'Datagrams/s' },
    { name: 'Full', title: 'Share of the receive buffer that is in use' },
    { name: 'Dropped', title: 'Datagrams that the kernel dropped at a full receive buffer' },
  ]);
  const [connections, accepted, opened] = facts('connections', ['Connections', 'Accepted/s', 'Opened/s']);
  byId('sockets').prepend(element);
  const makeRow = () =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }),
      h('td', { class: 'figure' }),
      h('td', { class: 'figure' }),
      h('td', { class: 'figure' }),
    );
  return {
    update({ sockets, streams }, { connectionsLimit }) {
      byId('connections').hidden = streams === null;
      if (streams !== null && connections && accepted && opened) {
        setText(connections, `${countText(streams.connections)} of ${countText(connectionsLimit)}`);
        setText(accepted, rateText(streams.accepted.perSec));
        setText(opened, rateText(streams.opened.perSec));
      }
      setRows(body, sockets, makeRow, (row, { text, receivedPerSec, receiveBufferBytes, queuedBytes, drops }) => {
        const [name, received, waiting, dropped] = /** @type {Element[]} */ ([...row.children]);
        if (!name || !received || !waiting || !dropped) return;
        setText(name, text);
        setText(received, rateText(receivedPerSec));
        // The kernel counts what a datagram takes of memory, and gives twice what it was asked for.
        const filled = queuedBytes / (2 * receiveBufferBytes);
        setText(waiting, shareText(filled));
        setAttribute(waiting, 'title', `of ${bytesText(receiveBufferBytes)}`);
        waiting.classList.toggle('warn', filled > 0.25);
        setText(
          dropped,
          drops.perSec > 0 ? `${rateText(drops.perSec)}/s · ${countText(drops.total)}` : countText(drops.total),
        );
        dropped.classList.toggle('bad', drops.perSec > 0);
      });
    },
  };
}

/** Names and values, one under the other.
 *  @param {string} parent
 *  @param {readonly string[]} names
 *  @returns {HTMLElement[]} the values */
function facts(parent, names) {
  const values = names.map(() => h('dd'));
  byId(parent).append(
    h('dl', { class: 'facts' }, ...names.map((name, i) => h('div', {}, h('dt', {}, name), values[i] ?? ''))),
  );
  return values;
}

// ---- Location -------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function locationPanel() {
  const [users, bindings, changes, queries, refused, store] = facts('location', [
    'Registered users',
    'Bindings',
    'Changes/s',
    'Refreshes and queries/s',
    'Refused/s',
    'Store on disk',
  ]);
  const states = /** @type {Record<string, string>} */ ({
    off: 'off: in memory alone',
    running: 'running',
    failed: 'failed: in memory alone',
  });
  return {
    update({ location }, { aorsLimit }) {
      if (!users || !bindings || !changes || !queries || !refused || !store) return;
      setText(users, `${countText(location.aors)} of ${countText(aorsLimit)}`);
      setText(bindings, countText(location.bindings));
      setText(changes, rateText(location.changes.perSec));
      setText(queries, rateText(location.queries.perSec));
      setText(refused, rateText(location.refused.perSec));
      refused.classList.toggle('warn', location.refused.perSec > 0);
      setText(store, states[location.store] ?? location.store);
      store.classList.toggle('bad', location.store === 'failed');
    },
  };
}

// ---- Room left ------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function poolsPanel() {
  const list = h('ul', { class: 'pools' });
  byId('pools').append(list);
  const makeRow = () => h('li', {}, h('span'), h('span', { class: 'value' }), bar());
  return {
    update(frame, limits) {
      const { shards } = frame;
      const most = (/** @type {(shard: LiveShard) => number} */ of) => Math.max(0, ...shards.map(of));
      const pools = [
        { name: 'Slots in use', used: limits.slots - frame.slotsFree, limit: limits.slots, text: countText },
        { name: 'Large slots in use', used: limits.jumbos - frame.jumbosFree, limit: limits.jumbos, text: countText },
        {
          name: 'Transactions, fullest shard',
          used: most((s) => s.transactions),
          limit: limits.transactionsLimit,
          text: countText,
        },
        {
          name: 'Kept messages, fullest shard',
          used: most((s) => s.keptBytes),
          limit: limits.keptBytesLimit,
          text: bytesText,
        },
        {
          name: 'Parked messages, fullest shard',
          used: most((s) => s.parked),
          limit: limits.parkedLimit,
          text: countText,
        },
        {
          name: 'Ring high-water, fullest shard',
          used: most((s) => s.ringHigh),
          limit: limits.ringShedMark,
          text: countText,
        },
        { name: 'Registered users', used: frame.location.aors, limit: limits.aorsLimit, text: countText },
      ].filter(({ limit }) => limit > 0);
      setRows(list, pools, makeRow, (row, { name, used, limit, text }) => {
        const [label, value, fill] = /** @type {Element[]} */ ([...row.children]);
        if (!label || !value || !fill) return;
        const share = used / limit;
        setText(label, name);
        setText(value, `${text(used)} of ${text(limit)}`);
        fillBar(fill, share, lookOf(share, 0.7, 0.9));
      });
    },
  };
}

// ---- Process --------------------------------------------------------------------------------------------------------

/** @returns {Panel} */
function processPanel() {
  const [started, mode, version, memory, late, pages] = facts('process', [
    'Started',
    'Mode',
    'Version',
    'Memory',
    'Main thread late, p99',
    'Pages open',
  ]);
  return {
    update(frame, { startedAtMs, mode: given, version: ours, node }) {
      if (!mode || !started || !version || !memory || !late || !pages) return;
      setText(started, dateText(startedAtMs));
      setText(mode, given);
      setText(version, `${ours}, Node.js ${node}`);
      setText(memory, bytesText(frame.residentBytes));
      setText(late, durationText(frame.main.lateP99Us));
      setText(pages, countText(frame.watchers));
    },
  };
}

// ---- Signs of trouble -----------------------------------------------------------------------------------------------

/** @type {readonly { readonly heading: string, readonly signals: readonly (readonly [SignalName, string])[] }[]} */
const SIGNS = [
  {
    heading: 'Lost here',
    signals: [
      ['kernel_drops_total', 'Receive buffer full'],
      ['shed_requests_total', 'Shed: overload'],
      ['filtered_requests_total', 'Shed by the kernel'],
      ['overload_rejected_total', '503: overload'],
      ['drain_rejected_total', '503: draining'],
      ['transactions_exhausted_total', '503: no room left'],
      ['slots_exhausted_total', 'Waits for a free slot'],
      ['jumbo_exhausted_total', 'No large slot left'],
    ],
  },
  {
    heading: 'On the way out',
    signals: [
      ['send_congested_total', 'Send buffer full'],
      ['send_errors_total', 'Refused by the kernel'],
      ['stream_undelivered_total', 'Lost on a connection'],
      ['icmp_errors_total', 'Undeliverable (ICMP)'],
      ['unresolvable_total', 'Next hop not resolved'],
      ['failovers_total', 'Tried elsewhere'],
      ['parked_exhausted_total', 'Too many look-ups'],
    ],
  },
  {
    heading: 'Without an answer',
    signals: [
      ['timeouts_total', 'Timed out'],
      ['retransmissions_sent_total', 'Sent again'],
      ['request_retransmissions_total', 'Came again'],
      ['forged_responses_total', 'Forged responses'],
      ['stray_responses_total', 'Stray responses'],
      ['too_many_hops_total', 'Hops spent'],
      ['loops_detected_total', 'Loops'],
    ],
  },
  {
    heading: 'From outside',
    signals: [
      ['malformed_requests_total', 'Broken requests'],
      ['malformed_responses_total', 'Broken responses'],
      ['junk_datagrams_total', 'Not SIP at all'],
      ['banned_datagrams_total', 'From banned sources'],
      ['stream_refused_total', 'Refused connections'],
      ['relay_denied_total', 'Relaying denied'],
      ['wrong_credentials_total', 'Wrong credentials'],
    ],
  },
];

/** @returns {Panel} */
function signalsPanel() {
  /** @type {{ name: SignalName, row: HTMLElement, rate: HTMLElement, total: HTMLElement }[]} */
  const rows = [];
  const groups = SIGNS.map(({ heading, signals }, group) =>
    h(
      'div',
      { class: 'signs' },
      h('h3', { id: `signs-${group}` }, heading),
      h(
        'table',
        { 'aria-labelledby': `signs-${group}` },
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            h('th', { scope: 'col', class: 'text' }, 'Sign'),
            h('th', { scope: 'col' }, '/s'),
            h('th', { scope: 'col' }, 'in all'),
          ),
        ),
        h(
          'tbody',
          {},
          ...signals.map(([name, label]) => {
            const rate = h('td', { class: 'figure' });
            const total = h('td', { class: 'figure' });
            const row = h('tr', { title: `strowger_${name}` }, h('th', { scope: 'row' }, label), rate, total);
            rows.push({ name, row, rate, total });
            return row;
          }),
        ),
      ),
    ),
  );
  byId('signals').append(...groups);
  return {
    update({ signals }) {
      for (const { name, row, rate, total } of rows) {
        const signal = /** @type {Signal} */ (signals[name]);
        setAttribute(row, 'data-state', signal.perSec > 0 ? 'now' : signal.total > 0 ? 'before' : 'never');
        setText(rate, signal.perSec > 0 ? rateText(signal.perSec) : '');
        setText(total, countText(signal.total));
      }
    },
  };
}
