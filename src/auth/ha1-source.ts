/** Where HA1s come from, as the verifier sees it: a table in memory, or later a database behind a cache. H(A1) of RFC 7616
 *  3.4.2, the hash of `user:realm:password`, is all that a server needs to know of a password. */

import type { Algorithm } from './algorithms.ts';
import type { Text } from './digest-credentials.ts';

export const HA1 = {
  FOUND: 0,
  /** No such user, or none of whom this algorithm's HA1 is known. */
  ABSENT: 1,
  /** It was asked for: verify the request again when the source says so. */
  PENDING: 2,
  /** Nobody can say now. */
  UNAVAILABLE: 3,
} as const;
export type Ha1Answer = (typeof HA1)[keyof typeof HA1];

export interface Ha1Source {
  /** Looks for the user whose name, unquoted, is [start, end) of `text`, in the realm with this number. If FOUND, the first
   *  bytes of `target` are the HA1 for `algorithm`, as many as DIGEST_BYTES says. Hot: once per request. */
  lookup(realm: number, text: Text, start: number, end: number, algorithm: Algorithm, target: Uint8Array): Ha1Answer;
}
