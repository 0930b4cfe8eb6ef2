/** Which shards hang: one that has datagrams in hand or waiting and finishes no duty cycle, although it could. A thread that gets no CPU
 *  (a machine with more to do than it can, a process that was stopped, a cgroup at its limit) is behind, and no better off for being
 *  ended. So what counts is the CPU time that a thread has used without getting on, or, of one that does not want any (it waits for
 *  something that does not come), time as it passes. Main thread, cold. */

import { cpuNsOfThread, readThreadState } from './thread-cpu.ts';

export const HANG_CHECK_MS = 1000;
/** Three checks of a thread that has a CPU to itself. */
const HANG_MS = 2500;
/** A check that comes later than this after the last: this thread got no CPU itself, and knows nothing of others. */
const LATE_MS = 1.5 * HANG_CHECK_MS;

export interface ShardProgress {
  /** Duty cycles so far. */
  readonly cycles: number;
  /** It runs, and has datagrams in hand or waiting. */
  readonly hasWork: boolean;
  /** As the kernel numbers it. */
  readonly threadId: number;
}

/** What the kernel says of a thread. */
export interface ThreadFacts {
  /** NaN: unknown. */
  readonly cpuNs: number;
  /** As in proc_pid_stat(5); null: unknown. */
  readonly state: string | null;
}

interface Seen extends ShardProgress {
  readonly cpuNs: number;
  /** Without getting on. */
  readonly stuckMs: number;
}

export class HangDetector {
  readonly #factsOf: (threadId: number) => ThreadFacts;
  readonly #nowMs: () => number;
  readonly #seen: (Seen | undefined)[] = [];
  #checkedMs: number;

  constructor(factsOf: (threadId: number) => ThreadFacts = threadFacts, nowMs: () => number = () => performance.now()) {
    this.#factsOf = factsOf;
    this.#nowMs = nowMs;
    this.#checkedMs = nowMs();
  }

  /** To be called every HANG_CHECK_MS. The numbers of those that hang, each of them once. */
  check(shards: readonly ShardProgress[]): number[] {
    const nowMs = this.#nowMs();
    const passedMs = nowMs - this.#checkedMs;
    this.#checkedMs = nowMs;
    return [...shards.keys()].filter((shard) => {
      const progress = shards[shard]!;
      const last = this.#seen[shard];
      if (!progress.hasWork) {
        this.#seen[shard] = undefined;
        return false;
      }
      const facts = this.#factsOf(progress.threadId);
      const isSame = last !== undefined && last.threadId === progress.threadId && last.cycles === progress.cycles;
      const stuckMs = isSame ? last.stuckMs + wastedMs(last.cpuNs, facts, passedMs) : 0;
      const hangs = stuckMs >= HANG_MS;
      this.#seen[shard] = { ...progress, cpuNs: facts.cpuNs, stuckMs: hangs ? 0 : stuckMs };
      return hangs;
    });
  }
}

/** How much of what has passed a thread could have got on in. */
function wastedMs(cpuNsBefore: number, { cpuNs, state }: ThreadFacts, passedMs: number): number {
  if (passedMs > LATE_MS) return 0;
  switch (state) {
    case 'R': {
      const ranMs = (cpuNs - cpuNsBefore) / 1e6;
      return Number.isNaN(ranMs) ? passedMs : Math.min(ranMs, passedMs);
    }
    // Stopped, by a signal or a debugger.
    case 'T':
    case 't':
      return 0;
    default:
      return passedMs;
  }
}

function threadFacts(threadId: number): ThreadFacts {
  return { cpuNs: cpuNsOfThread(threadId), state: readThreadState(threadId) };
}
