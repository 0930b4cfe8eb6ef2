/** Response processing of the stateful proxy (RFC 3261 16.7, its steps in order; RFC 6026): a response finds its client
 *  transaction, goes back at once or is weighed against those of other branches, and what went wrong is tried elsewhere.
 *  Runs on the shard. Hot for the answers of a single branch; forks, failover and recursion are cold. */

import { Literal, literal } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { type KeptMessages, NO_BLOCK } from '../../memory/kept-messages.ts';
import { SLOT, SLOT_HEADER_BYTES } from '../../memory/layout.ts';
import { COUNTER, type Counters } from '../../observe/counters.ts';
import { HISTOGRAM, type Histograms } from '../../observe/histograms.ts';
import { CSeqView, parseCSeq } from '../../sip/cseq.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { skipLws } from '../../sip/lexis.ts';
import type { MessageEdits } from '../../sip/message-edits.ts';
import { MessageIndex } from '../../sip/message-index.ts';
import { METHOD, methodIdOf } from '../../sip/methods.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { parseMessage } from '../../sip/parse-message.ts';
import { ACTION } from '../../transaction/actions.ts';
import { CLIENT_EVENT } from '../../transaction/client-events.ts';
import { CLIENT, type ClientTransactions } from '../../transaction/client-transactions.ts';
import { SERVER_EVENT } from '../../transaction/server-events.ts';
import { SERVER, type ServerTransactions } from '../../transaction/server-transactions.ts';
import { RECORD, RELIABLE, TERMINATED } from '../../transaction/transaction-records.ts';
import { addContentLength } from '../content-length.ts';
import type { ElementClock } from '../ports.ts';
import { REJECT, type Rejection } from '../rejection.ts';
import type { Responder } from '../responder.ts';
import { NO_RESPONSE_RANK, rankOf } from './best-response.ts';
import { BRANCH, type Branches, CONTEXT } from './branches.ts';
import type { ResponseContext } from './response-context.ts';
import type { ResponseMatching } from './response-matching.ts';
import type { LeftContacts, Targets } from './targets.ts';

export interface ResponseProcessingParts {
  readonly arena: Arena;
  readonly outbound: Outbound;
  readonly edits: MessageEdits;
  readonly kept: KeptMessages;
  readonly servers: ServerTransactions;
  readonly clients: ClientTransactions;
  readonly contexts: Map<number, ResponseContext>;
  readonly branches: Branches;
  readonly targets: Targets;
  readonly responder: Responder;
  readonly matching: ResponseMatching;
  readonly clock: ElementClock;
  readonly counters: Counters;
  readonly histograms: Histograms;
  readonly timerCMs: number;
  /** Contacts of 3xx responses are tried instead of being passed back. */
  readonly isRecursing: boolean;
}

const VERSION = literal('SIP/2.0');
const INTERNAL_ERROR = literal('SIP/2.0 500 Server Internal Error\r\n');
const ANSWERED_ELSEWHERE = literal('Reason: SIP;cause=200;text="Call completed elsewhere"\r\n');
const NO_HEADERS = literal('');
const COMMA = literal(', ');
/** In place of the Contacts that stay. */
const ALL: readonly LeftContacts[] = [];

export class ResponseProcessing {
  readonly #parts: ResponseProcessingParts;
  readonly #cseq = new CSeqView();
  readonly #best = new MessageIndex();

  constructor(parts: ResponseProcessingParts) {
    this.#parts = parts;
  }

  /** Takes a response without a syntax error that was found to be for the client transaction `named` (step 1,
   *  response-matching.ts). */
  receive(named: number, index: MessageIndex): void {
    const { arena, clients, branches, matching, counters } = this.#parts;
    let branch = named;
    const { first } = index;
    if (first[HEADER_ID.FROM] === -1 || first[HEADER_ID.TO] === -1 || first[HEADER_ID.CALL_ID] === -1) {
      counters.count(COUNTER.malformed_responses_total);
      return;
    }
    const cseq = first[HEADER_ID.CSEQ]!;
    const isRead = cseq !== -1 && parseCSeq(arena.bytes, index.valueStart(cseq), index.valueEnd(cseq), this.#cseq) >= 0;
    if (!isRead) {
      counters.count(COUNTER.malformed_responses_total);
      return;
    }
    const method = methodIdOf(arena.bytes, this.#cseq.methodStart, this.#cseq.methodEnd);
    const own = clients.words[clients.at(branch) + CLIENT.METHOD]!;
    if (method === METHOD.CANCEL && own === METHOD.INVITE) {
      branch = clients.words[clients.at(branch) + CLIENT.PARTNER]! - 1;
      if (branch < 0) {
        counters.count(COUNTER.late_responses_total);
        return;
      }
    } else if (method !== own) {
      counters.count(COUNTER.forged_responses_total);
      return;
    } else if (matching.viaEnd === index.valueEnd(matching.viaHeader) && index.next(matching.viaHeader) === -1) {
      // Nothing is left below ours: it cannot go back.
      counters.count(COUNTER.malformed_responses_total);
      return;
    }
    const actions = clients.put(branch, eventOf(index.statusCode));
    if ((actions & ACTION.ACK) !== 0) branches.acknowledge(branch, index);
    if ((actions & ACTION.PASS_UP) !== 0) this.#take(branch, index);
    branches.settle(branch);
  }

  /** Steps 2 to 10. */
  #take(branch: number, index: MessageIndex): void {
    const { clients } = this.#parts;
    const at = clients.at(branch);
    const status = index.statusCode;
    if (clients.words[at + CLIENT.METHOD] === METHOD.CANCEL) {
      if (status >= 200) clients.words[at + CLIENT.FLAGS]! |= BRANCH.ENDED;
    } else if (status < 200) {
      this.#provisional(branch, index);
    } else if (status < 300) {
      this.#success(branch, index);
    } else {
      // RFC 4320 4.2: no 408 to anything but an INVITE, whoever says it.
      const isUseless = status === 408 && clients.words[at + CLIENT.METHOD] !== METHOD.INVITE;
      this.#failed(branch, isUseless ? 0 : status, index);
    }
  }

  /** Steps 2, 3 and 5: a 1xx resets Timer C and goes back at once, a 100 does neither. */
  #provisional(branch: number, index: MessageIndex): void {
    const { clients, servers, branches, targets, timerCMs } = this.#parts;
    const { words } = clients;
    const at = clients.at(branch);
    const isFirst = (words[at + CLIENT.FLAGS]! & BRANCH.RANG) === 0;
    words[at + CLIENT.FLAGS]! |= BRANCH.RANG;
    targets.recover(words[at + CLIENT.HOP]!);
    const isInvite = words[at + CLIENT.METHOD] === METHOD.INVITE;
    if (isInvite) {
      // 16.6 step 11 sets Timer C with the request; until now Timer B, which is shorter, has stood for it.
      const isCancelled = (words[at + CLIENT.FLAGS]! & BRANCH.CANCELLED) !== 0;
      if (!isCancelled && (isFirst || index.statusCode > 100)) clients.watch(branch, timerCMs);
      if ((words[at + CLIENT.FLAGS]! & BRANCH.CANCEL_WANTED) !== 0) branches.cancel(branch);
    }
    // RFC 4320 4.1: to anything but an INVITE there are no provisional responses but 100.
    if (index.statusCode === 100 || !isInvite) return;
    const server = words[at + CLIENT.SERVER]!;
    const actions = servers.put(server, SERVER_EVENT.SEND_1XX);
    if ((actions & ACTION.SEND) === 0) return;
    this.#compose(server, index, false);
    this.#commit(server, (actions & ACTION.KEEP) !== 0);
  }

  /** Steps 5 and 10: every 2xx to an INVITE goes back at once, also after another final response; other branches end. */
  #success(branch: number, index: MessageIndex): void {
    const { clients, servers, counters, targets } = this.#parts;
    const at = clients.at(branch);
    const server = clients.words[at + CLIENT.SERVER]!;
    const isFirst = this.#end(branch);
    targets.recover(clients.words[at + CLIENT.HOP]!);
    const actions = servers.put(server, SERVER_EVENT.SEND_2XX);
    const isInvite = clients.words[at + CLIENT.METHOD] === METHOD.INVITE;
    if ((actions & ACTION.SEND) === 0 && !isInvite) {
      counters.count(COUNTER.late_responses_total);
      return;
    }
    this.#compose(server, index, false);
    this.#commit(server, (actions & ACTION.KEEP) !== 0);
    if (!isFirst) return;
    if (isInvite && servers.words[servers.at(server) + SERVER.PENDING]! > 0) {
      // RFC 3326 section 3.1: the other phones should not show a missed call.
      this.#parts.targets.contextOf(server).reason ??= ANSWERED_ELSEWHERE;
    }
    this.#decide(server);
  }

  /** A branch got `status` as its final response, in the message of `index`, or by timeout, transport error or the end of
   *  a wait (null). 0: a 408 of which nobody is told (RFC 4320 4.2). */
  #failed(branch: number, status: number, index: MessageIndex | null): void {
    const { clients, servers, targets, branches, counters } = this.#parts;
    if (!this.#end(branch)) return;
    const { words } = clients;
    const at = clients.at(branch);
    const server = words[at + CLIENT.SERVER]!;
    const serverAt = servers.at(server);
    const isAlive = index !== null || (words[at + CLIENT.FLAGS]! & BRANCH.RANG) !== 0;
    // A 513 of our own speaks of the message: it would be too long for every hop.
    const isHopBad = status === 503 || (!isAlive && status !== 513);
    const isUnsent = index === null && (status === 503 || status === 430);
    const isOnlyTooLong = isUnsent && (words[at + CLIENT.FLAGS]! & BRANCH.MOVED) !== 0;
    if (isUnsent && !isOnlyTooLong) targets.loseFlow(server, words[at + CLIENT.TARGET]!);
    if (isHopBad && !isOnlyTooLong) targets.fail(words[at + CLIENT.HOP]!);
    else if (isAlive) targets.recover(words[at + CLIENT.HOP]!);
    if ((servers.words[serverAt + SERVER.FLAGS]! & CONTEXT.DECIDED) !== 0) {
      counters.count(COUNTER.late_responses_total);
      return;
    }
    // RFC 3263 4.3, and step 4 for a 3xx: what can still be tried is.
    // 18.1.1: what was too long for UDP and finds no TCP goes by UDP.
    if (isHopBad && targets.failOver(server, branch, isOnlyTooLong)) return;
    // The flow is broken, here or, by a 430, further on.
    const isFlowLost = status === 430 || isUnsent;
    const isTimedOut = status === 408 || (status === 0 && index !== null);
    if ((isFlowLost || isTimedOut) && targets.addOfSameInstance(server, branch)) {
      // RFC 5626 7: another one replaces the lost one, and answers for the instance.
      if (status === 408) this.#weigh(server, status, index);
      this.conclude(server);
      return;
    }
    // RFC 5626 11.5: a 430 is for who has other flows to try; who calls one of our users is told that he is not there.
    const isPassedOn = (servers.words[serverAt + SERVER.FLAGS]! & CONTEXT.PASSED_ON) !== 0;
    const isGone = status === 430 && words[at + CLIENT.TARGET] !== NO_BLOCK && !isPassedOn;
    const isCancelled = (servers.words[serverAt + SERVER.FLAGS]! & CONTEXT.CANCELLED) !== 0;
    const isFollowed = this.#parts.isRecursing && status >= 300 && status < 400 && !isCancelled;
    if (isFollowed && index !== null && targets.addContacts(server, index)) {
      // Step 4: without what is tried here, and not at all if that is everything.
      const left = targets.leftContacts;
      if (left.some(({ values }) => values.length > 0)) this.#weigh(server, status, index, left);
      this.conclude(server);
      return;
    }
    if (status >= 600) {
      this.#close(server);
      this.#cancelBranches(server);
    }
    const isSole =
      servers.words[serverAt + SERVER.PENDING] === 0 &&
      (servers.words[serverAt + SERVER.FLAGS]! & CONTEXT.EXTENDED) === 0 &&
      index !== null &&
      status !== 0 &&
      !isGone;
    if (isSole) {
      this.#compose(server, index, status === 503);
      this.#sendComposed(server);
      this.#decide(server);
      return;
    }
    if (isGone) this.#weigh(server, 480, null);
    else if (status !== 0) this.#weigh(server, status, index);
    this.conclude(server);
    branches.settleServer(server);
  }

  /** Step 6, once nothing is pending: the next targets, or the best response that came. */
  conclude(server: number): void {
    const { servers, contexts, targets } = this.#parts;
    const at = servers.at(server);
    if ((servers.words[at + SERVER.FLAGS]! & CONTEXT.DECIDED) !== 0) return;
    const context = contexts.get(server);
    if (context !== undefined && !context.isClosed && targets.begin(server, context)) return;
    if (servers.words[at + SERVER.PENDING]! > 0 || (context !== undefined && context.waiting > 0)) return;
    this.#sendBest(server, context);
  }

  /** A timer of a client transaction has run out. */
  clientTimer(branch: number, event: number): void {
    const { clients, branches, counters } = this.#parts;
    const actions = clients.put(branch, event);
    if ((actions & ACTION.RETRANSMIT) !== 0) branches.retransmit(branch);
    if ((actions & ACTION.REPORT_TIMEOUT) !== 0) {
      counters.count(COUNTER.timeouts_total);
      this.#lost(branch, 408);
    }
    branches.settle(branch);
  }

  /** Timer C (16.8), or the wait for the final response to a cancelled request is over (9.1). */
  clientWatch(branch: number): void {
    const { clients, branches, counters } = this.#parts;
    const at = clients.at(branch);
    if ((clients.words[at + CLIENT.FLAGS]! & BRANCH.CANCELLED) === 0) {
      counters.count(COUNTER.timeouts_total);
      branches.cancel(branch);
      return;
    }
    clients.terminate(branch);
    this.#lost(branch, 408);
    branches.settle(branch);
  }

  /** 16.9: the transport refused what a client transaction sent, as if a 503 had come. */
  transportFailed(branch: number, isTooLarge: boolean): void {
    const { clients, branches } = this.#parts;
    // It may have ended while the message was on its way to the kernel.
    if (clients.stateOf(branch) === TERMINATED) return;
    const actions = clients.put(branch, CLIENT_EVENT.TRANSPORT_ERROR);
    const isFlow = (clients.words[clients.at(branch) + CLIENT.FLAGS]! & BRANCH.FLOW) !== 0;
    if ((actions & ACTION.REPORT_TRANSPORT_ERROR) !== 0) this.#lost(branch, isTooLarge ? 513 : isFlow ? 430 : 503);
    branches.settle(branch);
  }

  #lost(branch: number, status: number): void {
    const { clients, servers } = this.#parts;
    const at = clients.at(branch);
    const method = clients.words[at + CLIENT.METHOD]!;
    if (method === METHOD.CANCEL) {
      clients.words[at + CLIENT.FLAGS]! |= BRANCH.ENDED;
      return;
    }
    const serverAt = servers.at(clients.words[at + CLIENT.SERVER]!);
    const isCancelled = (servers.words[serverAt + SERVER.FLAGS]! & CONTEXT.CANCELLED) !== 0;
    // RFC 4320 4.2: no 408 to anything but an INVITE.
    if (status === 408 && method !== METHOD.INVITE) this.#failed(branch, 0, null);
    else this.#failed(branch, isCancelled ? 487 : status, null);
  }

  /** 16.10: the client gives up. What rings is cancelled, what does not is once it does. */
  cancel(server: number, reason: Literal | null): void {
    const { servers, contexts } = this.#parts;
    const at = servers.at(server);
    if ((servers.words[at + SERVER.FLAGS]! & (CONTEXT.DECIDED | CONTEXT.CANCELLED)) !== 0) return;
    servers.words[at + SERVER.FLAGS]! |= CONTEXT.CANCELLED;
    if (reason !== null) this.#parts.targets.contextOf(server).reason = reason;
    this.#close(server);
    this.#cancelBranches(server);
    if (servers.words[at + SERVER.PENDING] === 0) this.#sendBest(server, contexts.get(server));
  }

  /** Answers a request that is kept with a response of our own, as its final one. */
  answer(server: number, rejection: Rejection): void {
    const { branches, responder, counters } = this.#parts;
    if (!branches.read(server)) return;
    counters.count(rejection.counter);
    responder.answerLog?.note(branches.kept, rejection);
    responder.respond(branches.kept, rejection.statusLine, NO_HEADERS);
    this.keepFinal(server);
    this.#decide(server);
  }

  /** The final response committed last is that of `server`: kept as long as its machine says. */
  keepFinal(server: number): void {
    const { servers } = this.#parts;
    const actions = servers.put(server, SERVER_EVENT.SEND_FINAL);
    if ((actions & ACTION.KEEP) !== 0) this.#keep(server);
  }

  // ---- Sending ----------------------------------------------------------------------------------------------------

  /** Begins the response in hand on its way back: our Via goes, all else stays (steps 3, 8 and 9). A 503 becomes a 500: it
   *  speaks of a hop that the client does not know (step 6). `left`: of the Contacts of a 3xx, those that stay (step 4). */
  #compose(server: number, index: MessageIndex, isUnavailable: boolean, left: readonly LeftContacts[] = ALL): void {
    const { arena, outbound, edits, servers, matching } = this.#parts;
    outbound.begin();
    edits.clear();
    if (isUnavailable) {
      const from = outbound.cursor;
      outbound.put(INTERNAL_ERROR);
      edits.replace(index.start, index.headersStart, from, outbound.cursor);
    } else if (index.hasOddVersion) {
      const from = outbound.cursor;
      outbound.put(VERSION);
      edits.replace(index.start, index.start + VERSION.length, from, outbound.cursor);
    }
    const { viaHeader: header, viaEnd } = matching;
    const end = index.valueEnd(header);
    if (viaEnd === end) edits.remove(index.lineStart(header), index.lineEnd(header));
    else edits.remove(index.valueStart(header), skipLws(arena.bytes, viaEnd + 1, end));
    if (left !== ALL) this.#leaveContacts(index, left);
    const serverAt = servers.at(server);
    if ((servers.words[serverAt + SERVER.FLAGS]! & RELIABLE) !== 0) addContentLength(index, edits, outbound);
    edits.apply(outbound, index.start, index.end);
    outbound.toRoute(servers.words, servers.at(server) + RECORD.ROUTE);
  }

  /** Takes all Contact values but these out of the response in hand. Cold. */
  #leaveContacts(index: MessageIndex, left: readonly LeftContacts[]): void {
    const { outbound, edits } = this.#parts;
    for (const { header, values } of left) {
      if (values.length === 0) {
        edits.remove(index.lineStart(header), index.lineEnd(header));
        continue;
      }
      const from = outbound.cursor;
      for (const [i, { start, end }] of values.entries()) {
        if (i > 0) outbound.put(COMMA);
        outbound.putCopy(start, end);
      }
      edits.replace(index.valueStart(header), index.valueEnd(header), from, outbound.cursor);
    }
  }

  #commit(server: number, isKept: boolean): void {
    const { outbound, counters } = this.#parts;
    outbound.commit(0);
    counters.count(COUNTER.responses_forwarded_total);
    if (isKept) this.#keep(server);
  }

  /** The final response that was composed goes back if the machine still waits for one. */
  #sendComposed(server: number): void {
    const { servers, counters } = this.#parts;
    const actions = servers.put(server, SERVER_EVENT.SEND_FINAL);
    if ((actions & ACTION.SEND) !== 0) this.#commit(server, (actions & ACTION.KEEP) !== 0);
    else counters.count(COUNTER.late_responses_total);
  }

  /** Keeps the message committed last for retransmissions, in place of an earlier one. */
  #keep(server: number): void {
    const { servers, kept, outbound, counters } = this.#parts;
    const { words } = servers;
    const at = servers.at(server) + SERVER.RESPONSE;
    if (words[at] !== NO_BLOCK) kept.release(words[at]!);
    const block = kept.take(outbound.length);
    words[at] = block;
    if (block === NO_BLOCK) counters.count(COUNTER.unkept_responses_total);
    else outbound.keepIn(block);
  }

  // ---- Weighing, cold ---------------------------------------------------------------------------------------------

  /** Step 6: keeps a final response if it is better than those before. */
  #weigh(server: number, status: number, index: MessageIndex | null, left: readonly LeftContacts[] = ALL): void {
    const { servers, kept, outbound } = this.#parts;
    const { words } = servers;
    const at = servers.at(server);
    const context = this.#parts.targets.contextOf(server);
    const challenge = this.#collectChallenges(context, status, index);
    const bestStatus = words[at + SERVER.BEST_STATUS]!;
    if (rankOf(status) >= (bestStatus === 0 ? NO_RESPONSE_RANK : rankOf(bestStatus))) return;
    if (words[at + SERVER.BEST] !== NO_BLOCK) kept.release(words[at + SERVER.BEST]!);
    words[at + SERVER.BEST] = NO_BLOCK;
    words[at + SERVER.BEST_STATUS] = status;
    context.ownChallenge = challenge;
    if (index === null) return;
    this.#compose(server, index, status === 503, left);
    const block = kept.take(outbound.length);
    if (block !== NO_BLOCK) outbound.keepIn(block);
    words[at + SERVER.BEST] = block;
  }

  /** Step 7: the challenges of this response; their place among all, −1 if it has none. */
  #collectChallenges(context: ResponseContext, status: number, index: MessageIndex | null): number {
    if (index === null || (status !== 401 && status !== 407)) return -1;
    const { bytes } = this.#parts.arena;
    const lines: number[] = [];
    for (const id of [HEADER_ID.WWW_AUTHENTICATE, HEADER_ID.PROXY_AUTHENTICATE]) {
      for (let header = index.find(bytes, id); header !== -1; header = index.next(header)) {
        lines.push(...bytes.subarray(index.lineStart(header), index.lineEnd(header)));
      }
    }
    return context.challenges.push(new Literal(Uint8Array.from(lines))) - 1;
  }

  /** Step 6 ends: nothing is pending and nothing left to try. */
  #sendBest(server: number, context: ResponseContext | undefined): void {
    const { servers } = this.#parts;
    const { words } = servers;
    const at = servers.at(server);
    const status = words[at + SERVER.BEST_STATUS]!;
    const isCancelled = (words[at + SERVER.FLAGS]! & CONTEXT.CANCELLED) !== 0;
    if (words[at + SERVER.BEST] !== NO_BLOCK) {
      this.#composeBest(server, context);
      this.#sendComposed(server);
      this.#decide(server);
    } else if (status === 0 && !isCancelled && words[at + SERVER.METHOD] === METHOD.INVITE) {
      // Not even one target could be kept.
      this.answer(server, REJECT.noRoom);
    } else if (status === 0 && !isCancelled) {
      // RFC 4320 4.2: nobody answered something else than an INVITE. Nothing goes back, and what may still come again is
      // absorbed as after an answer.
      servers.put(server, SERVER_EVENT.SEND_FINAL);
      this.#decide(server);
    } else {
      this.answer(server, ownResponse(isCancelled ? 487 : status));
    }
  }

  /** Steps 7 and 9 for a response that was kept while others were waited for: the challenges of the other branches join
   *  its own. */
  #composeBest(server: number, context: ResponseContext | undefined): void {
    const { arena, servers, outbound, edits } = this.#parts;
    const at = servers.at(server);
    const block = servers.words[at + SERVER.BEST]!;
    const status = servers.words[at + SERVER.BEST_STATUS]!;
    const index = this.#best;
    const start = block + SLOT_HEADER_BYTES;
    parseMessage(arena.bytes, arena.words, start, start + arena.words[(block >> 2) + SLOT.LENGTH_WORD]!, index);
    outbound.begin();
    edits.clear();
    if (status === 401 || status === 407) {
      const from = outbound.cursor;
      for (const [i, lines] of (context?.challenges ?? []).entries()) {
        if (i !== context?.ownChallenge) outbound.put(lines);
      }
      edits.insert(index.headersEnd, from, outbound.cursor);
    }
    edits.apply(outbound, index.start, index.end);
    outbound.toRoute(servers.words, at + RECORD.ROUTE);
  }

  // ---- The end of a context ---------------------------------------------------------------------------------------

  /** The final response of a branch. False: it has had one. */
  #end(branch: number): boolean {
    const { clients, servers, contexts } = this.#parts;
    const { words } = clients;
    const at = clients.at(branch);
    if ((words[at + CLIENT.FLAGS]! & BRANCH.ENDED) !== 0) return false;
    words[at + CLIENT.FLAGS]! |= BRANCH.ENDED;
    const server = words[at + CLIENT.SERVER]!;
    servers.words[servers.at(server) + SERVER.PENDING]!--;
    if (words[at + CLIENT.BREADTH] !== 0) {
      const context = contexts.get(server);
      if (context !== undefined) context.breadthInUse -= words[at + CLIENT.BREADTH]!;
    }
    return true;
  }

  /** A final response went back: nothing new is begun, what still runs is cancelled, what was kept for the choice goes. */
  #decide(server: number): void {
    const { servers, kept, branches } = this.#parts;
    const { words } = servers;
    const at = servers.at(server);
    if ((words[at + SERVER.FLAGS]! & CONTEXT.DECIDED) === 0) this.#measure(at);
    words[at + SERVER.FLAGS]! |= CONTEXT.DECIDED;
    if (words[at + SERVER.PENDING]! > 0) this.#cancelBranches(server);
    if (words[at + SERVER.BEST] !== NO_BLOCK) kept.release(words[at + SERVER.BEST]!);
    words[at + SERVER.BEST] = NO_BLOCK;
    // A 2xx to an INVITE is retransmitted by whoever sent it: what was kept before it is of no use any more (RFC 6026 8.7).
    if (servers.isAccepted(server) && words[at + SERVER.RESPONSE] !== NO_BLOCK) {
      kept.release(words[at + SERVER.RESPONSE]!);
      words[at + SERVER.RESPONSE] = NO_BLOCK;
    }
    this.#close(server);
    branches.settleServer(server);
  }

  /** How long a request took: the block it is kept in says when it came, the clock when its answer did. */
  #measure(serverAt: number): void {
    const { arena, servers, clock, histograms } = this.#parts;
    const request = servers.words[serverAt + SERVER.REQUEST]!;
    if (request === NO_BLOCK) return;
    const tookUs = (clock.nowUs - arena.words[(request >> 2) + SLOT.TIME_WORD]!) | 0;
    const isInvite = servers.words[serverAt + SERVER.METHOD] === METHOD.INVITE;
    // What is answered in the cycle in which it came may have come after the clock was set.
    histograms.record(isInvite ? HISTOGRAM.INVITE : HISTOGRAM.NON_INVITE, Math.max(0, tookUs));
  }

  /** Nothing new is begun for this request. */
  #close(server: number): void {
    const { servers, contexts } = this.#parts;
    if ((servers.words[servers.at(server) + SERVER.FLAGS]! & CONTEXT.EXTENDED) === 0) return;
    const context = contexts.get(server);
    if (context !== undefined) context.isClosed = true;
  }

  #cancelBranches(server: number): void {
    const { servers, clients, branches } = this.#parts;
    // Each CANCEL puts a record of its own in front of the list: what is ahead of `next` is not looked at.
    for (let next = servers.words[servers.at(server) + SERVER.FIRST_BRANCH]!; next !== 0; ) {
      const sibling = clients.words[clients.at(next - 1) + CLIENT.SIBLING]!;
      branches.cancel(next - 1);
      next = sibling;
    }
  }
}

function eventOf(status: number): number {
  if (status < 200) return CLIENT_EVENT.RESPONSE_1XX;
  return status < 300 ? CLIENT_EVENT.RESPONSE_2XX : CLIENT_EVENT.RESPONSE_FINAL;
}

/** A final response of our own in place of one that never came, or for which there was no room while others were waited for. */
function ownResponse(status: number): Rejection {
  switch (status) {
    case 487:
      return REJECT.requestTerminated;
    case 513:
      return REJECT.tooLarge;
    case 503:
      return REJECT.unreachable;
    case 408:
      return REJECT.requestTimeout;
    case 430:
      return REJECT.flowFailed;
    case 480:
      return REJECT.noTarget;
    default:
      return REJECT.exhausted;
  }
}
