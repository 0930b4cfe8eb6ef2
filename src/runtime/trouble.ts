/** Tells the operator of trouble that only counters know: a line per kind when its counter grows, with what to do about it.
 *  Main thread, cold: looks every few seconds, so that nothing per datagram is ever logged. */

import type { Logger } from 'pino';
import type { CounterName } from '../observe/counters.ts';

/** Between two lines of one kind. What comes meanwhile is in the next line's count. */
const LINE_INTERVAL_MS = 60_000;

/** Counters that stand still in a healthy server, and what to do about each. */
const ADVICE: { readonly [name in CounterName]?: string } = {
  kernel_drops_total:
    'the kernel dropped datagrams at a full receive buffer: raise socket.receiveBufferBytes (and sysctl net.core.rmem_max) ' +
    'or workers',
  jumbo_exhausted_total: 'large datagrams were dropped because every jumbo slot was in use: raise limits.jumboSlots',
  slots_exhausted_total: 'the dispatcher had to wait because every slot was in use: raise limits.slots',
  shed_requests_total:
    'new requests were dropped above the overload mark: raise workers, on a machine with cores for them',
  filtered_requests_total:
    'new calls were dropped by the kernel, as this server has too much to do: raise workers, on a machine with cores for them',
  filters_refused_total:
    'the kernel refused the filter by which it drops new calls in a flood, so that each costs more: raise sysctl ' +
    'net.core.optmem_max to 131072, or set limits.shedInKernel to false',
  send_congested_total:
    'datagrams were lost at a full send buffer: raise socket.sendBufferBytes (and sysctl net.core.wmem_max)',
  send_errors_total: 'the kernel refused datagrams: check routes, firewall and the addresses of next hops',
  parked_exhausted_total:
    'messages were turned away because too many waited for look-ups: check that dns.servers answer, or raise ' +
    'limits.parkedRequests',
  unresolvable_total: 'next hops could not be resolved: check their names, and that dns.servers answer',
  junk_datagrams_total:
    'datagrams that are not SIP were dropped: if it goes on, find their sender or keep it out by firewall',
  control_unauthorized_total:
    'somebody asks for control over HTTP without the right token: find out who, or let admin.listen be an address they do not reach',
  hep_dropped_total:
    'messages for the HEP collector were dropped: check that it answers and keeps up, or raise trace.recentKiB or hep.sample',
  icmp_errors_total:
    'datagrams came back as undeliverable (ICMP): a next hop or a client does not listen where it should',
};

/** What to do when a counter grows, where it should stand still; undefined: it need not. */
export function adviceOf(counter: CounterName): string | undefined {
  return ADVICE[counter];
}

const KINDS = Object.entries(ADVICE) as [CounterName, string][];

export class TroubleWatch {
  readonly #read: () => Record<CounterName, number>;
  readonly #log: Logger;
  readonly #now: () => number;
  /** Total and time of the last line of each kind. */
  readonly #told = new Map<CounterName, { total: number; atMs: number }>();

  /** `read` gives the counters of a server that began at zero; `now` is a monotonic clock in milliseconds. */
  constructor(read: () => Record<CounterName, number>, log: Logger, now: () => number = () => performance.now()) {
    this.#read = read;
    this.#log = log;
    this.#now = now;
  }

  /** Logs what grew: at once the first time, then once a minute per kind at the most. */
  check(): void {
    const counters = this.#read();
    const nowMs = this.#now();
    for (const [name, advice] of KINDS) this.#checkOne(name, advice, counters[name], nowMs);
  }

  #checkOne(counter: CounterName, advice: string, total: number, nowMs: number): void {
    const told = this.#told.get(counter) ?? { total: 0, atMs: Number.NEGATIVE_INFINITY };
    // The kernel's own counts have 32 bits and begin again: from there on what they say is new.
    if (total < told.total) told.total = 0;
    const count = total - told.total;
    if (count === 0 || nowMs - told.atMs < LINE_INTERVAL_MS) return;
    this.#told.set(counter, { total, atMs: nowMs });
    this.#log.warn({ counter, count, total }, advice);
  }
}
