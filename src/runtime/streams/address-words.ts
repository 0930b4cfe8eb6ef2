/** Addresses between Node, which has them as text, and slots, which have them as words (layout.ts). Thread of the streams and main thread. Cold:
 *  once per connection. */

import { formatIpAddress, MAX_ADDRESS_BYTES, parseIpAddress } from '../../sip/ip-address.ts';

const MAPPED = /^::ffff:(?=\d+\.)/i;

const bytes = new Uint8Array(new SharedArrayBuffer(2 * MAX_ADDRESS_BYTES));
const words = new Int32Array(new SharedArrayBuffer(16));

/** Four words in network order, IPv4 in the first. An IPv4 address that a dual-stack socket shows as IPv6 is IPv4. */
export interface AddressWords {
  /** 0: it was no address. */
  readonly family: 0 | 4 | 6;
  readonly a0: number;
  readonly a1: number;
  readonly a2: number;
  readonly a3: number;
}

export const NO_ADDRESS: AddressWords = { family: 0, a0: 0, a1: 0, a2: 0, a3: 0 };

/** A zone (`%eth0`) is passed over: a connection keeps it, and slots have no room for it. */
export function addressWords(text: string | undefined): AddressWords {
  const bare = (text ?? '').replace(/%.*$/, '').replace(MAPPED, '');
  if (bare.length > MAX_ADDRESS_BYTES) return NO_ADDRESS;
  for (let i = 0; i < bare.length; i++) bytes[i] = bare.charCodeAt(i);
  words.fill(0);
  const family = parseIpAddress(bytes, 0, bare.length, words, 0) as 0 | 4 | 6;
  if (family === 0) return NO_ADDRESS;
  return { family, a0: words[0]!, a1: words[1]!, a2: words[2]!, a3: words[3]! };
}

/** The text of the address at `at` in `from`. */
export function addressText(from: Int32Array, at: number, family: number): string {
  for (let i = 0; i < 4; i++) words[i] = from[at + i]!;
  const end = formatIpAddress(words, 0, family, bytes, 0);
  return String.fromCharCode(...bytes.subarray(0, end));
}
