/** The control socket: JSON-RPC 2.0 over a unix socket, a request or response per line. Main thread, cold.
 *
 *  ```
 *  → {"jsonrpc":"2.0","id":1,"method":"stats"}
 *  ← {"jsonrpc":"2.0","id":1,"result":{"datagrams_received_total":12}}
 *  ``` */

import { accessSync, chmodSync, constants, lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { answerText, type Calls, MAX_REQUEST_BYTES, tooLong } from './control/json-rpc.ts';

const MAX_CONNECTIONS = 32;
/** A client that does not read its answers is cut off beyond this. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const IDLE_LIMIT_MS = 60_000;
const PROBE_LIMIT_MS = 1000;

export interface ControlSocket {
  readonly path: string;
  /** Takes the socket away, so that another process can have one there; whoever is connected stays. */
  release(): void;
  close(): Promise<void>;
}

/** Directories for `auto`, best first. */
export function controlDirectories(environment: NodeJS.ProcessEnv = process.env): string[] {
  const { XDG_RUNTIME_DIR: own } = environment;
  const system = process.getuid?.() === 0 ? ['/run'] : [];
  return [...new Set([...(own === undefined || own === '' ? system : [own]), tmpdir()])];
}

function controlFileName(port: number): string {
  return `strowger-${port}.sock`;
}

/** Where a server puts its socket: the setting, or for `auto` the first writable directory; null for `off`. */
export function controlPath(
  setting: string,
  port: number,
  environment: NodeJS.ProcessEnv = process.env,
): string | null {
  if (setting === 'off') return null;
  if (setting !== 'auto') return setting;
  const directories = controlDirectories(environment);
  return join(directories.find(isWritable) ?? tmpdir(), controlFileName(port));
}

/** The control sockets of `auto` that lie around, dead ones included; `port` narrows it to one server's. */
export function findControlSockets(port: number | null, environment: NodeJS.ProcessEnv = process.env): string[] {
  return controlDirectories(environment).flatMap((directory) => {
    const names = listDirectory(directory).filter((name) =>
      port === null ? /^strowger-\d+\.sock$/.test(name) : name === controlFileName(port),
    );
    return names.map((name) => join(directory, name));
  });
}

/** Whether a process answers at `path`. */
export function isControlSocketAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isAlive: boolean) => {
      socket.destroy();
      resolve(isAlive);
    };
    socket.setTimeout(PROBE_LIMIT_MS, () => settle(true)); // connected to nobody's ear, but somebody holds it
    socket.once('connect', () => settle(true));
    // EACCES: it belongs to somebody else. Only a refused connection shows that nobody listens any more.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

/** Opens the socket; null, with a warning in the log, where that is impossible: the server runs on without it. */
export async function openControlSocket(path: string, calls: Calls, log: Logger): Promise<ControlSocket | null> {
  const refusal = await makeRoom(path);
  if (refusal !== null) {
    log.warn({ path }, `no control socket: ${refusal}`);
    return null;
  }
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    serve(socket, calls, log);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await listenAt(server, path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    log.warn(
      { path },
      `no control socket: ${path} cannot be made (${code ?? message}); choose another with --control PATH`,
    );
    return null;
  }
  server.on('error', (error) => log.warn({ err: error }, 'control socket'));
  return {
    path,
    release: () => server.close(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.destroy();
      }),
  };
}

/** Takes the leavings of a dead server away. Anything else at `path` stays, and the answer says what it is. */
async function makeRoom(path: string): Promise<string | null> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isSocket()) return `${path} is there already and is not a socket`;
  if (await isControlSocketAlive(path))
    return `${path} belongs to another running process; choose another with --control PATH`;
  try {
    unlinkSync(path);
    return null;
  } catch (error) {
    return `the stale ${path} cannot be removed (${(error as NodeJS.ErrnoException).code})`;
  }
}

function listenAt(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Others cannot connect in the instant before the chmod either: that needs write permission, which 022 takes away.
    server.listen(path, () => {
      server.removeListener('error', reject);
      try {
        chmodSync(path, 0o600);
        resolve();
      } catch (error) {
        server.close();
        reject(error);
      }
    });
  });
}

/** Requests of one client, in order: the next is begun when the one before is answered, and no more is read meanwhile. */
function serve(socket: Socket, calls: Calls, log: Logger): void {
  let pending = '';
  let isAnswering = false;
  const answerPending = async () => {
    isAnswering = true;
    socket.pause();
    for (let newline = pending.indexOf('\n'); newline >= 0 && !socket.destroyed; newline = pending.indexOf('\n')) {
      const line = pending.slice(0, newline);
      pending = pending.slice(newline + 1);
      if (Buffer.byteLength(line) > MAX_REQUEST_BYTES) return refuse(socket);
      if (line.trim() === '') continue;
      const answer = await answerText(line, calls, log);
      if (answer === null || socket.destroyed) continue;
      socket.write(`${answer}\n`);
      if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
    }
    if (pending.length > MAX_REQUEST_BYTES) return refuse(socket);
    isAnswering = false;
    socket.resume();
  };
  socket.setEncoding('utf8');
  socket.setTimeout(IDLE_LIMIT_MS, () => socket.destroy());
  socket.on('error', (error) => log.debug({ err: error }, 'control connection'));
  socket.on('data', (chunk: string) => {
    pending += chunk;
    if (!isAnswering) void answerPending();
  });
}

/** What still comes is taken, and not looked at, so that the answer can be read. */
function refuse(socket: Socket): void {
  socket.removeAllListeners('data');
  socket.resume();
  socket.end(`${tooLong()}\n`);
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // a directory of `auto` that does not exist holds no sockets
  }
}
