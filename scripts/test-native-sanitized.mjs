// Builds the addon once more with AddressSanitizer and UndefinedBehaviorSanitizer, into build-sanitized/, and runs its
// tests with that build. Exits with 1 on any report. Needs g++ and its libasan.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const output = join(root, 'build-sanitized');
const addon = join(output, 'strowger.node');
const reports = join(output, 'report');
const require = createRequire(join(root, 'package.json'));
const node = join(root, 'node_modules', '.bin', 'node');
const TESTS = [
  'test/native/huge-pages.test.ts',
  'test/native/misuse.test.ts',
  'test/native/segmentation.test.ts',
  'test/native/stream-socket.test.ts',
  'test/runtime/udp-socket.test.ts',
];

rmSync(output, { recursive: true, force: true });
mkdirSync(output);
writeFileSync(join(output, '.gitignore'), '*\n');
build();
test();

function build() {
  let headers = findHeaders();
  if (!headers) {
    // npm removes those of the pinned `node` with the next `npm install` (build-addon.mjs).
    spawnSync('npm', ['rebuild', 'node'], { cwd: root, stdio: 'ignore' });
    headers = findHeaders();
  }
  if (!headers) fail('no Node headers found');
  const sources = join(root, 'native', 'src');
  const files = readdirSync(sources).filter((name) => name.endsWith('.cc'));
  const flags = [
    ...'-std=c++17 -O1 -g -shared -fPIC -fno-exceptions -fno-rtti -fno-omit-frame-pointer -Wall -Wextra -Werror'.split(
      ' ',
    ),
    ...'-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined'.split(' '),
    ...['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_GYP_MODULE_NAME=strowger'].map((name) => `-D${name}`),
    ...['-isystem', headers, '-isystem', require('node-addon-api').include_dir],
  ];
  const result = spawnSync('g++', [...flags, ...files.map((name) => join(sources, name)), '-o', addon], {
    cwd: root,
    stdio: 'inherit',
  });
  if (result.status !== 0) fail('the build failed');
}

function findHeaders() {
  return [
    join(root, 'node_modules/node/node_modules', `node-linux-${process.arch}`, 'include/node'),
    join(root, 'node_modules', `node-linux-${process.arch}`, 'include/node'),
    join(dirname(process.execPath), '../include/node'),
  ].find((directory) => existsSync(join(directory, 'node_api.h')));
}

function test() {
  const libasan = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const result = spawnSync(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...TESTS], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      STROWGER_ADDON: addon,
      LD_PRELOAD: libasan,
      // Node leaves much to the end of the process, so leaks are not looked for. A report ends the process at once and
      // goes to a file as well, because a test's worker may take its output with it.
      ASAN_OPTIONS: `detect_leaks=0:abort_on_error=0:exitcode=99:log_path=${reports}`,
      UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:exitcode=99:log_path=${reports}`,
    },
  });
  const found = readdirSync(output).filter((name) => name.startsWith('report'));
  for (const name of found) console.error(readFileSync(join(output, name), 'utf8'));
  if (found.length > 0) fail(`${found.length} report(s), see above`);
  if (result.status !== 0) fail('tests failed');
}

function fail(reason) {
  console.error(`test-native-sanitized: ${reason}`);
  process.exit(1);
}
