/** The shards for operators: how each is, what it serves, what it knows of next hops; and a new start of one. Main thread,
 *  cold. */

import type { Config } from '../config/schema.ts';
import type { Arena } from '../memory/arena.ts';
import { countersOffset, ingressRingOffset, RING, SHARD, shardOffset } from '../memory/layout.ts';
import { COUNTER } from '../observe/counters.ts';
import type { ListedTransaction, TransactionPage, TransactionQuestion } from '../roles/proxy/transaction-list.ts';
import { REFUSED, RequestError } from './request-error.ts';
import { shedMarkOf } from './ring-marks.ts';
import type { ShardCrash, ShardStatus, Supervisor } from './supervisor.ts';
import type { ThreadLoads } from './thread-loads.ts';

export interface ListedShard extends ShardStatus {
  /** Share of a core over the last seconds, 0 to 1; null: it has not run for long enough, or the kernel does not say. */
  readonly load: number | null;
  /** Datagrams that wait, the most that waited within the last 15 to 30 s, and the depth above which new requests are dropped. */
  readonly ring: { readonly waiting: number; readonly high: number; readonly shedMark: number };
  /** Server transactions in use. */
  readonly transactions: number;
  /** Messages that wait for a look-up. */
  readonly parked: number;
  readonly lastCrash: ShardCrash | null;
}

export interface ShardTransaction extends ListedTransaction {
  readonly shard: number;
}

export interface ListedHop {
  readonly uri: string;
  /** `unwatched`: stateless mode, where nobody knows what became of a request. */
  readonly state: 'up' | 'resting' | 'unwatched';
  /** Shards that pass it over for now; each learns by itself. */
  readonly restingOn: number;
  /** Until the last of them tries it again. */
  readonly restsForSec: number;
  /** Timeouts, 503s and destinations that could not be reached, since the shards began. */
  readonly failures: number;
  /** ISO 8601; null: never. */
  readonly lastFailedAt: string | null;
}

export interface TransactionFilter {
  readonly limit: number;
  /** SHARD:RECORD, from the answer before. */
  readonly cursor?: string | undefined;
  readonly shard?: number | undefined;
  readonly callId?: string | undefined;
  readonly method?: string | undefined;
  readonly state?: string | undefined;
}

export interface ShardOperations {
  list(): readonly ListedShard[];
  /** Resolves when the successor serves. Its transactions are lost, its datagrams are not. Rejects with a RequestError. */
  restart(shard: number): Promise<{ readonly shard: number; readonly starts: number; readonly tookMs: number }>;
  /** Rejects with a RequestError if a shard does not answer. */
  transactions(filter: TransactionFilter): Promise<{
    readonly transactions: readonly ShardTransaction[];
    readonly cursor: string | null;
  }>;
  hops(): Promise<readonly ListedHop[]>;
}

export interface ShardServiceParts {
  readonly arena: Arena;
  /** What runs. */
  readonly settings: () => Config;
  readonly supervisor: Supervisor;
  readonly loads: ThreadLoads;
  /** Most that waited in a shard's ring, of the window before and this one. */
  readonly ringHighOf: (shard: number) => number;
}

export class ShardService implements ShardOperations {
  readonly #parts: ShardServiceParts;

  constructor(parts: ShardServiceParts) {
    this.#parts = parts;
  }

  list(): ListedShard[] {
    const { supervisor, loads, ringHighOf } = this.#parts;
    return supervisor.shards().map((status) => {
      const { shard } = status;
      const transactions =
        this.#counter(shard, COUNTER.server_transactions_total) -
        this.#counter(shard, COUNTER.server_transactions_ended_total);
      return {
        ...status,
        load: loads.loadOf(this.#control(shard, SHARD.THREAD_ID_WORD)),
        ring: { waiting: this.#waiting(shard), high: ringHighOf(shard), shedMark: this.#shedMark() },
        transactions: Math.max(0, transactions),
        parked: this.#control(shard, SHARD.PARKED_WORD),
        lastCrash: supervisor.lastCrashOf(shard),
      };
    });
  }

  async restart(shard: number) {
    this.#check(shard);
    const beganMs = performance.now();
    await this.#parts.supervisor.restartShard(shard);
    const { starts } = this.#parts.supervisor.shards()[shard]!;
    return { shard, starts, tookMs: Math.round(performance.now() - beganMs) };
  }

  async transactions({ limit, cursor, shard: only, callId, method, state }: TransactionFilter) {
    const [first, record] = cursor === undefined ? [only ?? 0, 0] : readCursor(cursor);
    this.#check(first);
    const last = only ?? this.#shardCount - 1;
    const transactions: ShardTransaction[] = [];
    let from: number | null = record;
    for (let shard = first; shard <= last; shard++, from = 0) {
      while (from !== null) {
        if (transactions.length >= limit) return { transactions, cursor: `${shard}:${from}` };
        const question: TransactionQuestion = {
          cursor: from,
          limit: limit - transactions.length,
          callId: callId ?? null,
          method: method ?? null,
          state: state ?? null,
        };
        const page: TransactionPage = await this.#parts.supervisor.ask(shard, { kind: 'transactions', question });
        transactions.push(...page.transactions.map((transaction) => ({ shard, ...transaction })));
        from = page.cursor;
      }
    }
    return { transactions, cursor: null };
  }

  async hops(): Promise<ListedHop[]> {
    const shards = await Promise.all(
      Array.from({ length: this.#shardCount }, (_, shard) => this.#parts.supervisor.ask(shard, { kind: 'hops' })),
    );
    const nowMs = Date.now();
    const [first] = shards;
    if (first == null) return this.#unwatched();
    return first.map(({ uri }) => {
      const views = shards.flatMap((hops) => (hops ?? []).filter((hop) => hop.uri === uri));
      const resting = views.filter(({ restsForMs }) => restsForMs > 0);
      const failedAgoMs = Math.min(...views.map((view) => view.failedAgoMs ?? Number.POSITIVE_INFINITY));
      return {
        uri,
        state: resting.length > 0 ? 'resting' : 'up',
        restingOn: resting.length,
        restsForSec: Math.ceil(Math.max(0, ...resting.map(({ restsForMs }) => restsForMs)) / 1000),
        failures: views.reduce((sum, { failures }) => sum + failures, 0),
        lastFailedAt: Number.isFinite(failedAgoMs) ? new Date(nowMs - failedAgoMs).toISOString() : null,
      };
    });
  }

  #unwatched(): ListedHop[] {
    const config = this.#parts.settings();
    const uris = new Set([config, ...config.domains].flatMap(({ nextHops }) => nextHops.map(({ uri }) => uri)));
    return [...uris].map((uri) => ({
      uri,
      state: 'unwatched',
      restingOn: 0,
      restsForSec: 0,
      failures: 0,
      lastFailedAt: null,
    }));
  }

  #check(shard: number): void {
    if (shard < this.#shardCount) return;
    const there = this.#shardCount === 1 ? 'there is only shard 0' : `there are shards 0 to ${this.#shardCount - 1}`;
    throw new RequestError(REFUSED, `there is no shard ${shard}; ${there}`);
  }

  get #shardCount(): number {
    return this.#parts.arena.map.shardCount;
  }

  #waiting(shard: number): number {
    const { words, map } = this.#parts.arena;
    const ring = ingressRingOffset(map, shard) >> 2;
    const head = Atomics.load(words, ring + RING.HEAD_WORD);
    return (Atomics.load(words, ring + RING.TAIL_WORD) - head) | 0;
  }

  #shedMark(): number {
    return shedMarkOf(this.#parts.arena.map.slotCount, this.#parts.settings().limits.overloadMark);
  }

  #control(shard: number, word: number): number {
    const { words, map } = this.#parts.arena;
    return words[(shardOffset(map, shard) >> 2) + word]!;
  }

  #counter(shard: number, id: number): number {
    const { doubles, map } = this.#parts.arena;
    return doubles[countersOffset(map, shard) / 8 + id]!;
  }
}

function readCursor(cursor: string): [shard: number, record: number] {
  const [shard, record] = cursor.split(':').map(Number);
  return [shard!, record!];
}
