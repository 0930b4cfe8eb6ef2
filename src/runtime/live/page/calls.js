/** Calls, message by message: a list of those that are kept, and the ladder of one, which goes on while the call does. Asked for by
 *  hand, because a look through all that is kept costs the server some milliseconds. */

/** @import { TracedCall } from '../../trace/latest-calls.ts' */
/** @import { TracedMessage } from '../../trace/traced-message.ts' */

import { byId, h, setAttribute, setText } from './dom.js';
import { countText, durationText, timeText } from './figures.js';

const FOLLOW_MS = 1000;
const MAX_LANES = 6;
const SERVER = 'this server';
const OTHERS = 'others';

/** @typedef {{ readonly messages: readonly TracedMessage[], readonly after: string }} Messages */

export class CallsPanel {
  /** @type {() => Record<string, string>} */
  #headers;
  /** The call whose ladder is shown.
   *  @type {string | null} */
  #callId = null;
  /** Where the last answer ended. */
  #after = '';
  /** @type {Ladder | null} */
  #ladder = null;
  #isFollowing = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {() => Record<string, string>} headers those that the server's data is asked for with */
  constructor(headers) {
    this.#headers = headers;
    byId('calls-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#list().catch((error) => this.#say(error.message));
    });
    byId('calls-by').addEventListener('change', () => {
      const by = /** @type {HTMLSelectElement} */ (byId('calls-by')).value;
      const examples = /** @type {Record<string, string>} */ ({
        user: 'alice, alice@example.org; or nothing: the latest calls',
        callId: 'the whole Call-ID',
        from: '192.0.2.10 or 192.0.2.0/24',
      });
      setAttribute(byId('calls-what'), 'placeholder', examples[by] ?? '');
    });
  }

  /** Whether the ladder goes on by itself.
   *  @param {boolean} isFollowing */
  follow(isFollowing) {
    this.#isFollowing = isFollowing;
    if (isFollowing) this.#plan();
    else clearTimeout(this.#timer);
  }

  async #list() {
    const by = /** @type {HTMLSelectElement} */ (byId('calls-by')).value;
    const what = /** @type {HTMLInputElement} */ (byId('calls-what')).value.trim();
    const answer = await this.#ask('/live/calls', what === '' ? {} : { [by]: what });
    const { calls, sample } = /** @type {{ calls: TracedCall[], sample: number }} */ (await answer.json());
    const kept = sample === 1 ? 'every call is kept' : `one call in ${countText(sample)} is kept`;
    if (calls.length === 0) {
      this.#say(`No such call among the latest; ${kept} (trace.sample).`);
      return;
    }
    this.#say(`The latest ${calls.length === 1 ? 'call' : `${calls.length} calls`}; ${kept} (trace.sample).`);
    byId('calls').hidden = false;
    const rows = calls.map((call) => this.#row(call));
    byId('calls-list').replaceChildren(h('ul', { 'aria-label': 'Calls' }, ...rows));
    const [first] = calls;
    if (first !== undefined && !calls.some(({ callId }) => callId === this.#callId)) await this.#show(first.callId);
    else this.#mark();
  }

  /** @param {TracedCall} call */
  #row({ callId, method, status, from, to, firstUs, messages }) {
    const button = h(
      'button',
      { type: 'button', 'data-call': callId, title: `Call-ID ${callId}` },
      h('span', { class: 'quiet' }, timeText(firstUs / 1000)),
      h('span', { class: 'who' }, `${from ?? '?'} → ${to ?? '?'}`),
      h('span', { class: `outcome ${lookOf(status)}` }, `${method ?? '?'} ${status ?? '…'}`),
      h('span', { class: 'quiet' }, messages === 1 ? '1 message' : `${countText(messages)} messages`),
    );
    button.addEventListener('click', () => this.#show(callId).catch((error) => this.#say(error.message)));
    return h('li', {}, button);
  }

  #mark() {
    for (const button of byId('calls-list').querySelectorAll('button')) {
      setAttribute(button, 'aria-pressed', String(button.dataset['call'] === this.#callId));
    }
  }

  /** @param {string} callId */
  async #show(callId) {
    clearTimeout(this.#timer);
    this.#callId = callId;
    this.#mark();
    const { messages, after } = await this.#messages({ callId });
    if (this.#callId !== callId) return;
    this.#after = after;
    this.#ladder = new Ladder(callId, () => this.#save(callId));
    this.#ladder.add(messages);
    byId('ladder').replaceChildren(this.#ladder.element);
    this.#plan();
  }

  /** What came since. */
  async #goOn() {
    const callId = this.#callId;
    if (callId === null) return;
    const { messages, after } = await this.#messages({ callId, after: this.#after });
    if (this.#callId !== callId) return;
    this.#after = after;
    this.#ladder?.add(messages);
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#callId === null || !this.#isFollowing) return;
    this.#timer = setTimeout(() => {
      this.#goOn().then(
        () => this.#plan(),
        // The connection tells what is wrong; once it is back, so is this.
        () => undefined,
      );
    }, FOLLOW_MS);
  }

  /** @param {string} callId */
  async #save(callId) {
    const answer = await this.#ask('/live/calls.pcap', { callId });
    const link = h('a', { href: URL.createObjectURL(await answer.blob()), download: 'call.pcap' });
    link.click();
    URL.revokeObjectURL(link.getAttribute('href') ?? '');
  }

  /** @param {Record<string, string>} question
   *  @returns {Promise<Messages>} */
  async #messages(question) {
    return (await this.#ask('/live/messages', question)).json();
  }

  /** @param {string} path
   *  @param {Record<string, string>} question */
  async #ask(path, question) {
    const answer = await fetch(`${path}?${new URLSearchParams(question)}`, { headers: this.#headers() });
    if (answer.ok) return answer;
    throw new Error(`The server says: ${(await answer.text()).trim()}.`);
  }

  /** @param {string} text */
  #say(text) {
    setText(byId('calls-note'), text);
  }
}

/** Lanes and arrows. Who sends first stands on the left, whom the server sends to on the right, as `strowger trace` has it. */
class Ladder {
  /** @type {HTMLElement} */
  element;
  #head = h('div', { class: 'lanes', 'aria-hidden': 'true' });
  #list = h('ol');
  /** @type {string[]} */
  #left = [];
  /** @type {string[]} */
  #right = [];
  #hasOthers = false;
  /** @type {TracedMessage[]} */
  #messages = [];

  /** @param {string} callId
   *  @param {() => Promise<void>} save */
  constructor(callId, save) {
    const copy = h('button', { type: 'button' }, 'Copy as text');
    const pcap = h('button', { type: 'button' }, 'Save as pcap');
    copy.addEventListener('click', () => this.#copy(copy));
    pcap.addEventListener('click', () => save().catch((error) => setText(pcap, error.message)));
    this.element = h(
      'section',
      { class: 'ladder', 'aria-label': 'Ladder of the call' },
      h(
        'div',
        { class: 'ladder-head' },
        h('p', { class: 'call-id' }, h('span', { class: 'quiet' }, 'Call-ID '), callId),
        copy,
        pcap,
      ),
      this.#head,
      this.#list,
    );
  }

  /** @param {readonly TracedMessage[]} messages */
  add(messages) {
    if (messages.length === 0) return;
    this.#messages.push(...messages);
    const isNew = messages.map((message) => this.#place(message)).some(Boolean);
    const lanes = this.#lanes();
    if (isNew) {
      this.#head.replaceChildren(
        ...lanes.map((name) => h('span', { class: name === SERVER ? 'us' : undefined }, h('bdi', {}, name))),
      );
      this.#head.style.setProperty('--lanes', String(lanes.length));
      this.#list.replaceChildren();
    }
    const drawn = this.#list.children.length;
    for (const [i, message] of this.#messages.slice(drawn).entries()) {
      this.#list.append(this.#rung(message, this.#messages[drawn + i - 1] ?? null, lanes));
    }
  }

  /** True: there is a new lane.
   *  @param {TracedMessage} message */
  #place({ peer, direction }) {
    if (this.#left.includes(peer) || this.#right.includes(peer)) return false;
    if (this.#left.length + this.#right.length + 2 >= MAX_LANES) {
      const isFirst = !this.#hasOthers;
      this.#hasOthers = true;
      return isFirst;
    }
    if (direction === 'in') this.#left.unshift(peer);
    else this.#right.push(peer);
    return true;
  }

  #lanes() {
    return [...this.#left, SERVER, ...this.#right, ...(this.#hasOthers ? [OTHERS] : [])];
  }

  /** @param {TracedMessage} message
   *  @param {TracedMessage | null} before
   *  @param {readonly string[]} lanes */
  #rung(message, before, lanes) {
    const { direction, peer, status, firstLine, method, error, text, timeUs, isCut } = message;
    const us = lanes.indexOf(SERVER);
    const known = lanes.indexOf(peer);
    const lane = known < 0 ? lanes.indexOf(OTHERS) : known;
    const label =
      status === null
        ? (method ?? firstLine)
        : firstLine.slice('SIP/2.0 '.length) + (method === 'INVITE' ? '' : ` (${method})`);
    const [from, to] = direction === 'in' ? [lane, us] : [us, lane];
    const time = before === null ? timeText(timeUs / 1000) : `+${durationText(Math.max(0, timeUs - before.timeUs))}`;
    const arrow = h(
      'span',
      { class: `arrow ${to > from ? 'to-right' : 'to-left'} ${error === null ? lookOf(status) : 'bad'}` },
      h(
        'span',
        { class: 'label' },
        [label, ...(known < 0 ? [`→ ${peer}`] : []), ...(error === null ? [] : [error])].join(' '),
      ),
    );
    arrow.style.left = `${((Math.min(from, to) + 0.5) / lanes.length) * 100}%`;
    arrow.style.width = `${(Math.abs(to - from) / lanes.length) * 100}%`;
    const track = h('span', { class: 'track' }, ...lanes.map(() => h('i', { class: 'lane' })), arrow);
    const button = h(
      'button',
      {
        type: 'button',
        class: 'rung',
        'aria-expanded': 'false',
        'aria-label': `${time} ${label}, ${direction === 'in' ? 'from' : 'to'} ${peer}${error === null ? '' : `, not sent: ${error}`}`,
      },
      h('span', { class: 'time' }, time),
      track,
    );
    const body = h('pre', { hidden: true, tabindex: '0' }, `${linesOf(text ?? firstLine)}${isCut ? '…' : ''}`);
    button.addEventListener('click', () => {
      body.hidden = !body.hidden;
      setAttribute(button, 'aria-expanded', String(!body.hidden));
    });
    return h('li', {}, button, body);
  }

  /** @param {HTMLElement} button */
  async #copy(button) {
    const texts = this.#messages.map(
      ({ timeUs, direction, peer, local, text, firstLine }) =>
        `${new Date(timeUs / 1000).toISOString()} ${direction === 'in' ? `${peer} > ${local}` : `${local} > ${peer}`}\n${linesOf(text ?? firstLine)}\n`,
    );
    try {
      await navigator.clipboard.writeText(texts.join('\n'));
      setText(button, 'Copied');
    } catch {
      setText(button, 'The browser does not allow it');
    }
    setTimeout(() => setText(button, 'Copy as text'), 2000);
  }
}

/** SIP ends lines as nobody else does.
 *  @param {string} text */
function linesOf(text) {
  return text.replaceAll('\r\n', '\n');
}

/** @param {number | null} status null: a request, or no answer yet */
function lookOf(status) {
  if (status === null) return 'request';
  if (status < 200) return 'ringing';
  return status < 300 ? 'success' : status < 400 ? 'redirect' : 'failure';
}
