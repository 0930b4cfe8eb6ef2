/** Asking name servers: one query for one record set, bounded in number and time. Runs on the shard's event loop; nothing
 *  here blocks. Cold: once per name and kind of record, and again when the answer ran out. */

import { promises as dns } from 'node:dns';
import { addressOf, compareAddresses } from './host-addresses.ts';
import { type Answer, KIND, KNOWN, type RecordSet } from './record-cache.ts';
import { rulesOf, srvTargetsOf } from './service-records.ts';

const MIN_TTL_SEC = 1;
const MAX_TTL_SEC = 86_400;
/** For NAPTR and SRV records, whose TTL node:dns does not tell. */
const SERVICE_TTL_SEC = 60;
const FAILURE_TTL_SEC = 5;
/** Addresses used of one answer: the first ones in order. */
const MAX_ADDRESSES = 32;
/** What was asked of even earlier servers ends by its time. */
const MAX_FORMER = 8;

export interface NameServerOptions {
  /** ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; empty: the system's. */
  readonly servers: readonly string[];
  /** After this long a look-up counts as failed. A server that does not answer is given half of it, then asked again. */
  readonly timeoutMs: number;
  readonly negativeTtlSec: number;
  /** One of TRANSPORT each: NAPTR records for others count for nothing. */
  readonly transports: readonly number[];
  /** Queries on their way at once. */
  readonly maxQueries: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export class NameServer {
  queries = 0;
  /** Queries that timed out or that the server could not serve; not those answered "no such name". */
  failures = 0;
  /** Queries not made because `maxQueries` were on their way. */
  refused = 0;
  #options: NameServerOptions;
  #dns: dns.Resolver;
  /** Those before, which may still be waiting for answers. */
  #former: readonly dns.Resolver[] = [];
  #queryCount = 0;
  #isClosed = false;

  /** Throws if a server's address is malformed. */
  constructor(options: NameServerOptions) {
    this.#options = options;
    this.#dns = openDns(options);
  }

  /** Other servers and times, for queries from now on. */
  use(options: NameServerOptions): void {
    this.#former = [this.#dns, ...this.#former].slice(0, MAX_FORMER);
    this.#options = options;
    this.#dns = openDns(options);
  }

  /** Starts a query, which becomes the set's, and teaches the set its answer; or does nothing beyond the limit. */
  ask(set: RecordSet): void {
    if (this.#isClosed) return;
    if (this.#queryCount >= this.#options.maxQueries) {
      this.refused++;
      return;
    }
    this.#queryCount++;
    this.queries++;
    set.query = this.#lookUp(set);
  }

  /** Gives up what is on its way. */
  close(): void {
    this.#isClosed = true;
    for (const one of [this.#dns, ...this.#former]) one.cancel();
  }

  /** Settles when the set has learnt something: the answer, or that none came in time. An answer that comes too late is
   *  still learnt. */
  #lookUp(set: RecordSet): Promise<void> {
    return new Promise((resolve) => {
      let isLate = false;
      const settle = (answer: Answer): void => {
        if (answer.known === KNOWN.FAILED) this.failures++;
        if (!this.#isClosed) set.learn(answer, this.#options.now());
        // Late, `query` may be that of another try already.
        if (!isLate) set.query = null;
        resolve();
      };
      const timer = setTimeout(() => {
        settle(FAILURE);
        isLate = true;
      }, this.#options.timeoutMs);
      void this.#query(set).then((answer) => {
        this.#queryCount--;
        clearTimeout(timer);
        if (!isLate || answer.known !== KNOWN.FAILED) settle(answer);
      });
    });
  }

  async #query(set: RecordSet): Promise<Answer> {
    try {
      return (await this.#recordsFor(set)) ?? this.#absence();
    } catch (error) {
      return ABSENCE_CODES.has((error as NodeJS.ErrnoException).code ?? '') ? this.#absence() : FAILURE;
    }
  }

  /** Null: there are none to go by. */
  async #recordsFor({ kind, name }: RecordSet): Promise<Answer | null> {
    if (kind === KIND.NAPTR) {
      const rules = rulesOf(await this.#dns.resolveNaptr(name), this.#options.transports);
      return rules === null ? null : { known: KNOWN.PRESENT, ttlSec: SERVICE_TTL_SEC, rules };
    }
    if (kind === KIND.SRV) {
      const targets = srvTargetsOf(await this.#dns.resolveSrv(name));
      return { known: KNOWN.PRESENT, ttlSec: SERVICE_TTL_SEC, targets };
    }
    return answerOfAddresses(
      kind === KIND.A ? await this.#dns.resolve4(name, { ttl: true }) : await this.#dns.resolve6(name, { ttl: true }),
    );
  }

  #absence(): Answer {
    return { known: KNOWN.ABSENT, ttlSec: Math.max(this.#options.negativeTtlSec, MIN_TTL_SEC) };
  }
}

function openDns({ servers, timeoutMs }: NameServerOptions): dns.Resolver {
  const tryMs = Math.ceil(timeoutMs / 2);
  const opened = new dns.Resolver({ timeout: tryMs, tries: 2, maxTimeout: tryMs });
  if (servers.length > 0) opened.setServers(servers);
  return opened;
}

const FAILURE: Answer = { known: KNOWN.FAILED, ttlSec: FAILURE_TTL_SEC };

/** The name, or a record of this kind, does not exist; or the name is none that DNS could know. */
const ABSENCE_CODES = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME']);

function answerOfAddresses(records: readonly { address: string; ttl: number }[]): Answer | null {
  const addresses = records.map(({ address }) => addressOf(address)).filter((address) => address !== null);
  if (addresses.length === 0) return null;
  const ttlSec = Math.min(...records.map(({ ttl }) => ttl));
  return {
    known: KNOWN.PRESENT,
    ttlSec: Math.min(Math.max(ttlSec, MIN_TTL_SEC), MAX_TTL_SEC),
    addresses: addresses.sort(compareAddresses).slice(0, MAX_ADDRESSES),
  };
}
