/** The server transactions of a shard as operators see them, with their branches. Asked for between two datagrams: one answer
 *  looks at so many records at the most, and says where to go on. Runs on the shard. Cold.
 *
 *  What a record does not say is read from the messages that it keeps: once an INVITE is answered with a 2xx it keeps none, and
 *  its Call-ID and age are not known any more. */

import type { Arena } from '../../memory/arena.ts';
import { NO_BLOCK } from '../../memory/kept-messages.ts';
import { SLOT, SLOT_HEADER_BYTES } from '../../memory/layout.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { formatIpHost, MAX_ADDRESS_BYTES } from '../../sip/ip-address.ts';
import { MessageIndex } from '../../sip/message-index.ts';
import { METHOD, METHOD_NAMES } from '../../sip/methods.ts';
import { parseMessage } from '../../sip/parse-message.ts';
import { hashCallId } from '../../sip/scan.ts';
import { CLIENT, type ClientTransactions } from '../../transaction/client-transactions.ts';
import { INVITE_CLIENT } from '../../transaction/invite-client.ts';
import { INVITE_SERVER } from '../../transaction/invite-server.ts';
import { NON_INVITE_CLIENT } from '../../transaction/non-invite-client.ts';
import { NON_INVITE_SERVER } from '../../transaction/non-invite-server.ts';
import { SERVER, type ServerTransactions } from '../../transaction/server-transactions.ts';
import { RECORD, TERMINATED, type TransactionRecords } from '../../transaction/transaction-records.ts';

/** Records of one answer: below a millisecond of the shard's time. */
const MAX_RECORDS = 4096;
/** Where a message of each has to be looked at. */
const MAX_MESSAGES = 1024;
const MAX_BRANCHES = 64;

export interface ListedBranch {
  readonly method: string;
  /** RFC 3261 17.1, lower case: `calling`, `proceeding` … */
  readonly state: string;
  /** HOST:PORT that it is sent to. */
  readonly peer: string;
}

export interface ListedTransaction {
  readonly method: string;
  /** RFC 3261 17.2 and RFC 6026, lower case; `terminated`: only branches of it are left. */
  readonly state: string;
  /** HOST:PORT that its responses go to. */
  readonly peer: string;
  /** null: it keeps no message any more. */
  readonly callId: string | null;
  readonly requestUri: string | null;
  /** Since the request came; null: it keeps no request any more. */
  readonly ageMs: number | null;
  /** Branches without a final response. */
  readonly pending: number;
  readonly branches: readonly ListedBranch[];
}

export interface TransactionQuestion {
  /** 0, or from the answer before. */
  readonly cursor: number;
  readonly limit: number;
  /** null: whatever it is. */
  readonly callId: string | null;
  readonly method: string | null;
  readonly state: string | null;
}

/** `cursor`: where to go on; null: these were the last. */
export interface TransactionPage {
  readonly transactions: readonly ListedTransaction[];
  readonly cursor: number | null;
}

export const SERVER_STATES: readonly string[] = [
  ...new Set([...INVITE_SERVER.states, ...NON_INVITE_SERVER.states].map((state) => state.toLowerCase())),
];

export class TransactionList {
  readonly #arena: Arena;
  readonly #servers: ServerTransactions;
  readonly #clients: ClientTransactions;
  readonly #index = new MessageIndex();
  readonly #address = new Int32Array(new SharedArrayBuffer(16));
  readonly #text = new Uint8Array(new SharedArrayBuffer(MAX_ADDRESS_BYTES + 4));

  constructor(arena: Arena, servers: ServerTransactions, clients: ClientTransactions) {
    this.#arena = arena;
    this.#servers = servers;
    this.#clients = clients;
  }

  /** `nowUs` is on the clock of the slots' receive time. */
  list({ cursor, limit, callId, method, state }: TransactionQuestion, nowUs: number): TransactionPage {
    const servers = this.#servers;
    const transactions: ListedTransaction[] = [];
    const end = Math.min(servers.reached, cursor + (callId === null ? MAX_RECORDS : MAX_MESSAGES));
    const hash = callId === null ? 0 : hashOfText(callId);
    let record = cursor;
    for (; record < end && transactions.length < limit; record++) {
      if (!this.#isInUse(record)) continue;
      if (method !== null && this.#methodOf(record) !== method) continue;
      if (state !== null && this.#stateOf(record) !== state) continue;
      if (callId !== null && this.#callIdHashOf(record) !== hash) continue;
      const listed = this.#describe(record, nowUs);
      if (callId === null || listed.callId === callId) transactions.push(listed);
    }
    return { transactions, cursor: record < servers.reached ? record : null };
  }

  #isInUse(record: number): boolean {
    const servers = this.#servers;
    return servers.stateOf(record) !== TERMINATED || servers.words[servers.at(record) + SERVER.RECORDS] !== 0;
  }

  #describe(record: number, nowUs: number): ListedTransaction {
    const { words } = this.#servers;
    const { words: arenaWords } = this.#arena;
    const at = this.#servers.at(record);
    const request = words[at + SERVER.REQUEST]!;
    const message = this.#messageOf(record);
    const index = message === NO_BLOCK ? null : this.#read(message);
    const callId = index?.first[HEADER_ID.CALL_ID] ?? -1;
    return {
      method: this.#methodOf(record),
      state: this.#stateOf(record),
      peer: this.#peerOf(this.#servers, record),
      callId: callId === -1 ? null : this.#latin1(index!.valueStart(callId), index!.valueEnd(callId)),
      requestUri: index?.isRequest === true ? this.#latin1(index.uriStart, index.uriEnd) : null,
      ageMs:
        request === NO_BLOCK
          ? null
          : Math.max(0, Math.trunc(((nowUs - arenaWords[(request >> 2) + SLOT.TIME_WORD]!) | 0) / 1000)),
      pending: words[at + SERVER.PENDING]!,
      branches: this.#branchesOf(at),
    };
  }

  #branchesOf(at: number): ListedBranch[] {
    const clients = this.#clients;
    const branches: ListedBranch[] = [];
    let next = this.#servers.words[at + SERVER.FIRST_BRANCH]!;
    while (next !== 0 && branches.length < MAX_BRANCHES) {
      const record = next - 1;
      const branchAt = clients.at(record);
      const method = clients.words[branchAt + CLIENT.METHOD]!;
      const { states } = method === METHOD.INVITE ? INVITE_CLIENT : NON_INVITE_CLIENT;
      branches.push({
        method: nameOf(method),
        state: states[clients.stateOf(record)]!.toLowerCase(),
        peer: this.#peerOf(clients, record),
      });
      next = clients.words[branchAt + CLIENT.SIBLING]!;
    }
    return branches.reverse();
  }

  #methodOf(record: number): string {
    return nameOf(this.#servers.words[this.#servers.at(record) + SERVER.METHOD]!);
  }

  #stateOf(record: number): string {
    const isInvite = this.#servers.words[this.#servers.at(record) + SERVER.METHOD] === METHOD.INVITE;
    return (isInvite ? INVITE_SERVER : NON_INVITE_SERVER).states[this.#servers.stateOf(record)]!.toLowerCase();
  }

  /** Block of the request, or else of the last response; NO_BLOCK: neither is kept. */
  #messageOf(record: number): number {
    const { words } = this.#servers;
    const at = this.#servers.at(record);
    const request = words[at + SERVER.REQUEST]!;
    return request !== NO_BLOCK ? request : words[at + SERVER.RESPONSE]!;
  }

  #callIdHashOf(record: number): number {
    const block = this.#messageOf(record);
    if (block === NO_BLOCK) return 0;
    const { bytes, words } = this.#arena;
    const start = block + SLOT_HEADER_BYTES;
    return hashCallId(bytes, words, start, start + words[(block >> 2) + SLOT.LENGTH_WORD]!);
  }

  #read(block: number): MessageIndex {
    const { bytes, words } = this.#arena;
    const start = block + SLOT_HEADER_BYTES;
    parseMessage(bytes, words, start, start + words[(block >> 2) + SLOT.LENGTH_WORD]!, this.#index);
    return this.#index;
  }

  #peerOf(records: TransactionRecords, record: number): string {
    const route = records.at(record) + RECORD.ROUTE;
    const family = records.words[route + 1]!;
    const port = records.words[route + 2]!;
    for (let i = 0; i < 4; i++) this.#address[i] = records.words[route + 3 + i]!;
    const end = formatIpHost(this.#address, 0, family, this.#text, 0);
    return `${textOf(this.#text, 0, end)}:${port}`;
  }

  #latin1(start: number, end: number): string {
    return textOf(this.#arena.bytes, start, end);
  }
}

function nameOf(method: number): string {
  return METHOD_NAMES[method] || 'other';
}

/** As Latin-1. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}

/** What `hashCallId` makes of a message with this Call-ID. */
function hashOfText(callId: string): number {
  const text = `x\nCall-ID:${callId}\r\n\r\n`;
  const bytes = new Uint8Array(new SharedArrayBuffer((text.length + 11) & ~3));
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return hashCallId(bytes, new Int32Array(bytes.buffer), 0, text.length);
}
