#!/usr/bin/env node
// The `strowger` command: the built dist/ of the published package, or src/ as it is in a clone.
import { existsSync } from 'node:fs';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `strowger: needs Node.js 24 or newer, and this is ${process.version} (${process.execPath}); in a clone, npm start brings its own`,
  );
  process.exit(1);
}
const built = new URL('../dist/cli/strowger.js', import.meta.url);
await import(existsSync(built) ? built.href : new URL('../src/cli/strowger.ts', import.meta.url).href);
