/** What a request that needs more than one branch has beside its server transaction (RFC 3261 16.2 "response context"): the
 *  target set with what was tried, and the challenges of all branches. Cold: a request with one target that answers never
 *  has one. */

import type { Literal } from '../../base/ascii.ts';
import type { NextHop } from './target-set.ts';

/** Targets of one request at the most. */
export const MAX_TARGETS = 64;

export interface Target {
  /** Block of kept messages with the URI behind its header; it lasts as long as the context. */
  readonly block: number;
  /** 0 … 1000: equal ones are tried in parallel, higher ones first. */
  readonly q: number;
}

export class ResponseContext {
  /** Targets with a URI of their own, in the order they are tried. A client transaction names one by its block; none: the
   *  Request-URI as it came. */
  readonly targets: Target[] = [];
  /** Block of a target of some instance → the other targets of the same one, the preferred first (RFC 5626 7). */
  readonly ofSameInstance = new Map<number, readonly Target[]>();
  /** The first target not begun yet. */
  nextTarget = 0;
  /** q of the targets begun last. */
  q = -1;
  /** Next hops of ours in their order; null where Route or Request-URI say where to. */
  hops: readonly NextHop[] | null = null;
  readonly triedHops = new Set<number>();
  /** Header lines of each 401 and 407 response, in the order they came (16.7 step 7). */
  readonly challenges: Literal[] = [];
  /** Which of `challenges` the best response has of its own; −1: none. */
  ownChallenge = -1;
  /** Branches that wait for a name look-up. */
  waiting = 0;
  /** No new target: a 6xx came, or the client gave up. */
  isClosed = false;
  /** Header lines of the client's CANCEL to be passed on (RFC 3326 section 2). */
  reason: Literal | null = null;
  /** What running branches have of the Max-Breadth that came with the request (RFC 5393 5.3.3). */
  breadthInUse = 0;

  /** Notes a target that was begun before there was a context. */
  noteBegun(target: Target): void {
    this.targets.splice(this.nextTarget++, 0, target);
  }

  /** Targets of an instance that were not needed. */
  unusedTargets(): Target[] {
    const used = new Set(this.targets.map(({ block }) => block));
    const unused = new Map([...this.ofSameInstance.values()].flat().map((target) => [target.block, target]));
    return [...unused.values()].filter(({ block }) => !used.has(block));
  }

  /** Adds a target behind those of the same or a higher q that are not begun. */
  add(target: Target): void {
    let at = this.targets.length;
    while (at > this.nextTarget && this.targets[at - 1]!.q < target.q) at--;
    this.targets.splice(at, 0, target);
  }
}
