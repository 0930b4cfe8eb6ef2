/** `npm run build`: what `npm pack` publishes. dist/ mirrors the root: src/ and the benchmark of perf/ as JavaScript, and
 *  beside the benchmark and the live page the files that they read. */

import { spawnSync } from 'node:child_process';
import { constants, copyFileSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './setup.mjs';

rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (tsc.status !== 0) process.exit(1);
for (const path of globSync(['perf/bench/**/*.{xml,css,js}', 'src/runtime/live/page/*.{html,css,js,svg}'], {
  cwd: root,
})) {
  const target = join(root, 'dist', path);
  mkdirSync(dirname(target), { recursive: true });
  // A name.js beside a name.ts would take the place of what was compiled: that is refused.
  copyFileSync(join(root, path), target, constants.COPYFILE_EXCL);
}
