/** The messages of all exchanges in flight, put together once as bytes of the arena. A new exchange stamps a few digits into
 *  them: its generation, a user, a CSeq. What arrives is compared with these very bytes. Hot: the `stamp…` methods run
 *  once per exchange and allocate nothing.
 *
 *  ```
 *  area of exchange i:   text 0 | text 1 | … | room for what is learned on the way
 *  ``` */

import type { Arena } from '../../src/memory/arena.ts';
import { AGENT, FIRST_AGENT, USER_DIGITS } from './flow-settings.ts';

/** Stand-ins in the texts, one private character for each digit. */
export const INDEX_DIGITS = 4;
export const GENERATION_DIGITS = 8;
const CSEQ_DIGITS = 7;
export const INDEX = '\ue000'.repeat(INDEX_DIGITS);
export const GENERATION = '\ue001'.repeat(GENERATION_DIGITS);
export const USER = '\ue002'.repeat(USER_DIGITS);
export const CSEQ = '\ue003'.repeat(CSEQ_DIGITS);

/** Four hexadecimal digits name an exchange. */
export const MAX_EXCHANGES = 16_384;

const ALIGNMENT = 16;
const HEX = new TextEncoder().encode('0123456789abcdef');

export class StampedTexts {
  /** Where text i begins in an area, and its length; both the same for all exchanges. */
  readonly starts: readonly number[];
  readonly lengths: readonly number[];
  /** Where the room begins in an area. */
  readonly roomAt: number;
  readonly areaBytes: number;
  readonly #arena: Arena;
  readonly #at: number;
  readonly #generations: Int32Array;
  readonly #users: Int32Array;
  readonly #cseqs: Int32Array;

  /** Lays out `count` areas from byte `at` of the arena on, each with `roomBytes` behind its texts. `agents`: addresses that
   *  the UAS has; the exchanges have them in turns. */
  constructor(arena: Arena, at: number, count: number, texts: readonly string[], roomBytes: number, agents = 1) {
    this.#arena = arena;
    this.#at = at;
    const starts: number[] = [];
    let next = 0;
    for (const text of texts) {
      starts.push(next);
      next = roundUp(next + text.length);
    }
    this.starts = starts;
    this.lengths = texts.map((text) => text.length);
    this.roomAt = next;
    this.areaBytes = StampedTexts.areaBytes(texts, roomBytes);
    const places = (standIn: string) =>
      Int32Array.from(texts.flatMap((text, i) => allIn(text, standIn).map((found) => found + starts[i]!)));
    this.#generations = places(GENERATION);
    this.#users = places(USER);
    this.#cseqs = places(CSEQ);
    for (let index = 0; index < count; index++) {
      const digits = index.toString(16).padStart(INDEX_DIGITS, '0');
      const agent = `${FIRST_AGENT + (index % agents)}`;
      for (const [i, text] of texts.entries()) {
        this.#write(this.area(index) + starts[i]!, text.replaceAll(INDEX, digits).replaceAll(AGENT, agent));
      }
    }
  }

  /** What one exchange takes of the arena. */
  static areaBytes(texts: readonly string[], roomBytes: number): number {
    return texts.reduce((sum, text) => sum + roundUp(text.length), 0) + roundUp(roomBytes);
  }

  /** First byte of an exchange's area. */
  area(index: number): number {
    return this.#at + index * this.areaBytes;
  }

  /** Where text i of an exchange begins. */
  start(index: number, text: number): number {
    return this.#at + index * this.areaBytes + this.starts[text]!;
  }

  stampGeneration(index: number, generation: number): void {
    const { bytes } = this.#arena;
    const area = this.area(index);
    const places = this.#generations;
    for (let i = 0; i < places.length; i++) {
      const at = area + places[i]!;
      for (let digit = 0, shift = 28; digit < GENERATION_DIGITS; digit++, shift -= 4) {
        bytes[at + digit] = HEX[(generation >>> shift) & 15]!;
      }
    }
  }

  stampUser(index: number, user: number): void {
    this.#stampDecimal(this.area(index), this.#users, USER_DIGITS, user);
  }

  stampCseq(index: number, cseq: number): void {
    this.#stampDecimal(this.area(index), this.#cseqs, CSEQ_DIGITS, cseq);
  }

  #stampDecimal(area: number, places: Int32Array, digits: number, value: number): void {
    const { bytes } = this.#arena;
    for (let i = 0; i < places.length; i++) {
      const first = area + places[i]!;
      let rest = value;
      for (let at = first + digits - 1; at >= first; at--) {
        const next = (rest / 10) | 0;
        bytes[at] = 0x30 + rest - next * 10;
        rest = next;
      }
    }
  }

  #write(at: number, text: string): void {
    for (let i = 0; i < text.length; i++) this.#arena.bytes[at + i] = text.charCodeAt(i);
  }
}

function allIn(text: string, part: string): number[] {
  return Array.from(text.matchAll(new RegExp(part, 'g')), (match) => match.index);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
