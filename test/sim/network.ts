/** The network between the user agents and the proxy: it loses, delays, duplicates and so reorders, as the world's seed has
 *  it, and writes down what it carried for the ladder of a call. */

import { EventQueue } from './event-queue.ts';
import type { Host, World } from './world.ts';

/** One datagram under way. `to` or `from` null: the proxy. */
export interface Carried {
  readonly atMs: number;
  readonly from: Host | null;
  readonly to: Host | null;
  readonly text: string;
  readonly fate: string;
}

const PER = 10_000;

export class Network {
  readonly queue = new EventQueue();
  readonly #world: World;
  readonly #ladders: Carried[][] = [];
  nowMs = 0;
  carried = 0;
  checksum = 0x811c9dc5;

  constructor(world: World) {
    this.#world = world;
  }

  later(ms: number, happen: () => void) {
    return this.queue.add(this.nowMs + ms, happen);
  }

  /** Has a datagram of a call arrive, or not. */
  carry(call: number, from: Host | null, to: Host | null, text: string, arrive: () => void): void {
    const { random, loss, duplication, delayMs, jitterMs } = this.#world;
    this.#mix(text);
    this.carried++;
    if (random.below(PER) < loss) {
      this.note(call, from, to, text, 'lost');
      return;
    }
    const copies = random.below(PER) < duplication ? 2 : 1;
    for (let i = 0; i < copies; i++) this.later(delayMs + random.below(jitterMs), arrive);
    this.note(call, from, to, text, copies === 2 ? 'twice' : '');
  }

  note(call: number, from: Host | null, to: Host | null, text: string, fate: string): void {
    if (call < 0) return;
    (this.#ladders[call] ??= []).push({ atMs: this.nowMs, from, to, text, fate });
  }

  /** Who sent what when, of one call. */
  ladderOf(call: number): string {
    return (this.#ladders[call] ?? []).map(lineOf).join('\n');
  }

  /** The whole messages of one call. */
  textsOf(call: number): string {
    return (this.#ladders[call] ?? []).map((one) => `── ${lineOf(one).trim()}\n${one.text}`).join('\n');
  }

  #mix(text: string): void {
    let sum = this.checksum ^ this.nowMs;
    for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
    this.checksum = sum;
  }
}

function lineOf({ atMs, from, to, text, fate }: Carried): string {
  const start = text.slice(0, text.indexOf('\r\n'));
  const cseq = /\r\nCSeq: ([^\r]*)/.exec(text)?.[1] ?? '';
  const branch = /;branch=z9hG4bK([^;,\r]*)/.exec(text)?.[1] ?? '';
  const who = from === null ? `proxy → ${to === null ? 'nobody' : to.name}` : `${from.name} → proxy`;
  return `${(atMs / 1000).toFixed(3).padStart(9)}  ${who.padEnd(18)}  ${start}  (${cseq}, ${branch})${fate === '' ? '' : `  ${fate}`}`;
}
