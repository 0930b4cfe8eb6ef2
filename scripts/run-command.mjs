/** Runs `strowger` on the pinned Node: in this very process if that is the one, so that a start pays for no further layer;
 *  else in a child, to which signals are passed and whose exit is ours. Plain JavaScript for an old Node. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { environmentFor, isRunningOn, root, setUp } from './setup.mjs';

/** Sets up what is missing, then is `strowger WORDS…`. */
export async function runCommand(words) {
  const node = setUp();
  const entry = join(root, 'bin', 'strowger.js');
  if (isRunningOn(node)) {
    process.argv = [process.argv[0], entry, ...words];
    await import(pathToFileURL(entry).href);
  } else {
    runInChild(node, [entry, ...words]);
  }
}

function runInChild(node, args) {
  const child = spawn(node, args, { stdio: 'inherit', env: environmentFor(node) });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`Could not run ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
      return;
    }
    // Died of a signal: so do we, in order that the shell sees the same.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
