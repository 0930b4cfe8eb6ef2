/** What the main thread asks of a shard (question.ts): the shard answers between two turns of its event loop, and never looks at more
 *  than a bounded part of what it has. Cold. */

import type { SharedCredentials } from '../auth/credential-table.ts';
import type { ListedHop } from '../roles/proxy/hop-health.ts';
import type { TransactionPage, TransactionQuestion } from '../roles/proxy/transaction-list.ts';
import type { Questions } from './question.ts';
import type { SharedAuth } from './shared-auth.ts';

export type ShardQuestion =
  | { readonly kind: 'transactions'; readonly question: TransactionQuestion }
  | { readonly kind: 'hops' }
  | { readonly kind: 'census' }
  | { readonly kind: 'keys' }
  | ExchangeQuestion
  | PredecessorQuestion
  | IntakeQuestion;

export interface ShardAnswers extends IntakeAnswers {
  readonly transactions: TransactionPage;
  /** null in stateless mode, where nobody watches them. */
  readonly hops: readonly ListedHop[] | null;
  readonly census: ShardCensus;
  /** Of all server transactions, once all is served that came before the question. */
  readonly keys: Int32Array;
  /** How many milliseconds the shard served nothing. */
  readonly exchange: number;
  readonly predecessor: true;
}

export type ShardQuestions = Questions<ShardQuestion, ShardAnswers>;

/** Of whoever has the intake, and 'turn' of all who serve. */
export type IntakeQuestion = { readonly kind: 'turn' } | RelayQuestion;

export interface IntakeAnswers {
  readonly turn: true;
  readonly relay: true;
}

/** Take what comes by this relay, instead of by the sockets. null: by the sockets again. */
export interface RelayQuestion {
  readonly kind: 'relay';
  readonly relayFd: number | null;
}

/** What is not over yet (drain.ts). */
export interface ShardCensus {
  readonly pending: number;
  readonly held: number;
}

/** The configuration from now on, and what hangs on it. */
export interface ExchangeQuestion {
  readonly kind: 'exchange';
  /** JSON in UTF-8: the same bytes for all shards. */
  readonly config: SharedArrayBuffer;
  readonly auth: SharedAuth | null;
  readonly users: SharedCredentials | null;
}

/** Who goes on with the transactions from before a takeover. null: it has gone. */
export interface PredecessorQuestion {
  readonly kind: 'predecessor';
  readonly predecessor: PredecessorTask | null;
}

export interface PredecessorTask {
  /** `createKeyTable` of its transactions. */
  readonly keys: SharedArrayBuffer;
  /** By the index of a socket here, its index there; −1: it was not there. */
  readonly sockets: readonly number[];
  /** The relay to it. */
  readonly fd: number;
}
