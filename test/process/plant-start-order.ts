/** Preloaded into a server: the main thread says on stderr when the thread of the streams has had its first turn, and when the supervisor
 *  asks whether the server may serve. */

import { isMainThread, Worker } from 'node:worker_threads';
import type { STREAMS_TURN } from '../../src/runtime/streams/stream-thread.ts';
import { Supervisor } from '../../src/runtime/supervisor.ts';

if (isMainThread) {
  const turn: typeof STREAMS_TURN = 'streams turn';
  const { emit } = Worker.prototype;
  Worker.prototype.emit = function (this: Worker, event: string, ...values: unknown[]) {
    if (event === 'message' && values[0] === turn) process.stderr.write('order: streams turn\n');
    return emit.call(this, event, ...values);
  } as typeof emit;
  const { start } = Supervisor.prototype;
  Supervisor.prototype.start = function (this: Supervisor, mayServe) {
    return start.call(this, () => {
      process.stderr.write('order: may serve\n');
      return mayServe();
    });
  };
}
