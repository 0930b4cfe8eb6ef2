/** The `strowger` command. Run by bin/strowger.js; the exit codes are 0, 1 (it failed) and 2 (it was called wrongly). */

import { readFileSync } from 'node:fs';
import { parseArguments, UsageError } from './arguments.ts';
import { check } from './check.ts';
import { renderHelp } from './help.ts';

async function main(argv: readonly string[]): Promise<number> {
  let args: ReturnType<typeof parseArguments>;
  try {
    args = parseArguments(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`strowger: ${error.message}`);
    return 2;
  }
  if (args.wants.has('help')) {
    console.log(renderHelp(args.isCommandGiven ? args.command : null));
    return 0;
  }
  if (args.wants.has('version')) {
    console.log(`strowger ${version()}`);
    return 0;
  }
  switch (args.command) {
    case 'check':
      return check(args);
    case 'stats':
      return (await import('./stats.ts')).stats(args);
    case 'status':
      return (await import('./stats.ts')).status(args);
    case 'start':
      return (await import('./start.ts')).start(args, version());
  }
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}

// `strowger stats | head` closes our stdout: that is an end, not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
process.exit(await main(process.argv.slice(2)));
