/** Where this package lies: the folder of its package.json, above src/runtime in a clone and above dist/src/runtime in the
 *  published package. Any thread, cold. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Throws if there is no package.json above this file: the package was taken apart. */
export function packageRoot(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder))
      throw new Error(`no package.json above ${import.meta.dirname}: install strowger again`);
  }
}

/** As package.json has it. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
}
