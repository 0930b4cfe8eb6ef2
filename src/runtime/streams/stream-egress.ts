/** What a shard sends over streams: takes those messages out of a flush and copies them into the ring of the thread that has the
 *  connections. Runs on the shard. Hot where there are streams: once per flush and once per message sent, allocates nothing. */

import { constants } from 'node:os';
import type { Arena } from '../../memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_FLAG,
  EGRESS_STRIDE_BYTES,
  ELSEWHERE,
  MAX_DATAGRAM_BYTES,
  MAX_SOCKETS,
  RECORD,
  SLOT,
  SLOT_HEADER_BYTES,
  slotOffset,
  streamOutboundOffset,
} from '../../memory/layout.ts';
import { MessageProducer } from '../../memory/message-ring.ts';
import type { BoundSocket } from '../../roles/bound-socket.ts';
import { CLIENT_TAG } from '../../roles/proxy/branches.ts';
import { ROUTE_WORDS } from '../../sip/outbound.ts';
import { TRANSPORT } from '../../sip/transport.ts';
import { signal } from '../udp-socket.ts';

const ENTRY_WORDS = EGRESS_STRIDE_BYTES >> 2;
/** RFC 1035 2.3.4. */
const MAX_NAME_BYTES = 255;

export interface StreamEgressParts {
  readonly arena: Arena;
  readonly shard: number;
  readonly sockets: readonly BoundSocket[];
  /** Wakes the thread of the streams. */
  readonly wakeFd: number;
  /** Without transactions nobody has a request any more by the time that it comes back: its origin goes along. With them only that of
   *  what was moved and has no transaction, such as the ACK to a 2xx. */
  readonly isStateless: boolean;
}

export class StreamEgress {
  readonly #arena: Arena;
  readonly #ring: MessageProducer;
  readonly #entries: number;
  readonly #isStream = new Uint8Array(MAX_SOCKETS);
  readonly #wakeFd: number;
  readonly #isStateless: boolean;
  /** Of the last flush: messages that went over streams, and those that did not because there was no room, or they are too long. */
  taken = 0;
  failed = 0;

  constructor({ arena, shard, sockets, wakeFd, isStateless }: StreamEgressParts) {
    this.#arena = arena;
    this.#isStateless = isStateless;
    this.#ring = new MessageProducer(arena.words, streamOutboundOffset(arena.map, shard));
    this.#entries = (arena.map.egress + shard * EGRESS_BYTES) >> 2;
    this.#wakeFd = wakeFd;
    for (const { socket, transport } of sockets) this.#isStream[socket] = Number(transport !== TRANSPORT.UDP);
  }

  /** Takes the messages for streams among the first `count` of the egress table; what is left is for sendmmsg, which passes
   *  over those taken. */
  take(count: number): void {
    const { words } = this.#arena;
    this.taken = this.failed = 0;
    for (let i = 0, entry = this.#entries; i < count; i++, entry += ENTRY_WORDS) {
      if (this.#isStream[words[entry + EGRESS.SOCKET_WORD]!] === 1) this.#takeOne(entry);
    }
    if (this.taken > 0 && this.#ring.publish()) signal(this.#wakeFd);
  }

  /** What was taken is over: all entries name their sockets again. */
  forget(count: number): void {
    const { words } = this.#arena;
    for (let i = 0, entry = this.#entries; i < count; i++, entry += ENTRY_WORDS) {
      words[entry + EGRESS.SOCKET_WORD]! &= ~ELSEWHERE;
    }
  }

  #takeOne(entry: number): void {
    const { bytes, words } = this.#arena;
    const pieces = words[entry + EGRESS.SPAN_COUNT_WORD]!;
    const spans = entry + EGRESS.SPANS_WORD;
    let length = 0;
    for (let i = 0; i < pieces; i++) length += words[spans + 2 * i + 1]!;
    this.taken++;
    const flags = words[entry + EGRESS.FLAGS_WORD]!;
    const nameBytes = (flags & EGRESS_FLAG.NAMED) === 0 ? 0 : words[spans + 1]!;
    const isTooLong = length - nameBytes > MAX_DATAGRAM_BYTES || nameBytes > MAX_NAME_BYTES;
    const tag = words[entry + EGRESS.TAG_WORD]!;
    const origin = hasOrigin(tag, flags, this.#isStateless) ? slotOffset(this.#arena.map, tag - 1) : 0;
    const originBytes = origin === 0 ? 0 : SLOT_HEADER_BYTES + words[(origin >> 2) + SLOT.LENGTH_WORD]!;
    const offset = isTooLong ? -1 : this.#ring.claim(originBytes + length);
    if (offset === -1) {
      this.failed++;
      words[entry + EGRESS.RESULT_WORD] = isTooLong ? constants.errno.EMSGSIZE : constants.errno.ENOBUFS;
      words[entry + EGRESS.SOCKET_WORD]! |= ELSEWHERE;
      return;
    }
    const record = offset >> 2;
    for (let i = 0; i < ROUTE_WORDS; i++) words[record + SLOT.SOCKET_WORD + i] = words[entry + EGRESS.SOCKET_WORD + i]!;
    words[record + RECORD.TAG_WORD] = tag;
    words[record + RECORD.NAME_BYTES_WORD] = nameBytes;
    words[record + RECORD.FLAGS_WORD] = flags | (origin === 0 ? 0 : EGRESS_FLAG.WITH_ORIGIN);
    let at = offset + SLOT_HEADER_BYTES;
    if (origin !== 0) bytes.copyWithin(at, origin, origin + originBytes);
    at += originBytes;
    for (let i = 0; i < pieces; i++) {
      const start = words[spans + 2 * i]!;
      const end = start + words[spans + 2 * i + 1]!;
      bytes.copyWithin(at, start, end);
      at += end - start;
    }
    this.#ring.commit();
    // Whoever looks at the entry from now on sees the message alone.
    if (nameBytes > 0) words[spans + 1] = 0;
    words[entry + EGRESS.RESULT_WORD] = 0;
    words[entry + EGRESS.SOCKET_WORD]! |= ELSEWHERE;
  }
}

/** Whether the slot of a request goes along with what was made of it: `tag` and `flags` are of its egress entry. */
export function hasOrigin(tag: number, flags: number, isStateless: boolean): boolean {
  const isSlot = tag !== 0 && (tag & CLIENT_TAG) === 0;
  return isSlot && (isStateless || (flags & EGRESS_FLAG.MOVED) !== 0);
}
