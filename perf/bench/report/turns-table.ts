/** Every turn as it was played, and what failed in it. Cold. */

import type { BenchResult, Turn } from '../result.ts';
import { type DataTable, renderTable } from './data-table.ts';
import { duration, kibibytes, plainNumber, seconds, wholeNumber } from './figures.ts';
import { type Markup, markup } from './markup.ts';
import { type ContestantSummary, cpuUsOf, mainDelayOf, rateOf } from './summary.ts';
import { DELAY_WORDS, displayName, LIMIT_WORDS, nounOf } from './vocabulary.ts';

export function renderTurns(result: BenchResult, summaries: readonly ContestantSummary[]): Markup {
  const failures = failureTable(summaries);
  return markup`${renderTable(turnTable(result, summaries))}${failures !== null && renderTable(failures)}`;
}

function turnTable(result: BenchResult, summaries: readonly ContestantSummary[]): DataTable {
  const [one, many] = nounOf(result.load.scenario);
  const delay = mainDelayOf(summaries);
  const names = new Map(result.contestants.map((contestant) => [contestant.name, displayName(contestant)]));
  const percentile = (turn: Turn, name: string) => {
    const us = delay === null ? undefined : turn.delays[delay]?.percentilesUs[name];
    return us === undefined ? '–' : duration(us);
  };
  const figures = [
    'Round',
    'Window',
    `${many}/s`,
    'Limited by',
    'Failed',
    'Retransmissions',
    `CPU per ${one}`,
    ...(delay === null ? [] : [`${DELAY_WORDS[delay].name}, 50 %`, '99 %']),
    'Server, cores',
    'Load, cores',
    'Drops, server',
    'Drops, load',
    'Memory at the end',
  ];
  return {
    caption: 'All turns, in the order they were played',
    columns: [{ title: 'Who' }, ...figures.map((title) => ({ title, isFigure: title !== 'Limited by' }))],
    rows: result.turns.map((turn) => {
      const cpuUs = cpuUsOf(turn);
      return [
        names.get(turn.contestant) ?? turn.contestant,
        turn.round + 1,
        seconds(turn.wallMs),
        plainNumber(rateOf(turn)),
        limitCell(turn),
        failureCell(turn.exchanges.failed),
        wholeNumber(turn.messages.retransmissions),
        cpuUs === null ? '–' : duration(cpuUs),
        ...(delay === null ? [] : [percentile(turn, '50'), percentile(turn, '99')]),
        turn.cpu.serverNs === null ? '–' : coresOf(turn.cpu.serverNs, turn),
        coresOf(
          turn.cpu.generatorNs.reduce((sum, { ns }) => sum + ns, 0),
          turn,
        ),
        turn.drops.server === null ? '–' : failureCell(turn.drops.server),
        failureCell(turn.drops.generator),
        turn.residentKib === null ? '–' : kibibytes(turn.residentKib.end),
      ];
    }),
  };
}

function coresOf(ns: number, { wallMs }: Turn): string {
  return (ns / 1e6 / wallMs).toFixed(2);
}

function failureCell(count: number): Markup | string {
  return count === 0 ? '0' : markup`<strong class="bad">${wholeNumber(count)}</strong>`;
}

function limitCell({ limitedBy }: Turn): Markup {
  const { name, meaning } = LIMIT_WORDS[limitedBy];
  const isDoubtful = limitedBy !== 'server' && limitedBy !== 'rate' && limitedBy !== 'unknown';
  return markup`<span class="limit${isDoubtful && ' doubtful'}" title="${meaning}">${name}</span>`;
}

function failureTable(summaries: readonly ContestantSummary[]): DataTable | null {
  const rows = summaries.flatMap(({ contestant, failuresByCause }) =>
    failuresByCause.map(([cause, count]) => [displayName(contestant), cause, wholeNumber(count)]),
  );
  if (rows.length === 0) return null;
  return {
    caption: 'Failures by cause, all rounds together',
    columns: [{ title: 'Who' }, { title: 'Cause' }, { title: 'How many', isFigure: true }],
    rows,
  };
}
