/** What a control method is: a row with its help, its parameters and what runs. The command line's help, docs/control.md and
 *  `rpc.discover` are written from the rows, so that none of them can say something else. Main thread, cold.
 *
 *  A new method is a row in a table of a file of this folder, and that table's name in methods.ts:
 *  ```ts
 *  export const banMethods = {
 *    'ban.list': method({
 *      help: 'List the sources that are banned',
 *      params: z.strictObject({ limit: z.int().min(1).max(1000).default(250).describe('so many at the most') }),
 *      result: '`bans`: a list of `source`, `reason` …',
 *      run: ({ bans }, { limit }) => bans.list(limit),
 *    }),
 *  };
 *  ``` */

import type { z } from 'zod';
import type { DistinctError } from '../../observe/distinct-errors.ts';
import type { LogLevel, LogLevels } from '../log.ts';
import type { LogModule } from '../log-modules.ts';
import { INVALID_PARAMS, RequestError } from '../request-error.ts';
import type { RunningServer } from '../running-server.ts';

/** What belongs to the process and not to the server in it. */
export interface ProcessOperations {
  readonly logs: {
    /** What the log warned of lately, the latest first. */
    recentErrors(limit: number): readonly DistinctError[];
    levels(): LogLevels;
    /** `level` null: that of a module is that of all again. `module` null: of all that have none of their own. */
    setLevel(level: LogLevel | null, module: LogModule | null): LogLevels;
  };
  /** Starts another process, which takes over. Rejects with a RequestError if it does not come to that. */
  restart(): Promise<{ readonly pid: number; readonly predecessor: number }>;
}

export interface MethodRow<Params extends z.ZodObject> {
  /** Imperative, a sentence without its full stop. */
  readonly help: string;
  /** Strict, and each with `describe`. */
  readonly params: Params;
  /** What comes back, in words, Markdown. */
  readonly result: string;
  /** It changes something: what only reads is told apart by this. */
  readonly isChange?: boolean;
  /** The result, or a promise of it, as JSON can carry it. Throws a RequestError for what the client is to be told. */
  readonly run: (server: RunningServer, params: z.output<Params>, process: ProcessOperations) => unknown;
}

/** A row whose parameters are checked within. */
export interface ControlMethod {
  readonly help: string;
  readonly params: z.ZodObject;
  readonly result: string;
  readonly isChange: boolean;
  /** Throws a RequestError if `params` are not what the row says. */
  readonly call: (server: RunningServer, params: unknown, process: ProcessOperations) => unknown;
}

export type MethodTable = Readonly<Record<string, ControlMethod>>;

export function method<Params extends z.ZodObject>(row: MethodRow<Params>): ControlMethod {
  const { help, params, result, isChange = false, run } = row;
  return {
    help,
    params,
    result,
    isChange,
    call: (server, given, process) => run(server, readParams(params, given), process),
  };
}

function readParams<Params extends z.ZodObject>(schema: Params, given: unknown): z.output<Params> {
  if (Array.isArray(given))
    throw new RequestError(INVALID_PARAMS, 'params go by name: expected object, received array');
  const { success, data, error } = schema.safeParse(given ?? {});
  if (success) return data;
  const { path, message } = error.issues[0]!;
  throw new RequestError(INVALID_PARAMS, path.length === 0 ? message : `${path.join('.')}: ${message}`);
}
