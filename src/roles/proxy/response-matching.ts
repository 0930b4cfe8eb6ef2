/** Which client transaction a response is for (RFC 3261 16.7 step 1, 17.1.3): its topmost Via is ours and names the record. Runs
 *  on the shard. Hot: once per response, allocates nothing. */

import { ascii } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { BRANCH_PREFIX, isHex, isSealLength, readHex, readSeal, TRANSACTION_DIGITS } from '../../sip/branch.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { isWord } from '../../sip/lexis.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { parseVia, ViaView } from '../../sip/via.ts';
import type { ClientTransactions } from '../../transaction/client-transactions.ts';
import { NO_RECORD } from '../../transaction/transaction-records.ts';
import type { OwnAddresses } from '../own-addresses.ts';
import { isOwnVia } from './identity.ts';
import type { Predecessor } from './predecessor.ts';
import type { ViaTemplates } from './via-templates.ts';

const PREFIX = ascii(BRANCH_PREFIX.toLowerCase());
const RECORD_DIGITS = TRANSACTION_DIGITS / 2;

export class ResponseMatching {
  readonly #arena: Arena;
  readonly #clients: ClientTransactions;
  readonly #own: OwnAddresses;
  readonly #counters: Counters;
  readonly #via = new ViaView();
  /** Knows most of our Vias at sight. */
  templates: ViaTemplates;
  /** Has the client transactions of before this server took over; null: nobody. */
  predecessor: Predecessor | null = null;
  /** Our Via in the response that was found last: its header, and the comma or end behind it. */
  viaHeader = 0;
  viaEnd = 0;

  constructor(
    arena: Arena,
    clients: ClientTransactions,
    own: OwnAddresses,
    templates: ViaTemplates,
    counters: Counters,
  ) {
    this.#arena = arena;
    this.#clients = clients;
    this.#own = own;
    this.#counters = counters;
    this.templates = templates;
  }

  /** The client transaction, NO_RECORD after counting why there is none (RFC 6026 7.3: such a response is not forwarded). */
  find(index: MessageIndex, slotWord: number): number {
    const { bytes } = this.#arena;
    const header = index.first[HEADER_ID.VIA]!;
    if (header === -1) return this.#drop(COUNTER.malformed_responses_total);
    const start = index.valueStart(header);
    const end = index.valueEnd(header);
    let branchStart = this.templates.branchOfOwnVia(start, end);
    let { branchEnd } = this.templates;
    this.viaHeader = header;
    this.viaEnd = end;
    if (branchStart === -1) {
      const via = this.#via;
      if (parseVia(bytes, start, end, via) < 0) return this.#drop(COUNTER.malformed_responses_total);
      if (!isOwnVia(this.#own, via, slotWord)) return this.#drop(COUNTER.stray_responses_total);
      branchStart = via.branchStart;
      branchEnd = via.branchEnd;
      this.viaEnd = via.end;
      if (!this.#isOurBranch(branchStart, branchEnd)) return this.#drop(COUNTER.forged_responses_total);
    }
    const digits = branchStart + BRANCH_PREFIX.length;
    const sealStart = digits + TRANSACTION_DIGITS;
    if (!isSealLength(branchEnd - sealStart)) return this.#drop(COUNTER.forged_responses_total);
    const record = readHex(bytes, digits, digits + RECORD_DIGITS);
    const cookie = readHex(bytes, digits + RECORD_DIGITS, sealStart) ^ readSeal(bytes, sealStart, branchEnd);
    const found = this.#clients.find(record, cookie);
    if (found === NO_RECORD && this.predecessor?.pass(slotWord) !== true) {
      this.#counters.count(COUNTER.late_responses_total);
    }
    return found;
  }

  /** What the templates know of a Via that they know at sight. */
  #isOurBranch(start: number, end: number): boolean {
    const { bytes } = this.#arena;
    const digits = start + BRANCH_PREFIX.length;
    return start !== -1 && end > digits && isWord(bytes, start, digits, PREFIX) && isHex(bytes, digits, end);
  }

  #drop(counter: number): number {
    this.#counters.count(counter);
    return NO_RECORD;
  }
}
