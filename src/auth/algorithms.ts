/** The hash algorithms of digest authentication as small numbers (RFC 7616 3.7, RFC 8760 2.1). Any thread. Hot: once per
 *  credentials, allocates nothing.
 *
 *  The session variants ("-sess") are not among them: a server that knows every HA1 gains nothing from them. */

import { ascii } from '../base/ascii.ts';
import { isWord } from '../sip/lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

export const ALGORITHM = { MD5: 0, SHA_256: 1, SHA_512_256: 2 } as const;
export type Algorithm = (typeof ALGORITHM)[keyof typeof ALGORITHM];

export const ALGORITHM_COUNT = 3;
export const UNKNOWN_ALGORITHM = -1;

/** As the `algorithm` parameter has them, by number. */
export const ALGORITHM_NAMES = ['MD5', 'SHA-256', 'SHA-512-256'] as const;
/** As node:crypto has them. */
export const NODE_HASHES = ['md5', 'sha256', 'sha512-256'] as const;
/** Lengths of the digests. */
export const DIGEST_BYTES = [16, 32, 32] as const;
export const MAX_DIGEST_BYTES = 32;

const WORDS = ALGORITHM_NAMES.map((name) => ascii(name.toLowerCase()));

/** The algorithm whose name is in [start, end), whatever the case, or UNKNOWN_ALGORITHM. */
export function algorithmOf(bytes: Bytes, start: number, end: number): Algorithm | typeof UNKNOWN_ALGORITHM {
  if (isWord(bytes, start, end, WORDS[ALGORITHM.MD5]!)) return ALGORITHM.MD5;
  if (isWord(bytes, start, end, WORDS[ALGORITHM.SHA_256]!)) return ALGORITHM.SHA_256;
  if (isWord(bytes, start, end, WORDS[ALGORITHM.SHA_512_256]!)) return ALGORITHM.SHA_512_256;
  return UNKNOWN_ALGORITHM;
}
