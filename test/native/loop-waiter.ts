/** A thread that waits for datagrams and for its event loop at once, as a shard with the intake does: in the callback of a
 *  `watch`, which has itself called again so that the loop has its turn. Says what it is told by each of the ways in which a
 *  loop hears of things, and how many times it has waited until then. */

import { stat } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { createArena } from '../../src/memory/arena.ts';
import {
  addSocket,
  attach,
  nap,
  openUdp,
  receiveBatch,
  setWake,
  signal,
  wakeForLoop,
  watch,
} from '../../src/runtime/udp-socket.ts';

const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
attach(arena.bytes);
const buffers = { receiveBufferBytes: 1 << 16, sendBufferBytes: 1 << 16 };
const socket = openUdp({
  host: '127.0.0.1',
  port: 0,
  family: 4,
  dualStack: false,
  ...buffers,
  dscp: 0,
  reusePort: false,
});
addSocket(0, socket.fd, 4, false);
wakeForLoop();

/** Set before the wake. */
const told = new Int32Array(new SharedArrayBuffer(4));
let waits = 0;
/** With `napUs` it naps for so long in place of waiting. */
const { fd, wakeFd, napUs } = workerData as { fd: number; wakeFd: number; napUs: number };
setWake(wakeFd);
const say = (about: string) => parentPort!.postMessage({ about, waits });

watch(fd, () => {
  waits++;
  if (napUs > 0) nap(napUs);
  else if (receiveBatch(1, -1) > 0) say('datagram');
  if (Atomics.exchange(told, 0, 0) === 1) say('wake');
  signal(fd);
});
signal(fd);

parentPort!.on('message', (about: string) => {
  if (about === 'timer') setTimeout(say, 20, about);
  else if (about === 'file') stat('/', () => say(about));
  else if (about === 'immediate') setImmediate(say, about);
  else say(about);
});
parentPort!.postMessage({ port: socket.port, told });
