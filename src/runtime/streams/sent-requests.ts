/** Requests of shards that a connection was given, until it is known that the peer has them: if it turns out that they were lost, the
 *  shard that sent them hears of it (RFC 3261 18.4). Thread of the streams. Hot: once per request sent. */

/** Words of one: shard, tag, flags. */
const WORDS = 3;
/** Requests remembered that have left and that nothing came back after. */
const MAX_UNHEARD = 64;
/** Requests remembered of a queue that is never empty, of which nobody knows how far it has left; of more the older half is forgotten,
 *  whose shards find out by their timers. */
const MAX_UNSENT = 8192;

export class SentRequests {
  /** Have not left this process. */
  readonly #unsent: number[] = [];
  /** Have left since the peer said anything. */
  readonly #unheard: number[] = [];

  add(shard: number, tag: number, flags: number): void {
    if (this.#unsent.length === MAX_UNSENT * WORDS) this.#unsent.splice(0, (MAX_UNSENT / 2) * WORDS);
    this.#unsent.push(shard, tag, flags);
  }

  /** All have left. */
  noteSent(): void {
    if (this.#unsent.length === 0) return;
    if (this.#unheard.length < MAX_UNHEARD * WORDS) this.#unheard.push(...this.#unsent);
    this.#unsent.length = 0;
  }

  /** The peer has said something, and so has what it was sent. */
  noteHeard(): void {
    this.#unheard.length = 0;
  }

  /** Tells of those that were lost: what has not left, and after a reset what nobody can know of. Forgets all. */
  end(wasReset: boolean, lost: (shard: number, tag: number, flags: number) => void): void {
    const requests = wasReset ? [...this.#unsent, ...this.#unheard] : this.#unsent;
    for (let i = 0; i < requests.length; i += WORDS) lost(requests[i]!, requests[i + 1]!, requests[i + 2]!);
    this.#unsent.length = this.#unheard.length = 0;
  }
}
