#!/usr/bin/env node
// The `strowger` command: src/ as it is in a clone, or the built dist/ of the published package, which has no src/.
import { existsSync } from 'node:fs';
// Whole, as older versions do not export all of it by name, and would never come to say so below.
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `strowger: needs Node.js 24 or newer, and this is ${process.version} (${process.execPath}); in a clone, npm start brings its own`,
  );
  process.exit(1);
}
// Halves the time of a start: types stripped and code compiled once are kept, in this package's own folder. Threads take it
// from the environment. Where the folder cannot be written, nothing is kept and nothing is lost.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../build/compile-cache', import.meta.url));
module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
const source = new URL('../src/cli/strowger.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/src/cli/strowger.js', import.meta.url).href);
