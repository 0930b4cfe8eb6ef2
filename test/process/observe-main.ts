/** The main thread's part of test/process/observer.ts: catches the supervisor and the arena as they are made, and answers
 *  questions about them over IPC. */

import { Piscina } from 'piscina';
import { type Arena, openArena } from '../../src/memory/arena.ts';
import { countersOffset, DISPATCHER, EXTRA_THREADS } from '../../src/memory/layout.ts';
import { COUNTER_NAMES } from '../../src/observe/counters.ts';
import { type ShardStatus, Supervisor } from '../../src/runtime/supervisor.ts';

export interface Question {
  readonly id: number;
  readonly crash?: number;
  readonly crashStreams?: boolean;
}

export interface Observation {
  readonly id: number;
  readonly isReady: boolean;
  readonly shards: readonly ShardStatus[];
  /** Counters of each thread: the shards', then the dispatcher's, the main thread's and that of the streams. */
  readonly threads: readonly Record<string, number>[];
  /** Ordinary slots in the dispatcher's hand when it last looked, and of how many. */
  readonly freeSlots: number;
  readonly slotCount: number;
}

observe();

function observe(): void {
  let supervisor: Supervisor | null = null;
  let arena: Arena | null = null;
  const { start } = Supervisor.prototype;
  Supervisor.prototype.start = function (this: Supervisor, mayServe) {
    supervisor = this;
    return start.call(this, mayServe);
  };
  const { run } = Piscina.prototype;
  Piscina.prototype.run = function (this: Piscina, task: { arena: SharedArrayBuffer }, options) {
    arena ??= openArena(task.arena);
    return run.call(this, task, options);
  };
  process.on('message', ({ id, crash, crashStreams }: Question) => {
    if (crash !== undefined) supervisor?.crashShard(crash);
    if (crashStreams === true) supervisor?.crashStreams();
    const observation: Observation = {
      id,
      isReady: supervisor?.isReady ?? false,
      shards: supervisor?.shards() ?? [],
      threads: arena === null ? [] : countersByThread(arena),
      freeSlots: arena === null ? 0 : arena.words[(arena.map.dispatcher >> 2) + DISPATCHER.FREE_SLOTS_WORD]!,
      slotCount: arena?.map.slotCount ?? 0,
    };
    process.send?.(observation);
  });
  // The channel alone is no reason for the server to live.
  process.channel?.unref();
}

function countersByThread(arena: Arena): Record<string, number>[] {
  return Array.from({ length: arena.map.shardCount + EXTRA_THREADS }, (_, thread) => {
    const first = countersOffset(arena.map, thread) / 8;
    return Object.fromEntries(COUNTER_NAMES.map((name, id) => [name, arena.doubles[first + id]!]));
  });
}
