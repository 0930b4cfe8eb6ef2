/** From the times of single exchanges to histograms (HdrHistogram), and when an exchange was due. Pure. Cold.
 *
 *  Coordinated omission: at a set rate, SIPp begins its n-th exchange once n of them are due, and after a stall it makes up for
 *  what is missing at once. So an exchange that was begun late is counted from when it was due: whatever held up SIPp is charged
 *  to all that waited. Two things of SIPp's need care. It looks at what is due every few milliseconds only and begins it as a
 *  burst: lateness up to that grain is how it sends, and is not charged. And it drops what is due while its window is full;
 *  the numbers lag behind from then on, for good. Lateness that goes away was a stall, lateness that stays was such a drop. */

import * as hdr from 'hdr-histogram-js';
import { DELAYS, type Delay, type DelayName } from './result.ts';
import type { Scenario } from './scenario.ts';
import type { ExchangeTimes } from './sipp-traces.ts';

/** Percentiles of the tables. */
export const PERCENTILES = [2.5, 50, 97.5, 99, 99.9, 99.99] as const;
/** Of --latency: the whole curve. */
export const ALL_PERCENTILES = [
  0.001, 0.01, 0.1, 1, 2.5, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.9, 99.99, 99.999,
] as const;

/** An hour: more than any timer of SIP. */
const HIGHEST_US = 3_600_000_000;
const SIGNIFICANT_DIGITS = 3;

export function newHistogram(): hdr.Histogram {
  return hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
    bitBucketSize: 64,
    useWebAssembly: false,
  });
}

/** One measured delay. */
export interface DelaySample {
  readonly name: DelayName;
  /** Microseconds of the epoch. */
  readonly endUs: number;
  readonly us: number;
}

/** How late each exchange was begun beyond the grain, in microseconds, in the order given; 0 for all without a rate. `numbers`:
 *  from 1, in the order in which they were begun; `begun`: microseconds of the epoch. */
export function latenessUs(
  numbers: Float64Array,
  begun: Float64Array,
  ratePerSec: number | null,
  grainUs: number,
): Float64Array {
  const lateness = new Float64Array(numbers.length);
  if (ratePerSec === null) return lateness;
  const behindUs = numbers.map((number, i) => begun[i]! - (number * 1e6) / ratePerSec);
  const order = Uint32Array.from(numbers.keys()).sort((a, b) => numbers[b]! - numbers[a]!);
  // From the last to the first: what is never made up for later was no stall.
  let least = Infinity;
  for (const i of order) {
    if (behindUs[i]! < least) least = behindUs[i]!;
    lateness[i] = Math.max(0, behindUs[i]! - least - grainUs);
  }
  return lateness;
}

/** All delays of the exchanges that ended within the window (microseconds of the epoch), in the order of the lines. */
export function samplesOf(
  { count, numbers, times }: ExchangeTimes,
  scenario: Pick<Scenario, 'delays'>,
  { ratePerSec, grainUs }: { readonly ratePerSec: number | null; readonly grainUs: number },
  window: { readonly beginUs: number; readonly endUs: number },
): DelaySample[] {
  const lateness = latenessUs(numbers, times[0] ?? new Float64Array(), ratePerSec, grainUs);
  const samples: DelaySample[] = [];
  const spans = DELAYS.flatMap((name) => {
    const span = scenario.delays[name];
    return span === undefined ? [] : [{ name, ...span }];
  });
  const ends = times.at(-1)!;
  for (let i = 0; i < count; i++) {
    if (!(ends[i]! >= window.beginUs && ends[i]! < window.endUs)) continue;
    for (const { name, from, to } of spans) {
      const end = to.map((column) => times[column]![i]!).find((time) => !Number.isNaN(time));
      const begin = times[from]![i]!;
      if (end === undefined || Number.isNaN(begin)) continue;
      // Only what begins with the exchange had a time at which it was due.
      const late = from === 0 ? lateness[i]! : 0;
      samples.push({ name, endUs: ends[i]!, us: end - begin + late });
    }
  }
  return samples;
}

/** Histograms by name, of those that there are. */
export function histogramsOf(samples: Iterable<DelaySample>): Map<DelayName, hdr.Histogram> {
  const histograms = new Map<DelayName, hdr.Histogram>();
  for (const { name, us } of samples) {
    let histogram = histograms.get(name);
    if (histogram === undefined) histograms.set(name, (histogram = newHistogram()));
    histogram.recordValue(Math.min(Math.max(Math.round(us), 0), HIGHEST_US));
  }
  return histograms;
}

export function delayOf(histogram: hdr.Histogram, isCorrected: boolean): Delay {
  const isEmpty = histogram.totalCount === 0;
  return {
    count: histogram.totalCount,
    minUs: isEmpty ? 0 : histogram.getValueAtPercentile(0),
    maxUs: histogram.maxValue,
    meanUs: isEmpty ? 0 : histogram.mean,
    percentilesUs: Object.fromEntries(
      ALL_PERCENTILES.map((percentile) => [String(percentile), histogram.getValueAtPercentile(percentile)]),
    ),
    histogram: hdr.encodeIntoCompressedBase64(histogram),
    isCorrected,
  };
}

/** The histogram of a delay, as it was. Throws if the text is no histogram. */
export function histogramOf(delay: Pick<Delay, 'histogram'>): hdr.Histogram {
  return hdr.decodeFromCompressedBase64(delay.histogram);
}

/** Delays of several turns as one: histograms are added, percentiles read from the sum. Null if there are none. */
export function mergedDelay(delays: readonly Delay[]): Delay | null {
  if (delays.length === 0) return null;
  const sum = newHistogram();
  for (const delay of delays) sum.add(histogramOf(delay));
  return delayOf(
    sum,
    delays.every(({ isCorrected }) => isCorrected),
  );
}
