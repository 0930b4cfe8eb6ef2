/** The users of the configuration and its files, as one thread sees them: a table that can be exchanged for a newer one while
 *  the thread runs. Hot: once per request that is authenticated or meant for a user, allocates nothing. */

import type { Algorithm } from '../../auth/algorithms.ts';
import { CredentialTable, type SharedCredentials } from '../../auth/credential-table.ts';
import type { Text } from '../../auth/digest-credentials.ts';
import type { Ha1Answer, Ha1Source } from '../../auth/ha1-source.ts';
import type { FileUsers } from '../../roles/proxy/users.ts';

export class UserTable implements Ha1Source, FileUsers {
  #table: CredentialTable;

  constructor(shared: SharedCredentials) {
    this.#table = new CredentialTable(shared);
  }

  /** From now on these. Not within a datagram: what was asked before is not asked again. */
  use(shared: SharedCredentials): void {
    this.#table = new CredentialTable(shared);
  }

  get userCount(): number {
    return this.#table.userCount;
  }

  /** As of `CredentialTable.algorithmsOf`. */
  algorithmsOf(realm: number): number {
    return this.#table.algorithmsOf(realm);
  }

  lookup(realm: number, text: Text, start: number, end: number, algorithm: Algorithm, target: Uint8Array): Ha1Answer {
    return this.#table.lookup(realm, text, start, end, algorithm, target);
  }

  has(domain: number, text: Text, start: number, end: number): boolean {
    return this.#table.has(domain, text, start, end);
  }
}
