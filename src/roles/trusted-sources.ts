/** Sources that may send requests on to foreign domains. Compiled once; asking is hot and allocates nothing.
 *
 *  Never by WebSocket: the scripts of any web page may open one from a trusted machine, and proxies that end TLS stand on one. */

import { assert } from '../base/assert.ts';
import { parseCidr } from '../config/cidr.ts';
import { MAX_SOCKETS, SLOT } from '../memory/layout.ts';
import { isWebSocket } from '../sip/transport.ts';
import type { BoundSocket } from './bound-socket.ts';

/** Words of a block: family, four of the mask, four of the address. */
const STRIDE = 9;

export class TrustedSources {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #blocks: Int32Array;
  readonly #isWebSocket = new Uint8Array(MAX_SOCKETS);

  /** `blocks` as the configuration has them, e.g. `10.0.0.0/8`. */
  constructor(words: Int32Array<SharedArrayBuffer>, blocks: readonly string[], sockets: readonly BoundSocket[]) {
    this.#words = words;
    for (const { socket, transport } of sockets) this.#isWebSocket[socket] = Number(isWebSocket(transport));
    this.#blocks = Int32Array.from(blocks.flatMap(compileBlock));
  }

  /** True if the datagram whose slot begins at `slotWord` came from a trusted source. */
  has(slotWord: number): boolean {
    const words = this.#words;
    const blocks = this.#blocks;
    const source = slotWord + SLOT.SOURCE_WORD;
    const family = words[slotWord + SLOT.FAMILY_WORD]!;
    for (let at = 0; at < blocks.length; at += STRIDE) {
      if (
        blocks[at] === family &&
        (words[source]! & blocks[at + 1]!) === blocks[at + 5] &&
        (words[source + 1]! & blocks[at + 2]!) === blocks[at + 6] &&
        (words[source + 2]! & blocks[at + 3]!) === blocks[at + 7] &&
        (words[source + 3]! & blocks[at + 4]!) === blocks[at + 8]
      ) {
        return this.#isWebSocket[words[slotWord + SLOT.SOCKET_WORD]!] === 0;
      }
    }
    return false;
  }
}

function compileBlock(text: string): number[] {
  const cidr = parseCidr(text);
  assert(typeof cidr !== 'string', 'a trusted block of the configuration is none');
  const mask = Uint8Array.from(
    { length: 16 },
    (_, i) => (0xff00 >> Math.min(8, Math.max(0, cidr.prefixBits - i * 8))) & 255,
  );
  const address = new Uint8Array(16);
  address.set(cidr.bytes);
  // IPv4 sources have zeros behind their first word; so do IPv4 masks.
  if (cidr.family === 4) mask.fill(0, 4);
  return [cidr.family, ...new Int32Array(mask.buffer), ...new Int32Array(address.buffer)];
}
