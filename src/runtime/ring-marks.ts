/** How deep a shard's ring may be before new requests are turned away: shares of the slots, in slots. Cold. */

/** Datagrams queued at one shard above which new requests begin to be answered 503. */
export function rejectMarkOf(slotCount: number, share: number): number {
  return Math.max(2, Math.floor(slotCount * share));
}

/** Datagrams queued at one shard above which the dispatcher drops new requests. */
export function shedMarkOf(slotCount: number, share: number): number {
  return Math.floor(share * slotCount);
}
