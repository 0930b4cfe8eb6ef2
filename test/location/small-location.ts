/** A location table for one thread and a few users, for tests of what asks it. */

import { createLocationTable, LocationTable } from '../../src/location/location-table.ts';
import type { Arena } from '../../src/memory/arena.ts';

const SHAPE = { capacity: 1000, threadCount: 1, spareBytes: 64 * 1024 };

export function smallLocation(arena: Arena, capacity: number = SHAPE.capacity): LocationTable {
  return new LocationTable(createLocationTable({ ...SHAPE, capacity }, 0x5eed), 0, arena);
}
