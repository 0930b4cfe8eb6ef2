/** A PostgreSQL of the test's own: a cluster in a temporary folder, on a unix socket in it, with a user and a password. It is
 *  never run by root, which PostgreSQL refuses. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { START_PATIENCE_MS } from '../process/patience.ts';
import { until } from '../process/server-process.ts';

export const PASSWORD = 'open-sesame-7391';
const USER = 'strowger';
/** Nobody else's socket is in the folder. */
const PORT = 5432;

export class PostgresServer {
  readonly #folder: string;
  readonly #account: { readonly uid?: number; readonly gid?: number };
  #child: ChildProcess | null = null;

  private constructor(folder: string, account: { readonly uid?: number; readonly gid?: number }) {
    this.#folder = folder;
    this.#account = account;
  }

  /** A new cluster that runs. */
  static async start(): Promise<PostgresServer> {
    const account = accountOfServer();
    const folder = mkdtempSync(join(tmpdir(), 'strowger-pg-'));
    if (account.uid !== undefined) chownSync(folder, account.uid, account.gid!);
    const server = new PostgresServer(folder, account);
    try {
      server.#init();
      await server.run();
    } catch (error) {
      await server.remove();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `postgres://${USER}:${PASSWORD}@/postgres?host=${this.#folder}`;
  }

  async run(): Promise<void> {
    const settings = ['listen_addresses=', `unix_socket_directories=${this.#folder}`, `port=${PORT}`, 'fsync=off'];
    const args = ['-D', join(this.#folder, 'data'), ...settings.flatMap((setting) => ['-c', setting])];
    let errors = '';
    this.#child = spawn(program('postgres'), args, { ...this.#account, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    await until('PostgreSQL', () => errors.includes('ready to accept connections'), {
      deadlineMs: START_PATIENCE_MS,
      explain: () => errors,
    });
  }

  /** At once, connections and all. `run` brings it back. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    child.kill('SIGQUIT');
    await once(child, 'exit');
  }

  /** A connection of the test. */
  async connect(): Promise<Client> {
    const client = new Client({ connectionString: this.url });
    // It dies with the server.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #init(): void {
    const passwordFile = join(this.#folder, 'password');
    writeFileSync(passwordFile, PASSWORD);
    chmodSync(passwordFile, 0o644);
    const options = ['--auth=scram-sha-256', '--no-locale', '--encoding=UTF8', '--no-sync'];
    const args = ['-D', join(this.#folder, 'data'), '-U', USER, `--pwfile=${passwordFile}`, ...options];
    execFileSync(program('initdb'), args, { ...this.#account, cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

/** Whom to run it as. */
function accountOfServer(): { uid?: number; gid?: number } {
  if (process.getuid!() !== 0) return {};
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

/** Debian keeps servers of several versions, none of them on PATH. */
function program(name: string): string {
  const folders = [
    ...globSync('/usr/lib/postgresql/*/bin').sort().reverse(),
    ...(process.env['PATH'] ?? '').split(':'),
  ];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is missing: apt-get install postgresql`);
  return found;
}
