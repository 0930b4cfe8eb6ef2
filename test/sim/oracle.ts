/** What must hold of a stateful proxy whatever the network does to it, seen at its own edge: every datagram that came, and what
 *  left because of it (RFC 3261 9, 16, 17; RFC 4320, 5393, 6026). It keeps its own simple picture of each transaction. Where
 *  a moment lies so near the end of a timer that both outcomes are right, it asks for neither. */

import type { Departure, Step } from './driven-element.ts';
import { Message } from './message.ts';
import { faultOfRequest, faultOfResponse, isOurVia, withoutMarks } from './transformation.ts';
import { DOMAIN, type Host, type World } from './world.ts';

/** A request that came, and all that became of it. */
interface ServerView {
  readonly request: Message;
  readonly from: Host;
  readonly receivedMs: number;
  readonly branches: BranchView[];
  /** URIs that 3xx responses named. */
  readonly redirects: string[];
  /** Of the transaction with the same key before. */
  readonly earlierFinal: string;
  /** Text of the one final response that may go back, '' so far; 2xx to an INVITE aside. */
  final: string;
  finalStatus: number;
  /** When the first final response went back, −1: never. */
  finalMs: number;
  hasSucceeded: boolean;
  cancelledMs: number;
  hasSixth: boolean;
  /** It may have come when an earlier one with its key was just over: nothing has to become of it. */
  isDoubtful: boolean;
}

/** A branch of a forwarded request. */
interface BranchView {
  readonly server: ServerView;
  readonly request: Message;
  readonly to: Host | null;
  readonly sentMs: number;
  sentLastMs: number;
  sentCount: number;
  /** −1: none. */
  provisionalMs: number;
  provisionalLastMs: number;
  finalMs: number;
  finalStatus: number;
  cancelMs: number;
  cancel: string;
  cancelAnswered: boolean;
  ack: string;
  isRefused: boolean;
  /** Something came when it may have been over. */
  isDoubtful: boolean;
}

/** What rounding to ticks, duty cycles and look-ups may add. */
const SLACK_MS = 60;
const MAX_TARGETS = 64;
const INFORMATIVE = new Set([401, 407, 415, 420, 484]);

export class Oracle {
  readonly #world: World;
  readonly #fail: (call: number, fault: string) => void;
  readonly #servers = new Map<string, ServerView>();
  readonly #branches = new Map<string, BranchView>();
  /** Responses that came, by their X-Reply. */
  readonly #replies = new Map<string, Message>();
  #nowMs = 0;
  mostForOne = 0;

  constructor(world: World, fail: (call: number, fault: string) => void) {
    this.#world = world;
    this.#fail = fail;
  }

  observe({ cause, sent }: Step, nowMs: number): void {
    this.#nowMs = nowMs;
    const out = sent.map((departure) => ({ departure, message: new Message(departure.text) }));
    if (cause === null) {
      for (const { departure, message } of out) this.#sent(message, departure);
      return;
    }
    const message = new Message(cause.text);
    this.mostForOne = Math.max(this.mostForOne, out.length);
    if (message.status === 0) this.#request(message, cause.from, out);
    else this.#response(message, out);
  }

  /** All is quiet: what had to come has come. */
  finish(): void {
    const { isSmall } = this.#world;
    for (const server of this.#servers.values()) {
      if (isSmall || server.isDoubtful || server.finalMs !== -1) continue;
      const { method, call } = server.request;
      if (method === 'INVITE') this.#fail(call, 'an INVITE has no final response');
      // RFC 4320 4.2: silence is right only where nobody answered.
      const hasAnswer = server.branches.some((branch) => {
        const isTold = branch.finalStatus !== 0 && branch.finalStatus !== 408 && branch.finalStatus !== 503;
        return isTold && this.#wasAlive(branch, branch.finalMs);
      });
      if (hasAnswer) this.#fail(call, `${method} is answered and the answer does not go back`);
    }
    for (const branch of this.#branches.values()) {
      const isUnacknowledged = branch.finalStatus >= 300 && branch.request.method === 'INVITE' && branch.ack === '';
      if (isUnacknowledged && !isSmall && this.#wasAlive(branch, branch.finalMs)) {
        this.#fail(branch.server.request.call, 'a failure is not acknowledged');
      }
    }
  }

  /** Whether a final response went back to a request that came with this branch. */
  hasFinal(branch: string, method: string): boolean | undefined {
    const server = this.#servers.get(`${branch} ${method}`);
    return server === undefined ? undefined : server.isDoubtful || server.finalMs !== -1;
  }

  // ---- Requests that came -----------------------------------------------------------------------------------------

  #request(message: Message, from: Host, out: readonly Sent[]): void {
    const { method, call } = message;
    if (method === 'ACK') this.#ackCame(message, out);
    else if (method === 'CANCEL') this.#cancelCame(message, from, out);
    else {
      this.#serverOf(message, from, out);
      for (const { message: one, departure } of out) this.#sent(one, departure);
      const targets = 2 + Math.max(1, ...this.#world.users.values());
      if (out.length > targets) this.#fail(call, `${out.length} messages leave for one ${method}`);
    }
  }

  #serverOf(message: Message, from: Host, out: readonly Sent[]): void {
    const key = `${message.branch} ${message.method}`;
    const known = this.#servers.get(key);
    if (known !== undefined && !this.#mayBeOver(known)) {
      // One that waited for a look-up, without a transaction yet, may be overtaken by its retransmission.
      const isWaiting = known.branches.length === 0;
      if (!isWaiting && out.some((one) => one.message.status === 0))
        this.#fail(message.call, 'a retransmission is forwarded at once');
      return;
    }
    if (known !== undefined && !out.some((one) => isBeginning(one.message))) {
      known.isDoubtful = true;
      return;
    }
    this.#servers.set(key, {
      request: message,
      from,
      receivedMs: this.#nowMs,
      branches: [],
      redirects: [],
      earlierFinal: known?.final ?? '',
      final: '',
      finalStatus: 0,
      finalMs: -1,
      hasSucceeded: false,
      cancelledMs: -1,
      hasSixth: false,
      isDoubtful: known !== undefined,
    });
  }

  /** True where the transaction may have ended by now, so that what comes may begin another. */
  #mayBeOver(server: ServerView): boolean {
    const { t1Ms, t4Ms, isSmall } = this.#world;
    if (isSmall && server.finalMs !== -1) return true;
    const isRunning = server.branches.some((branch) => branch.finalMs === -1 && this.#wasAlive(branch, this.#nowMs));
    if (server.finalMs === -1 && isRunning) return false;
    if (server.request.method !== 'INVITE') return this.#nowMs > server.receivedMs + 64 * t1Ms - SLACK_MS;
    if (server.finalMs === -1) return false;
    return this.#nowMs > server.finalMs + (server.hasSucceeded ? 64 * t1Ms : t4Ms) - SLACK_MS;
  }

  /** 17.2.1: an ACK to a failure ends here; one to a 2xx goes where it says. */
  #ackCame(ack: Message, out: readonly Sent[]): void {
    const server = this.#servers.get(`${ack.branch} INVITE`);
    if (server !== undefined) {
      const isOver = this.#mayBeOver(server);
      if (out.length > (isOver ? 1 : 0)) this.#fail(ack.call, 'an ACK to a failure goes on');
      return;
    }
    if (out.length > 1) this.#fail(ack.call, 'more than one message leaves for an ACK');
    for (const { message } of out) {
      if (message.method !== 'ACK' || message.status !== 0) this.#fail(ack.call, 'an ACK is answered');
      else this.#judge(ack.call, faultOfRequest(this.#world, ack, message));
      if (message.uri !== ack.uri) this.#fail(ack.call, 'the Request-URI of an ACK is changed');
    }
    const isToBeForwarded = ack.value('Max-Forwards') !== '0' && ack.uri.includes('@10.');
    if (isToBeForwarded && out.length === 0) this.#fail(ack.call, 'an ACK to a 2xx is not forwarded');
  }

  /** 9.2, 16.10: 200 at once. Without a transaction it is forwarded or answered 481. */
  #cancelCame(cancel: Message, from: Host, out: readonly Sent[]): void {
    const { call } = cancel;
    const server = this.#servers.get(`${cancel.branch} INVITE`);
    let answers = 0;
    // A look-up may stand between an INVITE and its branch.
    if (server !== undefined && server.finalMs === -1 && server.cancelledMs === -1) server.cancelledMs = this.#nowMs;
    for (const { message, departure } of out) {
      const isAnswer = message.status !== 0 && message.method === 'CANCEL';
      if (isAnswer) {
        answers++;
        if (departure.to !== from || message.vias.length !== cancel.vias.length)
          this.#fail(call, 'the answer to a CANCEL goes astray');
        const isMatched = server !== undefined && !this.#mayBeOver(server) && !this.#world.isSmall;
        if (isMatched && message.status !== 200) this.#fail(call, `a CANCEL is answered ${message.status}`);
      } else if (message.method === 'CANCEL' && message.vias.length > 1) {
        if (server !== undefined && !this.#mayBeOver(server) && !this.#world.isSmall)
          this.#fail(call, 'a CANCEL that matches is forwarded');
        this.#judge(call, faultOfRequest(this.#world, cancel, message));
      } else this.#sent(message, departure);
    }
    if (answers > 1) this.#fail(call, 'a CANCEL is answered twice');
    if (answers === 0 && server !== undefined && !this.#mayBeOver(server) && !this.#world.isSmall)
      this.#fail(call, 'a CANCEL is not answered');
  }

  // ---- Responses that came ----------------------------------------------------------------------------------------

  #response(message: Message, out: readonly Sent[]): void {
    const { call, status, method } = message;
    this.#replies.set(message.value('X-Reply'), message);
    const branch = this.#branches.get(message.branch);
    if (branch === undefined || !isOurVia(message.vias[0])) {
      // The CANCEL of a call without a transaction comes back to where none is.
      if (out.length > 0) this.#fail(call, 'something leaves for a response that belongs to nothing');
      return;
    }
    if (method === 'CANCEL') {
      branch.cancelAnswered = true;
      if (out.length > 0) this.#fail(call, 'something leaves for the answer to a CANCEL');
      return;
    }
    const { server } = branch;
    if (branch.finalMs === -1 && !this.#wasAlive(branch, this.#nowMs)) branch.isDoubtful = true;
    const isAlive = this.#wasAlive(branch, this.#nowMs) && !this.#world.isSmall;
    const hadFinal = branch.finalMs !== -1;
    const wasDecided = server.finalMs !== -1;
    const contacts = status >= 300 && status < 400 && this.#world.isRecursing ? message.values('Contact') : [];
    this.#note(branch, message, contacts);
    const most = 3 + server.branches.length + contacts.length + Math.max(...this.#world.users.values());
    if (out.length > Math.min(most, MAX_TARGETS + 3)) this.#fail(call, `${out.length} messages leave for one response`);
    for (const { message: one, departure } of out) this.#sent(one, departure);
    if (!isAlive || server.isDoubtful) return;
    const forwarded = out.filter((one) => one.message.value('X-Reply') === message.value('X-Reply')).length;
    if (method === 'INVITE' && status >= 300) {
      const isAcknowledged = out.some((one) => one.message.method === 'ACK' && one.message.branch === message.branch);
      const isDue =
        !hadFinal || (branch.finalStatus >= 300 && this.#nowMs < branch.finalMs + 64 * this.#world.t1Ms - SLACK_MS);
      if (isDue && !isAcknowledged) this.#fail(call, 'a failure is not acknowledged at once');
    }
    if (hadFinal && branch.finalStatus >= 300) return;
    if (method === 'INVITE' && status > 100 && status < 200 && !hadFinal && !wasDecided && forwarded !== 1)
      this.#fail(call, `a ${status} does not go back at once`);
    const isTwoHundred = status >= 200 && status < 300;
    if (
      method === 'INVITE' &&
      isTwoHundred &&
      this.#nowMs < branch.finalMs + 64 * this.#world.t1Ms - SLACK_MS &&
      forwarded !== 1
    )
      this.#fail(call, 'a 2xx does not go back at once');
    if (method !== 'INVITE' && isTwoHundred && !hadFinal && !wasDecided && forwarded !== 1)
      this.#fail(call, 'a 2xx does not go back');
  }

  #note(branch: BranchView, message: Message, contacts: readonly string[]): void {
    const { status } = message;
    const { server } = branch;
    if (status < 200) {
      if (branch.finalMs !== -1) return;
      if (branch.provisionalMs === -1) branch.provisionalMs = this.#nowMs;
      if (status > 100 || branch.provisionalLastMs === -1) branch.provisionalLastMs = this.#nowMs;
      return;
    }
    if (branch.finalMs !== -1) return;
    branch.finalMs = this.#nowMs;
    branch.finalStatus = status;
    for (const contact of contacts) server.redirects.push(contact.slice(1, contact.indexOf('>')));
    if (status >= 600 && !branch.isDoubtful) server.hasSixth = true;
  }

  /** True if the client transaction was surely there at that time. */
  #wasAlive(branch: BranchView, atMs: number): boolean {
    const { t1Ms, timerCMs } = this.#world;
    const timeoutMs = 64 * t1Ms - SLACK_MS;
    if (branch.isRefused || branch.isDoubtful) return false;
    const isOverBefore = branch.finalMs !== -1 && branch.finalMs < atMs;
    if (isOverBefore) return this.#wasAlive(branch, branch.finalMs);
    if (branch.request.method !== 'INVITE' || branch.provisionalMs === -1 || branch.provisionalMs >= atMs) {
      return atMs < branch.sentMs + timeoutMs;
    }
    // A watch after the CANCEL, or Timer C.
    return branch.cancelMs !== -1
      ? atMs < branch.cancelMs + timeoutMs
      : atMs < branch.provisionalLastMs + timerCMs - SLACK_MS;
  }

  // ---- What left --------------------------------------------------------------------------------------------------

  #sent(message: Message, departure: Departure): void {
    if (message.status !== 0) this.#responseSent(message, departure);
    else if (message.vias.length === 1) this.#ownRequestSent(message, departure);
    else this.#requestSent(message, departure);
  }

  #requestSent(message: Message, departure: Departure): void {
    const { call, method } = message;
    const known = this.#branches.get(message.branch);
    if (known !== undefined) {
      this.#sentAgain(known, message, departure);
      return;
    }
    const server = this.#servers.get(`${branchBelow(message)} ${method}`);
    if (server === undefined) {
      // Forwarded without a transaction, after its name was looked up.
      if (method !== 'ACK' && method !== 'CANCEL') this.#fail(call, `a ${method} leaves that never came`);
      return;
    }
    if (server.finalMs !== -1 && !server.isDoubtful) this.#fail(call, 'a branch begins after a final response');
    if (server.cancelledMs !== -1 && server.cancelledMs < this.#nowMs)
      this.#fail(call, 'a branch begins after the CANCEL');
    if (server.hasSixth && !server.isDoubtful) this.#fail(call, 'a branch begins after a 6xx');
    this.#judge(call, faultOfRequest(this.#world, server.request, message));
    this.#judge(call, this.#faultOfTarget(server, message));
    const branch: BranchView = {
      server,
      request: message,
      to: departure.to,
      sentMs: this.#nowMs,
      sentLastMs: this.#nowMs,
      sentCount: 1,
      provisionalMs: -1,
      provisionalLastMs: -1,
      finalMs: -1,
      finalStatus: 0,
      cancelMs: -1,
      cancel: '',
      cancelAnswered: false,
      ack: '',
      isRefused: isRefusal(departure),
      isDoubtful: false,
    };
    this.#branches.set(message.branch, branch);
    server.branches.push(branch);
    this.#judge(call, this.#faultOfBreadth(server));
  }

  /** Where the Request-URI may come from: the request itself, a fixed contact, a 3xx. */
  #faultOfTarget(server: ServerView, message: Message): string | null {
    const { uri } = server.request;
    const user = uri.slice(4, uri.indexOf('@'));
    const count = uri.endsWith(`@${DOMAIN}`) ? (this.#world.users.get(user) ?? 0) : 0;
    if (count === 0 && message.uri === uri) return null;
    if (count > 0 && message.uri.startsWith(`sip:${user}@`) && message.uri !== uri) return null;
    return server.redirects.includes(message.uri) ? null : 'a request goes to a target that nobody named';
  }

  /** RFC 5393 5.3.3: what runs at once has no more breadth than came. */
  #faultOfBreadth(server: ServerView): string | null {
    const { config } = this.#world;
    const most = Math.min(Number(server.request.value('Max-Breadth') || config.maxBreadth), config.maxBreadth);
    let sum = 0;
    for (const branch of server.branches) {
      const isRunning = branch.finalMs === -1 && this.#wasAlive(branch, this.#nowMs + 2 * SLACK_MS);
      if (isRunning) sum += Number(branch.request.value('Max-Breadth'));
    }
    return sum > most ? 'branches have more Max-Breadth than came' : null;
  }

  #sentAgain(branch: BranchView, message: Message, departure: Departure): void {
    const { t1Ms, t2Ms } = this.#world;
    const { call, method } = message;
    if (message.text !== branch.request.text) this.#fail(call, 'a retransmission is another text');
    if (departure.to !== branch.to) this.#fail(call, 'a retransmission goes elsewhere');
    if (branch.finalMs !== -1) this.#fail(call, 'a request is sent again after its final response');
    if (method === 'INVITE' && branch.provisionalMs !== -1)
      this.#fail(call, 'an INVITE is sent again after a provisional response');
    if (this.#nowMs > branch.sentMs + 64 * t1Ms + SLACK_MS)
      this.#fail(call, 'a request is sent again after its timeout');
    const intervalMs = t1Ms * 2 ** (branch.sentCount - 1);
    const leastMs = method === 'INVITE' ? intervalMs : Math.min(intervalMs, t2Ms);
    if (this.#nowMs < branch.sentLastMs + leastMs - SLACK_MS / 2) this.#fail(call, 'a request is sent again too early');
    branch.sentLastMs = this.#nowMs;
    branch.sentCount++;
    if (isRefusal(departure)) branch.isRefused = true;
  }

  /** ACK to a failure and CANCEL: our own requests, with our Via only. */
  #ownRequestSent(message: Message, departure: Departure): void {
    const { call, method } = message;
    const branch = this.#branches.get(message.branch);
    if (branch === undefined || branch.request.method !== 'INVITE') {
      this.#fail(call, `a ${method} of our own belongs to no INVITE`);
      return;
    }
    const { request } = branch;
    const isAlike =
      message.vias[0] === request.vias[0] &&
      message.uri === request.uri &&
      message.cseq === request.cseq &&
      message.value('From') === request.value('From') &&
      message.value('Call-ID') === request.value('Call-ID') &&
      message.values('Route').join() === request.values('Route').join();
    if (!isAlike) this.#fail(call, `a ${method} is not like its INVITE`);
    if (departure.to !== branch.to) this.#fail(call, `a ${method} goes elsewhere than its INVITE`);
    if (message.value('Max-Breadth') !== '') this.#fail(call, `a ${method} of our own has a Max-Breadth`);
    if (method === 'ACK') {
      if (branch.finalStatus < 300) this.#fail(call, 'an ACK without a failure');
      if (branch.ack !== '' && branch.ack !== message.text) this.#fail(call, 'two ACKs differ');
      if (message.toTag === '') this.#fail(call, 'an ACK has no To tag');
      branch.ack = message.text;
    } else if (method === 'CANCEL') this.#cancelSent(branch, message);
    else this.#fail(call, `a ${method} of our own`);
  }

  #cancelSent(branch: BranchView, message: Message): void {
    const { call } = message;
    const { server } = branch;
    if (branch.provisionalMs === -1) this.#fail(call, 'a CANCEL before any provisional response');
    if (message.value('To') !== branch.request.value('To')) this.#fail(call, 'a CANCEL has another To');
    if (branch.cancel === '') {
      // Without room for it a CANCEL leaves when its Timer E comes.
      if (branch.finalMs !== -1 && !this.#world.isSmall) this.#fail(call, 'a CANCEL after the final response');
      const isTimerC = this.#nowMs > branch.provisionalLastMs + this.#world.timerCMs - SLACK_MS;
      const hasCause =
        server.cancelledMs !== -1 || server.hasSixth || server.hasSucceeded || server.finalMs !== -1 || isTimerC;
      const isSucceeding = server.branches.some(({ finalStatus }) => finalStatus >= 200 && finalStatus < 300);
      if (!hasCause && !isSucceeding) this.#fail(call, 'a CANCEL without a cause');
      branch.cancel = message.text;
      branch.cancelMs = this.#nowMs;
    } else {
      if (message.text !== branch.cancel) this.#fail(call, 'two CANCELs of a branch differ');
      if (branch.cancelAnswered) this.#fail(call, 'a CANCEL is sent again after its answer');
      if (this.#nowMs > branch.cancelMs + 64 * this.#world.t1Ms + SLACK_MS)
        this.#fail(call, 'a CANCEL is sent for ever');
    }
  }

  #responseSent(message: Message, departure: Departure): void {
    const { call, method, status } = message;
    if (message.vias.some((via) => isOurVia(via))) this.#fail(call, 'a response leaves with our Via');
    // To a CANCEL or a request whose name was looked up first.
    if (method === 'CANCEL') return;
    const server = this.#servers.get(`${message.branch} ${method}`);
    if (server === undefined) {
      this.#fail(call, `a ${status} leaves for a request that never came`);
      return;
    }
    const { request } = server;
    if (departure.to !== server.from) this.#fail(call, 'a response goes elsewhere than its request came from');
    const isSameStack =
      message.vias.length === request.vias.length &&
      message.vias.every((via, i) => withoutMarks(via) === withoutMarks(request.vias[i]));
    if (!isSameStack) this.#fail(call, 'a response has other Vias than its request');
    const reply = message.value('X-Reply');
    const isOwn = reply === '';
    if (!isOwn) this.#forwarded(message, reply);
    if (status === 100) {
      if (!isOwn) this.#fail(call, 'a 100 is forwarded');
      const isEarly =
        method !== 'INVITE' && !server.isDoubtful && this.#nowMs < server.receivedMs + this.#tryingMs() - SLACK_MS;
      if (isEarly) this.#fail(call, `100 to ${method} too early`);
      return;
    }
    if (method !== 'INVITE' && status < 200) this.#fail(call, `${status} to ${method}`);
    if (method !== 'INVITE' && status === 408) this.#fail(call, `408 to ${method}`);
    if (status < 200) {
      if (isOwn) this.#fail(call, `a ${status} of our own`);
      if (server.finalMs !== -1 && !server.isDoubtful && server.finalMs < this.#nowMs)
        this.#fail(call, `a ${status} after the final response`);
    } else this.#finalSent(server, message, isOwn);
  }

  /** When the client's Timer E is set to T2 for the first time (RFC 4320 4.1). */
  #tryingMs(): number {
    const { t1Ms, t2Ms } = this.#world;
    let atMs = t1Ms;
    for (let intervalMs = 2 * t1Ms; intervalMs < t2Ms; intervalMs *= 2) atMs += intervalMs;
    return atMs;
  }

  #finalSent(server: ServerView, message: Message, isOwn: boolean): void {
    const { call, method, status, text } = message;
    if (method === 'INVITE' && status < 300) {
      if (isOwn) this.#fail(call, 'a 2xx of our own');
      if (server.finalMs === -1) server.finalMs = this.#nowMs;
      server.hasSucceeded = true;
      return;
    }
    if (server.hasSucceeded && !server.isDoubtful) this.#fail(call, `a ${status} after a 2xx`);
    // A request that waits for a look-up has no transaction: its retransmission may be refused meanwhile.
    if (isOwn && status === 503 && server.branches.length === 0 && this.#world.isDnsSlow) server.isDoubtful = true;
    if (server.earlierFinal === text && server.finalMs === -1) server.finalMs = this.#nowMs;
    if (server.final === text || server.earlierFinal === text) return;
    // Without room nothing is kept: whatever comes then begins anew.
    const mayDiffer = server.isDoubtful || this.#world.isSmall;
    if (server.final !== '' && !mayDiffer) this.#fail(call, `a second final response, ${status}`);
    server.final = text;
    server.finalStatus = status;
    server.finalMs = this.#nowMs;
    if (!server.isDoubtful && !this.#world.isSmall) this.#judge(call, this.#faultOfChoice(server, message, isOwn));
    this.#judge(call, this.#faultOfTime(server));
  }

  /** 16.7 step 6. Of a 503 the next place may have made a better answer, of a 3xx its contacts. */
  #faultOfChoice(server: ServerView, message: Message, isOwn: boolean): string | null {
    const { status } = message;
    if (isOwn && ![404, 480, 481, 482, 483, 487, 500, 503, 408, 403].includes(status)) return `a ${status} of our own`;
    // Step 5: a 2xx goes back at once, whatever else there is.
    if (status < 300) return null;
    if (isOwn && status === 487 && server.cancelledMs === -1) return '487 without a CANCEL';
    const finals = server.branches
      .filter(({ finalMs, isDoubtful }) => finalMs !== -1 && !isDoubtful)
      .map(({ finalStatus }) => finalStatus)
      .filter((one) => one !== 503 && one !== 408 && !(this.#world.isRecursing && one < 400));
    if (server.request.method === 'INVITE' && finals.some((one) => one < 300)) return `a ${status} in place of a 2xx`;
    const best = finals.reduce((least, one) => Math.min(least, rankOf(one)), 10_000);
    return rankOf(status) > best && status !== best ? `${status} is not the best of ${finals.join()}` : null;
  }

  /** No wait without an end: per place one Timer B, or the ringing with Timer C and the wait behind the CANCEL. */
  #faultOfTime(server: ServerView): string | null {
    const { t1Ms, timerCMs } = this.#world;
    let boundMs = 64 * t1Ms + 1000;
    for (const branch of server.branches) {
      const ringingMs = branch.provisionalLastMs === -1 ? 0 : branch.provisionalLastMs - branch.sentMs + timerCMs;
      boundMs += ringingMs + 64 * t1Ms + SLACK_MS;
    }
    return this.#nowMs - server.receivedMs > boundMs ? 'the final response comes after all timers' : null;
  }

  #forwarded(message: Message, reply: string): void {
    const before = this.#replies.get(reply);
    if (before === undefined) this.#fail(message.call, 'a response leaves that never came');
    else {
      const isJoined = message.status === 401 || message.status === 407;
      this.#judge(message.call, faultOfResponse(before, message, before.status === 503, isJoined));
      if (message.status === 503) this.#fail(message.call, 'a 503 is forwarded');
    }
  }

  #judge(call: number, fault: string | null): void {
    if (fault !== null) this.#fail(call, fault);
  }
}

interface Sent {
  readonly message: Message;
  readonly departure: Departure;
}

/** A full send buffer is like a loss on the way, a host that does not listen is not. */
function isRefusal({ to }: Departure): boolean {
  return to?.kind === 'refuses';
}

/** What only a new transaction sends: a request on its way, a 100 to an INVITE, a refusal. */
function isBeginning({ status, method }: Message): boolean {
  return status === 0 || (status === 100 && method === 'INVITE') || status >= 300;
}

function branchBelow(message: Message): string {
  const via = message.vias[1] ?? '';
  const at = via.indexOf(';branch=');
  const end = via.indexOf(';', at + 1);
  return via.slice(at + 8, end === -1 ? via.length : end);
}

function rankOf(status: number): number {
  if (status >= 600) return 0;
  return Math.trunc(status / 100) * 100 + (INFORMATIVE.has(status) ? 0 : 1);
}
