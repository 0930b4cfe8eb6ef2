/** All that a shard knows of users, put together: the table of the main thread, exchanged when it sends another, and the
 *  directory behind it. Cold. */

import type { SharedCredentials } from '../../auth/credential-table.ts';
import type { Ha1Source } from '../../auth/ha1-source.ts';
import type { Config } from '../../config/schema.ts';
import type { FileUsers } from '../../roles/proxy/users.ts';
import type { ShardLog } from '../shard-log.ts';
import { LookedUpUsers } from './looked-up-users.ts';
import { PostgresLookup } from './postgres-lookup.ts';
import { UserTable } from './user-table.ts';

export class ShardUsers {
  readonly source: Ha1Source | null;
  readonly #table: UserTable | null;
  readonly #directory: LookedUpUsers | null;

  /** `shared` null: nobody asks for users. */
  constructor(shared: SharedCredentials | null, config: Config, log: Pick<ShardLog, 'write'>) {
    const table = shared === null ? null : new UserTable(shared);
    this.#table = table;
    this.#directory = table === null ? null : openDirectory(table, config, log);
    this.source = this.#directory ?? table;
  }

  /** Who is in the files, and in the configuration. */
  get files(): FileUsers | null {
    return this.#table;
  }

  /** The algorithms that all users of a realm have an HA1 for, as bits; −1: nobody knows. */
  algorithmsOf(realm: number): number {
    return this.#table === null || this.#directory !== null ? -1 : this.#table.algorithmsOf(realm);
  }

  /** Between two duty cycles. */
  use(shared: SharedCredentials): void {
    this.#table?.use(shared);
  }

  whenKnown(): Promise<void> {
    return this.#directory?.whenKnown() ?? Promise.resolve();
  }

  /** Whoever waits for the directory is told that it does not answer. */
  close(): void {
    // What cannot be closed ends with the thread.
    this.#directory?.close().catch(() => undefined);
  }
}

/** null: the configuration names no directory, or no domain asks anybody to authenticate. */
function openDirectory(table: UserTable, config: Config, log: Pick<ShardLog, 'write'>): LookedUpUsers | null {
  const { directory } = config.auth;
  if (directory === undefined || config.domains.every(({ authenticate }) => authenticate.length === 0)) return null;
  return new LookedUpUsers({
    table,
    directory: new PostgresLookup(directory),
    realms: config.domains.map(({ name, realm = name }) => realm),
    settings: directory,
    nowMs: () => performance.now(),
    onTrouble: (error) =>
      log.write('error', 'users', sayError(error), 'the directory of users fails: requests of its users get 503'),
    onRecovery: () => log.write('info', 'users', {}, 'the directory of users answers again'),
  });
}

/** Not the whole error: a driver may hang the connection's settings on it, or the row that it was about. */
function sayError(error: unknown): { readonly code: string | undefined; readonly reason: string } {
  const { code, message } = error as NodeJS.ErrnoException;
  return { code, reason: String(message ?? error) };
}
