/** `npm test`: sets up what is missing, SIPp included, then runs every check, group by group, and stops at the first that fails.
 *  `npm test -- sip/uri` or `npm test -- -t 'name'` passes the filter to vitest and runs nothing else (the SIPp tests when
 *  the filter mentions sipp). Plain JavaScript for an old Node; the steps themselves run on the pinned one. */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentFor, fail, root, setUp } from './setup.mjs';

/** No step may hang the run: it is killed and counts as failed. Several times what the longest takes on two cores. */
const STEP_TIMEOUT_MS = 1_200_000;

/** Steps of a group that run at a time. */
const SIDE_BY_SIDE = 2;

const VITEST = 'node_modules/vitest/vitest.mjs';

const filters = process.argv.slice(2);
const node = setUp();
/** With a place for what Node has compiled: every process and thread of a test loads the same modules. */
const environment = { NODE_COMPILE_CACHE: join(root, 'build', 'compile-cache'), ...environmentFor(node) };
const startedMs = Date.now();
const resultFolder = mkdtempSync(join(tmpdir(), 'strowger-test-'));
process.on('exit', () => rmSync(resultFolder, { recursive: true, force: true }));

const failedStep = await runSteps(filters.length > 0 ? filteredSteps(filters) : allSteps());
printSummary(failedStep);
process.exitCode = failedStep === undefined ? 0 : 1;

// ---- The steps ------------------------------------------------------------------------------------------------------

/** Groups of steps: one group after the other, the steps of a group side by side. A step: `args` for the pinned Node; `isQuiet`
 *  steps print only when they fail. */
function allSteps() {
  ensurePeers();
  return [
    [
      // The longest first.
      { name: 'native, under ASan and UBSan', args: ['scripts/test-native-sanitized.mjs'], isQuiet: true },
      {
        name: 'format and lint',
        args: ['node_modules/@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '--colors=off', '.'],
        isQuiet: true,
      },
      { name: 'types', args: ['node_modules/typescript/bin/tsc', '--noEmit'], isQuiet: true },
      {
        name: 'types of the live page',
        args: ['node_modules/typescript/bin/tsc', '-p', 'src/runtime/live/page'],
        isQuiet: true,
      },
      { name: 'generated files', args: ['scripts/generate.ts', '--check'], isQuiet: true },
    ],
    [vitest('unit*', [])],
    [vitest('sipp*', [])],
    [...quickLoads(), ...microBenchmarks().map((path) => ({ name: path, args: [path, '--quick'], isQuiet: true }))],
  ];
}

function filteredSteps(args) {
  const wantsSipp = args.some((arg) => arg.includes('sipp'));
  if (wantsSipp || args.some((arg) => arg.includes('user-directory') || arg.includes('deploy'))) ensurePeers();
  return [[vitest(wantsSipp ? 'sipp*' : 'unit*', args)]];
}

function vitest(project, args) {
  const results = join(resultFolder, `${project.replace('*', '')}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`];
  return { name: `vitest ${project}`, args: [VITEST, 'run', `--project=${project}`, ...reporters, ...args], results };
}

/** Every scenario of the load engine once, and the study of more workers: a short round each, whose figures mean nothing. */
function quickLoads() {
  const scenarios = ['options', 'call', 'call-located', 'register', 'register-insert', 'register-auth', 'redirect'];
  const loads = scenarios.map((scenario) => ['perf/load/load.ts', '--quick', '--scenario', scenario]);
  loads.push(['perf/load/load.ts', '--quick', '--scenario', 'call', '--transport', 'tcp']);
  loads.push(['perf/scale/scale.ts', '--quick', '--scenario', 'options', '--workers', '1,2,3']);
  return loads.map((args) => ({ name: args.join(' '), args, isQuiet: true }));
}

function microBenchmarks() {
  const found = [];
  const folders = ['perf/micro'];
  while (folders.length > 0) {
    const folder = folders.pop();
    if (!existsSync(join(root, folder))) continue;
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else if (path.endsWith('.bench.ts')) found.push(path);
    }
  }
  return found.sort();
}

// ---- Running --------------------------------------------------------------------------------------------------------

/** Runs the groups until a step fails, and returns that one. */
async function runSteps(groups) {
  let failedStep;
  for (const group of groups) {
    const waiting = [...group];
    const takeTurns = async () => {
      for (let step = waiting.shift(); step !== undefined && failedStep === undefined; step = waiting.shift()) {
        if (!(await runStep(step))) failedStep ??= step;
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, takeTurns));
    if (failedStep !== undefined) break;
  }
  return failedStep;
}

/** Whether it passed. */
async function runStep({ name, args, isQuiet }) {
  if (!isQuiet) process.stdout.write(`\n── ${name}\n`);
  const stepStartedMs = Date.now();
  const child = spawn(node, args, {
    cwd: root,
    env: environment,
    stdio: isQuiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const complaint = await endOf(child);
  if (complaint !== null && isQuiet) process.stdout.write(`\n── ${name}\n${output}`);
  const tookSec = ((Date.now() - stepStartedMs) / 1000).toFixed(1);
  const verdict = complaint === null ? `✓ ${name}, ${tookSec} s` : `✗ ${name}, ${tookSec} s (${complaint})`;
  process.stdout.write(`${verdict}\n`);
  return complaint === null;
}

/** What there is to say against how it ended; null: nothing. */
function endOf(child) {
  return new Promise((resolve) => {
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      resolve(`no end after ${STEP_TIMEOUT_MS / 1000} s, killed`);
    }, STEP_TIMEOUT_MS);
    child.once('error', ({ message }) => {
      clearTimeout(limit);
      resolve(message);
    });
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      if (signal !== null) resolve(`died of ${signal}`);
      else resolve(code === 0 ? null : `exit code ${code}`);
    });
  });
}

/** The last line is read by machines. It counts vitest's tests and nothing else. */
function printSummary(failedStep) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  let counted = 0;
  const retried = [];
  for (const file of readdirSync(resultFolder)) {
    const results = JSON.parse(readFileSync(join(resultFolder, file), 'utf8'));
    retried.push(...retriedTests(results));
    total.passed += results.numPassedTests;
    total.failed += results.numFailedTests;
    total.skipped += results.numPendingTests + results.numTodoTests;
    counted++;
  }
  if (retried.length > 0) process.stdout.write(`\nPassed only when tried again:\n${retried.join('\n')}\n`);
  const tookSec = ((Date.now() - startedMs) / 1000).toFixed(0);
  const verdict = failedStep === undefined ? 'All steps passed' : `Stopped at "${failedStep.name}"`;
  process.stdout.write(`\n${verdict}, ${tookSec} s in all. Tests run by vitest:\n`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  if (counted > 0) process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
  else process.stdout.write('none\n');
}

/** Tests that passed although they had failed before, each with what it said then. */
function retriedTests({ testResults }) {
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status, failureMessages }) => status === 'passed' && failureMessages.length > 0)
      .map(({ fullName, failureMessages }) => `  ${name} > ${fullName}: ${failureMessages[0].split('\n')[0]}`),
  );
}

// ---- The other end --------------------------------------------------------------------------------------------------

/** The tests talk to other people's SIP software, to a database and to Prometheus. Installed where that is ours to do; elsewhere one line says how. */
function ensurePeers() {
  const peers = { sipp: 'sip-tester', baresip: 'baresip-core', initdb: 'postgresql', promtool: 'prometheus' };
  const missing = () => Object.keys(peers).filter((program) => !isOnPath(program) && !isOfPostgres(program));
  if (missing().length === 0) return;
  const packages = missing().map((program) => peers[program]);
  if (isOnPath('apt-get') && process.getuid() === 0) {
    process.stderr.write(`Installing ${packages.join(' and ')} (Debian packages) …\n`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const apt = (args) => spawnSync('apt-get', args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    // A failed update may still leave an index that knows the packages.
    apt(['update', '-qq']);
    const install = apt(['install', '-y', '-qq', '--no-install-recommends', ...packages]);
    if (missing().length === 0) return;
    process.stderr.write(install.stderr ?? '');
  }
  fail(
    `The tests need ${missing().join(' and ')} on PATH. Run \`sudo apt-get install ${packages.join(' ')}\` (Debian, Ubuntu; elsewhere see https://sipp.readthedocs.io, https://github.com/baresip/baresip and https://prometheus.io/download) and then \`npm test\` again.`,
  );
}

/** Debian keeps what belongs to a PostgreSQL server beside PATH, in a folder for each version. */
function isOfPostgres(program) {
  const versions = '/usr/lib/postgresql';
  if (!existsSync(versions)) return false;
  return readdirSync(versions).some((version) => existsSync(join(versions, version, 'bin', program)));
}

function isOnPath(program) {
  return (process.env.PATH ?? '').split(':').some((folder) => folder !== '' && existsSync(join(folder, program)));
}
