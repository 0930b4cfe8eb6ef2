/** The real server as a process of its own (bin/strowger.js), with test/process/observer.ts preloaded. Processes that a
 *  test leaves behind are ended by `endServers`. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Observation, Question } from './observe-main.ts';
import { PATIENCE_MS, START_PATIENCE_MS } from './patience.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const observer = new URL('./observer.ts', import.meta.url).href;

const POLL_MS = 5;

export interface LogEvent {
  readonly ts: string;
  readonly level: string;
  readonly msg: string;
  readonly shard?: number;
  readonly vector?: string | null;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly atMs: number;
}

const running = new Set<ServerProcess>();

/** Kills what is left and removes its temporary folders. For afterEach or afterAll. */
export async function endServers(): Promise<void> {
  await Promise.all([...running].map((server) => server.kill()));
}

export class ServerProcess {
  /** Temporary folder of this server: control socket, crashes. */
  readonly folder = mkdtempSync(join(tmpdir(), 'strowger-process-'));
  readonly child: ChildProcess;
  readonly exit: Promise<Exit>;
  stdout = '';
  stderr = '';
  #lastId = 0;
  readonly #answers = new Map<number, (observation: Observation) => void>();

  /** Without --mode it is stateless. `preload`: modules loaded into every thread after the observer. */
  constructor(args: readonly string[], preload: readonly URL[] = []) {
    // Without a rehearsal: it would take twice the CPU of everything else in a start.
    const own = [
      ...[
        `control.socket=${join(this.folder, 'control.sock')}`,
        `crash.directory=${this.crashFolder}`,
        'log.format=json',
      ],
      ...['location.store=off', 'bans.file=off', 'rehearsalMs=0'],
    ];
    // What the tests of the process are about does not depend on the mode; those that do name theirs.
    const mode = args.includes('--mode') ? [] : ['--mode', 'stateless'];
    const imports = [observer, ...preload.map(({ href }) => href)].flatMap((module) => ['--import', module]);
    this.child = spawn(
      process.execPath,
      [...imports, 'bin/strowger.js', 'start', ...own.flatMap((set) => ['--set', set]), ...mode, ...args],
      { cwd: root, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    );
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.child.on('message', (observation: Observation) => this.#answers.get(observation.id)?.(observation));
    this.exit = new Promise((resolve) =>
      this.child.on('close', (code, signal) => resolve({ code, signal, atMs: performance.now() })),
    );
    running.add(this);
  }

  /** A server that is up. Without --workers it gets two shards. */
  static start(...args: string[]): Promise<ServerProcess> {
    return ServerProcess.startPreloaded([], ...args);
  }

  /** The same with modules of the test's own loaded into every thread. */
  static async startPreloaded(preload: readonly URL[], ...args: string[]): Promise<ServerProcess> {
    const workers = args.includes('--workers') ? [] : ['--workers', '2'];
    const server = new ServerProcess([...workers, ...args], preload);
    await until('the banner', () => server.stdout.includes('\n  try ') || server.child.exitCode !== null, {
      deadlineMs: START_PATIENCE_MS,
      explain: () => server.output,
    });
    if (server.child.exitCode !== null) throw new Error(`the server ended at its start:\n${server.output}`);
    return server;
  }

  get crashFolder(): string {
    return join(this.folder, 'crashes');
  }

  get output(): string {
    return `${this.stdout}\n${this.stderr}`;
  }

  /** Log lines so far, oldest first. */
  get log(): LogEvent[] {
    const lines = this.stderr.split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line) as LogEvent);
  }

  observe(question: Omit<Question, 'id'> = {}): Promise<Observation> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer from the main thread within ${PATIENCE_MS} ms:\n${this.output}`)),
        PATIENCE_MS,
      );
      this.#answers.set(id, (observation) => {
        clearTimeout(timer);
        this.#answers.delete(id);
        resolve(observation);
      });
      this.child.send({ ...question, id });
    });
  }

  /** Counters summed over the threads. */
  async counters(): Promise<Record<string, number>> {
    const { threads } = await this.observe();
    const names = Object.keys(threads[0]!);
    return Object.fromEntries(names.map((name) => [name, threads.reduce((sum, counts) => sum + counts[name]!, 0)]));
  }

  /** Has a shard throw outside of any datagram. */
  crashShard(shard: number): Promise<Observation> {
    return this.observe({ crash: shard });
  }

  async kill(): Promise<void> {
    running.delete(this);
    if (this.child.exitCode === null) this.child.kill('SIGKILL');
    await this.exit;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Polls until `condition` holds; throws at the deadline, naming `what`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  {
    deadlineMs = PATIENCE_MS,
    pollMs = POLL_MS,
    explain = () => '',
  }: { deadlineMs?: number; pollMs?: number; explain?: () => string } = {},
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms\n${explain()}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
