/** What a flow must know of the way its messages take. */

export interface Way {
  readonly clientPort: number;
  readonly agentPort: number;
  readonly serverPort: number;
  /** Servers that leave Via and, where the flow asks for it, Record-Route: 1, or 0 for the bare relay. */
  readonly hops: 0 | 1;
  /** Whether a request may come twice: a stateful server sends it again while nothing came back. */
  readonly isStateful: boolean;
}

/** Users user0000000 … of DOMAIN, all with one password. */
export interface Users {
  readonly count: number;
  readonly password: string;
}

export const DOMAIN = 'perf.test';
export const PASSWORD = 'secret';
/** Digits of a user's number. */
export const USER_DIGITS = 7;
export const MAX_USERS = 2_000_000;
