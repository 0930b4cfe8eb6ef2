/** What the command line knows of a running server: the face of runtime/main.ts. What operators ask of the location table goes
 *  over the control socket as it is here. */

import type { ConfigChanges } from '../config/changes.ts';
import type { Config } from '../config/schema.ts';
import type { BanOperations } from './bans/ban-list.ts';
import type { DrainCancellation, DrainOrder, DrainStatus } from './drain.ts';
import type { LiveView } from './live/live-feed.ts';
import type { ShardOperations } from './shard-service.ts';
import type { Invitation } from './takeover/handover.ts';
import type { ListedCertificate } from './tls/certificate-files.ts';
import type { TraceOperations } from './trace/trace-service.ts';

export interface ServerDescription {
  /** Sockets as they are bound, e.g. `udp:127.0.0.1:5060`; a port 0 of the configuration is a real one here. */
  readonly listening: readonly string[];
  readonly mode: string;
  readonly shards: number;
  /** One sentence per socket whose receive buffer the kernel clamped, with the sysctl line that fixes it. */
  readonly receiveBufferNotes: readonly string[];
}

/** A binding as lists have it. */
export interface ListedBinding {
  /** Canonical (sip/address-of-record.ts). */
  readonly aor: string;
  readonly contact: string;
  /** Time left, rounded up. */
  readonly expiresSec: number;
  /** 0 to 1. */
  readonly q: number;
  /** HOST:PORT that the REGISTER came from; null: it was added by hand. */
  readonly received: string | null;
  readonly userAgent: string | null;
}

/** All that is known of a binding; null where there is nothing. */
export interface ShownBinding extends ListedBinding {
  /** null: it was added by hand. */
  readonly callId: string | null;
  readonly cseq: number | null;
  /** All Path values, in their order. */
  readonly path: string | null;
  /** With its quotes. */
  readonly instance: string | null;
  readonly regId: number | null;
  /** The socket that the REGISTER came to, as `listen` has it, and the local address where that says more. */
  readonly socket: string | null;
  readonly localAddress: string | null;
  /** Requests go to where the REGISTER came from, whatever the contact says. */
  readonly isReachedAtSource: boolean;
  /** Other parameters of the contact, each with its semicolon. */
  readonly parameters: string | null;
  /** ISO 8601. */
  readonly updated: string;
}

/** A part of a walk through the table. `cursor`: where the next part begins; null: this was the last one. An AoR that is
 *  there all the while is in one part; one that comes or goes meanwhile may be in none, or in two. */
export interface BindingPage {
  readonly bindings: readonly ListedBinding[];
  readonly cursor: number | null;
}

export interface DomainCount {
  readonly domain: string;
  readonly aors: number;
  readonly bindings: number;
}

/** What a part of the table holds: to be summed up, since the same domain comes again in others. */
export interface CountPage {
  readonly domains: readonly DomainCount[];
  readonly cursor: number | null;
}

/** The location table for operators. AoRs may be written without `sip:`. Throws a RequestError with one line of what is
 *  wrong. No call takes more than a few milliseconds. */
export interface LocationOperations {
  /** Bindings in no order; a few more than `limit` where the last of them are neighbours in the table. */
  list(question: { cursor: number; limit: number; domain?: string | undefined }): BindingPage;
  count(question: { cursor: number; domain?: string | undefined }): CountPage;
  /** Throws if there are none. */
  show(aor: string): { readonly aor: string; readonly bindings: readonly ShownBinding[] };
  /** Takes the place of a binding with an equal contact (RFC 3261 19.1.4). `q`: 0 to 1. */
  add(binding: { aor: string; contact: string; expiresSec: number; q: number }): {
    readonly aor: string;
    readonly contact: string;
    readonly isNew: boolean;
  };
  /** Bindings with an equal contact, or all. Throws if there are none. */
  remove(binding: { aor: string; contact?: string | undefined }): { readonly aor: string; readonly removed: number };
}

export interface TlsOperations {
  list(): ListedCertificate[];
  /** `problem`: why the files cannot be used; null: they can. */
  reload(): { readonly isChanged: boolean; readonly problem: string | null };
}

export interface ReloadOrder {
  /** Nothing is changed. */
  readonly isDryRun: boolean;
  /** What needs a new start in part is refused as a whole. */
  readonly isStrict: boolean;
}

export interface ReloadReport extends ConfigChanges {
  /** 'unchanged': nothing that a running server can take over is different. */
  readonly result: 'applied' | 'unchanged';
  readonly isDryRun: boolean;
  /** Of the configuration that runs: 1 at the start, one more with each that was applied. */
  readonly generation: number;
  /** Of what runs, or of a dry run what would. */
  readonly hash: string;
  /** How long a shard served nothing, at the most. */
  readonly longestPauseMs: number;
}

/** Where the configuration came from and how it is. */
export interface ConfigState {
  /** null: the server was started without one. */
  readonly file: string | null;
  /** Of all but the secrets. */
  readonly hash: string;
  readonly generation: number;
  /** ISO 8601: since when it runs. */
  readonly takenAt: string;
  readonly lastReload: 'none' | 'applied' | 'unchanged' | 'failed';
  /** Settings of the file that wait for a new start. */
  readonly needsRestart: readonly string[];
}

/** The configuration for operators. What is wrong with a file is thrown as a RequestError, a line for each problem. */
export interface ConfigOperations {
  state(): ConfigState;
  reload(order: ReloadOrder): Promise<ReloadReport>;
  /** `back`: how many steps before the current one. */
  rollback(order: ReloadOrder & { readonly back: number }): Promise<ReloadReport>;
  show(question: { readonly hasDefaults: boolean }): ConfigState & { readonly config: object };
  /** From what runs to a file, a kept configuration, or the server's own file. */
  diff(question: { readonly file?: string | undefined; readonly back?: number | undefined }): ConfigChanges;
  history(): {
    readonly kept: readonly {
      readonly back: number;
      readonly number: number;
      readonly takenAt: string;
      readonly file: string | null;
    }[];
  };
}

export interface RunningServer {
  describe(): ServerDescription;
  /** Counters summed over all threads, by name. */
  stats(): Record<string, number>;
  /** The text of /metrics. */
  metrics(): string;
  /** Why traffic should go elsewhere, a line for each reason; empty: it may come. */
  notReadyBecause(): readonly string[];
  /** JSON-serialisable: shards, their incarnations, readiness. */
  status(): object;
  /** What runs; a reload exchanges it. */
  settings(): Config;
  readonly configuration: ConfigOperations;
  readonly location: LocationOperations;
  /** The certificates of this server. */
  readonly tls: TlsOperations;
  /** What the live page is made of. */
  readonly live: LiveView;
  /** null: no messages are kept. */
  readonly trace: TraceOperations | null;
  readonly bans: BanOperations;
  /** For a server that is to take over from this one. Rejects with a RequestError if another one does already. */
  invite(): Promise<Invitation>;
  /** Whether all threads do their rounds. Takes as long as they need to answer, 2 s at the most. */
  isAlive(): Promise<boolean>;
  readonly shards: ShardOperations;
  /** The least urgent lines about calls that the log wants: a level of pino's. */
  useCallLevel(level: string): void;
  /** Counts a request for control that had no right to come. */
  noteUnauthorized(): void;
  /** Takes nothing new, ends once what runs is over, or at the deadline (by default that of `strowger drain`); `finished` says
   *  when. `lingerMs`: how long nothing may be pending before. May be called again, with another deadline. `isFinal`: it cannot be called off. */
  drain(order?: Partial<DrainOrder>): void;
  cancelDrain(): DrainCancellation;
  drainStatus(): DrainStatus;
  /** Takes no more datagrams, lets the shards finish what they have in hand, then resolves. Within 2 s. */
  stop(): Promise<void>;
  /** The exit code, when the server ends for whatever reason. */
  readonly finished: Promise<number>;
}

/** What `startServer` throws when a socket cannot be opened: `code` as in errno, `listen` as configured. */
export interface ListenError extends Error {
  readonly code: string;
  readonly listen?: string;
}
