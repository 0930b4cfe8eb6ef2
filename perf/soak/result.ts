/** What a soak leaves behind, as JSON. */

import type { Machine } from '../bench/result.ts';
import type { FailedCall, Kill } from './failed-calls.ts';

export const SOAK_FORMAT = 'strowger-soak/1';

/** How it was at one moment. */
export interface Sample {
  /** Since the load began. */
  readonly atSec: number;
  readonly rssMb: number;
  /** Calls so far. */
  readonly started: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Server and client transactions in use, finished ones that linger among them. */
  readonly transactions: number;
  readonly keptMessages: number;
  readonly keptMb: number;
  readonly slotsFree: number;
  readonly reloads: number;
  readonly kills: number;
  /** Cores since the sample before: of the server, of SIPp, and of all programs of the machine. */
  readonly serverCpus: number;
  readonly loadCpus: number;
  readonly busyCpus: number;
}

export interface SoakSettings {
  readonly minutes: number;
  readonly callsPerSec: number;
  /** Calls a second of a load that never waits; null: not known. */
  readonly capacityPerSec: number | null;
  readonly shards: number;
  readonly domains: number;
  readonly reloadEverySec: number;
  readonly killEverySec: number;
  readonly scrapeEverySec: number;
}

export interface SoakResult {
  readonly format: typeof SOAK_FORMAT;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly command: string;
  readonly settings: SoakSettings;
  readonly samples: readonly Sample[];
  readonly calls: {
    readonly started: number;
    readonly successful: number;
    /** They came to no good end. */
    readonly failed: number;
    /** They did, but were refused first. */
    readonly refused: number;
    readonly retransmissions: number;
  };
  /** Calls lost with each of them. */
  readonly kills: readonly (Kill & { readonly lostCalls: number })[];
  /** Failed calls that no shard took with it. */
  readonly otherFailures: readonly FailedCall[];
  readonly reloads: { readonly count: number; readonly longestPauseMs: number };
  readonly scrapes: { readonly count: number; readonly medianMs: number; readonly longestMs: number };
  /** Counters at the end that are not 0, summed over their labels. */
  readonly counters: Readonly<Record<string, number>>;
  /** Once nothing was in flight any more. */
  readonly rest: {
    readonly transactions: number;
    readonly keptMessages: number;
    readonly slotsMissing: number;
    readonly jumboSlotsMissing: number;
    readonly parked: number;
    readonly afterSec: number;
  };
  readonly exitCode: number | null;
  /** Nothing may be wrong. */
  readonly problems: readonly string[];
}
