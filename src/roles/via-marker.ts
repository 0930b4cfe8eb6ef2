/** What a server adds to the topmost Via of a request it received (RFC 3261 18.2.1, RFC 3581 section 4). Runs on the shard.
 *  Hot: once per request, allocates nothing. */

import { literal } from '../base/ascii.ts';
import type { Arena } from '../memory/arena.ts';
import { SLOT } from '../memory/layout.ts';
import { HOST_KIND } from '../sip/host.ts';
import { formatIpAddress, parseIpAddress } from '../sip/ip-address.ts';
import type { MessageEdits } from '../sip/message-edits.ts';
import type { Outbound } from '../sip/outbound.ts';
import { RPORT_ABSENT, type ViaView } from '../sip/via.ts';

const RECEIVED = literal(';received=');
const RPORT = literal(';rport=');

/** Writes `;received=` and `;rport=` where section 18.2.1 and RFC 3581 section 4 ask for them, as edits of the top Via. */
export class ViaMarker {
  readonly #arena: Arena;
  readonly #outbound: Outbound;
  readonly #host = new Int32Array(new SharedArrayBuffer(16));

  constructor(arena: Arena, outbound: Outbound) {
    this.#arena = arena;
    this.#outbound = outbound;
  }

  /** `slotWord`: the datagram the Via came in. Adds nothing where the sent-by is the source and no rport is asked for. */
  mark(via: ViaView, slotWord: number, edits: MessageEdits): void {
    const hasRport = via.rport !== RPORT_ABSENT;
    if (!hasRport && this.isSource(via, slotWord) && via.receivedStart === -1) return;
    const { words, bytes } = this.#arena;
    const outbound = this.#outbound;
    const source = slotWord + SLOT.SOURCE_WORD;
    const family = words[slotWord + SLOT.FAMILY_WORD]!;
    const from = outbound.cursor;
    outbound.put(RECEIVED);
    outbound.putWritten(formatIpAddress(words, source, family, bytes, outbound.cursor));
    const at = via.paramsEnd === -1 ? via.sentByEnd : via.paramsEnd;
    if (via.receivedStart !== -1) {
      // A client has no business to fill it in: what is true replaces it.
      edits.replace(via.receivedParamStart, via.receivedParamEnd, from + 1, outbound.cursor);
    } else {
      edits.insert(at, from, outbound.cursor);
    }
    if (!hasRport) return;
    const rport = outbound.cursor;
    outbound.put(RPORT);
    outbound.putDecimal(words[slotWord + SLOT.PORT_WORD]!);
    edits.replace(via.rportStart, via.rportEnd, rport + 1, outbound.cursor);
  }

  /** True if the sent-by is an address, and the one the datagram came from. */
  isSource(via: ViaView, slotWord: number): boolean {
    if (via.hostKind === HOST_KIND.NAME) return false;
    const { words, bytes } = this.#arena;
    const source = slotWord + SLOT.SOURCE_WORD;
    if (via.hostKind === HOST_KIND.IPV4) {
      return via.hostWord === words[source] && words[slotWord + SLOT.FAMILY_WORD] === 4;
    }
    const host = this.#host;
    const family = parseIpAddress(bytes, via.hostStart, via.hostEnd, host, 0);
    return (
      family === words[slotWord + SLOT.FAMILY_WORD] &&
      host[0] === words[source] &&
      host[1] === words[source + 1] &&
      host[2] === words[source + 2] &&
      host[3] === words[source + 3]
    );
  }
}
