/** What `--search 7502` found: the report form of RFC 7502 (section 5) and the trials that led there (4.10). Cold. */

import type { Contestant, SearchResult } from '../result.ts';
import { type Axis, linearAxis } from './axis.ts';
import { renderTable } from './data-table.ts';
import { plainNumber, tickNumber, wholeNumber, withUnit } from './figures.ts';
import { percentOf, short } from './line-chart.ts';
import { type Markup, markup } from './markup.ts';
import { displayName, LIMIT_WORDS } from './vocabulary.ts';

/** `index`: which of the page's searches it is. */
export function renderEstablishmentForm(
  search: SearchResult,
  index: number,
  contestants: readonly Contestant[],
): Markup {
  const { testCase, refinedRatePerSec, limitedBy } = search;
  const contestant = contestants.find(({ name }) => name === search.contestant);
  const who = contestant === undefined ? search.contestant : displayName(contestant);
  const isExtra = testCase === 'extra';
  const heading = isExtra ? `${who}, outside of RFC 7502` : `${who}, case ${testCase}`;
  return markup`<div class="stack">
<figure class="panel"><figcaption><h3>${heading}</h3><p>${describeTrials(search)} Limited by: ${LIMIT_WORDS[limitedBy].name}.</p></figcaption>
${renderTrials(search, index)}
<details class="behind"><summary>The figures as a table</summary>${renderTable({
    caption: `Trials in their order, ${heading}`,
    columns: [
      { title: 'Trial' },
      { title: 'Attempts a second', isFigure: true },
      { title: 'Offered', isFigure: true },
      { title: 'Sessions', isFigure: true },
      { title: 'Failed', isFigure: true },
    ],
    rows: search.trials.map(({ ratePerSec, attemptedPerSec, sessions, failed, isRefinement }, i) => [
      isRefinement ? `${i + 1}, bisection` : i + 1,
      plainNumber(ratePerSec),
      attemptedPerSec === null ? '–' : plainNumber(attemptedPerSec),
      wholeNumber(sessions),
      wholeNumber(failed),
    ]),
  })}</details></figure>
<section class="panel form"><h3>${isExtra ? 'Report form, for a case outside of RFC 7502' : `Report form, case ${testCase}`}</h3>
${
  isExtra &&
  markup`<p class="remark">RFC 7502 does not cover this kind of server (a stateless proxy, for one): the same algorithm and form, but no result in the sense of the RFC.</p>`
}
<h4>5.1 Test set-up</h4>
<dl>${Object.entries(search.parameters).map(([name, value]) => formRow(name, value))}</dl>
<h4>5.2, 5.3 Device benchmarks</h4>
<dl>${search.form.map(({ row, value }) => formRow(row, value))}</dl>
${
  refinedRatePerSec !== null &&
  markup`<p class="remark">Beyond the RFC: bisection between its steps found <strong>${withUnit(plainNumber(refinedRatePerSec), 'sessions/s')}</strong>.</p>`
}</section></div>`;
}

function formRow(name: string, value: string): Markup {
  return markup`<div><dt>${name}</dt><dd>${formValue(value)}</dd></div>`;
}

/** As the RFC's form has it; bare numbers with separators, blanks as a dash. */
function formValue(value: string): string {
  if (value.trim() === '') return '–';
  return /^\d{4,15}$/.test(value) ? wholeNumber(Number(value)) : value;
}

function describeTrials({ trials, establishmentRatePerSec }: SearchResult): string {
  const passed = trials.filter(({ hasPassed }) => hasPassed).length;
  const found =
    establishmentRatePerSec > 0
      ? `The highest rate at which no session failed: ${withUnit(plainNumber(establishmentRatePerSec), 'sessions/s')}.`
      : 'At none of the rates tried did all sessions succeed.';
  return `${found} ${passed} of ${trials.length} trials passed: no session failed, and the rate was offered.`;
}

/** A mark for each trial: a disc where no session failed, a cross where some did. */
function renderTrials({ trials, establishmentRatePerSec }: SearchResult, index: number): Markup {
  const y = linearAxis('attempts a second', Math.max(...trials.map(({ ratePerSec }) => ratePerSec), 1), tickNumber, 3);
  const x = trialAxis(trials.length);
  const at = (i: number) => x.place(i + 1);
  const path = trials.map(
    ({ ratePerSec }, i) => `${i === 0 ? 'M' : 'L'}${short(at(i) * 1000)} ${short((1 - y.place(ratePerSec)) * 1000)}`,
  );
  const best = short((1 - y.place(establishmentRatePerSec)) * 1000);
  return markup`<div class="legend"><span class="key"><i class="trial passed"></i>passed</span><span class="key"><i class="trial lost"></i>sessions failed, or the rate was not offered</span></div>
<div class="chart low"><p class="y-title" aria-hidden="true">${y.title}</p>
<div class="y-axis" aria-hidden="true">${y.ticks.map((tick) => markup`<span style="bottom:${percentOf(tick.at)}">${tick.label}</span>`)}</div>
<div class="area"><svg class="curves" viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-labelledby="trials-title-${index}"><title id="trials-title-${index}">Attempts a second of each trial, and whether sessions failed</title>
<path class="grid" d="${y.ticks.map((tick) => `M0 ${short((1 - tick.at) * 1000)}H1000`).join('')}"/><path class="floor" d="M0 1000H1000"/>
${establishmentRatePerSec > 0 && markup`<path class="best" d="M0 ${best}H1000"/>`}<path class="way" d="${path.join('')}"/></svg>
${trials.map(
  ({ ratePerSec, failed, hasPassed }, i) =>
    markup`<i class="trial ${hasPassed ? 'passed' : 'lost'}" style="left:${percentOf(at(i))};bottom:${percentOf(y.place(ratePerSec))}" title="${`Trial ${i + 1}: ${plainNumber(ratePerSec)}/s, ${wholeNumber(failed)} failed`}"></i>`,
)}</div>
<div class="x-axis" aria-hidden="true">${x.ticks.map((tick) => markup`<span style="left:${percentOf(tick.at)}">${tick.label}</span>`)}</div>
<p class="x-title" aria-hidden="true">${x.title}</p></div>`;
}

/** Trials from 1 on, half a step away from the edges. */
function trialAxis(count: number): Axis {
  const place = (trial: number) => (trial - 0.5) / Math.max(count, 1);
  const step = [1, 2, 5, 10, 20, 50, 100].find((candidate) => count / candidate <= 8) ?? 200;
  const ticks: { at: number; label: string; isMinor: boolean }[] = [];
  for (let trial = step; trial <= count; trial += step)
    ticks.push({ at: place(trial), label: String(trial), isMinor: false });
  return { title: 'trial', ticks, place };
}
