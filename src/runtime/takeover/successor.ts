/** `strowger restart`: this process starts another one by its own command line, which takes over from it. Main thread, cold. */

import { type ChildProcess, spawn } from 'node:child_process';
import { REFUSED, RequestError } from '../request-error.ts';

/** What is for this process alone. */
const OWN_VARIABLES = ['WATCHDOG_PID', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;

export class Successor {
  #child: ChildProcess | null = null;
  #settle: (error: RequestError | null) => void = () => undefined;

  /** Resolves when it serves. Throws a RequestError if it does not come so far: then this process goes on. */
  async start(): Promise<{ readonly pid: number; readonly predecessor: number }> {
    if (this.#child !== null) throw new RequestError(REFUSED, 'a successor is starting already');
    if (process.pid === 1) {
      throw new RequestError(
        REFUSED,
        'this is the first process of a container, which ends with it: restart the container',
      );
    }
    const env: NodeJS.ProcessEnv = { ...process.env };
    for (const name of OWN_VARIABLES) delete env[name];
    const given = process.argv.slice(1);
    const args = [...process.execArgv, ...given, ...(given.includes('--takeover') ? [] : ['--takeover'])];
    // A group of its own: Ctrl-C and the like are for this process.
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    this.#child = child;
    const { promise, resolve } = Promise.withResolvers<RequestError | null>();
    this.#settle = resolve;
    child.once('error', ({ message }) => resolve(new RequestError(REFUSED, `no successor can be started: ${message}`)));
    child.once('exit', (code, signal) => {
      const how = signal === null ? `exit code ${code}` : signal;
      resolve(new RequestError(REFUSED, `the successor ended with ${how}, and its log says why; this server goes on`));
    });
    const error = await promise;
    this.#child = null;
    if (error !== null) throw error;
    child.unref();
    return { pid: child.pid!, predecessor: process.pid };
  }

  /** Some server has taken over; if it is the one that was started here, that was it. */
  serves(pid: number): void {
    if (pid === this.#child?.pid) this.#settle(null);
  }
}
