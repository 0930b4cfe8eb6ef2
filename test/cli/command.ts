/** Runs bin/strowger.js as a process of its own, as a user does. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const script = fileURLToPath(new URL('bin/strowger.js', root));

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly process: ChildProcess;
  readonly finished: Promise<Run>;
  /** Resolves once stdout or stderr holds the text, rejects if the process ends before. */
  saw(text: string): Promise<void>;
}

/** No run finds what an earlier one has stored. */
const stateHome = mkdtempSync(join(tmpdir(), 'strowger-state-'));
process.on('exit', () => rmSync(stateHome, { recursive: true, force: true }));

export function startCommand(args: readonly string[], environment: NodeJS.ProcessEnv = process.env): RunningCommand {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: fileURLToPath(root),
    env: { ...environment, XDG_STATE_HOME: stateHome },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Run>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  return {
    process: child,
    finished,
    saw: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!stdout.includes(text) && !stderr.includes(text)) return;
          resolve();
        };
        child.stdout.on('data', look);
        child.stderr.on('data', look);
        child.once('close', () => reject(new Error(`ended without ${JSON.stringify(text)}:\n${stdout}\n${stderr}`)));
        look();
      }),
  };
}

export function runCommand(...args: string[]): Promise<Run> {
  return startCommand(args).finished;
}
