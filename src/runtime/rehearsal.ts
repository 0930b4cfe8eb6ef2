/** The rehearsal: calls and registrations that nobody made, played through an intake and an element of its own before the first
 *  datagram is taken, so that V8 has compiled what serves them. Otherwise a server needs seconds of traffic until a message costs what it
 *  will cost, and one that gets all of its traffic in the first second, as after a restart, queues for a tenth of that second.
 *  What is rare is played as well: callees that are busy, hang up or say nothing, floods. V8 compiles a function without those of its
 *  branches that were never taken, and compiles it anew, with all that it had put into it, the first time one is: in a flood that is
 *  when there is least time for it.
 *  All of it is thrown away afterwards: arena, transactions, bindings, counters. Runs on a shard's thread, cold. */

import { hash } from 'node:crypto';
import { ALGORITHM_NAMES, NODE_HASHES } from '../auth/algorithms.ts';
import { bufferOf } from '../base/cache-lines.ts';
import type { Config } from '../config/schema.ts';
import { createLocationTable, LocationTable } from '../location/location-table.ts';
import { createArena } from '../memory/arena.ts';
import {
  EGRESS,
  EGRESS_STRIDE_BYTES,
  ingressRingOffset,
  RECEIVE_BATCH,
  returnRingOffset,
  SLOT,
  SLOT_HEADER_BYTES,
  slotOffset,
} from '../memory/layout.ts';
import { RingConsumer, RingProducer } from '../memory/slot-ring.ts';
import { type CounterName, Counters, readCounters } from '../observe/counters.ts';
import { CallTrace } from '../observe/trace/call-trace.ts';
import { FilterBoard } from '../observe/trace/trace-filters.ts';
import { createTrace, MIN_RING_BYTES } from '../observe/trace/trace-layout.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { Element } from '../roles/element.ts';
import { NOT_FOUND } from '../roles/ports.ts';
import type { Outbound } from '../sip/outbound.ts';
import { TRANSPORT } from '../sip/transport.ts';
import { Intake } from './intake.ts';
import type { IntakeKernel } from './intake-kernel.ts';
import { RingDepth } from './ring-depth.ts';
import { openAuth, shareAuth } from './shared-auth.ts';

/** Addresses of documentation (RFC 5737): the server's, the caller's, the callee's. */
const SERVER = '192.0.2.1';
const CALLER = '198.51.100.1';
const CALLEE = '203.0.113.1';
const PORT = 5060;
/** From one batch to the next, by the clock of the rehearsal: less than until something is sent again, and so much that those calls
 *  that nobody answers, and finished transactions, come to their ends. */
const STEP_MS = 200;
/** What begins at once. */
const BATCH = 8;
/** One in so many batches is a flood, one of the first among them: of so many INVITEs, of which the element refuses some, and the
 *  intake drops the last. */
const FLOOD_ONE_IN = 32;
const FIRST_FLOOD = 4;
const FLOOD_INVITES = 48;
const REJECT_ABOVE = 24;
const SHED_ABOVE = 40;
const USERS = 16;
const PASSWORD = 'rehearsal';
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

/** What becomes of calls. */
const PLOT = { ANSWERED: 0, BUSY: 1, UNANSWERED: 2, CANCELLED: 3, REPEATED: 4 } as const;

/** One INVITE in four is not simply answered. */
function plotOf(number: number): number {
  return number % 8 === 6 ? PLOT.BUSY + ((number >> 3) & 3) : PLOT.ANSWERED;
}

/** The server under rehearsal, who calls and who is called, in one: what leaves the element is answered at once. */
class Stage {
  readonly #arena = createArena({ shardCount: 1, slotCount: SLOTS, jumboCount: 1, keptBytes: KEPT_BYTES });
  readonly #buffer = bufferOf(this.#arena.buffer);
  readonly #callerWord = wordOf(CALLER);
  readonly #calleeWord = wordOf(CALLEE);
  readonly #location: LocationTable;
  readonly #element: Element;
  readonly #trace: CallTrace | null;
  readonly #intake: Intake;
  readonly #ingress: RingConsumer;
  readonly #returns: RingProducer;
  readonly #depth: RingDepth;
  #queue: Datagram[] = [];
  /** What the callee repeats of an INVITE that is to be cancelled. */
  readonly #ringing = new Map<number, string>();
  #batches = 0;
  #begun = 0;
  #nowMs = 0;
  #datagrams = 0;
  #exchanges = 0;

  constructor(config: Config) {
    const table = createLocationTable({ capacity: 1000, threadCount: 1, spareBytes: 64 * 1024 }, 1);
    this.#location = new LocationTable(table, 0, this.#arena);
    const counters = new Counters(this.#arena, 0);
    this.#trace = config.trace.recentKiB === 0 ? null : this.#openTrace(config, counters);
    // Users prove who they are if those of the real one do.
    const domains = securedDomains(config);
    this.#element = new Element(this.#arena, 0, {
      flowKey: Int32Array.of(1, 2, 3, 4),
      location: this.#location,
      feed: null,
      auth: openAuth(shareAuth({ ...config, domains })),
      fileUsers: null,
      whenUsersKnown: () => Promise.resolve(),
      wallMs: Date.now,
      config: {
        ...config,
        domains,
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
    const { words, map } = this.#arena;
    this.#intake = new Intake({
      arena: this.#arena,
      counters,
      shardFds: [-1],
      overloadMark: SHED_ABOVE,
      topSources: null,
      sockets: [{ socket: SOCKET.socket, receiveBufferBytes: 0 }],
      kernelMark: config.limits.shedInKernel ? REJECT_ABOVE : null,
      kernel: this.#kernel(),
    });
    this.#intake.useSockets(true);
    // Fresh memory says that all slots are the first shard's.
    this.#intake.sweep(0);
    this.#ingress = new RingConsumer(words, ingressRingOffset(map, 0), map.ringCapacity);
    this.#returns = new RingProducer(words, returnRingOffset(map, 0), map.ringCapacity);
    this.#depth = new RingDepth(this.#arena, 0, REJECT_ABOVE, (isOverloaded) =>
      this.#element.setOverloaded(isOverloaded),
    );
  }

  /** Its sockets have what is in the queue. */
  #kernel(): IntakeKernel {
    const { words, map } = this.#arena;
    return {
      receiveBatch: (count) => {
        const batch = this.#queue.splice(0, Math.min(count, RECEIVE_BATCH));
        for (const [i, datagram] of batch.entries()) this.#fill(words[(map.plan >> 2) + i]!, datagram);
        return batch.length;
      },
      receiveDrops: () => 0,
      receiveQueued: () => 0,
      setFilter: () => 0,
      signal: () => undefined,
    };
  }

  /** Of as many calls as the real one. */
  #openTrace({ trace: { sample, messageBytes }, hep }: Config, counters: Counters): CallTrace {
    const memory = createTrace({ shardCount: 1, ringBytes: MIN_RING_BYTES, messageBytes });
    new FilterBoard(memory).keep(sample, hep.to === 'off' ? 0 : hep.sample);
    return new CallTrace(memory, this.#arena, 0, counters, [SOCKET]);
  }

  /** A duty cycle over what the last one brought, or over something new. */
  playBatch(): void {
    if (this.#queue.length === 0) this.#beginBatch();
    const element = this.#element;
    this.#nowMs += STEP_MS;
    this.#location.quiesce();
    while (element.advance(this.#nowMs));
    do this.#datagrams += this.#intake.receive(0);
    while (this.#intake.isFull);
    const available = this.#ingress.poll();
    this.#depth.look(available);
    for (let i = 0; i < available; i++) {
      const slot = this.#ingress.take();
      element.serve(slot);
      this.#returns.offer(slot);
    }
    this.#ingress.release();
    do element.flush();
    while (element.outbound.count > 0);
    this.#returns.publish();
  }

  #beginBatch(): void {
    if (++this.#batches % FLOOD_ONE_IN !== FIRST_FLOOD) {
      for (let i = 0; i < BATCH; i++) this.#begin(++this.#begun);
      return;
    }
    this.#begun += this.#begun % 2;
    for (let i = 0; i < FLOOD_INVITES; i++) this.#begin((this.#begun += 2));
  }

  figures(): Rehearsed {
    return { datagrams: this.#datagrams, exchanges: this.#exchanges, counters: readCounters(this.#arena) };
  }

  /** Half of it calls by Request-URI, the rest calls to registered users, registrations and OPTIONS. */
  #begin(number: number): void {
    const user = `u${number % USERS}`;
    const isSomebodyThere = number > USERS;
    if (number % 2 === 0) {
      const invite = request('INVITE', number, `sip:bob@${CALLEE}`, 1, SDP);
      this.#push(invite, false);
      if (plotOf(number) === PLOT.REPEATED) this.#push(invite, false);
    } else if (number % 8 === 1 && isSomebodyThere)
      this.#push(request('OPTIONS', number, `sip:bob@${CALLEE}`, 1), false);
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
    const echo = echoOf(text);
    if (!text.startsWith('INVITE ')) {
      this.#push(`SIP/2.0 200 OK\r\n${echo}\r\n${NO_BODY}`, true);
      if (!text.startsWith('CANCEL ')) return;
      const number = numberOf(text);
      this.#push(`SIP/2.0 487 Request Terminated\r\n${this.#ringing.get(number)}\r\n${NO_BODY}`, true);
      this.#ringing.delete(number);
      return;
    }
    const number = numberOf(text);
    const plot = plotOf(number);
    if (plot === PLOT.UNANSWERED) return;
    if (plot === PLOT.BUSY) {
      this.#push(`SIP/2.0 486 Busy Here\r\n${echo}\r\n${NO_BODY}`, true);
      return;
    }
    const contact = `Contact: <sip:bob@${CALLEE}>`;
    this.#push(`SIP/2.0 180 Ringing\r\n${echo}\r\n${contact}\r\n${NO_BODY}`, true);
    if (plot === PLOT.CANCELLED) {
      this.#ringing.set(number, echo);
      return;
    }
    this.#push(`SIP/2.0 200 OK\r\n${echo}\r\n${contact}\r\n${bodyLines(SDP)}`, true);
  }

  /** The caller gets something. */
  #goOn(text: string): void {
    const status = Number(text.slice(8, 11));
    if (status === 200) this.#exchanges++;
    if (status === 401)
      this.#push(register(numberIn(text, /^CSeq: (\d+)/m) >> 1, userOf(text), credentialsFor(text)), false);
    if (!/^CSeq: 1 INVITE\r$/m.test(text)) return;
    const number = numberOf(text);
    if (status >= 300) {
      this.#push(request('ACK', number, `sip:bob@${CALLEE}`, 1, '', '', tagOf(text)), false);
    } else if (status === 200) {
      let routes = '';
      for (const [, route] of text.matchAll(/^Record-Route: (.*)\r$/gm)) routes = `Route: ${route}\r\n${routes}`;
      this.#push(request('ACK', number, `sip:bob@${CALLEE}`, 2, '', routes, tagOf(text)), false);
      this.#push(request('BYE', number, `sip:bob@${CALLEE}`, 3, '', routes, tagOf(text)), false);
    } else if (status === 180 && plotOf(number) === PLOT.CANCELLED) {
      this.#push(request('CANCEL', number, `sip:bob@${CALLEE}`, 1), false);
    }
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

/** `transaction`: those with the same have the same branch. */
function request(
  method: string,
  number: number,
  uri: string,
  transaction: number,
  body = '',
  routes = '',
  toTag = '',
): string {
  const cseq = method === 'BYE' ? 2 : 1;
  return (
    `${method} ${uri} SIP/2.0\r\n` +
    `Via: SIP/2.0/UDP ${CALLER}:${PORT};branch=z9hG4bK-${number}-${transaction};rport\r\n` +
    `${routes}Max-Forwards: 70\r\n` +
    `From: "Alice" <sip:alice@${CALLER}>;tag=${number}\r\n` +
    `To: <sip:bob@${CALLEE}>${toTag}\r\n` +
    `Call-ID: ${number}@${CALLER}\r\nCSeq: ${cseq} ${method}\r\n` +
    `Contact: <sip:alice@${CALLER}:${PORT}>\r\n${MORE_LINES[number % MORE_LINES.length]}${bodyLines(body)}`
  );
}

function numberOf(text: string): number {
  return numberIn(text, /^Call-ID: (\d+)/m);
}

function numberIn(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1]);
}

function userOf(text: string): string {
  return /^To: <sip:([^@]*)@/m.exec(text)?.[1] ?? '';
}

function tagOf(text: string): string {
  return /^To: [^;]*(;tag=[^;\r]*)/m.exec(text)?.[1] ?? '';
}

function register(number: number, user: string, credentials = ''): string {
  const cseq = credentials === '' ? number * 2 : number * 2 + 1;
  return (
    `REGISTER sip:${SERVER} SIP/2.0\r\n` +
    `Via: SIP/2.0/UDP ${CALLER}:${PORT};branch=z9hG4bK-${cseq}-r;rport\r\n` +
    `Max-Forwards: 70\r\nFrom: <sip:${user}@${SERVER}>;tag=${number}\r\nTo: <sip:${user}@${SERVER}>\r\n` +
    `Call-ID: ${user}@${CALLER}\r\nCSeq: ${cseq} REGISTER\r\n${credentials}` +
    `Contact: <sip:${user}@${CALLEE}:${PORT}>;expires=3600\r\n${bodyLines('')}`
  );
}

/** A domain like the first of the real ones that ask for passwords; none if there is none. */
function securedDomains({ domains }: Config): Config['domains'] {
  const users = Array.from({ length: USERS }, (_, i) => ({ user: `u${i}`, password: PASSWORD, contacts: [] }));
  const asking = domains.find(({ authenticate }) => authenticate.length > 0);
  if (asking === undefined) return [];
  const { realm: _realm, usersFile: _usersFile, ...rest } = asking;
  return [{ ...rest, name: SERVER, role: 'proxy', registrar: 'on', nextHops: [], users, authenticate: ['REGISTER'] }];
}

/** The answer to the first challenge of a 401 to a REGISTER (RFC 7616 3.4). */
function credentialsFor(text: string): string {
  const challenge = /^WWW-Authenticate: Digest (.*)\r$/m.exec(text)?.[1] ?? '';
  const [, realm] = /realm="([^"]*)"/.exec(challenge) ?? [];
  const [, nonce] = /nonce="([^"]*)"/.exec(challenge) ?? [];
  const algorithm = ALGORITHM_NAMES.findIndex((name) => challenge.includes(`algorithm=${name},`));
  const digest = (value: string) => hash(NODE_HASHES[algorithm]!, value);
  const user = userOf(text);
  const uri = `sip:${SERVER}`;
  const ha1 = digest(`${user}:${realm}:${PASSWORD}`);
  const response = digest(`${ha1}:${nonce}:00000001:c:auth:${digest(`REGISTER:${uri}`)}`);
  return (
    `Authorization: Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", ` +
    `response="${response}", algorithm=${ALGORITHM_NAMES[algorithm]}, cnonce="c", qop=auth, nc=00000001\r\n`
  );
}

const NO_BODY = 'Content-Length: 0\r\n\r\n';

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
    if (line.startsWith('To:')) to = line.includes(';tag=') ? line : `${line};tag=b`;
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
