/** What a scrape says (Prometheus text format 0.0.4): bytes in, numbers out, and what is wrong with it. Cold. */

export interface Scrape {
  /** By name and labels as they stand in the text. */
  readonly values: ReadonlyMap<string, number>;
  /** Type by name of a metric. */
  readonly types: ReadonlyMap<string, string>;
}

/** Throws for a line that is no sample, and for a sample without a type or there twice. */
export function readScrape(text: string): Scrape {
  const values = new Map<string, number>();
  const types = new Map<string, string>();
  if (!text.endsWith('\n')) throw new Error('the last line of the scrape is not whole');
  for (const line of text.slice(0, -1).split('\n')) {
    const type = /^# TYPE (\w+) (\w+)$/.exec(line);
    if (type !== null) types.set(type[1]!, type[2]!);
    if (line.startsWith('#')) continue;
    const [, key, name, value] = /^((\w+)(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
    if (key === undefined || (Number.isNaN(number) && value !== 'NaN')) throw new Error(`no sample: ${line}`);
    if (typeOf(name!, types) === undefined) throw new Error(`a sample without a type: ${line}`);
    if (values.has(key)) throw new Error(`there twice: ${key}`);
    values.set(key, number);
  }
  return { values, types };
}

/** The sum over all labels that match; 0 if there are none. */
export function sumOf({ values }: Scrape, name: string, labels = ''): number {
  let sum = 0;
  for (const [key, value] of values)
    if ((key === name || key.startsWith(`${name}{`)) && key.includes(labels)) sum += value;
  return sum;
}

/** A thread's CPU time begins again with the thread. */
const MAY_FALL = 'strowger_thread_cpu_seconds_total';

/** Samples that are gone since, and counters that have become less. */
export function contradictions(before: Scrape, after: Scrape): string[] {
  const found: string[] = [];
  for (const [key, value] of before.values) {
    const now = after.values.get(key);
    const name = key.split('{', 1)[0]!;
    if (now === undefined) found.push(`${key} is gone`);
    else if (typeOf(name, after.types) !== 'gauge' && now < value && name !== MAY_FALL)
      found.push(`${key} fell from ${value} to ${now}`);
  }
  return found;
}

function typeOf(name: string, types: ReadonlyMap<string, string>): string | undefined {
  return types.get(name) ?? types.get(name.replace(/_(?:bucket|sum|count)$/, ''));
}
