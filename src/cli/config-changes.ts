/** Changes of a configuration, as people read them: `+` added, `-` removed, `~` changed. */

import type { ConfigChange, ConfigChanges } from '../config/changes.ts';
import { printable } from './table.ts';

/** What is different, first what a reload takes over, then what it cannot. */
export function printChanges(changes: ConfigChanges): string {
  const lines = changeLines(changes);
  return lines.length === 0 ? 'nothing is different' : lines.join('\n');
}

export function changeLines({ changes, omitted }: ConfigChanges): string[] {
  const live = changes.filter((change) => change.reload === 'live');
  const waiting = changes.filter((change) => change.reload === 'restart');
  return [
    ...live.map((change) => sayChange(change)),
    ...(waiting.length === 0
      ? []
      : [waiting.length === 1 ? '1 setting needs a new start:' : `${waiting.length} settings need a new start:`]),
    ...waiting.map((change) => `  ${sayChange(change)}`),
    ...(omitted === 0 ? [] : [`and ${omitted} more`]),
  ];
}

function sayChange({ path, before, after }: ConfigChange): string {
  if (before === null) return printable(`+ ${path}: ${after}`);
  return printable(after === null ? `- ${path}: ${before}` : `~ ${path}: ${before} → ${after}`);
}
