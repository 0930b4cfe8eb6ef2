/** A result as one HTML page that needs nothing else: no network, no font, no file beside it. Cold. */

import { readFileSync } from 'node:fs';
import type { BenchResult } from '../result.ts';
import { renderComparison } from './comparison-bars.ts';
import { renderEstablishmentForm } from './establishment-form.ts';
import { dateAndTime } from './figures.ts';
import { doubtsOf, headlineOf, renderDoubts, renderTiles } from './headline.ts';
import { embeddedJson, type Insert, Markup, markup } from './markup.ts';
import { loadLine, machineLine, renderMethod } from './method.ts';
import { PAGE_STYLE } from './page-style.ts';
import { renderPercentileCurve } from './percentile-curve.ts';
import { csvFilesOf } from './raw-data.ts';
import { summarize } from './summary.ts';
import { renderTimeCharts } from './time-charts.ts';
import { renderTurns } from './turns-table.ts';
import { DELAYS_BY_WEIGHT } from './vocabulary.ts';

const SCRIPT = new Markup(readFileSync(new URL('page-script.js', import.meta.url), 'utf8'));

/** What a browser that honours it will not fetch, whatever a result has in it. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/** The whole page. Throws if a histogram of the result cannot be decoded. */
export function renderReport(result: BenchResult): string {
  const summaries = summarize(result);
  const { title, lead, tiles } = headlineOf(result, summaries);
  const delays = DELAYS_BY_WEIGHT.map((name) => renderPercentileCurve(name, summaries)).filter(
    (curve) => curve !== null,
  );
  const page = markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="strowger bench">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${title}</title>
<style>
${PAGE_STYLE}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">strowger bench <span>${dateAndTime(result.startedAt)}</span></p>
<h1>${title}</h1>
<p class="lead">${lead.join(' ')}</p>
<p class="machine">${loadLine(result)}<br>${machineLine(result.machine)}</p>
</header>
${renderTiles(tiles)}
${renderDoubts(doubtsOf(result, summaries))}
${section('beside', 'Side by side', renderComparison(result, summaries))}
${section('delays', 'How long it took', delays.length === 0 ? null : markup`<div class="tabs">${delays}</div>`)}
${section('time', 'Over time', renderTimeCharts(result, summaries))}
${section('search', 'Session establishment rate, RFC 7502', (result.search ?? []).length === 0 ? null : markup`<div class="stack">${result.search!.map((search, i) => renderEstablishmentForm(search, i, result.contestants))}</div>`)}
${section('turns', 'Turn by turn', summaries.length === 0 ? null : renderTurns(result, summaries))}
${section('method', 'How it was measured', renderMethod(result, summaries))}
${section('data', 'Raw data', renderDownloads(result))}
</main>
<script type="application/json" id="result">${embeddedJson(result)}</script>
<script type="application/json" id="csv-files">${embeddedJson(csvFilesOf(result))}</script>
<script>
${SCRIPT}</script>
</body>
</html>
`;
  return page.text;
}

function section(id: string, heading: string, content: Insert): Markup | null {
  if (content === null) return null;
  return markup`<section aria-labelledby="${id}"><h2 id="${id}">${heading}</h2>
${content}</section>
`;
}

function renderDownloads(result: BenchResult): Markup {
  const files = ['result.json', ...csvFilesOf(result).map(({ name }) => name)];
  return markup`<p>All of it is in this page: every turn, every second, every histogram. <code>strowger bench compare</code> reads the JSON.</p>
<p class="downloads">${files.map((name) => markup`<button type="button" data-download="${name}">${name}</button>`)}</p>
<noscript><p>Without scripts nothing can be downloaded: the JSON is in the source of this page, in the element with the id <code>result</code>.</p></noscript>`;
}
