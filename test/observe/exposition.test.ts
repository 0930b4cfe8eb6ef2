/** The text format of Prometheus, to the byte. */

import { describe, expect, it } from 'vitest';
import { Exposition } from '../../src/observe/exposition.ts';
import { BUCKET_BOUNDS_US, bucketOf, type HistogramReading } from '../../src/observe/histograms.ts';

describe('the exposition', () => {
  it('has help and type once, and the values of a metric together, as of now', () => {
    const page = new Exposition();
    const calls = { name: 'calls_total', type: 'counter', help: 'Calls \\ in a\nline' } as const;
    let count = 1;
    page.add(calls, { from: 'a' }, () => count);
    page.add({ name: 'up', type: 'gauge', help: 'Up' }, {}, () => 0.5);
    page.add(calls, { from: 'b', to: 'say "hi"\\\n' }, () => Number.POSITIVE_INFINITY);
    count = 12_345_678_901;
    expect(page.render()).toBe(
      [
        '# HELP calls_total Calls \\\\ in a\\nline',
        '# TYPE calls_total counter',
        'calls_total{from="a"} 12345678901',
        'calls_total{from="b",to="say \\"hi\\"\\\\\\n"} +Inf',
        '# HELP up Up',
        '# TYPE up gauge',
        'up 0.5',
        '',
      ].join('\n'),
    );
  });

  it('has the buckets of a histogram cumulated, in seconds, from one bound to another', () => {
    const page = new Exposition();
    const reading: HistogramReading = { sumUs: 0, counts: new Float64Array(BUCKET_BOUNDS_US.length + 1) };
    for (const us of [5, 30, 30, 40, 1_000_000]) {
      reading.sumUs += us;
      reading.counts[bucketOf(us)]!++;
    }
    page.addHistogram(
      { name: 'took_seconds', type: 'histogram', help: 'Took' },
      { by: 'x' },
      { fromUs: 24, toUs: 48 },
      () => reading,
    );
    expect(page.render()).toBe(
      [
        '# HELP took_seconds Took',
        '# TYPE took_seconds histogram',
        'took_seconds_bucket{by="x",le="0.000024"} 1',
        'took_seconds_bucket{by="x",le="0.000032"} 3',
        'took_seconds_bucket{by="x",le="0.000048"} 4',
        'took_seconds_bucket{by="x",le="+Inf"} 5',
        'took_seconds_sum{by="x"} 1.000105',
        'took_seconds_count{by="x"} 5',
        '',
      ].join('\n'),
    );
  });
});
