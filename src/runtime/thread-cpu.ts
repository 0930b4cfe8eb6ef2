/** CPU time of this process's threads, as the kernel accounts for it: read from /proc by the main thread, so that the threads
 *  themselves are not asked. Cold. */

import { readFileSync, readlinkSync } from 'node:fs';

export interface ThreadCpu {
  /** Nanoseconds on a CPU since the thread began. */
  readonly ranNs: number;
  /** Nanoseconds in which it could have run and waited for a CPU. */
  readonly waitedNs: number;
}

/** The kernel's id of the calling thread; 0 where /proc does not tell. */
export function kernelThreadId(): number {
  try {
    // PID/task/TID
    return Number(readlinkSync('/proc/thread-self').split('/')[2] ?? 0);
  } catch {
    return 0; // no /proc: there are no figures then
  }
}

/** null: there is no such thread, or the kernel does not say. */
export function readThreadCpu(threadId: number): ThreadCpu | null {
  if (threadId === 0) return null;
  try {
    return parseSchedstat(readFileSync(`/proc/self/task/${threadId}/schedstat`, 'latin1'));
  } catch {
    return null; // it has ended
  }
}

/** `RAN WAITED SLICES`, as /proc/PID/task/TID/schedstat has them; null for anything else. */
export function parseSchedstat(text: string): ThreadCpu | null {
  const fields = /^(\d+) (\d+) \d+\s*$/.exec(text);
  return fields === null ? null : { ranNs: Number(fields[1]), waitedNs: Number(fields[2]) };
}

/** Nanoseconds that a thread has run; NaN: there is no such thread, or the kernel does not say. */
export function cpuNsOfThread(threadId: number): number {
  return readThreadCpu(threadId)?.ranNs ?? Number.NaN;
}

/** What a thread does, as in proc_pid_stat(5): `R` runs or waits for a CPU, `S` sleeps. null: there is no such thread, or the kernel
 *  does not say. */
export function readThreadState(threadId: number): string | null {
  if (threadId === 0) return null;
  try {
    // The name in parentheses may have any character.
    return /\) (\w)[^)]*$/.exec(readFileSync(`/proc/self/task/${threadId}/stat`, 'latin1'))?.[1] ?? null;
  } catch {
    return null; // it has ended
  }
}
