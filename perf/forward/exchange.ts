/** The messages of perf:forward: OPTIONS and its 200, built once per place in the window as bytes of the arena. Starting an
 *  exchange patches a few digits; what comes back is compared, word by word, with what was sent. Hot but for `explain…`.
 *
 *  The check is as strict as the promise it checks: a stateless proxy adds one Via on top, takes one off Max-Forwards and
 *  leaves the rest byte for byte as it came.
 *
 *  ```
 *  slot of exchange i:   request, so placed that its Via line is word-aligned | RESPONSE_AT: response, word-aligned
 *  ``` */

import { findNewline } from '../../src/base/newline.ts';
import type { Arena } from '../../src/memory/arena.ts';
import { SLOT_HEADER_BYTES, slotOffset } from '../../src/memory/layout.ts';

const RESPONSE_AT = 1152;
/** Four hexadecimal digits name an exchange. */
export const MAX_EXCHANGES = 16_384;

const CR = 0x0d;
const HEX = new TextEncoder().encode('0123456789abcdef');

/** Stand-ins in the templates, replaced by digits. */
const INDEX = 'IIII';
const GENERATION = 'GGGGGGGG';
const CSEQ = 'NNNNNN';

const MAX_FORWARDS = 70;

export interface Route {
  readonly clientPort: number;
  readonly agentPort: number;
  readonly serverPort: number;
  /** Vias that are added on the way: 1, or 0 for the bare relay. */
  readonly hops: 0 | 1;
}

interface Template {
  readonly text: string;
  readonly viaAt: number;
  /** Length of the own Via line with its CRLF. */
  readonly viaBytes: number;
  readonly generationsAt: Int32Array;
  readonly cseqAt: number;
}

export class Exchanges {
  readonly #arena: Arena;
  readonly #route: Route;
  readonly #firstSlot: number;
  readonly #count: number;
  readonly #request: Template;
  readonly #response: Template;
  readonly #maxForwardsAt: number;
  /** Where in the own Via line the number of the exchange is. */
  readonly #indexInVia: number;
  readonly #requestPadding: number;
  readonly #generations: Int32Array;
  readonly #givenUp = new Set<string>();
  /** What the hop's Via line begins with. */
  readonly #hopAt: number;
  readonly #hopBytes: number;

  /** Exchange i lies in slot `firstSlot` + i; the constant beginning of the hop's Via in the slot after the last. */
  constructor(arena: Arena, route: Route, firstSlot: number, count: number) {
    this.#arena = arena;
    this.#route = route;
    this.#firstSlot = firstSlot;
    this.#count = count;
    this.#request = template(requestText(route));
    this.#response = template(responseText(route));
    this.#maxForwardsAt = this.#request.text.indexOf(`: ${MAX_FORWARDS}\r`) + 2;
    this.#indexInVia = this.#request.text.indexOf(INDEX) - this.#request.viaAt;
    this.#requestPadding = -this.#request.viaAt & 3;
    this.#generations = new Int32Array(count);
    for (let index = 0; index < count; index++) {
      const digits = index.toString(16).padStart(INDEX.length, '0');
      this.#write(this.requestStart(index), this.#request.text.replaceAll(INDEX, digits));
      this.#write(this.responseStart(index), this.#response.text.replaceAll(INDEX, digits));
      this.renew(index);
    }
    const hop = `Via: SIP/2.0/UDP 127.0.0.1:${route.serverPort};branch=z9hG4bK`;
    this.#hopBytes = hop.length;
    this.#hopAt = slotOffset(arena.map, firstSlot + count) + SLOT_HEADER_BYTES;
    this.#write(this.#hopAt, hop);
  }

  requestStart(index: number): number {
    return this.#payload(index) + this.#requestPadding;
  }

  get requestBytes(): number {
    return this.#request.text.length;
  }

  responseStart(index: number): number {
    return this.#payload(index) + RESPONSE_AT;
  }

  get responseBytes(): number {
    return this.#response.text.length;
  }

  /** The first header line, a Via, from the start of a request or response. */
  get requestViaAt(): number {
    return this.#request.viaAt;
  }

  get responseViaAt(): number {
    return this.#response.viaAt;
  }

  get viaBytes(): number {
    return this.#request.viaBytes;
  }

  /** Makes the exchange a new one: another branch, Call-ID, tag and CSeq. */
  renew(index: number): void {
    const generation = (this.#generations[index] = (this.#generations[index]! + 1) | 0);
    const cseq = 100_000 + ((generation >>> 0) % 900_000);
    this.#patch(this.requestStart(index), this.#request, generation, cseq);
    this.#patch(this.responseStart(index), this.#response, generation, cseq);
    this.#putMaxForwards(index, MAX_FORWARDS);
  }

  /** Turns the request, once it is sent, into what must arrive. */
  expect(index: number): void {
    this.#putMaxForwards(index, MAX_FORWARDS - this.#route.hops);
  }

  /** The exchange a received request belongs to, by its own Via, or −1. */
  indexOfRequest(end: number): number {
    return this.#indexAt(end - this.#request.text.length + this.#request.viaAt);
  }

  indexOfResponse(start: number): number {
    return this.#indexAt(start + this.#response.viaAt);
  }

  /** Whether [start, end) is the request as it must arrive. `start` is word-aligned. */
  isRequest(index: number, start: number, end: number): boolean {
    const { words } = this.#arena;
    const { viaAt } = this.#request;
    const sent = this.requestStart(index);
    const ownVia = end - this.#request.text.length + viaAt;
    return (
      ownVia >= start + viaAt &&
      sameBytes(words, sent, start, viaAt) &&
      sameBytes(words, ownVia, sent + viaAt, end - ownVia) &&
      this.#isHop(start + viaAt, ownVia)
    );
  }

  /** Whether [start, end) is the response as the client must get it. `start` is word-aligned. */
  isResponse(index: number, start: number, end: number): boolean {
    return (
      end - start === this.#response.text.length &&
      sameBytes(this.#arena.words, start, this.responseStart(index), end - start)
    );
  }

  /** Ends an exchange without success. What still comes of it is stale, not wrong. Cold. */
  giveUp(index: number): void {
    this.#givenUp.add(numberIn(this.textOf(this.requestStart(index), this.requestStart(index) + this.requestBytes)));
    this.renew(index);
  }

  /** Whether a message belongs to an exchange given up before. Cold. */
  isStale(received: string): boolean {
    return this.#givenUp.has(numberIn(received));
  }

  /** What is wrong with a message, in words. Cold. */
  explain(received: string, isRequest: boolean): string {
    const number = numberIn(received);
    const index = Number.parseInt(number.slice(0, INDEX.length), 16);
    if (!(index < this.#count)) return 'nothing of ours, or the own Via is changed or gone';
    const start = isRequest ? this.requestStart(index) : this.responseStart(index);
    const expected = this.textOf(start, start + (isRequest ? this.requestBytes : this.responseBytes)).split('\r\n');
    const lines = received.split('\r\n');
    const hops = isRequest ? this.#route.hops : 0;
    if (number !== numberIn(expected[1]!)) return 'of an exchange that is over: a second time';
    if (lines[0] !== expected[0]) return 'start line';
    const added = lines.slice(1, lines.indexOf(expected[1]!));
    if (!lines.includes(expected[1]!)) return 'own Via changed or gone';
    if (added.some((line) => !line.startsWith('Via: '))) return 'something but a Via on top of the own Via';
    if (added.length !== hops) return `${added.length} Vias added instead of ${hops}`;
    if (added.some((line) => !line.includes(';branch=z9hG4bK'))) return 'the added Via has no branch of RFC 3261';
    const rest = lines.slice(1 + hops);
    const at = expected.slice(1).findIndex((line, i) => line !== rest[i]);
    if (at >= 0) return `${expected[at + 1]!.split(':')[0] || 'the end'} is not as expected`;
    return rest.length > expected.length - 1 ? 'something after the end' : 'the added Via is not that of the server';
  }

  textOf(start: number, end: number): string {
    return Buffer.from(this.#arena.bytes.slice(start, end)).toString('latin1');
  }

  #payload(index: number): number {
    return slotOffset(this.#arena.map, this.#firstSlot + index) + SLOT_HEADER_BYTES;
  }

  /** Exactly as many Via lines as there are hops, here 0 or 1. */
  #isHop(start: number, end: number): boolean {
    const { bytes, words } = this.#arena;
    if (this.#route.hops === 0) return start === end;
    return (
      end - start > this.#hopBytes &&
      sameBytes(words, start, this.#hopAt, this.#hopBytes) &&
      findNewline(words, start, end) === end - 1 &&
      bytes[end - 2] === CR
    );
  }

  #indexAt(via: number): number {
    const { bytes } = this.#arena;
    let index = 0;
    for (let i = 0; i < INDEX.length; i++) {
      const byte = bytes[via + this.#indexInVia + i]!;
      index = (index << 4) | (byte <= 0x39 ? byte - 0x30 : byte - 0x57);
    }
    return index >= 0 && index < this.#count ? index : -1;
  }

  #patch(start: number, { generationsAt, cseqAt }: Template, generation: number, cseq: number): void {
    const { bytes } = this.#arena;
    for (let i = 0; i < generationsAt.length; i++) {
      const at = start + generationsAt[i]!;
      for (let digit = 0, shift = 28; digit < 8; digit++, shift -= 4) {
        bytes[at + digit] = HEX[(generation >>> shift) & 15]!;
      }
    }
    let rest = cseq;
    for (let at = start + cseqAt + CSEQ.length - 1; at >= start + cseqAt; at--) {
      const next = (rest / 10) | 0;
      bytes[at] = 0x30 + rest - next * 10;
      rest = next;
    }
  }

  #putMaxForwards(index: number, value: number): void {
    const at = this.requestStart(index) + this.#maxForwardsAt;
    const tens = (value / 10) | 0;
    this.#arena.bytes[at] = 0x30 + tens;
    this.#arena.bytes[at + 1] = 0x30 + value - tens * 10;
  }

  #write(at: number, text: string): void {
    for (let i = 0; i < text.length; i++) this.#arena.bytes[at + i] = text.charCodeAt(i);
  }
}

/** Whether `length` bytes at `a` and at `b` are the same. `b` is word-aligned, `a` need not be. */
function sameBytes(words: Int32Array<SharedArrayBuffer>, a: number, b: number, length: number): boolean {
  let at = a >> 2;
  let other = b >> 2;
  let left = length;
  const shift = (a & 3) << 3;
  if (shift === 0) {
    for (; left >= 4; left -= 4) if (words[at++]! !== words[other++]!) return false;
    return left <= 0 || ((words[at]! ^ words[other]!) & ((1 << (left << 3)) - 1)) === 0;
  }
  const back = 32 - shift;
  let low = words[at]!;
  for (; left >= 4; left -= 4) {
    const high = words[++at]!;
    if (((low >>> shift) | (high << back)) !== words[other++]!) return false;
    low = high;
  }
  if (left <= 0) return true;
  const tail = (low >>> shift) | (words[at + 1]! << back);
  return ((tail ^ words[other]!) & ((1 << (left << 3)) - 1)) === 0;
}

/** The number in the own Via of a message: which exchange, and which generation of it. */
function numberIn(message: string): string {
  return /127\.0\.0\.1:\d+;branch=z9hG4bK([0-9a-f]{12})(?![^\r\n;])/.exec(message)?.[1] ?? '';
}

function requestText({ clientPort, agentPort }: Route): string {
  return message([
    `OPTIONS sip:bob@127.0.0.1:${agentPort} SIP/2.0`,
    ownVia(clientPort),
    `Max-Forwards: ${MAX_FORWARDS}`,
    `From: "Alice at Perf" <sip:alice@perf.test>;tag=a${INDEX}${GENERATION}`,
    `To: <sip:bob@127.0.0.1:${agentPort}>`,
    `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`,
    `CSeq: ${CSEQ} OPTIONS`,
    `Contact: <sip:alice@127.0.0.1:${clientPort}>`,
    'User-Agent: Strowger perf:forward (load.ts)',
    'Accept: application/sdp',
    'Content-Length: 0',
  ]);
}

function responseText({ clientPort, agentPort }: Route): string {
  return message([
    'SIP/2.0 200 OK',
    ownVia(clientPort),
    `From: "Alice at Perf" <sip:alice@perf.test>;tag=a${INDEX}${GENERATION}`,
    `To: <sip:bob@127.0.0.1:${agentPort}>;tag=b${INDEX}${GENERATION}`,
    `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`,
    `CSeq: ${CSEQ} OPTIONS`,
    `Contact: <sip:bob@127.0.0.1:${agentPort}>`,
    'Accept: application/sdp',
    'Allow: INVITE, ACK, CANCEL, OPTIONS, BYE',
    'Content-Length: 0',
  ]);
}

function ownVia(clientPort: number): string {
  return `Via: SIP/2.0/UDP 127.0.0.1:${clientPort};branch=z9hG4bK${INDEX}${GENERATION}`;
}

function message(lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function template(text: string): Template {
  const viaAt = text.indexOf('Via: ');
  return {
    text,
    viaAt,
    viaBytes: text.indexOf('\r\n', viaAt) + 2 - viaAt,
    generationsAt: Int32Array.from(text.matchAll(new RegExp(GENERATION, 'g')), (match) => match.index),
    cseqAt: text.indexOf(CSEQ),
  };
}
