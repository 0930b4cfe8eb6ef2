/** The export thread: sends messages to a HEP collector such as Homer. A thread of its own, so that neither shards nor the main thread
 *  have a part in it, and a collector that is slow, dead or not to be found hurts nobody. Cold. */

import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { EXPORT, openTrace } from '../../observe/trace/trace-layout.ts';
import { kernelThreadId } from '../thread-cpu.ts';
import { wallClock } from './clock.ts';
import { openHepLink } from './hep-link.ts';
import { HepPump } from './hep-pump.ts';
import { HEP_STOP, type HepOrder, type HepState, type HepTask } from './hep-task.ts';

/** Where there is less CPU than there is to do, calls come first: what this thread does not get to is dropped, and counted. */
const NICENESS = 10;

function yieldToCalls(): void {
  try {
    // On Linux of a thread, not of its process.
    setPriority(kernelThreadId(), NICENESS);
  } catch {
    // forbidden by whoever runs the process: then it is one thread among others
  }
}

function run({ trace, reading, target, agent, isSuccessor }: HepTask): void {
  yieldToCalls();
  const memory = openTrace(trace);
  const { doubles, map } = memory;
  const count = (what: number, by: number) => {
    doubles[map.exportDouble + what]! += by;
  };
  const link = openHepLink(target, {
    onState: (isUp, reason) => {
      doubles[map.exportDouble + EXPORT.IS_CONNECTED] = Number(isUp);
      if (isUp) count(EXPORT.CONNECTS, 1);
      const state: HepState = { isUp, reason };
      parentPort!.postMessage(state);
    },
    onSent: (packets) => count(EXPORT.SENT, packets),
    onLost: (packets) => count(EXPORT.ERRORS, packets),
  });
  const pump = new HepPump(memory, reading, agent, wallClock(), isSuccessor);
  let timer: NodeJS.Timeout | NodeJS.Immediate;
  const turn = () => {
    timer = pump.pump(link) ? setImmediate(turn) : setTimeout(turn, pump.idleMs);
  };
  turn();
  parentPort!.on('message', (order: HepOrder) => {
    if (order !== HEP_STOP) {
      pump.useMaskHeaders(order.maskHeaders);
      return;
    }
    clearTimeout(timer as NodeJS.Timeout);
    clearImmediate(timer as NodeJS.Immediate);
    while (pump.pump(link));
    // What the kernel or the socket has by now still leaves; the main thread does not wait for long.
    setImmediate(() => {
      link.close();
      parentPort!.close();
    });
  });
}

run(workerData as HepTask);
