/** The control methods of the configuration (runtime/reload/). Main thread, cold. */

import { z } from 'zod';
import { INVALID_PARAMS, RequestError } from '../request-error.ts';
import { method } from './method.ts';

const MAX_BACK = 1000;
const MAX_PATH_CHARS = 4096;
const CHANGES =
  '`changes`: each with `path`, `before`, `after` (JSON without secrets; null: not there) and `reload` (`live`, or `restart`: stays as it is until a new start); `omitted`: how many more there are';
const REPORT = `\`result\` (\`applied\`, or \`unchanged\`: nothing live is different), \`isDryRun\`, \`generation\`, \`hash\`, \`longestPauseMs\`, ${CHANGES}`;

const back = z.int().min(0).max(MAX_BACK);
const dryRun = z.boolean().default(false).describe('say what would change, and change nothing');
const strict = z.boolean().default(false).describe('refuse a configuration of which a part needs a new start');

export const configMethods = {
  reload: method({
    help: 'Read the configuration again and take it over, as a whole or not at all',
    params: z.strictObject({ dryRun, strict }),
    result: REPORT,
    isChange: true,
    run: (server, { dryRun: isDryRun, strict: isStrict }) => server.configuration.reload({ isDryRun, isStrict }),
  }),
  'reload.rollback': method({
    help: 'Return to one of the last good configurations; the file stays as it is',
    params: z.strictObject({
      back: back.min(1).default(1).describe('how many steps before the current one, as `config.history` numbers them'),
      dryRun,
      strict,
    }),
    result: REPORT,
    isChange: true,
    run: (server, { back: steps, dryRun: isDryRun, strict: isStrict }) =>
      server.configuration.rollback({ back: steps, isDryRun, isStrict }),
  }),
  'config.show': method({
    help: 'Give the configuration that runs, without secrets',
    params: z.strictObject({
      defaults: z.boolean().default(false).describe('whole; otherwise what differs from the defaults'),
    }),
    result:
      '`config`; `file`, `hash` (of all but the secrets), `generation` (1 at the start), `takenAt`, `lastReload` (`none`, `applied`, `unchanged`, `failed`), `needsRestart`: settings of the file that wait for a new start',
    run: (server, { defaults }) => server.configuration.show({ hasDefaults: defaults }),
  }),
  'config.diff': method({
    help: 'Say what is different in a file, or in an earlier configuration, from the one that runs',
    params: z.strictObject({
      file: z
        .string()
        .min(1)
        .max(MAX_PATH_CHARS)
        .optional()
        .describe('a path on the machine of the server; without it the file that it was started with'),
      back: back
        .optional()
        .describe('in place of a file: a configuration that is kept, as `config.history` numbers them'),
    }),
    result: CHANGES,
    run: (server, { file, back: steps }) => {
      if (file !== undefined && steps !== undefined) throw new RequestError(INVALID_PARAMS, 'file or back, not both');
      return server.configuration.diff({ file, back: steps });
    },
  }),
  'config.history': method({
    help: 'List the last good configurations, the current one first',
    params: z.strictObject({}),
    result: '`kept`: each with `back` (0: the current one), `number`, `takenAt` and `file` (null: in memory alone)',
    run: (server) => server.configuration.history(),
  }),
};
