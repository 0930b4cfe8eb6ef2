/** Five projects. `unit` computes: two processes take its files one after the other, so that they start and load what they test
 *  but once. `unit-processes` are unit tests that have a process each: they start processes or threads and mostly wait for them, talk
 *  over sockets, or measure memory; four at a time. `sipp-calls` drives the real process with SIPp over loopback, a few dozen
 *  calls at a time, which mostly wait for the timers of transactions; `sipp` does so under loads, two at a time; and `sipp-timed`
 *  has the machine for itself, because it is about time.
 *
 *  Modules are loaded by Node itself, as in production, and not rewritten by vite: an `import` that vite rewrites is a
 *  property access, which would make tests of allocation and speed measure something else. */

import { globSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

if (Number(process.versions.node.split('.')[0]) < 24) {
  throw new Error(`tests need Node.js 24 or newer, this is ${process.version}: use \`npm test\` or \`npx vitest\``);
}

/** Imports of a test that starts processes or threads, or talks over sockets; what measures memory or CPU. */
const NEEDS_A_PROCESS = new RegExp(
  `memoryUsage|cpuUsage|from '(?:node:(?:child_process|dgram|http|net|worker_threads)|playwright-core|.*/(?:${[
    ...['chromium', 'command', 'dns-server', 'fake-systemd', 'loopback', 'main', 'server-process', 'store-world'],
    ...['stream-world', 'tcp-peer', 'udp-peer', 'udp-socket'],
  ].join('|')})\\.ts)'`,
);

const processFiles = globSync('test/**/*.test.ts', { exclude: ['test/sipp/**'] }).filter(
  (path) => path.includes('allocation') || NEEDS_A_PROCESS.test(readFileSync(path, 'utf8')),
);

/** Tests of the stateful mode that are loads. */
const LOADS = ['load', 'overload', 'shard-crash'].map((folder) => `test/sipp/stateful/${folder}/*.test.ts`);
const TIMED = ['test/sipp/bench/agreement.test.ts', 'test/sipp/shard-crash/shard-crash.test.ts'];

/** For tests of several processes. What they wait for has half a minute each time (test/process/patience.ts). One try more: no test
 *  can know all that a busy machine may do to processes which are not ours, and one such moment in a thousand tests must not
 *  refuse a change. The report shows each retry, and scripts/test.mjs names it at the end: a test that needs it again and again
 *  is to be mended. */
const processes = { retry: 1, testTimeout: 180_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    pool: 'forks',
    experimental: { viteModuleRunner: false, nodeLoader: false },
    globalSetup: 'test/process/temporary-files.ts',
    projects: [
      {
        extends: true,
        test: {
          ...processes,
          name: 'unit-processes',
          include: processFiles,
          // Worker threads and the addon's per-environment state never meet another file's.
          isolate: true,
          sequence: { groupOrder: 0 },
          maxWorkers: 4,
        },
      },
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/sipp/**', ...processFiles],
          isolate: false,
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
          testTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          ...processes,
          name: 'sipp-calls',
          include: ['test/sipp/stateful/**/*.test.ts'],
          exclude: LOADS,
          sequence: { groupOrder: 2 },
          maxWorkers: 4,
        },
      },
      {
        extends: true,
        test: {
          ...processes,
          name: 'sipp',
          include: ['test/sipp/*/*.test.ts', ...LOADS],
          exclude: TIMED,
          sequence: { groupOrder: 3 },
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          ...processes,
          name: 'sipp-timed',
          include: TIMED,
          sequence: { groupOrder: 4 },
          fileParallelism: false,
        },
      },
    ],
  },
});
