/** Preloaded into the real server by tests (`node --import`), in its main thread and its workers alike, so that the server
 *  itself needs no surface for them. In the main thread it answers questions over IPC about each thread's counters and
 *  passes crashes on to a shard. In a shard it plants faults: forwarding a request whose Max-Forwards is FATAL_MAX_FORWARDS
 *  throws, and one of HANGING_MAX_FORWARDS never returns, in the middle of a batch, with that datagram in hand. */

import { isMainThread } from 'node:worker_threads';

// Imported here and not above, so that a shard's start costs no more than it does without this file.
if (isMainThread) await import('./observe-main.ts');
else await import('./plant-fault.ts');
