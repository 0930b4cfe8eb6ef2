/** The control methods about the server as a whole. Main thread, cold. */

import { z } from 'zod';
import { LOG_MODULES } from '../log-modules.ts';
import { REFUSED, RequestError } from '../request-error.ts';
import { method } from './method.ts';

const MAX_ERRORS = 200;
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export const serverMethods = {
  status: method({
    help: 'Say how the server is: whether it is ready, since when it runs, its shards',
    params: z.strictObject({}),
    result:
      '`isReady`, `pid`, `uptimeSec`, `mode`, `listening`, `addressesOfRecord`, `locationStore`, `drain` (as the method of that name returns it), `configuration` (as `config.show` returns it, without the settings), `hasPredecessor` (the server before this one still finishes what it has begun), and `shards`: each with `shard`, `isRunning`, `starts` and `crashes`',
    run: (server) => server.status(),
  }),
  stats: method({
    help: 'Give all counters, summed over the threads',
    params: z.strictObject({}),
    result: 'a figure for each counter, by its name in [metrics.md](metrics.md) without `strowger_`',
    run: (server) => server.stats(),
  }),
  'log.level': method({
    help: 'Set what the log says, or tell what is set',
    params: z.strictObject({
      level: z
        .enum([...LEVELS, 'default'])
        .optional()
        .describe('the least urgent lines that are written; `default`: a part is as all the others again'),
      module: z
        .enum(LOG_MODULES)
        .optional()
        .describe('of this part only; without it, of all that have no level of their own'),
    }),
    result: '`level`, and `modules`: the levels of those that have another, by name',
    isChange: true,
    run: (_, { level, module }, { logs }) => {
      if (level === undefined) return logs.levels();
      if (level === 'default' && module === undefined) throw new RequestError(REFUSED, 'default is for a module');
      return logs.setLevel(level === 'default' ? null : level, module ?? null);
    },
  }),
  'errors.recent': method({
    help: 'Say what went wrong lately, each distinct error once, and what to do about it',
    params: z.strictObject({
      limit: z.int().min(1).max(MAX_ERRORS).default(MAX_ERRORS).describe('so many at the most, the latest first'),
    }),
    result:
      '`errors`: a list, the latest first, each with `kind`, `count`, `firstAt` and `lastAt` (ISO 8601), `text`, and `hint` (what to do) or null',
    run: (_, { limit }, { logs }) => ({ errors: logs.recentErrors(limit) }),
  }),
};
