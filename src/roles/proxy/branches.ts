/** The branches of proxied requests (RFC 3261 16.6 steps 8 to 11, 16.8, 16.10, 17.1): client transactions with what they send.
 *  A branch keeps no message of its own: what it sent is made again from the request that its server transaction keeps, for
 *  a retransmission, and from that the ACK and the CANCEL. Runs on the shard. Hot: beginning one; all else is rare. */

import { type Literal, literal } from '../../base/ascii.ts';
import { assert } from '../../base/assert.ts';
import type { Arena } from '../../memory/arena.ts';
import { type KeptMessages, NO_BLOCK } from '../../memory/kept-messages.ts';
import { SLOT, SLOT_HEADER_BYTES } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { branchSeal } from '../../sip/branch.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { MessageIndex } from '../../sip/message-index.ts';
import { METHOD } from '../../sip/methods.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { MESSAGE_ERROR, parseMessage } from '../../sip/parse-message.ts';
import { isReliable } from '../../sip/transport.ts';
import { parseVia } from '../../sip/via.ts';
import { CLIENT_EVENT } from '../../transaction/client-events.ts';
import { CLIENT, type ClientTransactions } from '../../transaction/client-transactions.ts';
import { INVITE_CLIENT_STATE } from '../../transaction/invite-client.ts';
import { SERVER, type ServerTransactions } from '../../transaction/server-transactions.ts';
import type { TimerValues } from '../../transaction/timer-settings.ts';
import { NO_RECORD, RECORD, RELIABLE, TERMINATED } from '../../transaction/transaction-records.ts';
import type { Destination } from '../destination.ts';
import { ReceivedRequest } from '../received-request.ts';
import type { RequestForwarding } from './request-forwarding.ts';
import type { ResponseContext } from './response-context.ts';
import type { RequestRouting } from './routing.ts';
import type { TargetBlocks } from './target-blocks.ts';

/** Bits of CLIENT.FLAGS. */
export const BRANCH = {
  /** A provisional response came. */
  RANG: 1,
  /** Its final response, or what stands for one, has been dealt with. */
  ENDED: 2,
  /** A CANCEL waits for the first provisional response (9.1). */
  CANCEL_WANTED: 4,
  CANCELLED: 8,
  /** The kept request may still be needed. */
  READER: 16,
  /** A CANCEL whose Reason was known when it left: the others go without one, also when they are sent again. */
  REASONED: 32,
  /** It left by TCP because it is too long for UDP (18.1.1). */
  MOVED: 64,
  /** By a connection that is the flow to its target, and by no other, or by the flow of a token (RFC 5626 5.3) or in its place. */
  FLOW: 128,
} as const;

/** Bit of an egress tag that tells a client transaction from a slot. */
export const CLIENT_TAG = 0x4000_0000;

const ACK_METHOD = literal('ACK ');
const CANCEL_METHOD = literal('CANCEL ');
const VERSION_CRLF = literal(' SIP/2.0\r\n');
const CSEQ = literal('CSeq: ');
const ACK_END = literal(' ACK\r\nContent-Length: 0\r\n\r\n');
const CANCEL_END = literal(' CANCEL\r\n');
const CONTENT_LENGTH_0 = literal('Content-Length: 0\r\n\r\n');
const MAX_FORWARDS_70 = literal('Max-Forwards: 70\r\n');
const SPACE = 0x20;

export interface BranchesParts {
  readonly arena: Arena;
  readonly outbound: Outbound;
  readonly kept: KeptMessages;
  readonly servers: ServerTransactions;
  readonly clients: ClientTransactions;
  readonly destination: Destination;
  readonly routing: RequestRouting;
  readonly forwarding: RequestForwarding;
  readonly targetBlocks: TargetBlocks;
  readonly timers: TimerValues;
  readonly counters: Counters;
  readonly contexts: Map<number, ResponseContext>;
}

export class Branches {
  readonly #parts: BranchesParts;
  /** The request that was read last from where it is kept. */
  readonly kept = new ReceivedRequest();
  readonly #sent = new MessageIndex();

  constructor(parts: BranchesParts) {
    this.#parts = parts;
  }

  /** Forwards `request` on a new branch of `server`: to `destination`, by the socket and in the form that `routing` found.
   *  `target`: block of the URI it goes to, NO_BLOCK for its own. False: no transaction is left. */
  begin(
    server: number,
    request: ReceivedRequest,
    target: number,
    hop: number,
    attempt: number,
    breadth: number,
  ): boolean {
    const { clients, servers, outbound, forwarding, routing, destination, counters } = this.#parts;
    const { method } = request.index;
    const branch = clients.open(server, method, false, servers.snapshotOf(server));
    if (branch === NO_RECORD) return false;
    const { words } = clients;
    const at = clients.at(branch);
    words[at + CLIENT.TARGET] = target;
    words[at + CLIENT.HOP] = hop + 1;
    words[at + CLIENT.ATTEMPT] = attempt;
    words[at + CLIENT.BREADTH] = breadth;
    this.#link(server, branch, BRANCH.READER);
    servers.words[servers.at(server) + SERVER.PENDING]!++;
    counters.count(COUNTER.client_transactions_total);
    const tag = CLIENT_TAG | branch;
    const cookie = words[at + CLIENT.COOKIE]!;
    const sealed = this.#sealed(request, cookie);
    forwarding.forward(request, destination, routing.socket, routing.strictUri, branch, sealed, breadth, tag, cookie);
    outbound.saveRoute(words, at + RECORD.ROUTE);
    // By what it left, which its length may have decided.
    if (isReliable(destination.transport)) words[at + CLIENT.FLAGS]! |= RELIABLE;
    if (forwarding.hasMoved) words[at + CLIENT.FLAGS]! |= BRANCH.MOVED;
    const isByFlow = destination.isOnlyConnection || request.hasFlowRoute || request.hasLostFlow;
    if (isByFlow) words[at + CLIENT.FLAGS]! |= BRANCH.FLOW;
    clients.put(branch, CLIENT_EVENT.SEND);
    return true;
  }

  /** Timer A or E: the same request once more. */
  retransmit(branch: number): void {
    const { clients, counters } = this.#parts;
    counters.count(COUNTER.retransmissions_sent_total);
    const words = clients.words;
    const at = clients.at(branch);
    const owner = words[at + CLIENT.METHOD] === METHOD.CANCEL ? words[at + CLIENT.PARTNER]! - 1 : -1;
    if (owner !== -1) this.#sendCancel(owner, branch);
    else this.#forwardAgain(branch, CLIENT_TAG | branch);
  }

  /** Reads the request that a server transaction keeps into `kept`, routing included. False: it keeps none any more. */
  read(server: number): boolean {
    const { arena, servers, routing } = this.#parts;
    const block = servers.words[servers.at(server) + SERVER.REQUEST]!;
    if (block === NO_BLOCK) return false;
    const request = this.kept;
    const start = block + SLOT_HEADER_BYTES;
    const length = arena.words[(block >> 2) + SLOT.LENGTH_WORD]!;
    parseMessage(arena.bytes, arena.words, start, start + length, request.index);
    request.begin(0, block >> 2);
    const { index } = request;
    const via = index.first[HEADER_ID.VIA]!;
    parseVia(arena.bytes, index.valueStart(via), index.valueEnd(via), request.topVia);
    routing.identify(request);
    routing.revisit(request);
    request.isPassedOn = (servers.words[servers.at(server) + SERVER.FLAGS]! & CONTEXT.PASSED_ON) !== 0;
    return true;
  }

  /** 9.1: a branch is cancelled once a provisional response came, and not after a final one. */
  cancel(branch: number): void {
    const { clients, servers, contexts, timers } = this.#parts;
    const { words } = clients;
    const at = clients.at(branch);
    if (words[at + CLIENT.METHOD] !== METHOD.INVITE) return;
    if ((words[at + CLIENT.FLAGS]! & (BRANCH.CANCELLED | BRANCH.ENDED)) !== 0) return;
    if (clients.stateOf(branch) !== INVITE_CLIENT_STATE.PROCEEDING) {
      words[at + CLIENT.FLAGS]! |= BRANCH.CANCEL_WANTED;
      return;
    }
    words[at + CLIENT.FLAGS]! |= BRANCH.CANCELLED;
    // "If there is no final response for the original request in 64*T1 seconds, consider it cancelled."
    clients.watch(branch, timers.b);
    const server = words[at + CLIENT.SERVER]!;
    const isStream = (words[at + CLIENT.FLAGS]! & RELIABLE) !== 0;
    const cancel = clients.open(server, METHOD.CANCEL, isStream, servers.snapshotOf(server));
    if (cancel === NO_RECORD) return;
    words[clients.at(cancel) + CLIENT.PARTNER] = branch + 1;
    words[at + CLIENT.PARTNER] = cancel + 1;
    const isReasoned = (contexts.get(server)?.reason ?? null) !== null;
    this.#link(server, cancel, BRANCH.READER | (isReasoned ? BRANCH.REASONED : 0));
    this.#parts.counters.count(COUNTER.client_transactions_total);
    this.#parts.counters.count(COUNTER.cancels_sent_total);
    this.#sendCancel(branch, cancel);
    clients.put(cancel, CLIENT_EVENT.SEND);
  }

  /** 17.1.1.3: acknowledges a final response that is no 2xx, whose message `response` describes; again if it comes again. */
  acknowledge(branch: number, response: MessageIndex): void {
    const { clients, outbound, kept } = this.#parts;
    const { words } = clients;
    const at = clients.at(branch);
    if (words[at + CLIENT.ACK] !== NO_BLOCK) {
      outbound.sendKept(words[at + CLIENT.ACK]!, 0);
      return;
    }
    const sent = this.#readSent(branch);
    if (sent === NO_BLOCK) return;
    const index = this.#sent;
    outbound.begin();
    this.#startLine(index, ACK_METHOD);
    const to = response.first[HEADER_ID.TO]!;
    this.#keepRouting(index, response.lineStart(to), response.lineEnd(to));
    this.#cseq(index, ACK_END);
    outbound.toRoute(words, at + RECORD.ROUTE);
    outbound.commit(0);
    const block = kept.take(outbound.length);
    if (block !== NO_BLOCK) outbound.keepIn(block);
    words[at + CLIENT.ACK] = block;
    kept.release(sent);
  }

  /** After each event: what the transaction no longer needs goes, and with its end the record. */
  settle(branch: number): void {
    const { clients, kept, counters } = this.#parts;
    const { words } = clients;
    const at = clients.at(branch);
    const state = clients.stateOf(branch);
    const isDone =
      state === TERMINATED ||
      (words[at + CLIENT.METHOD] === METHOD.INVITE
        ? state === INVITE_CLIENT_STATE.COMPLETED || state === INVITE_CLIENT_STATE.ACCEPTED
        : (words[at + CLIENT.FLAGS]! & BRANCH.ENDED) !== 0);
    if (isDone && (words[at + CLIENT.FLAGS]! & BRANCH.READER) !== 0) {
      words[at + CLIENT.FLAGS]! &= ~BRANCH.READER;
      this.#stopReading(words[at + CLIENT.SERVER]!);
    }
    if (state !== TERMINATED) return;
    if (words[at + CLIENT.ACK] !== NO_BLOCK) kept.release(words[at + CLIENT.ACK]!);
    words[at + CLIENT.ACK] = NO_BLOCK;
    const partner = words[at + CLIENT.PARTNER]!;
    if (partner !== 0) words[clients.at(partner - 1) + CLIENT.PARTNER] = 0;
    const server = words[at + CLIENT.SERVER]!;
    this.#unlink(server, branch);
    clients.free(branch);
    counters.count(COUNTER.client_transactions_ended_total);
    this.settleServer(server);
  }

  /** The same for a server transaction: its request goes once nobody reads it, its record once no branch hangs on it. */
  settleServer(server: number): void {
    const { servers, kept, counters } = this.#parts;
    const { words } = servers;
    const at = servers.at(server);
    this.#releaseRequest(server);
    if (servers.stateOf(server) !== TERMINATED) return;
    for (const word of [SERVER.RESPONSE, SERVER.BEST] as const) {
      if (words[at + word] !== NO_BLOCK) kept.release(words[at + word]!);
      words[at + word] = NO_BLOCK;
    }
    if (words[at + SERVER.RECORDS] !== 0) return;
    servers.free(server);
    counters.count(COUNTER.server_transactions_ended_total);
  }

  #stopReading(server: number): void {
    const { servers } = this.#parts;
    const at = servers.at(server);
    servers.words[at + SERVER.READERS]!--;
    this.#releaseRequest(server);
  }

  #releaseRequest(server: number): void {
    const { servers, kept } = this.#parts;
    const { words } = servers;
    const at = servers.at(server);
    if (words[at + SERVER.REQUEST] === NO_BLOCK || words[at + SERVER.READERS]! > 0) return;
    const isDecided = (words[at + SERVER.FLAGS]! & CONTEXT.DECIDED) !== 0;
    if (!isDecided && words[at + RECORD.STATE] !== TERMINATED) return;
    kept.release(words[at + SERVER.REQUEST]!);
    words[at + SERVER.REQUEST] = NO_BLOCK;
    if (words[at + SERVER.TARGET] !== NO_BLOCK) kept.release(words[at + SERVER.TARGET]!);
    words[at + SERVER.TARGET] = NO_BLOCK;
    if ((words[at + SERVER.FLAGS]! & CONTEXT.EXTENDED) !== 0) this.#forgetContext(server);
  }

  /** The targets of a request were needed as long as the request itself. */
  #forgetContext(server: number): void {
    const { contexts, kept } = this.#parts;
    const context = contexts.get(server);
    for (const { block } of context?.targets ?? []) kept.release(block);
    for (const { block } of context?.unusedTargets() ?? []) kept.release(block);
    contexts.delete(server);
  }

  #link(server: number, branch: number, flags: number): void {
    const { servers, clients } = this.#parts;
    const at = servers.at(server);
    const branchAt = clients.at(branch);
    clients.words[branchAt + CLIENT.SIBLING] = servers.words[at + SERVER.FIRST_BRANCH]!;
    clients.words[branchAt + CLIENT.FLAGS]! |= flags;
    servers.words[at + SERVER.FIRST_BRANCH] = branch + 1;
    servers.words[at + SERVER.RECORDS]!++;
    servers.words[at + SERVER.READERS]!++;
  }

  #unlink(server: number, branch: number): void {
    const { servers, clients } = this.#parts;
    const at = servers.at(server);
    servers.words[at + SERVER.RECORDS]!--;
    const sibling = clients.words[clients.at(branch) + CLIENT.SIBLING]!;
    if (servers.words[at + SERVER.FIRST_BRANCH] === branch + 1) {
      servers.words[at + SERVER.FIRST_BRANCH] = sibling;
      return;
    }
    for (let next = servers.words[at + SERVER.FIRST_BRANCH]!; next !== 0; ) {
      const nextAt = clients.at(next - 1);
      if (clients.words[nextAt + CLIENT.SIBLING] === branch + 1) {
        clients.words[nextAt + CLIENT.SIBLING] = sibling;
        return;
      }
      next = clients.words[nextAt + CLIENT.SIBLING]!;
    }
  }

  /** Puts what a branch sent into an egress entry again and commits it. False: the request is not kept any more. */
  #forwardAgain(branch: number, tag: number): boolean {
    const { clients, destination, forwarding, routing, targetBlocks } = this.#parts;
    const { words } = clients;
    const at = clients.at(branch);
    if (!this.read(words[at + CLIENT.SERVER]!)) return false;
    const request = this.kept;
    if (words[at + CLIENT.TARGET] !== NO_BLOCK) targetBlocks.aim(request, words[at + CLIENT.TARGET]!);
    routing.repeatRoute(request);
    const socket = destination.setRoute(words, at + RECORD.ROUTE);
    const breadth = words[at + CLIENT.BREADTH]!;
    const cookie = words[at + CLIENT.COOKIE]!;
    const sealed = this.#sealed(request, cookie);
    forwarding.forward(request, destination, socket, routing.strictUri, branch, sealed, breadth, tag, cookie);
    return true;
  }

  /** What is written of the cookie. */
  #sealed({ loop, slotWord }: ReceivedRequest, cookie: number): number {
    const { words } = this.#parts.arena;
    const localAt = slotWord + SLOT.LOCAL_WORD;
    const isLocalKnown = (words[localAt]! | words[localAt + 1]! | words[localAt + 2]! | words[localAt + 3]!) !== 0;
    const localWords = !isLocalKnown ? 0 : words[slotWord + SLOT.FAMILY_WORD] === 4 ? 1 : 4;
    return cookie ^ branchSeal(loop, words[slotWord + SLOT.SOCKET_WORD]!, words, localAt, localWords);
  }

  /** Puts the INVITE that a branch sent together in a block and indexes it. The entry it needs is taken back. */
  #readSent(branch: number): number {
    const { arena, outbound, kept } = this.#parts;
    if (!this.#forwardAgain(branch, 0)) return NO_BLOCK;
    const block = kept.take(outbound.length);
    if (block !== NO_BLOCK) outbound.keepIn(block);
    outbound.uncommit();
    if (block === NO_BLOCK) return NO_BLOCK;
    const start = block + SLOT_HEADER_BYTES;
    const end = start + arena.words[(block >> 2) + SLOT.LENGTH_WORD]!;
    const error = parseMessage(arena.bytes, arena.words, start, end, this.#sent);
    assert(error === MESSAGE_ERROR.NONE, 'an INVITE that was sent can be read');
    return block;
  }

  /** 9.1: Request-URI, Call-ID, To, From, the CSeq's number and Route of the INVITE, its top Via only; and the Reason that the client
   *  gave (RFC 3326 section 2). */
  #sendCancel(branch: number, cancel: number): void {
    const { clients, contexts, outbound, kept } = this.#parts;
    const isReasoned = (clients.words[clients.at(cancel) + CLIENT.FLAGS]! & BRANCH.REASONED) !== 0;
    const reason = contexts.get(clients.words[clients.at(branch) + CLIENT.SERVER]!)?.reason ?? null;
    const sent = this.#readSent(branch);
    if (sent === NO_BLOCK) return;
    const index = this.#sent;
    outbound.begin();
    this.#startLine(index, CANCEL_METHOD);
    const to = index.first[HEADER_ID.TO]!;
    this.#keepRouting(index, index.lineStart(to), index.lineEnd(to));
    this.#cseq(index, CANCEL_END);
    if (isReasoned && reason !== null) outbound.keepText(reason);
    outbound.keepText(CONTENT_LENGTH_0);
    outbound.toRoute(clients.words, clients.at(branch) + RECORD.ROUTE);
    outbound.commit(CLIENT_TAG | cancel, clients.words[clients.at(cancel) + CLIENT.COOKIE]!);
    kept.release(sent);
  }

  #startLine(index: MessageIndex, method: Literal): void {
    const { outbound } = this.#parts;
    outbound.keepText(method);
    outbound.keep(index.uriStart, index.uriEnd);
    outbound.keepText(VERSION_CRLF);
  }

  /** Top Via, Max-Forwards, Routes, From, Call-ID of what was sent, and the To line given. */
  #keepRouting(index: MessageIndex, toStart: number, toEnd: number): void {
    const { outbound } = this.#parts;
    const via = index.first[HEADER_ID.VIA]!;
    outbound.keep(index.lineStart(via), index.lineEnd(via));
    outbound.keepText(MAX_FORWARDS_70);
    for (let route = index.first[HEADER_ID.ROUTE]!; route !== -1; route = index.next(route)) {
      outbound.keep(index.lineStart(route), index.lineEnd(route));
    }
    const from = index.first[HEADER_ID.FROM]!;
    outbound.keep(index.lineStart(from), index.lineEnd(from));
    outbound.keep(toStart, toEnd);
    const callId = index.first[HEADER_ID.CALL_ID]!;
    outbound.keep(index.lineStart(callId), index.lineEnd(callId));
  }

  #cseq(index: MessageIndex, end: Literal): void {
    const { arena, outbound } = this.#parts;
    const cseq = index.first[HEADER_ID.CSEQ]!;
    const start = index.valueStart(cseq);
    let numberEnd = start;
    while (arena.bytes[numberEnd]! > SPACE) numberEnd++;
    outbound.keepText(CSEQ);
    outbound.keep(start, numberEnd);
    outbound.keepText(end);
  }
}

/** Bits of SERVER.FLAGS. */
export const CONTEXT = {
  /** A final response went back; what comes now changes nothing but for 2xx. */
  DECIDED: 1,
  /** The client has cancelled the request. */
  CANCELLED: 2,
  /** There is a ResponseContext. */
  EXTENDED: 4,
  /** It went to the peer of a server that drains. */
  PASSED_ON: 8,
} as const;
