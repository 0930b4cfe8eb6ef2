/** Aligned columns of text, for people. */

/** Rows of two cells: the first column is as wide as its widest cell. */
export function renderRows(rows: readonly (readonly [string, string])[], indent = ''): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${indent}${name.padEnd(width)}  ${value}`.trimEnd()).join('\n');
}

/** Counters, in the order of the registry: names left, figures right, and their change per second when `before` is
 *  given (`seconds` ago). Those at zero are left out unless `isAll`, and counted in the last line. */
export function renderCounters(
  counters: Readonly<Record<string, number>>,
  { isAll = false, before, seconds = 1 }: { isAll?: boolean; before?: Record<string, number>; seconds?: number } = {},
): string {
  const all = Object.entries(counters);
  const shown = isAll ? all : all.filter(([, value]) => value !== 0);
  const nameWidth = Math.max(0, ...shown.map(([name]) => name.length));
  const figures = shown.map(([, value]) => grouped(value));
  const valueWidth = Math.max(0, ...figures.map((figure) => figure.length));
  const lines = shown.map(([name, value], i) => {
    const rate = before === undefined ? '' : `  ${grouped((value - (before[name] ?? 0)) / seconds).padStart(11)}/s`;
    return `${name.padEnd(nameWidth)}  ${figures[i]!.padStart(valueWidth)}${rate}`;
  });
  const zeros = all.length - shown.length;
  if (zeros > 0) lines.push(shown.length === 0 ? `all ${zeros} counters are zero` : `(and ${zeros} at zero)`);
  return lines.join('\n');
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
