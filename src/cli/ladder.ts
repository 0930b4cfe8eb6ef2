/** Messages as a ladder: a lane for each peer, the server in the middle, an arrow for each message. Drawn as messages come, so that
 *  lanes are added when they are needed: whoever sends first stands on the left, whom the server sends to on the right. Pure. */

import { styleText } from 'node:util';
import type { TracedMessage } from '../runtime/trace/traced-message.ts';
import { printable } from './table.ts';

export interface LadderLook {
  /** Characters of a line. */
  readonly width: number;
  readonly hasColours: boolean;
  /** Arrows and lines as they should be; otherwise of ASCII. */
  readonly hasUnicode: boolean;
}

type Style = Parameters<typeof styleText>[0];

const OUTLINES = {
  unicode: { lane: '│', line: '─', left: '◀', right: '▶', again: '↻', cut: '…', to: '→' },
  ascii: { lane: '|', line: '-', left: '<', right: '>', again: 'again', cut: '~', to: '->' },
} as const;

/** `18:16:57.056327` */
const TIME_WIDTH = 15;
/** From one lane to the next: `[2001:db8::10]:5060` and `180 Session Progress` fit into the most. */
const LEAST_GAP = 20;
const MOST_GAP = 34;
/** Half an address, left of the first lane and right of the last. */
const MARGIN = 11;
const SERVER = 'strowger';
const OTHERS = 'others';
/** Calls and messages that are remembered, to be known again. */
const MAX_REMEMBERED = 10_000;

export class Ladder {
  readonly #look: LadderLook;
  /** From left to right, the server not among them; those on the left first. */
  readonly #left: string[] = [];
  readonly #right: string[] = [];
  /** Some peers have no lane of their own any more. */
  #hasOthers = false;
  readonly #calls = new Map<string, number>();
  #callCount = 0;
  readonly #seen = new Set<string>();
  #lastCall = '';

  constructor(look: LadderLook) {
    this.#look = look;
  }

  get calls(): number {
    return this.#callCount;
  }

  /** Lines for the next messages, one or more. */
  render(messages: readonly TracedMessage[]): string {
    const isNew = messages.map((message) => this.#place(message)).some(Boolean);
    const lines = isNew ? this.#titles(messages) : [];
    for (const message of messages) lines.push(...this.#introduce(message), this.#draw(message));
    return lines.join('\n');
  }

  /** Finds a lane for the peer of a message. True: it is a new one. */
  #place({ peer, direction }: TracedMessage): boolean {
    if (this.#left.includes(peer) || this.#right.includes(peer)) return false;
    if (this.#left.length + this.#right.length >= this.#mostPeers()) {
      const isFirst = !this.#hasOthers;
      this.#hasOthers = true;
      return isFirst;
    }
    if (direction === 'in') this.#left.unshift(peer);
    else this.#right.push(peer);
    return true;
  }

  /** Of lanes beside that of the server, one of them for the others. */
  #mostPeers(): number {
    const lanes = Math.floor((this.#look.width - TIME_WIDTH - 2 * MARGIN) / LEAST_GAP) + 1;
    return Math.max(2, lanes - 2);
  }

  #lanes(): string[] {
    return [...this.#left, SERVER, ...this.#right, ...(this.#hasOthers ? [OTHERS] : [])];
  }

  #gap(): number {
    const gaps = Math.max(1, this.#lanes().length - 1);
    const room = Math.floor((this.#look.width - TIME_WIDTH - 2 * MARGIN) / gaps);
    return Math.min(MOST_GAP, Math.max(LEAST_GAP, room));
  }

  #column(lane: number): number {
    return TIME_WIDTH + MARGIN + lane * this.#gap();
  }

  #titles(messages: readonly TracedMessage[]): string[] {
    const names = this.#lanes();
    const locals = new Set(messages.map(({ local }) => local));
    const title = names.map((name, i) => ({ text: name, column: this.#column(i) }));
    const address = {
      text: locals.size === 1 ? [...locals][0]! : '',
      column: this.#column(names.indexOf(SERVER)),
    };
    return ['', this.#paint(this.#centred(title), 'bold'), this.#paint(this.#centred([address]), 'dim')];
  }

  #centred(texts: readonly { readonly text: string; readonly column: number }[]): string {
    let line = '';
    for (const { text, column } of texts) {
      const shown = this.#shorten(text, this.#gap() - 2);
      line = line.padEnd(column - (shown.length >> 1)) + shown;
    }
    return line;
  }

  /** An address keeps its end, where the port is. */
  #shorten(text: string, width: number): string {
    return text.length <= width ? text : this.#outline.cut + text.slice(text.length - width + this.#outline.cut.length);
  }

  /** The first message of a call says which call it is. */
  #introduce({ callId, from, to }: TracedMessage): string[] {
    const call = callId ?? '';
    if (this.#calls.has(call)) return [];
    if (this.#calls.size >= MAX_REMEMBERED) this.#calls.clear();
    this.#calls.set(call, ++this.#callCount);
    const who = `${from ?? '?'} ${this.#outline.to} ${to ?? '?'}`;
    const text = printable(`#${this.#callCount}  ${who}  Call-ID ${callId ?? 'missing'}`);
    const width = Math.max(40, this.#look.width);
    return [
      this.#paint(
        text.length > width ? `${text.slice(0, width - 1)}${this.#outline.cut}` : text,
        this.#callStyle(call),
      ),
    ];
  }

  #draw(message: TracedMessage): string {
    const { direction, peer, callId, timeUs } = message;
    const names = this.#lanes();
    const server = names.indexOf(SERVER);
    const lane = names.includes(peer) ? names.indexOf(peer) : names.indexOf(OTHERS);
    const isRight = lane > server;
    const [from, to] = isRight ? [server, lane] : [lane, server];
    const start = this.#column(from) + 1;
    const end = this.#column(to);
    const pointsRight = (direction === 'out') === isRight;
    const call = callId ?? '';
    const isOther = lane === names.indexOf(OTHERS);
    const tag = this.#callCount > 1 && call !== this.#lastCall ? `#${this.#calls.get(call)} ` : '';
    this.#lastCall = call;
    const label = tag + this.#labelOf(message) + (isOther ? ` ${this.#outline.to} ${peer}` : '');
    const arrow = this.#arrow(end - start, label, pointsRight);
    const before = this.#emptyLanes(names.length, (i) => i <= from, TIME_WIDTH);
    const after = this.#emptyLanes(names.length, (i) => i >= to, end);
    return (
      this.#paint(timeOf(timeUs), 'dim') +
      this.#paint(before, 'dim') +
      this.#paint(arrow, this.#styleOf(message)) +
      this.#paint(after, 'dim')
    );
  }

  #emptyLanes(count: number, isIn: (lane: number) => boolean, column: number): string {
    let line = '';
    for (let i = 0; i < count; i++) {
      if (isIn(i)) line = line.padEnd(this.#column(i) - column) + this.#outline.lane;
    }
    return line;
  }

  #arrow(width: number, label: string, pointsRight: boolean): string {
    const { line, left, right, cut } = this.#outline;
    const room = width - 4;
    const text = label.length > room ? label.slice(0, room - cut.length) + cut : label;
    const rest = width - text.length - 3;
    const first = line.repeat(rest >> 1);
    const second = line.repeat(rest - (rest >> 1));
    return pointsRight ? `${first} ${text} ${second}${right}` : `${left}${first} ${text} ${second}`;
  }

  #labelOf(message: TracedMessage): string {
    const { status, method, firstLine, error, text, cseq, callId, peer, direction } = message;
    const name =
      status === null
        ? (method ?? (firstLine === '' ? 'nothing' : firstLine))
        : firstLine.slice('SIP/2.0 '.length) + (method === 'INVITE' || method === null ? '' : ` (${method})`);
    const key = [callId, direction, peer, cseq, method, firstLine, tagOf(text)].join(' ');
    const isAgain = this.#seen.has(key);
    if (this.#seen.size >= MAX_REMEMBERED) this.#seen.clear();
    this.#seen.add(key);
    const parts = [
      name,
      ...(text !== null && /^content-type[ \t]*:[ \t]*application\/sdp/im.test(text) ? ['(SDP)'] : []),
      ...(isAgain ? [this.#outline.again] : []),
      ...(error === null ? [] : [`! ${error}`]),
    ];
    return printable(parts.join(' '));
  }

  #styleOf({ status, error, callId }: TracedMessage): Style {
    if (error !== null) return ['red', 'bold'];
    if (status === null) return this.#callStyle(callId ?? '');
    if (status < 200) return 'yellow';
    return status < 300 ? 'green' : status < 400 ? 'cyan' : 'red';
  }

  #callStyle(call: string): Style {
    const styles: readonly Style[] = [
      ['cyan', 'bold'],
      ['magenta', 'bold'],
      ['blue', 'bold'],
      ['white', 'bold'],
    ];
    return styles[((this.#calls.get(call) ?? 1) - 1) % styles.length]!;
  }

  get #outline() {
    return this.#look.hasUnicode ? OUTLINES.unicode : OUTLINES.ascii;
  }

  #paint(text: string, style: Style): string {
    return this.#look.hasColours && text !== '' ? styleText(style, text, { validateStream: false }) : text;
  }
}

/** The branch of the top Via: the same message again has the same. */
function tagOf(text: string | null): string {
  return /^(?:via|v)[ \t]*:[^\r\n]*?;[ \t]*branch=([^;,\s]+)/im.exec(text ?? '')?.[1] ?? '';
}

/** Of the day, where the command runs. */
function timeOf(timeUs: number): string {
  const date = new Date(timeUs / 1000);
  const [hours, minutes, seconds] = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) =>
    String(part).padStart(2, '0'),
  );
  return `${hours}:${minutes}:${seconds}.${String(Math.floor(timeUs % 1e6)).padStart(6, '0')}`;
}
