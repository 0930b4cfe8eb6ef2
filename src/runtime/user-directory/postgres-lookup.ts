/** Users in PostgreSQL: one query for each, over a few connections of this shard. Cold. */

import { hash } from 'node:crypto';
import type { Pool } from 'pg';
import { ALGORITHM, type Algorithm, DIGEST_BYTES, NODE_HASHES } from '../../auth/algorithms.ts';
import type { Ha1s, UserLookup } from './user-lookup.ts';

/** Connections of one shard. */
const MAX_CONNECTIONS = 4;
const IDLE_MS = 60_000;
const COLUMNS = ['ha1', 'ha1_sha256', 'ha1_sha512_256', 'ha1_sha512t256', 'password'];

export interface PostgresSettings {
  /** postgres://USER:PASSWORD@HOST:PORT/DATABASE; what it leaves out comes from PGPASSWORD and its like, or ~/.pgpass. */
  readonly url: string;
  /** $1: the user, $2: the realm. */
  readonly query: string;
  readonly timeoutMs: number;
}

/** What a query gives of a user, by column. */
export type UserRow = Readonly<Record<string, unknown>>;

export class PostgresLookup implements UserLookup {
  readonly #query: string;
  readonly #pool: Promise<Pool>;

  /** Connects when it is asked for the first time. */
  constructor(settings: PostgresSettings) {
    this.#query = settings.query;
    this.#pool = openPool(settings);
    // Whoever looks for somebody gets to know it.
    this.#pool.catch(() => undefined);
  }

  async find(realmName: string, user: string, signal: AbortSignal): Promise<Ha1s | null> {
    const client = await (await this.#pool).connect();
    if (signal.aborted) {
      client.release();
      throw signal.reason;
    }
    // A connection whose answer nobody waits for is of no use to anybody else.
    let isReleased = false;
    const release = (isBroken: boolean) => {
      if (!isReleased) client.release(isBroken);
      isReleased = true;
    };
    const drop = () => release(true);
    signal.addEventListener('abort', drop, { once: true });
    try {
      const { rows } = await client.query<UserRow>(this.#query, [user, realmName]);
      release(false);
      return rows.length === 0 ? null : ha1sOf(rows[0]!, realmName, user);
    } finally {
      signal.removeEventListener('abort', drop);
      release(true);
    }
  }

  async close(): Promise<void> {
    const pool = await this.#pool.catch(() => null);
    await pool?.end();
  }
}

/** Loaded only where it is needed. */
async function openPool({ url, timeoutMs }: PostgresSettings): Promise<Pool> {
  const { Pool } = await import('pg');
  const pool = new Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: timeoutMs,
    idleTimeoutMillis: IDLE_MS,
    keepAlive: true,
    application_name: 'strowger',
  });
  // A connection that dies is replaced, and a query that dies with it says so by itself; an event without a listener would
  // end the shard.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** The HA1s of a row: of its columns ha1 (by SHA-256 where it has 64 digits, as Kamailio keeps them when told to), ha1_sha256,
 *  and ha1_sha512_256, which OpenSIPS calls ha1_sha512t256; a column `password` makes up for those that are missing. Throws an
 *  Error if the row has none of these columns. */
export function ha1sOf(row: UserRow, realmName: string, user: string): Ha1s {
  if (!COLUMNS.some((column) => column in row)) {
    throw new Error(`auth.directory.query gives none of the columns ${COLUMNS.join(', ')}`);
  }
  const password = typeof row['password'] === 'string' && row['password'] !== '' ? row['password'] : null;
  const of = (algorithm: Algorithm, ...columns: string[]): Uint8Array | null => {
    for (const column of columns) {
      const ha1 = bytesOf(row[column], DIGEST_BYTES[algorithm]);
      if (ha1 !== null) return ha1;
    }
    return password === null ? null : hash(NODE_HASHES[algorithm], `${user}:${realmName}:${password}`, 'buffer');
  };
  return [
    of(ALGORITHM.MD5, 'ha1'),
    of(ALGORITHM.SHA_256, 'ha1_sha256', 'ha1'),
    of(ALGORITHM.SHA_512_256, 'ha1_sha512_256', 'ha1_sha512t256'),
  ];
}

/** null: not so many bytes in hexadecimal digits. */
function bytesOf(value: unknown, length: number): Uint8Array | null {
  if (typeof value !== 'string') return null;
  const hex = value.trim();
  return hex.length === length * 2 && /^[0-9a-fA-F]+$/.test(hex) ? Buffer.from(hex, 'hex') : null;
}
