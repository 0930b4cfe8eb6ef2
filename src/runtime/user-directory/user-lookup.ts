/** A directory of users that has to be asked, such as a database: what the shard knows of it. */

/** HA1s by ALGORITHM; null: none is known for it. As good as passwords: never logged. */
export type Ha1s = readonly [md5: Uint8Array | null, sha256: Uint8Array | null, sha512t256: Uint8Array | null];

export interface UserLookup {
  /** What the directory knows of a user; null: there is no such user. Rejects where nobody can say, and once `signal` is
   *  aborted as soon as it can. Errors carry neither passwords nor HA1s in their message. */
  find(realmName: string, user: string, signal: AbortSignal): Promise<Ha1s | null>;
  /** Lets go of everything. What is being looked for fails. */
  close(): Promise<void>;
}
