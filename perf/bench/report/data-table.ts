/** Tables: behind pictures, and on their own. Cold. */

import { type Insert, type Markup, markup } from './markup.ts';

export interface DataTable {
  readonly caption: string;
  readonly columns: readonly { readonly title: Insert; readonly isFigure?: boolean }[];
  /** The first cell of a row is its heading. */
  readonly rows: readonly (readonly Insert[])[];
}

/** Wider than the page, it scrolls by itself, also by keyboard. */
export function renderTable({ caption, columns, rows }: DataTable): Markup {
  const alignment = (i: number) => columns[i]?.isFigure === true && markup` class="figure"`;
  return markup`<div class="scroller" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map(({ title }, i) => markup`<th scope="col"${alignment(i)}>${title}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) => markup`
<tr>${row.map((cell, i) => (i === 0 ? markup`<th scope="row"${alignment(i)}>${cell}</th>` : markup`<td${alignment(i)}>${cell}</td>`))}</tr>`,
  )}
</tbody></table></div>`;
}

/** The table that a picture was made from, folded away below it. */
export function renderTableBehind(table: DataTable): Markup {
  return markup`<details class="behind"><summary>The figures as a table</summary>${renderTable(table)}</details>`;
}
