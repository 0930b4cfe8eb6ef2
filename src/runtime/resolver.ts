/** Locating SIP servers (RFC 3263 4.2, RFC 2782) over UDP: host names to addresses, through SRV, A and AAAA records. One
 *  per shard, on its event loop; nothing here blocks. `find` is hot (once per message to a named host): it looks into
 *  caches and allocates nothing but the canonical spelling of a name written in capitals. The rest is cold.
 *
 *  A name with a port is an address look-up. A name without one asks for `_sip._udp.NAME` first and is an address
 *  look-up, port 5060, only where no such record exists. NAPTR is not asked for: it chooses the transport, and UDP is
 *  what there is (RFC 3263 4.1 has the client go by what it supports).
 *
 *  The same destination each time (RFC 3263 4.4). A stateless proxy must send a retransmission, a CANCEL and an ACK
 *  where it sent the INVITE, and remembers nothing. So no choice here is random: records are put in an order that does
 *  not depend on the order of arrival (priority, then target and port; address bytes), and where RFC 2782 draws a random
 *  number, a 32-bit hash of the transaction from the caller is taken, scaled to the same range. Load is still spread by
 *  weight over transactions, and each transaction stays with its server while the records stay as they are.
 *
 *  What is cached, for how long:
 *  - addresses for their TTL, within MIN_TTL_SEC … MAX_TTL_SEC; SRV records for SRV_TTL_SEC, since node:dns does not
 *    tell their TTL;
 *  - "no such name" and "no such record" for `negativeTtlSec`;
 *  - time-outs and SERVFAIL for FAILURE_TTL_SEC;
 *  - an answer that ran out is still served while a new one is fetched and, if none is to be had, for STALE_SEC more
 *    (RFC 8767): a dead name server does not stop known routes. "No such name" takes effect at once. */

import { promises as dns } from 'node:dns';
import { readFileSync } from 'node:fs';
import { assert } from '../base/assert.ts';
import {
  FOUND,
  NOT_FOUND,
  newResolvedAddress,
  PENDING,
  type ResolvedAddress,
  type ResolverPort,
} from '../roles/ports.ts';
import { parseIpAddress } from '../sip/ip-address.ts';

const SIP_PORT = 5060;

const MIN_TTL_SEC = 1;
const MAX_TTL_SEC = 86_400;
const SRV_TTL_SEC = 60;
const FAILURE_TTL_SEC = 5;
const STALE_SEC = 86_400;

/** Names kept per kind of record; the least recently used go first. */
const MAX_NAMES = 4096;
/** Queries on their way at once; beyond it a name that is not known counts as not found. */
const MAX_QUERIES = 512;
/** Records used of one answer: the first ones in order. */
const MAX_SRV_RECORDS = 32;
const MAX_ADDRESSES = 32;
/** SRV, then A, then AAAA, and room for an answer that ran out in between. */
const MAX_ROUNDS = 4;

export interface ResolverOptions {
  /** ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; empty: the system's. */
  readonly servers: readonly string[];
  /** After this long a look-up counts as failed. A server that does not answer is given half of it, then asked again. */
  readonly timeoutMs: number;
  readonly negativeTtlSec: number;
  /** What there are sockets for. */
  readonly families: 4 | 6 | 'both';
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  readonly hostsFile?: string;
  readonly maxNames?: number;
  readonly maxQueries?: number;
}

export interface ResolverStatistics {
  queries: number;
  /** Queries that timed out or that the server could not serve; not those answered "no such name". */
  failures: number;
  /** Queries not made because MAX_QUERIES were on their way. */
  refused: number;
  /** Names dropped because MAX_NAMES were kept. */
  evicted: number;
}

// ---- Records and their order ----------------------------------------------------------------------------------------

export interface SrvTarget {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** In lower case, without a final dot. */
  readonly name: string;
}

/** Order of SRV records that does not depend on the order of arrival: by priority; within one, weight 0 first
 *  (RFC 2782), then target and port by their bytes. */
export function compareSrvTargets(a: SrvTarget, b: SrvTarget): number {
  return (
    a.priority - b.priority ||
    Number(a.weight !== 0) - Number(b.weight !== 0) ||
    compareText(a.name, b.name) ||
    a.port - b.port ||
    a.weight - b.weight
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Index of the record RFC 2782 chooses among `targets[from … end)`, which are of one priority and in order, with the
 *  selector for its random number: the first whose running sum of weights reaches a number between 0 and the sum.
 *
 *  Departs from RFC 2782, weights that are all 0: by its words the first in order would get all the load, and ours is
 *  the same order every time. They share it equally. */
export function selectSrvTarget(targets: readonly SrvTarget[], from: number, end: number, selector: number): number {
  let sum = 0;
  for (let i = from; i < end; i++) sum += targets[i]!.weight;
  if (sum === 0) return from + scale(selector, end - from);
  const point = scale(selector, sum + 1);
  let running = 0;
  for (let i = from; i < end - 1; i++) {
    running += targets[i]!.weight;
    if (running >= point) return i;
  }
  return end - 1;
}

/** All targets in the order they are to be tried (RFC 2782): select, remove, select again, priority by priority.
 *  `targets` are in order. */
export function orderSrvTargets(targets: readonly SrvTarget[], selector: number): SrvTarget[] {
  const ordered: SrvTarget[] = [];
  for (let from = 0; from < targets.length; ) {
    const end = endOfPriority(targets, from);
    const left = targets.slice(from, end);
    // The first draw is the one `find` makes; each further one needs a number of its own.
    for (let draw = selector; left.length > 0; draw = remix(draw)) {
      ordered.push(...left.splice(selectSrvTarget(left, 0, left.length, draw), 1));
    }
    from = end;
  }
  return ordered;
}

function endOfPriority(targets: readonly SrvTarget[], from: number): number {
  let end = from + 1;
  while (end < targets.length && targets[end]!.priority === targets[from]!.priority) end++;
  return end;
}

/** The 32-bit selector as a number of 0 … range − 1. */
function scale(selector: number, range: number): number {
  return Math.floor(((selector >>> 0) / 2 ** 32) * range);
}

/** Another 32-bit number from a selector, so that the choice of an address is independent of the choice of its host. */
function remix(selector: number): number {
  let mixed = Math.imul(selector ^ (selector >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) + 0x9e3779b9) | 0;
}

interface Address {
  readonly family: 4 | 6;
  readonly words: Int32Array;
}

const textEncoder = new TextEncoder();
const addressText = new Uint8Array(new SharedArrayBuffer(64));
const addressWords = new Int32Array(new SharedArrayBuffer(16));

/** An address from its text, brackets allowed; null if it is none. */
function addressOf(text: string): Address | null {
  if (text.length > addressText.length) return null;
  const encoded = textEncoder.encode(text);
  if (encoded.length > addressText.length) return null;
  addressText.set(encoded);
  const family = parseIpAddress(addressText, 0, encoded.length, addressWords, 0);
  if (family !== 4 && family !== 6) return null;
  const words = new Int32Array(4);
  words.set(family === 4 ? addressWords.subarray(0, 1) : addressWords);
  return { family, words };
}

function compareAddresses(a: Address, b: Address): number {
  return Buffer.compare(new Uint8Array(a.words.buffer), new Uint8Array(b.words.buffer));
}

function canonicalName(host: string): string {
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  return name.toLowerCase();
}

// ---- What is known of one name --------------------------------------------------------------------------------------

const KIND_SRV = 0;
const KIND_A = 1;
const KIND_AAAA = 2;

const UNKNOWN = 0;
const PRESENT = 1;
const ABSENT = 2;
const FAILED = 3;

type Kind = typeof KIND_SRV | typeof KIND_A | typeof KIND_AAAA;
type Knowledge = typeof UNKNOWN | typeof PRESENT | typeof ABSENT | typeof FAILED;

interface Answer {
  readonly knowledge: Knowledge;
  readonly ttlSec: number;
  readonly targets: readonly SrvTarget[];
  readonly addresses: readonly Address[];
}

const NOTHING: readonly never[] = [];

/** The records of one kind that one name has, or what else is known about them. */
class RecordSet {
  readonly kind: Kind;
  readonly name: string;
  knowledge: Knowledge = UNKNOWN;
  targets: readonly SrvTarget[] = NOTHING;
  addresses: readonly Address[] = NOTHING;
  /** Until then nobody asks again. */
  freshUntilMs = Number.NEGATIVE_INFINITY;
  /** Until then records are served although a new answer is due. */
  staleUntilMs = Number.NEGATIVE_INFINITY;
  /** Settles when a query on its way was answered or given up; null: none is. Looked at by all who wait for the name. */
  query: Promise<void> | null = null;
  /** Asked for since the last time the cache looked for something to drop. */
  isUsed = true;

  constructor(kind: Kind, name: string) {
    this.kind = kind;
    this.name = name;
  }

  learn(answer: Answer, nowMs: number): void {
    if (answer.knowledge === FAILED && this.knowledge === PRESENT && nowMs < this.staleUntilMs) {
      this.freshUntilMs = nowMs + answer.ttlSec * 1000;
      return;
    }
    this.knowledge = answer.knowledge;
    this.targets = answer.targets;
    this.addresses = answer.addresses;
    this.freshUntilMs = nowMs + answer.ttlSec * 1000;
    this.staleUntilMs = answer.knowledge === PRESENT ? this.freshUntilMs + STALE_SEC * 1000 : this.freshUntilMs;
  }
}

/** Record sets of one kind by name, bounded. Which to drop is found by second chance: a walk in order of arrival spares
 *  what was used since the last walk, once. That is nearly least-recently-used, and a hit costs one store. */
class RecordCache {
  readonly #sets = new Map<string, RecordSet>();
  readonly #kind: Kind;
  readonly #maxNames: number;
  evicted = 0;

  constructor(kind: Kind, maxNames: number) {
    this.#kind = kind;
    this.#maxNames = maxNames;
  }

  get(name: string): RecordSet | undefined {
    return this.#sets.get(name);
  }

  add(name: string): RecordSet {
    if (this.#sets.size >= this.#maxNames) this.#dropOne();
    const set = new RecordSet(this.#kind, name);
    this.#sets.set(name, set);
    return set;
  }

  #dropOne(): void {
    for (const [name, set] of this.#sets) {
      this.#sets.delete(name);
      if (!set.isUsed && set.query === null) {
        this.evicted++;
        return;
      }
      set.isUsed = false;
      this.#sets.set(name, set);
    }
  }
}

// ---- The resolver ---------------------------------------------------------------------------------------------------

export class Resolver implements ResolverPort {
  readonly statistics: ResolverStatistics = { queries: 0, failures: 0, refused: 0, evicted: 0 };
  readonly #options: ResolverOptions;
  readonly #now: () => number;
  readonly #maxQueries: number;
  readonly #dns: dns.Resolver;
  readonly #hosts: ReadonlyMap<string, readonly Address[]>;
  readonly #services: RecordCache;
  readonly #ipv4: RecordCache;
  readonly #ipv6: RecordCache;
  #queryCount = 0;
  #isClosed = false;

  /** Throws if a server's address is malformed. */
  constructor(options: ResolverOptions) {
    const maxNames = options.maxNames ?? MAX_NAMES;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#maxQueries = options.maxQueries ?? MAX_QUERIES;
    // What is being asked for is never dropped, so there must be room for something else.
    assert(this.#maxQueries < maxNames, 'maxQueries must be smaller than maxNames');
    const tryMs = Math.ceil(options.timeoutMs / 2);
    this.#dns = new dns.Resolver({ timeout: tryMs, tries: 2, maxTimeout: tryMs });
    if (options.servers.length > 0) this.#dns.setServers(options.servers);
    this.#hosts = readHosts(options.hostsFile ?? '/etc/hosts');
    this.#services = new RecordCache(KIND_SRV, maxNames);
    this.#ipv4 = new RecordCache(KIND_A, maxNames);
    this.#ipv6 = new RecordCache(KIND_AAAA, maxNames);
  }

  find(host: string, port: number, selector: number, out: ResolvedAddress): number {
    const nowMs = this.#now();
    const name = canonicalName(host);
    if (port >= 0) return this.#findAddress(name, port, selector, nowMs, out);
    const service = this.#setOf(this.#services, name);
    switch (this.#evaluate(service, nowMs)) {
      case PRESENT:
        return this.#findService(service.targets, selector, nowMs, out);
      case ABSENT:
        return this.#findAddress(name, SIP_PORT, selector, nowMs, out);
      case FAILED:
        // Not "no SRV records": going by the address instead would send this transaction elsewhere than the last one.
        return NOT_FOUND;
      default:
        return PENDING;
    }
  }

  async whenResolved(host: string, port: number): Promise<void> {
    const name = canonicalName(host);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const queries = this.#queriesFor(name, port);
      if (queries.length === 0) return;
      await Promise.all(queries);
    }
  }

  /** Every destination known for a host, in the order to try them (RFC 3263 4.3): the first is what `find` gives. Empty
   *  while `find` would say NOT_FOUND or PENDING. Cold. */
  candidates(host: string, port: number, selector: number): ResolvedAddress[] {
    const first = newResolvedAddress();
    if (this.find(host, port, selector, first) !== FOUND) return [];
    const nowMs = this.#now();
    const name = canonicalName(host);
    const service = port >= 0 ? undefined : this.#services.get(name);
    if (service?.knowledge !== PRESENT)
      return this.#addressesInOrder(name, port >= 0 ? port : SIP_PORT, selector, nowMs);
    return orderSrvTargets(service.targets, selector).flatMap((target) =>
      this.#addressesInOrder(target.name, target.port, selector, nowMs),
    );
  }

  /** Gives up what is on its way. Names that are known are still found. */
  close(): void {
    this.#isClosed = true;
    this.#dns.cancel();
  }

  #findService(targets: readonly SrvTarget[], selector: number, nowMs: number, out: ResolvedAddress): number {
    // A single record with target "." (empty here): the service is decidedly not there (RFC 2782).
    if (targets.length === 0) return NOT_FOUND;
    const chosen = targets[selectSrvTarget(targets, 0, endOfPriority(targets, 0), selector)]!;
    const verdict = this.#findAddress(chosen.name, chosen.port, selector, nowMs, out);
    if (verdict !== NOT_FOUND) return verdict;
    // A target without an address is passed over. Only its own transactions move, and they all move alike.
    for (const target of orderSrvTargets(targets, selector)) {
      if (target === chosen) continue;
      const next = this.#findAddress(target.name, target.port, selector, nowMs, out);
      if (next !== NOT_FOUND) return next;
    }
    return NOT_FOUND;
  }

  /** Several addresses of a host share its transactions by the selector: DNS round robin, but without the chance.
   *
   *  Departs from RFC 7984 3.1, addresses of both families in one list: IPv6 is used only for hosts that have no IPv4
   *  address. A wrong guess would be a lost call here, since a stateless proxy cannot try the next. */
  #findAddress(name: string, port: number, selector: number, nowMs: number, out: ResolvedAddress): number {
    const { families } = this.#options;
    if (families !== 6) {
      const ipv4 = this.#setOf(this.#ipv4, name);
      const knowledge = this.#evaluate(ipv4, nowMs);
      if (knowledge === PRESENT) return fill(out, ipv4.addresses, port, selector);
      if (knowledge === UNKNOWN) return PENDING;
      if (families === 4) return NOT_FOUND;
    }
    const ipv6 = this.#setOf(this.#ipv6, name);
    const knowledge = this.#evaluate(ipv6, nowMs);
    if (knowledge === PRESENT) return fill(out, ipv6.addresses, port, selector);
    return knowledge === UNKNOWN ? PENDING : NOT_FOUND;
  }

  #addressesInOrder(name: string, port: number, selector: number, nowMs: number): ResolvedAddress[] {
    const caches = [this.#ipv4, this.#ipv6].filter((_, i) => this.#options.families !== (i === 0 ? 6 : 4));
    return caches.flatMap((cache) => {
      const set = this.#setOf(cache, name);
      if (this.#evaluate(set, nowMs) !== PRESENT) return [];
      const { addresses } = set;
      const first = scale(remix(selector), addresses.length);
      return [...addresses.slice(first), ...addresses.slice(0, first)].map(({ family, words }) => ({
        family,
        port,
        words: words.slice(),
      }));
    });
  }

  /** What may be served of a set now: PRESENT, ABSENT or FAILED, or UNKNOWN while a query is on its way. Asks the name
   *  server where that is due. */
  #evaluate(set: RecordSet, nowMs: number): Knowledge {
    set.isUsed = true;
    if (nowMs < set.freshUntilMs) return set.knowledge;
    if (set.query === null) this.#ask(set);
    if (set.knowledge === PRESENT && nowMs < set.staleUntilMs) return PRESENT;
    return set.query === null ? FAILED : UNKNOWN;
  }

  /** The queries that an answer for `name` waits for, after starting those that are due. */
  #queriesFor(name: string, port: number): Promise<void>[] {
    const nowMs = this.#now();
    const queries: Promise<void>[] = [];
    const want = (cache: RecordCache, of: string): Knowledge => {
      const set = this.#setOf(cache, of);
      const knowledge = this.#evaluate(set, nowMs);
      if (knowledge === UNKNOWN && set.query !== null) queries.push(set.query);
      return knowledge;
    };
    const wantAddresses = (of: string): void => {
      const { families } = this.#options;
      const ipv4 = families === 6 ? ABSENT : want(this.#ipv4, of);
      if (families !== 4 && (ipv4 === ABSENT || ipv4 === FAILED)) want(this.#ipv6, of);
    };
    if (port >= 0) {
      wantAddresses(name);
      return queries;
    }
    const service = want(this.#services, name);
    if (service === PRESENT) for (const target of this.#setOf(this.#services, name).targets) wantAddresses(target.name);
    else if (service === ABSENT) wantAddresses(name);
    return queries;
  }

  #setOf(cache: RecordCache, name: string): RecordSet {
    return cache.get(name) ?? this.#addSet(cache, name);
  }

  /** A new set. What needs no name server is filled in for good: addresses, the names of the hosts file (an operator who
   *  puts a name there wants it found there, so no SRV records are asked for), and localhost (RFC 6761 6.3). */
  #addSet(cache: RecordCache, name: string): RecordSet {
    const evicted = cache.evicted;
    const set = cache.add(name);
    this.statistics.evicted += cache.evicted - evicted;
    const addresses = this.#localAddresses(name);
    if (addresses === null) return set;
    const family = set.kind === KIND_A ? 4 : 6;
    set.addresses = set.kind === KIND_SRV ? NOTHING : addresses.filter((address) => address.family === family);
    set.knowledge = set.addresses.length > 0 ? PRESENT : ABSENT;
    set.freshUntilMs = Number.POSITIVE_INFINITY;
    return set;
  }

  #localAddresses(name: string): readonly Address[] | null {
    const address = addressOf(name);
    if (address !== null) return [address];
    const listed = this.#hosts.get(name);
    if (listed !== undefined) return listed;
    return name === 'localhost' || name.endsWith('.localhost') ? LOOPBACK : null;
  }

  #ask(set: RecordSet): void {
    if (this.#isClosed) return;
    if (this.#queryCount >= this.#maxQueries) {
      this.statistics.refused++;
      return;
    }
    this.#queryCount++;
    this.statistics.queries++;
    set.query = this.#lookUp(set);
  }

  /** Settles when the set has learnt something: the answer, or that none came in time. An answer that comes too late is
   *  still learnt. */
  #lookUp(set: RecordSet): Promise<void> {
    return new Promise((resolve) => {
      let isLate = false;
      const settle = (answer: Answer): void => {
        if (answer.knowledge === FAILED) this.statistics.failures++;
        if (!this.#isClosed) set.learn(answer, this.#now());
        // Late, `query` may be that of another try already.
        if (!isLate) set.query = null;
        resolve();
      };
      const timer = setTimeout(() => {
        settle(this.#failure());
        isLate = true;
      }, this.#options.timeoutMs);
      void this.#query(set).then((answer) => {
        this.#queryCount--;
        clearTimeout(timer);
        if (!isLate || answer.knowledge !== FAILED) settle(answer);
      });
    });
  }

  async #query({ kind, name }: RecordSet): Promise<Answer> {
    try {
      if (kind === KIND_SRV) return this.#answerOfSrv(await this.#dns.resolveSrv(`_sip._udp.${name}`));
      const records =
        kind === KIND_A ? await this.#dns.resolve4(name, { ttl: true }) : await this.#dns.resolve6(name, { ttl: true });
      const addresses = records.map(({ address }) => addressOf(address)).filter((address) => address !== null);
      if (addresses.length === 0) return this.#absence();
      const ttlSec = Math.min(...records.map(({ ttl }) => ttl));
      return {
        knowledge: PRESENT,
        ttlSec: Math.min(Math.max(ttlSec, MIN_TTL_SEC), MAX_TTL_SEC),
        targets: NOTHING,
        addresses: addresses.sort(compareAddresses).slice(0, MAX_ADDRESSES),
      };
    } catch (error) {
      return ABSENCE_CODES.has((error as NodeJS.ErrnoException).code ?? '') ? this.#absence() : this.#failure();
    }
  }

  #answerOfSrv(records: readonly { priority: number; weight: number; port: number; name: string }[]): Answer {
    const targets = records
      .map(({ priority, weight, port, name }) => ({ priority, weight, port, name: canonicalName(name) }))
      .filter(({ name, port }) => name !== '' && port > 0)
      .sort(compareSrvTargets)
      .slice(0, MAX_SRV_RECORDS);
    return { knowledge: PRESENT, ttlSec: SRV_TTL_SEC, targets, addresses: NOTHING };
  }

  #absence(): Answer {
    const ttlSec = Math.max(this.#options.negativeTtlSec, MIN_TTL_SEC);
    return { knowledge: ABSENT, ttlSec, targets: NOTHING, addresses: NOTHING };
  }

  #failure(): Answer {
    return { knowledge: FAILED, ttlSec: FAILURE_TTL_SEC, targets: NOTHING, addresses: NOTHING };
  }
}

/** The name, or a record of this kind, does not exist; or the name is none that DNS could know. */
const ABSENCE_CODES = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

function fill(out: ResolvedAddress, addresses: readonly Address[], port: number, selector: number): number {
  const { family, words } =
    addresses.length === 1 ? addresses[0]! : addresses[scale(remix(selector), addresses.length)]!;
  out.family = family;
  out.port = port;
  out.words[0] = words[0]!;
  out.words[1] = words[1]!;
  out.words[2] = words[2]!;
  out.words[3] = words[3]!;
  return FOUND;
}

const LOOPBACK: readonly Address[] = [addressOf('127.0.0.1')!, addressOf('::1')!];

/** Names of a hosts file and their addresses. A file that is not there has none; read once, at the shard's start. */
function readHosts(path: string): ReadonlyMap<string, readonly Address[]> {
  const hosts = new Map<string, Address[]>();
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  for (const line of text.split('\n')) {
    const [first = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const address = addressOf(first);
    if (address === null) continue;
    for (const name of names.map(canonicalName)) {
      const known = hosts.get(name) ?? [];
      if (!known.some((other) => compareAddresses(other, address) === 0)) known.push(address);
      hosts.set(name, known.sort(compareAddresses));
    }
  }
  return hosts;
}
