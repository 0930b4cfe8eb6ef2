/** Logs: pino to stderr, JSON, or one readable line per event on a terminal. Any thread; never once per datagram. */

import { isatty } from 'node:tty';
import { type Logger, pino } from 'pino';
import type { Config } from '../config/schema.ts';
import { COUNTER_NAMES, type CounterName, counterHelp } from '../observe/counters.ts';
import type { DistinctErrors, NotedError } from '../observe/distinct-errors.ts';

const STDERR = 2;

/** pino's number of `warn`. */
const WARN = 40;

/** A logger for this thread; `bindings` (e.g. `{shard: 2}`) go into each of its lines, and warnings and worse into `errors`.
 *  Writes are synchronous, so that the last line before an exit is not lost. */
export function createLog(
  settings: Config['log'],
  bindings: Readonly<Record<string, unknown>> = {},
  errors: DistinctErrors | null = null,
): Logger {
  const stderr = pino.destination({ fd: STDERR, sync: true });
  // A reader of our stderr that went away is no reason to stop serving; there is nowhere left to say it.
  stderr.on('error', () => undefined);
  const isPretty = settings.format === 'pretty' || (settings.format === 'auto' && isatty(STDERR));
  const sink = isPretty ? { write: (line: string) => void stderr.write(prettyLine(line)) } : stderr;
  return pino(
    {
      level: settings.level,
      base: bindings,
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        logMethod(line, write, level) {
          if (level >= WARN) errors?.note(notedErrorOf(line));
          write.apply(this, line);
        },
      },
    },
    sink,
  );
}

/** What a line says went wrong: `log.warn({…}, 'text')` or `log.warn('text')`. A counter of trouble.ts is known by its name. */
function notedErrorOf(line: readonly unknown[]): NotedError {
  const fields = typeof line[0] === 'object' && line[0] !== null ? (line[0] as Record<string, unknown>) : {};
  const { counter, count, hint = null, err, reason } = fields;
  const said = String((typeof line[0] === 'string' ? line[0] : line[1]) ?? 'error');
  if (COUNTER_NAMES.includes(counter as CounterName)) {
    const name = counter as CounterName;
    return { kind: name, text: counterHelp(name), hint: said, count: Number(count) };
  }
  const cause = err instanceof Error ? err.message : reason;
  return {
    kind: said,
    text: cause === undefined ? said : `${said}: ${String(cause)}`,
    hint: hint === null ? null : String(hint),
  };
}

/** One JSON line as `12:00:00.000 WARN  message  key=value …`, an error's stack below it. */
export function prettyLine(json: string): string {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(json);
  } catch {
    return json; // not ours: passed on as it came
  }
  const { ts, level, msg, err, ...rest } = event;
  const time = typeof ts === 'string' ? ts.slice(11, 23) : '';
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${showField(value)}`);
  const error = err as { message?: string; stack?: string } | undefined;
  const stack =
    error === undefined ? '' : `\n  ${(error.stack ?? error.message ?? String(err)).replaceAll('\n', '\n  ')}`;
  const gap = fields.length > 0 && msg !== undefined ? ' ' : '';
  return `${time} ${String(level).toUpperCase().padEnd(5)} ${printable(String(msg ?? ''))}${gap}${fields.join('')}${stack}\n`;
}

function showField(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  return /^[\w.:@/+-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Text from the network may be quoted in a message; it must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
