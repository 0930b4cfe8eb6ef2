/** A log that keeps its lines. */

import { type Logger, pino } from 'pino';

export interface QuietLog {
  readonly log: Logger;
  readonly lines: { readonly level: number; readonly msg: string; readonly [key: string]: unknown }[];
}

export function quietLog(): QuietLog {
  const lines: QuietLog['lines'] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { log, lines };
}
