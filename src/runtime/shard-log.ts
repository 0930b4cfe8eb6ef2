/** Log lines of shards: sent to the main thread over the port between them, since writing could keep a shard from its calls. While
 *  too many wait to be taken further ones are dropped, and counted. Cold. */

import type { MessagePort } from 'node:worker_threads';
import type { Logger } from 'pino';
import { COUNTER, type Counters } from '../observe/counters.ts';
import type { LogModule } from './log-modules.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';
export type LineFields = Readonly<Record<string, string | number | null | undefined>>;

/** To the main thread. */
interface LineMessage {
  readonly line: {
    readonly level: Level;
    readonly module: LogModule;
    readonly fields: LineFields;
    readonly text: string;
  };
}

/** From it. */
interface LinesTaken {
  readonly linesTaken: number;
}

const MAX_WAITING = 256;

/** On the shard. */
export class ShardLog {
  readonly #port: MessagePort;
  readonly #counters: Counters;
  #waiting = 0;

  constructor(port: MessagePort, counters: Counters) {
    this.#port = port;
    this.#counters = counters;
  }

  write(level: Level, module: LogModule, fields: LineFields, text: string): void {
    if (this.#waiting >= MAX_WAITING) {
      this.#counters.count(COUNTER.log_lines_lost_total);
      return;
    }
    this.#waiting++;
    const message: LineMessage = { line: { level, module, fields, text } };
    this.#port.postMessage(message);
  }

  /** Of a message from the main thread, which may be something else. */
  hear(message: unknown): void {
    if (typeof message === 'object' && message !== null && 'linesTaken' in message) {
      this.#waiting -= (message as LinesTaken).linesTaken;
    }
  }
}

/** On the main thread: writes what shards say into the log. */
export class ShardLines {
  readonly #log: Logger;
  readonly #loggers = new Map<string, Logger>();

  constructor(log: Logger) {
    this.#log = log;
  }

  listen(shard: number, port: MessagePort): void {
    port.on('message', (message: unknown) => {
      if (typeof message !== 'object' || message === null || !('line' in message)) return;
      const { level, module, fields, text } = (message as LineMessage).line;
      this.#loggerOf(shard, module)[level](fields, text);
      const taken: LinesTaken = { linesTaken: 1 };
      port.postMessage(taken);
    });
    // It must not keep the process.
    port.unref();
  }

  #loggerOf(shard: number, module: LogModule): Logger {
    const key = `${module}/${shard}`;
    const logger = this.#loggers.get(key) ?? this.#log.child({ module, shard });
    this.#loggers.set(key, logger);
    return logger;
  }
}
