/** The server as the live page sees it: what does not change, and the readings. Main thread, cold. */

import { COUNTER, type Counters } from '../../observe/counters.ts';
import { rejectMarkOf, shedMarkOf } from '../ring-marks.ts';
import type { ShardOperations } from '../shard-service.ts';
import type { LiveView } from './live-feed.ts';
import { LiveReader, type LiveSources } from './live-reading.ts';

export function liveViewOf(
  sources: LiveSources,
  {
    version,
    startedAtMs,
    counters,
    shards,
  }: { version: string; startedAtMs: number; counters: Counters; shards: ShardOperations },
): LiveView {
  const { arena, config, listening } = sources;
  const { map } = arena;
  const { limits, mode, location, streams } = config;
  const reader = new LiveReader(sources);
  return {
    facts: {
      version,
      node: process.version.slice(1),
      pid: process.pid,
      mode,
      startedAtMs,
      listening,
      ringRejectMark: rejectMarkOf(map.slotCount, limits.rejectMark),
      ringShedMark: shedMarkOf(map.slotCount, limits.overloadMark),
      slots: map.slotCount,
      jumbos: map.jumboCount,
      transactionsLimit: mode === 'stateful' ? limits.transactions : 0,
      keptBytesLimit: map.keptBytes,
      parkedLimit: limits.parkedRequests,
      connectionsLimit: streams.connections,
      aorsLimit: location.capacity,
    },
    watch: () => reader.watch(),
    rest: () => reader.rest(),
    read: () => reader.read(),
    hops: () => shards.hops(),
    noteRefused: () => counters.count(COUNTER.live_pages_refused_total),
    noteCutOff: () => counters.count(COUNTER.live_pages_cut_off_total),
  };
}
