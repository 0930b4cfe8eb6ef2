/** An element for tests that care about a few of its ports only: otherwise a clock that stands still, no name that is found, no
 *  user that is known, nobody who sends. */

import type { Arena } from '../../src/memory/arena.ts';
import { Counters } from '../../src/observe/counters.ts';
import { Element, type ElementPorts } from '../../src/roles/element.ts';
import { NOT_FOUND } from '../../src/roles/ports.ts';
import { boundSocketOf } from '../../src/runtime/bound-socket.ts';
import { smallLocation } from '../location/small-location.ts';

/** The sockets are those of the configuration. */
export function plainElement(
  arena: Arena,
  shard: number,
  own: Pick<ElementPorts, 'config'> & Partial<ElementPorts>,
): Element {
  return new Element(arena, shard, {
    flowKey: Int32Array.of(1, 2, 3, 4),
    location: own.location ?? smallLocation(arena),
    feed: null,
    auth: null,
    whenUsersKnown: () => Promise.resolve(),
    fileUsers: null,
    wallMs: () => 1_764_000_000_000,
    sockets: own.config.listen.map((point, socket) => boundSocketOf(point, socket)),
    localAddresses: [],
    counters: new Counters(arena, shard),
    resolver: { find: () => NOT_FOUND, findNext: () => NOT_FOUND, whenResolved: () => Promise.resolve() },
    flush: () => 0,
    defer: () => false,
    random: () => 0x5eed,
    park: () => false,
    ...own,
  });
}
