/** The request that makes a shard crash under test/process/observer.ts: known by its Max-Forwards, which no client sends. */

export const FATAL_MAX_FORWARDS = 251;
