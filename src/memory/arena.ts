/** The arena: one SharedArrayBuffer and the views every thread has of it. Any thread; views are made once. */

import { assert } from '../base/assert.ts';
import { allocateLines, FIRST_LINE, wordsOf } from '../base/cache-lines.ts';
import { type ArenaMap, type ArenaShape, HEADER, LAYOUT_MAGIC, LAYOUT_VERSION, mapArena } from './layout.ts';

export interface Arena {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly doubles: Float64Array<SharedArrayBuffer>;
  readonly map: ArenaMap;
}

/** Allocates and labels an arena. The kernel gives the pages as they are first touched. */
export function createArena(shape: ArenaShape): Arena {
  const map = mapArena(shape);
  const arena = viewArena(allocateLines(map.totalBytes), map);
  const header = arena.words;
  header[HEADER.MAGIC_WORD] = LAYOUT_MAGIC;
  header[HEADER.VERSION_WORD] = LAYOUT_VERSION;
  header[HEADER.TOTAL_KIB_WORD] = map.totalBytes / 1024;
  header[HEADER.SHARD_COUNT_WORD] = map.shardCount;
  header[HEADER.SLOT_COUNT_WORD] = map.slotCount;
  header[HEADER.JUMBO_COUNT_WORD] = map.jumboCount;
  header[HEADER.RING_CAPACITY_WORD] = map.ringCapacity;
  header[HEADER.SLOTS_WORD] = map.slots;
  header[HEADER.JUMBOS_WORD] = map.jumbos;
  header[HEADER.SPILL_WORD] = map.spill;
  header[HEADER.EGRESS_WORD] = map.egress;
  header[HEADER.SCRATCH_WORD] = map.scratch;
  header[HEADER.PLAN_WORD] = map.plan;
  header[HEADER.KEPT_KIB_WORD] = map.keptBytes / 1024;
  header[HEADER.HAS_STREAMS_WORD] = Number(map.hasStreams);
  return arena;
}

/** Another thread's view of an arena made by `createArena`. */
export function openArena(buffer: SharedArrayBuffer): Arena {
  const header = wordsOf(buffer);
  assert(header[HEADER.MAGIC_WORD] === LAYOUT_MAGIC, 'not an arena');
  assert(header[HEADER.VERSION_WORD] === LAYOUT_VERSION, 'an arena of another layout version');
  return viewArena(
    buffer,
    mapArena({
      shardCount: header[HEADER.SHARD_COUNT_WORD]!,
      slotCount: header[HEADER.SLOT_COUNT_WORD]!,
      jumboCount: header[HEADER.JUMBO_COUNT_WORD]!,
      keptBytes: header[HEADER.KEPT_KIB_WORD]! * 1024,
      hasStreams: header[HEADER.HAS_STREAMS_WORD] === 1,
    }),
  );
}

function viewArena(buffer: SharedArrayBuffer, map: ArenaMap): Arena {
  assert(buffer.byteLength === FIRST_LINE + map.totalBytes, 'arena and map disagree about the size');
  return {
    buffer,
    bytes: new Uint8Array(buffer, FIRST_LINE),
    view: new DataView(buffer, FIRST_LINE),
    words: wordsOf(buffer),
    doubles: new Float64Array(buffer, FIRST_LINE),
    map,
  };
}
