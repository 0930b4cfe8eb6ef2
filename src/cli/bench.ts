/** `strowger bench` and `strowger bench compare`: the harness of perf/bench, with this command line. */

import { runBenchCommand } from '../../perf/bench/command.ts';
import { benchCompare } from '../../perf/bench/compare/command.ts';
import { OptionsError } from '../../perf/bench/options.ts';
import { type Arguments, UsageError } from './arguments.ts';

/** `words`: what stands behind `bench`. The exit code. Throws a UsageError if what is given cannot be meant. */
export async function bench(
  { operands, valueFor, wants, flags, sets }: Arguments,
  words: readonly string[],
): Promise<number> {
  const { mode, workers } = flags;
  try {
    return await runBenchCommand({
      target: operands[0],
      valueFor,
      has: (name) => wants.has(name),
      serverArgs: [
        ...(mode === undefined ? [] : ['--mode', mode]),
        ...(workers === undefined ? [] : ['--workers', workers]),
        ...sets.flatMap((set) => ['--set', set]),
      ],
      words,
    });
  } catch (error) {
    throw error instanceof OptionsError ? new UsageError(error.message) : error;
  }
}

/** `argv`: what stands behind `bench compare`. The exit code. */
export function compare(argv: readonly string[]): number {
  return benchCompare(argv);
}
