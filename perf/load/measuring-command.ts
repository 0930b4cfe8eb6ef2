/** What all commands that measure on CPUs of their own begin and end with: options, the two CPUs, exit codes. */

import { allowedCpus } from './process-figures.ts';
import { type Cpus, exitOnSignals } from './turn.ts';

export interface MeasuringCommand<Options> {
  /** As after `npm run`. */
  readonly name: string;
  readonly usage: string;
  /** Throws an Error with one line if the command line cannot be meant; null if it asks for help. */
  parse(argv: readonly string[], serverCpus: number): Options | null;
  /** The exit code. `cpus.server` has all but that of the load, at least one. */
  run(options: Options, cpus: Cpus, argv: readonly string[]): Promise<number>;
  /** What it ends with where there is no second CPU; default: as with wrong usage. */
  exitWithoutCpus?(options: Options): number;
  /** What it ends with after a throw; default: 1. */
  exitAfter?(error: unknown): number;
}

const EXIT = { OK: 0, FAILED: 1, USAGE: 2 } as const;

/** To be called once by the main file of a command: sets the exit code of the process. */
export async function runMeasuring<Options>(command: MeasuringCommand<Options>): Promise<void> {
  exitOnSignals();
  process.exitCode = await exitCodeOf(command, process.argv.slice(2));
}

async function exitCodeOf<Options>(command: MeasuringCommand<Options>, argv: readonly string[]): Promise<number> {
  const { name, usage } = command;
  const [load, ...server] = allowedCpus();
  let options: Options | null;
  try {
    options = command.parse(argv, server.length);
  } catch (error) {
    say(`${name}: ${(error as Error).message}; npm run ${name} -- --help`);
    return EXIT.USAGE;
  }
  if (options === null) {
    process.stdout.write(usage);
    return EXIT.OK;
  }
  if (load === undefined || server.length === 0) {
    say(`${name}: needs two CPUs, one for the load and one for the server; not measured`);
    return command.exitWithoutCpus?.(options) ?? EXIT.USAGE;
  }
  try {
    return await command.run(options, { load, server }, argv);
  } catch (error) {
    say(`${name}: ${(error as Error).message}`);
    return command.exitAfter?.(error) ?? EXIT.FAILED;
  }
}

/** Progress and complaints: standard output has only what was measured. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
