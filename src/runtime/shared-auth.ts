/** What the main thread makes once for authentication and every shard opens: nonces of one shard are good on all. Cold. */

import { randomBytes } from 'node:crypto';
import { credentialsOf } from '../auth/configured.ts';
import { CredentialTable, type SharedCredentials, shareCredentials } from '../auth/credential-table.ts';
import type { Ha1Source } from '../auth/ha1-source.ts';
import { createNonceTable } from '../auth/nonce-counts.ts';
import { asksForPasswords } from '../config/asks-for-passwords.ts';
import type { Config } from '../config/schema.ts';
import type { AuthPorts } from '../roles/authentication.ts';

const SECRET_BYTES = 32;

/** Plain data, for any thread. */
export interface SharedAuth {
  readonly nonceTable: SharedArrayBuffer;
  readonly secret: Uint8Array;
  readonly credentials: SharedCredentials;
}

/** null: no domain asks anybody to authenticate. `users`: those of the configuration and its files, where there are files.
 *  `before`: what was shared until now, whose nonces stay good. */
export function shareAuth(
  config: Config,
  users: SharedCredentials | null = null,
  before: SharedAuth | null = null,
): SharedAuth | null {
  if (!asksForPasswords(config)) return null;
  return {
    nonceTable: before?.nonceTable ?? createNonceTable(),
    secret: before?.secret ?? randomBytes(SECRET_BYTES),
    credentials: users ?? shareCredentials(credentialsOf(config)),
  };
}

/** A shard's view of it. `users`: whom to ask, if not the shared table alone. */
export function openAuth(shared: SharedAuth | null, users: AskedUsers | null = null): AuthPorts | null {
  if (shared === null) return null;
  const { nonceTable, secret, credentials } = shared;
  if (users?.source) {
    return { nonceTable, secret, source: users.source, algorithmsOf: (realm) => users.algorithmsOf(realm) };
  }
  const table = new CredentialTable(credentials);
  return { nonceTable, secret, source: table, algorithmsOf: (realm) => table.algorithmsOf(realm) };
}

interface AskedUsers {
  readonly source: Ha1Source | null;
  algorithmsOf(realm: number): number;
}
