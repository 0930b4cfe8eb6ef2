/** The text format in which Prometheus reads metrics (exposition format 0.0.4). Whatever stays the same from one scrape to
 *  the next is put together once, so that a scrape is a walk over numbers. Main thread, cold.
 *
 *  prom-client keeps values itself, and its histograms can only observe: ours lie in shared memory and come with their buckets
 *  already counted. What would be left for it to do is less than what it would take to feed it. */

import { BUCKET_BOUNDS_US, type HistogramReading } from './histograms.ts';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string>>;

export interface MetricHead {
  /** Whole, with its prefix and its unit. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
}

interface Sample {
  /** Name and labels, and the space behind them. */
  readonly prefix: string;
  readonly read: () => number;
}

interface Family {
  readonly head: string;
  readonly samples: Sample[];
  readonly histograms: HistogramSample[];
}

interface HistogramSample {
  readonly read: () => HistogramReading;
  /** Index into the counts of the last bucket that each line adds, and the line's beginning. */
  readonly buckets: readonly { readonly last: number; readonly prefix: string }[];
  readonly sumPrefix: string;
  readonly countPrefix: string;
}

export class Exposition {
  readonly #families = new Map<string, Family>();

  /** Adds one value of a counter or gauge. Those of one metric stand together, whenever they are added. */
  add(metric: MetricHead, labels: Labels, read: () => number): void {
    this.#familyOf(metric).samples.push({ prefix: `${metric.name}${labelText(labels)} `, read });
  }

  /** Adds a histogram, in seconds: its buckets from the bound `fromUs` to the bound `toUs`, and +Inf. */
  addHistogram(
    metric: MetricHead,
    labels: Labels,
    { fromUs, toUs }: { readonly fromUs: number; readonly toUs: number },
    read: () => HistogramReading,
  ): void {
    const line = (last: number, le: string) => ({
      last,
      prefix: `${metric.name}_bucket${labelText({ ...labels, le })} `,
    });
    const bounded = BUCKET_BOUNDS_US.flatMap((us, i) => (us < fromUs || us > toUs ? [] : [line(i, secondsText(us))]));
    this.#familyOf(metric).histograms.push({
      read,
      buckets: [...bounded, line(BUCKET_BOUNDS_US.length, '+Inf')],
      sumPrefix: `${metric.name}_sum${labelText(labels)} `,
      countPrefix: `${metric.name}_count${labelText(labels)} `,
    });
  }

  /** Everything, as of now. */
  render(): string {
    let text = '';
    for (const { head, samples, histograms } of this.#families.values()) {
      text += head;
      for (const { prefix, read } of samples) text += `${prefix}${numberText(read())}\n`;
      for (const histogram of histograms) text += renderHistogram(histogram);
    }
    return text;
  }

  #familyOf({ name, type, help }: MetricHead): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      const helpText = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
      family = { head: `# HELP ${name} ${helpText}\n# TYPE ${name} ${type}\n`, samples: [], histograms: [] };
      this.#families.set(name, family);
    }
    return family;
  }
}

/** Buckets are cumulative. */
function renderHistogram({ read, buckets, sumPrefix, countPrefix }: HistogramSample): string {
  const { sumUs, counts } = read();
  let text = '';
  let count = 0;
  let next = 0;
  for (const { last, prefix } of buckets) {
    while (next <= last) count += counts[next++]!;
    text += `${prefix}${count}\n`;
  }
  return `${text}${sumPrefix}${numberText(sumUs / 1e6)}\n${countPrefix}${count}\n`;
}

/** `{a="b",c="d"}`, or nothing without labels. */
function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Without an exponent, as bounds are compared by their text where rules name one. */
function secondsText(us: number): string {
  return (us / 1e6).toFixed(6).replace(/\.?0+$/, '');
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
