/** The topmost Via of a message in a message ring, for the few that the thread of the streams looks into. */

import type { Arena } from '../../memory/arena.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { HOST_KIND } from '../../sip/host.ts';
import { MessageIndex } from '../../sip/message-index.ts';
import { MESSAGE_ERROR, parseMessage } from '../../sip/parse-message.ts';
import { parseVia, ViaView } from '../../sip/via.ts';

export class TopVia {
  readonly #arena: Arena;
  readonly #index = new MessageIndex();
  /** Valid as long as the bytes. */
  readonly view = new ViaView();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  get isRequest(): boolean {
    return this.#index.isRequest;
  }

  /** Reads it. False: there is none that could be read. */
  read(start: number, end: number): boolean {
    const { bytes, words } = this.#arena;
    const index = this.#index;
    if (parseMessage(bytes, words, start, end, index) !== MESSAGE_ERROR.NONE) return false;
    const header = index.first[HEADER_ID.VIA]!;
    return header !== -1 && parseVia(bytes, index.valueStart(header), index.valueEnd(header), this.view) >= 0;
  }

  /** The name in the sent-by of the Via that was read; empty: it is an address. */
  get sentByName(): string {
    const { hostKind, hostStart, hostEnd } = this.view;
    if (hostKind !== HOST_KIND.NAME) return '';
    return Buffer.from(this.#arena.bytes.slice(hostStart, hostEnd)).toString('latin1').toLowerCase();
  }
}
