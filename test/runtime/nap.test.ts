/** The dispatcher's naps on a clock that the test advances. The loop is the dispatcher's: a batch of what has arrived, a word
 *  with the judge, perhaps a nap; where nothing has arrived it sleeps until something does. */

import { describe, expect, it } from 'vitest';
import { Nap } from '../../src/runtime/nap.ts';

const NAP_US = 2500;
const BATCH = 64;
/** What the dispatcher spends on a batch and each of its datagrams. */
const BATCH_US = 4;
const DATAGRAM_US = 0.3;
const SECOND_US = 1_000_000;

/** Where datagrams come from. */
interface Load {
  /** When the next one arrives; Infinity: only after `taken`. */
  nextUs(nowUs: number): number;
  /** How many have arrived by now and were not taken. */
  waiting(nowUs: number): number;
  taken(count: number, nowUs: number): void;
}

/** Sends at its rate, whatever becomes of it. `factor` is by how much the next interval differs from the average. */
function openLoop(perSecond: number, fromUs = 0, factor = () => 1): Load {
  const intervalUs = SECOND_US / perSecond;
  let nextUs = fromUs + intervalUs * factor();
  let waiting = 0;
  return {
    nextUs: () => nextUs,
    waiting: (nowUs) => {
      for (; nextUs <= nowUs; nextUs += intervalUs * factor()) waiting++;
      return waiting;
    },
    taken: (count) => {
      waiting -= count;
    },
  };
}

/** Never has more than `window` unanswered; each answer takes `serviceUs` of a shard and `roundTripUs` on top. */
function closedLoop(window: number, serviceUs = 5, roundTripUs = 50, fromUs = 0): Load {
  const arrivals = Array.from({ length: window }, () => fromUs);
  let shardFreeUs = fromUs;
  return {
    nextUs: () => arrivals[0] ?? Number.POSITIVE_INFINITY,
    waiting: (nowUs) => {
      let count = 0;
      while (count < arrivals.length && arrivals[count]! <= nowUs) count++;
      return count;
    },
    taken: (count, nowUs) => {
      arrivals.splice(0, count);
      for (let i = 0; i < count; i++) {
        shardFreeUs = Math.max(shardFreeUs, nowUs) + serviceUs;
        arrivals.push(shardFreeUs + roundTripUs);
      }
    },
  };
}

interface Stretch {
  readonly batches: number;
  readonly naps: number;
  readonly datagrams: number;
  /** When the last nap was taken, from the beginning of the stretch. */
  readonly lastNapUs: number;
  /** Share of the time spent napping. */
  readonly napShare: number;
}

class Run {
  nowUs = 10 * SECOND_US;
  readonly nap: Nap;

  constructor(napUs = NAP_US) {
    this.nap = new Nap(napUs);
  }

  serve(load: Load, forUs: number): Stretch {
    const startUs = this.nowUs;
    let batches = 0;
    let naps = 0;
    let datagrams = 0;
    let lastNapUs = 0;
    let nappedUs = 0;
    while (this.nowUs < startUs + forUs) {
      if (load.waiting(this.nowUs) === 0) this.nowUs = Math.max(this.nowUs, load.nextUs(this.nowUs));
      const count = Math.min(BATCH, load.waiting(this.nowUs));
      this.nowUs += BATCH_US + count * DATAGRAM_US;
      load.taken(count, this.nowUs);
      datagrams += count;
      batches++;
      const napUs = this.nap.afterBatch(count, false, count === BATCH, this.nowUs);
      if (napUs === 0) continue;
      naps++;
      nappedUs += napUs;
      lastNapUs = this.nowUs - startUs;
      this.nowUs += napUs;
    }
    return { batches, naps, datagrams, lastNapUs, napShare: nappedUs / (this.nowUs - startUs) };
  }

  open(perSecond: number, forUs: number): Stretch {
    return this.serve(openLoop(perSecond, this.nowUs), forUs);
  }

  closed(window: number, forUs: number, serviceUs = 5): Stretch {
    return this.serve(closedLoop(window, serviceUs, 50, this.nowUs), forUs);
  }
}

describe('an open loop', () => {
  it('of 1,000/s takes no naps: a nap would gather half a datagram', () => {
    expect(new Run().open(1000, 2 * SECOND_US).naps).toBe(0);
  });

  it('of 20,000/s naps nearly always and loses nothing by it', () => {
    const run = new Run();
    const { napShare, datagrams } = run.open(20_000, 2 * SECOND_US);
    expect(napShare).toBeGreaterThan(0.8);
    expect(datagrams).toBeGreaterThan(39_900);
    // Twenty datagrams a batch instead of one, but for a trial.
    expect(run.open(20_000, SECOND_US).batches).toBeLessThan(2500);
  });

  it('of 7,000/s, as 1,000 calls make it, naps for as long as it may', () => {
    const run = new Run();
    run.open(7_000, 2 * SECOND_US);
    const { napShare, batches } = run.open(7_000, 2 * SECOND_US);
    expect(napShare).toBeGreaterThan(0.9);
    expect(batches).toBeLessThan(2000);
  });

  it('whose intervals are by chance is rarely taken for a closed one', () => {
    // A Poisson process, from a generator of its own so that a failure comes again.
    for (const rate of [3_000, 7_000, 20_000]) {
      const run = new Run();
      let seed = 1;
      const load = openLoop(rate, run.nowUs, () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        return -Math.log((seed + 1) / 2_147_483_649);
      });
      run.serve(load, 3 * SECOND_US);
      expect(run.serve(load, 20 * SECOND_US).napShare, `${rate}/s`).toBeGreaterThan(0.85);
    }
  });

  it('of 100,000/s naps between batches that are not full', () => {
    const { datagrams, napShare } = new Run().open(100_000, 2 * SECOND_US);
    expect(datagrams).toBeGreaterThan(199_000);
    expect(napShare).toBeGreaterThan(0.5);
  });

  it('above what a batch holds in a nap never naps behind a full batch', () => {
    const run = new Run();
    for (let i = 0; i < 2000; i++) {
      run.nowUs += 25;
      expect(run.nap.afterBatch(BATCH, false, true, run.nowUs)).toBe(0);
    }
  });

  it.each([20_000, 50_000, 100_000])(
    'of %i/s spends less than 4 %% of its time on trials once it is steady',
    (rate) => {
      const run = new Run();
      run.open(rate, 3 * SECOND_US);
      let awakeUs = 0;
      const stepUs = 1000;
      const load = openLoop(rate, run.nowUs);
      for (let i = 0; i < 5000; i++) if (run.serve(load, stepUs).naps === 0) awakeUs += stepUs;
      expect(awakeUs / (5000 * stepUs)).toBeLessThan(0.04);
    },
  );
});

describe('a closed loop', () => {
  it.each([1, 4, 16])('with a window of %i behind an open one of another rate is awake within 250 ms', (window) => {
    const run = new Run();
    run.open(3_000, 30 * SECOND_US);
    run.closed(window, 250_000);
    expect(run.closed(window, 100_000).napShare).toBeLessThan(0.25);
  });

  it('in bursts of 50 ms is awake in most of each', () => {
    const run = new Run();
    run.open(7_000, 30 * SECOND_US);
    let nappedUs = 0;
    for (let i = 0; i < 20; i++) {
      run.nowUs += SECOND_US;
      nappedUs += run.closed(4, 50_000).napShare * 50_000;
    }
    expect(nappedUs / (20 * 50_000)).toBeLessThan(0.4);
  });

  it.each([
    [4, 5_000],
    [16, 5_000],
    [64, 10_000],
    [64, 1_000],
  ])('with a window of %i and %i us of thought loses less than a sixth', (window, thinkUs) => {
    const run = new Run();
    const load = closedLoop(window, 5, thinkUs, run.nowUs);
    run.serve(load, 3 * SECOND_US);
    const { datagrams } = run.serve(load, 10 * SECOND_US);
    const { datagrams: best } = new Run(0).serve(closedLoop(window, 5, thinkUs, 10 * SECOND_US), 10 * SECOND_US);
    expect(datagrams / best).toBeGreaterThan(5 / 6);
  });

  it.each([1, 2, 4])(
    'with a window of %i, one call after another, loses less than a tenth in the long run',
    (window) => {
      const run = new Run();
      const load = closedLoop(window, 5, 100, run.nowUs);
      run.serve(load, 3 * SECOND_US);
      const { datagrams } = run.serve(load, 10 * SECOND_US);
      const { datagrams: best } = new Run(0).serve(closedLoop(window, 5, 100, 10 * SECOND_US), 10 * SECOND_US);
      expect(datagrams / best).toBeGreaterThan(0.9);
    },
  );

  it.each([8, 16, 64])('with a window of %i stops napping within 100 ms', (window) => {
    const run = new Run();
    run.closed(window, 100_000);
    const after = run.closed(window, 100_000);
    expect(after.napShare).toBeLessThan(0.25);
  });

  it('with a window of 64 stays awake but for trials, and is served as if there were no naps', () => {
    const run = new Run();
    const load = closedLoop(64, 5, 50, run.nowUs);
    run.serve(load, 500_000);
    const { datagrams, napShare } = run.serve(load, 3 * SECOND_US);
    expect(napShare).toBeLessThan(0.03);
    const awake = new Run(0);
    const { datagrams: best } = awake.serve(closedLoop(64, 5, 50, awake.nowUs), 3 * SECOND_US);
    expect(datagrams / best).toBeGreaterThan(0.97);
  });

  it('with a window so large that the shard never waits keeps its rate, napping or not', () => {
    const run = new Run();
    const { datagrams } = run.closed(256, 2 * SECOND_US);
    const { datagrams: best } = new Run(0).closed(256, 2 * SECOND_US);
    expect(datagrams / best).toBeGreaterThan(0.97);
  });

  it('would lose most of its rate if naps were never given up', () => {
    // What the trial is for: the same load on a clock where every batch is followed by a nap.
    const load = closedLoop(64, 5, 50, 0);
    let nowUs = 0;
    let datagrams = 0;
    while (nowUs < SECOND_US) {
      nowUs = Math.max(nowUs, load.nextUs(nowUs));
      const count = Math.min(BATCH, load.waiting(nowUs));
      load.taken(count, nowUs);
      datagrams += count;
      nowUs += NAP_US;
    }
    const awake = new Run(0);
    const { datagrams: best } = awake.serve(closedLoop(64, 5, 50, awake.nowUs), SECOND_US);
    expect(datagrams / best).toBeLessThan(0.75);
  });
});

describe('a load that changes', () => {
  it('from closed to open is napping again within 1.5 s', () => {
    const run = new Run();
    run.closed(64, 3 * SECOND_US);
    run.open(20_000, 1.5 * SECOND_US);
    expect(run.open(20_000, SECOND_US).napShare).toBeGreaterThan(0.7);
  });

  it('from open to closed is awake within 1.5 s', () => {
    const run = new Run();
    run.open(20_000, 3 * SECOND_US);
    run.closed(64, 1.5 * SECOND_US);
    expect(run.closed(64, SECOND_US).napShare).toBeLessThan(0.1);
  });

  it('from many to few stops napping within 100 ms', () => {
    const run = new Run();
    run.open(100_000, 2 * SECOND_US);
    expect(run.open(1000, SECOND_US).lastNapUs).toBeLessThan(100_000);
  });

  it('from silence to 20,000/s naps within 100 ms', () => {
    const run = new Run();
    run.open(20_000, SECOND_US);
    run.nowUs += 60 * SECOND_US;
    const load = openLoop(20_000, run.nowUs);
    run.serve(load, 100_000);
    expect(run.serve(load, 100_000).naps).toBeGreaterThan(20);
  });
});

describe('off', () => {
  it('means off', () => {
    const run = new Run(0);
    expect(run.open(20_000, SECOND_US).naps).toBe(0);
    expect(run.open(100_000, SECOND_US).naps).toBe(0);
    expect(run.closed(64, SECOND_US).naps).toBe(0);
  });
});

/** What so many batches of eight come to that begin when the load has been steady for long and no trial is on. */
function steadyNaps(nap: Nap, perSecond: number, batches: number, hasInvite: (i: number) => boolean): number[] {
  let nowUs = SECOND_US;
  const next = (isInvite: boolean) => nap.afterBatch(8, isInvite, false, (nowUs += (8 * SECOND_US) / perSecond));
  for (let i = 0; i < perSecond; i++) next(false);
  for (let i = 0; i < perSecond && next(false) === 0; i++);
  return Array.from({ length: batches }, (_, i) => next(hasInvite(i)));
}

describe('the length of a nap', () => {
  it.each([
    [1_500, 2000, 0],
    [7_000, 2000, 2000],
    [7_000, 5000, 2857],
    [16_000, 2000, 1250],
    [100_000, 2000, 500],
    [100_000, 50, 50],
  ])('at %i/s with at most %i us is %i us', (perSecond, longestUs, expected) => {
    const [length] = steadyNaps(new Nap(longestUs), perSecond, 1, () => false);
    expect(length).toBeGreaterThanOrEqual(expected);
    expect(length).toBeLessThanOrEqual(Math.min(expected * 1.01, longestUs));
  });
});

describe('behind an INVITE', () => {
  const lengths = (perSecond: number, hasInvite: (i: number) => boolean) =>
    steadyNaps(new Nap(NAP_US), perSecond, 10, hasInvite);

  it('a nap is short, so that the answer does not wait for a second one', () => {
    const all = lengths(8_000, (i) => i === 5);
    expect(all[5]).toBe(150);
    expect(all.filter((length) => length > 2000).length).toBe(9);
  });

  it('which comes in every batch every other nap is', () => {
    const all = lengths(8_000, () => true);
    expect(all.filter((length) => length === 150).length).toBe(5);
  });

  it('a nap is as ever where it is not long anyway', () => {
    expect(lengths(60_000, () => true)).not.toContain(150);
  });
});
