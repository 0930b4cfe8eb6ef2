/** The requests that make a shard crash or hang under test/process/observer.ts: known by their Max-Forwards, which no client
 *  sends. */

export const FATAL_MAX_FORWARDS = 251;
export const HANGING_MAX_FORWARDS = 252;
