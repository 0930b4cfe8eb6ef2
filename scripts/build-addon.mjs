// Builds the native addon into build/Release/strowger.node, unless that is already there for these very sources.
// Runs as the package's install script, so on whatever Node there is; says nothing but one line, or what went wrong.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(join(root, 'package.json'));
const addon = join(root, 'build', 'Release', 'strowger.node');
const stamp = join(root, 'build', 'strowger.stamp');

const fingerprint = fingerprintOfSources();
if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint) process.exit(0);

const compiler = firstThatRuns([process.env.CXX, 'g++', 'clang++']);
const make = firstThatRuns([process.env.MAKE, 'make']);
const python = firstThatRuns([process.env.PYTHON, 'python3']);
const missing = [!compiler && 'a C++ compiler', !make && 'make', !python && 'python3'].filter(Boolean);
if (missing.length > 0) {
  fail(`${missing.join(' and ')} not found. On Debian or Ubuntu: apt-get install -y g++ make python3`);
}

const nodeGyp = resolve('node-gyp/bin/node-gyp.js');
if (!nodeGyp || !resolve('node-addon-api/package.json')) fail("node-gyp or node-addon-api not found. Run 'npm ci'");

const startedAt = Date.now();
const node = nodeToBuildWith();
const result = spawnSync(
  node.binary,
  [nodeGyp, 'rebuild', '--jobs=max', ...(node.directory ? [`--nodedir=${node.directory}`] : [])],
  {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: {
      ...process.env,
      CXX: compiler,
      PYTHON: python,
      PATH: `${dirname(node.binary)}${delimiter}${process.env.PATH ?? ''}`,
    },
  },
);
if (result.error || result.status !== 0 || !existsSync(addon)) {
  process.stderr.write(
    `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? `${result.error.message}\n` : ''}`,
  );
  fail('node-gyp failed, see its output above');
}
writeFileSync(stamp, fingerprint);
console.log(`strowger: built the native addon in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);

/** A digest of all that goes into the build. */
function fingerprintOfSources() {
  const sources = join(root, 'native', 'src');
  const files = readdirSync(sources)
    .filter((name) => /\.(cc|h)$/.test(name))
    .sort()
    .map((name) => join(sources, name));
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const file of [...files, join(root, 'binding.gyp'), resolve('node-addon-api/package.json')]) {
    if (file) hash.update(`${file.slice(root.length)}\n`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** The pinned `node` package where it is installed (it brings its headers), else the Node that runs this. */
function nodeToBuildWith() {
  const pinned = join(root, 'node_modules', '.bin', 'node');
  const isPinned = firstThatRuns([pinned]) !== undefined;
  const architecture = `node-linux-${process.arch}`;
  if (isPinned && !existsSync(join(root, 'node_modules', 'node', 'node_modules', architecture, 'include'))) {
    // npm takes the headers for something that does not belong there, and removes them with the next `npm install`.
    spawnSync('npm', ['rebuild', 'node'], { cwd: root, stdio: 'ignore' });
  }
  const directories = isPinned
    ? [join(root, 'node_modules', 'node', 'node_modules', architecture), join(root, 'node_modules', architecture)]
    : [join(dirname(process.execPath), '..')];
  return {
    binary: isPinned ? pinned : process.execPath,
    // Without headers at hand node-gyp downloads them.
    directory: directories.find((directory) => existsSync(join(directory, 'include', 'node', 'node_api.h'))),
  };
}

function firstThatRuns(commands) {
  return commands.find((command) => command && spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0);
}

function resolve(specifier) {
  try {
    return require.resolve(specifier);
  } catch {
    return undefined; // The caller says what is missing.
  }
}

function fail(reason) {
  console.error(`strowger: cannot build the native addon: ${reason}`);
  process.exit(1);
}
