/** Leaves a directory alone that does not answer: after some failures in a row nothing is tried for a while, then one trial
 *  at a time. Cold; time is given. */

export class CircuitBreaker {
  readonly #maxFailures: number;
  readonly #restMs: number;
  #failures = 0;
  /** Until when nothing is tried; −Infinity: closed. */
  #openUntilMs = Number.NEGATIVE_INFINITY;
  #isOnTrial = false;

  constructor(maxFailures: number, restMs: number) {
    this.#maxFailures = maxFailures;
    this.#restMs = restMs;
  }

  get isOpen(): boolean {
    return this.#openUntilMs !== Number.NEGATIVE_INFINITY;
  }

  /** Whether to try now. After true, `succeeded` or `failed` must follow. */
  mayTry(nowMs: number): boolean {
    if (!this.isOpen) return true;
    if (this.#isOnTrial || nowMs < this.#openUntilMs) return false;
    this.#isOnTrial = true;
    return true;
  }

  /** True if it was open. */
  succeeded(): boolean {
    const wasOpen = this.isOpen;
    this.#failures = 0;
    this.#isOnTrial = false;
    this.#openUntilMs = Number.NEGATIVE_INFINITY;
    return wasOpen;
  }

  /** True if it opened just now. */
  failed(nowMs: number): boolean {
    const wasOpen = this.isOpen;
    this.#failures++;
    this.#isOnTrial = false;
    if (this.#failures >= this.#maxFailures) this.#openUntilMs = nowMs + this.#restMs;
    return !wasOpen && this.isOpen;
  }
}
