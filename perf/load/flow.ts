/** What all scenarios have in common: exchanges in flight, the messages they have sent, and what became of them. Hot but for
 *  everything named after something that should not happen. Times are whole microseconds of the engine's clock, because a
 *  fraction that is passed to a function is an object. */

import { findNewline } from '../../src/base/newline.ts';
import type { Arena } from '../../src/memory/arena.ts';
import type { DelayName } from '../bench/result.ts';
import { hexAt } from './byte-compare.ts';
import { explain, type Finding, unexpectedStatus } from './explanation.ts';
import type { Way } from './flow-settings.ts';
import { Histogram } from './histogram.ts';
import type { Sending } from './outbox.ts';
import { GENERATION, GENERATION_DIGITS, INDEX, INDEX_DIGITS, StampedTexts } from './stamped-texts.ts';

/** First and last bit of an exchange's flags; the others are the flow's own. */
export const IN_FLIGHT = 1;
const REFUSED = 128;
export const MAX_FORWARDS = 70;

const MAX_SAMPLES = 3;
const SAMPLE_CHARS = 2400;

/** What happened so far; the engine takes the difference between the edges of the window. */
export class Tally {
  started = 0;
  successful = 0;
  /** Of all exchanges, also those that only timed out. */
  failed = 0;
  received = 0;
  /** Requests that came once more, as a stateful server sends them. */
  retransmissions = 0;
  /** Came after their exchange had failed. */
  stale = 0;
  readonly causes = new Map<string, number>();
}

export interface FlowParts {
  readonly arena: Arena;
  /** First byte of the room for the messages. */
  readonly at: number;
  readonly window: number;
  /** Of this flow's exchanges: two flows of a run must never use the same branch. */
  readonly firstGeneration: number;
  readonly way: Way;
  readonly client: Sending;
  readonly agent: Sending;
  readonly tally: Tally;
  /** Called with whatever is not as it should be, the first few times. */
  readonly print: (line: string) => void;
}

export abstract class Flow {
  readonly transit = new Histogram();
  /** The delay that this scenario is about; the others of `delays` are parts of it. */
  abstract readonly mainDelay: DelayName;
  abstract readonly delays: ReadonlyMap<DelayName, Histogram>;
  /** Finished since the second began, for the series. */
  readonly second = new Histogram();
  inFlight = 0;
  protected readonly arena: Arena;
  protected readonly bytes: Uint8Array;
  protected readonly words: Int32Array<SharedArrayBuffer>;
  protected readonly view: DataView;
  protected readonly way: Way;
  protected readonly client: Sending;
  protected readonly agent: Sending;
  protected readonly tally: Tally;
  protected readonly texts: StampedTexts;
  protected readonly flags: Uint8Array;
  /** When it was due, in microseconds of the engine's clock. */
  protected readonly dueAt: Int32Array;
  readonly #window: number;
  readonly #generations: Int32Array;
  readonly #free: Int32Array;
  /** Number (index and generation) of each exchange that failed: what still comes of it is stale, not wrong. */
  readonly #failed = new Set<string>();
  readonly #print: (line: string) => void;
  /** Where Max-Forwards goes down once the message is sent, so that the text is what must arrive. */
  readonly #forwardsAt: Int32Array;
  #forwardsCount = 0;
  #samples = 0;
  /** Exchange and status of each refusal whose ACK is not sent yet. */
  readonly #refused: number[] = [];

  constructor(parts: FlowParts, texts: readonly string[], roomBytes: number) {
    const { arena, window } = parts;
    this.arena = arena;
    this.bytes = arena.bytes;
    this.words = arena.words;
    this.view = arena.view;
    this.way = parts.way;
    this.client = parts.client;
    this.agent = parts.agent;
    this.tally = parts.tally;
    this.#print = parts.print;
    this.texts = new StampedTexts(arena, parts.at, window, texts, roomBytes, parts.way.connections);
    this.flags = new Uint8Array(window);
    this.dueAt = new Int32Array(window);
    this.#window = window;
    this.#generations = new Int32Array(window).fill(parts.firstGeneration);
    this.#free = Int32Array.from({ length: window }, (_, i) => window - 1 - i);
    this.#forwardsAt = new Int32Array(512);
  }

  /** A response arrived at the UAC, or anything else that was sent there. */
  abstract atClient(start: number, end: number, nowUs: number): void;
  /** Sends the first request of a fresh exchange. */
  protected abstract begin(index: number): void;

  /** A request arrived at the UAS, or anything else that was sent there; wrong unless the flow has a UAS. */
  atAgent(start: number, end: number, _nowUs: number): void {
    this.reject('at the UAS', start, end, (received) => explain(received, null));
  }

  /** Whether there is anything left to start: false once a given number of users has registered. */
  get hasMore(): boolean {
    return true;
  }

  /** Starts an exchange that was due at `dueUs`. There must be one free. */
  start(dueUs: number): void {
    const index = this.#free[this.#window - ++this.inFlight]!;
    const generation = (this.#generations[index] = (this.#generations[index]! + 1) | 0);
    this.texts.stampGeneration(index, generation);
    this.flags[index] = IN_FLIGHT;
    this.dueAt[index] = dueUs;
    this.tally.started++;
    this.begin(index);
  }

  /** To be called once the outboxes are sent and empty. */
  afterSending(): void {
    for (let i = 0; i < this.#forwardsCount; i++) this.#putMaxForwards(this.#forwardsAt[i]!, MAX_FORWARDS - 1);
    this.#forwardsCount = 0;
    if (this.#refused.length > 0) this.#endRefused();
  }

  /** Fails what has been in flight for longer than `patienceUs`. Cold: every few milliseconds. */
  giveUpOverdue(nowUs: number, patienceUs: number): void {
    for (let index = 0; index < this.#window; index++) {
      if (this.flags[index] !== 0 && nowUs - this.dueAt[index]! > patienceUs) this.fail(index, 'timeout');
    }
  }

  /** Fails all that is still in flight. */
  giveUpAll(): void {
    for (let index = 0; index < this.#window; index++) if (this.flags[index] !== 0) this.fail(index, 'timeout');
  }

  clearDelays(): void {
    this.transit.clear();
    this.second.clear();
    for (const delay of this.delays.values()) delay.clear();
  }

  // ---- For the flows ------------------------------------------------------------------------------------------------

  /** `at`: the digits of Max-Forwards in a text that is about to be sent. */
  protected sendMaxForwards(at: number): void {
    if (this.way.hops === 0) return;
    this.#putMaxForwards(at, MAX_FORWARDS);
    this.#forwardsAt[this.#forwardsCount++] = at;
  }

  /** What this scenario is about is over for an exchange: `delay` is that of `mainDelay`. */
  protected recordMain(index: number, delay: Histogram, nowUs: number): void {
    const tookUs = nowUs - this.dueAt[index]!;
    delay.record(tookUs);
    this.second.record(tookUs);
  }

  protected succeed(index: number): void {
    this.tally.successful++;
    this.#release(index);
  }

  /** Cold. */
  protected fail(index: number, cause: string): void {
    this.#failed.add(this.#numberOf(index));
    this.#count(cause);
    this.#release(index);
  }

  /** Cold: a message that is not what was to come now. `find` says what is wrong with it, if its exchange is in flight. */
  protected reject(
    where: string,
    start: number,
    end: number,
    find: (received: string, index: number) => Finding,
  ): void {
    const received = this.textOf(start, end);
    const number = numberIn(received);
    if (this.#failed.has(number)) {
      this.tally.stale++;
      return;
    }
    const index = number === '' ? -1 : Number.parseInt(number.slice(0, INDEX_DIGITS), 16);
    const isOurs = index >= 0 && index < this.#window;
    const isCurrent = isOurs && this.flags[index] !== 0 && number === this.#numberOf(index);
    if (isOurs && !isCurrent && this.#isOlder(index, number)) {
      this.again(where, start, end);
      return;
    }
    const { cause, sentence } = isCurrent ? find(received, index) : NOT_OURS;
    this.#sample(`${where}: ${sentence}`, received);
    if (isCurrent) this.fail(index, cause);
    else this.#count(cause);
  }

  /** A proper answer by which the server turns the exchange away, which fails once its ACK is sent: until then nothing else may be
   *  stamped into its texts. In a flood there are so many that only the first is put into words. */
  protected refuse(index: number, status: number, start: number, end: number): void {
    if ((this.flags[index]! & REFUSED) !== 0) {
      this.again('at the UAC', start, end);
      return;
    }
    if (this.#samples === 0) {
      const received = this.textOf(start, end);
      this.#sample(`at the UAC: ${explain(received, null).sentence}`, received);
    }
    this.flags[index]! |= REFUSED;
    this.#refused.push(index, status);
  }

  /** Cold: right in itself, but it has been there before. A stateful server may send it again. */
  protected again(where: string, start: number, end: number): void {
    if (this.way.isStateful) {
      this.tally.retransmissions++;
      return;
    }
    this.#sample(`${where}: a second time`, this.textOf(start, end));
    this.#count('repeated');
  }

  protected textOf(start: number, end: number): string {
    return Buffer.from(this.arena.bytes.slice(start, end)).toString('latin1');
  }

  /** The exchange whose number begins at `at`, if it is one and in flight, else −1. */
  protected exchangeAt(at: number): number {
    const index = hexAt(this.bytes, at, INDEX_DIGITS);
    return index >= 0 && index < this.#window && this.flags[index] !== 0 ? index : -1;
  }

  /** The byte after the line that begins at `start`. */
  protected afterLine(start: number, end: number): number {
    return findNewline(this.words, start, end) + 1;
  }

  #endRefused(): void {
    const refused = this.#refused;
    for (let i = 0; i < refused.length; i += 2) {
      if ((this.flags[refused[i]!]! & REFUSED) !== 0) this.fail(refused[i]!, unexpectedStatus(refused[i + 1]!));
    }
    refused.length = 0;
  }

  #putMaxForwards(at: number, value: number): void {
    this.bytes[at] = 0x30 + ((value / 10) | 0);
    this.bytes[at + 1] = 0x30 + (value % 10);
  }

  #release(index: number): void {
    this.flags[index] = 0;
    this.#free[this.#window - this.inFlight--] = index;
  }

  #numberOf(index: number): string {
    const generation = this.#generations[index]! >>> 0;
    return hex(index, INDEX_DIGITS) + hex(generation, GENERATION_DIGITS);
  }

  #isOlder(index: number, number: string): boolean {
    const generation = Number.parseInt(number.slice(INDEX_DIGITS), 16);
    const current = this.#generations[index]! >>> 0;
    return generation >= 1 && (this.flags[index] === 0 ? generation <= current : generation < current);
  }

  #count(cause: string): void {
    this.tally.failed++;
    this.tally.causes.set(cause, (this.tally.causes.get(cause) ?? 0) + 1);
  }

  #sample(reason: string, received: string): void {
    if (this.#samples++ >= MAX_SAMPLES) return;
    this.#print(
      `failed ${reason}\n${received
        .slice(0, SAMPLE_CHARS)
        .trimEnd()
        .replace(/^(?!\n)/gm, '  | ')}`,
    );
  }
}

const NOT_OURS: Finding = { cause: 'via', sentence: 'nothing of ours, or the own Via is changed or gone' };

/** Own Via of a request; the letter says which request of the exchange it belongs to. */
export function ownVia({ clientPort, transport }: Way, letter: string): string {
  return `Via: SIP/2.0/${transport.toUpperCase()} 127.0.0.1:${clientPort};branch=z9hG4bK${INDEX}${GENERATION}${letter}`;
}

/** Where in an own Via line the number of the exchange is. */
export function numberInVia(way: Way): number {
  return ownVia(way, '').indexOf(INDEX);
}

/** Where in an own Via line the letter is. */
export function letterInVia(way: Way): number {
  return numberInVia(way) + INDEX_DIGITS + GENERATION_DIGITS;
}

/** A message of these lines, without body unless one is given. */
export function message(lines: readonly string[], body = ''): string {
  const type = body === '' ? [] : ['Content-Type: application/sdp'];
  return [...lines, ...type, `Content-Length: ${body.length}`, '', body].join('\r\n');
}

/** Where the digits of Max-Forwards begin in a text. */
export function maxForwardsIn(text: string): number {
  return text.indexOf('\r\nMax-Forwards: ') + '\r\nMax-Forwards: '.length;
}

/** The number in the Via of a message that is ours, and not that of the server. */
function numberIn(received: string): string {
  return /127\.0\.0\.1:\d+;branch=z9hG4bK([0-9a-f]{12})[a-z0-9]{1,2}(?![^\r\n;])/.exec(received)?.[1] ?? '';
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
