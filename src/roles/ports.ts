/** What the roles need of the floors above them, declared here and provided there, so that a role runs in a test without
 *  threads, sockets or name servers. */

/** Verdicts of `ResolverPort.find`. Positive: go on; zero: wait; negative: there is no such destination. */
export const FOUND = 1;
export const PENDING = 0;
export const NOT_FOUND = -1;

/** A destination. Made once by `newResolvedAddress` and filled again and again. */
export interface ResolvedAddress {
  family: 4 | 6;
  /** 1 … 65535. */
  port: number;
  /** Four words, the address bytes in network order as in a slot's header: IPv4 in the first word, the others zero. */
  readonly words: Int32Array;
}

export function newResolvedAddress(): ResolvedAddress {
  return { family: 4, port: 0, words: new Int32Array(4) };
}

/** From a host name to where to send, over UDP (RFC 3263 4.2). */
export interface ResolverPort {
  /** Fills `out` and returns FOUND, or returns NOT_FOUND or PENDING; never waits. `port` is −1 where the URI has none.
   *  `selector` is a 32-bit hash of what identifies the transaction: the same selector finds the same destination as
   *  long as the DNS records are the same. */
  find(host: string, port: number, selector: number, out: ResolvedAddress): number;

  /** After PENDING: settles, never rejects, once `find` can say FOUND or NOT_FOUND. Ask `find` again then; where it says
   *  PENDING still, its limits were exceeded meanwhile and the name counts as not found. */
  whenResolved(host: string, port: number): Promise<void>;
}
