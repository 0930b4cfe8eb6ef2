/** A soak's result in words. Pure. */

import { machineLine } from '../bench/machine.ts';
import { medianOf } from '../load/spread.ts';
import type { SoakResult } from './result.ts';
import { growthOf } from './verdict.ts';

/** Markdown. */
export function summaryOf(result: SoakResult): string {
  const { settings, calls, kills, reloads, scrapes, samples, rest, problems, machine, startedAt, command } = result;
  const { minutes, callsPerSec, capacityPerSec, killEverySec, reloadEverySec, scrapeEverySec, shards } = settings;
  const half = capacityPerSec === null ? '' : `, half of the ${Math.round(capacityPerSec)} at which it is saturated`;
  const lost = kills.map(({ lostCalls }) => lostCalls);
  const backMs = kills.map(({ atMs, backAtMs }) => backAtMs - atMs);
  const third = Math.floor(samples.length / 3);
  const median = (values: readonly number[]) => (values.length === 0 ? Number.NaN : medianOf(values));
  const rss = (from: number, to: number) => median(samples.slice(from, to).map(({ rssMb }) => rssMb)).toFixed(0);
  const cores = (of: 'serverCpus' | 'loadCpus' | 'busyCpus') => median(samples.map((one) => one[of])).toFixed(2);
  const rows = [
    ['what', 'result'],
    ['---', '---'],
    ['verdict', problems.length === 0 ? 'nothing is wrong' : `${problems.length} problems, see below`],
    ['load', `${callsPerSec} calls/s (INVITE to BYE) for ${minutes} minutes${half}; ${shards} shards`],
    ['calls', `${calls.started} begun, ${calls.successful} successful, ${calls.retransmissions} messages sent again`],
    [
      'failed',
      `${calls.failed}, and ${calls.refused} refused at first: ${sumOf(lost)} in the hands of a killed shard, ${result.otherFailures.length} others`,
    ],
    ['shards killed', `${kills.length}, one every ${killEverySec} s; lost calls: ${lost.join(', ') || 'none'}`],
    ['back after', `${backMs.join(', ') || '–'} ms`],
    [
      'reloads',
      `${reloads.count}, one every ${reloadEverySec} s; longest pause ${reloads.longestPauseMs.toFixed(1)} ms`,
    ],
    ['scrapes', `${scrapes.count}, one every ${scrapeEverySec} s; median ${scrapes.medianMs.toFixed(1)} ms`],
    ['RSS, MB', `${rss(0, third)}, ${rss(third, 2 * third)}, ${rss(2 * third, samples.length)} (medians of thirds)`],
    ['growth', `${(growthOf(samples) * 100).toFixed(1)} % from the middle of what follows the first third to its end`],
    ['cores', `server ${cores('serverCpus')}, SIPp ${cores('loadCpus')}, all programs ${cores('busyCpus')} (medians)`],
    ['at rest', `after ${rest.afterSec} s: ${rest.transactions} transactions, ${rest.keptMessages} kept messages`],
    ['machine', machineLine(machine)],
    ['begun', startedAt],
    ['command', `\`${command}\``],
  ];
  const table = rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n');
  const counters = Object.entries(result.counters).map(([name, value]) => `| \`${name}\` | ${value} |`);
  return [
    '# Soak\n',
    `${table}\n`,
    ...(problems.length === 0 ? [] : ['## Problems\n', `${problems.map((line) => `- ${line}`).join('\n')}\n`]),
    '## Counters at the end\n',
    `| counter | sum |\n| --- | ---: |\n${counters.join('\n')}\n`,
  ].join('\n');
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
