/** What does a timer cost, by how many run beside it? A transaction starts and cancels a timer with nearly each message, and
 *  nearly none fires but at its end; so three things are timed: start and cancel of a timer that never fires, start anew of
 *  one that runs, and a whole life that ends by firing, its share of `advance` included. Deadlines are those of RFC 3261
 *  table 4 at irregular times, from a fixed seed; timers come up in no order, as records do, so that with a million of them
 *  the caches miss. Goal: under 50 ns each with ten thousand, and no more than the cache misses beyond.
 *  CPU time of this thread. `--quick` runs a few rounds only. */

import { TimerWheel } from '../../../src/transaction/timer-wheel.ts';
import { medianCpuNs } from '../cpu-time.ts';

const ROUNDS = process.argv.includes('--quick') ? 1000 : 1_000_000;
const PENDING = process.argv.includes('--quick') ? [1000] : [1000, 10_000, 100_000, 1_000_000];
const TICK_MS = 10;
/** Timers A, E and G; I and K; B, D, F, H, J, L and M; Timer C. The last stays for some revolutions of the wheel. */
const DURATIONS_MS = [500, 500, 1000, 2000, 4000, 5000, 32_000, 32_000, 32_000, 180_000];
const INPUT_SIZE = 65_536;

let state = 0x2545f491;
let checksum = 0;

for (const pending of PENDING) {
  // The last timer is the one that comes and goes.
  const capacity = pending + 1;
  const ids = Int32Array.from({ length: INPUT_SIZE }, () => random(pending));
  const durations = Int32Array.from(
    { length: INPUT_SIZE },
    () => DURATIONS_MS[random(DURATIONS_MS.length)]! + random(10),
  );
  const clock = { nowMs: 1_000_000 };
  const wheel = new TimerWheel(capacity, TICK_MS, clock.nowMs);
  for (let id = 0; id < pending; id++) wheel.start(id, clock.nowMs + durations[id % INPUT_SIZE]! + random(32_000));

  const startAndCancel = () => {
    for (let round = 0; round < ROUNDS; round++) {
      wheel.start(pending, clock.nowMs + durations[round % INPUT_SIZE]!);
      wheel.cancel(pending);
    }
    checksum = (checksum + wheel.count) | 0;
  };
  const restart = () => {
    for (let round = 0; round < ROUNDS; round++) {
      wheel.start(ids[round % INPUT_SIZE]!, clock.nowMs + durations[round % INPUT_SIZE]!);
    }
    checksum = (checksum + wheel.nextDeadlineMs()) | 0;
  };
  let fired = 0;
  const fire = (id: number) => {
    checksum = (Math.imul(checksum, 31) + id) | 0;
    wheel.start(id, clock.nowMs + durations[fired++ % INPUT_SIZE]!);
  };
  const live = () => {
    for (fired = 0; fired < ROUNDS; ) {
      clock.nowMs += TICK_MS;
      wheel.advance(clock.nowMs, fire);
    }
  };
  const asked = () => {
    for (let round = 0; round < ROUNDS; round++) checksum = (checksum + wheel.nextDeadlineMs()) | 0;
  };

  report('start and cancel', pending, startAndCancel);
  report('start anew', pending, restart);
  report('start and fire', pending, live);
  report('nextDeadlineMs', pending, asked);
}
console.log(`checksum ${checksum}`);

function report(what: string, pending: number, run: () => void): void {
  const ns = medianCpuNs(ROUNDS, run);
  console.log(`${what.padEnd(18)} ${String(pending).padStart(9)} pending ${ns.toFixed(1).padStart(8)} ns`);
}

/** A number below `bound`, xorshift from a fixed seed. */
function random(bound: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % bound;
}
