/** A comparison for the terminal. Cold. */

import {
  counted,
  dateAndTime,
  duration,
  percent,
  percentileName,
  plainNumber,
  signedPercent,
  times,
  wholeNumber,
} from '../report/figures.ts';
import { DELAY_WORDS, nounOf } from '../report/vocabulary.ts';
import type { ComparedContestant, ComparedFigure, ComparedRun, Comparison, Verdict } from './comparison.ts';
import { LEAST_DISTANCE } from './comparison.ts';

const VERDICT_WORDS: { readonly [verdict in Verdict]: string } = {
  better: 'better',
  worse: 'WORSE',
  same: 'within the noise',
  drift: 'drift',
  unknown: 'unknown',
};

const COLUMNS = ['', 'before', 'after', 'change', 'noise', ''] as const;

/** Lines without colour; the last one ends with a line break. */
export function renderComparison(comparison: Comparison): string {
  const { before, after, doubts, contestants } = comparison;
  return [
    runLine('before', before),
    runLine('after ', after),
    ...doubts.map((doubt) => `warning: ${doubt}`),
    ...contestants.flatMap((contestant) => ['', ...renderContestant(contestant, comparison.scenario)]),
    '',
    ...conclusion(comparison),
    '',
  ].join('\n');
}

function runLine(name: string, { file, title, startedAt, revision }: ComparedRun): string {
  return `${name}  ${[file, title, dateAndTime(startedAt), revision].filter((part) => part !== null).join(', ')}`;
}

/** The other servers are there to tell what the machine did: of them, and beside them, the main figures do. */
function isShownOf(role: string, { measure, percentile, beside, verdict }: ComparedFigure): boolean {
  const isMain = measure === 'rate' || measure === 'cpu' || measure === 'failures';
  if (beside !== null) return isMain || verdict === 'worse' || verdict === 'better';
  return isMain || role === 'subject' || percentile === 50;
}

function renderContestant({ name, role, rounds, figures }: ComparedContestant, scenario: string): string[] {
  const isShown = (figure: ComparedFigure) => isShownOf(role, figure);
  const heading = `${name}, ${rounds.before} and ${counted(rounds.after, ['round', 'rounds'])}`;
  const rows = [COLUMNS, ...figures.filter(isShown).map((figure) => rowOf(figure, scenario, role === 'subject'))];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === 0 || i === COLUMNS.length - 1 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  return [`${heading}`, ...lines.map((line) => `  ${line}`)];
}

function rowOf(figure: ComparedFigure, scenario: string, isSubject: boolean): string[] {
  const { before, after, change, noise, verdict, reason } = figure;
  const format = formatOf(figure);
  const word = verdict === 'worse' && !isSubject ? 'worse' : VERDICT_WORDS[verdict];
  const words = reason === null ? word : `${word}: ${reason}`;
  return [
    nameOf(figure, scenario),
    before === null ? '' : format(before),
    after === null ? '' : format(after),
    changeOf(figure, change),
    noise === null ? probabilityOf(figure) : `±${signedPercent(noise).slice(1)}`,
    words,
  ];
}

function nameOf({ measure, delay, percentile, beside }: ComparedFigure, scenario: string): string {
  const [one, many] = nounOf(scenario);
  if (beside !== null) return `  × ${beside}`;
  switch (measure) {
    case 'rate':
      return `${many}/s`;
    case 'cpu':
      return `CPU per ${one}`;
    case 'failures':
      return 'failed';
    case 'percentile':
      return `${DELAY_WORDS[delay!].name.toLowerCase()}, ${percentileName(percentile!)}`;
    case 'distribution':
      return `${DELAY_WORDS[delay!].name.toLowerCase()}, whole`;
  }
}

function formatOf({ measure, beside }: ComparedFigure): (value: number) => string {
  if (beside !== null) return times;
  return { rate: plainNumber, cpu: duration, percentile: duration, distribution: duration, failures: percent }[measure];
}

function changeOf({ counts, distance }: ComparedFigure, change: number | null): string {
  if (distance !== null) return `${percent(distance.share)} at ${duration(distance.atUs)}`;
  if (counts !== null) return `${wholeNumber(counts.before.failed)} to ${wholeNumber(counts.after.failed)}`;
  return change === null ? '' : signedPercent(change);
}

function probabilityOf({ probability }: ComparedFigure): string {
  if (probability === null) return '?';
  return probability < 0.001 ? 'p < 0.001' : `p = ${probability.toFixed(3)}`;
}

function conclusion({ verdicts, falseAlarmShare, leastChange, contestants }: Comparison): string[] {
  const parts = [
    ...(verdicts.worse > 0 ? [`${verdicts.worse} worse`] : []),
    ...(verdicts.better > 0 ? [`${verdicts.better} better`] : []),
    ...(verdicts.drift > 0 ? [`${verdicts.drift} changed with the machine`] : []),
    ...(verdicts.same > 0 ? [`${verdicts.same} within the noise`] : []),
    ...(verdicts.unknown > 0 ? [`${verdicts.unknown} unknown`] : []),
  ];
  const subjects = contestants.filter(({ role }) => role === 'subject').map(({ name }) => name);
  const who = subjects.length === 0 ? 'The one measured is not in both' : subjects.join(', ');
  const isSingle = contestants.some(({ rounds }) => rounds.before < 2 || rounds.after < 2);
  return [
    `${who}: ${parts.join(', ') || 'nothing to compare'}.`,
    ...(isSingle
      ? ['With a single round the noise is not known, so nothing is called a change: measure with --rounds 5.']
      : []),
    'How it is decided: the rounds are the trials. Noise is Welch’s t interval over their logarithms; failures are tested',
    `by a binomial test that allows for bursts, whole distributions by the Kolmogorov-Smirnov distance (${percent(LEAST_DISTANCE)} at the least)`,
    `under permutation of the rounds. Less than ${percent(leastChange)} is never called a change; ${percent(falseAlarmShare)} of figures that did not change`,
    'are called changed at the most.',
  ];
}
