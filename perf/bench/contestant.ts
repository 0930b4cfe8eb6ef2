/** Whom the load is played on: a server that runs already, or one that is started here for it with what the scenario needs
 *  (domain, users, registrar, redirect server), afresh for every turn. Cold. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../src/runtime/package-root.ts';
import { allowedCpus, processTree } from '../load/process-figures.ts';
import { BenchError } from './bench-error.ts';
import { KAMAILIO_MEMORY, kamailioConfiguration } from './kamailio.ts';
import { untilAnswering } from './options-ping.ts';
import { canPin, isOnPath, OwnedProcess, removeFolder, temporaryFolder } from './owned-process.ts';
import type { Contestant } from './result.ts';
import type { Service } from './scenario.ts';
import { freePorts, type HostPort, isBound, isLocalAddress, ownersOf, textOf } from './udp-sockets.ts';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 3000;
/** A server that does not answer an OPTIONS to itself may serve all the same: then the load begins after this. */
const ANSWER_LIMIT_MS = 3000;
const POLL_MS = 20;

export type ContestantKind =
  /** Strowger as `strowger start` runs it, started here. */
  | { readonly kind: 'strowger'; readonly args: readonly string[] }
  | { readonly kind: 'kamailio' }
  /** A command line for a shell, in which `{port}` is the UDP port to serve on 127.0.0.1. */
  | { readonly kind: 'command'; readonly command: string }
  /** Runs already; nothing is started or stopped. */
  | { readonly kind: 'running'; readonly at: HostPort }
  /** No server: the UAC calls the UAS (RFC 7502 6.1). `sharesCpus`: as beside a server that runs already, wherever it likes;
   *  else the load has the CPUs that it has beside a server that is started here. */
  | { readonly kind: 'baseline'; readonly sharesCpus?: boolean };

/** What a server that is started here is told. */
export interface Needs {
  readonly services: ReadonlySet<Service>;
  readonly domain: string;
  readonly users: readonly string[];
  readonly password: string;
}

/** Which CPUs are whose; null: not divided. */
export interface CpuPlan {
  readonly generator: readonly number[] | null;
  readonly server: readonly number[] | null;
}

/** A contestant that is up. */
export interface RunningContestant {
  readonly contestant: Contestant;
  readonly role: Contestant['role'];
  /** Null: the baseline, which has no server. */
  readonly at: HostPort | null;
  readonly cpus: CpuPlan;
  /** Processes of the server, as they are now; null: they cannot be seen from here. */
  pids(): readonly number[] | null;
  /** Throws a BenchError with its last words if it was started here and has ended. */
  check(): void;
  /** Ends what was started here. */
  stop(): Promise<void>;
}

/** Throws a BenchError with one line if it cannot be started. */
export async function startContestant(
  kind: ContestantKind,
  role: Contestant['role'],
  needs: Needs,
): Promise<RunningContestant> {
  if (kind.kind === 'baseline') return baseline(kind.sharesCpus === true);
  if (kind.kind === 'running') return alreadyRunning(kind.at, role);
  const [port] = await freePorts('127.0.0.1', 1);
  const at = { host: '127.0.0.1', port: port! };
  const folder = temporaryFolder();
  const cpus = cpuPlan();
  const plan = planOf(kind, at, needs, folder, cpus.server?.length ?? allowedCpus().length);
  const server = new OwnedProcess(plan.command, { cwd: folder, cpus: cpus.server });
  const stop = async () => {
    await server.stop(STOP_LIMIT_MS);
    removeFolder(folder);
  };
  try {
    await untilBound(plan.name, server, at.port);
    await untilAnswering(at, ANSWER_LIMIT_MS);
    checkRunning(plan.name, server);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    contestant: {
      name: plan.name,
      role,
      version: plan.version,
      command: shown(plan.command, folder),
      target: `sip:${textOf(at)}`,
    },
    role,
    at,
    cpus,
    pids: () => processTree(server.pid),
    check: () => checkRunning(plan.name, server),
    stop,
  };
}

/** As it reads on another machine: without our temporary folder and without where Node and this package lie. */
function shown(command: readonly string[], folder: string): string {
  const places = [
    [process.execPath, 'node'],
    [`${packageRoot()}/`, ''],
    [folder, '…'],
  ] as const;
  return places.reduce((text, [place, word]) => text.replaceAll(place, word), command.join(' '));
}

function baseline(sharesCpus: boolean): RunningContestant {
  return {
    contestant: { name: 'baseline', role: 'baseline', version: null, command: null, target: 'none: UAC to UAS' },
    role: 'baseline',
    at: null,
    cpus: { generator: sharesCpus ? null : cpuPlan().generator, server: null },
    pids: () => [],
    check: () => {},
    stop: async () => {},
  };
}

function alreadyRunning(at: HostPort, role: Contestant['role']): RunningContestant {
  return {
    contestant: { name: textOf(at), role, version: null, command: null, target: `sip:${textOf(at)}` },
    role,
    at,
    cpus: { generator: null, server: null },
    pids: () => (isLocalAddress(at.host) ? ownersOf(at.port) : null),
    check: () => {},
    stop: async () => {},
  };
}

/** The server gets the upper half of the CPUs, the load the others; undivided where there is one or no taskset. */
function cpuPlan(): CpuPlan {
  const cpus = allowedCpus();
  if (cpus.length < 2 || !canPin()) return { generator: null, server: null };
  const middle = cpus.length >> 1;
  return { generator: cpus.slice(0, middle), server: cpus.slice(middle) };
}

// ---- What is started ------------------------------------------------------------------------------------------------

interface StartPlan {
  readonly name: string;
  readonly version: string | null;
  readonly command: readonly string[];
}

type StartedKind = Exclude<ContestantKind, { kind: 'baseline' | 'running' }>;

function planOf(kind: StartedKind, at: HostPort, needs: Needs, folder: string, cpuCount: number): StartPlan {
  switch (kind.kind) {
    case 'strowger':
      return strowgerPlan(at, needs, folder, cpuCount, kind.args);
    case 'kamailio':
      return kamailioPlan(at, needs, folder, cpuCount);
    case 'command': {
      if (!kind.command.includes('{port}')) {
        throw new BenchError('a command to compare with must name its port: write {port} where it belongs');
      }
      const line = kind.command.replaceAll('{port}', String(at.port));
      const name = basename(kind.command.trim().split(/\s+/)[0]!);
      return { name, version: null, command: ['sh', '-c', `exec ${line}`] };
    }
  }
}

function strowgerPlan(
  at: HostPort,
  needs: Needs,
  folder: string,
  cpuCount: number,
  args: readonly string[],
): StartPlan {
  const file = join(folder, 'strowger.yaml');
  writeFileSync(file, strowgerConfiguration(at, needs, folder));
  const workers = args.includes('--workers') ? [] : ['--workers', String(Math.max(1, cpuCount - 1))];
  const root = packageRoot();
  return {
    name: 'strowger',
    version: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    command: [process.execPath, join(root, 'bin', 'strowger.js'), 'start', '--config', file, ...workers, ...args],
  };
}

/** As YAML, of which JSON is a part. Bindings stay in memory, as with every contestant here. */
function strowgerConfiguration(at: HostPort, { services, domain, users, password }: Needs, folder: string): string {
  const isAuthenticating = services.has('authenticate');
  const usersFile = join(folder, 'users');
  if (isAuthenticating) {
    const lines = users.map((user) => `${user}:${domain}:${md5(`${user}:${domain}:${password}`)}`);
    writeFileSync(usersFile, `${lines.join('\n')}\n`);
  }
  return JSON.stringify({
    listen: [`udp:${textOf(at)}`],
    domains: [
      {
        name: domain,
        role: services.has('redirect') ? 'redirect' : 'proxy',
        registrar: 'on',
        ...(isAuthenticating ? { authenticate: ['REGISTER'], usersFile } : {}),
      },
    ],
    // SIPp 3.6 answers no other.
    auth: { algorithms: ['MD5'], qop: ['auth'] },
    location: { store: 'off' },
    crash: { directory: folder },
    control: { socket: 'off' },
    log: { level: 'warn' },
  });
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

function kamailioPlan(at: HostPort, needs: Needs, folder: string, cpuCount: number): StartPlan {
  if (!isOnPath('kamailio')) {
    throw new BenchError('there is no kamailio on the PATH: install it (Debian, Ubuntu: apt-get install kamailio)');
  }
  const file = join(folder, 'kamailio.cfg');
  writeFileSync(file, kamailioConfiguration({ at, processes: cpuCount, ...needs }));
  const { stdout } = spawnSync('kamailio', ['-v'], { encoding: 'utf8' });
  return {
    name: 'kamailio',
    version: /kamailio (\S+)/.exec(stdout)?.[1] ?? null,
    command: [
      ...['kamailio', '-DD', '-E', '-f', file, '-w', folder, '-Y', folder, '-P', join(folder, 'pid')],
      ...KAMAILIO_MEMORY,
    ],
  };
}

function checkRunning(name: string, server: OwnedProcess): void {
  if (server.hasEnded) throw new BenchError(`${name} ended by itself: ${lastLine(server.output)}`);
}

async function untilBound(name: string, server: OwnedProcess, port: number): Promise<void> {
  const until = performance.now() + START_LIMIT_MS;
  while (!isBound(port)) {
    checkRunning(name, server);
    if (performance.now() > until) {
      throw new BenchError(
        `${name} did not open UDP port ${port} within ${START_LIMIT_MS / 1000} s: ${lastLine(server.output)}`,
      );
    }
    await sleep(POLL_MS);
  }
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) || 'it said nothing';
}
