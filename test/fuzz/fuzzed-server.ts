/** The server without threads and sockets, for the fuzzer: an arena, two elements with unlike configurations, a resolver and a
 *  kernel that answer as a seed has it. Batches are served as a shard serves them: every datagram in a slot of its own,
 *  one flush behind the batch, look-ups resumed later. What leaves is read when the kernel would read it. */

import { performance } from 'node:perf_hooks';
import { configSchema } from '../../src/config/schema.ts';
import { type Arena, createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_ENTRIES,
  EGRESS_SPANS,
  EGRESS_STRIDE_BYTES,
  SCRATCH_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import type { Element } from '../../src/roles/element.ts';
import { FOUND, NOT_FOUND, PENDING, type ResolvedAddress } from '../../src/roles/ports.ts';
import { type Outbound, VIA_BYTES } from '../../src/sip/outbound.ts';
import { classifyDatagram, DATAGRAM, hashCallId, isSheddable } from '../../src/sip/scan.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';
import { addressBytes } from '../flows/virtual-network.ts';
import { plainElement } from '../roles/plain-element.ts';
import { Random } from './random.ts';

/** What is fed in. Everything but the bytes follows from the seed. */
export interface Datagram {
  readonly seed: number;
  readonly bytes: Uint8Array;
}

/** What became of it. */
export interface Delivery {
  readonly datagram: Datagram;
  /** Place of the payload in the arena; valid until the next batch. */
  readonly start: number;
  readonly end: number;
  /** DATAGRAM. */
  readonly kind: number;
  readonly callIdHash: number;
  readonly isSheddable: boolean;
  readonly source: Uint8Array;
  /** What was sent because of it, Latin-1; of a message that the kernel refused only the answer to that counts. */
  readonly sent: string[];
  /** The first fault seen while it was served. */
  fault: string | null;
  /** The longest it kept the thread busy. */
  busyMs: number;
}

const ELEMENTS = [
  {
    listen: ['udp:192.0.2.254:5060', 'udp:[2001:db8::53]:5060', 'tcp:192.0.2.254:5060', 'tcp:[2001:db8::53]:5060'],
    domains: [
      { name: 'biloxi.example', registrar: 'on' },
      { name: 'hop.example', nextHops: ['sip:next.hop.example', 'sip:192.0.2.31'] },
    ],
    nextHops: ['sip:192.0.2.30:5080'],
    trusted: ['0.0.0.0/0', '::/0'],
  },
  {
    listen: [
      { address: 'udp:*:5060', advertise: 'edge.example' },
      'udp:127.0.0.1:5070',
      'tcp:*:5060',
      'tcp:127.0.0.1:5070',
    ],
    domains: [],
    nextHops: ['sip:pending.example', 'sip:192.0.2.30'],
    trusted: ['10.0.0.0/8', '2001:db8::/32'],
  },
] as const;

/** As sources: trusted by both, by the first only; and IPv6. */
const SOURCES_V4 = ['10.0.0.1', '192.0.2.10', '203.0.113.66', '127.0.0.1'].map(addressBytes);
const SOURCES_V6 = ['2001:db8::9', '2001:db9::1', '::1'].map(addressBytes);
const LOCALS_V4 = ['10.1.2.3', '192.0.2.254'].map(addressBytes);
const LOCALS_V6 = ['2001:db8::53'].map(addressBytes);

export const BATCH = 64;
const MAX_PARKED = 40;
const ORDINARY_SLOTS = 256;
const JUMBO_SLOTS = 128;
/** What the kernel takes at the most (IPv4). */
const MAX_SENT_BYTES = 65_507;
const EAGAIN = 11;
const EMSGSIZE = 90;
const ECONNREFUSED = 111;
/** Fills the scratch between two flushes: four of them in a message are text that nobody wrote. */
const POISON = 0xee;
const POISON_TEXT = '\xee\xee\xee\xee';

interface Captured {
  readonly spans: readonly number[];
  readonly text: string;
  readonly errno: number;
  readonly tag: number;
  /** Where the element's own text ended when it was sent. */
  readonly cursor: number;
  readonly viaArea: number;
}

interface Shard {
  readonly element: Element;
  /** Everything sent in this batch, in order. */
  captured: Captured[];
}

interface Pending {
  readonly shard: Shard;
  readonly slot: number;
  readonly delivery: Delivery;
  readonly from: number;
  to: number;
}

export class FuzzedServer {
  readonly arena: Arena = createArena({
    shardCount: ELEMENTS.length,
    slotCount: ORDINARY_SLOTS,
    jumboCount: JUMBO_SLOTS,
  });
  readonly #shards: Shard[];
  readonly #free: number[][];
  #parked: Pending[] = [];
  /** The datagram in hand: its resolver answers from this. */
  #random = new Random(0);
  #kernel = new Random(0);
  #isResuming = false;
  #slotInHand = -1;
  #isParked = false;

  constructor() {
    this.#shards = ELEMENTS.map((settings, shard) => this.#createShard(settings, shard));
    this.#free = [
      Array.from({ length: ORDINARY_SLOTS }, (_, i) => i),
      Array.from({ length: JUMBO_SLOTS }, (_, i) => ORDINARY_SLOTS + i),
    ];
  }

  /** Serves up to BATCH datagrams. Returns what is finished: some of this batch may wait for a look-up and come with a
   *  later one. After a delivery with a fault the server is not to be used any more. */
  serve(batch: readonly Datagram[], isLast: boolean, inspect: (delivery: Delivery) => void): void {
    this.#kernel = new Random(batch[0]?.seed ?? 0);
    const finished: Pending[] = [];
    for (const datagram of batch) {
      const pending = this.#receive(datagram);
      if (pending !== null) finished.push(pending);
    }
    this.#flush(finished, inspect);
    // Some look-ups settle at once, others behind the next batch.
    const due = isLast ? this.#parked : this.#parked.filter((_, i) => i % 4 !== 3);
    this.#parked = isLast ? [] : this.#parked.filter((_, i) => i % 4 === 3);
    for (const pending of due) this.#resume(pending);
    this.#flush(due, inspect);
  }

  #receive(datagram: Datagram): Pending | null {
    const { bytes, words, map } = this.arena;
    const random = new Random(datagram.seed ^ 0x2f0b4c17);
    const shard = random.pick(this.#shards);
    const isJumbo = datagram.bytes.length > SLOT_PAYLOAD_BYTES;
    const free = this.#free[isJumbo ? 1 : 0]!;
    const slot = free.pop()!;
    const offset = slotOffset(map, slot);
    const start = offset + SLOT_HEADER_BYTES;
    const end = start + datagram.bytes.length;
    bytes.set(datagram.bytes, start);
    const source = this.#fillHeader(offset >> 2, shard, datagram.bytes.length, random);
    const delivery: Delivery = {
      datagram,
      start,
      end,
      source,
      kind: classifyDatagram(bytes, start, end),
      callIdHash: hashCallId(bytes, words, start, end),
      isSheddable: isSheddable(bytes, words, start, end),
      sent: [],
      fault: null,
      busyMs: 0,
    };
    const pending: Pending = { shard, slot, delivery, from: this.#total(shard), to: 0 };
    this.#random = random;
    this.#isParked = false;
    if (delivery.kind <= DATAGRAM.STUN) this.#attend(pending, false);
    pending.to = this.#total(shard);
    if (!this.#isParked) return pending;
    if (pending.to !== pending.from) delivery.fault = 'something is sent although the datagram waits';
    this.#parked.push(pending);
    return null;
  }

  #resume(pending: Pending): void {
    const resumed = pending as { from: number; to: number };
    resumed.from = this.#total(pending.shard);
    this.#random = new Random(pending.delivery.datagram.seed ^ 0x51ed270b);
    this.#attend(pending, true);
    resumed.to = this.#total(pending.shard);
  }

  #attend({ shard, slot, delivery }: Pending, isResuming: boolean): void {
    this.#isResuming = isResuming;
    this.#slotInHand = slot;
    const before = performance.now();
    try {
      if (isResuming) shard.element.resume(slot);
      else if (shard.element.serve(slot) === this.#isParked) delivery.fault = 'serve says one thing and parks another';
    } catch (error) {
      delivery.fault = `throws ${error instanceof Error ? error.message : error}`;
    }
    delivery.busyMs = Math.max(delivery.busyMs, performance.now() - before);
    const scratchEnd = this.arena.map.scratch + (this.#shards.indexOf(shard) + 1) * SCRATCH_BYTES;
    if (shard.element.outbound.cursor > scratchEnd) delivery.fault = 'text is written beyond the scratch';
  }

  #flush(served: readonly Pending[], inspect: (delivery: Delivery) => void): void {
    const answersFrom = new Map<Shard, number>();
    for (const shard of this.#shards) {
      answersFrom.set(shard, this.#total(shard));
      try {
        shard.element.flush();
      } catch (error) {
        for (const one of served)
          one.delivery.fault ??= `the flush throws ${error instanceof Error ? error.message : error}`;
      }
    }
    // The kernel's refusals are answered behind everything else, in their order.
    for (const { shard, delivery, from, to, slot } of served) {
      for (const one of shard.captured.slice(from, to)) {
        delivery.fault ??= this.#faultOfSpans(one, delivery);
        if (one.errno === 0) delivery.sent.push(one.text);
        if (one.errno === 0 || one.errno === EAGAIN || one.tag === 0) continue;
        if (one.tag !== slot + 1) delivery.fault ??= 'the tag of a request is not its slot';
        // Nobody answers an ACK (RFC 3261 17): it is lost.
        if (one.text.startsWith('ACK ')) continue;
        const at = answersFrom.get(shard)!;
        answersFrom.set(shard, at + 1);
        const answer = shard.captured[at];
        if (answer === undefined) delivery.fault ??= 'a refused request is not answered';
        else {
          delivery.fault ??= this.#faultOfSpans(answer, delivery);
          delivery.sent.push(answer.text);
        }
      }
    }
    for (const shard of this.#shards) {
      if (answersFrom.get(shard) !== shard.captured.length && served[0] !== undefined) {
        served[0].delivery.fault ??= 'more is sent than the batch asked for';
      }
      shard.captured = [];
    }
    for (const { delivery, slot } of served) {
      inspect(delivery);
      this.#free[slot < ORDINARY_SLOTS ? 0 : 1]!.push(slot);
    }
  }

  #total(shard: Shard): number {
    return shard.captured.length + shard.element.outbound.count;
  }

  /** Every span lies in the datagram or in text that the shard wrote. */
  #faultOfSpans({ spans, text, cursor, viaArea }: Captured, delivery: Delivery): string | null {
    const textArea = viaArea + EGRESS_ENTRIES * VIA_BYTES;
    if (spans.length > 2 * EGRESS_SPANS) return 'more spans than an entry has';
    for (let i = 0; i < spans.length; i += 2) {
      const start = spans[i]!;
      const end = start + spans[i + 1]!;
      const isDatagram = start >= delivery.start && end <= delivery.end;
      const isVia = start >= viaArea && end <= textArea && spans[i + 1]! <= VIA_BYTES;
      const isText = start >= textArea && end <= cursor;
      if (end <= start || !(isDatagram || isVia || isText))
        return 'a span lies outside of the datagram and the scratch';
    }
    const isPoisoned = text.includes(POISON_TEXT) && !latin1(delivery.datagram.bytes).includes(POISON_TEXT);
    return isPoisoned ? 'text is sent that nobody wrote' : null;
  }

  #fillHeader(word: number, shard: Shard, length: number, random: Random): Uint8Array {
    const { bytes, words } = this.arena;
    words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
    const isWildcard = shard === this.#shards[1];
    const socket = random.isOneIn(4) ? 1 : 0;
    // Socket 1 of the first is IPv6, of the second loopback; socket 0 of the second takes both.
    const isIpv6 = isWildcard ? socket === 0 && random.isOneIn(3) : socket === 1;
    const source = random.pick(isIpv6 ? SOURCES_V6 : SOURCES_V4);
    words[word + SLOT.LENGTH_WORD] = length;
    // Two further on is the same place by TCP.
    const isStream = random.isOneIn(3);
    words[word + SLOT.SOCKET_WORD] = isStream ? socket + 2 : socket;
    if (isStream) words[word + SLOT.CONNECTION_WORD] = 1 + random.below(3);
    words[word + SLOT.FAMILY_WORD] = isIpv6 ? 6 : 4;
    words[word + SLOT.PORT_WORD] = random.isOneIn(3) ? 1 + random.below(65_535) : 5060;
    bytes.set(source, (word + SLOT.SOURCE_WORD) * 4);
    if (isWildcard && socket === 0)
      bytes.set(random.pick(isIpv6 ? LOCALS_V6 : LOCALS_V4), (word + SLOT.LOCAL_WORD) * 4);
    return source;
  }

  #createShard(settings: (typeof ELEMENTS)[number], shard: number): Shard {
    const config = configSchema.parse({ mode: 'stateless', ...settings });
    const created: Shard = {
      captured: [],
      element: plainElement(this.arena, shard, {
        config,
        localAddresses: ['192.0.2.253', '10.1.2.3', '2001:db8::53'],
        resolver: {
          find: (_host, port, transport, _selector, out) => this.#find(port, transport, out),
          findNext: (_host, port, transport, _selector, _attempt, out) => this.#find(port, transport, out),
          whenResolved: () => Promise.resolve(),
        },
        flush: (outbound) => this.#send(created, shard, outbound),
        park: (slot) => this.#park(slot),
      }),
    };
    return created;
  }

  #find(port: number, transport: number, out: ResolvedAddress): number {
    const verdict = this.#random.below(this.#isResuming ? 5 : 6);
    if (verdict === 0) return NOT_FOUND;
    if (verdict >= 4) return PENDING;
    out.family = verdict === 3 ? 6 : 4;
    out.port = port === -1 ? 5060 : port;
    out.transport = transport === TRANSPORT.NONE ? TRANSPORT.UDP : transport;
    out.words.fill(0);
    for (let i = 0; i < (verdict === 3 ? 4 : 1); i++) out.words[i] = this.#random.next() | 1;
    return FOUND;
  }

  #park(slot: number): boolean {
    if (this.#parked.length >= MAX_PARKED || slot !== this.#slotInHand) return false;
    this.#isParked = true;
    return true;
  }

  /** The kernel: reads what is there now, refuses what is too long and one in a hundred others. */
  #send(shard: Shard, shardIndex: number, outbound: Outbound): number {
    const { bytes, words, map } = this.arena;
    const viaArea = map.scratch + shardIndex * SCRATCH_BYTES;
    const { cursor } = outbound;
    let refused = 0;
    for (let entry = 0; entry < outbound.count; entry++) {
      const word = (map.egress + shardIndex * EGRESS_BYTES + entry * EGRESS_STRIDE_BYTES) >> 2;
      const spans: number[] = [];
      let text = '';
      let length = 0;
      for (let i = 0; i < 2 * words[word + EGRESS.SPAN_COUNT_WORD]!; i += 2) {
        const start = words[word + EGRESS.SPANS_WORD + i]!;
        const count = words[word + EGRESS.SPANS_WORD + i + 1]!;
        spans.push(start, count);
        text += latin1(bytes.subarray(start, start + count));
        length += count;
      }
      const errno = length > MAX_SENT_BYTES ? EMSGSIZE : this.#refusal();
      words[word + EGRESS.RESULT_WORD] = errno;
      if (errno !== 0) refused++;
      shard.captured.push({ spans, text, errno, tag: words[word + EGRESS.TAG_WORD]!, cursor, viaArea });
    }
    bytes.fill(POISON, viaArea + EGRESS_ENTRIES * VIA_BYTES, cursor);
    return refused;
  }

  #refusal(): number {
    return this.#kernel.isOneIn(100) ? this.#kernel.pick([EAGAIN, ECONNREFUSED, EMSGSIZE]) : 0;
  }
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
