/** Results read from files. Cold. */

import { readFileSync } from 'node:fs';
import { type BenchResult, RESULT_FORMAT } from '../result.ts';
import { Distribution } from './distribution.ts';
import { RESULT_SCHEMA } from './result-schema.ts';

/** A file that is no result: one line that names it. */
export class UnreadableResultError extends Error {
  override name = 'UnreadableResultError';
}

/** Reads what `strowger bench --json` wrote, and takes it out of a report (`--report`) too. Throws UnreadableResultError. */
export function readResult(file: string): BenchResult {
  return parseResult(readText(file), file);
}

/** `name`: what the error calls it. Throws UnreadableResultError. */
export function parseResult(text: string, name: string): BenchResult {
  const embedded = /<script type="application\/json" id="result">(.*?)<\/script>/s.exec(text);
  let value: unknown;
  try {
    value = JSON.parse(embedded?.[1] ?? text);
  } catch (error) {
    throw new UnreadableResultError(
      `${name} is no JSON (${(error as Error).message}): give what \`strowger bench --json\` wrote`,
    );
  }
  const { format } = (value ?? {}) as Partial<BenchResult>;
  if (format !== RESULT_FORMAT) {
    const found = typeof format === 'string' ? `its format is ${format}` : 'it names no format';
    throw new UnreadableResultError(
      `${name} is no result of \`strowger bench\` that this version reads: ${found}, not ${RESULT_FORMAT}`,
    );
  }
  const checked = RESULT_SCHEMA.safeParse(value);
  if (!checked.success) {
    const { path, message } = checked.error.issues[0]!;
    throw new UnreadableResultError(`${name} is damaged: ${path.join('.')}: ${message}`);
  }
  const result = value as BenchResult;
  checkHistograms(result, name);
  return result;
}

/** Whoever reads the result on may rely on its histograms. */
function checkHistograms({ turns }: BenchResult, name: string): void {
  for (const { contestant, round, delays } of turns) {
    for (const [delay, values] of Object.entries(delays)) {
      try {
        new Distribution([values]);
      } catch (error) {
        throw new UnreadableResultError(
          `${name} is damaged: the histogram of ${delay} in round ${round} of ${contestant}: ${(error as Error).message}`,
        );
      }
    }
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UnreadableResultError(
      `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
    );
  }
}
