/** HEP packets for one address over UDP: gathered, and given to the kernel together. Those of one length leave as one piece of work
 *  (native/README.md), so they are sorted by their lengths: a collector goes by the time that each says, and UDP promises no order.
 *  Runs on the export thread, which has an arena of its own for them; hot there, allocates nothing per packet. */

import { constants } from 'node:os';
import { createArena } from '../../memory/arena.ts';
import { EGRESS, EGRESS_ENTRIES, EGRESS_STRIDE_BYTES } from '../../memory/layout.ts';
import { addressWords } from '../streams/address-words.ts';
import {
  addSocket,
  attach,
  close,
  openUdp,
  removeSocket,
  sendBatch,
  streamError,
  takeUnreachable,
  UNREACHABLE_WORDS,
} from '../udp-socket.ts';
import { MAX_HEP_BYTES } from './hep-packet.ts';

const SOCKET = 0;
const SHARD = 0;
const SLOTS = EGRESS_ENTRIES;
const SEND_BUFFER_BYTES = 1024 * 1024;
const RECEIVE_BUFFER_BYTES = 64 * 1024;

const { EHOSTUNREACH } = constants.errno;

export interface Sendings {
  readonly sent: number;
  /** Refused by the kernel, or, as far as ICMP has told, by the network: now, or of those that were sent before. */
  readonly failed: number;
  /** Of one of them; 0: there is none. */
  readonly errno: number;
}

const NOTHING: Sendings = { sent: 0, failed: 0, errno: 0 };

export class HepOutbox {
  readonly #arena = createArena({ shardCount: 1, slotCount: SLOTS, jumboCount: 1 });
  /** Of each packet its length, and its place among those that were added. */
  readonly #order = new Float64Array(EGRESS_ENTRIES);
  readonly #starts = new Int32Array(EGRESS_ENTRIES);
  readonly #unreachable = new Int32Array(UNREACHABLE_WORDS);
  #count = 0;
  #end = this.#arena.map.slots;
  #fd = -1;
  #to = addressWords('');
  #port = 0;

  constructor() {
    attach(this.#arena.bytes);
  }

  /** From now on packets go to this address. Throws a SystemError. */
  open(address: string, family: 4 | 6, port: number): void {
    const { fd } = openUdp({
      ...{ host: family === 4 ? '0.0.0.0' : '::', port: 0, family, dualStack: false, dscp: 0, reusePort: false },
      ...{ receiveBufferBytes: RECEIVE_BUFFER_BYTES, sendBufferBytes: SEND_BUFFER_BYTES },
    });
    this.#fd = fd;
    this.#to = addressWords(address);
    this.#port = port;
    addSocket(SOCKET, fd, family, false);
    // Of a socket before it.
    this.#refusals();
  }

  /** What is in it is lost. */
  close(): void {
    if (this.#fd === -1) return;
    removeSocket(SOCKET);
    close(this.#fd);
    this.#fd = -1;
    this.#empty();
  }

  get count(): number {
    return this.#count;
  }

  /** Where packets are written to, the next one at `next`. */
  get area(): Uint8Array {
    return this.#arena.bytes;
  }

  get next(): number {
    return this.#end;
  }

  /** Whether there is room for one more packet, whatever its length. */
  get hasRoom(): boolean {
    return this.#count < EGRESS_ENTRIES && this.#end + MAX_HEP_BYTES <= this.#arena.map.jumbos;
  }

  /** The next one was written, up to `end`. */
  add(end: number): void {
    this.#starts[this.#count] = this.#end;
    this.#order[this.#count] = (end - this.#end) * EGRESS_ENTRIES + this.#count;
    this.#count++;
    this.#end = end;
  }

  /** Sends what is in it, unless the network has refused something that was sent before. */
  flush(): Sendings {
    const count = this.#count;
    const errnoBefore = streamError(this.#fd);
    if (errnoBefore !== 0) {
      this.#empty();
      return { sent: 0, failed: count + 1, errno: errnoBefore };
    }
    if (count === 0) return NOTHING;
    const { words, map } = this.#arena;
    const order = this.#order.subarray(0, count).sort();
    const { family, a0, a1, a2, a3 } = this.#to;
    for (let i = 0; i < count; i++) {
      const entry = (map.egress + i * EGRESS_STRIDE_BYTES) >> 2;
      const which = order[i]! % EGRESS_ENTRIES;
      words[entry + EGRESS.SPAN_COUNT_WORD] = 1;
      words[entry + EGRESS.SOCKET_WORD] = SOCKET;
      words[entry + EGRESS.FAMILY_WORD] = family;
      words[entry + EGRESS.PORT_WORD] = this.#port;
      words[entry + EGRESS.ADDRESS_WORD] = a0;
      words[entry + EGRESS.ADDRESS_WORD + 1] = a1;
      words[entry + EGRESS.ADDRESS_WORD + 2] = a2;
      words[entry + EGRESS.ADDRESS_WORD + 3] = a3;
      words[entry + EGRESS.SPANS_WORD] = this.#starts[which]!;
      words[entry + EGRESS.SPANS_WORD + 1] = (order[i]! - which) / EGRESS_ENTRIES;
    }
    const failed = sendBatch(SHARD, 0, count);
    const refused = Math.min(this.#refusals(), count - failed);
    const errno = failed > 0 ? this.#errnoOf(count) : refused > 0 ? streamError(this.#fd) || EHOSTUNREACH : 0;
    this.#empty();
    return { sent: count - failed - refused, failed: failed + refused, errno };
  }

  /** Of ICMP, since the last time, but for the one that `streamError` tells. */
  #refusals(): number {
    let count = 0;
    while (takeUnreachable(SOCKET, this.#unreachable)) count++;
    return count;
  }

  #errnoOf(count: number): number {
    const { words, map } = this.#arena;
    for (let i = 0; i < count; i++) {
      const errno = words[((map.egress + i * EGRESS_STRIDE_BYTES) >> 2) + EGRESS.RESULT_WORD]!;
      if (errno !== 0) return errno;
    }
    return 0;
  }

  #empty(): void {
    this.#count = 0;
    this.#end = this.#arena.map.slots;
  }
}
