/** What a message costs at each stage of Strowger: its dispatcher, its shards, and the kernel within both. Pure. */

import type { EngineResult } from '../load/engine-result.ts';
import type { ThreadFigures } from '../load/process-figures.ts';

export interface Stage {
  /** Of CPU for each message that the server sent. */
  readonly usPerMessage: number;
  /** How much of that the kernel took, 0 … 1, by the tick's samples. */
  readonly kernelShare: number;
}

export interface Stages {
  readonly dispatcher: Stage;
  /** All of them together. */
  readonly shards: Stage;
  /** Supervisor, store, and what V8 does beside. */
  readonly others: Stage;
}

/** Shards are tasks of a Piscina, whose threads have Node's name. */
const STAGE_OF_THREAD: { readonly [name: string]: keyof Stages } = { dispatcher: 'dispatcher', WorkerThread: 'shards' };

/** Of all results together. Throws an Error if there is no dispatcher or no shard among the threads. */
export function stagesOf(results: readonly Pick<EngineResult, 'threads' | 'received'>[]): Stages {
  const received = results.reduce((sum, result) => sum + result.received, 0);
  const threads = results.flatMap((result) => result.threads);
  const stage = (name: keyof Stages) => {
    const own = threads.filter((thread) => (STAGE_OF_THREAD[thread.name] ?? 'others') === name);
    if (own.length === 0 && name !== 'others') throw new Error(`none of the server's threads is known as ${name}`);
    return stageOf(own, received);
  };
  return { dispatcher: stage('dispatcher'), shards: stage('shards'), others: stage('others') };
}

function stageOf(threads: readonly ThreadFigures[], received: number): Stage {
  const sum = (count: (thread: ThreadFigures) => number) => threads.reduce((total, thread) => total + count(thread), 0);
  const kernel = sum(({ systemTicks }) => systemTicks);
  const ticks = kernel + sum(({ userTicks }) => userTicks);
  return { usPerMessage: sum(({ ns }) => ns) / 1000 / received, kernelShare: ticks === 0 ? 0 : kernel / ticks };
}

/** Microseconds of the kernel for each message, at all stages. */
export function kernelUsPerMessage({ dispatcher, shards, others }: Stages): number {
  return [dispatcher, shards, others].reduce((sum, stage) => sum + stage.usPerMessage * stage.kernelShare, 0);
}

/** Messages a second if each thread had a CPU of its own and nothing overlapped: a message is at the dispatcher, which there is
 *  one of, and then at one of the shards, which share the work. The cautious bound, and the form the law has. */
export function messagesPerSecInSeries({ dispatcher, shards }: Stages, workers: number): number {
  return 1e6 / (dispatcher.usPerMessage + shards.usPerMessage / workers);
}

/** The same if all overlaps, as in a pipeline that never waits: whoever has most to do is the limit. The bold bound. */
export function messagesPerSecOverlapped({ dispatcher, shards }: Stages, workers: number): number {
  return 1e6 / Math.max(dispatcher.usPerMessage, shards.usPerMessage / workers);
}

/** So many workers keep the dispatcher's CPU full. */
export function workersOfFullDispatcher({ dispatcher, shards }: Stages): number {
  return shards.usPerMessage / dispatcher.usPerMessage;
}
