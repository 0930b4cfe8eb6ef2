/** A session of the fuzzer with the stateful proxy: calls that begin, spoiled messages, and answers to what the element itself
 *  sent, right or slightly spoiled, so that they meet live transactions; time goes on now and then. All of it follows from
 *  the seed of the session, which ends with a long quiet, after which nothing may be held. */

import { performance } from 'node:perf_hooks';
import { configSchema } from '../../src/config/schema.ts';
import { type Arena, createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_ENTRIES,
  EGRESS_SPANS,
  EGRESS_STRIDE_BYTES,
  SCRATCH_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { readCounters } from '../../src/observe/counters.ts';
import type { Element } from '../../src/roles/element.ts';
import { FOUND, NOT_FOUND, PENDING, type ResolvedAddress } from '../../src/roles/ports.ts';
import { MessageIndex } from '../../src/sip/message-index.ts';
import { type Outbound, VIA_BYTES } from '../../src/sip/outbound.ts';
import { MESSAGE_ERROR, parseMessage } from '../../src/sip/parse-message.ts';
import { classifyDatagram, DATAGRAM } from '../../src/sip/scan.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';
import { request } from '../flows/messages.ts';
import { addressBytes } from '../flows/virtual-network.ts';
import { plainElement } from '../roles/plain-element.ts';
import { mutate } from './mutation.ts';
import { Random } from './random.ts';
import { readSeedMessages } from './seed-messages.ts';

export interface SessionResult {
  /** The first fault, or null. */
  readonly fault: string | null;
  /** The datagram it was seen with; empty if with none. */
  readonly bytes: Uint8Array;
  readonly served: number;
  readonly sent: number;
  readonly slowestMs: number;
  /** Retransmissions absorbed, late and forged responses and the like: the session met transactions. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Datagrams of one session. */
export const SESSION = 2048;

const BATCH = 32;
const SLOTS = 128;
const JUMBOS = 32;
const KEPT_KIB = 1024;
const REMEMBERED = 64;
const MAX_WAITING = 20;
/** Longer than Timer C, what follows it, and Timer D. */
const QUIET_MS = 400_000;
/** Targets of one request at the most, and what else one datagram may ask for. */
const MAX_SENT = 64 + 4;
const MAX_SENT_BYTES = 65_507;
const EAGAIN = 11;
const EMSGSIZE = 90;
const ECONNREFUSED = 111;
const POISON = 0xee;
const POISON_TEXT = '\xee\xee\xee\xee';
const NOTHING = new Uint8Array(0);

const SETTINGS = {
  mode: 'stateful',
  listen: ['udp:192.0.2.254:5060', 'udp:[2001:db8::53]:5060', 'tcp:192.0.2.254:5060', 'tcp:[2001:db8::53]:5060'],
  domains: [
    'biloxi.example',
    { name: 'hop.example', nextHops: ['sip:next.hop.example', { uri: 'sip:192.0.2.31', priority: 1 }] },
    {
      name: 'fork.example',
      users: [
        {
          user: 'bob',
          contacts: ['sip:bob@192.0.2.41', 'sip:bob@pending.example', { uri: 'sip:b@192.0.2.43', q: 0.5 }],
        },
      ],
    },
  ],
  nextHops: ['sip:192.0.2.30:5080', { uri: 'sip:192.0.2.32', priority: 1 }],
  redirects: 'recurse',
  timers: { t1Ms: 100, t2Ms: 800, t4Ms: 1000, timerCSec: 5 },
  trusted: ['0.0.0.0/0', '::/0'],
  limits: { transactions: 1024 },
} as const;
const STATUSES = [
  '100 T',
  '180 R',
  '183 P',
  '200 OK',
  '200 OK',
  '302 M',
  '401 U',
  '404 N',
  '408 T',
  '487 C',
  '503 S',
  '603 D',
];
const METHODS = ['INVITE', 'INVITE', 'INVITE', 'OPTIONS', 'MESSAGE', 'BYE', 'SUBSCRIBE'];
const URIS = [
  'sip:bob@biloxi.example',
  'sip:bob@hop.example',
  'sip:bob@fork.example',
  'sip:bob@fork.example',
  'sip:bob@192.0.2.77',
];

const seeds = readSeedMessages();

interface Captured {
  readonly spans: readonly number[];
  readonly text: string;
  readonly length: number;
  readonly isSent: boolean;
  readonly cursor: number;
}

export function runSession(seed: number, count = SESSION): SessionResult {
  return new Session(seed).run(count);
}

class Session {
  readonly #random: Random;
  readonly #arena: Arena;
  readonly #element: Element;
  readonly #freeSlots = Array.from({ length: SLOTS }, (_, i) => i);
  readonly #freeJumbos = Array.from({ length: JUMBOS }, (_, i) => SLOTS + i);
  /** What waits for a look-up. */
  #waiting: (() => void)[] = [];
  #isParked = false;
  #isSettling = false;
  #captured: Captured[] = [];
  readonly #recent: string[] = [];
  readonly #requests: string[] = [];
  #serial = 0;
  #nowMs = 0;
  #sent = 0;
  #slowestMs = 0;
  #fault: string | null = null;
  #bytes: Uint8Array = NOTHING;
  readonly #index = new MessageIndex();

  constructor(seed: number) {
    this.#random = new Random(seed ^ 0x73746174);
    const arena = createArena({ shardCount: 1, slotCount: SLOTS, jumboCount: JUMBOS + 1, keptBytes: KEPT_KIB * 1024 });
    this.#arena = arena;
    const config = configSchema.parse(SETTINGS);
    this.#element = plainElement(arena, 0, {
      config,
      localAddresses: ['192.0.2.254', '2001:db8::53'],
      resolver: {
        find: (_host, port, transport, _selector, out) => this.#find(port, transport, 0, out),
        findNext: (_host, port, transport, _selector, attempt, out) => this.#find(port, transport, attempt, out),
        whenResolved: () => Promise.resolve(),
      },
      flush: (outbound) => this.#send(outbound),
      defer: (resume) => this.#wait(resume),
      park: (slot) => {
        this.#isParked = this.#wait(() => {
          this.#element.resume(slot);
          this.#flush();
          this.#giveBack(slot);
        });
        return this.#isParked;
      },
      random: () => this.#random.next() | 0,
    });
  }

  run(count: number): SessionResult {
    let served = 0;
    try {
      for (; served < count && this.#fault === null; served += BATCH) {
        this.#round(Math.min(BATCH, count - served));
        this.#passTime();
      }
      if (this.#fault === null) this.#end();
    } catch (error) {
      this.#fault = `throws ${error instanceof Error ? (error.stack ?? error.message) : error}`;
    }
    return {
      fault: this.#fault,
      bytes: this.#bytes,
      served,
      sent: this.#sent,
      slowestMs: this.#slowestMs,
      counters: readCounters(this.#arena),
    };
  }

  /** A duty cycle: timers, a batch, one flush; then some of the look-ups settle. */
  #round(count: number): void {
    const element = this.#element;
    element.advance(this.#nowMs);
    const given: { readonly bytes: Uint8Array; readonly slot: number; readonly from: number; readonly to: number }[] =
      [];
    for (let i = 0; i < count; i++) {
      const bytes = this.#next();
      const slot = (bytes.length > SLOT_PAYLOAD_BYTES ? this.#freeJumbos : this.#freeSlots).pop();
      if (slot === undefined) continue;
      const { start, end } = this.#fill(slot, bytes);
      if (classifyDatagram(this.#arena.bytes, start, end) > DATAGRAM.STUN) {
        this.#giveBack(slot);
        continue;
      }
      this.#bytes = bytes;
      this.#isParked = false;
      const from = this.#total();
      const beforeMs = performance.now();
      const isDone = element.serve(slot);
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - beforeMs);
      if (isDone === this.#isParked) this.#fail('serve says one thing and parks another');
      if (isDone) given.push({ bytes, slot, from, to: this.#total() });
      if (element.outbound.cursor > this.#arena.map.scratch + SCRATCH_BYTES)
        this.#fail('text is written beyond the scratch');
    }
    this.#flush(false);
    for (const { bytes, slot, from, to } of given) {
      if (this.#fault === null) {
        this.#bytes = bytes;
        this.#judge(bytes, this.#captured.slice(from, to));
      }
      this.#giveBack(slot);
    }
    this.#forget();
    const due = this.#waiting.splice(0, this.#random.below(this.#waiting.length + 1));
    for (const resume of due) resume();
    this.#flush();
  }

  #passTime(): void {
    const { above, ms } = this.#random.isOneIn(8)
      ? { above: 1, ms: 40_000 }
      : { above: 1, ms: this.#random.pick([1, 50, 400, 2000]) };
    this.#advance(above + this.#random.below(ms));
  }

  #advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    while (this.#nowMs < endMs) {
      this.#nowMs = Math.min(endMs, Math.max(this.#nowMs + 1, Math.ceil(this.#element.nextDeadlineMs())));
      while (this.#element.advance(this.#nowMs));
      this.#flush();
    }
  }

  #end(): void {
    this.#bytes = NOTHING;
    this.#isSettling = true;
    for (let i = 0; i < 4; i++) {
      for (const resume of this.#waiting.splice(0)) resume();
      this.#flush();
      this.#advance(QUIET_MS);
    }
    const { serverTransactions, clientTransactions, keptMessages } = this.#element.occupancy();
    if (serverTransactions + clientTransactions + keptMessages > 0)
      this.#fail(
        `held at the end: ${serverTransactions} server, ${clientTransactions} client transactions, ${keptMessages} messages`,
      );
    const counters = readCounters(this.#arena);
    if (counters.server_transactions_total !== counters.server_transactions_ended_total)
      this.#fail('server transactions begun and not ended');
    if (counters.client_transactions_total !== counters.client_transactions_ended_total)
      this.#fail('client transactions begun and not ended');
  }

  // ---- What comes in ----------------------------------------------------------------------------------------------

  #next(): Uint8Array {
    const random = this.#random;
    switch (random.below(8)) {
      case 0:
        return mutate(random, seeds);
      case 1:
      case 2:
        return this.#perhapsSpoiled(this.#newRequest(), 4);
      case 3:
        return this.#perhapsSpoiled(this.#ofRequest(), 4);
      default:
        return this.#recent.length === 0
          ? mutate(random, seeds)
          : this.#perhapsSpoiled(this.#reaction(random.pick(this.#recent)), 3);
    }
  }

  #perhapsSpoiled(text: string, oneIn: number): Uint8Array {
    const bytes = Buffer.from(text, 'latin1');
    return this.#random.isOneIn(oneIn) ? mutate(this.#random, [bytes]) : bytes;
  }

  #newRequest(): string {
    const random = this.#random;
    const method = random.pick(METHODS);
    const serial = this.#serial++;
    const text = request({
      method,
      uri: random.pick(URIS),
      via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKf${serial}${random.isOneIn(3) ? ';rport' : ''}`,
      callId: `f${serial}`,
      cseq: `1 ${method}`,
      ...(random.isOneIn(4) ? { headers: [`Max-Breadth: ${random.below(4)}`] } : {}),
      ...(random.isOneIn(3) ? { body: 'v=0\r\n'.repeat(random.below(200)) } : {}),
    });
    this.#requests.push(text);
    if (this.#requests.length > REMEMBERED) this.#requests.shift();
    return text;
  }

  /** The same again, its CANCEL or an ACK. */
  #ofRequest(): string {
    if (this.#requests.length === 0) return this.#newRequest();
    const text = this.#random.pick(this.#requests);
    const method = text.slice(0, text.indexOf(' '));
    const other = this.#random.pick([method, method, 'CANCEL', 'ACK']);
    return `${other}${text.slice(method.length)}`.replace(`CSeq: 1 ${method}`, `CSeq: 1 ${other}`);
  }

  /** To a request an answer, to a response an ACK; or the message itself comes back. */
  #reaction(text: string): string {
    const random = this.#random;
    if (random.isOneIn(16)) return text;
    const lines = text.slice(0, Math.max(0, text.indexOf('\r\n\r\n'))).split('\r\n');
    const start = lines.shift() ?? '';
    const kept = lines.filter((line) => /^(?:via|v|from|f|to|t|call-id|i|cseq|record-route)\s*:/i.test(line));
    if (!start.startsWith('SIP/2.0')) {
      const answer = kept.map((line) =>
        /^to:/i.test(line) && !line.includes('tag=') ? `${line};tag=${random.below(3)}` : line,
      );
      const contacts = random.isOneIn(2)
        ? [`Contact: <sip:c${random.below(9)}@192.0.2.${40 + random.below(9)}>;q=0.${random.below(9)}`]
        : [];
      const challenge = ['WWW-Authenticate: Digest realm="a"'];
      return [
        `SIP/2.0 ${random.pick(STATUSES)}`,
        ...answer,
        ...contacts,
        ...challenge,
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n');
    }
    const cseqs = kept.map((line) => line.replace(/^(cseq:\s*\d+) \S+/i, '$1 ACK'));
    return [`ACK sip:bob@biloxi.example SIP/2.0`, ...cseqs, 'Content-Length: 0', '', ''].join('\r\n');
  }

  #fill(slot: number, payload: Uint8Array): { readonly start: number; readonly end: number } {
    const { bytes, words, map } = this.#arena;
    const random = this.#random;
    const offset = slotOffset(map, slot);
    const word = offset >> 2;
    const isIpv6 = random.isOneIn(8);
    words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
    words[word + SLOT.LENGTH_WORD] = payload.length;
    // Two further on is the same place by TCP.
    const isStream = this.#random.isOneIn(3);
    words[word + SLOT.SOCKET_WORD] = (isIpv6 ? 1 : 0) + (isStream ? 2 : 0);
    if (isStream) words[word + SLOT.CONNECTION_WORD] = 1 + this.#random.below(3);
    words[word + SLOT.FAMILY_WORD] = isIpv6 ? 6 : 4;
    words[word + SLOT.PORT_WORD] = 5060;
    bytes.set(isIpv6 ? SOURCE_V6 : SOURCE_V4, (word + SLOT.SOURCE_WORD) * 4);
    bytes.set(payload, offset + SLOT_HEADER_BYTES);
    return { start: offset + SLOT_HEADER_BYTES, end: offset + SLOT_HEADER_BYTES + payload.length };
  }

  #giveBack(slot: number): void {
    (slot < SLOTS ? this.#freeSlots : this.#freeJumbos).push(slot);
  }

  // ---- What goes out ----------------------------------------------------------------------------------------------

  #judge(bytes: Uint8Array, captured: readonly Captured[]): void {
    if (captured.length > MAX_SENT) this.#fail(`${captured.length} messages leave for one datagram`);
    const isAck = bytes.length > 4 && bytes[0] === 0x41 && bytes[1] === 0x43 && bytes[2] === 0x4b && bytes[3] === 0x20;
    if (isAck && captured.some(({ text }) => text.startsWith('SIP/'))) this.#fail('an ACK is answered');
  }

  /** Of every message: its spans lie in the slots, the kept messages or text of ours, and it parses. */
  #faultOf({ spans, text, length, cursor }: Captured): string | null {
    const { bytes, words, map } = this.#arena;
    const viaArea = map.scratch;
    const textArea = viaArea + EGRESS_ENTRIES * VIA_BYTES;
    if (spans.length > 2 * EGRESS_SPANS) return 'more spans than an entry has';
    for (let i = 0; i < spans.length; i += 2) {
      const start = spans[i]!;
      const end = start + spans[i + 1]!;
      const isSlot = start >= map.slots && end <= map.egress;
      const isVia = start >= viaArea && end <= textArea && spans[i + 1]! <= VIA_BYTES;
      const isText = start >= textArea && end <= cursor;
      const isKept = start >= map.kept && end <= map.kept + map.keptBytes;
      if (end <= start || !(isSlot || isVia || isText || isKept)) return 'a span lies where nothing of ours is';
    }
    if (text.includes(POISON_TEXT)) return 'text is sent that nobody wrote';
    if (text.charCodeAt(0) < 4 || length > MAX_SENT_BYTES) return null;
    // The last jumbo slot is nobody's.
    const pad = slotOffset(map, SLOTS + JUMBOS) + SLOT_HEADER_BYTES;
    Buffer.from(bytes.buffer, bytes.byteOffset + pad, length).write(text, 'latin1');
    const error = parseMessage(bytes, words, pad, pad + length, this.#index);
    return error === MESSAGE_ERROR.NONE || error === MESSAGE_ERROR.TOO_MANY_HEADERS
      ? null
      : 'what is sent does not parse';
  }

  #flush(isForgetting = true): void {
    do this.#element.flush();
    while (this.#element.outbound.count > 0);
    if (isForgetting) this.#forget();
  }

  #forget(): void {
    for (const { text, isSent } of this.#captured) {
      if (!isSent) continue;
      this.#sent++;
      if (text.length > 3000) continue;
      if (this.#recent.length < REMEMBERED) this.#recent.push(text);
      else this.#recent[this.#random.below(REMEMBERED)] = text;
    }
    this.#captured = [];
  }

  #total(): number {
    return this.#captured.length + this.#element.outbound.count;
  }

  #send(outbound: Outbound): number {
    const { bytes, words, map } = this.#arena;
    const { cursor } = outbound;
    let refused = 0;
    for (let entry = 0; entry < outbound.count; entry++) {
      const word = (map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
      const spans: number[] = [];
      let text = '';
      for (let i = 0; i < 2 * words[word + EGRESS.SPAN_COUNT_WORD]!; i += 2) {
        const start = words[word + EGRESS.SPANS_WORD + i]!;
        const length = words[word + EGRESS.SPANS_WORD + i + 1]!;
        spans.push(start, length);
        text += Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
      }
      const errno = text.length > MAX_SENT_BYTES ? EMSGSIZE : this.#refusal();
      words[word + EGRESS.RESULT_WORD] = errno;
      if (errno !== 0) refused++;
      const captured = { spans, text, length: text.length, isSent: errno === 0, cursor };
      this.#captured.push(captured);
      const fault = this.#faultOf(captured);
      if (fault !== null) this.#fail(fault);
    }
    bytes.fill(POISON, map.scratch + EGRESS_ENTRIES * VIA_BYTES, cursor);
    return refused;
  }

  #refusal(): number {
    return this.#random.isOneIn(100) ? this.#random.pick([EAGAIN, ECONNREFUSED, EMSGSIZE]) : 0;
  }

  #find(port: number, transport: number, attempt: number, out: ResolvedAddress): number {
    const verdict = this.#random.below(6);
    if (verdict === 0 || attempt > 2) return NOT_FOUND;
    if (verdict >= 4 && !this.#isSettling) return PENDING;
    out.family = verdict === 3 ? 6 : 4;
    out.port = port === -1 ? 5060 : port;
    out.transport = transport === TRANSPORT.NONE ? TRANSPORT.UDP : transport;
    out.words.fill(0);
    for (let i = 0; i < (verdict === 3 ? 4 : 1); i++) out.words[i] = this.#random.next() | 1;
    return FOUND;
  }

  #wait(resume: () => void): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(resume);
    return true;
  }

  #fail(fault: string): void {
    this.#fault ??= fault;
  }
}

const SOURCE_V4 = addressBytes('192.0.2.10');
const SOURCE_V6 = addressBytes('2001:db8::9');
