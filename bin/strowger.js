#!/usr/bin/env node
// The `strowger` command: src/ as it is in a clone, or the built dist/ of the published package, which has no src/.
import { existsSync } from 'node:fs';

const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `strowger: needs Node.js 24 or newer, and this is ${process.version} (${process.execPath}); in a clone, npm start brings its own`,
  );
  process.exit(1);
}
const source = new URL('../src/cli/strowger.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/cli/strowger.js', import.meta.url).href);
