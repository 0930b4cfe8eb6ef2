/** Locating SIP servers (RFC 3263 4): host names to addresses and transports, through NAPTR, SRV, A and AAAA records. One per
 *  shard, on its event loop; nothing here blocks. `find` is hot (once per message to a named host): it looks into caches
 *  and allocates nothing but the canonical spelling of a name written in capitals. The rest is cold.
 *
 *  A name with a port is an address look-up. For a name with a transport and without a port, SRV `_sip._udp.NAME`, `_sip._tcp.NAME`
 *  or `_sips._tcp.NAME` (4.2). For a name with neither, its NAPTR records say which transport and what to look up (4.1; what
 *  counts among them is in `resolver/service-records.ts`). Without any, that is SRV `_sip._udp.NAME`, then `_sip._tcp.NAME`;
 *  and where there is no SRV record either, the addresses of NAME and the transport's default port (4.2). The NAPTR and the
 *  SRV questions leave together, so a domain without NAPTR records waits no longer than if it were not asked for them.
 *
 *  A NAPTR question without an answer, in time or at all, counts as no NAPTR records: name servers exist that never
 *  answer it, and a domain "MUST maintain SRV records for the domain of the original query" (4.1) anyway.
 *
 *  Departs from RFC 3263 4.1, sips URIs without a transport: NAPTR records are not asked for. Of what they may say only TLS over
 *  TCP is there, whose SRV records the domain has to have anyway.
 *
 *  The same destination each time (RFC 3263 4.4): no choice is random, see `resolver/service-records.ts`. Load is still
 *  spread by weight over transactions, and each transaction stays with its server while the records stay as they are.
 *
 *  What is cached, for how long:
 *  - addresses for their TTL, within a second and a day; NAPTR and SRV records for a minute, since node:dns does not tell
 *    their TTL;
 *  - "no such name" and "no such record" for `negativeTtlSec`;
 *  - time-outs and SERVFAIL for 5 s;
 *  - an answer that ran out is still served while a new one is fetched and, if none is to be had, for a day more
 *    (RFC 8767): a dead name server does not stop known routes. "No such name" takes effect at once; of NAPTR records it
 *    is served like an answer, and so is a failure to get any. */

import { isDeepStrictEqual } from 'node:util';
import { assert } from '../base/assert.ts';
import { FOUND, NOT_FOUND, PENDING, type ResolvedAddress, type ResolverPort } from '../roles/ports.ts';
import { defaultPortOf, TRANSPORT } from '../sip/transport.ts';
import { type Address, canonicalName, LocalNames } from './resolver/host-addresses.ts';
import { NameServer } from './resolver/name-server.ts';
import { KIND, KNOWN, type Known, RecordCache, type RecordSet } from './resolver/record-cache.ts';
import {
  addressDraw,
  endOfPriority,
  nextDraw,
  orderSrvTargets,
  type SrvTarget,
  scale,
  selectSrvTarget,
} from './resolver/service-records.ts';

/** Names kept per kind of record; the least recently used go first. */
const MAX_NAMES = 4096;
/** Queries on their way at once; beyond it a name that is not known counts as not found. */
const MAX_QUERIES = 512;
/** NAPTR, then SRV, then A, then AAAA, and room for an answer that ran out in between. */
const MAX_ROUNDS = 5;

/** What a reload may change. */
export type ResolverSettings = Pick<ResolverOptions, 'servers' | 'timeoutMs' | 'negativeTtlSec' | 'naptr'>;

export interface ResolverOptions {
  /** ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; empty: the system's. */
  readonly servers: readonly string[];
  /** After this long a look-up counts as failed. A server that does not answer is given half of it, then asked again. */
  readonly timeoutMs: number;
  readonly negativeTtlSec: number;
  /** Whether NAPTR records are asked for; else every domain counts as having none. */
  readonly naptr: boolean;
  /** What there are sockets for. */
  readonly families: 4 | 6 | 'both';
  /** The same: one of TRANSPORT each, the first being what nothing else says. */
  readonly transports: readonly number[];
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  readonly hostsFile?: string;
  readonly maxNames?: number;
  readonly maxQueries?: number;
}

export interface ResolverStatistics {
  readonly queries: number;
  /** Queries that timed out or that the server could not serve; not those answered "no such name". */
  readonly failures: number;
  /** Queries not made because MAX_QUERIES were on their way. */
  readonly refused: number;
  /** Names dropped because MAX_NAMES were kept. */
  readonly evicted: number;
}

export class Resolver implements ResolverPort {
  #options: ResolverOptions;
  readonly #now: () => number;
  readonly #nameServer: NameServer;
  readonly #localNames: LocalNames;
  readonly #domains: RecordCache;
  readonly #services: RecordCache;
  readonly #ipv4: RecordCache;
  readonly #ipv6: RecordCache;

  /** Throws if a server's address is malformed. */
  constructor(options: ResolverOptions) {
    const { servers, timeoutMs, negativeTtlSec, transports } = options;
    const { maxNames = MAX_NAMES, maxQueries = MAX_QUERIES } = options;
    // What is being asked for is never dropped, so there must be room for something else.
    assert(maxQueries < maxNames, 'maxQueries must be smaller than maxNames');
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#nameServer = new NameServer({ servers, timeoutMs, negativeTtlSec, transports, maxQueries, now: this.#now });
    this.#localNames = new LocalNames(options.hostsFile ?? '/etc/hosts');
    this.#domains = new RecordCache(KIND.NAPTR, maxNames, transports);
    this.#services = new RecordCache(KIND.SRV, maxNames);
    this.#ipv4 = new RecordCache(KIND.A, maxNames);
    this.#ipv6 = new RecordCache(KIND.AAAA, maxNames);
  }

  /** Other settings from now on. Where they ask others or for something else, what is known is asked for again, and serves until the
   *  answer is there: no call waits for it. */
  use(settings: ResolverSettings): void {
    const { servers, timeoutMs, negativeTtlSec, naptr } = this.#options;
    const isSame = isDeepStrictEqual({ servers, timeoutMs, negativeTtlSec, naptr }, { ...settings });
    if (isSame) return;
    const isAskingElse = naptr !== settings.naptr;
    const hasOtherServers = !isDeepStrictEqual(servers, settings.servers);
    this.#options = { ...this.#options, ...settings };
    const { maxQueries = MAX_QUERIES, transports } = this.#options;
    this.#nameServer.use({ ...settings, transports, maxQueries, now: this.#now });
    if (isAskingElse) this.#domains.clear();
    if (!hasOtherServers) return;
    for (const cache of [this.#domains, this.#services, this.#ipv4, this.#ipv6]) cache.expire(this.#now());
  }

  get statistics(): ResolverStatistics {
    const { queries, failures, refused } = this.#nameServer;
    const caches = [this.#domains, this.#services, this.#ipv4, this.#ipv6];
    return { queries, failures, refused, evicted: caches.reduce((sum, { evicted }) => sum + evicted, 0) };
  }

  find(host: string, port: number, transport: number, selector: number, out: ResolvedAddress): number {
    return this.#find(host, port, transport, selector, out, null);
  }

  findNext(
    host: string,
    port: number,
    transport: number,
    selector: number,
    attempt: number,
    out: ResolvedAddress,
  ): number {
    return this.#find(host, port, transport, selector, out, attempt === 0 ? null : new Passed(attempt));
  }

  async whenResolved(host: string, port: number, transport: number): Promise<void> {
    const name = canonicalName(host);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const queries = this.#queriesFor(name, port, transport);
      if (queries.length === 0) return;
      await Promise.all(queries);
    }
  }

  /** Gives up what is on its way. Names that are known are still found. */
  close(): void {
    this.#nameServer.close();
  }

  // ---- Hot: from what is known to a destination. A verdict of NOT_FOUND goes on to the next rule, target or address,
  // so `passed` needs no walk of its own: it makes NOT_FOUND of what was tried before.

  #find(
    host: string,
    port: number,
    transport: number,
    selector: number,
    out: ResolvedAddress,
    passed: Passed | null,
  ): number {
    const nowMs = this.#now();
    const name = canonicalName(host);
    if (port >= 0) return this.#findAddress(name, port, this.#orUsual(transport), selector, nowMs, out, passed);
    const domain = this.#setOf(this.#domains, name);
    if (transport !== TRANSPORT.NONE) return this.#findByTransport(domain, transport, selector, nowMs, out, passed);
    switch (this.#evaluate(domain, nowMs)) {
      case KNOWN.NOTHING:
        this.#askAhead(domain, nowMs);
        return PENDING;
      case KNOWN.REFUSED:
        // Not "no NAPTR records": going by SRV records would send this transaction elsewhere than its others.
        return NOT_FOUND;
      default:
        return this.#findByRules(domain, selector, nowMs, out, passed);
    }
  }

  /** Without NAPTR records, for a transport that somebody has named. */
  #findByTransport(
    domain: RecordSet,
    transport: number,
    selector: number,
    nowMs: number,
    out: ResolvedAddress,
    passed: Passed | null,
  ): number {
    domain.isUsed = true;
    if (!domain.isLocal) {
      const service = this.#setOf(this.#services, domain.serviceNames[transport]!);
      const known = this.#evaluate(service, nowMs);
      if (known === KNOWN.NOTHING) return PENDING;
      if (known === KNOWN.PRESENT) return this.#findService(service.targets, transport, selector, nowMs, out, passed);
      if (known !== KNOWN.ABSENT) return NOT_FOUND;
    }
    return this.#findAddress(domain.name, defaultPortOf(transport), transport, selector, nowMs, out, passed);
  }

  /** By the domain's rules, one after the other. "If no SRV records were found", by its addresses (RFC 3263 4.2): that is
   *  where every rule leads to SRV records that are known not to exist. */
  #findByRules(
    { name, rules }: RecordSet,
    selector: number,
    nowMs: number,
    out: ResolvedAddress,
    passed: Passed | null,
  ): number {
    let isWithoutServices = rules.length > 0;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!;
      const transport = this.#orUsual(rule.transport);
      let verdict: number = NOT_FOUND;
      if (rule.isService) {
        const service = this.#setOf(this.#services, rule.name);
        const known = this.#evaluate(service, nowMs);
        if (known === KNOWN.NOTHING) return PENDING;
        if (known === KNOWN.ABSENT) continue;
        if (known === KNOWN.PRESENT) {
          verdict = this.#findService(service.targets, transport, selector, nowMs, out, passed);
        }
      } else {
        verdict = this.#findAddress(rule.name, defaultPortOf(transport), transport, selector, nowMs, out, passed);
      }
      // A failure is not "no SRV records": the address would send this transaction elsewhere than its others.
      isWithoutServices = false;
      if (verdict !== NOT_FOUND) return verdict;
    }
    if (!isWithoutServices) return NOT_FOUND;
    const transport = this.#orUsual(TRANSPORT.NONE);
    return this.#findAddress(name, defaultPortOf(transport), transport, selector, nowMs, out, passed);
  }

  #orUsual(transport: number): number {
    return transport === TRANSPORT.NONE ? (this.#options.transports[0] ?? TRANSPORT.UDP) : transport;
  }

  #findService(
    targets: readonly SrvTarget[],
    transport: number,
    selector: number,
    nowMs: number,
    out: ResolvedAddress,
    passed: Passed | null,
  ): number {
    if (targets.length === 0) return NOT_FOUND;
    const chosen = targets[selectSrvTarget(targets, 0, endOfPriority(targets, 0), selector)]!;
    const verdict = this.#findAddress(chosen.name, chosen.port, transport, selector, nowMs, out, passed);
    if (verdict !== NOT_FOUND) return verdict;
    // A target without an address is passed over. Only its own transactions move, and they all move alike.
    for (const target of orderSrvTargets(targets, selector)) {
      if (target === chosen) continue;
      const next = this.#findAddress(target.name, target.port, transport, selector, nowMs, out, passed);
      if (next !== NOT_FOUND) return next;
    }
    return NOT_FOUND;
  }

  /** Several addresses of a host share its transactions by the selector: DNS round robin, but without the chance.
   *
   *  Departs from RFC 7984 3.1, addresses of both families in one list: IPv6 is used only for hosts that have no IPv4
   *  address. A wrong guess is a lost call where a stateless proxy makes it, which cannot try the next. */
  #findAddress(
    name: string,
    port: number,
    transport: number,
    selector: number,
    nowMs: number,
    out: ResolvedAddress,
    passed: Passed | null,
  ): number {
    const { families } = this.#options;
    if (families !== 6) {
      const ipv4 = this.#setOf(this.#ipv4, name);
      const known = this.#evaluate(ipv4, nowMs);
      if (known === KNOWN.PRESENT) return choose(out, ipv4.addresses, port, transport, selector, passed);
      if (known === KNOWN.NOTHING) return PENDING;
      if (families === 4) return NOT_FOUND;
    }
    const ipv6 = this.#setOf(this.#ipv6, name);
    const known = this.#evaluate(ipv6, nowMs);
    if (known === KNOWN.PRESENT) return choose(out, ipv6.addresses, port, transport, selector, passed);
    return known === KNOWN.NOTHING ? PENDING : NOT_FOUND;
  }

  /** What may be served of a set now, or NOTHING while a query is on its way. Asks the name server where that is due. */
  #evaluate(set: RecordSet, nowMs: number): Known {
    set.isUsed = true;
    if (nowMs < set.freshUntilMs) return set.known;
    if (set.query === null) this.#nameServer.ask(set);
    if (nowMs < set.staleUntilMs) return set.known;
    return set.query === null ? KNOWN.REFUSED : KNOWN.NOTHING;
  }

  #setOf(cache: RecordCache, name: string): RecordSet {
    return cache.get(name) ?? this.#addSet(cache, name);
  }

  // ---- Cold

  /** A new set. What needs no name server is filled in for good: an operator who puts a name into the hosts file wants it
   *  found there, so it counts as a domain that says "by address". */
  #addSet(cache: RecordCache, name: string): RecordSet {
    const set = cache.add(name);
    const { kind } = set;
    const addresses = kind === KIND.SRV ? null : this.#localNames.addressesOf(name);
    if (kind === KIND.NAPTR) {
      set.isLocal = addresses !== null;
      const rules = [{ isService: false, name, transport: TRANSPORT.NONE }];
      if (addresses !== null) set.learnForGood({ known: KNOWN.PRESENT, rules });
      else if (!this.#options.naptr) set.learnForGood({ known: KNOWN.ABSENT });
    } else if (addresses !== null) {
      const ofKind = addresses.filter(({ family }) => family === (kind === KIND.A ? 4 : 6));
      set.learnForGood({ known: ofKind.length > 0 ? KNOWN.PRESENT : KNOWN.ABSENT, addresses: ofKind });
    }
    return set;
  }

  /** Asks for the SRV records that will be needed if the domain has no NAPTR records. */
  #askAhead({ rules }: RecordSet, nowMs: number): void {
    for (const { name } of rules) this.#evaluate(this.#setOf(this.#services, name), nowMs);
  }

  /** The queries that an answer for `name` waits for, after starting those that are due. */
  #queriesFor(name: string, port: number, transport: number): Promise<void>[] {
    const nowMs = this.#now();
    const queries: Promise<void>[] = [];
    const want = (set: RecordSet): Known => {
      const known = this.#evaluate(set, nowMs);
      if (known === KNOWN.NOTHING && set.query !== null) queries.push(set.query);
      return known;
    };
    const wantAddresses = (of: string): void => {
      const { families } = this.#options;
      const ipv4 = families === 6 ? KNOWN.ABSENT : want(this.#setOf(this.#ipv4, of));
      if (families !== 4 && ipv4 !== KNOWN.PRESENT && ipv4 !== KNOWN.NOTHING) want(this.#setOf(this.#ipv6, of));
    };
    const wantService = (of: string): Known => {
      const service = this.#setOf(this.#services, of);
      const known = want(service);
      if (known === KNOWN.PRESENT) for (const target of service.targets) wantAddresses(target.name);
      return known;
    };
    if (port >= 0) {
      wantAddresses(name);
      return queries;
    }
    const domain = this.#setOf(this.#domains, name);
    if (transport !== TRANSPORT.NONE) {
      const known = domain.isLocal ? KNOWN.ABSENT : wantService(domain.serviceNames[transport]!);
      if (known === KNOWN.ABSENT) wantAddresses(name);
      return queries;
    }
    const known = want(domain);
    if (known === KNOWN.NOTHING) this.#askAhead(domain, nowMs);
    if (known === KNOWN.NOTHING || known === KNOWN.REFUSED) return queries;
    let isWithoutServices = domain.rules.length > 0;
    for (const rule of domain.rules) {
      const ofRule = rule.isService ? wantService(rule.name) : KNOWN.PRESENT;
      if (!rule.isService) wantAddresses(rule.name);
      isWithoutServices = ofRule === KNOWN.ABSENT && isWithoutServices;
      // Without NAPTR records, the transports that come later are for when this one fails.
      if (known !== KNOWN.PRESENT && ofRule === KNOWN.PRESENT) break;
    }
    if (isWithoutServices) wantAddresses(name);
    return queries;
  }
}

/** Destinations that a look-up for a later attempt goes past: each counts once. */
class Passed {
  readonly #seen = new Set<string>();
  #left: number;

  constructor(attempt: number) {
    this.#left = attempt;
  }

  /** True if this one is next: as many others as there were attempts lie before it. */
  isNext(address: Address, port: number, transport: number): boolean {
    const destination = `${address.words.join(' ')} ${address.family} ${port} ${transport}`;
    if (this.#seen.has(destination)) return false;
    this.#seen.add(destination);
    return this.#left-- === 0;
  }
}

/** Fills `out` with one of a host's addresses: the first in the order of the selector, or the first that is not passed;
 *  NOT_FOUND: all are. */
function choose(
  out: ResolvedAddress,
  addresses: readonly Address[],
  port: number,
  transport: number,
  selector: number,
  passed: Passed | null,
): number {
  let draw = addressDraw(selector);
  if (passed === null) return fill(out, addresses[scale(draw, addresses.length)]!, port, transport);
  for (const left = [...addresses]; left.length > 0; draw = nextDraw(draw)) {
    const [address] = left.splice(scale(draw, left.length), 1);
    if (passed.isNext(address!, port, transport)) return fill(out, address!, port, transport);
  }
  return NOT_FOUND;
}

function fill(out: ResolvedAddress, { family, words }: Address, port: number, transport: number): number {
  out.family = family;
  out.port = port;
  out.transport = transport;
  out.words[0] = words[0]!;
  out.words[1] = words[1]!;
  out.words[2] = words[2]!;
  out.words[3] = words[3]!;
  return FOUND;
}
