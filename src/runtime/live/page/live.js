/** The live page: takes what the server sends and shows it. What is shown of it is in chart.js and panels.js. */

/** @import { LiveFacts, LiveFrame, LivePoint } from '../live-frame.ts' */
/** @import { LiveHello } from '../live-feed.ts' */
/** @import { StreamState } from './stream.js' */

import { CallsPanel } from './calls.js';
import { Chart, Cursor, sparkline } from './chart.js';
import { byId, h, setAttribute, setText } from './dom.js';
import { countText, durationParts, durationText, rateText, spanText, timeText } from './figures.js';
import { History } from './history.js';
import { makePanels } from './panels.js';
import { LiveStream } from './stream.js';

/** How long a server counts as just started. */
const NEW_SEC = 60;

const history = new History();
const cursor = new Cursor();
const panels = makePanels();
const calls = new CallsPanel(() => LiveStream.headers());
/** Until somebody chooses, it grows with what there is to show. */
let spanSec = 60;
let hasChosenSpan = false;
let isPaused = false;
/** @type {LiveFacts | null} */
let facts = null;
/** @type {readonly string[]} */
let firstCall = [];
/** @type {LiveFrame | null} */
let frame = null;
/** @type {StreamState} */
let stream = { kind: 'connecting' };

// ---- Charts ---------------------------------------------------------------------------------------------------------

/** Places of sip/methods.ts that have a colour of their own; the others are one. */
const METHODS = /** @type {const} */ ([
  ['INVITE', 1, 's0'],
  ['ACK', 2, 's2'],
  ['BYE', 4, 's4'],
  ['CANCEL', 3, 's5'],
  ['REGISTER', 5, 's1'],
  ['OPTIONS', 6, 's3'],
]);
const CLASSES = /** @type {const} */ ([
  ['1xx', 's2'],
  ['2xx', 's4'],
  ['3xx', 's3'],
  ['4xx', 's1'],
  ['5xx', 's6'],
  ['6xx', 's5'],
]);

const charts = [
  new Chart({
    id: 'requests',
    title: 'Requests received',
    note: 'a second, by method',
    kind: 'areas',
    scale: 'linear',
    format: (value) => rateText(value ?? 0),
    cursor,
    series: [
      ...METHODS.map(([name, method, colour]) => ({
        name,
        colour,
        value: (/** @type {LivePoint} */ point) => point.requests[method] ?? 0,
      })),
      {
        name: 'other',
        colour: 's7',
        value: (point) =>
          point.requests.reduce((sum, rate, i) => (METHODS.some(([, method]) => method === i) ? sum : sum + rate), 0),
      },
    ],
  }),
  new Chart({
    id: 'responses',
    title: 'Responses sent',
    note: 'a second, by class',
    kind: 'areas',
    scale: 'linear',
    format: (value) => rateText(value ?? 0),
    cursor,
    series: CLASSES.map(([name, colour], i) => ({
      name,
      colour,
      value: (/** @type {LivePoint} */ point) => point.responses[i] ?? 0,
    })),
  }),
  new Chart({
    id: 'transit',
    title: 'Transit',
    note: 'from the receipt of a datagram to the sending of what came of it',
    kind: 'lines',
    scale: 'log',
    format: durationText,
    cursor,
    series: [
      { name: 'p50', colour: 's4', value: ({ transit }) => transit?.p50Us ?? null },
      { name: 'p90', colour: 's0', value: ({ transit }) => transit?.p90Us ?? null },
      { name: 'p99', colour: 's1', value: ({ transit }) => transit?.p99Us ?? null },
      { name: 'p99.9', colour: 's5', value: ({ transit }) => transit?.p999Us ?? null },
    ],
  }),
  new Chart({
    id: 'answers',
    title: 'Time to the final response',
    note: 'of requests that were forwarded, ringing included',
    kind: 'lines',
    scale: 'log',
    format: durationText,
    cursor,
    series: [
      { name: 'INVITE p50', colour: 's0', value: ({ invite }) => invite?.p50Us ?? null },
      { name: 'INVITE p99', colour: 's0', style: 'dashed', value: ({ invite }) => invite?.p99Us ?? null },
      { name: 'other p50', colour: 's4', value: ({ other }) => other?.p50Us ?? null },
      { name: 'other p99', colour: 's4', style: 'dashed', value: ({ other }) => other?.p99Us ?? null },
    ],
  }),
];
byId('charts').append(...charts.map(({ figure }) => figure));

// ---- Tiles ----------------------------------------------------------------------------------------------------------

/** @typedef {object} Tile
 *  @property {string} name
 *  @property {(point: LivePoint) => number | null} value what the line shows
 *  @property {(point: LivePoint | null, frame: LiveFrame) => readonly [figure: string, unit: string]} figure
 *  @property {(point: LivePoint | null, frame: LiveFrame, shown: readonly LivePoint[]) => string} note
 *  @property {(point: LivePoint | null, frame: LiveFrame) => 'bad' | 'warn' | ''} [look] */

/** @param {readonly number[]} rates */
const sum = (rates) => rates.reduce((total, rate) => total + rate, 0);
/** The part of the final responses that are 5xx or 6xx.
 *  @param {LivePoint} point */
const failedShare = ({ responses }) => {
  const finals = sum(responses.slice(1));
  return finals === 0 ? null : ((responses[4] ?? 0) + (responses[5] ?? 0)) / finals;
};

/** @type {readonly Tile[]} */
const TILES = [
  {
    name: 'Calls',
    value: ({ requests }) => requests[1] ?? 0,
    figure: (point) => [rateText(point?.requests[1] ?? 0), '/s'],
    note: (_, __, shown) =>
      `INVITEs; peak ${rateText(Math.max(0, ...shown.map(({ requests }) => requests[1] ?? 0)))}/s`,
  },
  {
    name: 'Messages',
    value: ({ received }) => received,
    figure: (point) => [rateText(point?.received ?? 0), '/s in'],
    note: (point) => `${rateText(point?.sent ?? 0)}/s out`,
  },
  {
    name: 'Transit, p99',
    value: ({ transit }) => transit?.p99Us ?? null,
    figure: (point) => (point?.transit ? durationParts(point.transit.p99Us) : ['–', '']),
    note: (point) => `p50 ${durationText(point?.transit?.p50Us)}`,
  },
  {
    name: 'Failed answers',
    value: (point) => failedShare(point),
    figure: (point) => {
      const share = point === null ? null : failedShare(point);
      return share === null ? ['–', ''] : [(share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0), '%'];
    },
    note: () => '5xx and 6xx',
    look: (point) => {
      const share = point === null ? 0 : (failedShare(point) ?? 0);
      return share >= 0.05 ? 'bad' : share >= 0.01 ? 'warn' : '';
    },
  },
  {
    name: 'Lost',
    value: ({ lost }) => lost,
    figure: (point) => [rateText(point?.lost ?? 0), '/s'],
    note: (_, __, shown) => {
      const lost = Math.round(sum(shown.map((point) => point.lost)));
      return lost === 0 ? 'nothing' : `${countText(lost)} messages in the time shown`;
    },
    look: (point) => ((point?.lost ?? 0) > 0 ? 'bad' : ''),
  },
  {
    name: 'Registered',
    value: ({ aors }) => aors,
    figure: (_, { location }) => [countText(location.aors), location.aors === 1 ? 'user' : 'users'],
    note: (_, { location }) => (location.bindings === 1 ? '1 binding' : `${countText(location.bindings)} bindings`),
  },
];

const tiles = TILES.map((tile) => {
  const figure = h('span', { class: 'big' });
  const unit = h('span', { class: 'unit' });
  const note = h('p', { class: 'quiet' });
  const line = sparkline();
  const element = h(
    'div',
    { class: 'tile', role: 'group', 'aria-label': tile.name },
    h('h2', {}, tile.name),
    h('p', { class: 'figure-line' }, figure, unit),
    note,
    line.element,
  );
  return { ...tile, element, nodes: { figure, unit, note }, line };
});
byId('tiles').append(...tiles.map(({ element }) => element));

/** @param {LiveFrame} shown */
function drawTiles(shown) {
  const points = history.last(spanSec);
  const minute = history.last(60);
  for (const tile of tiles) {
    const [figure, unit] = tile.figure(shown.point, shown);
    setText(tile.nodes.figure, figure);
    setText(tile.nodes.unit, unit);
    setText(tile.nodes.note, tile.note(shown.point, shown, points));
    setAttribute(tile.element, 'data-look', tile.look?.(shown.point, shown) ?? '');
    tile.line.draw(
      minute.map((point) => ({ at: point.at, value: tile.value(point) })),
      history.endMs,
      60,
    );
  }
}

// ---- What state it is in --------------------------------------------------------------------------------------------

/** The look and the words of the lamp. */
function stateShown() {
  switch (stream.kind) {
    case 'connecting':
      return { look: 'idle', word: 'Connecting', note: '' };
    case 'hidden':
      return { look: 'idle', word: 'Asleep', note: 'while nobody looks' };
    case 'starting':
      return { look: 'warn', word: 'Starting', note: 'it does not take traffic yet' };
    case 'denied':
      return { look: 'warn', word: 'Locked', note: 'a token is needed' };
    case 'lost':
      return stream.hasSaidBye
        ? { look: 'bad', word: 'Stopped', note: '' }
        : { look: 'bad', word: 'No connection', note: '' };
  }
  if (frame === null) return { look: 'idle', word: 'Connecting', note: '' };
  const up = `up ${spanText(frame.uptimeSec)}`;
  const [reason] = frame.notReadyBecause;
  if (reason !== undefined) {
    const isLeaving = /drain/i.test(reason) ? 'Draining' : /stopping/i.test(reason) ? 'Stopping' : null;
    return { look: isLeaving === null ? 'bad' : 'warn', word: isLeaving ?? 'Not ready', note: up };
  }
  if (frame.uptimeSec < NEW_SEC) {
    return { look: 'good', word: 'Ready', note: `just started, ${spanText(frame.uptimeSec)} ago` };
  }
  return { look: 'good', word: 'Ready', note: up };
}

function drawState() {
  const { look, word, note } = stateShown();
  setAttribute(document.body, 'data-state', look);
  document.body.classList.toggle('stale', stream.kind !== 'open' && frame !== null);
  document.body.classList.toggle('paused', isPaused);
  setText(byId('state-word'), word);
  setText(byId('state-note'), note);
  const where = facts?.listening[0] ?? location.host;
  document.title = `${look === 'good' ? '' : `${word} · `}${where} · Strowger`;
  drawNotice();
}

/** The line below the head: what is not as it should be, and what can be done. */
function drawNotice() {
  const { text, look, action, next = '' } = noticeShown();
  const notice = byId('notice');
  notice.hidden = text === '';
  setAttribute(notice, 'data-look', look);
  setText(byId('notice-text'), text);
  setText(byId('notice-next'), next);
  const button = byId('notice-action');
  button.hidden = action === '';
  setText(button, action);
}

/** `next` counts down and is not read out.
 *  @returns {{ text: string, look: 'bad' | 'warn', action: '' | 'Try now' | 'Go on' | 'Enter the token', next?: string }} */
function noticeShown() {
  if (stream.kind === 'lost') {
    const shown = frame === null ? '' : ` What is shown is of ${timeText(frame.at)}.`;
    const waitSec = Math.ceil((stream.retryAtMs - Date.now()) / 1000);
    const next = waitSec > 0 ? `The next try is in ${waitSec} s.` : 'Trying again.';
    return { text: `${stream.why}${shown}`, look: 'bad', action: 'Try now', next };
  }
  if (stream.kind === 'starting') {
    return { text: 'The server is starting. This page goes on by itself.', look: 'warn', action: '' };
  }
  if (stream.kind === 'denied') {
    return {
      text: 'The data of this server is for those who have its token.',
      look: 'warn',
      action: 'Enter the token',
    };
  }
  if (isPaused && frame !== null) {
    return { text: `Paused: what is shown is of ${timeText(frame.at)}.`, look: 'warn', action: 'Go on' };
  }
  const reasons = frame?.notReadyBecause ?? [];
  if (reasons.length > 0) {
    const isLeaving = reasons.some((reason) => /drain|stopping/i.test(reason));
    return {
      text: `Traffic should go elsewhere: ${reasons.join('; ')}.`,
      look: isLeaving ? 'warn' : 'bad',
      action: '',
    };
  }
  return { text: '', look: 'warn', action: '' };
}

byId('notice-action').addEventListener('click', () => {
  if (stream.kind === 'denied') askForToken(false);
  else if (isPaused && stream.kind === 'open') setPaused(false);
  else connection.connect();
});

// ---- A server without traffic ---------------------------------------------------------------------------------------

/** @param {LiveFacts} given */
function drawFirstCall({ listening }) {
  setText(byId('first-call-where'), listening.join(', '));
  const lines = firstCall.map((line) => {
    const command = h('code', {}, line);
    const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${line}` }, 'Copy');
    button.addEventListener('click', () => copy(line, button, command));
    return h('p', { class: 'command' }, command, button);
  });
  byId('first-call-lines').replaceChildren(...lines);
}

/** Where the clipboard is closed (a page by http from elsewhere), the line is selected instead.
 *  @param {string} text
 *  @param {HTMLElement} button
 *  @param {HTMLElement} command */
async function copy(text, button, command) {
  try {
    await navigator.clipboard.writeText(text);
    setText(button, 'Copied');
  } catch {
    getSelection()?.selectAllChildren(command);
    setText(button, 'Selected');
  }
  setTimeout(() => setText(button, 'Copy'), 2000);
}

// ---- All of it ------------------------------------------------------------------------------------------------------

function draw() {
  if (frame === null || facts === null) return;
  const shown = frame;
  const given = facts;
  document.body.classList.remove('waiting');
  const [first] = history.points;
  if (!hasChosenSpan && spanSec === 60 && first !== undefined && history.endMs - first.at > 90_000) useSpan(300);
  byId('quiet-server').hidden = shown.receivedTotal > 0 || firstCall.length === 0;
  drawTiles(shown);
  for (const chart of charts) chart.draw(history, spanSec);
  for (const panel of panels) panel.update(shown, given);
}

/** @param {LiveHello} hello */
function useHello({ facts: given, firstCall: lines, windowSec }) {
  facts = given;
  firstCall = lines;
  setText(byId('window'), String(windowSec));
  setText(byId('mode'), given.mode);
  setText(byId('where'), `${given.listening.join(', ')} · ${given.version} · pid ${given.pid}`);
  drawFirstCall(given);
}

/** What came while the page was paused; it is shown when it goes on.
 *  @type {LiveFrame | null} */
let withheld = null;

const connection = new LiveStream({
  onHello(hello) {
    if (isOutdated(hello.pageVersion)) {
      location.reload();
      return;
    }
    history.begin(hello.facts.startedAtMs, hello.points);
    useHello(hello);
  },
  onFrame(given) {
    if (given.point !== null) history.push(given.point);
    if (isPaused) {
      withheld = given;
      return;
    }
    frame = given;
    draw();
    drawState();
  },
  onState(state) {
    stream = state;
    calls.follow(state.kind === 'open' && !isPaused);
    drawState();
    if (state.kind === 'denied') askForToken(state.hadToken);
  },
});

/** A newer server has a newer page. Once for each: should something between keep the old one, it will have to do.
 *  @param {string} version */
function isOutdated(version) {
  if (version === document.documentElement.dataset['version']) return false;
  if (sessionStorage.getItem('strowger-page') === version) return false;
  sessionStorage.setItem('strowger-page', version);
  return true;
}

/** @param {boolean} paused */
function setPaused(paused) {
  isPaused = paused;
  calls.follow(stream.kind === 'open' && !paused);
  setAttribute(byId('pause'), 'aria-pressed', String(paused));
  if (!paused && withheld !== null) {
    frame = withheld;
    withheld = null;
    draw();
  }
  drawState();
}

byId('pause').addEventListener('click', () => setPaused(!isPaused));

for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-span]'))) {
  button.addEventListener('click', () => {
    hasChosenSpan = true;
    useSpan(Number(button.dataset['span']));
    draw();
  });
}

/** @param {number} sec */
function useSpan(sec) {
  spanSec = sec;
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-span]'))) {
    setAttribute(button, 'aria-pressed', String(Number(button.dataset['span']) === sec));
  }
}

/** @param {boolean} wasWrong */
function askForToken(wasWrong) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('token-dialog'));
  if (wasWrong) setText(byId('token-why'), 'That was not the one. It is in the file that control.tokenFile names.');
  if (!dialog.open) dialog.showModal();
}

byId('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  /** @type {HTMLDialogElement} */ (byId('token-dialog')).close();
  const input = /** @type {HTMLInputElement} */ (byId('token'));
  const token = input.value.trim();
  input.value = '';
  if (token !== '') connection.useToken(token);
});

// Only what counts down moves by itself.
setInterval(() => {
  if (stream.kind === 'lost') drawNotice();
}, 1000);

drawState();
connection.connect();
