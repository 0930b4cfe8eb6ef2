/** The stateless proxy (RFC 3261 16.11): what routing.ts decides follows from the message and the configuration alone, and so
 *  does the branch. A retransmission, the CANCEL and the ACK of an INVITE go where the INVITE went; responses find their way
 *  by the next Via (response-forwarding.ts). After a reload, `snapshots.ts` sees to it that they still do. Runs on the shard. Hot,
 *  allocates nothing. */

import { COUNTER, type Counters } from '../../observe/counters.ts';
import { METHOD } from '../../sip/methods.ts';
import type { Authentication } from '../authentication.ts';
import type { Destination } from '../destination.ts';
import type { ReceivedRequest } from '../received-request.ts';
import type { Redirect } from '../redirect/redirect.ts';
import { REJECT, type Rejection } from '../rejection.ts';
import type { Responder } from '../responder.ts';
import { type RequestForwarding, WHOLE_BREADTH } from './request-forwarding.ts';
import { OUTCOME, type RequestRouting } from './routing.ts';
import { SERVED } from './served.ts';
import type { Users } from './users.ts';

export interface StatelessProxyParts {
  readonly routing: RequestRouting;
  readonly destination: Destination;
  readonly forwarding: RequestForwarding;
  readonly responder: Responder;
  readonly redirect: Redirect;
  readonly authentication: Authentication | null;
  readonly users: Users;
  readonly counters: Counters;
}

export class StatelessProxy {
  readonly #parts: StatelessProxyParts;
  /** Why the last request was rejected. */
  rejection: Rejection = REJECT.requestLine;

  constructor(parts: StatelessProxyParts) {
    this.#parts = parts;
  }

  /** Takes a request whose top Via has been read, and whose transaction key. `error` is what `parseMessage` found. Returns one of
   *  SERVED. */
  receive(request: ReceivedRequest, error: number): number {
    const { routing, forwarding, destination, responder, authentication, counters } = this.#parts;
    const { method } = request.index;
    let outcome = routing.process(request, error);
    // A fork needs transactions. Departs from RFC 3261 16.11, by which the choice may not vary in time: a registration that
    // changes while a call is set up takes the retransmissions with it.
    if (outcome === OUTCOME.FORKED) outcome = routing.followBest(request);
    if (outcome === OUTCOME.FORWARDED) {
      // 8.2.7: an ACK to a final response of our own.
      if (method === METHOD.ACK && responder.isOwnTag(request)) return SERVED.DONE;
      const { high, low } = request.transaction;
      // Comes back with the request if the kernel refuses it, or the thread of the streams.
      const tag = request.slot + 1;
      forwarding.forward(request, destination, routing.socket, routing.strictUri, high, low, WHOLE_BREADTH, tag, 0);
      counters.count(COUNTER.requests_forwarded_total);
      return SERVED.DONE;
    }
    if (outcome === OUTCOME.FOR_OURSELVES) return SERVED.FOR_OURSELVES;
    if (outcome === OUTCOME.PENDING) return SERVED.PENDING;
    if (outcome === OUTCOME.REGISTER) return SERVED.REGISTER;
    if (outcome === OUTCOME.REDIRECTED) return this.#redirect(request);
    if (outcome === OUTCOME.ASKING) return SERVED.ASKING;
    if (outcome === OUTCOME.CHALLENGED) {
      authentication!.challenge(request);
      return SERVED.DONE;
    }
    this.rejection = routing.rejection;
    counters.count(this.rejection.counter);
    return SERVED.REJECTED;
  }

  /** 8.3, without a transaction: the same answer to the same request. An ACK to it ends here, a CANCEL comes too late and is
   *  answered 200.
   *
   *  Departs from RFC 3261 8.3: "The redirect server maintains transaction state for an entire SIP transaction." Here it does not, as
   *  the mode says: the answer is not sent again until the ACK comes (17.2.1), but whenever the request is. */
  #redirect(request: ReceivedRequest): number {
    const { routing, redirect, users, responder, counters } = this.#parts;
    const { method } = request.index;
    if (method === METHOD.ACK) return SERVED.DONE;
    if (method === METHOD.CANCEL) {
      responder.accept(request);
    } else {
      const rejection = redirect.redirect(request, users.contactsOf(routing.user));
      if (rejection !== null) {
        this.rejection = rejection;
        counters.count(rejection.counter);
        return SERVED.REJECTED;
      }
    }
    counters.count(COUNTER.redirected_total);
    return SERVED.DONE;
  }
}
