/** Which transaction a request belongs to, and whether it has been here before (RFC 3261 16.3 step 4, 16.6 step 8, 16.11;
 *  RFC 5393 4.2). Runs on the shard. Hot: once per request, allocates nothing. */

import type { Arena } from '../../memory/arena.ts';
import { BRANCH_PREFIX, isHex, isUniqueBranch, LOOP_DIGITS, readHex, TRANSACTION_DIGITS } from '../../sip/branch.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { parseNameAddr } from '../../sip/name-addr.ts';
import { parseVia, ViaView } from '../../sip/via.ts';
import type { OwnAddresses } from '../own-addresses.ts';
import type { ReceivedRequest } from '../received-request.ts';

const SPACE = 0x20;
const LOOP_AT = BRANCH_PREFIX.length + TRANSACTION_DIGITS;
const LOOP_END = LOOP_AT + LOOP_DIGITS;

const earlierVia = new ViaView();

/** Fills the request's transaction key. With the magic cookie it is the branch with its sent-by; without (RFC 2543) the
 *  fields of which one always varies between transactions (section 16.11). Missing headers count as empty.
 *
 *  Departs from RFC 3261 7.3.1: branch and sent-by are compared by their octets. A client that changes their case between
 *  two sendings of one request is not known, and folding them would cost every message. */
export function identify(arena: Arena, request: ReceivedRequest): void {
  fillKey(arena, request, true);
}

/** Fills the key of an ACK without the magic cookie as that of the INVITE it acknowledges, whose To had no tag yet: the one
 *  the ACK has is of the response (17.2.3). False: the key is right as it is. */
export function identifyAcknowledged(arena: Arena, request: ReceivedRequest): boolean {
  const { topVia: via } = request;
  if (via.branchStart !== -1 && isUniqueBranch(arena.bytes, via.branchStart, via.branchEnd)) return false;
  fillKey(arena, request, false);
  return true;
}

function fillKey(arena: Arena, request: ReceivedRequest, isToTagged: boolean): void {
  const { words, bytes } = arena;
  const { topVia: via, transaction: key, index } = request;
  key.begin();
  if (via.branchStart !== -1 && isUniqueBranch(bytes, via.branchStart, via.branchEnd)) {
    // From the sent-by to the end of the branch, with what stands between them: all of it is the same in a retransmission,
    // the CANCEL and the ACK (17.1.1.3, 9.1).
    key.fold(words, via.sentByStart, via.branchEnd);
    return;
  }
  const { first } = index;
  key.fold(words, index.valueStart(first[HEADER_ID.VIA]!), via.end);
  for (let id = 0; id < 2; id++) {
    const header = first[id === 0 ? HEADER_ID.TO : HEADER_ID.FROM]!;
    if (header === -1) continue;
    const view = id === 0 ? request.to : request.from;
    const isRead = parseNameAddr(bytes, index.valueStart(header), index.valueEnd(header), view) >= 0;
    if (isRead && view.tagStart !== -1 && (isToTagged || id === 1)) key.fold(words, view.tagStart, view.tagEnd);
  }
  const callId = first[HEADER_ID.CALL_ID]!;
  if (callId !== -1) key.fold(words, index.valueStart(callId), index.valueEnd(callId));
  const cseq = first[HEADER_ID.CSEQ]!;
  if (cseq !== -1) {
    // The number but not the method.
    let end = index.valueStart(cseq);
    while (end < index.valueEnd(cseq) && bytes[end]! > SPACE) end++;
    key.fold(words, index.valueStart(cseq), end);
  }
  key.fold(words, index.uriStart, index.uriEnd);
}

/** True if a Via of ours carries the loop part this request would get again: nothing that decides about its routing has
 *  changed since, so it would go round for ever. A changed one makes a legitimate spiral. */
export function isLoop(arena: Arena, request: ReceivedRequest, own: OwnAddresses): boolean {
  const { index, topVia } = request;
  if (isSameLoop(arena, request, topVia) && isOwnVia(own, topVia, request.slotWord)) return true;
  const { bytes } = arena;
  let start = topVia.end + 1;
  for (let header = index.first[HEADER_ID.VIA]!; header !== -1; ) {
    const end = index.valueEnd(header);
    while (start < end) {
      // A Via further down that nobody can read is no business of ours.
      if (parseVia(bytes, start, end, earlierVia) < 0) break;
      if (isSameLoop(arena, request, earlierVia) && isOwnVia(own, earlierVia, request.slotWord)) return true;
      start = earlierVia.end + 1;
    }
    header = index.next(header);
    if (header !== -1) start = index.valueStart(header);
  }
  return false;
}

/** A sent-by of ours, with the transport that stands beside it. */
export function isOwnVia(own: OwnAddresses, via: ViaView, slotWord: number): boolean {
  return own.isOwnAddress(via, via.port, via.transport, slotWord);
}

function isSameLoop(arena: Arena, request: ReceivedRequest, via: ViaView): boolean {
  const { branchStart, branchEnd } = via;
  if (branchStart === -1 || branchEnd - branchStart < LOOP_END) return false;
  const { bytes } = arena;
  // The mark behind the cookie tells most foreign branches away.
  if (bytes[branchStart + BRANCH_PREFIX.length - 1] !== BRANCH_PREFIX.charCodeAt(BRANCH_PREFIX.length - 1))
    return false;
  if (!isHex(bytes, branchStart + BRANCH_PREFIX.length, branchStart + LOOP_END)) return false;
  return readHex(bytes, branchStart + LOOP_AT, branchStart + LOOP_END) === request.loop;
}
