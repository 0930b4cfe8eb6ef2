/** The latest calls of one ring, put together from their messages, the last ones first. Cold. */

import { RECORD } from '../../observe/trace/trace-layout.ts';
import type { TracedMessage } from './traced-message.ts';

export interface TracedCall {
  readonly callId: string;
  /** Of what it began with. */
  readonly method: string | null;
  /** The last answer to that which was sent, or received if none was. */
  readonly status: number | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly messages: number;
  /** In the order in which they first had a part in it. */
  readonly peers: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly isSent: boolean;
}

interface CallSoFar {
  first: TracedMessage;
  readonly last: TracedMessage;
  messages: number;
  peers: string[];
  /** By the method that they answer: what ends a call is answered, too. */
  readonly answers: Map<string | null, Answer>;
}

export class LatestCalls {
  readonly #limit: number;
  readonly #hashes = new Set<number>();
  readonly #calls = new Map<string, CallSoFar>();

  /** `limit`: calls at the most; those come first whose last message does. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a message with this header, of RECORD words, would have a part in the result. */
  hasPlaceFor(header: Int32Array): boolean {
    return this.#calls.size < this.#limit || this.#hashes.has(header[RECORD.CALL_ID_WORD]!);
  }

  /** The message before those that were added. Without a Call-ID it belongs to no call. */
  add(header: Int32Array, message: TracedMessage): void {
    const { callId, peer, status, method, direction } = message;
    if (callId === null) return;
    let call = this.#calls.get(callId);
    if (call === undefined) {
      // A Call-ID of the same hash as another one's.
      if (this.#calls.size === this.#limit) return;
      call = { first: message, last: message, messages: 0, peers: [], answers: new Map() };
      this.#calls.set(callId, call);
      this.#hashes.add(header[RECORD.CALL_ID_WORD]!);
    }
    call.first = message;
    call.messages++;
    call.peers = [peer, ...call.peers.filter((other) => other !== peer)];
    if (status === null) return;
    const isSent = direction === 'out';
    const answer = call.answers.get(method);
    if (answer === undefined || (isSent && !answer.isSent)) call.answers.set(method, { status, isSent });
  }

  calls(): TracedCall[] {
    return [...this.#calls].map(([callId, { first, last, messages, peers, answers }]) => ({
      callId,
      method: first.method,
      status: answers.get(first.method)?.status ?? null,
      from: first.from,
      to: first.to,
      firstUs: first.timeUs,
      lastUs: last.timeUs,
      messages,
      peers,
    }));
  }
}
