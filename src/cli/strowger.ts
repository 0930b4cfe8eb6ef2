/** The `strowger` command. Run by bin/strowger.js; the exit codes are 0, 1 (it failed), 2 (it was called wrongly), and 3 from
 *  bench (the load was the limit). */

import { packageVersion } from '../runtime/package-root.ts';
import { type Arguments, parseArguments, UsageError } from './arguments.ts';
import { check } from './check.ts';
import { renderHelp } from './help.ts';

async function main(argv: readonly string[]): Promise<number> {
  try {
    if (argv[0] === 'bench' && argv[1] === 'compare') return (await import('./bench.ts')).compare(argv.slice(2));
    return await run(parseArguments(argv), argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`strowger: ${error.message}`);
    return 2;
  }
}

async function run(args: Arguments, argv: readonly string[]): Promise<number> {
  if (args.wants.has('help')) {
    console.log(renderHelp(args.topic));
    return 0;
  }
  if (args.wants.has('version')) {
    console.log(`strowger ${packageVersion()}`);
    return 0;
  }
  switch (args.command) {
    case 'check':
      return check(args);
    case 'stats':
      return (await import('./stats.ts')).stats(args);
    case 'status':
      return (await import('./stats.ts')).status(args);
    case 'reload':
      return (await import('./reload.ts')).reload(args);
    case 'drain':
      return (await import('./drain.ts')).drain(args);
    case 'location list':
    case 'location show':
    case 'location add':
    case 'location remove':
      return (await import('./location.ts')).location(args, args.command);
    case 'trace':
    case 'trace show':
    case 'trace list':
      return (await import('./trace.ts')).trace(args, args.command);
    case 'bench':
      return (await import('./bench.ts')).bench(args, argv.toSpliced(argv.indexOf('bench'), 1));
    case 'start':
      return (await import('./start.ts')).start(args, packageVersion());
    default:
      return (await import('./ask.ts')).ask(args, args.command);
  }
}

// `strowger stats | head` closes our stdout: that is an end, not a failure.
// Whatever Node itself has to say: a server whose stderr nobody reads any more runs on.
process.stderr.on('error', () => undefined);
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
process.exit(await main(process.argv.slice(2)));
