/** What the command line knows of a running server: the face of runtime/main.ts. */

export interface ServerDescription {
  /** Sockets as they are bound, e.g. `udp:127.0.0.1:5060`; a port 0 of the configuration is a real one here. */
  readonly listening: readonly string[];
  readonly mode: string;
  readonly shards: number;
  /** One sentence per socket whose receive buffer the kernel clamped, with the sysctl line that fixes it. */
  readonly receiveBufferNotes: readonly string[];
}

export interface RunningServer {
  describe(): ServerDescription;
  /** Counters summed over all threads, by name. */
  stats(): Record<string, number>;
  /** JSON-serialisable: shards, their incarnations, readiness. */
  status(): object;
  /** Takes no more datagrams, lets the shards finish, then resolves. Within 2 s. */
  stop(): Promise<void>;
  /** The exit code, when the server ends for whatever reason. */
  readonly finished: Promise<number>;
}

/** What `startServer` throws when a socket cannot be opened: `code` as in errno, `listen` as configured. */
export interface ListenError extends Error {
  readonly code: string;
  readonly listen?: string;
}
