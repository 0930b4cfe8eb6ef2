/** What changed from one result to another, and whether it is more than the rounds vary by themselves. Cold. */

import { Distribution } from '../report/distribution.ts';
import {
  type ContestantSummary,
  cpuUsOf,
  isLowerBound,
  medianOf,
  rateOf,
  startedOf,
  summarize,
} from '../report/summary.ts';
import type { BenchResult, Delay, DelayName, Turn } from '../result.ts';
import { DELAYS } from '../result.ts';
import { doubtsOfComparing, IncomparableError } from './comparability.ts';
import { FALSE_ALARM_SHARE, failureProbability, noiseOf, testDistributions, totalOf } from './noise.ts';

export const COMPARISON_FORMAT = 'strowger-bench-compare/1';

/** `same`: within the noise. `drift`: more than the noise, but the other server changed alike, so the machine did.
 *  `unknown`: it cannot be told, `reason` says why. */
export type Verdict = 'better' | 'worse' | 'same' | 'drift' | 'unknown';

/** What a row is about. `distribution` is the whole of a delay. */
export type Measure = 'rate' | 'cpu' | 'percentile' | 'distribution' | 'failures';

export interface ComparedFigure {
  readonly measure: Measure;
  /** Of percentile and distribution. */
  readonly delay: DelayName | null;
  /** 50, 90 … of a percentile. */
  readonly percentile: number | null;
  /** Figures are multiples of this contestant's in the same rounds; null: they are what they are. */
  readonly beside: string | null;
  /** Exchanges/s, microseconds, a share of failures, or a ratio if it is beside somebody; null: it has no single value. */
  readonly before: number | null;
  readonly after: number | null;
  /** 0.1: a tenth more. Null: it was nothing before. */
  readonly change: number | null;
  /** What the rounds vary by themselves, as a share like `change`; null: not known, or it has a probability instead. */
  readonly noise: number | null;
  /** How probable it is that this is chance, where noise is not a share. */
  readonly probability: number | null;
  /** Of a distribution: where the two are furthest apart, and by how much. */
  readonly distance: { readonly share: number; readonly atUs: number } | null;
  /** Of failures. */
  readonly counts: { readonly before: Counts; readonly after: Counts } | null;
  readonly verdict: Verdict;
  readonly reason: string | null;
}

export interface Counts {
  readonly failed: number;
  readonly started: number;
}

export interface ComparedContestant {
  readonly name: string;
  readonly role: string;
  readonly rounds: { readonly before: number; readonly after: number };
  readonly figures: readonly ComparedFigure[];
}

export interface Comparison {
  readonly format: typeof COMPARISON_FORMAT;
  readonly scenario: string;
  readonly before: ComparedRun;
  readonly after: ComparedRun;
  /** Sentences. */
  readonly doubts: readonly string[];
  readonly contestants: readonly ComparedContestant[];
  /** Over the contestants that the runs are about. */
  readonly verdicts: { readonly [verdict in Verdict]: number };
  readonly falseAlarmShare: number;
  /** Smaller changes are never called one. */
  readonly leastChange: number;
}

export interface ComparedRun {
  readonly file: string;
  readonly title: string | null;
  readonly startedAt: string;
  readonly revision: string | null;
}

/** Runs differ by more than their rounds do: another boot, another layout of memory. What is smaller than this is not called a
 *  change, however quiet the rounds were. */
export const LEAST_CHANGE = 0.03;

const PERCENTILES = [50, 90, 99, 99.9, 99.99];

/** With fewer values beyond it in a round, a percentile is the luck of a few. */
const LEAST_BEYOND = 10;

const SINGLE_ROUND = 'a single round';

export interface NamedResult {
  readonly file: string;
  readonly result: BenchResult;
}

/** Throws IncomparableError if nothing can be learned from the two. Both as `readResult` gives them. */
export function compare(before: NamedResult, after: NamedResult, leastChange = LEAST_CHANGE): Comparison {
  const doubts = [...doubtsOfComparing(before.result, after.result)];
  const [olds, news] = [summarize(before.result), summarize(after.result)];
  const pairs = pairsOf(olds, news);
  if (pairs.length === 0) throw new IncomparableError('nobody has had a turn in both');
  for (const { contestant } of [...olds, ...news]) {
    if (pairs.some(({ before, after }) => [before.contestant, after.contestant].includes(contestant))) continue;
    doubts.push(`Only one of the two has ${contestant.name}: it is not compared.`);
  }
  for (const { before, after } of pairs) {
    const [old, now] = [before.contestant.name, after.contestant.name];
    if (old !== now) doubts.push(`Another one was measured: ${old} before, ${now} after.`);
  }
  const reference = referenceOf(pairs);
  const contestants = pairs.map((pair) => comparePair(pair, reference, leastChange));
  const verdicts = { better: 0, worse: 0, same: 0, drift: 0, unknown: 0 };
  for (const { role, figures } of contestants) {
    if (role === 'subject') for (const { verdict } of figures) verdicts[verdict]++;
  }
  return {
    format: COMPARISON_FORMAT,
    scenario: before.result.load.scenario,
    before: runOf(before),
    after: runOf(after),
    doubts,
    contestants,
    verdicts,
    falseAlarmShare: FALSE_ALARM_SHARE,
    leastChange,
  };
}

function runOf({ file, result }: NamedResult): ComparedRun {
  return { file, title: result.title, startedAt: result.startedAt, revision: result.machine.revision };
}

interface Pair {
  readonly before: ContestantSummary;
  readonly after: ContestantSummary;
}

/** By name; whom the runs are about also if they have different names. */
function pairsOf(olds: readonly ContestantSummary[], news: readonly ContestantSummary[]): Pair[] {
  const named = (those: readonly ContestantSummary[], name: string) =>
    those.find(({ contestant }) => contestant.name === name);
  return olds.flatMap((before): Pair[] => {
    const same = named(news, before.contestant.name);
    if (same !== undefined) return [{ before, after: same }];
    if (before.contestant.role !== 'subject') return [];
    const after = news.find(({ contestant }) => contestant.role === 'subject');
    return after === undefined || named(olds, after.contestant.name) !== undefined ? [] : [{ before, after }];
  });
}

/** Who tells a change of the machine from a change of the server: another server in both runs that nobody has changed. */
function referenceOf(pairs: readonly Pair[]): Pair | null {
  const unchanged = (role: string) =>
    pairs.find(
      ({ before, after }) =>
        before.contestant.role === role &&
        after.contestant.role === role &&
        before.contestant.version === after.contestant.version &&
        before.contestant.command === after.contestant.command,
    );
  return unchanged('against') ?? unchanged('relay') ?? null;
}

function comparePair(pair: Pair, reference: Pair | null, leastChange: number): ComparedContestant {
  const { before, after } = pair;
  const isSubject = before.contestant.role === 'subject';
  const beside = isSubject ? reference : null;
  const figures: ComparedFigure[] = [];
  for (const figure of figuresOf(pair)) figures.push(...compareFigure(pair, figure, beside, leastChange));
  figures.push(compareFailures(pair));
  for (const name of DELAYS) {
    const distribution = compareDistribution(pair, name, figures);
    if (distribution !== null) figures.push(distribution);
  }
  return {
    name: before.contestant.name,
    role: before.contestant.role,
    rounds: { before: before.turns.length, after: after.turns.length },
    figures,
  };
}

// ---- Figures with one value in each round ---------------------------------------------------------------------------

interface Figure {
  readonly measure: 'rate' | 'cpu' | 'percentile';
  readonly delay: DelayName | null;
  readonly percentile: number | null;
  readonly isMoreBetter: boolean;
  /** Of a single turn; null: not known. */
  readonly of: (turn: Turn) => number | null;
  /** Of all rounds together; null: there is none. */
  readonly ofAll: (summary: ContestantSummary) => number | null;
  /** `ofAll` is the median of the rounds. */
  readonly isMedian: boolean;
}

function* figuresOf({ before, after }: Pair): Generator<Figure> {
  const plain = { delay: null, percentile: null, isMedian: true };
  yield { ...plain, measure: 'rate', isMoreBetter: true, of: rateOf, ofAll: ({ rate }) => rate.median };
  yield { ...plain, measure: 'cpu', isMoreBetter: false, of: cpuUsOf, ofAll: ({ cpuUs }) => cpuUs?.median ?? null };
  for (const delay of DELAYS) {
    for (const percentile of PERCENTILES) {
      const reaches = ({ turns }: ContestantSummary) =>
        turns.every((turn) => roundPercentile(turn.delays[delay], percentile) !== null);
      if (!reaches(before) || !reaches(after)) continue;
      yield {
        measure: 'percentile',
        delay,
        percentile,
        isMoreBetter: false,
        isMedian: false,
        of: (turn) => roundPercentile(turn.delays[delay], percentile),
        ofAll: (summary) => Math.max(1, summary.delays.get(delay)!.percentileUs(percentile)),
      };
    }
  }
}

const distributions = new WeakMap<Delay, Distribution>();

function roundDistribution(delay: Delay): Distribution {
  const known = distributions.get(delay);
  if (known !== undefined) return known;
  const distribution = new Distribution([delay]);
  distributions.set(delay, distribution);
  return distribution;
}

/** Null: none was recorded, or too few to have such a percentile. */
function roundPercentile(delay: Delay | undefined, percentile: number): number | null {
  if (delay === undefined || delay.count === 0) return null;
  const distribution = roundDistribution(delay);
  const beyond = (distribution.count * (100 - percentile)) / 100;
  return beyond >= LEAST_BEYOND - 1e-6 ? Math.max(1, distribution.percentileUs(percentile)) : null;
}

/** The figure, and the figure beside the reference if there is one: then that one decides. */
function compareFigure(pair: Pair, figure: Figure, reference: Pair | null, leastChange: number): ComparedFigure[] {
  const [before, after] = [figure.ofAll(pair.before), figure.ofAll(pair.after)];
  if (before === null || after === null || before <= 0 || after <= 0) return [];
  const values = (summary: ContestantSummary) => knownOf(summary.turns.map(figure.of));
  const plain = judge(figure, {
    before,
    after,
    noise: noiseOf(values(pair.before), values(pair.after), figure.isMedian),
    beside: null,
    leastChange,
  });
  const bound = figure.measure === 'rate' && (isLowerBound(pair.before) || isLowerBound(pair.after));
  if (bound) {
    const reason = 'a lower bound, the load generator was the limit';
    return [{ ...plain, verdict: 'unknown', reason }];
  }
  const ratio = reference === null ? null : compareRatio(pair, figure, reference, leastChange);
  if (ratio === null || reference === null) return [plain];
  if (!isDrift(plain, ratio, figure, reference)) return [plain, ratio];
  const reason = `${reference.before.contestant.name} changed alike`;
  return [{ ...plain, verdict: 'drift', reason }, ratio];
}

/** A change of which the reference made half at the least, and that is no more than the noise when seen beside it. */
function isDrift(plain: ComparedFigure, ratio: ComparedFigure, figure: Figure, reference: Pair): boolean {
  if (!isChange(plain.verdict) || ratio.verdict !== 'same') return false;
  const [before, after] = [figure.ofAll(reference.before), figure.ofAll(reference.after)];
  if (before === null || after === null || before <= 0 || after <= 0) return false;
  return Math.log(after / before) / Math.log(plain.after! / plain.before!) >= 0.5;
}

function isChange(verdict: Verdict): boolean {
  return verdict === 'worse' || verdict === 'better';
}

function compareRatio(pair: Pair, figure: Figure, reference: Pair, leastChange: number): ComparedFigure | null {
  if (figure.measure === 'rate' && (isLowerBound(reference.before) || isLowerBound(reference.after))) return null;
  const before = ratiosOf(pair.before, reference.before, figure);
  const after = ratiosOf(pair.after, reference.after, figure);
  if (before.length === 0 || after.length === 0) return null;
  return judge(figure, {
    before: medianOf(before),
    after: medianOf(after),
    noise: noiseOf(before, after, true),
    beside: reference.before.contestant.name,
    leastChange,
  });
}

function ratiosOf(one: ContestantSummary, other: ContestantSummary, figure: Figure): number[] {
  return knownOf(
    one.turns.map((turn) => {
      const beside = other.turns.find(({ round }) => round === turn.round);
      const below = beside === undefined ? null : figure.of(beside);
      const above = figure.of(turn);
      return above === null || below === null || below <= 0 ? null : above / below;
    }),
  );
}

function knownOf(values: readonly (number | null)[]): number[] {
  return values.filter((value): value is number => value !== null && value > 0);
}

function judge(
  { measure, delay, percentile, isMoreBetter }: Figure,
  {
    before,
    after,
    noise,
    beside,
    leastChange,
  }: {
    readonly before: number;
    readonly after: number;
    readonly noise: number | null;
    readonly beside: string | null;
    readonly leastChange: number;
  },
): ComparedFigure {
  const log = Math.log(after / before);
  let verdict: Verdict = 'same';
  if (noise === null) verdict = 'unknown';
  else if (Math.abs(log) > Math.max(noise, Math.log1p(leastChange)))
    verdict = log > 0 === isMoreBetter ? 'better' : 'worse';
  return {
    measure,
    delay,
    percentile,
    beside,
    before,
    after,
    change: after / before - 1,
    noise: noise === null ? null : Math.expm1(noise),
    probability: null,
    distance: null,
    counts: null,
    verdict,
    reason: noise === null ? SINGLE_ROUND : null,
  };
}

// ---- Figures with a probability -------------------------------------------------------------------------------------

function compareFailures({ before, after }: Pair): ComparedFigure {
  const [olds, news] = [before, after].map(({ turns }) =>
    turns.map((turn) => ({ failed: turn.exchanges.failed, started: startedOf(turn) })),
  ) as [Counts[], Counts[]];
  const [old, now] = [totalOf(olds), totalOf(news)];
  const share = ({ failed, started }: Counts) => (started === 0 ? 0 : failed / started);
  const probability = failureProbability(olds, news);
  const none = old.failed + now.failed === 0;
  let verdict: Verdict = 'same';
  if (probability === null && !none) verdict = 'unknown';
  else if (probability !== null && probability < FALSE_ALARM_SHARE)
    verdict = share(now) > share(old) ? 'worse' : 'better';
  return {
    measure: 'failures',
    delay: null,
    percentile: null,
    beside: null,
    before: share(old),
    after: share(now),
    change: share(old) === 0 ? null : share(now) / share(old) - 1,
    noise: null,
    probability,
    distance: null,
    counts: { before: old, after: now },
    verdict,
    reason: verdict === 'unknown' ? SINGLE_ROUND : null,
  };
}

/** In shares of all exchanges: what is less is never called a change. */
export const LEAST_DISTANCE = 0.02;

function compareDistribution(
  { before, after }: Pair,
  delay: DelayName,
  figures: readonly ComparedFigure[],
): ComparedFigure | null {
  const [olds, news] = [before, after].map(({ turns }) =>
    turns.flatMap(({ delays }) => {
      const of = delays[delay];
      return of === undefined || of.count === 0 ? [] : [roundDistribution(of)];
    }),
  ) as [Distribution[], Distribution[]];
  if (olds.length === 0 || news.length === 0) return null;
  const { distance, atUs, isSlower, probability } = testDistributions(olds, news);
  let verdict: Verdict = 'same';
  if (probability === null) verdict = 'unknown';
  else if (probability <= FALSE_ALARM_SHARE && distance >= LEAST_DISTANCE) verdict = isSlower ? 'worse' : 'better';
  const own = figures.filter((figure) => figure.delay === delay);
  const drifted = own.filter((figure) => figure.verdict === 'drift').length;
  const changed = own.filter((figure) => figure.beside === null && isChange(figure.verdict)).length;
  if (isChange(verdict) && drifted > changed) verdict = 'drift';
  return {
    measure: 'distribution',
    delay,
    percentile: null,
    beside: null,
    before: null,
    after: null,
    change: null,
    noise: null,
    probability,
    distance: { share: distance, atUs },
    counts: null,
    verdict,
    reason:
      verdict === 'unknown' ? 'takes five rounds on each side' : verdict === 'drift' ? 'as its percentiles' : null,
  };
}
