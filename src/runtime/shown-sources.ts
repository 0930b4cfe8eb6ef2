/** What the main thread knows and the arena does not tell, of which both /metrics (server-metrics.ts) and the live page
 *  (live/live-reading.ts) are made. */

import type { Config } from '../config/schema.ts';
import type { Arena } from '../memory/arena.ts';
import type { ShardStatus } from './supervisor.ts';

/** A socket of datagrams. */
export interface ShownSocket {
  readonly text: string;
  readonly receiveBufferBytes: number;
  readonly drops: () => number;
  /** What waits in the receive buffer, as the kernel counts it: it is full at twice `receiveBufferBytes`. */
  readonly queuedBytes: () => number;
  /** Datagrams. */
  readonly received: () => number;
}

export interface ShownSources {
  readonly arena: Arena;
  readonly config: Config;
  readonly sockets: readonly ShownSocket[];
  /** null: there is no dispatcher. */
  readonly isDispatcherUp: () => boolean | null;
  readonly shards: () => readonly ShardStatus[];
  readonly aorCount: () => number;
  readonly bindingCount: () => number;
  readonly storeState: () => string;
  /** Brings the main thread's own counters up to date. */
  readonly refresh: () => void;
}
