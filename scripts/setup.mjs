/** Makes a clone ready to run: dependencies, the pinned Node, the addon. Imported by start.mjs and test.mjs.
 *  Plain JavaScript that an old Node (16 and later) can run, because in a fresh clone there is nothing else.
 *  When everything is there it costs a few milliseconds: one stamp is compared with hashes of what it depends on. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const MIN_NODE_MAJOR = 24;
const STAMP = join(root, 'node_modules', '.strowger-setup');
const PINNED = 'pinned';
const PINNED_NODE = join(root, 'node_modules', '.bin', 'node');
const ADDON = join(root, 'build', 'Release', 'strowger.node');

/** npm's own patience with a dead network is over a minute. */
const NPM_PATIENCE = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];

const NETWORK_ERROR =
  /\b(?:ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/;

/** What npm may print about a failure before our own line; the rest is in npm's log. */
const MAX_NPM_LINES = 12;

/** Does what is missing and returns the path of the Node to run everything on. What it cannot do ends the process with
 *  one line that says what to do, and exit code 1. */
export function setUp() {
  if (process.platform !== 'linux') {
    fail(
      `Strowger runs on Linux only (recvmmsg, sendmmsg, eventfd); this is ${process.platform}. Use a Linux machine, container or VM.`,
    );
  }
  const wanted = { lock: hashOfFiles(['package-lock.json']), addon: hashOfFiles(addonSources()) };
  const stamp = readJson(STAMP);

  if (stamp.lock !== wanted.lock || !isUsable(stamp.node)) {
    rmSync(STAMP, { force: true });
    if (!isInstalled()) installDependencies();
    stamp.node = chooseNode();
    stamp.lock = wanted.lock;
    stamp.addon = undefined;
  }
  const node = stamp.node === PINNED ? PINNED_NODE : stamp.node;
  if (stamp.addon !== wanted.addon || !existsSync(ADDON)) {
    buildAddon(node);
    writeFileSync(STAMP, `${JSON.stringify({ ...stamp, addon: wanted.addon })}\n`);
  }
  return node;
}

/** True if this very process runs on the binary at `path`. */
export function isRunningOn(path) {
  return realpathSync(path) === realpathSync(process.execPath);
}

/** Environment for child processes, in which `node` is the Node that `setUp` returned. */
export function environmentFor(node) {
  return { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` };
}

/** One line to the operator, and the end. */
export function fail(line) {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}

// ---- Steps ----------------------------------------------------------------------------------------------------------

/** Install scripts are held back: ours would build the addon a second time and hide its one clear line in npm's own
 *  report of the failure. The only one we need, that of the `node` package, runs afterwards by name. */
function installDependencies() {
  process.stderr.write('Installing dependencies (once, about 20 s) …\n');
  const install = npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...NPM_PATIENCE]);
  if (install.status === 0) return;
  const networkError = NETWORK_ERROR.exec(install.stderr);
  if (networkError) {
    fail(
      `Could not install the dependencies: the npm registry cannot be reached (${networkError[0]}). Check the network and \`npm config get registry\`, then run the same command again.`,
    );
  }
  printNpmErrors(install);
  fail('Could not install the dependencies: `npm ci` failed as shown above. Mend that and run the same command again.');
}

/** True if someone already ran `npm ci` or `npm install`: npm's own record of what it installed agrees with the lock. */
function isInstalled() {
  const installed = readJson(join(root, 'node_modules', '.package-lock.json')).packages;
  if (installed === undefined) return false;
  for (const [path, { version, optional }] of Object.entries(readJson(join(root, 'package-lock.json')).packages)) {
    if (path === '') continue;
    if (installed[path] === undefined ? !optional : installed[path].version !== version) return false;
  }
  return true;
}

/** The pinned Node if it can be had and runs (it may not: on musl, say), else this one if it is new enough. */
function chooseNode() {
  // A failure of this script is judged below: the machine's own Node may do.
  if (!existsSync(PINNED_NODE)) npm(['rebuild', 'node', '--no-audit', '--no-fund', ...NPM_PATIENCE]);
  if (existsSync(PINNED_NODE) && spawnSync(PINNED_NODE, ['--version']).status === 0) return PINNED;
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= MIN_NODE_MAJOR) return process.execPath;
  fail(
    `Strowger needs Node.js ${MIN_NODE_MAJOR} or newer; this is ${process.version}, and the pinned one (npm package "node") could not be installed on this machine. ` +
      `Run \`npm rebuild node\` to see why, or install Node.js ${MIN_NODE_MAJOR} from your distribution or https://nodejs.org.`,
  );
}

/** build-addon.mjs says itself, in one line, what is missing. */
function buildAddon(node) {
  const build = spawnSync(node, [join(root, 'scripts', 'build-addon.mjs')], {
    cwd: root,
    env: environmentFor(node),
    stdio: ['ignore', 2, 2],
  });
  if (build.status !== 0) process.exit(1);
  if (!existsSync(ADDON)) fail(`scripts/build-addon.mjs reported success but ${ADDON} is not there.`);
}

// ---- npm ------------------------------------------------------------------------------------------------------------

/** Runs npm quietly: the one that runs us if there is one, else the one on PATH. */
function npm(args) {
  const cli = process.env.npm_execpath;
  const isOurs = cli?.endsWith('npm-cli.js') && existsSync(process.execPath);
  const [command, first] = isOurs ? [process.execPath, [cli]] : ['npm', []];
  const result = spawnSync(command, [...first, ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.error) fail(`Could not run npm: ${result.error.message}. Install npm and run the same command again.`);
  return result;
}

function printNpmErrors({ stderr }) {
  const lines = stderr.split('\n').filter((line) => /^npm (error|ERR!)/.test(line));
  for (const line of lines.slice(0, MAX_NPM_LINES)) process.stderr.write(`${line}\n`);
}

// ---- The stamp ------------------------------------------------------------------------------------------------------

function isUsable(node) {
  return node !== undefined && existsSync(node === PINNED ? PINNED_NODE : node);
}

/** The object in a JSON file; an empty one if the file is absent (a fresh clone) or broken (a crash while it was written). */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Everything the addon is built from, sorted. */
function addonSources() {
  const sources = ['binding.gyp'];
  const folders = ['native/src'];
  while (folders.length > 0) {
    const folder = folders.pop();
    if (!existsSync(join(root, folder))) continue;
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else sources.push(path);
    }
  }
  return sources.sort();
}

function hashOfFiles(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    hash.update(`${path}\0`);
    const file = join(root, path);
    if (existsSync(file)) hash.update(readFileSync(file));
  }
  return hash.digest('hex');
}
