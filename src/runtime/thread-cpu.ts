/** CPU time of this process's threads, as the kernel accounts for it: read from /proc by the main thread, so that the threads
 *  themselves are not asked. Cold. */

import { readFileSync, readlinkSync } from 'node:fs';

/** The kernel's id of the calling thread; 0 where /proc does not tell. */
export function kernelThreadId(): number {
  try {
    // PID/task/TID
    return Number(readlinkSync('/proc/thread-self').split('/')[2] ?? 0);
  } catch {
    return 0; // no /proc: there are no figures then
  }
}

/** Nanoseconds that a thread has run; NaN: there is no such thread, or the kernel does not say. */
export function cpuNsOfThread(threadId: number): number {
  if (threadId === 0) return Number.NaN;
  try {
    return Number(readFileSync(`/proc/self/task/${threadId}/schedstat`, 'latin1').split(' ')[0]);
  } catch {
    return Number.NaN; // it has ended
  }
}
