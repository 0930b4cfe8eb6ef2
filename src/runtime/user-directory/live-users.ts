/** The users of the files across reloads: another configuration has other files, or the same ones for other domains. Main thread,
 *  cold. */

import type { Logger } from 'pino';
import type { SharedCredentials } from '../../auth/credential-table.ts';
import type { Config } from '../../config/schema.ts';
import { UserFiles } from './user-files.ts';
import { UserTable } from './user-table.ts';

export class LiveUsers {
  readonly #log: Logger;
  #files: UserFiles;
  #table: UserTable | null;
  #onChange: ((shared: SharedCredentials) => void) | null = null;
  /** Of the files before. */
  #reloads = 0;
  #failedReloads = 0;

  /** Throws as `new UserFiles`. */
  constructor(config: Config, log: Logger) {
    this.#log = log;
    this.#files = new UserFiles(config, log);
    this.#table = tableOf(this.#files);
  }

  /** null: there are none that anybody would ask for. */
  get shared(): SharedCredentials | null {
    return this.#files.shared;
  }

  /** As the main thread asks them; the same until `use`. */
  get table(): UserTable | null {
    return this.#table;
  }

  get reloads(): number {
    return this.#reloads + this.#files.reloads;
  }

  get failedReloads(): number {
    return this.#failedReloads + this.#files.failedReloads;
  }

  /** Calls `onChange` with the users whenever the files have changed and are fine. */
  watch(onChange: (shared: SharedCredentials) => void): void {
    this.#onChange = onChange;
    this.#watch();
  }

  /** Reads the files of another configuration. Throws as `new UserFiles`; nothing has changed then. `commit`: from now on these. */
  prepare(config: Config): { readonly table: UserTable | null; readonly commit: () => void } {
    const files = new UserFiles(config, this.#log);
    const table = tableOf(files);
    const commit = () => {
      this.#files.close();
      this.#reloads += this.#files.reloads;
      this.#failedReloads += this.#files.failedReloads;
      this.#files = files;
      this.#table = table;
      this.#watch();
    };
    return { table, commit };
  }

  close(): void {
    this.#files.close();
  }

  #watch(): void {
    const onChange = this.#onChange;
    if (onChange === null) return;
    const table = this.#table;
    const files = this.#files;
    files.watch((shared) => {
      // A look that had begun before others took their place.
      if (files !== this.#files) return;
      table?.use(shared);
      onChange(shared);
    });
  }
}

function tableOf({ shared }: UserFiles): UserTable | null {
  return shared === null ? null : new UserTable(shared);
}
