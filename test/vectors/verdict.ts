/** What a stateless proxy does with a test message: the shape of the tables beside the byte vectors.
 *
 *  The proxy of these tables listens on 192.0.2.254:5060 and [2001:db8::53]:5060 (UDP), owns no domain, trusts every source and
 *  can resolve every host name; so a valid request goes where its Request-URI or top Route says. `source` is where the datagram came from. */

export interface Forward {
  readonly kind: 'forward';
  /** Where it goes: "address:port", an IPv6 address in brackets. */
  readonly to: string;
  /** Every change to the received bytes, [from, to], besides those of all requests: our Via on top, `received`, `rport`
   *  filled in, Max-Forwards one less, Max-Breadth where none was. All other bytes arrive as they came. */
  readonly edits?: readonly (readonly [from: string, to: string])[];
}

export interface Answer {
  readonly kind: 'answer';
  /** Acceptable status codes, the preferred one first. */
  readonly status: number | readonly number[];
  /** Header fields the answer must have, as `Name: value`. */
  readonly headers?: readonly string[];
}

export interface Drop {
  readonly kind: 'drop';
}

export type Verdict = Forward | Answer | Drop;

export interface Vector {
  /** The bytes are in NAME.dat beside the table. */
  readonly name: string;
  readonly section: string;
  readonly title: string;
  /** Every acceptable behaviour, the preferred one first. */
  readonly expected: readonly [Verdict, ...Verdict[]];
  readonly why: string;
  /** "address:port"; 192.0.2.200:5060 unless told. */
  readonly source?: string;
}
