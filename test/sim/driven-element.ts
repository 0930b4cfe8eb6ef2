/** The element under the simulation: datagrams gather, a duty cycle serves them in one batch as a shard does, and what left is
 *  told apart by what it left because of. No thread, no socket, nothing is awaited: a look-up settles when virtual time says
 *  so. */

import { bufferOf } from '../../src/base/cache-lines.ts';
import { createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_STRIDE_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { type CounterName, readCounters } from '../../src/observe/counters.ts';
import type { Element, Occupancy } from '../../src/roles/element.ts';
import { FOUND, NOT_FOUND, PENDING, type ResolvedAddress, type ResolverPort } from '../../src/roles/ports.ts';
import type { Outbound } from '../../src/sip/outbound.ts';
import { Random } from '../fuzz/random.ts';
import { plainElement } from '../roles/plain-element.ts';
import { type Host, PROXY_ADDRESS, type World } from './world.ts';

export interface Arrival {
  readonly text: string;
  readonly from: Host;
}

export interface Departure {
  readonly text: string;
  /** null: nobody lives there. */
  readonly to: Host | null;
  /** 0: sent. */
  readonly errno: number;
}

/** What happened in one go: a datagram, timers or a settled look-up, and what left because of it. */
export interface Step {
  readonly cause: Arrival | null;
  readonly sent: readonly Departure[];
}

const BATCH = 64;
const SLOTS = 256;
const JUMBOS = 16;
const MAX_WAITING = 24;
const EAGAIN = 11;
const ECONNREFUSED = 111;
const NOTHING: readonly Departure[] = [];

export interface Surroundings {
  readonly later: (ms: number, happen: () => void) => void;
  readonly now: () => number;
  /** Sees every step, in order. */
  readonly observe: (step: Step) => void;
}

export class DrivenElement {
  readonly #world: World;
  readonly #surroundings: Surroundings;
  readonly #arena;
  readonly #buffer: Buffer;
  readonly #element: Element;
  readonly #hosts = new Map<number, Host>();
  readonly #kernel: Random;
  readonly #inbox: Arrival[] = [];
  readonly #free: number[][];
  /** What the kernel was given since the last cycle, in order. */
  #departures: Departure[] = [];
  /** Names by the time they are known. */
  readonly #knownMs = new Map<string, number>();
  #isParked = false;
  #waiting = 0;
  #isCycleDue = false;

  constructor(world: World, surroundings: Surroundings) {
    const { config } = world;
    this.#world = world;
    this.#surroundings = surroundings;
    const arena = createArena({ shardCount: 1, slotCount: SLOTS, jumboCount: JUMBOS, keptBytes: world.keptKib * 1024 });
    this.#arena = arena;
    this.#buffer = bufferOf(arena.buffer);
    this.#kernel = new Random(world.seed ^ 0x6b65726e);
    const cookies = new Random(world.seed ^ 0x636f6f6b);
    for (const host of [...world.callers, ...world.callees]) this.#hosts.set(keyOf(wordOf(host), host.port), host);
    this.#free = [Array.from({ length: SLOTS }, (_, i) => i), Array.from({ length: JUMBOS }, (_, i) => SLOTS + i)];
    this.#element = plainElement(arena, 0, {
      config,
      localAddresses: [PROXY_ADDRESS],
      resolver: this.#resolver(),
      flush: (outbound) => this.#send(outbound),
      park: (slot) => this.#park(slot),
      defer: (resume) => this.#defer(resume),
      random: () => cookies.next() | 0,
    });
  }

  occupancy(): Occupancy {
    return this.#element.occupancy();
  }

  counters(): Record<CounterName, number> {
    return readCounters(this.#arena);
  }

  nextDeadlineMs(): number {
    return this.#element.nextDeadlineMs();
  }

  /** A datagram reached the socket. */
  arrive(arrival: Arrival): void {
    this.#inbox.push(arrival);
    if (this.#isCycleDue) return;
    this.#isCycleDue = true;
    const { random, cycleMs } = this.#world;
    this.#surroundings.later(cycleMs === 0 ? 0 : random.below(cycleMs + 1), () => this.cycle());
  }

  /** A duty cycle: timers that are due, datagrams that wait, one flush. */
  cycle(): void {
    const element = this.#element;
    this.#isCycleDue = false;
    while (element.advance(this.#surroundings.now()));
    const steps: { readonly cause: Arrival | null; readonly end: number }[] = [{ cause: null, end: this.#total() }];
    const slots: number[] = [];
    const batch = this.#inbox.splice(0, BATCH);
    for (const cause of batch) {
      const slot = this.#fill(cause);
      if (slot === undefined) continue;
      this.#isParked = false;
      const isDone = element.serve(slot);
      if (isDone === this.#isParked) throw new Error('serve says one thing and parks another');
      if (isDone) slots.push(slot);
      steps.push({ cause, end: this.#total() });
    }
    this.#flush();
    for (const slot of slots) this.#giveBack(slot);
    const departures = this.#departures;
    this.#departures = [];
    let from = 0;
    for (const { cause, end } of steps) {
      if (cause !== null || end > from) {
        this.#surroundings.observe({ cause, sent: end === from ? NOTHING : departures.slice(from, end) });
      }
      from = end;
    }
    if (from < departures.length) this.#surroundings.observe({ cause: null, sent: departures.slice(from) });
    if (this.#inbox.length > 0 && !this.#isCycleDue) {
      this.#isCycleDue = true;
      this.#surroundings.later(0, () => this.cycle());
    }
  }

  #flush(): void {
    do this.#element.flush();
    while (this.#element.outbound.count > 0);
  }

  #total(): number {
    return this.#departures.length + this.#element.outbound.count;
  }

  /** undefined: there is no slot, the datagram is lost. */
  #fill({ text, from }: Arrival): number | undefined {
    const { words, map } = this.#arena;
    const slot = this.#free[text.length > SLOT_PAYLOAD_BYTES ? 1 : 0]!.pop();
    if (slot === undefined) return undefined;
    const offset = slotOffset(map, slot);
    const word = offset >> 2;
    words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
    words[word + SLOT.LENGTH_WORD] = text.length;
    words[word + SLOT.FAMILY_WORD] = 4;
    words[word + SLOT.PORT_WORD] = from.port;
    words[word + SLOT.SOURCE_WORD] = wordOf(from);
    this.#buffer.write(text, offset + SLOT_HEADER_BYTES, 'latin1');
    return slot;
  }

  #giveBack(slot: number): void {
    this.#free[slot < SLOTS ? 0 : 1]!.push(slot);
  }

  /** The kernel: takes what is there now, refuses where nobody listens, and is sometimes congested. */
  #send(outbound: Outbound): number {
    const { words, map } = this.#arena;
    const buffer = this.#buffer;
    let refused = 0;
    for (let entry = 0; entry < outbound.count; entry++) {
      const word = (map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
      let text = '';
      for (let i = 0; i < 2 * words[word + EGRESS.SPAN_COUNT_WORD]!; i += 2) {
        const start = words[word + EGRESS.SPANS_WORD + i]!;
        text += buffer.toString('latin1', start, start + words[word + EGRESS.SPANS_WORD + i + 1]!);
      }
      const to = this.#hosts.get(keyOf(words[word + EGRESS.ADDRESS_WORD]!, words[word + EGRESS.PORT_WORD]!)) ?? null;
      const errno = to?.kind === 'refuses' ? ECONNREFUSED : this.#isCongested() ? EAGAIN : 0;
      words[word + EGRESS.RESULT_WORD] = errno;
      if (errno !== 0) refused++;
      this.#departures.push({ text, to, errno });
    }
    return refused;
  }

  #isCongested(): boolean {
    return this.#world.congestion > 0 && this.#kernel.below(10_000) < this.#world.congestion;
  }

  // ---- Names ------------------------------------------------------------------------------------------------------

  #resolver(): ResolverPort {
    const { names } = this.#world;
    const findNext: ResolverPort['findNext'] = (name, port, _transport, selector, attempt, out) => {
      if (!this.#isKnown(name)) return PENDING;
      const hosts = names.get(name) ?? [];
      const distinct = [...new Set(hosts)];
      if (attempt >= distinct.length) return NOT_FOUND;
      return fill(out, distinct[((selector >>> 0) + attempt) % distinct.length]!, port);
    };
    return {
      find: (name, port, transport, selector, out) => findNext(name, port, transport, selector, 0, out),
      findNext,
      whenResolved: () => Promise.resolve(),
    };
  }

  #isKnown(name: string): boolean {
    const knownMs = this.#knownMs.get(name);
    if (knownMs !== undefined) return this.#surroundings.now() >= knownMs;
    if (!this.#world.isDnsSlow) return true;
    this.#knownMs.set(name, this.#surroundings.now() + 1 + this.#world.random.below(300));
    return false;
  }

  /** Long enough for any name that is being looked up. */
  #whenKnown(resume: () => void): boolean {
    if (this.#waiting >= MAX_WAITING) return false;
    this.#waiting++;
    this.#surroundings.later(310, () => {
      this.#waiting--;
      resume();
      this.#flush();
      const sent = this.#departures;
      this.#departures = [];
      this.#surroundings.observe({ cause: null, sent });
    });
    return true;
  }

  #park(slot: number): boolean {
    this.#isParked = this.#whenKnown(() => {
      this.#element.advance(this.#surroundings.now());
      this.#element.resume(slot);
      // Behind the flush, which still reads it.
      this.#surroundings.later(0, () => this.#giveBack(slot));
    });
    return this.#isParked;
  }

  #defer(resume: () => void): boolean {
    return this.#whenKnown(() => {
      this.#element.advance(this.#surroundings.now());
      resume();
    });
  }
}

function fill(out: ResolvedAddress, host: Host, port: number): number {
  out.family = 4;
  // The names of the simulation stand for hosts with their ports, as SRV records would.
  out.port = port === -1 ? host.port : port;
  out.words.fill(0);
  out.words[0] = wordOf(host);
  return FOUND;
}

const words = new Map<string, number>();

/** An IPv4 address as the arena has it: bytes in network order. */
function wordOf({ address }: Host): number {
  let word = words.get(address);
  if (word === undefined) {
    word = new Int32Array(Uint8Array.from(address.split('.').map(Number)).buffer)[0]!;
    words.set(address, word);
  }
  return word;
}

function keyOf(word: number, port: number): number {
  return (word >>> 0) * 65_536 + port;
}
