/** `strowger bench`, from what was asked for to the exit code: progress and tables on stderr, JSON on stdout, the page and the
 *  CSV files where they were asked for. Cold. */

import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BenchError } from './bench-error.ts';
import { type BenchOptions, type GivenOptions, readOptions } from './options.ts';
import { ProgressLine } from './progress-line.ts';
import { renderReport } from './report/page.ts';
import { csvFilesOf } from './report/raw-data.ts';
import { nounOf } from './report/vocabulary.ts';
import type { BenchResult } from './result.ts';
import { runBench } from './run.ts';
import { exitCodeOfSearch, search, terminalDisplay } from './search/bench-search.ts';
import { readSearchOptions } from './search/options.ts';
import type { SearchOptions } from './search/search.ts';
import { renderTables } from './tables.ts';

/** Of a shell's child that ended by a signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Longer lines are hard to read. */
const MAX_LINE_WIDTH = 100;

const EXIT_FAILED = 1;
const EXIT_GENERATOR_WAS_THE_LIMIT = 3;

/** The exit code. Throws an OptionsError if what is given cannot be meant. */
export async function runBenchCommand(given: GivenOptions): Promise<number> {
  const searchOptions = readSearchOptions(given);
  const options = await readOptions(given);
  const outputs = readOutputs(given);
  // Without this nothing would end the SIPp processes, nor a server that was started.
  for (const [signal, code] of Object.entries(EXIT_CODES)) process.once(signal, () => process.exit(code));
  let result: BenchResult;
  try {
    outputs.prepare();
    result = await runWithProgress(options, searchOptions, given.words);
    outputs.write(result);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(`strowger: ${error.message}`);
    return EXIT_FAILED;
  }
  return result.search === null ? exitCodeOf(result) : exitCodeOfSearch(result.search);
}

async function runWithProgress(
  options: BenchOptions,
  searchOptions: SearchOptions | null,
  words: readonly string[],
): Promise<BenchResult> {
  if (searchOptions !== null) {
    return search(options, searchOptions, commandLineOf(words), terminalDisplay(process.stderr));
  }
  const line = new ProgressLine(process.stderr, nounOf(options.scenario));
  try {
    return await runBench(options, commandLineOf(words), (progress) => line.show(progress));
  } finally {
    line.end();
  }
}

/** A failed call weighs more than a load that was too weak to say much. */
export function exitCodeOf({ turns, contestants }: Pick<BenchResult, 'turns' | 'contestants'>): number {
  if (turns.some(({ exchanges }) => exchanges.failed > 0)) return EXIT_FAILED;
  const subject = contestants.find(({ role }) => role === 'subject')?.name;
  const wasGenerator = turns.some(({ contestant, limitedBy }) => contestant === subject && limitedBy === 'generator');
  return wasGenerator ? EXIT_GENERATOR_WAS_THE_LIMIT : 0;
}

/** To paste into a shell. */
export function commandLineOf(words: readonly string[]): string {
  const quoted = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return ['strowger', 'bench', ...quoted].join(' ');
}

// ---- Where it goes --------------------------------------------------------------------------------------------------

interface Outputs {
  /** Complains before the run rather than after it. Throws a BenchError. */
  prepare(): void;
  write(result: BenchResult): void;
}

function readOutputs(given: GivenOptions): Outputs {
  const page = given.valueFor('report');
  const folder = given.valueFor('csv');
  return {
    prepare() {
      if (page !== undefined) checkWritable(dirname(resolve(page)), '--report');
      if (folder !== undefined) checkWritable(folder, '--csv');
    },
    write(result) {
      console.error(`${renderTables(result, { hasCurve: given.has('latency'), width: lineWidth() })}\n`);
      if (given.has('json')) console.log(JSON.stringify(result));
      if (page !== undefined) writeOutput(page, renderReport(result));
      for (const { name, text } of folder === undefined ? [] : csvFilesOf(result))
        writeOutput(join(folder!, name), text);
    },
  };
}

function lineWidth(): number {
  // A terminal that does not know its width says 0.
  return Math.min(process.stderr.columns || MAX_LINE_WIDTH, MAX_LINE_WIDTH);
}

/** Makes the folder if it is not there. */
function checkWritable(folder: string, flag: string): void {
  try {
    makeFolder(resolve(folder));
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new BenchError(`${flag} cannot write into ${folder} (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** One level at a time: Node's own `recursive` never returns where the parent is there and takes no folders, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder);
}

function writeOutput(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new BenchError(`${file} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
  console.error(`wrote ${file}`);
}
