/** SRV records (RFC 2782) and NAPTR records (RFC 3403) in the order to go by. Runs on the shard. `selectSrvTarget` and the
 *  draws are hot: once per message to a named host, they allocate nothing.
 *
 *  A stateless proxy must send a retransmission, a CANCEL and an ACK where it sent the INVITE, and remembers nothing
 *  (RFC 3263 4.4). So no choice here is random: the order does not depend on the order of arrival, and where RFC 2782
 *  draws a random number, a 32-bit hash of the transaction from the caller is taken, scaled to the same range. */

import { TRANSPORT } from '../../sip/transport.ts';
import { canonicalName } from './host-addresses.ts';

// ---- SRV ------------------------------------------------------------------------------------------------------------

/** Records used of one answer: the first ones in order. */
const MAX_SRV_RECORDS = 32;

export interface SrvTarget {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** In lower case, without a final dot. */
  readonly name: string;
}

/** The targets of an answer, in order. A single record with target ".": none, the service is decidedly not there. */
export function srvTargetsOf(records: readonly SrvTarget[]): readonly SrvTarget[] {
  return records
    .map(({ priority, weight, port, name }) => ({ priority, weight, port, name: canonicalName(name) }))
    .filter(({ name, port }) => name !== '' && port > 0)
    .sort(compareSrvTargets)
    .slice(0, MAX_SRV_RECORDS);
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
    // The first draw is the one of a first attempt; each further one needs a number of its own.
    for (let draw = selector; left.length > 0; draw = nextDraw(draw)) {
      ordered.push(...left.splice(selectSrvTarget(left, 0, left.length, draw), 1));
    }
    from = end;
  }
  return ordered;
}

/** Index after the last of the targets that have the priority of the one at `from`. */
export function endOfPriority(targets: readonly SrvTarget[], from: number): number {
  let end = from + 1;
  while (end < targets.length && targets[end]!.priority === targets[from]!.priority) end++;
  return end;
}

// ---- Draws ----------------------------------------------------------------------------------------------------------

/** Makes the draws for an address others than those for its host, so that each choice is independent of the other. */
const ADDRESS_DRAW = 0x5bd1e995;

/** The 32-bit selector or draw as a number of 0 … range − 1. */
export function scale(draw: number, range: number): number {
  return Math.floor(((draw >>> 0) / 2 ** 32) * range);
}

/** The 32-bit number to draw after this one. */
export function nextDraw(draw: number): number {
  let mixed = Math.imul(draw ^ (draw >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) + 0x9e3779b9) | 0;
}

/** The first draw among the addresses of a host. */
export function addressDraw(selector: number): number {
  return nextDraw(selector ^ ADDRESS_DRAW);
}

// ---- NAPTR ----------------------------------------------------------------------------------------------------------

/** Rules used of one answer. Each costs as many queries as its SRV records have targets. */
const MAX_RULES = 4;
const ADDRESS_FLAG = 'a';
const SERVICE_FLAG = 's';
/** NAPTR services by TRANSPORT (RFC 3263 9). */
const NAPTR_SERVICES: Readonly<Record<string, number>> = {
  'sip+d2u': TRANSPORT.UDP,
  'sip+d2t': TRANSPORT.TCP,
  'sips+d2t': TRANSPORT.TLS,
};
/** Names of SRV records by TRANSPORT: what stands before the domain (RFC 3263 4.2). */
const SRV_PREFIXES: readonly (string | null)[] = [
  null,
  '_sip._udp.',
  '_sip._tcp.',
  '_sips._tcp.',
  null,
  null,
  null,
  null,
];
/** What SRV records are looked for where neither a URI nor a NAPTR record says which, in this order. Those of TLS are not: a SIP URI
 *  is one for "_sip" (4.1). */
const WITHOUT_NAPTR = [TRANSPORT.UDP, TRANSPORT.TCP];

export interface NaptrRecord {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly regexp: string;
  readonly replacement: string;
}

/** What a domain wants looked up for SIP. */
export interface ServiceRule {
  /** SRV records under this name; else addresses, for the default port. */
  readonly isService: boolean;
  /** In lower case, without a final dot. */
  readonly name: string;
  /** One of TRANSPORT; NONE: the one that is asked for, or the usual. */
  readonly transport: number;
}

/** By TRANSPORT: the name of the domain's SRV records for it, '' where there is no such thing. */
export function serviceNamesOf(domain: string): readonly string[] {
  return SRV_PREFIXES.map((prefix) => (prefix === null ? '' : `${prefix}${domain}`));
}

/** The rules where a domain has no NAPTR record: SRV records for each transport that is supported (RFC 3263 4.1). */
export function rulesWithoutNaptr(domain: string, transports: readonly number[]): readonly ServiceRule[] {
  const names = serviceNamesOf(domain);
  return WITHOUT_NAPTR.filter((transport) => transports.includes(transport)).map((transport) => ({
    isService: true,
    name: names[transport]!,
    transport,
  }));
}

/** The rules of an answer for the transports that are supported, by preference; null: it has no record that SIP could go by.
 *
 *  - Records of other applications are not there for us (RFC 3403 3: "will be ignored"), nor are records in error:
 *    SIP's have a replacement and no regular expression (RFC 3263 4.1), and no flag but "s" and "a" has a meaning here.
 *    "No NAPTR records are found" where only such ones are: a domain with one for eduroam still has its SRV records.
 *  - Of SIP's records, those for other transports are discarded (RFC 3263 4.1: "a client MUST discard any service fields
 *    …"). Where nothing is left, an empty list: the domain says how it takes SIP, and we cannot.
 *  - Only the lowest order counts then, for once a match is found "the client MUST NOT consider records with a different
 *    Order" (RFC 3403 4.1); others of the same order may be processed, and are alternatives (RFC 3263 4.3). */
export function rulesOf(records: readonly NaptrRecord[], transports: readonly number[]): readonly ServiceRule[] | null {
  const ofSip = records.filter(isOfSip);
  if (ofSip.length === 0) return null;
  const supported = ofSip.filter((record) => transports.includes(transportOf(record))).sort(compareNaptrRecords);
  return supported
    .filter(({ order }) => order === supported[0]!.order)
    .map((record) => ({
      isService: record.flags.toLowerCase() === SERVICE_FLAG,
      name: canonicalName(record.replacement),
      transport: transportOf(record),
    }))
    .filter((rule, i, all) => i === all.findIndex((other) => isSameRule(rule, other)))
    .slice(0, MAX_RULES);
}

function transportOf({ service }: NaptrRecord): number {
  return NAPTR_SERVICES[service.toLowerCase()] ?? TRANSPORT.OTHER;
}

function isSameRule(a: ServiceRule, b: ServiceRule): boolean {
  return a.name === b.name && a.isService === b.isService && a.transport === b.transport;
}

function isOfSip({ flags, service, regexp, replacement }: NaptrRecord): boolean {
  const flag = flags.toLowerCase();
  if (flag !== SERVICE_FLAG && flag !== ADDRESS_FLAG) return false;
  return /^sips?\+/i.test(service) && regexp === '' && canonicalName(replacement) !== '';
}

/** By order and preference; records that are alike in both have an order of ours, the same whatever the order of
 *  arrival (RFC 3263 4.4). */
function compareNaptrRecords(a: NaptrRecord, b: NaptrRecord): number {
  return (
    a.order - b.order ||
    a.preference - b.preference ||
    transportOf(a) - transportOf(b) ||
    compareText(canonicalName(a.replacement), canonicalName(b.replacement)) ||
    compareText(a.flags.toLowerCase(), b.flags.toLowerCase())
  );
}
