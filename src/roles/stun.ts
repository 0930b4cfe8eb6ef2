/** STUN binding requests as keep-alives on a SIP port (RFC 5626 4.4.2, RFC 5389 sections 6, 7.3.1, 15.2). Runs on the shard.
 *  Warm: one per client and half a minute; allocates nothing. */

import type { Arena } from '../memory/arena.ts';
import { SLOT } from '../memory/layout.ts';
import { COUNTER, type Counters } from '../observe/counters.ts';
import type { Outbound } from '../sip/outbound.ts';

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const BINDING_ERROR = 0x0111;
const XOR_MAPPED_ADDRESS = 0x0020;
const ERROR_CODE = 0x0009;
const UNKNOWN_ATTRIBUTES = 0x000a;
const MAGIC_COOKIE = 0x2112a442;
const HEADER_BYTES = 20;
/** Attributes from 0x8000 on may be ignored by those who do not know them. */
const FIRST_OPTIONAL = 0x8000;
/** Comprehension-required attributes that a binding request may carry and a keep-alive may ignore: USERNAME,
 *  MESSAGE-INTEGRITY, REALM, NONCE (no credentials are asked for here). */
const KNOWN = [0x0006, 0x0008, 0x0014, 0x0015];
const UNKNOWN_ATTRIBUTE = 420;
const MAX_UNKNOWN = 16;

const unknown = new Uint16Array(MAX_UNKNOWN);

/** Answers a binding request with the source it came from; counts everything else. */
export function answerStun(
  arena: Arena,
  slotWord: number,
  start: number,
  end: number,
  outbound: Outbound,
  counters: Counters,
): void {
  const { bytes } = arena;
  const isWhole = end - start >= HEADER_BYTES && read16(bytes, start + 2) === end - start - HEADER_BYTES;
  if (!isWhole || read16(bytes, start) !== BINDING_REQUEST) {
    counters.count(COUNTER.stun_ignored_total);
    return;
  }
  const unknownCount = listUnknown(bytes, start + HEADER_BYTES, end);
  if (unknownCount < 0) {
    counters.count(COUNTER.stun_ignored_total);
    return;
  }
  counters.count(COUNTER.stun_requests_total);
  outbound.begin();
  const from = outbound.cursor;
  const body = from + HEADER_BYTES;
  const bodyEnd =
    unknownCount > 0 ? putError(bytes, body, unknownCount) : putMappedAddress(arena, slotWord, start, body);
  write16(bytes, from, unknownCount > 0 ? BINDING_ERROR : BINDING_SUCCESS);
  write16(bytes, from + 2, bodyEnd - body);
  for (let i = 4; i < HEADER_BYTES; i++) bytes[from + i] = bytes[start + i]!;
  outbound.putWritten(bodyEnd);
  outbound.keep(from, bodyEnd);
  outbound.toSource(slotWord, arena.words[slotWord + SLOT.PORT_WORD]!);
  outbound.commit(0);
}

/** Comprehension-required attributes that nobody here knows, into `unknown`; −1 if the attributes are malformed. */
function listUnknown(bytes: Uint8Array<SharedArrayBuffer>, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return -1;
    const type = read16(bytes, at);
    if (type < FIRST_OPTIONAL && !KNOWN.includes(type) && count < MAX_UNKNOWN) unknown[count++] = type;
    at += 4 + ((read16(bytes, at + 2) + 3) & ~3);
    if (at > end) return -1;
  }
  return count;
}

/** XOR-MAPPED-ADDRESS: port and address, XORed with the cookie and, beyond it, the transaction id (RFC 5389 15.2). */
function putMappedAddress(arena: Arena, slotWord: number, start: number, at: number): number {
  const { bytes, words } = arena;
  const isIpv4 = words[slotWord + SLOT.FAMILY_WORD] === 4;
  const length = isIpv4 ? 4 : 16;
  write16(bytes, at, XOR_MAPPED_ADDRESS);
  write16(bytes, at + 2, 4 + length);
  bytes[at + 4] = 0;
  bytes[at + 5] = isIpv4 ? 1 : 2;
  write16(bytes, at + 6, words[slotWord + SLOT.PORT_WORD]! ^ (MAGIC_COOKIE >>> 16));
  const source = (slotWord + SLOT.SOURCE_WORD) << 2;
  for (let i = 0; i < length; i++) bytes[at + 8 + i] = bytes[source + i]! ^ bytes[start + 4 + i]!;
  return at + 8 + length;
}

/** ERROR-CODE 420 and UNKNOWN-ATTRIBUTES (RFC 5389 7.3.1, 15.6, 15.9). */
function putError(bytes: Uint8Array<SharedArrayBuffer>, at: number, unknownCount: number): number {
  write16(bytes, at, ERROR_CODE);
  write16(bytes, at + 2, 4);
  write16(bytes, at + 4, 0);
  bytes[at + 6] = Math.trunc(UNKNOWN_ATTRIBUTE / 100);
  bytes[at + 7] = UNKNOWN_ATTRIBUTE % 100;
  write16(bytes, at + 8, UNKNOWN_ATTRIBUTES);
  write16(bytes, at + 10, unknownCount * 2);
  for (let i = 0; i < unknownCount; i++) write16(bytes, at + 12 + i * 2, unknown[i]!);
  const end = at + 12 + unknownCount * 2;
  if ((unknownCount & 1) === 0) return end;
  write16(bytes, end, 0);
  return end + 2;
}

function read16(bytes: Uint8Array<SharedArrayBuffer>, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function write16(bytes: Uint8Array<SharedArrayBuffer>, at: number, value: number): void {
  bytes[at] = (value >>> 8) & 255;
  bytes[at + 1] = value & 255;
}
