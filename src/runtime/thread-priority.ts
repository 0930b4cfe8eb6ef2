/** Threads that give way to calls where there is less CPU than there is to do. Main and export thread, cold. */

import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** A thread at it gets about a tenth of a CPU that a shard wants whole, and all of one that nobody wants. At 19 it would get a
 *  seventieth, and code that V8 compiles would come when the rush it is compiled for is over. */
export const BACKGROUND_NICENESS = 10;

/** As Node.js names the threads on which V8 compiles and collects garbage. */
const V8_THREAD = /^(?:node-)?V8Worker/;

/** Has a thread give way, by the kernel's id. False: the kernel does not let it. */
export function giveWay(threadId: number): boolean {
  try {
    // On Linux of a thread, not of its process.
    setPriority(threadId, BACKGROUND_NICENESS);
    return true;
  } catch {
    return false; // it has ended, or whoever runs the process forbids it: then it is one thread among others
  }
}

/** Has V8's own threads give way: what they compile makes later calls cheaper, and must not keep the present ones waiting. Their
 *  number; 0 where /proc does not tell. */
export function v8ThreadsGiveWay(): number {
  return v8Threads().filter(giveWay).length;
}

function v8Threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number).filter(isOfV8);
  } catch {
    return []; // no /proc
  }
}

function isOfV8(threadId: number): boolean {
  try {
    return V8_THREAD.test(readFileSync(`/proc/self/task/${threadId}/comm`, 'latin1'));
  } catch {
    return false; // it has ended
  }
}
