/** With the kernel's autogroups, the priority of a process counts within its session only, and each SIPp is in one of its own. A soak
 *  that was begun with a priority above the usual, as by `nice -n -15`, gives it to their sessions. Cold. */

import { existsSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';

/** Throws if that is not allowed. */
export function raiseSessionsOf(pids: readonly number[]): void {
  const priority = getPriority();
  if (priority >= 0) return;
  for (const pid of pids)
    if (existsSync(`/proc/${pid}/autogroup`)) writeFileSync(`/proc/${pid}/autogroup`, String(priority));
}
