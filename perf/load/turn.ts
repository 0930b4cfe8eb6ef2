/** One turn of a contestant: starts it on its CPUs, drives the load through it and stops it again. Whatever is started here ends
 *  with this process. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isBound } from '../bench/udp-sockets.ts';
import type { Contestant } from './contestants.ts';
import type { EngineResult, Load, Stage } from './engine-result.ts';
import type { Transport, Way } from './flow-settings.ts';
import { processTree } from './process-figures.ts';
import { SCENARIOS } from './scenarios.ts';

const root = join(import.meta.dirname, '..', '..');
const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 3000;
const POLL_MS = 20;
/** What the engine may take beyond its stages, the users' registrations among it. */
const LOAD_MARGIN_MS = 60_000;

export interface Cpus {
  readonly load: number;
  readonly server: readonly number[];
}

/** How much of what. */
export type Amount = Pick<Load, 'scenario' | 'users'> & Stage & Partial<Lines>;

/** What the messages go by. */
export interface Lines {
  /** UDP unless it says otherwise. */
  readonly transport: Transport;
  /** Of TCP: those of the UAC to the server, and as many from the server to the UAS. */
  readonly connections: number;
}

export interface Played extends Omit<PlayedStages, 'results'> {
  readonly result: EngineResult;
}

export interface PlayedStages {
  /** One for each stage. */
  readonly results: readonly EngineResult[];
  /** How the contestant was started, for people: without the paths of this machine. */
  readonly command: string;
  /** sip:HOST:PORT. */
  readonly target: string;
}

/** Throws an Error with one line and the contestant's output if it does not start, or what comes back is not right. */
export async function play(contestant: Contestant, cpus: Cpus, amount: Amount): Promise<Played> {
  const { results, ...played } = await playStages(contestant, cpus, amount, [amount]);
  return { ...played, result: results[0]! };
}

/** The same with several stages, one after the other, for one and the same server. */
export async function playStages(
  contestant: Contestant,
  cpus: Cpus,
  { scenario, users, transport = 'udp', connections = 1 }: Pick<Amount, 'scenario' | 'users' | keyof Lines>,
  stages: readonly Stage[],
): Promise<PlayedStages> {
  const [serverPort, clientPort, agentPort] = await freePorts(3, transport);
  const isFloor = contestant.role === 'relay';
  const way: Way = {
    transport,
    connections: transport === 'udp' ? 1 : connections,
    serverPort: serverPort!,
    clientPort: clientPort!,
    agentPort: agentPort!,
    hops: isFloor ? 0 : 1,
    isStateful: !isFloor && SCENARIOS[scenario].setUp !== 'stateless',
  };
  const folder = mkdtempSync(join(tmpdir(), 'strowger-perf-'));
  folders.add(folder);
  const words = contestant.command(way, folder);
  const server = startPinned(cpus.server, words);
  try {
    await untilBound(contestant, server, way);
    const pids = processTree(server.process.pid!);
    const plain = stages.map(({ window, rate, warmUpMs, durationMs }) => ({ window, rate, warmUpMs, durationMs }));
    const load = { scenario, users, stages: plain, isFloor, way, pids, serverCpus: cpus.server };
    return {
      results: await runEngine(load, cpus.load),
      command: withoutPaths(words, folder),
      target: `sip:127.0.0.1:${way.serverPort}${transport === 'udp' ? '' : ';transport=tcp'}`,
    };
  } catch (error) {
    throw new Error(`${contestant.name}: ${(error as Error).message}\n${server.output()}${server.errors()}`);
  } finally {
    await stop(server);
    removeFolder(folder);
  }
}

/** Has `work` done while `count` programs of equal rank, which never sleep, share these CPUs with the server. */
export async function beside<Done>(cpus: readonly number[], count: number, work: () => Promise<Done>): Promise<Done> {
  const others = Array.from({ length: count }, () => startPinned(cpus, [process.execPath, '--eval', 'for (;;);']));
  try {
    return await work();
  } finally {
    await Promise.all(others.map(stop));
  }
}

function withoutPaths(words: readonly string[], folder: string): string {
  const short = (word: string) =>
    word === process.execPath ? 'node' : word.replaceAll(folder, 'FOLDER').replaceAll(join(root, '/'), '');
  return words.map(short).join(' ');
}

async function runEngine(load: Load, cpu: number): Promise<EngineResult[]> {
  const stagesMs = load.stages.reduce((sum, { warmUpMs, durationMs }) => sum + warmUpMs + durationMs, 0);
  const engine = startPinned([cpu], [process.execPath, join(import.meta.dirname, 'engine.ts'), JSON.stringify(load)]);
  engine.process.stderr!.pipe(process.stderr, { end: false });
  const ended = await Promise.race([engine.ended, sleep(stagesMs + LOAD_MARGIN_MS, 'late', { ref: false })]);
  await stop(engine);
  if (ended === 'late') throw new Error('the load engine did not end');
  if (ended !== 0) throw new Error('the load engine failed, see above');
  return JSON.parse(engine.output()) as EngineResult[];
}

async function untilBound(contestant: Contestant, server: Child, { serverPort, transport }: Way): Promise<void> {
  const until = performance.now() + START_LIMIT_MS;
  while (!isBound(serverPort, transport)) {
    if (server.process.exitCode !== null) throw new Error(`${contestant.name} ended by itself`);
    if (performance.now() > until) throw new Error(`did not open its port within ${START_LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

/** Ports that are free now, taken together so that they differ. */
async function freePorts(count: number, transport: Transport): Promise<number[]> {
  if (transport === 'tcp') return freeTcpPorts(count);
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

async function freeTcpPorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject).listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

// ---- Processes ------------------------------------------------------------------------------------------------------

interface Child {
  readonly process: ChildProcess;
  /** The exit code; null after a signal or if it could not be started. */
  readonly ended: Promise<number | null>;
  /** What it has printed so far, to either. */
  output(): string;
  errors(): string;
}

const children = new Set<Child>();
/** Where the contestants write, if they must. */
const folders = new Set<string>();
process.on('exit', leaveNothingBehind);

/** Ctrl-C and SIGTERM end this process and whatever it has started. */
export function exitOnSignals(): void {
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
}

/** In a group of its own, so that nothing of it is left behind; ended by the kernel should this process be killed. */
function startPinned(cpus: readonly number[], command: readonly string[]): Child {
  const process = spawn('setpriv', ['--pdeathsig', 'TERM', 'taskset', '-c', cpus.join(','), ...command], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  process.stdout.on('data', (chunk) => (output += chunk));
  process.stderr.on('data', (chunk) => (errors += chunk));
  const ended = new Promise<number | null>((resolve) => {
    process.on('close', resolve).on('error', (error) => {
      errors += `${error.message} (setpriv and taskset come with util-linux)`;
      resolve(null);
    });
  });
  const child: Child = { process, ended, output: () => output, errors: () => errors };
  children.add(child);
  return child;
}

async function stop(child: Child): Promise<void> {
  child.process.kill('SIGTERM');
  await Promise.race([child.ended, sleep(STOP_LIMIT_MS, undefined, { ref: false })]);
  killGroup(child);
  await child.ended;
  children.delete(child);
}

/** Ends all there is, at once. */
function leaveNothingBehind(): void {
  for (const child of children) killGroup(child);
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
