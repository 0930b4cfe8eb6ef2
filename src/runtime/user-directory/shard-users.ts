/** All that a shard knows of users, put together: the table of the main thread, exchanged when it sends another, and the
 *  directory behind it. Cold. */

import type { SharedCredentials } from '../../auth/credential-table.ts';
import { HA1, type Ha1Source } from '../../auth/ha1-source.ts';
import { asksForPasswords } from '../../config/asks-for-passwords.ts';
import type { Config } from '../../config/schema.ts';
import type { FileUsers } from '../../roles/proxy/users.ts';
import type { ShardLog } from '../shard-log.ts';
import { LookedUpUsers } from './looked-up-users.ts';
import { PostgresLookup } from './postgres-lookup.ts';
import { UserTable } from './user-table.ts';

/** The users as one configuration has them: the table may be exchanged, and realms are the numbers of its domains. */
class ConfiguredUsers {
  readonly source: Ha1Source | null;
  readonly #table: UserTable | null;
  readonly #isComplete: boolean;

  /** `shared` null: nobody asks for users. `directory` null: there is none. */
  constructor(shared: SharedCredentials | null, config: Config, directory: LookedUpUsers | null) {
    const table = shared === null ? null : new UserTable(shared);
    this.#table = table;
    this.#isComplete = directory === null;
    this.source = table === null || directory === null ? table : directory.behind(table, realmNames(config));
  }

  /** Who is in the files, and in the configuration. */
  get files(): FileUsers | null {
    return this.#table;
  }

  /** The algorithms that all users of a realm have an HA1 for, as bits; −1: nobody knows. */
  algorithmsOf(realm: number): number {
    return this.#table === null || !this.#isComplete ? -1 : this.#table.algorithmsOf(realm);
  }

  use(shared: SharedCredentials): void {
    this.#table?.use(shared);
  }
}

export class ShardUsers {
  readonly #log: Pick<ShardLog, 'write'>;
  #directory: LookedUpUsers | null;
  #current: ConfiguredUsers;

  constructor(shared: SharedCredentials | null, config: Config, log: Pick<ShardLog, 'write'>) {
    this.#log = log;
    this.#directory = this.#openDirectory(shared, config);
    this.#current = new ConfiguredUsers(shared, config, this.#directory);
  }

  /** Those of the configuration in use. */
  get current(): ConfiguredUsers {
    return this.#current;
  }

  /** Other users of the configuration in use, between two duty cycles. */
  use(shared: SharedCredentials): void {
    this.#current.use(shared);
  }

  /** Another configuration with its users. The directory and what it has said stay; earlier ones keep the users they had. */
  exchange(shared: SharedCredentials | null, config: Config): ConfiguredUsers {
    this.#directory ??= this.#openDirectory(shared, config);
    this.#current = new ConfiguredUsers(shared, config, this.#directory);
    return this.#current;
  }

  whenKnown(): Promise<void> {
    return this.#directory?.whenKnown() ?? Promise.resolve();
  }

  /** Whoever waits for the directory is told that it does not answer. */
  close(): void {
    // What cannot be closed ends with the thread.
    this.#directory?.close().catch(() => undefined);
  }

  /** null: the configuration names no directory, or no domain asks anybody to authenticate. */
  #openDirectory(shared: SharedCredentials | null, config: Config): LookedUpUsers | null {
    const { directory } = config.auth;
    if (shared === null || directory === undefined) return null;
    if (!asksForPasswords(config)) return null;
    const log = this.#log;
    return new LookedUpUsers({
      table: NOBODY,
      directory: new PostgresLookup(directory),
      realms: realmNames(config),
      settings: directory,
      nowMs: () => performance.now(),
      onTrouble: (error) =>
        log.write('error', 'users', sayError(error), 'the directory of users fails: requests of its users get 503'),
      onRecovery: () => log.write('info', 'users', {}, 'the directory of users answers again'),
    });
  }
}

const NOBODY: Ha1Source = { lookup: () => HA1.ABSENT };

/** By realm number. */
function realmNames({ domains }: Config): string[] {
  return domains.map(({ name, realm = name }) => realm);
}

/** Not the whole error: a driver may hang the connection's settings on it, or the row that it was about. */
function sayError(error: unknown): { readonly code: string | undefined; readonly reason: string } {
  const { code, message } = error as NodeJS.ErrnoException;
  return { code, reason: String(message ?? error) };
}
