/** Which shards hang, and which only get no CPU. */

import { describe, expect, it } from 'vitest';
import { HANG_CHECK_MS, HangDetector } from '../../src/runtime/hang-detector.ts';

/** One shard, and a kernel that accounts for it as the test says. */
class World {
  cycles = 7;
  hasWork = true;
  threadId = 100;
  state: string | null = 'R';
  #nowMs = 5000;
  #cpuMs = 0;
  readonly #detector = new HangDetector(
    (threadId) => {
      expect(threadId).toBe(this.threadId);
      return { cpuNs: this.#cpuMs * 1e6, state: this.state };
    },
    () => this.#nowMs,
  );

  /** What one more check finds, in which the shard has run for `ranMs`. */
  hangs(ranMs: number, passedMs = HANG_CHECK_MS): boolean {
    this.#nowMs += passedMs;
    this.#cpuMs += ranMs;
    const { cycles, hasWork, threadId } = this;
    return this.#detector.check([{ cycles, hasWork, threadId }]).length > 0;
  }

  /** Checks until it hangs; `limit`: it did not. */
  checks(ranMs: number, limit: number, passedMs = HANG_CHECK_MS): number {
    for (let check = 0; check < limit; check++) if (this.hangs(ranMs, passedMs)) return check;
    return limit;
  }
}

describe('a shard with work that finishes no duty cycle', () => {
  it('hangs once it has had the CPU for three checks', () => {
    expect(new World().checks(990, 100)).toBe(3);
  });

  it('hangs as soon if it waits for something that does not come', () => {
    const world = new World();
    world.state = 'S';
    expect(world.checks(0, 100)).toBe(3);
  });

  it('hangs as soon where the kernel does not say', () => {
    const world = new World();
    world.state = null;
    expect(world.checks(Number.NaN, 100)).toBe(3);
    world.state = 'R';
    expect(world.checks(Number.NaN, 100)).toBe(2);
  });

  it('and gets a tenth of a CPU is given ten times as long', () => {
    expect(new World().checks(100, 100)).toBe(25);
  });

  it('and gets no CPU does not hang', () => {
    expect(new World().checks(0, 1000)).toBe(1000);
  });

  it('and is stopped does not hang', () => {
    const world = new World();
    world.state = 'T';
    expect(world.checks(0, 1000)).toBe(1000);
  });

  it('is not judged by a supervisor that gets no CPU itself', () => {
    const world = new World();
    world.state = 'S';
    expect(world.checks(0, 100, 2 * HANG_CHECK_MS)).toBe(100);
    expect(world.checks(0, 100), 'and as ever afterwards').toBe(2);
  });

  it('is found again when it hangs again', () => {
    const world = new World();
    expect(world.checks(1000, 100)).toBe(3);
    world.threadId++;
    expect(world.checks(1000, 100)).toBe(3);
  });
});

describe('a shard', () => {
  it('that finishes a cycle now and then does not hang', () => {
    const world = new World();
    for (let i = 0; i < 100; i++) {
      world.cycles += i % 2;
      expect(world.hangs(1000)).toBe(false);
    }
  });

  it('without work does not hang, and one that had none for a while has all its time', () => {
    const world = new World();
    world.hasWork = false;
    world.state = 'S';
    expect(world.checks(0, 100)).toBe(100);
    world.hasWork = true;
    expect(world.checks(0, 2)).toBe(2);
    world.hasWork = false;
    expect(world.hangs(0)).toBe(false);
    world.hasWork = true;
    expect(world.checks(0, 100)).toBe(3);
  });
});
