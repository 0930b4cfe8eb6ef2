/** What the roles need of the floors above them, declared here and provided there, so that a role runs in a test without
 *  threads, sockets or name servers. */

import { TRANSPORT } from '../sip/transport.ts';
import type { Clock } from '../transaction/transaction-records.ts';

/** The clock of transactions, and beside it that of the slots' receive time: microseconds, low 32 bits. What it says is when
 *  the datagram in hand came, or when the timers in hand fired. */
export interface ElementClock extends Clock {
  nowUs: number;
  /** Milliseconds since 1970, as of the duty cycle: asking for them costs as much as reading a header. */
  wallMs: number;
}

/** Verdicts of `ResolverPort.find`. Positive: go on; zero: wait; negative: there is no such destination. */
export const FOUND = 1;
export const PENDING = 0;
export const NOT_FOUND = -1;

/** A destination. Made once by `newResolvedAddress` and filled again and again. */
export interface ResolvedAddress {
  family: 4 | 6;
  /** 1 … 65535. */
  port: number;
  /** One of TRANSPORT, never NONE. */
  transport: number;
  /** Four words, the address bytes in network order as in a slot's header: IPv4 in the first word, the others zero. */
  readonly words: Int32Array;
}

export function newResolvedAddress(): ResolvedAddress {
  return { family: 4, port: 0, transport: TRANSPORT.UDP, words: new Int32Array(4) };
}

/** From a host name to where to send (RFC 3263 4). `transport` is that of the URI, Via or next hop, NONE where it leaves the choice;
 *  what is found is by that, or by the one chosen. */
export interface ResolverPort {
  /** Fills `out` and returns FOUND, or returns NOT_FOUND or PENDING; never waits. `port` is −1 where the URI has none.
   *  `selector` is a 32-bit hash of what identifies the transaction: the same selector finds the same destination as
   *  long as the DNS records are the same. */
  find(host: string, port: number, transport: number, selector: number, out: ResolvedAddress): number;

  /** The destination to try after `attempt` others failed (RFC 3263 4.3), in the order of RFC 2782: attempt 0 is what
   *  `find` gives, and no address, port and transport comes twice. NOT_FOUND: there are no more. PENDING: as of `find`, and
   *  rare once that said FOUND, since records changed or ran out then. The same selector has the same order as long as the
   *  records are the same. Cold: once per failure. */
  findNext(
    host: string,
    port: number,
    transport: number,
    selector: number,
    attempt: number,
    out: ResolvedAddress,
  ): number;

  /** After PENDING: settles, never rejects, once `find` can say FOUND or NOT_FOUND. Ask `find` again then; where it says
   *  PENDING still, its limits were exceeded meanwhile and the name counts as not found. */
  whenResolved(host: string, port: number, transport: number): Promise<void>;
}
