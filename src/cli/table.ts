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

export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export interface Column {
  readonly title: string;
  readonly isFigure?: boolean;
  /** May be cut down to so many characters where a line is too long; not at all without this. */
  readonly leastWidth?: number;
}

const GAP = 2;

/** A table whose rows come bit by bit: columns get as wide as what came so far needs, and lines as long as `lineWidth`. Of
 *  the columns that may be cut, the last gives way first. */
export class StreamedTable {
  readonly #columns: readonly Column[];
  readonly #lineWidth: number;
  readonly #widths: number[];
  #hasTitles = false;

  constructor(columns: readonly Column[], lineWidth = Infinity) {
    this.#columns = columns;
    this.#lineWidth = lineWidth;
    this.#widths = columns.map(({ title }) => title.length);
  }

  /** Lines for the next rows, one or more; before the first of all, the titles. */
  render(rows: readonly (readonly string[])[]): string {
    for (const row of rows) {
      for (const [i, cell] of row.entries()) this.#widths[i] = Math.max(this.#widths[i]!, cell.length);
    }
    const widths = this.#fit();
    const titles = this.#hasTitles ? [] : [this.#columns.map(({ title }) => title)];
    this.#hasTitles = true;
    return [...titles, ...rows].map((row) => this.#renderRow(row, widths)).join('\n');
  }

  #fit(): number[] {
    const widths = [...this.#widths];
    let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - this.#lineWidth;
    for (let i = widths.length - 1; i >= 0 && excess > 0; i--) {
      const { leastWidth = Infinity } = this.#columns[i]!;
      const cut = Math.max(0, Math.min(excess, widths[i]! - leastWidth));
      widths[i]! -= cut;
      excess -= cut;
    }
    return widths;
  }

  #renderRow(row: readonly string[], widths: readonly number[]): string {
    const cells = row.map((cell, i) => {
      const width = widths[i]!;
      const text = cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
      return this.#columns[i]!.isFigure === true ? text.padStart(width) : text.padEnd(width);
    });
    return cells.join(' '.repeat(GAP)).trimEnd();
  }
}

/** A table whose rows are all there. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  lineWidth?: number,
): string {
  return new StreamedTable(columns, lineWidth).render(rows.map((row) => row.map(printable)));
}

/** Much of what is shown comes from the network: nothing in it shall speak to the terminal, or turn its line around. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

/** One line. JSON leaves control characters from U+007F on as they are; a terminal does not. */
export function asJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
