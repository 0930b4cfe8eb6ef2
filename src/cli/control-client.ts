/** Asks a running server over its control socket (runtime/control.ts). */

import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { loadConfig } from '../config/load.ts';
import { controlDirectories, findControlSockets, isControlSocketAlive } from '../runtime/control.ts';
import { INVALID_PARAMS, REFUSED } from '../runtime/request-error.ts';
import { type Arguments, UsageError } from './arguments.ts';

const ANSWER_LIMIT_MS = 5000;

/** An expected failure: one line, exit code 1. */
export class ControlError extends Error {
  override name = 'ControlError';
}

export interface ControlClient {
  /** The result, JSON of the method's own. Rejects with a ControlError. */
  call(method: string, params?: object, limitMs?: number): Promise<unknown>;
  close(): void;
}

/** Asks the server in question. The exit code. */
export async function asking(args: Arguments, ask: (client: ControlClient) => Promise<void>): Promise<number> {
  let client: ControlClient | null = null;
  try {
    client = await openClient(args);
    await ask(client);
    return 0;
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    console.error(`strowger: ${error.message}`);
    return 1;
  } finally {
    client?.close();
  }
}

/** Over HTTP where `--admin` says so, else over the control socket. */
async function openClient(args: Arguments): Promise<ControlClient> {
  const [url, tokenFile] = [args.valueFor('admin'), args.valueFor('token-file')];
  if (url === undefined && tokenFile === undefined) return openControlClient(await locateControlSocket(args));
  if (url === undefined) throw new UsageError('--token-file goes with --admin URL');
  if (tokenFile === undefined) throw new UsageError('--admin URL needs a token: --token-file FILE');
  if (args.flags.control !== undefined) throw new UsageError('--admin and --control exclude each other');
  const { openHttpClient } = await import('./http-client.ts');
  return openHttpClient(url, tokenFile);
}

/** Where the server in question has its socket: told, derived from its configuration, or the only one there is. */
export async function locateControlSocket({ config: file, flags }: Arguments): Promise<string> {
  let port: number | null = null;
  if (file !== undefined || flags.listen !== undefined || flags.control !== undefined) {
    const { config, problems } = loadConfig({ file, flags });
    if (problems !== undefined) throw new ControlError(problems.join('\n'));
    if (config.control.socket === 'off')
      throw new ControlError('control.socket is off: this server has no control socket');
    if (config.control.socket !== 'auto') return config.control.socket;
    if (file !== undefined || flags.listen !== undefined) port = config.listen[0]!.port || null;
  }
  const found = findControlSockets(port);
  const alive: string[] = [];
  for (const path of found) if (await isControlSocketAlive(path)) alive.push(path);
  if (alive.length === 1) return alive[0]!;
  if (alive.length > 1) {
    throw new ControlError(`several servers are running; choose one with --control PATH: ${alive.join(', ')}`);
  }
  const where = controlDirectories().join(' and ');
  const name = `strowger-${port ?? '*'}.sock`;
  throw new ControlError(`no running server found (no live ${name} in ${where}); give its socket with --control PATH`);
}

export async function openControlClient(path: string): Promise<ControlClient> {
  const socket = await connected(path);
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  // Lines end with what was sent, and not with a connection that breaks, or that is given up here.
  const closed = new Promise<{ readonly done: true }>((resolve) => socket.once('close', () => resolve({ done: true })));
  let lastId = 0;
  return {
    async call(method, params, limitMs = ANSWER_LIMIT_MS) {
      lastId++;
      socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: lastId, method, params })}\n`);
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        socket.destroy();
      }, limitMs);
      const line = await Promise.race([lines.next(), closed]);
      clearTimeout(timer);
      if (isLate) throw new ControlError(`${path}: the server does not answer within ${limitMs / 1000} s`);
      if (line.done === true) throw new ControlError(`${path}: the server went away without an answer`);
      return resultOf(line.value, path);
    },
    close: () => socket.destroy(),
  };
}

export function resultOf(line: string, path: string): unknown {
  let answer: { result?: unknown; error?: { code?: unknown; message?: unknown } } | null;
  try {
    answer = JSON.parse(line);
  } catch {
    throw new ControlError(`${path}: this is not a Strowger that answers there`);
  }
  const { error } = answer ?? {};
  if (error === undefined) return answer?.result;
  // What is wrong with a question is said without the socket that it was asked over.
  const isAboutQuestion = error.code === REFUSED || error.code === INVALID_PARAMS;
  throw new ControlError(isAboutQuestion ? String(error.message) : `${path}: ${String(error.message)}`);
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      socket.on('error', () => socket.destroy()); // seen by `call` as the end of the lines
      resolve(socket);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => reject(new ControlError(`${path}: ${sayErrno(code)}`)));
  });
}

function sayErrno(code: string | undefined): string {
  if (code === 'ENOENT') return 'there is no such socket; is the server running?';
  if (code === 'ECONNREFUSED') return 'nobody answers there any more; the server is gone';
  if (code === 'EACCES') return 'belongs to another user; ask as the user that runs the server';
  if (code === 'ENOTSOCK') return 'is not a socket';
  return `cannot be reached (${code})`;
}
