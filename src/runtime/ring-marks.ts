/** How deep a shard's ring may be before new requests are turned away: shares of the slots, in slots. Cold. */

import type { Config } from '../config/schema.ts';

/** Datagrams queued at one shard above which new requests begin to be answered 503. */
export function rejectMarkOf(slotCount: number, share: number): number {
  return Math.max(2, Math.floor(slotCount * share));
}

/** Datagrams queued at one shard above which the dispatcher drops new requests. */
export function shedMarkOf(slotCount: number, share: number): number {
  return Math.floor(share * slotCount);
}

/** Datagrams queued at every shard above which the kernel begins to drop new INVITEs; null: it is not to. The same above which
 *  some are answered 503. */
export function kernelMarkOf(
  slotCount: number,
  limits: Pick<Config['limits'], 'rejectMark' | 'shedInKernel'>,
): number | null {
  return limits.shedInKernel ? rejectMarkOf(slotCount, limits.rejectMark) : null;
}
