/** Processes that the benchmark starts: in a group of their own, pinned to CPUs where that was asked for, ended by the kernel
 *  should this process be killed, and gone with their folders when it ends. Cold. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const KEPT_OUTPUT_CHARS = 8000;

export interface StartOptions {
  readonly cwd?: string;
  /** Where it may run; null: wherever this process may. */
  readonly cpus?: readonly number[] | null;
  /** False: its stdout goes nowhere. Default: true. */
  readonly keepsOutput?: boolean;
}

const running = new Set<OwnedProcess>();
const folders = new Set<string>();
process.on('exit', leaveNothingBehind);

export class OwnedProcess {
  readonly #child: ChildProcess;
  /** The exit code; null after a signal, or if it could not be started (`output` says why). */
  readonly exited: Promise<number | null>;
  #output = '';
  #hasEnded = false;

  constructor(command: readonly string[], { cwd, cpus = null, keepsOutput = true }: StartOptions = {}) {
    const pinned = cpus === null || !canPin() ? [] : ['taskset', '-c', cpus.join(',')];
    const tied = isOnPath('setpriv') ? ['setpriv', '--pdeathsig', 'KILL'] : [];
    const [program, ...args] = [...tied, ...pinned, ...command];
    this.#child = spawn(program!, args, {
      ...(cwd === undefined ? {} : { cwd }),
      detached: true,
      stdio: ['ignore', keepsOutput ? 'pipe' : 'ignore', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT_CHARS);
      });
    }
    this.exited = new Promise((resolve) => {
      const end = (code: number | null) => {
        this.#hasEnded = true;
        running.delete(this);
        resolve(code);
      };
      this.#child.on('exit', end).on('error', (error) => {
        this.#output += error.message;
        end(null);
      });
    });
    running.add(this);
  }

  /** 0: it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The end of what it printed. */
  get output(): string {
    return this.#output;
  }

  /** Nothing happens to a process that has ended. */
  signal(name: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#child.kill(name);
  }

  /** SIGTERM, and SIGKILL for it and its children if it is still there after `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    this.signal('SIGTERM');
    await this.endsWithin(limitMs);
    this.kill();
    await this.exited;
  }

  async endsWithin(limitMs: number): Promise<boolean> {
    const limit = new AbortController();
    const late = sleep(limitMs, undefined, { signal: limit.signal }).catch(() => undefined);
    await Promise.race([this.exited, late]);
    limit.abort();
    return this.#hasEnded;
  }

  /** It and what it started, at once. */
  kill(): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ESRCH: all of it has ended
    }
  }
}

/** A folder for what a process writes; removed with this process at the latest. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-bench-'));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

export function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => folder !== '' && existsSync(join(folder, program)));
}

/** Whether CPUs can be chosen for a process (util-linux). */
export function canPin(): boolean {
  return isOnPath('taskset');
}

function leaveNothingBehind(): void {
  for (const owned of running) owned.kill();
  for (const folder of folders) removeFolder(folder);
}
