/** Flow tokens (RFC 5626 5.2): what the user part of a Path or Record-Route URI of ours says about the flow by which a client is
 *  reached, so that nobody has to remember it. Signed, so that nobody can make one up. Runs on the shard. Once per dialog with
 *  such a client and per request within it; allocates nothing.
 *
 *  ```
 *  "flow", then hexadecimal digits, eight for each word:
 *  socket | family << 8 | transport << 12 | port << 16    connection or zone    source address    local address    signature × 3
 *  ```
 *  An address is one word for IPv4, four for IPv6.
 *
 *  Departs from RFC 5626 5.2, the example algorithm: the signature is SipHash-2-4 with 128 bits, cut to 96, in place of
 *  HMAC-SHA1-80: it is a keyed hash as well, and takes a tenth of the time. */

import { SIPHASH_WORDS, siphash } from '../auth/siphash.ts';
import { literal } from '../base/ascii.ts';
import { equalBytes, viewOf } from '../base/spans.ts';
import { SLOT } from '../memory/layout.ts';
import { isHex, readHex } from '../sip/branch.ts';
import { type Outbound, ROUTE_WORDS } from '../sip/outbound.ts';
import { isReliable } from '../sip/transport.ts';
import type { BoundSocket } from './bound-socket.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** What a user part is. NONE: no token. FORGED: one that is not ours, or was changed. GONE: ours, but its socket is no more. */
export const TOKEN = { NONE: 0, VALID: 1, FORGED: -1, GONE: -2 } as const;

const PREFIX = literal('flow');
const WORD_DIGITS = 8;
const SIGNATURE_WORDS = 3;
const MAX_WORDS = 10;
const FAMILY_SHIFT = 8;
const TRANSPORT_SHIFT = 12;
const PORT_SHIFT = 16;

// Words of a route (transaction-records.ts), which are those of a slot's header from the socket on.
const FAMILY = SLOT.FAMILY_WORD - SLOT.SOCKET_WORD;
const PORT = SLOT.PORT_WORD - SLOT.SOCKET_WORD;
const SOURCE = SLOT.SOURCE_WORD - SLOT.SOCKET_WORD;
const LOCAL = SLOT.LOCAL_WORD - SLOT.SOCKET_WORD;
const CONNECTION = SLOT.CONNECTION_WORD - SLOT.SOCKET_WORD;

export class FlowTokens {
  readonly #bytes: Bytes;
  readonly #view: DataView;
  readonly #words: Words;
  readonly #sockets: readonly BoundSocket[];
  readonly #key: Int32Array;
  readonly #content = new Int32Array(MAX_WORDS);
  readonly #signature = new Int32Array(SIPHASH_WORDS);
  /** The flow of the token that was VALID last: socket, family, port, address, local address, connection or zone. */
  readonly route = new Int32Array(ROUTE_WORDS);

  /** `key`: SIPHASH_KEY_WORDS that are the same on all shards. */
  constructor(bytes: Bytes, words: Words, sockets: readonly BoundSocket[], key: Int32Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#words = words;
    this.#sockets = sockets;
    this.#key = key;
  }

  /** Writes the token of the flow whose route begins at `at` of `words`: of a slot that is its SOCKET_WORD. */
  put(outbound: Outbound, words: Int32Array, at: number): void {
    const content = this.#content;
    const family = words[at + FAMILY]!;
    const { transport } = this.#sockets[words[at]!]!;
    const addressWords = family === 4 ? 1 : 4;
    const kind = words[at]! | (family << FAMILY_SHIFT) | (transport << TRANSPORT_SHIFT);
    content[0] = kind | (words[at + PORT]! << PORT_SHIFT);
    content[1] = words[at + CONNECTION]!;
    for (let i = 0; i < addressWords; i++) {
      content[2 + i] = words[at + SOURCE + i]!;
      content[2 + addressWords + i] = words[at + LOCAL + i]!;
    }
    const count = 2 + 2 * addressWords;
    siphash(this.#key, content, count, this.#signature);
    outbound.put(PREFIX);
    for (let i = 0; i < count; i++) outbound.putHex(content[i]!);
    for (let i = 0; i < SIGNATURE_WORDS; i++) outbound.putHex(this.#signature[i]!);
  }

  /** What the user part in [start, end) is: one of TOKEN. */
  read(start: number, end: number): number {
    const bytes = this.#bytes;
    const content = this.#content;
    const digits = start + PREFIX.length;
    if (digits > end || !equalBytes(PREFIX.view, 0, PREFIX.length, this.#view, start)) return TOKEN.NONE;
    const count = (end - digits) / WORD_DIGITS - SIGNATURE_WORDS;
    const addressWords = count === 4 ? 1 : 4;
    if ((count !== 4 && count !== MAX_WORDS) || !isHex(bytes, digits, end)) return TOKEN.FORGED;
    for (let i = 0; i < count; i++) content[i] = this.#wordAt(digits, i);
    siphash(this.#key, content, count, this.#signature);
    let difference = 0;
    for (let i = 0; i < SIGNATURE_WORDS; i++) difference |= this.#signature[i]! ^ this.#wordAt(digits, count + i);
    if (difference !== 0) return TOKEN.FORGED;
    const { route } = this;
    const socket = content[0]! & 0xff;
    route.fill(0);
    route[0] = socket;
    route[FAMILY] = (content[0]! >>> FAMILY_SHIFT) & 15;
    route[PORT] = content[0]! >>> PORT_SHIFT;
    route[CONNECTION] = content[1]!;
    for (let i = 0; i < addressWords; i++) {
      route[SOURCE + i] = content[2 + i]!;
      route[LOCAL + i] = content[2 + addressWords + i]!;
    }
    const transport = (content[0]! >>> TRANSPORT_SHIFT) & 15;
    return this.#sockets[socket]?.transport === transport ? TOKEN.VALID : TOKEN.GONE;
  }

  /** RFC 5626 5.3: the request in the slot at `slotWord` comes by the flow in `route`, that is from its client. */
  isSource(slotWord: number): boolean {
    const words = this.#words;
    const { route } = this;
    const at = slotWord + SLOT.SOCKET_WORD;
    const { transport } = this.#sockets[route[0]!]!;
    if (this.#sockets[words[at]!]!.transport !== transport) return false;
    if (isReliable(transport)) return words[at + CONNECTION] === route[CONNECTION];
    for (let i = FAMILY; i < LOCAL; i++) if (words[at + i] !== route[i]) return false;
    return true;
  }

  #wordAt(digits: number, i: number): number {
    return readHex(this.#bytes, digits + i * WORD_DIGITS, digits + (i + 1) * WORD_DIGITS);
  }
}
