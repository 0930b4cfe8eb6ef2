/** The command line of `strowger bench compare`. Cold. */

import { parseArgs } from 'node:util';
import { LEAST_CHANGE } from './comparison.ts';

export const COMPARE_HELP = `strowger bench compare [--json] [--fail-on worse] [--least PERCENT] BEFORE.json AFTER.json

Says what changed from one result of \`strowger bench --json\` to another, and whether it is more than the rounds vary by
themselves.

      --json           the comparison as JSON, for programs
      --fail-on worse  exit code 1 if a figure of the server that the runs are about is worse
      --least PERCENT  what is never called a change, however quiet the rounds were; default: ${LEAST_CHANGE * 100}
  -h, --help           this text

BEFORE and AFTER may also be reports (--report), which have the JSON in them.

Exit codes: 0, 1 (something is worse, with --fail-on), 2 (called wrongly, or nothing to be learned from the two).
`;

export interface CompareOptions {
  readonly files: readonly [before: string, after: string];
  readonly wantsJson: boolean;
  readonly failsOnWorse: boolean;
  /** A share. */
  readonly leastChange: number;
}

/** A command line that cannot be meant: one line, exit code 2. */
export class CompareUsageError extends Error {
  override name = 'CompareUsageError';
}

/** Null: the help was asked for. Throws CompareUsageError. */
export function parseCompareOptions(argv: readonly string[]): CompareOptions | null {
  const { values, positionals } = parse(argv);
  if (values.help === true) return null;
  const [before, after, ...more] = positionals;
  if (before === undefined || after === undefined || more.length > 0) {
    throw new CompareUsageError('bench compare takes two files: strowger bench compare BEFORE.json AFTER.json');
  }
  const failOn = values['fail-on'];
  if (failOn !== undefined && failOn !== 'worse') {
    throw new CompareUsageError(`--fail-on takes only the word worse, not '${failOn}'`);
  }
  const least = values.least;
  if (least !== undefined && !/^\d{1,3}(?:\.\d+)?$/.test(least)) {
    throw new CompareUsageError(`--least takes a number of percent, 0 to 999, not '${least}'`);
  }
  return {
    files: [before, after],
    wantsJson: values.json === true,
    failsOnWorse: failOn === 'worse',
    leastChange: least === undefined ? LEAST_CHANGE : Number(least) / 100,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        'fail-on': { type: 'string' },
        least: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new CompareUsageError((error as Error).message.split('\n')[0]!);
  }
}
