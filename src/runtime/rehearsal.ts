/** The rehearsal: calls and registrations that nobody made, played through an element of its own before the first datagram is
 *  taken, so that V8 has compiled what serves them. Otherwise a server needs seconds of traffic until a message costs what it
 *  will cost, and one that gets all of its traffic in the first second, as after a restart, queues for a tenth of that second.
 *  All of it is thrown away afterwards: arena, transactions, bindings, counters. Runs on a shard's thread, cold. */

import type { Config } from '../config/schema.ts';
import { createLocationTable, LocationTable } from '../location/location-table.ts';
import { createArena } from '../memory/arena.ts';
import { EGRESS, EGRESS_STRIDE_BYTES, SLOT, SLOT_HEADER_BYTES, slotOffset } from '../memory/layout.ts';
import { type CounterName, Counters, readCounters } from '../observe/counters.ts';
import { CallTrace } from '../observe/trace/call-trace.ts';
import { FilterBoard } from '../observe/trace/trace-filters.ts';
import { createTrace, MIN_RING_BYTES } from '../observe/trace/trace-layout.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { Element } from '../roles/element.ts';
import { NOT_FOUND } from '../roles/ports.ts';
import type { Outbound } from '../sip/outbound.ts';
import { TRANSPORT } from '../sip/transport.ts';

/** Addresses of documentation (RFC 5737): the server's, the caller's, the callee's. */
const SERVER = '192.0.2.1';
const CALLER = '198.51.100.1';
const CALLEE = '203.0.113.1';
const PORT = 5060;
/** From one batch to the next, by the clock of the rehearsal: the timers of finished transactions fire while others begin. */
const STEP_MS = 20;
/** What begins at once. */
const BATCH = 8;
const USERS = 16;
const SLOTS = 256;
const KEPT_BYTES = 4 * 1024 * 1024;
const TRANSACTIONS = 8192;
const SDP = [
  'v=0',
  `o=- 1 1 IN IP4 ${CALLER}`,
  's=-',
  `c=IN IP4 ${CALLER}`,
  't=0 0',
  'm=audio 6000 RTP/AVP 0 8',
  'a=rtpmap:0 PCMU/8000',
  '',
].join('\r\n');

export interface RehearsalOptions {
  /** Of the settings, those count that say how the server works; not its domains, next hops and trusted sources. */
  readonly config: Config;
  /** Milliseconds of playing after which it ends. */
  readonly budgetMs: number;
  /** Looked at between batches: true ends it at once. */
  readonly isWanted?: () => boolean;
  /** Called after each batch with the milliseconds that it took: a thread that nobody waits for lets others have the CPU. */
  readonly rest?: (playedMs: number) => void;
}

export interface Rehearsed {
  readonly datagrams: number;
  /** Calls that were answered, and exchanges beside calls. */
  readonly exchanges: number;
  readonly counters: Record<CounterName, number>;
}

/** Plays until the time is over or the thread is wanted. */
export function rehearse({ config, budgetMs, isWanted = () => false, rest }: RehearsalOptions): Rehearsed {
  const stage = new Stage(config);
  let leftMs = budgetMs;
  for (let nowMs = performance.now(); leftMs > 0 && !isWanted(); ) {
    stage.playBatch();
    const beganMs = nowMs;
    nowMs = performance.now();
    leftMs -= nowMs - beganMs;
    if (rest === undefined) continue;
    rest(nowMs - beganMs);
    nowMs = performance.now();
  }
  return stage.figures();
}

interface Datagram {
  readonly text: string;
  readonly isFromCallee: boolean;
}

/** The server under rehearsal, who calls and who is called, in one: what leaves the element is answered at once. */
class Stage {
  readonly #arena = createArena({ shardCount: 1, slotCount: SLOTS, jumboCount: 1, keptBytes: KEPT_BYTES });
  readonly #buffer = Buffer.from(this.#arena.buffer);
  readonly #callerWord = wordOf(CALLER);
  readonly #calleeWord = wordOf(CALLEE);
  readonly #location: LocationTable;
  readonly #element: Element;
  readonly #trace: CallTrace | null;
  #queue: Datagram[] = [];
  #begun = 0;
  #nowMs = 0;
  #datagrams = 0;
  #exchanges = 0;

  constructor(config: Config) {
    const table = createLocationTable({ capacity: 1000, threadCount: 1, spareBytes: 64 * 1024 }, 1);
    this.#location = new LocationTable(table, 0, this.#arena);
    const counters = new Counters(this.#arena, 0);
    this.#trace = config.trace.recentKiB === 0 ? null : this.#openTrace(config, counters);
    this.#element = new Element(this.#arena, 0, {
      flowKey: Int32Array.of(1, 2, 3, 4),
      location: this.#location,
      feed: null,
      auth: null,
      fileUsers: null,
      whenUsersKnown: () => Promise.resolve(),
      wallMs: Date.now,
      config: {
        ...config,
        domains: [],
        nextHops: [],
        trusted: ['0.0.0.0/0'],
        limits: { ...config.limits, transactions: TRANSACTIONS },
      },
      sockets: [SOCKET],
      localAddresses: [SERVER],
      counters,
      resolver: { find: () => NOT_FOUND, findNext: () => NOT_FOUND, whenResolved: () => Promise.resolve() },
      flush: (outbound) => this.#deliver(outbound),
      park: () => false,
      defer: () => false,
      random: () => (Math.random() * 2 ** 32) | 0,
      trace: this.#trace,
    });
  }

  /** Of as many calls as the real one. */
  #openTrace({ trace: { sample, messageBytes }, hep }: Config, counters: Counters): CallTrace {
    const memory = createTrace({ shardCount: 1, ringBytes: MIN_RING_BYTES, messageBytes });
    new FilterBoard(memory).keep(sample, hep.to === 'off' ? 0 : hep.sample);
    return new CallTrace(memory, this.#arena, 0, counters, [SOCKET]);
  }

  /** A duty cycle over what the last one brought, or over something new. */
  playBatch(): void {
    if (this.#queue.length === 0) for (let i = 0; i < BATCH; i++) this.#begin(++this.#begun);
    const element = this.#element;
    this.#nowMs += STEP_MS;
    this.#location.quiesce();
    while (element.advance(this.#nowMs));
    const batch = this.#queue;
    this.#queue = [];
    for (let slot = 0; slot < batch.length; slot++) {
      this.#fill(slot, batch[slot]!);
      element.serve(slot);
    }
    this.#datagrams += batch.length;
    do element.flush();
    while (element.outbound.count > 0);
  }

  figures(): Rehearsed {
    return { datagrams: this.#datagrams, exchanges: this.#exchanges, counters: readCounters(this.#arena) };
  }

  /** Half of it calls by Request-URI, the rest calls to registered users, registrations and OPTIONS. */
  #begin(number: number): void {
    const user = `u${number % USERS}`;
    const isSomebodyThere = number > USERS;
    if (number % 2 === 0) this.#push(request('INVITE', number, `sip:bob@${CALLEE}`, 1, SDP), false);
    else if (number % 8 === 1 && isSomebodyThere) this.#push(request('OPTIONS', number, `sip:bob@${CALLEE}`, 1), false);
    else if (number % 8 === 3 && isSomebodyThere)
      this.#push(request('INVITE', number, `sip:${user}@${SERVER}`, 1, SDP), false);
    else this.#push(register(number, user), false);
  }

  #push(text: string, isFromCallee: boolean): void {
    if (this.#queue.length < SLOTS) this.#queue.push({ text, isFromCallee });
  }

  #fill(slot: number, { text, isFromCallee }: Datagram): void {
    const { words, map } = this.#arena;
    const offset = slotOffset(map, slot);
    const word = offset >> 2;
    words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
    words[word + SLOT.LENGTH_WORD] = text.length;
    words[word + SLOT.FAMILY_WORD] = 4;
    words[word + SLOT.PORT_WORD] = PORT;
    words[word + SLOT.SOURCE_WORD] = isFromCallee ? this.#calleeWord : this.#callerWord;
    this.#buffer.write(text, offset + SLOT_HEADER_BYTES, 'latin1');
  }

  /** In the kernel's place. */
  #deliver(outbound: Outbound): number {
    const { words, map } = this.#arena;
    for (let entry = 0; entry < outbound.count; entry++) {
      const word = (map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
      words[word + EGRESS.RESULT_WORD] = 0;
      let text = '';
      for (let i = 0; i < 2 * words[word + EGRESS.SPAN_COUNT_WORD]!; i += 2) {
        const start = words[word + EGRESS.SPANS_WORD + i]!;
        text += this.#buffer.toString('latin1', start, start + words[word + EGRESS.SPANS_WORD + i + 1]!);
      }
      if (words[word + EGRESS.ADDRESS_WORD] === this.#calleeWord) this.#answer(text);
      else this.#goOn(text);
    }
    this.#trace?.sent(outbound);
    return 0;
  }

  /** The callee gets something. */
  #answer(text: string): void {
    if (text.startsWith('ACK ') || text.startsWith('SIP/')) return;
    if (!text.startsWith('INVITE ')) {
      this.#push(`SIP/2.0 200 OK\r\n${echoOf(text)}\r\nContent-Length: 0\r\n\r\n`, true);
      return;
    }
    const echo = `${echoOf(text)}\r\nContact: <sip:bob@${CALLEE}>`;
    this.#push(`SIP/2.0 180 Ringing\r\n${echo}\r\nContent-Length: 0\r\n\r\n`, true);
    this.#push(`SIP/2.0 200 OK\r\n${echo}\r\n${bodyLines(SDP)}`, true);
  }

  /** The caller gets something. */
  #goOn(text: string): void {
    if (!text.startsWith('SIP/2.0 200')) return;
    this.#exchanges++;
    if (!/^CSeq: 1 INVITE\r$/m.test(text)) return;
    const number = Number(/^Call-ID: (\d+)/m.exec(text)?.[1]);
    let routes = '';
    for (const [, route] of text.matchAll(/^Record-Route: (.*)\r$/gm)) routes = `Route: ${route}\r\n${routes}`;
    this.#push(request('ACK', number, `sip:bob@${CALLEE}`, 1, '', routes), false);
    this.#push(request('BYE', number, `sip:bob@${CALLEE}`, 2, '', routes), false);
  }
}

const SOCKET: BoundSocket = {
  socket: 0,
  transport: TRANSPORT.UDP,
  family: 4,
  isDualStack: false,
  address: SERVER,
  port: PORT,
  isWildcard: false,
  advertisedHost: null,
  advertisedPort: null,
};

function request(
  method: string,
  number: number,
  uri: string,
  cseq: number,
  body = '',
  routes: string | null = null,
): string {
  return (
    `${method} ${uri} SIP/2.0\r\n` +
    `Via: SIP/2.0/UDP ${CALLER}:${PORT};branch=z9hG4bK-${number}-${method === 'ACK' ? 'ack' : cseq};rport\r\n` +
    `${routes ?? ''}Max-Forwards: 70\r\n` +
    `From: "Alice" <sip:alice@${CALLER}>;tag=${number}\r\n` +
    `To: <sip:bob@${CALLEE}>${routes === null ? '' : ';tag=b'}\r\n` +
    `Call-ID: ${number}@${CALLER}\r\nCSeq: ${cseq} ${method}\r\n` +
    `Contact: <sip:alice@${CALLER}:${PORT}>\r\n${MORE_LINES[number % MORE_LINES.length]}${bodyLines(body)}`
  );
}

function register(number: number, user: string): string {
  return (
    `REGISTER sip:${SERVER} SIP/2.0\r\n` +
    `Via: SIP/2.0/UDP ${CALLER}:${PORT};branch=z9hG4bK-${number};rport\r\n` +
    `Max-Forwards: 70\r\nFrom: <sip:${user}@${SERVER}>;tag=${number}\r\nTo: <sip:${user}@${SERVER}>\r\n` +
    `Call-ID: ${user}@${CALLER}\r\nCSeq: ${number} REGISTER\r\n` +
    `Contact: <sip:${user}@${CALLEE}:${PORT}>;expires=3600\r\n${bodyLines('')}`
  );
}

function bodyLines(body: string): string {
  const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
  return `${type}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** The header lines of a request that its responses repeat, To with a tag and without a line end at the end. */
function echoOf(text: string): string {
  let lines = '';
  let to = '';
  for (const line of text.split('\r\n')) {
    if (line === '') break;
    if (line.startsWith('To:')) to = line.endsWith(';tag=b') ? line : `${line};tag=b`;
    else if (/^(?:Via|Record-Route|From|Call-ID|CSeq):/.test(line)) lines += `${line}\r\n`;
  }
  return lines + to;
}

/** What clients say beside what a proxy reads, and how else they write it. */
const MORE_LINES = [
  'User-Agent: Rehearsal/1.0\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE, UPDATE\r\n',
  'Subject: A rehearsal\r\nSupported: timer, 100rel\r\n',
  's: A rehearsal\r\nk: timer\r\nX-Account: 1234\r\n',
  'P-Asserted-Identity: "Alice" <sip:alice@198.51.100.1>\r\nAccept: application/sdp\r\n',
];

/** An IPv4 address as a slot's header has it. */
function wordOf(address: string): number {
  return new Int32Array(Uint8Array.from(address.split('.'), Number).buffer)[0]!;
}
