/** How busy the threads are: shares of a core over the last seconds, by the kernel's accounts. Main thread, cold. */

import { cpuNsOfThread } from './thread-cpu.ts';

/** What a share is of: between one and two of these. */
const WINDOW_MS = 2000;

interface Sample {
  readonly ns: number;
  readonly atMs: number;
}

export class ThreadLoads {
  readonly #threadIds: () => readonly number[];
  readonly #cpuNs: (threadId: number) => number;
  readonly #nowMs: () => number;
  /** By the thread's id: the samples before last and last. */
  #samples = new Map<number, readonly Sample[]>();
  #timer: NodeJS.Timeout | null = null;

  /** `threadIds`: those that there are, as the kernel numbers them. */
  constructor(
    threadIds: () => readonly number[],
    cpuNs: (threadId: number) => number = cpuNsOfThread,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#threadIds = threadIds;
    this.#cpuNs = cpuNs;
    this.#nowMs = nowMs;
  }

  start(): void {
    this.sample();
    this.#timer = setInterval(() => this.sample(), WINDOW_MS).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Remembers what all threads have used by now. Threads that are gone are forgotten. */
  sample(): void {
    const before = this.#samples;
    this.#samples = new Map(this.#threadIds().map((id) => [id, [...(before.get(id) ?? []).slice(-1), this.#now(id)]]));
  }

  /** Share of a core, 0 to 1; null: nothing is known of that thread, or not for long enough. */
  loadOf(threadId: number): number | null {
    const [before] = this.#samples.get(threadId) ?? [];
    if (before === undefined) return null;
    const { ns, atMs } = this.#now(threadId);
    const share = (ns - before.ns) / 1e6 / (atMs - before.atMs);
    return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : null;
  }

  #now(threadId: number): Sample {
    return { ns: this.#cpuNs(threadId), atMs: this.#nowMs() };
  }
}
