/** `npm start [-- flags]`: sets up what is missing, then is `strowger start [flags]`. */

import { runCommand } from './run-command.mjs';

await runCommand(['start', ...process.argv.slice(2)]);
