/** Which next hops each domain has. Apart from the schema, which takes a tenth of a second to load: shards ask this and have their
 *  configuration checked by others. Cold. */

import type { Config, NextHopEntry } from './schema.ts';

/** Next hops of each of our domains, by lower-case name: its own, else the common ones. May be empty lists. */
export function nextHopsByDomain(config: Config): Map<string, readonly NextHopEntry[]> {
  return new Map(config.domains.map(({ name, nextHops: own }) => [name, own.length > 0 ? own : config.nextHops]));
}
