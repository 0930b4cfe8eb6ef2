/** Requests of shards that a connection was given, until it is known that the peer has them: if it turns out that they were lost, the
 *  shard that sent them hears of it (RFC 3261 18.4). Thread of the streams. Hot: once per request sent. */

import { EGRESS_FLAG, RETURNED } from '../../memory/layout.ts';

/** A request on its way, and what its shard is told if it gets no further. */
export interface SentRequest {
  readonly shard: number;
  /** Not 0: that is a message whose fate nobody asks for. */
  readonly tag: number;
  /** EGRESS.FLAGS_WORD of layout.ts. */
  readonly flags: number;
  /** Begins with the slot in which its shard received it, header and all; null: its shard has it still, or it is not kept any longer. */
  origin: Buffer | null;
}

/** Requests remembered that have left and that nothing came back after, and how many bytes of origins with them: that is for every
 *  connection on which nothing is ever answered. */
const MAX_UNHEARD = 64;
const MAX_UNHEARD_BYTES = 16 * 1024;
/** Requests remembered of a queue that is never empty, of which nobody knows how far it has left; of more the older half is forgotten,
 *  whose shards find out by their timers. */
const MAX_UNSENT = 8192;

export class SentRequests {
  /** Have not left this process. */
  readonly #unsent: SentRequest[] = [];
  /** Have left since the peer said anything. */
  readonly #unheard: SentRequest[] = [];
  #unheardBytes = 0;

  add(request: SentRequest): void {
    if (this.#unsent.length === MAX_UNSENT) this.#unsent.splice(0, MAX_UNSENT / 2);
    this.#unsent.push(request);
  }

  /** All have left. */
  noteSent(): void {
    if (this.#unsent.length === 0) return;
    if (this.#unheard.length < MAX_UNHEARD) for (const request of this.#unsent) this.#awaitAnswer(request);
    this.#unsent.length = 0;
  }

  #awaitAnswer(request: SentRequest): void {
    const bytes = request.origin === null ? 0 : request.origin.length;
    if (this.#unheardBytes + bytes > MAX_UNHEARD_BYTES) request.origin = null;
    else this.#unheardBytes += bytes;
    this.#unheard.push(request);
  }

  /** The peer has said something, and so has what it was sent. */
  noteHeard(): void {
    this.#unheard.length = 0;
    this.#unheardBytes = 0;
  }

  /** Tells of those that were lost: what has not left, and after a reset what nobody can know of. Forgets all. */
  end(wasReset: boolean, lost: (request: SentRequest) => void): void {
    const requests = wasReset ? [...this.#unsent, ...this.#unheard] : [...this.#unsent];
    this.#unsent.length = 0;
    this.noteHeard();
    for (const request of requests) lost(request);
  }
}

/** How a request comes back that left with `flags`: one of RETURNED. `fault` is what its slot said before, which is another of them if
 *  it is not the first time: who goes by UDP instead of TCP does so once. Cold. */
export function returnedAs(flags: number, fault: number): number {
  if ((flags & EGRESS_FLAG.ONLY_CONNECTION) !== 0) return RETURNED.FLOW;
  const isFirst = fault < RETURNED.MOVED;
  return isFirst && (flags & EGRESS_FLAG.MOVED) !== 0 ? RETURNED.MOVED : RETURNED.UNDELIVERED;
}
