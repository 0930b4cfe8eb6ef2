/** The redirect server (RFC 3261 8.3): answers a request for a user with where he is, and forwards nothing. Runs on the shard.
 *  Hot: once per request, allocates nothing. The transaction that keeps the answer is the caller's. */

import { ascii, literal } from '../../base/ascii.ts';
import type { BindingView } from '../../location/bindings.ts';
import type { Arena } from '../../memory/arena.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { equalUris } from '../../sip/uri-equality.ts';
import type { LocatedUser } from '../located-user.ts';
import type { FixedContact } from '../proxy/users.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { putBinding, putFixedContact } from '../registrar/binding-list.ts';
import { REJECT, type Rejection } from '../rejection.ts';
import type { Responder } from '../responder.ts';

const MOVED_TEMPORARILY = literal('SIP/2.0 302 Moved Temporarily\r\n');
const CONTACT_BYTES = ascii('Contact: <').length;
/** Above any q. */
const ABOVE_ALL = 1001;

export class Redirect {
  readonly #arena: Arena;
  readonly #outbound: Outbound;
  readonly #responder: Responder;
  readonly #located: LocatedUser;
  /** The user is where the Request-URI says. */
  #isThere = false;

  constructor(arena: Arena, outbound: Outbound, responder: Responder, located: LocatedUser) {
    this.#arena = arena;
    this.#outbound = outbound;
    this.#responder = responder;
    this.#located = located;
  }

  /** Answers 302 with the bindings that `located` found and the fixed contacts, the highest q first. Else, if there is none to go to,
   *  nothing was sent, and what is returned is to be. What the request requires is for those who get it to know: "Redirect servers MUST
   *  ignore features that are not understood (including … any unknown option tags in Require …)" (8.3), which goes before 8.2.2.3. */
  redirect(request: ReceivedRequest, fixed: readonly FixedContact[]): Rejection | null {
    const outbound = this.#outbound;
    this.#isThere = false;
    this.#responder.begin(request, MOVED_TEMPORARILY);
    const from = outbound.cursor;
    for (let q = this.#nextQ(ABOVE_ALL, fixed); q >= 0; q = this.#nextQ(q, fixed)) this.#putAll(request, q, fixed);
    // "The server MAY … reject it with a 404."
    if (outbound.cursor === from) return this.#isThere ? REJECT.unknownUser : REJECT.noTarget;
    outbound.keep(from, outbound.cursor);
    this.#responder.end(request);
    return null;
  }

  /** The highest q below another; −1: there is none. */
  #nextQ(below: number, fixed: readonly FixedContact[]): number {
    let highest = -1;
    for (let i = 0; i < fixed.length; i++) {
      const { q } = fixed[i]!;
      if (q < below && q > highest) highest = q;
    }
    const view = this.#located.open();
    while (view.next()) if (view.q < below && view.q > highest) highest = view.q;
    return highest;
  }

  #putAll(request: ReceivedRequest, q: number, fixed: readonly FixedContact[]): void {
    const outbound = this.#outbound;
    for (let i = 0; i < fixed.length; i++) {
      if (fixed[i]!.q !== q) continue;
      const from = outbound.cursor;
      putFixedContact(outbound, fixed[i]!);
      this.#dropIfSame(request, from, from + CONTACT_BYTES + fixed[i]!.uri.length);
    }
    const view: BindingView = this.#located.open();
    const { nowMs } = this.#located;
    while (view.next()) {
      if (view.q !== q || view.remainingMs(nowMs) <= 0) continue;
      const from = outbound.cursor;
      putBinding(outbound, view, nowMs);
      this.#dropIfSame(request, from, from + CONTACT_BYTES + view.contactEnd - view.contactStart);
    }
  }

  /** "MUST NOT redirect a request to a URI equal to the one in the Request-URI". */
  #dropIfSame({ uri }: ReceivedRequest, line: number, uriEnd: number): void {
    const { bytes } = this.#arena;
    if (!equalUris(bytes, uri.start, uri.end, line + CONTACT_BYTES, uriEnd)) return;
    this.#isThere = true;
    this.#outbound.putWritten(line);
  }
}
