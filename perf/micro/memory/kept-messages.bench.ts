/** What does it cost to keep a message, and to give its block back? Blocks come and go in the order in which calls end, which
 *  is not the order they began in; so a window of blocks is live, and each round ends one at random and takes another, of the
 *  lengths that messages have. Then the same with the copy of a 900-byte INVITE from its slot. Goal: under 30 ns without the
 *  copy as long as the headers of the blocks are in the cache; one cache miss or two per block beyond.
 *  CPU time of this thread, from a fixed seed. `--quick` runs a few rounds only. */

import { createArena } from '../../../src/memory/arena.ts';
import { KeptMessages, NO_BLOCK } from '../../../src/memory/kept-messages.ts';
import { SLOT, slotOffset } from '../../../src/memory/layout.ts';
import { medianCpuNs } from '../cpu-time.ts';

const isQuick = process.argv.includes('--quick');
const ROUNDS = isQuick ? 2000 : 1_000_000;
const LIVE = isQuick ? [100] : [100, 10_000, 200_000];
const INPUT_SIZE = 65_536;
/** Blocks given back between two flushes. */
const PER_FLUSH = 16;
const SLOTS = 128;
/** Responses without a body, INVITEs, some with a long way behind them, and once in a while something large. */
const LENGTHS = [320, 350, 410, 480, 500, 560, 640, 850, 900, 920, 1000, 1300, 1800, 4000];

let state = 0x2545f491;
let checksum = 0;

for (const live of LIVE) {
  const arena = createArena({ shardCount: 1, slotCount: SLOTS, jumboCount: 1, keptBytes: 1024 * 1024 * 1024 });
  for (let slot = 0; slot < SLOTS; slot++) {
    arena.words[(slotOffset(arena.map, slot) >> 2) + SLOT.LENGTH_WORD] = 870 + random(60);
  }
  const lengths = Int32Array.from({ length: INPUT_SIZE }, () => LENGTHS[random(LENGTHS.length)]!);
  const victims = Int32Array.from({ length: INPUT_SIZE }, () => random(live));
  const slots = Int32Array.from({ length: INPUT_SIZE }, () => slotOffset(arena.map, random(SLOTS)) >> 2);
  const kept = new KeptMessages(arena, 0);
  const blocks = Int32Array.from({ length: live }, (_, i) => kept.take(lengths[i % INPUT_SIZE]!));

  report('release and take', live, () => {
    for (let round = 0; round < ROUNDS; round++) {
      const victim = victims[round % INPUT_SIZE]!;
      if (blocks[victim] !== NO_BLOCK) kept.release(blocks[victim]!);
      if (round % PER_FLUSH === 0) kept.settle();
      blocks[victim] = kept.take(lengths[round % INPUT_SIZE]!);
      checksum = (Math.imul(checksum, 31) + blocks[victim]!) | 0;
    }
  });
  report('release and keepSlot', live, () => {
    for (let round = 0; round < ROUNDS; round++) {
      const victim = victims[round % INPUT_SIZE]!;
      if (blocks[victim] !== NO_BLOCK) kept.release(blocks[victim]!);
      if (round % PER_FLUSH === 0) kept.settle();
      blocks[victim] = kept.keepSlot(slots[round % INPUT_SIZE]!);
      checksum = (Math.imul(checksum, 31) + blocks[victim]!) | 0;
    }
  });
}
console.log(`checksum ${checksum}`);

function report(what: string, live: number, run: () => void): void {
  const ns = medianCpuNs(ROUNDS, run);
  console.log(`${what.padEnd(22)} ${String(live).padStart(9)} live ${ns.toFixed(1).padStart(8)} ns`);
}

/** A number below `bound`, xorshift from a fixed seed. */
function random(bound: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % bound;
}
