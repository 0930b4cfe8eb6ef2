/** REGISTER and its 200 with the binding: of users in their order until each is there once, or of users at random, which
 *  refreshes. With digest, every REGISTER is challenged and answered anew. Hot. */

import { AnsweredFlow } from '../answered-flow.ts';
import { sameBytes } from '../byte-compare.ts';
import { DigestAnswer, MAX_AUTHORIZATION_BYTES } from '../digest-answer.ts';
import { type FlowParts, letterInVia, MAX_FORWARDS, message, ownVia } from '../flow.ts';
import { contactPlace, DOMAIN, PASSWORD, type Way } from '../flow-settings.ts';
import { LINE } from '../header-lines.ts';
import { Histogram } from '../histogram.ts';
import type { RandomUsers } from '../random-users.ts';
import { CSEQ, GENERATION, INDEX, USER } from '../stamped-texts.ts';

export const EXPIRES_SEC = 3600;
const FIRST_CSEQ = 1_000_000;
/** In the Via: the first request, and the one with credentials. */
const ATTEMPT = { BARE: 0x30, WITH_CREDENTIALS: 0x31 } as const;
const EXPIRES = new TextEncoder().encode(';expires=');
const AUTHORIZED = 2;

/** Who registers next. */
export type RegisteringUsers =
  /** Users `first` … `end` − 1 in this order, each once. */
  | { readonly kind: 'each'; readonly first: number; readonly end: number }
  | { readonly kind: 'any'; readonly users: RandomUsers };

export class RegisterFlow extends AnsweredFlow {
  readonly mainDelay = 'registrationRequest';
  readonly #delay = new Histogram();
  readonly delays = new Map([['registrationRequest', this.#delay] as const]);
  readonly #digest: DigestAnswer | null;
  readonly #letterAt: number;
  readonly #viaAt: number;
  readonly #contactAt: number;
  readonly #contactBytes: number;
  readonly #userAt: number;
  readonly #userBytes: number;
  /** Where Authorization goes in. */
  readonly #splitAt: number;
  readonly #cseqs: Int32Array;
  readonly #userOf: Int32Array;
  #who: RegisteringUsers;
  #next = 0;

  /** `cseqs`: of each user the one used last, 0 before the first; shared by all flows of a run. */
  constructor(parts: FlowParts, who: RegisteringUsers, cseqs: Int32Array, withDigest: boolean) {
    const text = registerText(parts.way);
    super(parts, [text], withDigest ? MAX_AUTHORIZATION_BYTES : 0);
    this.#digest = withDigest ? new DigestAnswer(parts.arena.bytes, PASSWORD, `sip:${DOMAIN}`) : null;
    this.#letterAt = letterInVia(parts.way) + 1;
    this.#viaAt = text.indexOf('\r\nVia: ') + 2;
    this.#contactAt = text.indexOf('\r\nContact: ') + 2;
    this.#contactBytes = text.indexOf('\r\n', this.#contactAt) - this.#contactAt;
    this.#userAt = text.indexOf(`user${USER}`);
    this.#userBytes = `user${USER}`.length;
    this.#splitAt = text.indexOf('\r\nUser-Agent: ') + 2;
    this.#cseqs = cseqs;
    this.#userOf = new Int32Array(parts.window);
    this.#who = who;
    this.register(who);
  }

  /** Goes on with other users. */
  register(who: RegisteringUsers): void {
    this.#who = who;
    this.#next = who.kind === 'each' ? who.first : 0;
  }

  /** From the first of these users again: those that were tried while the server was not up yet have failed. */
  restart(): void {
    this.register(this.#who);
  }

  override get hasMore(): boolean {
    return this.#who.kind === 'any' || this.#next < this.#who.end;
  }

  protected override begin(index: number): void {
    const user = this.#who.kind === 'any' ? this.#who.users.next() : this.#next++;
    this.#userOf[index] = user;
    this.texts.stampUser(index, user);
    this.#stampAttempt(index, ATTEMPT.BARE);
    const at = this.texts.start(index, 0);
    this.client.begin(user);
    this.client.add(at, this.texts.lengths[0]!);
  }

  protected override answered(index: number, status: number, start: number, end: number, nowUs: number): void {
    if (status === 401 && this.#digest !== null && (this.flags[index]! & AUTHORIZED) === 0)
      this.#authorize(index, start, end);
    else if (status === 200) this.#registered(index, start, end, nowUs);
    else if (status !== 100) this.rejectAnswer(start, end, null);
  }

  #registered(index: number, start: number, end: number, nowUs: number): void {
    if (this.#digest !== null && (this.flags[index]! & AUTHORIZED) === 0)
      this.rejectAnswer(start, end, 'authentication');
    else if (!this.#hasBinding(index)) this.rejectAnswer(start, end, 'contact');
    else {
      this.recordMain(index, this.#delay, nowUs);
      this.succeed(index);
    }
  }

  /** RFC 3261 10.3 step 8: all current bindings, here one, each with the time it has left. */
  #hasBinding(index: number): boolean {
    const { lines } = this.answers;
    if (lines.counts[LINE.CONTACT] !== 1) return false;
    const start = lines.starts[LINE.CONTACT]!;
    const end = lines.ends[LINE.CONTACT]!;
    let at = start + this.#contactBytes;
    if (end <= at + EXPIRES.length) return false;
    if (!sameBytes(this.view, start, this.texts.start(index, 0) + this.#contactAt, this.#contactBytes)) return false;
    for (let i = 0; i < EXPIRES.length; i++) if (this.bytes[at++] !== EXPIRES[i]) return false;
    let seconds = 0;
    for (; at < end; at++) {
      const digit = this.bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) return false;
      seconds = seconds * 10 + digit;
    }
    return seconds > 0 && seconds <= EXPIRES_SEC;
  }

  #authorize(index: number, start: number, end: number): void {
    const { lines } = this.answers;
    const at = this.texts.start(index, 0);
    const user = at + this.#userAt;
    const room = this.texts.area(index) + this.texts.roomAt;
    const challenge = lines.valueAt(LINE.WWW_AUTHENTICATE);
    const challengeEnd = lines.ends[LINE.WWW_AUTHENTICATE]!;
    const isChallenged = lines.counts[LINE.WWW_AUTHENTICATE] === 1;
    const length = isChallenged ? this.#digest!.write(challenge, challengeEnd, user, user + this.#userBytes, room) : 0;
    if (length === 0) {
      this.rejectAnswer(start, end, 'authentication');
      return;
    }
    this.flags[index]! |= AUTHORIZED;
    this.#stampAttempt(index, ATTEMPT.WITH_CREDENTIALS);
    this.client.begin(user);
    this.client.add(at, this.#splitAt);
    this.client.add(room, length);
    this.client.add(at + this.#splitAt, this.texts.lengths[0]! - this.#splitAt);
  }

  #stampAttempt(index: number, attempt: number): void {
    const user = this.#userOf[index]!;
    this.texts.stampCseq(index, FIRST_CSEQ + this.#cseqs[user]!++);
    this.bytes[this.texts.start(index, 0) + this.#viaAt + this.#letterAt] = attempt;
  }
}

function registerText(way: Way): string {
  return message([
    `REGISTER sip:${DOMAIN} SIP/2.0`,
    ownVia(way, 'r0'),
    `Max-Forwards: ${MAX_FORWARDS}`,
    `From: <sip:user${USER}@${DOMAIN}>;tag=a${INDEX}${GENERATION}`,
    `To: <sip:user${USER}@${DOMAIN}>`,
    `Call-ID: reg${USER}-5f3a9c01@127.0.0.1`,
    `CSeq: ${CSEQ} REGISTER`,
    `Contact: <sip:user${USER}@${contactPlace(way)}>`,
    `Expires: ${EXPIRES_SEC}`,
    'User-Agent: Strowger load engine',
    'Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE, UPDATE',
    'Supported: path',
  ]);
}
