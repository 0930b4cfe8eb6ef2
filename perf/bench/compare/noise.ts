/** How much a figure varies by itself, judged by the rounds: they are the independent trials, the single exchanges are not,
 *  because those of one round share its luck. Cold. */

import type { Distribution } from '../report/distribution.ts';
import { binomialTest, studentQuantile } from './student.ts';

/** How often a figure is called changed that is not: one in a hundred. */
export const FALSE_ALARM_SHARE = 0.01;

/** A median of a few rounds varies by up to a quarter more than their mean would. */
const MEDIAN_FACTOR = 1.25;

/** Three significant digits, as HdrHistograms have them: what is finer is not known. */
const RESOLUTION = 0.001;

/** The largest change, as the logarithm of a ratio, that the spread of the rounds explains: Welch's t interval over the
 *  logarithms. Null: a side has only one round, so nothing is known. All values above 0. */
export function noiseOf(before: readonly number[], after: readonly number[], isOfMedians: boolean): number | null {
  if (before.length < 2 || after.length < 2) return null;
  const [a, b] = [before, after].map((values) => varianceOf(values.map(Math.log)) / values.length) as [number, number];
  const error = a + b;
  const degrees = error ** 2 / (a ** 2 / (before.length - 1) + b ** 2 / (after.length - 1));
  return (isOfMedians ? MEDIAN_FACTOR : 1) * studentQuantile(FALSE_ALARM_SHARE / 2, degrees) * Math.sqrt(error);
}

function varianceOf(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return squares / (values.length - 1) + RESOLUTION ** 2 / 12;
}

export interface Failures {
  readonly failed: number;
  readonly started: number;
}

/** The probability that so different shares of failures are chance. Failures come in bursts: where they vary more from round to
 *  round than single ones would, each counts for less. Null: a side has only one round, so that is not known. */
export function failureProbability(before: readonly Failures[], after: readonly Failures[]): number | null {
  if (before.length < 2 || after.length < 2) return null;
  const [a, b] = [totalOf(before), totalOf(after)];
  if (a.failed + b.failed === 0) return 1;
  const burst = Math.max(1, dispersionOf([before, after]));
  const [k, others] = [Math.round(b.failed / burst), Math.round(a.failed / burst)];
  return binomialTest(k, k + others, b.started / (a.started + b.started));
}

export function totalOf(rounds: readonly Failures[]): Failures {
  return {
    failed: rounds.reduce((sum, { failed }) => sum + failed, 0),
    started: rounds.reduce((sum, { started }) => sum + started, 0),
  };
}

/** Pearson's χ² of the rounds about the share of their own side, by its degrees of freedom: 1 for single failures. */
function dispersionOf(sides: readonly (readonly Failures[])[]): number {
  let squares = 0;
  let degrees = 0;
  for (const rounds of sides) {
    const { failed, started } = totalOf(rounds);
    if (failed === 0) continue;
    for (const round of rounds) {
      const expected = (failed / started) * round.started;
      if (expected > 0) squares += (round.failed - expected) ** 2 / expected;
    }
    degrees += rounds.length - 1;
  }
  return degrees === 0 ? 1 : squares / degrees;
}

export interface DistributionTest {
  /** Of the two distributions (Kolmogorov-Smirnov): the largest difference between the shares up to a value, 0 … 1. */
  readonly distance: number;
  /** The value. */
  readonly atUs: number;
  /** Whether a smaller share is up to there than before. */
  readonly isSlower: boolean;
  /** How often rounds that are dealt to the two sides by chance lie as far apart; null: too few rounds to tell. */
  readonly probability: number | null;
}

/** More ways to deal than this are not all tried. */
const MOST_DEALS = 2000;
const MOST_EDGES = 600;

/** The Kolmogorov-Smirnov distance of the added histograms, and by permutation of the rounds whether it is more than chance.
 *  One distribution for each round, not empty. */
export function testDistributions(before: readonly Distribution[], after: readonly Distribution[]): DistributionTest {
  const rounds = [...before, ...after];
  const edges = sharedEdges(rounds);
  const total = rounds.reduce((sum, { count }) => sum + count, 0);
  // By round and edge: how many values were up to there.
  const upTo = rounds.map((round) => Float64Array.from(edges, (us) => round.shareUpTo(us) * round.count));
  const ofAll = edges.map((_, edge) => upTo.reduce((sum, row) => sum + row[edge]!, 0));
  const furthest = (second: readonly number[]): { distance: number; edge: number; isSlower: boolean } => {
    const count = second.reduce((sum, round) => sum + rounds[round]!.count, 0);
    let best = { distance: 0, edge: 0, isSlower: false };
    for (let edge = 0; edge < edges.length; edge++) {
      let inSecond = 0;
      for (const round of second) inSecond += upTo[round]![edge]!;
      const difference = (ofAll[edge]! - inSecond) / (total - count) - inSecond / count;
      if (Math.abs(difference) > best.distance)
        best = { distance: Math.abs(difference), edge, isSlower: difference > 0 };
    }
    return best;
  };
  const actual = furthest(after.map((_, i) => before.length + i));
  const deals = dealsOf(rounds.length, after.length);
  // Two of all deals are the actual one and, if the sides are equal, its mirror image.
  const least = (before.length === after.length ? 2 : 1) / deals.length;
  const reached = deals.filter((deal) => furthest(deal).distance >= actual.distance * (1 - 1e-9)).length;
  return {
    distance: actual.distance,
    atUs: edges[actual.edge]!,
    isSlower: actual.isSlower,
    probability: least > FALSE_ALARM_SHARE ? null : Math.max(reached, 1) / deals.length,
  };
}

/** Edges of bins, so many that no percentile of any round lies between two of them by much. */
function sharedEdges(rounds: readonly Distribution[]): number[] {
  const edges = new Set<number>();
  const each = Math.ceil(MOST_EDGES / rounds.length);
  for (const round of rounds) {
    for (let i = 0; i < each; i++) edges.add(round.percentileUs(((i + 0.5) / each) * 100));
  }
  return [...edges].sort((a, b) => a - b);
}

/** All ways to choose `size` of `count`, the last ones first; where these are too many, evenly spaced ones and the actual. */
function dealsOf(count: number, size: number): number[][] {
  const ways = waysToChoose(count, size);
  if (ways <= MOST_DEALS) return [...combinations(count, size)];
  const random = newRandom(7502);
  const deals = [Array.from({ length: size }, (_, i) => count - size + i)];
  while (deals.length < MOST_DEALS) deals.push(shuffled(count, random).slice(0, size));
  return deals;
}

function waysToChoose(count: number, size: number): number {
  let ways = 1;
  for (let i = 1; i <= size; i++) ways = (ways * (count - size + i)) / i;
  return Math.round(ways);
}

function* combinations(count: number, size: number, from = 0): Generator<number[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let first = from; first <= count - size; first++) {
    for (const rest of combinations(count, size - 1, first + 1)) yield [first, ...rest];
  }
}

function shuffled(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** The same verdict for the same files: Mulberry32, seeded. */
function newRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
