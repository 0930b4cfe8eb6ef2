/** `npm start [-- flags]`: sets up what is missing, then is `strowger start [flags]`.
 *  On the pinned Node the server runs in this very process, so that a second start pays for no further layer; on an older
 *  one it runs in a child, to which signals are passed and whose exit is ours. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { environmentFor, isRunningOn, root, setUp } from './setup.mjs';

const node = setUp();
const entry = join(root, 'bin', 'strowger.js');
const flags = process.argv.slice(2);

if (isRunningOn(node)) {
  process.argv = [process.argv[0], entry, 'start', ...flags];
  await import(pathToFileURL(entry).href);
} else {
  runInChild();
}

function runInChild() {
  const server = spawn(node, [entry, 'start', ...flags], { stdio: 'inherit', env: environmentFor(node) });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => server.kill(signal));
  server.on('error', (error) => {
    process.stderr.write(`Could not run ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  server.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code;
      return;
    }
    // Died of a signal: so do we, in order that the shell sees the same.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
