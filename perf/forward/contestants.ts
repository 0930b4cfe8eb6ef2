/** Who is measured: Strowger as `npm start` runs it, the bare relay, Kamailio. Each forwards between the two ports of the
 *  load generator, runs on one CPU and is started afresh for every turn. Whatever is started here ends with this process. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Route } from './exchange.ts';
import type { Load, LoadResult } from './load.ts';
import { isBound, processTree } from './process-figures.ts';

const root = join(import.meta.dirname, '..', '..');
const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 3000;
const POLL_MS = 20;
/** What the load generator may take beyond its stages. */
const LOAD_MARGIN_MS = 20_000;

export interface Contestant {
  readonly name: string;
  readonly version: string;
  readonly hops: 0 | 1;
  /** The program and its arguments. */
  command(route: Route, folder: string): string[];
}

/** `serverArguments`: flags for `strowger start` beyond those that set it up for this test. */
export function strowger(revision: string, serverArguments: readonly string[]): Contestant {
  return {
    name: 'strowger',
    version: revision,
    hops: 1,
    command: ({ serverPort }, folder) => [
      process.execPath,
      join(root, 'bin', 'strowger.js'),
      'start',
      ...['--listen', `udp:127.0.0.1:${serverPort}`],
      ...['--control', 'off'],
      ...['--set', `crash.directory=${folder}`],
      ...(serverArguments.includes('--workers') ? [] : ['--workers', '1']),
      ...serverArguments,
    ],
  };
}

/** The floor: recvfrom and sendto for each datagram, or recvmmsg and sendmmsg for up to 64. */
export function relay(mode: 'one' | 'batch'): Contestant {
  const binary = compileRelay();
  return {
    name: mode === 'one' ? 'relay' : 'relay, batches',
    version: mode === 'one' ? 'recvfrom/sendto' : 'recvmmsg/sendmmsg',
    hops: 0,
    command: ({ serverPort, clientPort, agentPort }) => [
      binary,
      `${serverPort}`,
      `${clientPort}`,
      `${agentPort}`,
      mode,
    ],
  };
}

/** Kamailio, if it is on the PATH. Its fast allocator (-x fm -X fm: Debian's default is the one for debugging, five times
 *  slower), one UDP child, nothing logged, no TCP, no DNS, only the modules that stateless forwarding needs. */
export function kamailio(): Contestant | null {
  const version = spawnSync('kamailio', ['-v'], { encoding: 'utf8' });
  if (version.status !== 0) return null;
  return {
    name: 'kamailio',
    version: /kamailio (\S+)/.exec(version.stdout)?.[1] ?? 'unknown',
    hops: 1,
    command: ({ serverPort }, folder) => {
      const file = join(folder, 'kamailio.cfg');
      writeFileSync(file, kamailioConfiguration(serverPort));
      const memory = ['-x', 'fm', '-X', 'fm', '-m', '64', '-M', '8'];
      return ['kamailio', '-DD', '-E', '-f', file, '-w', folder, '-Y', folder, '-P', join(folder, 'pid'), ...memory];
    },
  };
}

function kamailioConfiguration(port: number): string {
  return `
debug=-1
log_stderror=yes
children=1
listen=udp:127.0.0.1:${port}
maxbuffer=4194304
disable_tcp=yes
disable_sctp=yes
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=no
server_signature=no
sip_warning=no
loadmodule "sl.so"
loadmodule "maxfwd.so"

request_route {
  if (!mf_process_maxfwd_header("70")) {
    sl_send_reply("483", "Too Many Hops");
    exit;
  }
  forward();
}
`;
}

/** Compiles relay.c into the build folder unless that is done. */
function compileRelay(): string {
  const source = join(import.meta.dirname, 'relay.c');
  const folder = join(root, 'build', 'perf');
  const binary = join(folder, 'relay');
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return binary;
  mkdirSync(folder, { recursive: true });
  const compiler = process.env['CC'] ?? 'cc';
  const run = spawnSync(compiler, ['-O2', '-Wall', '-Wextra', '-o', binary, source], { encoding: 'utf8' });
  if (run.status === 0) return binary;
  throw new Error(`${compiler} did not compile perf/forward/relay.c: ${run.stderr || run.error?.message}`);
}

// ---- One turn -------------------------------------------------------------------------------------------------------

export interface Cpus {
  readonly load: number;
  readonly server: number;
}

/** Starts the contestant, drives the load through it and stops it again. Throws if it does not start or forward. */
export async function measure(
  contestant: Contestant,
  cpus: Cpus,
  load: Pick<Load, 'window' | 'rate' | 'warmUpMs' | 'durationMs'>,
): Promise<LoadResult> {
  const [serverPort, clientPort, agentPort] = await freePorts(3);
  const route = { serverPort: serverPort!, clientPort: clientPort!, agentPort: agentPort!, hops: contestant.hops };
  const folder = mkdtempSync(join(tmpdir(), 'strowger-perf-'));
  folders.add(folder);
  const server = startPinned(cpus.server, contestant.command(route, folder));
  try {
    await untilBound(contestant, server, route.serverPort);
    const pids = processTree(server.process.pid!);
    const all: Load = { ...load, route, pids, serverCpu: cpus.server };
    return await runLoad(all, cpus.load);
  } catch (error) {
    throw new Error(`${contestant.name}: ${(error as Error).message}\n${server.output()}`);
  } finally {
    await stop(server);
    removeFolder(folder);
  }
}

async function runLoad(load: Load, cpu: number): Promise<LoadResult> {
  const generator = startPinned(cpu, [process.execPath, join(import.meta.dirname, 'load.ts'), JSON.stringify(load)]);
  generator.process.stderr!.pipe(process.stderr, { end: false });
  const ended = await Promise.race([
    generator.ended,
    sleep(load.warmUpMs + load.durationMs + LOAD_MARGIN_MS, 'late', { ref: false }),
  ]);
  await stop(generator);
  if (ended === 'late') throw new Error('the load generator did not end');
  if (ended !== 0) throw new Error('the load generator failed, see above');
  return JSON.parse(generator.output()) as LoadResult;
}

async function untilBound(contestant: Contestant, server: Child, port: number): Promise<void> {
  const until = performance.now() + START_LIMIT_MS;
  while (!isBound(port)) {
    if (server.process.exitCode !== null) throw new Error(`${contestant.name} ended by itself`);
    if (performance.now() > until) throw new Error(`did not open its port within ${START_LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

/** Ports that are free now, taken together so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const sockets = Array.from({ length: count }, () => createSocket('udp4'));
  const ports = await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<number>((resolve, reject) => {
          socket.once('error', reject).bind(0, '127.0.0.1', () => resolve(socket.address().port));
        }),
    ),
  );
  for (const socket of sockets) socket.close();
  return ports;
}

// ---- Processes ------------------------------------------------------------------------------------------------------

interface Child {
  readonly process: ChildProcess;
  /** The exit code; null after a signal or if it could not be started. */
  readonly ended: Promise<number | null>;
  /** What it has printed so far. */
  output(): string;
}

const running = new Set<Child>();
/** Where the contestants write, if they must. */
const folders = new Set<string>();
process.on('exit', leaveNothingBehind);

/** In a group of its own, so that nothing of it is left behind; ended by the kernel should this process be killed. */
function startPinned(cpu: number, command: readonly string[]): Child {
  const process = spawn('setpriv', ['--pdeathsig', 'TERM', 'taskset', '-c', String(cpu), ...command], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  process.stdout.on('data', (chunk) => (output += chunk));
  process.stderr.on('data', (chunk) => (output += chunk));
  const ended = new Promise<number | null>((resolve) => {
    process.on('close', resolve).on('error', (error) => {
      output += `${error.message} (setpriv and taskset come with util-linux)`;
      resolve(null);
    });
  });
  const child: Child = { process, ended, output: () => output };
  running.add(child);
  return child;
}

async function stop(child: Child): Promise<void> {
  child.process.kill('SIGTERM');
  await Promise.race([child.ended, sleep(STOP_LIMIT_MS, undefined, { ref: false })]);
  killGroup(child);
  await child.ended;
  running.delete(child);
}

/** Ends all there is, at once. */
function leaveNothingBehind(): void {
  for (const child of running) killGroup(child);
  for (const folder of folders) removeFolder(folder);
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

function killGroup({ process: { pid } }: Child): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ESRCH: all of it has ended
  }
}
