/** The edge between the engine's histograms and the result that others read: HdrHistogram, three digits. Cold. */

import * as hdr from 'hdr-histogram-js';
import { ALL_PERCENTILES, newHistogram } from '../bench/delays.ts';
import type { Delay } from '../bench/result.ts';
import { type HistogramFigures, middleUsOf } from './histogram.ts';

/** Null if nothing was recorded. `isCorrected`: counted from when it was due, as in open loop. */
export function delayOf(figures: HistogramFigures, isCorrected: boolean): Delay | null {
  const { bins, sumUs, minUs, maxUs } = figures;
  const count = bins.reduce((sum, [, some]) => sum + some, 0);
  if (count === 0) return null;
  // As the harness over SIPp has it, so that the histograms of both can be added.
  const histogram = newHistogram();
  for (const [bin, some] of bins) {
    const us = Math.round(Math.min(Math.max(middleUsOf(bin), minUs), maxUs));
    histogram.recordValueWithCount(us, some);
  }
  return {
    count,
    minUs,
    maxUs,
    meanUs: sumUs / count,
    percentilesUs: Object.fromEntries(
      ALL_PERCENTILES.map((percentile) => [`${percentile}`, histogram.getValueAtPercentile(percentile)]),
    ),
    histogram: hdr.encodeIntoCompressedBase64(histogram),
    isCorrected,
  };
}
