/** Three projects. `unit` is everything that needs no load generator; its files run side by side. `sipp` drives the real
 *  process with SIPp over loopback, one file at a time, because two loads at once would measure each other. `sipp-calls` does
 *  the same with a few dozen calls at a time, which mostly wait for the timers of transactions: its files run side by side.
 *  Modules are loaded by Node itself, as in production, and not rewritten by vite: an `import` that vite rewrites is a
 *  property access, which would make tests of allocation and speed measure something else. */

import { defineConfig } from 'vitest/config';

if (Number(process.versions.node.split('.')[0]) < 24) {
  throw new Error(`tests need Node.js 24 or newer, this is ${process.version}: use \`npm test\` or \`npx vitest\``);
}

/** Tests of the stateful mode that need the machine for themselves. */
const LOADS = ['load', 'overload', 'shard-crash'].map((folder) => `test/sipp/stateful/${folder}/*.test.ts`);

export default defineConfig({
  test: {
    // A process per file: shared memory, worker threads and the addon's per-environment state never meet another file's.
    pool: 'forks',
    maxWorkers: 2,
    experimental: { viteModuleRunner: false, nodeLoader: false },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/sipp/**'],
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'sipp-calls',
          include: ['test/sipp/stateful/**/*.test.ts'],
          exclude: LOADS,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'sipp',
          include: ['test/sipp/*/*.test.ts', ...LOADS],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 30_000,
        },
      },
    ],
  },
});
