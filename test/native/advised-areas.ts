/** What the kernel says of huge pages. */

import { existsSync, readFileSync } from 'node:fs';

/** Built into this kernel, whatever the switch says. */
export const hasHugePages = existsSync('/sys/kernel/mm/transparent_hugepage');

/** Lengths in bytes of the areas of this process that it was asked to back by huge pages: `hg` in VmFlags. */
export function advisedAreas(): number[] {
  const areas = readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const advised = areas.filter((area) => /^VmFlags:.* hg\b/m.test(area));
  return advised.map((area) => Number(/^Size:\s+(\d+) kB/m.exec(area)![1]) * 1024);
}
