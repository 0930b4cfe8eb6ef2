/** A network of one element: datagrams are put into a slot of a small arena, the element serves the slot, and what it
 *  queued for sendmmsg is read back out of the egress table. No socket, no thread, no clock of its own. */

import { isIPv6 } from 'node:net';
import { assert } from '../../src/base/assert.ts';
import { configSchema } from '../../src/config/schema.ts';
import { type Arena, createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_FLAG,
  EGRESS_STRIDE_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
  UNDELIVERED,
} from '../../src/memory/layout.ts';
import { Counters, readCounters } from '../../src/observe/counters.ts';
import { CallTrace } from '../../src/observe/trace/call-trace.ts';
import { openTrace } from '../../src/observe/trace/trace-layout.ts';
import type { AnswerLogPort } from '../../src/roles/answer-log.ts';
import type { Occupancy } from '../../src/roles/element.ts';
import { FOUND, NOT_FOUND, PENDING, type ResolverPort } from '../../src/roles/ports.ts';
import type { ListedHop } from '../../src/roles/proxy/hop-health.ts';
import { createKeyTable } from '../../src/roles/proxy/predecessor.ts';
import type { TransactionPage, TransactionQuestion } from '../../src/roles/proxy/transaction-list.ts';
import { boundSocketOf } from '../../src/runtime/bound-socket.ts';
import { openAuth, shareAuth } from '../../src/runtime/shared-auth.ts';
import { returnedAs } from '../../src/runtime/streams/sent-requests.ts';
import { hasOrigin } from '../../src/runtime/streams/stream-egress.ts';
import { defaultPortOf, TRANSPORT } from '../../src/sip/transport.ts';
import { smallLocation } from '../location/small-location.ts';
import { plainElement } from '../roles/plain-element.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** Of who comes by a stream: the number of his connection; 1 if nothing is said. */
  readonly connection?: number;
}

export interface Sent {
  readonly to: Endpoint;
  readonly socket: number;
  /** The local address it leaves from, if the element chose one (wildcard sockets). */
  readonly from?: string;
  /** By a stream: the connection to prefer (0: any to that place), and whether no other will do. */
  readonly connection?: number;
  readonly onlyConnection?: boolean;
  /** The name that the certificate of the server has to be for, if there is one. */
  readonly serverName?: string;
  readonly bytes: Uint8Array;
  /** Latin-1. */
  readonly text: string;
}

export interface ElementOptions {
  readonly mode?: 'stateless' | 'stateful';
  /** As in the configuration; the index is the socket. */
  readonly listen?: readonly (string | { readonly address: string; readonly advertise?: string })[];
  readonly domains?: readonly (string | { readonly name: string; readonly nextHops?: readonly string[] })[];
  readonly nextHops?: readonly string[];
  readonly trusted?: readonly string[];
  /** The DNS: name → addresses, or "SRV priority weight port target" under _sip._udp names. */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
  /** Any other settings, as in the configuration. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Room for kept messages. */
  readonly keptKib?: number;
  /** errno for a message that is to be refused by the kernel, else 0. */
  readonly refuse?: (sent: Sent) => number;
  /** Names of `hosts` that are known only after the first question, once `settleLookUps` was called. */
  readonly slowHosts?: readonly string[];
  /** AoRs that find room. */
  readonly locationCapacity?: number;
  /** Memory of a trace. */
  readonly trace?: SharedArrayBuffer | null;
  /** `tcp`: all of it over TCP, while the test goes on speaking of UDP: what is received and sent is translated, so that a test of
   *  what does not depend on the transport can be repeated as it is. */
  readonly over?: 'udp' | 'tcp';
  /** Told whom the element turns away. */
  readonly answerLog?: AnswerLogPort | null;
}

export interface VirtualElement {
  /** Delivers one datagram and returns what the element sends because of it. `local` is the address it was sent to, which
   *  only a wildcard socket reports. */
  receive(text: string | Uint8Array, from: Endpoint, socket?: number, local?: string): Sent[];
  /** Lets time pass, as a shard would see it: timers fire when they are due. Returns what was sent meanwhile; `atMs` of each
   *  is when, on the clock of the element. */
  advance(ms: number): (Sent & { readonly atMs: number })[];
  /** A message that left by a stream comes back: its connection is no more, or was refused. Returns what is sent because of it. */
  undeliver(sent: Sent, errno?: number): Sent[];
  /** ICMP says that nobody is there. */
  noteUnreachable(place: Endpoint): void;
  /** Milliseconds since the element began. */
  readonly nowMs: number;
  /** What the element holds: all zero when all is over. */
  occupancy(): Occupancy;
  /** What an operator is told of its transactions, and of its next hops. */
  transactions(question?: Partial<TransactionQuestion>): TransactionPage;
  hops(): readonly ListedHop[] | null;
  /** As the shard says when too much is queued, and when it is over. */
  setOverloaded(isOverloaded: boolean): void;
  /** As the supervisor says when the server is to end, or not after all. */
  setDraining(isDraining: boolean): void;
  /** Keys of its server transactions, as a server that hands over writes them down. */
  transactionKeys(): Int32Array;
  /** As after a takeover from the server that had these transactions; its sockets were the same. null: it has ended. */
  setPredecessor(keys: Int32Array | null): void;
  /** What a drain waits for. */
  pending(): number;
  /** Exchanges the configuration, as a reload does: `settings` over those that it was made with. */
  reload(settings: Readonly<Record<string, unknown>>): void;
  /** Configurations in use. */
  snapshotCount(): number;
  /** Counters that are not zero. */
  counters(): Record<string, number>;
  /** Answers the look-ups of `slowHosts`, and returns what was sent then. */
  settleLookUps(): Promise<Sent[]>;
}

const ECONNREFUSED = 111;
/** `FLOWS_OVER=tcp npm test -- flows`: every flow over TCP. What fails then is what depends on the transport. */
const OVER = process.env.FLOWS_OVER === 'tcp' ? 'tcp' : 'udp';

/** When an element begins: 2025-11-24 16:00:00 UTC. */
export const WALL_START_MS = 1_764_000_000_000;

/** The network of most tests. */
export const PROXY: Endpoint = { address: '192.0.2.254', port: 5060 };
export const ALICE: Endpoint = { address: '192.0.2.10', port: 5060 };
export const BOB: Endpoint = { address: '192.0.2.30', port: 5080 };
export const CHICAGO: Endpoint = { address: '198.51.100.9', port: 5060 };
export const STRANGER: Endpoint = { address: '203.0.113.66', port: 5060 };
export const HOSTS = {
  'chicago.example': ['198.51.100.9'],
  'edge.chicago.example': ['198.51.100.10'],
  'client.atlanta.example': ['192.0.2.10'],
};

/** Listens on 192.0.2.254:5060, owns biloxi.example whose next hop is Bob's server, trusts 192.0.2.0/24. */
export function createElement(options: ElementOptions = {}): VirtualElement {
  const defaults: Required<ElementOptions> = {
    settings: {},
    keptKib: 4096,
    refuse: () => 0,
    slowHosts: [],
    locationCapacity: 1000,
    trace: null,
    answerLog: null,
    mode: 'stateless',
    listen: ['udp:192.0.2.254:5060'],
    domains: ['biloxi.example'],
    nextHops: ['sip:192.0.2.30:5080'],
    trusted: ['192.0.2.0/24'],
    hosts: HOSTS,
    over: OVER,
  };
  const all = { ...defaults, ...options };
  if (all.over === 'tcp') return translated(createElement({ ...all, over: 'udp', ...listeningByTcp(all) }));
  const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1, keptBytes: all.keptKib * 1024 });
  const { deliver, isStream, ...element } = bindElement(arena, all);
  return {
    ...element,
    get nowMs() {
      return element.nowMs();
    },
    receive(text, from, socket = 0, local) {
      const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
      const slot = bytes.length > SLOT_PAYLOAD_BYTES ? arena.map.slotCount : 0;
      fillSlot(arena, slot, bytes, from, socket, isStream(socket), local);
      return deliver(slot);
    },
    undeliver({ bytes }, errno = ECONNREFUSED) {
      const claim = CLAIMS.get(bytes)!;
      if (claim.tag === 0) return [];
      const word = slotOffset(arena.map, 0) >> 2;
      arena.words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
      arena.words[word + UNDELIVERED.TAG_WORD] = claim.tag;
      arena.words[word + UNDELIVERED.FLAGS_WORD] = claim.flags;
      arena.words[word + UNDELIVERED.ERRNO_WORD] = errno;
      arena.words.set(claim.place, word + UNDELIVERED.PLACE_WORD);
      const sent = deliver(0);
      if (claim.origin === null) return sent;
      // Behind its fate, as stream-thread.ts sends it back.
      const slot = claim.tag - 1;
      const offset = slotOffset(arena.map, slot);
      arena.bytes.set(claim.origin, offset);
      arena.words[(offset >> 2) + SLOT.FAULT_WORD] = returnedAs(
        claim.flags,
        arena.words[(offset >> 2) + SLOT.FAULT_WORD]!,
      );
      return [...sent, ...deliver(slot)];
    },
  };
}

function listeningByTcp({ listen }: Required<ElementOptions>): Pick<Required<ElementOptions>, 'listen'> {
  const byTcp = (address: string) => address.replace(/^udp:/, 'tcp:');
  return {
    listen: listen.map((point) =>
      typeof point === 'string' ? byTcp(point) : { ...point, address: byTcp(point.address) },
    ),
  };
}

/** The element over TCP as a test sees it that speaks of UDP. */
function translated(element: VirtualElement): VirtualElement {
  const toTcp = (text: string) => text.replaceAll('SIP/2.0/UDP', 'SIP/2.0/TCP');
  const seen = <One extends Sent>({ connection: _, onlyConnection: __, ...one }: One) => {
    const text = one.text.replaceAll('SIP/2.0/TCP', 'SIP/2.0/UDP').replaceAll(';transport=tcp;lr', ';lr');
    return { ...one, bytes: one.bytes, text };
  };
  return {
    ...element,
    get nowMs() {
      return element.nowMs;
    },
    receive(text, from, socket, local) {
      const received = toTcp(typeof text === 'string' ? text : Buffer.from(text).toString('latin1'));
      return element.receive(received, from, socket, local).map(seen);
    },
    advance: (ms) => element.advance(ms).map(seen),
    undeliver: (sent, errno) => element.undeliver(sent, errno).map(seen),
    settleLookUps: async () => (await element.settleLookUps()).map(seen),
  };
}

function fillSlot(
  arena: Arena,
  slot: number,
  payload: Uint8Array,
  from: Endpoint,
  socket: number,
  isStream: boolean,
  local?: string,
): void {
  const offset = slotOffset(arena.map, slot);
  const word = offset >> 2;
  arena.words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
  arena.words[word + SLOT.LENGTH_WORD] = payload.length;
  arena.words[word + SLOT.SOCKET_WORD] = socket;
  arena.words[word + SLOT.FAMILY_WORD] = isIPv6(from.address) ? 6 : 4;
  arena.words[word + SLOT.PORT_WORD] = from.port;
  if (isStream) arena.words[word + SLOT.CONNECTION_WORD] = from.connection ?? 1;
  arena.bytes.set(addressBytes(from.address), (word + SLOT.SOURCE_WORD) * 4);
  if (local !== undefined) arena.bytes.set(addressBytes(local), (word + SLOT.LOCAL_WORD) * 4);
  arena.bytes.set(payload, offset + SLOT_HEADER_BYTES);
}

/** What tells a message that left from others, for `undeliver`. */
const CLAIMS = new WeakMap<Uint8Array, Claim>();

interface Claim {
  readonly tag: number;
  readonly flags: number;
  readonly place: Int32Array;
  /** The slot of the request that it was made of, as it goes along where nobody keeps it. */
  readonly origin: Uint8Array | null;
}

/** The request in a slot, header and all. */
function originOf({ map, words, bytes }: Arena, slot: number): Uint8Array {
  const offset = slotOffset(map, slot);
  return bytes.slice(offset, offset + SLOT_HEADER_BYTES + words[(offset >> 2) + SLOT.LENGTH_WORD]!);
}

/** `isStateless`: as of StreamEgress. */
function readEgress(arena: Arena, count: number, isStream: (socket: number) => boolean, isStateless: boolean): Sent[] {
  return Array.from({ length: count }, (_, entry) => {
    const word = (arena.map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
    assert(word * 4 < arena.map.egress + EGRESS_BYTES, 'an entry beyond the egress table');
    const family = arena.words[word + EGRESS.FAMILY_WORD]!;
    const parts: Uint8Array[] = [];
    const flags = arena.words[word + EGRESS.FLAGS_WORD]!;
    const isNamed = (flags & EGRESS_FLAG.NAMED) !== 0;
    for (let span = 0; span < arena.words[word + EGRESS.SPAN_COUNT_WORD]!; span++) {
      const start = arena.words[word + EGRESS.SPANS_WORD + 2 * span]!;
      parts.push(arena.bytes.slice(start, start + arena.words[word + EGRESS.SPANS_WORD + 2 * span + 1]!));
    }
    const name = isNamed ? Buffer.from(parts.shift()!).toString() : null;
    const bytes = Buffer.concat(parts);
    const local = addressText(arena, (word + EGRESS.LOCAL_WORD) * 4, family);
    const familyAt = word + EGRESS.FAMILY_WORD;
    const place = arena.words.slice(familyAt, familyAt + 6);
    const tag = arena.words[word + EGRESS.TAG_WORD]!;
    const origin = hasOrigin(tag, flags, isStateless) ? originOf(arena, tag - 1) : null;
    CLAIMS.set(bytes, { tag, flags, place, origin });
    const stream = {
      connection: arena.words[word + EGRESS.CONNECTION_WORD]!,
      onlyConnection: (flags & EGRESS_FLAG.ONLY_CONNECTION) !== 0,
      ...(name === null ? {} : { serverName: name }),
    };
    return {
      to: {
        address: addressText(arena, (word + EGRESS.ADDRESS_WORD) * 4, family),
        port: arena.words[word + EGRESS.PORT_WORD]!,
      },
      socket: arena.words[word + EGRESS.SOCKET_WORD]!,
      ...(local === '0.0.0.0' || local === '::' ? {} : { from: local }),
      ...(isStream(arena.words[word + EGRESS.SOCKET_WORD]!) ? stream : {}),
      bytes,
      text: bytes.toString('latin1'),
    };
  });
}

/** An address in network order, 4 or 16 bytes. */
export function addressBytes(address: string): Uint8Array {
  if (!isIPv6(address)) return Uint8Array.from(address.split('.').map(Number));
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((side) => side.split(':').filter((group) => group !== ''));
  const all = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]));
}

function addressText(arena: Arena, offset: number, family: number): string {
  if (family === 4) return arena.bytes.subarray(offset, offset + 4).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((arena.bytes[offset + 2 * i]! << 8) | arena.bytes[offset + 2 * i + 1]!).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Binds the element of src/roles/element.ts to an arena: the returned function serves one slot and returns what was sent.
 *  The one place that knows the element's constructor. */
function bindElement(
  arena: Arena,
  {
    hosts,
    settings,
    keptKib: _,
    over: __,
    refuse,
    slowHosts,
    locationCapacity,
    trace: traceMemory,
    answerLog,
    ...basics
  }: Required<ElementOptions>,
) {
  const configOf = (more: Readonly<Record<string, unknown>>) =>
    configSchema.parse({ limits: { transactions: 1024 }, ...basics, ...settings, ...more });
  const config = configOf({});
  let shared = shareAuth(config);
  const sockets = config.listen.map((point, socket) => boundSocketOf(point, socket));
  // The relay of a takeover is no socket of these.
  const isStream = (socket: number) => (sockets[socket]?.transport ?? TRANSPORT.UDP) > TRANSPORT.UDP;
  let sent: (Sent & { readonly atMs: number })[] = [];
  let nowMs = 0;
  let seed = 0x5eed;
  const usual = sockets.some(({ transport }) => transport === TRANSPORT.UDP) ? TRANSPORT.UDP : TRANSPORT.TCP;
  const lookUps = slowLookUps(fakeResolver(hosts, usual), slowHosts);
  const location = smallLocation(arena, locationCapacity);
  const counters = new Counters(arena, 0);
  const trace = traceMemory === null ? null : new CallTrace(openTrace(traceMemory), arena, 0, counters, sockets);
  const element = plainElement(arena, 0, {
    location,
    auth: openAuth(shared),
    wallMs: () => WALL_START_MS + nowMs,
    config,
    sockets,
    localAddresses: ['192.0.2.253', '192.0.2.254', '2001:db8::53'],
    counters,
    trace,
    ...(answerLog === null ? {} : { answerLog }),
    resolver: lookUps.resolver,
    flush(outbound) {
      let failed = 0;
      const isStateless = config.mode === 'stateless';
      for (const [entry, message] of readEgress(arena, outbound.count, isStream, isStateless).entries()) {
        const errno = refuse(message);
        setResult(arena, entry, errno);
        if (errno === 0) sent.push({ ...message, atMs: nowMs });
        else failed++;
      }
      trace?.sent(outbound);
      return failed;
    },
    defer(resume, untilResolved) {
      untilResolved.then(resume);
      return true;
    },
    random: () => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0;
      return seed;
    },
  });
  const flush = () => {
    // An answer to what the kernel refused goes out with the next flush.
    do element.flush();
    while (element.outbound.count > 0);
  };
  return {
    isStream,
    deliver(slot: number): Sent[] {
      sent = [];
      location.quiesce();
      if (trace !== null) trace.nowUs = nowMs * 1000;
      arena.words[(slotOffset(arena.map, slot) >> 2) + SLOT.TIME_WORD] = nowMs * 1000;
      element.advance(nowMs);
      element.serve(slot);
      flush();
      return sent;
    },
    advance(ms: number) {
      sent = [];
      const endMs = nowMs + ms;
      while (nowMs < endMs) {
        nowMs = Math.min(endMs, Math.max(nowMs + 1, Math.ceil(element.nextDeadlineMs())));
        if (trace !== null) trace.nowUs = nowMs * 1000;
        element.advance(nowMs);
        flush();
      }
      return sent;
    },
    noteUnreachable({ address, port }: Endpoint) {
      const words = new Int32Array(6);
      words[0] = isIPv6(address) ? 6 : 4;
      words[1] = port;
      new Uint8Array(words.buffer).set(addressBytes(address), 8);
      element.noteUnreachable(words, 0);
    },
    nowMs: () => nowMs,
    occupancy: () => element.occupancy(),
    reload(more: Readonly<Record<string, unknown>>) {
      const next = configOf(more);
      shared = shareAuth(next, null, shared);
      element.use({ config: next, auth: openAuth(shared), fileUsers: null });
    },
    snapshotCount: () => element.snapshotCount,
    transactions: (question = {}) =>
      element.transactions(
        { cursor: 0, limit: 100, callId: null, method: null, state: null, ...question },
        nowMs * 1000,
      ),
    hops: () => element.hops(nowMs),
    setOverloaded: (isOverloaded: boolean) => element.setOverloaded(isOverloaded),
    setDraining: (isDraining: boolean) => element.setDraining(isDraining),
    pending: () => element.pending(),
    transactionKeys: () => element.transactionKeys(),
    setPredecessor: (keys: Int32Array | null) =>
      element.setPredecessor(
        keys === null ? null : { keys: createKeyTable(keys), sockets: sockets.map((_, socket) => socket) },
      ),
    counters: () => Object.fromEntries(Object.entries(readCounters(arena)).filter(([, count]) => count !== 0)),
    async settleLookUps() {
      sent = [];
      await lookUps.settle();
      flush();
      return sent;
    },
  };
}

/** A resolver that says PENDING for some names until it is told to know them. */
function slowLookUps(resolver: ResolverPort, slowHosts: readonly string[]) {
  const slow = new Set(slowHosts);
  let waiting: (() => void)[] = [];
  return {
    resolver: {
      ...resolver,
      find: (host, ...rest) => (slow.has(host) ? PENDING : resolver.find(host, ...rest)),
      whenResolved: () => new Promise<void>((resolve) => waiting.push(resolve)),
    } satisfies ResolverPort,
    async settle() {
      slow.clear();
      for (const resolve of waiting) resolve();
      waiting = [];
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function setResult(arena: Arena, entry: number, errno: number): void {
  const word = (arena.map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
  arena.words[word + EGRESS.RESULT_WORD] = errno;
}

/** RFC 3263 4.1 to 4.3 over a map: SRV unless there is a port, by priority, the heaviest first, UDP before TCP; the selector
 *  chooses among the addresses of one host, and the others follow in their order. Never waits. */
function fakeResolver(hosts: Readonly<Record<string, readonly string[]>>, usualTransport: number): ResolverPort {
  const recordsOf = (name: string) => hosts[name.toLowerCase()] ?? [];
  const servicesOf = (prefix: string, host: string, transport: number) =>
    recordsOf(`${prefix}.${host}`)
      .map((record) => {
        const [, priority, weight, port, target] = record.split(' ');
        return { priority: Number(priority), weight: Number(weight), port: Number(port), target: target!, transport };
      })
      .sort((a, b) => a.priority - b.priority || b.weight - a.weight);
  const allServicesOf = (host: string, transport: number) => [
    ...(transport === TRANSPORT.TLS ? servicesOf('_sips._tcp', host, TRANSPORT.TLS) : []),
    ...(transport <= TRANSPORT.UDP ? servicesOf('_sip._udp', host, TRANSPORT.UDP) : []),
    ...(transport === TRANSPORT.NONE || transport === TRANSPORT.TCP
      ? servicesOf('_sip._tcp', host, TRANSPORT.TCP)
      : []),
  ];
  const destinationsOf = (host: string, port: number, asked: number, selector: number): string[] => {
    const services = port === -1 ? allServicesOf(host, asked) : [];
    const usual = asked === TRANSPORT.NONE ? usualTransport : asked;
    const byAddress = { target: host, port: port === -1 ? defaultPortOf(usual) : port, transport: usual };
    return (services.length > 0 ? services : [byAddress]).flatMap((service) => {
      const addresses = recordsOf(service.target);
      const first = (selector >>> 0) % addresses.length;
      return [...addresses.slice(first), ...addresses.slice(0, first)].map(
        (address) => `${address} ${service.port} ${service.transport}`,
      );
    });
  };
  const findNext: ResolverPort['findNext'] = (host, port, transport, selector, attempt, out) => {
    const destination = [...new Set(destinationsOf(host, port, transport, selector))][attempt];
    if (destination === undefined) return NOT_FOUND;
    const [address, destinationPort, found] = destination.split(' ');
    const bytes = addressBytes(address!);
    out.family = bytes.length === 4 ? 4 : 6;
    out.port = Number(destinationPort);
    out.transport = Number(found);
    out.words.fill(0);
    new Uint8Array(out.words.buffer, out.words.byteOffset, 16).set(bytes);
    return FOUND;
  };
  return {
    find: (host, port, transport, selector, out) => findNext(host, port, transport, selector, 0, out),
    findNext,
    whenResolved: () => Promise.resolve(),
  };
}
