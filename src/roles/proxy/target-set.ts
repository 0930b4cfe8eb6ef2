/** The next hops of our own domains (RFC 3261 16.5): groups by priority, within a group by weight as RFC 2782 does for SRV
 *  records. A stateless proxy makes one choice that depends on the call alone; a stateful one passes over next hops that
 *  rest, and has an order in which to try them all. Compiled from the configuration once. Choosing is hot and allocates
 *  nothing. */

import { assert } from '../../base/assert.ts';
import type { Config, NextHopEntry } from '../../config/schema.ts';
import { type HopHealth, type HopPlace, KnownHops } from './hop-health.ts';

export interface NextHop extends HopPlace {
  /** Lower ones first. */
  readonly priority: number;
  /** Share of the calls within its priority; 0: after all others of it. */
  readonly weight: number;
}

/** The next hops of one priority. */
interface Group {
  readonly hops: readonly NextHop[];
  /** Place in `hops` → weight. */
  readonly weights: Int32Array;
  readonly totalWeight: number;
  /** Place in `hops` → 1 if it has been drawn already. Used within one draw after another only. */
  readonly drawn: Uint8Array;
}

const SOLE_WEIGHTS = Int32Array.of(1);
const SOLE_DRAWN = new Uint8Array(1);

export class NextHops {
  /** Each once. */
  readonly uris: readonly string[];
  readonly #byDomain: readonly (readonly Group[])[];
  readonly #common: readonly Group[];

  /** Takes its URIs from `known`; whoever makes it gives them back. */
  constructor(config: Config, known: KnownHops = new KnownHops()) {
    const places = new Map<string, HopPlace>();
    const read = ({ uri, priority, weight }: NextHopEntry): NextHop => {
      const place = places.get(uri) ?? known.take(uri);
      places.set(uri, place);
      return { ...place, priority, weight };
    };
    const common = groupsOf(config.nextHops.map(read));
    this.#common = common;
    this.#byDomain = config.domains.map(({ nextHops }) =>
      nextHops.length > 0 ? groupsOf(nextHops.map(read)) : common,
    );
    this.uris = [...places.keys()];
  }

  /** The one next hop for a call: chosen by `selector` alone, so that retransmissions, CANCEL and ACK go the same way
   *  (section 16.11); null if there is none. A `domain` below 0 stands for our bare addresses, which have the common
   *  list. */
  choose(domain: number, selector: number): NextHop | null {
    const groups = this.#groups(domain);
    return groups.length === 0 ? null : firstOf(groups[0]!, selector);
  }

  /** The next hop to try first: of the lowest priority that has one which does not rest. If all rest, as if none did. */
  first(domain: number, selector: number, health: HopHealth, nowMs: number): NextHop | null {
    const groups = this.#groups(domain);
    for (let i = 0; i < groups.length; i++) {
      const hop = firstAwake(groups[i]!, selector, health, nowMs);
      if (hop !== null) return hop;
    }
    return groups.length === 0 ? null : firstOf(groups[0]!, selector);
  }

  /** All of them in the order in which a call tries them: the first is that of `first`, those that rest come last. Cold. */
  order(domain: number, selector: number, health: HopHealth, nowMs: number): NextHop[] {
    const awake: NextHop[] = [];
    const resting: NextHop[] = [];
    for (const group of this.#groups(domain)) {
      for (const hop of drawAll(group, selector)) (health.isResting(hop.id, nowMs) ? resting : awake).push(hop);
    }
    return [...awake, ...resting];
  }

  #groups(domain: number): readonly Group[] {
    return domain < 0 ? this.#common : this.#byDomain[domain]!;
  }
}

// ---- Draws ----------------------------------------------------------------------------------------------------------
// The order of a group is drawn without regard to who rests, and those who do are then passed over. So their calls spread
// over the others by weight, and the calls of the others stay where they are.

/** The first of the group in the order of this call. */
function firstOf(group: Group, selector: number): NextHop {
  if (group.hops.length === 1) return group.hops[0]!;
  group.drawn.fill(0);
  return group.hops[draw(group, selector, 0, group.totalWeight)]!;
}

/** The first of the group in the order of this call that does not rest, or null. */
function firstAwake(group: Group, selector: number, health: HopHealth, nowMs: number): NextHop | null {
  const { hops, weights, drawn } = group;
  if (hops.length === 1) return health.isResting(hops[0]!.id, nowMs) ? null : hops[0]!;
  drawn.fill(0);
  let weightLeft = group.totalWeight;
  for (let count = 0; count < hops.length; count++) {
    const place = draw(group, selector, count, weightLeft);
    const hop = hops[place]!;
    if (!health.isResting(hop.id, nowMs)) return hop;
    drawn[place] = 1;
    weightLeft -= weights[place]!;
  }
  return null;
}

/** The whole group in the order of this call. Cold. */
function drawAll(group: Group, selector: number): NextHop[] {
  const { hops, weights, drawn } = group;
  drawn.fill(0);
  let weightLeft = group.totalWeight;
  return hops.map((_, count) => {
    const place = draw(group, selector, count, weightLeft);
    drawn[place] = 1;
    weightLeft -= weights[place]!;
    return hops[place]!;
  });
}

/** The place in the group that draw number `count` of this call gives, among those not drawn yet, which weigh `weightLeft`
 *  together. Those of weight 0 come when all others are drawn, by even chance. */
function draw(group: Group, selector: number, count: number, weightLeft: number): number {
  const { weights, drawn } = group;
  const isWeighed = weightLeft > 0;
  let left = chance(selector, count) % (isWeighed ? weightLeft : weights.length - count);
  for (let place = 0; place < weights.length; place++) {
    if (drawn[place] === 1) continue;
    left -= isWeighed ? weights[place]! : 1;
    if (left < 0) return place;
  }
  assert(false, 'a draw from nothing');
}

/** A number from 0 to 2³² − 1 that depends on both evenly: the end of MurmurHash3. The selector itself may not serve, for
 *  the shard and the address behind a name are chosen by it too. */
function chance(selector: number, count: number): number {
  let h = (selector + Math.imul(count + 1, 0x9e37_79b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

// ---- Reading, cold --------------------------------------------------------------------------------------------------

function groupsOf(hops: readonly NextHop[]): Group[] {
  if (hops.length === 1) return [groupOf(hops)];
  const priorities = [...new Set(hops.map(({ priority }) => priority))].sort((a, b) => a - b);
  return priorities.map((priority) => {
    return groupOf(hops.filter((hop) => hop.priority === priority));
  });
}

function groupOf(hops: readonly NextHop[]): Group {
  // Of one there is nothing to draw, and a configuration may have ten thousand of these.
  if (hops.length === 1) return { hops, weights: SOLE_WEIGHTS, totalWeight: 1, drawn: SOLE_DRAWN };
  const weights = Int32Array.from(hops, ({ weight }) => weight);
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  return { hops, weights, totalWeight, drawn: new Uint8Array(hops.length) };
}
