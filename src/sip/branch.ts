/** Branches of a stateless proxy (RFC 3261 16.6 step 8, 16.11): a function of the message only, so that retransmissions,
 *  the CANCEL and the ACK of an INVITE get the branch of the INVITE. Runs on the shard. Hot, allocates nothing.
 *
 *  ```
 *  z9hG4bKs TTTTTTTTTTTTTTTT LLLLLLLL SS [A…]     all hexadecimal, without the blanks
 *           |                |        |  local address the request came to, on a wildcard socket: 8 or 32 digits
 *           |                |        socket it came to, so that the response leaves from there (RFC 3581 section 4)
 *           |                loop part: what decided about the routing (RFC 5393 section 4.2.1)
 *           transaction part: 64 bits
 *  ``` */

import { ascii } from '../base/ascii.ts';
import { hashBytes, hashBytesTwice, secondHash } from '../base/hash.ts';
import { HEADER_ID } from './header-table.ts';
import type { MessageIndex } from './message-index.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** Magic cookie (section 8.1.1.7) and our own mark. */
export const BRANCH_PREFIX = 'z9hG4bKs';
const COOKIE = ascii('z9hg4bk');
export const TRANSACTION_DIGITS = 16;
export const LOOP_DIGITS = 8;
export const SOCKET_DIGITS = 2;
export const CHANGING_DIGITS = TRANSACTION_DIGITS + LOOP_DIGITS + SOCKET_DIGITS;

const WORD_DIGITS = 8;
const SOCKET_SHIFT = 24;

const SEED_HIGH = 0x53747267;
const SEED_LOW = 0x6f776765;
const SEED_LOOP = 0x6c6f6f70;
/** Odd, so that different numbers stay different. */
const MIX_HIGH = 0x85ebca6b | 0;
const MIX_LOW = 0xc2b2ae35 | 0;

/** The 64 bits that tell transactions apart; filled by `identify` (roles/proxy/identity.ts). */
export class TransactionKey {
  high = 0;
  low = 0;

  fold(words: Words, start: number, end: number): void {
    this.high = hashBytesTwice(words, start, end, this.high, this.low);
    this.low = secondHash;
  }

  foldNumber(value: number): void {
    this.high = Math.imul(this.high ^ value, MIX_HIGH);
    this.high ^= this.high >>> 13;
    this.low = Math.imul(this.low ^ value, MIX_LOW);
    this.low ^= this.low >>> 16;
  }

  begin(): void {
    this.high = SEED_HIGH;
    this.low = SEED_LOW;
  }
}

/** True if a branch begins with the magic cookie, in any case, and goes on: only then is it unique to its transaction
 *  (RFC 3261 8.1.1.7; the cookie alone: RFC 4475 3.2.1). */
export function isUniqueBranch(bytes: Bytes, start: number, end: number): boolean {
  if (end - start <= COOKIE.length) return false;
  for (let i = 0; i < COOKIE.length; i++) {
    const byte = bytes[start + i]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== COOKIE[i]) return false;
  }
  return true;
}

/** Hash of what decides about the routing of a request, whatever its method: Request-URI and Route as received, and the
 *  socket it came to, on which the meaning of a maddr depends (RFC 3261 16.4, 16.6 step 8, RFC 5393 4.2.1).
 *
 *  Departs from RFC 3261 16.6: Proxy-Require and Proxy-Authorization (step 8) do not decide where a request goes. One with the former
 *  is refused; credentials for us are taken out on the way, so that a loop would take another round to be found; and a
 *  CANCEL, which without transactions must get the branch of its INVITE, does not repeat them (16.11, 22.1). */
export function loopHash(words: Words, index: MessageIndex, socket: number): number {
  let hash = hashBytes(words, index.uriStart, index.uriEnd, SEED_LOOP + socket);
  for (let header = index.first[HEADER_ID.ROUTE]!; header !== -1; header = index.next(header)) {
    hash = hashBytes(words, index.valueStart(header), index.valueEnd(header), hash);
  }
  return hash;
}

/** What the loop part, the socket and the local address, `localWords` words from `localAt` of `words`, make of a cookie in the
 *  transaction part, by XOR: so nothing of a branch can change that the cookie does not show (RFC 3261 17.1.3). */
export function branchSeal(loop: number, socket: number, words: Words, localAt: number, localWords: number): number {
  let seal = loop ^ (socket << SOCKET_SHIFT) ^ localWords;
  for (let i = 0; i < localWords; i++) seal ^= inTextOrder(words[localAt + i]!);
  return seal;
}

/** The same, of a branch as it is written: [start, end) are the digits behind the transaction part, all hexadecimal and as many as
 *  `isSealLength` says. */
export function readSeal(bytes: Bytes, start: number, end: number): number {
  const socketAt = start + LOOP_DIGITS;
  const localAt = socketAt + SOCKET_DIGITS;
  let seal = readHex(bytes, start, socketAt) ^ (readHex(bytes, socketAt, localAt) << SOCKET_SHIFT);
  let localWords = 0;
  for (let at = localAt; at < end; at += WORD_DIGITS, localWords++) seal ^= readHex(bytes, at, at + WORD_DIGITS);
  return seal ^ localWords;
}

/** Without a local address, or with one of either family. */
export function isSealLength(digits: number): boolean {
  const local = digits - LOOP_DIGITS - SOCKET_DIGITS;
  return local === 0 || local === WORD_DIGITS || local === 4 * WORD_DIGITS;
}

/** A word of an address, whose first byte comes first in memory, as its eight digits are read. */
function inTextOrder(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** The number written in hexadecimal in [start, end), at most eight digits; only after `isHex`. */
export function readHex(bytes: Bytes, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) value = (value << 4) | (hexDigit(bytes[i]!) & 15);
  return value;
}

/** True if [start, end) is nothing but hexadecimal digits. */
export function isHex(bytes: Bytes, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (hexDigit(bytes[i]!) === -1) return false;
  return end > start;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
