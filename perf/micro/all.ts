/** `npm run perf:micro [-- filter] [--quick]`: runs every micro-benchmark whose path contains the filter, one after the
 *  other, each in a process of its own, so that none optimises or spoils the code of the next. */

import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';

const folder = import.meta.dirname;
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

const benches = globSync('**/*.bench.ts', { cwd: folder }).sort();
const chosen = benches.filter((path) => filters.every((filter) => path.includes(filter)));
if (chosen.length === 0) process.stderr.write(`no benchmark is called so; there are ${benches.join(', ')}\n`);
let failed = chosen.length === 0;
for (const path of chosen) {
  process.stdout.write(`\n── perf/micro/${path}\n`);
  failed = spawnSync(process.execPath, [join(folder, path), ...flags], { stdio: 'inherit' }).status !== 0 || failed;
}
process.exitCode = failed ? 1 : 0;
