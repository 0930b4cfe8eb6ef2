/** `strowger bench compare`: reads two results, says what changed. Cold. */

import { styleText } from 'node:util';
import { readResult, UnreadableResultError } from '../report/result-file.ts';
import { IncomparableError } from './comparability.ts';
import { type Comparison, compare } from './comparison.ts';
import { renderComparison } from './comparison-text.ts';
import { COMPARE_HELP, type CompareOptions, CompareUsageError, parseCompareOptions } from './options.ts';

/** `argv`: the words behind `bench compare`. Returns the exit code: 0, 1 (worse, and --fail-on), 2 (nothing was compared). */
export function benchCompare(argv: readonly string[]): number {
  let options: CompareOptions | null;
  try {
    options = parseCompareOptions(argv);
  } catch (error) {
    if (!(error instanceof CompareUsageError)) throw error;
    console.error(`strowger: ${error.message}`);
    return 2;
  }
  if (options === null) {
    process.stdout.write(COMPARE_HELP);
    return 0;
  }
  try {
    return compareFiles(options);
  } catch (error) {
    if (!(error instanceof IncomparableError) && !(error instanceof UnreadableResultError)) throw error;
    const [before, after] = options.files;
    console.error(
      error instanceof IncomparableError
        ? `strowger: ${before} and ${after} cannot be compared: ${error.message}`
        : `strowger: ${error.message}`,
    );
    return 2;
  }
}

function compareFiles({ files, wantsJson, failsOnWorse, leastChange }: CompareOptions): number {
  const [before, after] = files.map((file) => ({ file, result: readResult(file) }));
  const comparison = compare(before!, after!, leastChange);
  if (wantsJson) process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
  else process.stdout.write(coloured(renderComparison(comparison)));
  if (!failsOnWorse) return 0;
  if (comparison.verdicts.worse > 0) return 1;
  if (isJudged(comparison)) return 0;
  console.error('strowger: no figure could be judged, so --fail-on has nothing to go by: measure with --rounds 5');
  return 2;
}

/** A gate that nothing can close is none. That nothing failed is known of a single round too. */
function isJudged({ contestants }: Comparison): boolean {
  return contestants.some(
    ({ role, figures }) =>
      role === 'subject' && figures.some(({ measure, verdict }) => measure !== 'failures' && verdict !== 'unknown'),
  );
}

/** On a terminal, what matters stands out. */
function coloured(text: string): string {
  const options = { stream: process.stdout, validateStream: true };
  return text
    .replace(/ {2}WORSE\b.*$/gm, (words) => styleText('red', words, options))
    .replace(/ {2}better\b.*$/gm, (words) => styleText('green', words, options))
    .replace(/^warning: .*$/gm, (words) => styleText('yellow', words, options));
}
