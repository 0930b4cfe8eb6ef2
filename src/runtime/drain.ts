/** The drain: the orderly end of a server that is in use. It takes nothing new, waits until what runs is over, and ends; a deadline
 *  bounds that, and until then it can be called off, unless a signal or a takeover began it. Main thread, cold. */

import type { Logger } from 'pino';

/** What is not over yet, of all shards. */
export interface Census {
  /** Transactions that wait for a final response or its ACK, answers that wait for the store, messages that wait for a look-up. */
  readonly pending: number;
  /** Transactions in all: also those that are over and absorb what is sent again. */
  readonly held: number;
}

export interface DrainOrder {
  /** From now on. */
  readonly deadlineMs: number;
  /** How long nothing has to be pending: for what is sent again. Infinity: until nothing is held. */
  readonly lingerMs: number;
  /** It cannot be called off, nor can what is ordered after it. */
  readonly isFinal?: boolean;
}

/** What became of calling a drain off. FINAL: it goes on, whatever anybody wants. */
export type DrainCancellation = 'cancelled' | 'not draining' | 'final';

export interface DrainStatus {
  readonly isDraining: boolean;
  /** As of the last look. */
  readonly pending: number;
  readonly held: number;
  /** Until it ends in any case, rounded up. */
  readonly deadlineInSec: number;
}

export interface DrainPorts {
  /** Shards turn new requests away from now on, or no longer. */
  readonly setDraining: (isDraining: boolean) => void;
  /** Asks the shards. */
  readonly census: () => Promise<Census>;
  /** Once, when nothing is left to wait for. */
  readonly onOver: () => void;
  readonly log: Logger;
}

const LOOK_MS = 100;

export class Drain {
  readonly #ports: DrainPorts;
  #order: DrainOrder | null = null;
  #endsAtMs = 0;
  /** Since when nothing has been pending; Infinity: something is. */
  #idleSinceMs = Number.POSITIVE_INFINITY;
  #last: Census = { pending: 0, held: 0 };
  #isTold = false;
  #timer: NodeJS.Timeout | undefined;
  #isFinal = false;
  #isOver = false;

  constructor(ports: DrainPorts) {
    this.#ports = ports;
  }

  get isDraining(): boolean {
    return this.#order !== null;
  }

  /** Begins, or goes on with another deadline. */
  begin(order: DrainOrder): void {
    const isFirst = this.#order === null;
    this.#order = order;
    this.#isFinal ||= order.isFinal === true;
    this.#isTold = false;
    this.#endsAtMs = performance.now() + order.deadlineMs;
    if (isFirst) {
      this.#idleSinceMs = Number.POSITIVE_INFINITY;
      this.#ports.setDraining(true);
    }
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#look();
  }

  cancel(): DrainCancellation {
    if (this.#order === null || this.#isOver) return 'not draining';
    if (this.#isFinal) return 'final';
    this.#order = null;
    clearTimeout(this.#timer);
    this.#ports.setDraining(false);
    return 'cancelled';
  }

  /** After another end of the server. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  status(): DrainStatus {
    const isDraining = this.isDraining;
    const leftMs = isDraining ? Math.max(0, this.#endsAtMs - performance.now()) : 0;
    return { isDraining, ...this.#last, deadlineInSec: Math.ceil(leftMs / 1000) };
  }

  #look(): void {
    const order = this.#order;
    const { census, log } = this.#ports;
    census().then(
      (found) => this.#judge(order, found),
      (error: unknown) => {
        log.error({ err: error }, 'drain: the shards could not be asked');
        this.#judge(order, { pending: 1, held: 1 });
      },
    );
  }

  #judge(order: DrainOrder | null, found: Census): void {
    // Called off, begun anew or over since the question.
    if (order === null || this.#order !== order || this.#isOver) return;
    this.#last = found;
    const nowMs = performance.now();
    if (found.pending > 0) this.#idleSinceMs = Number.POSITIVE_INFINITY;
    else this.#idleSinceMs = Math.min(this.#idleSinceMs, nowMs);
    const isIdle = nowMs - this.#idleSinceMs >= order.lingerMs;
    const isLate = nowMs >= this.#endsAtMs;
    if (found.held > 0 && !isIdle && !isLate) {
      if (!this.#isTold) this.#ports.log.info({ ...found, deadlineMs: order.deadlineMs }, 'draining');
      this.#isTold = true;
      this.#timer = setTimeout(() => this.#look(), Math.min(LOOK_MS, this.#endsAtMs - nowMs));
      return;
    }
    this.#isOver = true;
    const { pending } = found;
    if (pending > 0) this.#ports.log.warn({ pending }, 'drain: the deadline has come before the end of these');
    else if (this.#isTold) this.#ports.log.info('drained');
    this.#ports.onOver();
  }
}
