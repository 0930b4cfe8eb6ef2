/** Logs: pino to stderr, JSON, or one readable line per event on a terminal. Main thread, which shards send their lines to
 *  (shard-log.ts); never once per datagram. Writing never waits (log-sink.ts). */

import { isatty } from 'node:tty';
import { type LogFn, type Logger, pino } from 'pino';
import type { Config } from '../config/schema.ts';
import { COUNTER_NAMES, type CounterName, counterHelp } from '../observe/counters.ts';
import type { DistinctErrors, NotedError } from '../observe/distinct-errors.ts';
import { Repetitions } from '../observe/repetitions.ts';
import { LOG_MODULES, type LogModule } from './log-modules.ts';
import { LogSink } from './log-sink.ts';

const STDERR = 2;
/** pino's number of `warn`. */
const WARN = 40;
const REPETITION_CHECK_MS = 10_000;

export type LogLevel = Config['log']['level'];

export interface LogLevels {
  readonly level: LogLevel;
  /** Those with another level than that. */
  readonly modules: { readonly [name in LogModule]?: LogLevel };
}

/** The log of the process. A child with the binding `module` (one of LOG_MODULES) is of that part; all else is of `server`. */
export interface ServerLog {
  readonly log: Logger;
  readonly levels: LogLevels;
  /** `module` null: of all that have no level of their own; null for a level: it has none any more. To set the level of `log` itself
   *  is the same as to set that of all. */
  setLevel(level: LogLevel | null, module: LogModule | null): void;
  /** Called with them now, and when they have changed. */
  whenLevels(use: (levels: LogLevels) => void): void;
  /** Lines that could not be written. */
  readonly lostLines: number;
  /** Past the logger, as it is: for what an operator asked for on the log's own way. */
  writeText(text: string): void;
  /** Says what was only counted, and writes what waits. */
  end(): void;
}

interface Line {
  readonly logger: Logger;
  readonly write: LogFn;
  readonly args: readonly unknown[];
}

type Sink = Pick<LogSink, 'write' | 'end' | 'lostLines'>;

/** Warnings and worse go into `errors`, too. What comes again within a minute is counted. */
export function openServerLog(
  settings: Pick<Config['log'], 'level' | 'format'> & { readonly bufferKiB?: number },
  errors: DistinctErrors | null = null,
  openSink: (limitBytes: number, sayLost: (lines: number) => string) => Sink = (limitBytes, sayLost) =>
    new LogSink(STDERR, { limitBytes, sayLost }),
  nowMs: () => number = () => performance.now(),
): ServerLog {
  const isPretty = settings.format === 'pretty' || (settings.format === 'auto' && isatty(STDERR));
  const show = (line: string) => (isPretty ? prettyLine(line) : line);
  const sayLost = (lines: number) => show(`${JSON.stringify(lostLine(lines))}\n`);
  const sink = openSink((settings.bufferKiB ?? 1024) * 1024, sayLost);
  const repetitions = new Repetitions<Line>(nowMs);
  const own = new Map<LogModule, LogLevel>();
  const loggers: Logger[] = [];
  const sayAgain = ({ line: { logger, write, args }, count }: { readonly line: Line; readonly count: number }) =>
    write.apply(logger, [{ ...fieldsOf(args), count }, textOf(args)]);
  const levelOf = (logger: Logger) => own.get(moduleOf(logger)) ?? level;
  let { level } = settings;
  const log = pino(
    {
      level,
      base: {},
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      onChild: (child) => {
        loggers.push(child as Logger);
        child.level = levelOf(child as Logger);
      },
      hooks: {
        logMethod(args, write, number) {
          if (number < WARN) return write.apply(this, args);
          errors?.note(notedErrorOf(args));
          const line: Line = { logger: this as Logger, write, args };
          // What counts by itself is said as it comes.
          const isCounted = 'count' in fieldsOf(args);
          if (isCounted || repetitions.isFirst(keyOf(this as Logger, args), line, sayAgain)) write.apply(this, args);
        },
      },
    },
    { write: (line: string) => sink.write(show(line)) },
  );
  loggers.push(log);
  const levels = (): LogLevels => ({ level, modules: Object.fromEntries(own) });
  const users: ((levels: LogLevels) => void)[] = [];
  let isApplying = false;
  const apply = () => {
    isApplying = true;
    for (const logger of loggers) logger.level = levelOf(logger);
    isApplying = false;
    for (const use of users) use(levels());
  };
  log.on('level-change', (to, _toNumber, _from, _fromNumber, logger) => {
    // Children say theirs here, too.
    if (logger !== log || isApplying || to === level) return;
    level = to as LogLevel;
    apply();
  });
  const timer = setInterval(() => repetitions.due().forEach(sayAgain), REPETITION_CHECK_MS);
  timer.unref();
  return {
    log,
    get levels() {
      return levels();
    },
    whenLevels(use) {
      users.push(use);
      use(levels());
    },
    setLevel(to, module) {
      if (module === null) level = to ?? level;
      else if (to === null) own.delete(module);
      else own.set(module, to);
      apply();
    },
    get lostLines() {
      return sink.lostLines;
    },
    writeText: (text) => sink.write(text),
    end: () => {
      clearInterval(timer);
      sink.end();
    },
  };
}

function moduleOf(logger: Logger): LogModule {
  const { module } = logger.bindings();
  return LOG_MODULES.includes(module) ? module : 'server';
}

function fieldsOf(args: readonly unknown[]): Readonly<Record<string, unknown>> {
  return typeof args[0] === 'object' && args[0] !== null ? (args[0] as Record<string, unknown>) : {};
}

function textOf(args: readonly unknown[]): string {
  return String((typeof args[0] === 'string' ? args[0] : args[1]) ?? 'error');
}

/** What makes an error distinct: its text, where it happened and what it says itself. A file is what nobody wants to miss. */
function keyOf(logger: Logger, args: readonly unknown[]): string {
  const { err, reason, code, shard, vector, file, path, method } = fieldsOf(args);
  const cause = err instanceof Error ? err.message : reason;
  return [moduleOf(logger), textOf(args), cause, code, shard, vector, file, path, method].map(String).join('|');
}

function lostLine(count: number): object {
  return {
    level: 'warn',
    ts: new Date().toISOString(),
    count,
    msg: 'log lines were lost because nobody took them',
  };
}

/** What a line says went wrong: `log.warn({…}, 'text')` or `log.warn('text')`. A counter of trouble.ts is known by its name. */
function notedErrorOf(args: readonly unknown[]): NotedError {
  const { counter, count, hint = null, err, reason } = fieldsOf(args);
  const said = textOf(args);
  if (COUNTER_NAMES.includes(counter as CounterName)) {
    const name = counter as CounterName;
    return { kind: name, text: counterHelp(name), hint: said, count: Number(count) };
  }
  const cause = err instanceof Error ? err.message : reason;
  return {
    kind: said,
    text: cause === undefined ? said : `${said}: ${String(cause)}`,
    hint: hint === null ? null : String(hint),
    count: typeof count === 'number' ? count : 1,
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
