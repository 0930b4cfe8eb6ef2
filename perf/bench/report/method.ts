/** On what machine, with what load and by which command lines it was measured, and how to read the words. Cold. */

import type { BenchResult, Machine } from '../result.ts';
import { counted, plainNumber, seconds, wholeNumber, withUnit } from './figures.ts';
import { type Insert, type Markup, markup } from './markup.ts';
import type { ContestantSummary } from './summary.ts';
import { displayName, fullName, LIMIT_WORDS, nounOf } from './vocabulary.ts';

/** `AMD EPYC, 2 cores, 8 GiB, Linux 6.1, Node 26.10.0, revision abc`. */
export function machineLine(machine: Machine): string {
  const { cpu, cores, memoryMib, kernel, node, nodeFlags, revision, sippVersion } = machine;
  return [
    cpu,
    counted(cores, ['core', 'cores']),
    withUnit(plainNumber(memoryMib / 1024), 'GiB'),
    kernel,
    `Node ${node.replace(/^v/, '')}`,
    ...(nodeFlags.length > 0 ? [nodeFlags.join(' ')] : []),
    ...(sippVersion === null ? [] : [`SIPp ${sippVersion.replace(/^v/, '')}`]),
    ...(revision === null ? [] : [`revision ${revision}`]),
  ].join(', ');
}

export function loadLine({ load }: BenchResult): string {
  const [, many] = nounOf(load.scenario);
  const { ratePerSec, window } = load;
  return [
    `${load.scenario} over ${load.transport.toUpperCase()}`,
    ratePerSec === null ? 'as many as come back' : `${plainNumber(ratePerSec)} ${many} a second`,
    ...(window === null ? [] : [`${ratePerSec === null ? '' : 'at most '}${wholeNumber(window)} in flight`]),
    ...(load.users === null ? [] : [counted(load.users, ['user', 'users'])]),
    load.generator === 'sipp'
      ? counted(load.connections, ['SIPp process', 'SIPp processes'])
      : 'Strowger’s load engine',
  ].join(', ');
}

export function renderMethod(result: BenchResult, summaries: readonly ContestantSummary[]): Markup {
  const { load, contestants } = result;
  const rounds = Math.max(0, ...summaries.map(({ turns }) => turns.length));
  const [, many] = nounOf(load.scenario);
  const amount = load.amount === null ? null : `${wholeNumber(load.amount)} ${many}`;
  const length = load.durationMs === null ? null : seconds(load.durationMs);
  return markup`<dl class="facts">
${fact('Machine', machineLine(result.machine))}
${fact('Load', loadLine(result))}
${fact('Length', [amount, length].filter((part) => part !== null).join(' or ') || '–', `, ${counted(rounds, ['round', 'rounds'])}, after ${seconds(load.warmUpMs)} of warm-up that are not in the figures`)}
${contestants.map((contestant) =>
  fact(
    displayName(contestant),
    markup`${fullName(contestant)} at ${contestant.target}${
      contestant.command === null ? ', which ran already' : markup`<code class="command">${contestant.command}</code>`
    }`,
  ),
)}
${fact('Once more', markup`<code class="command">${load.command}</code>`)}
</dl>
<h3>How to read it</h3>
<dl class="facts">
${fact('Figures', 'Rates and CPU are medians over the rounds, with their range. Delays are histograms of single exchanges, added up and never averaged.')}
${fact('CPU', 'The time that all threads of the server’s processes spent on a CPU within the measured window, by the kernel’s schedstat, divided by successful exchanges. On loopback whoever sends also pays for putting the datagram into the receiver’s socket.')}
${fact('Percentiles', 'Each step to the right is a tenth of what is left. A percentile with less than one value beyond it is not shown.')}
${fact('Limited by', markup`<ul>${limitsIn(summaries).map(({ name, meaning }) => markup`<li><b>${name}</b>: ${meaning}</li>`)}</ul>`)}
</dl>`;
}

function limitsIn(summaries: readonly ContestantSummary[]) {
  const limits = new Set(summaries.flatMap((summary) => summary.limits.map(([limit]) => limit)));
  return [...limits].map((limit) => LIMIT_WORDS[limit]);
}

function fact(name: string, ...text: readonly Insert[]): Markup {
  return markup`<div><dt>${name}</dt><dd>${text}</dd></div>`;
}
