/** `strowger bench --search 7502`: the options of the bench command in, a result of the benchmark out. Cold. */

import { BenchError } from '../bench-error.ts';
import { describeMachine } from '../machine.ts';
import type { BenchOptions } from '../options.ts';
import { untilAnswering } from '../options-ping.ts';
import type { Terminal } from '../progress-line.ts';
import { type BenchResult, type Contestant, RESULT_FORMAT, type SearchResult } from '../result.ts';
import { HOW_TO_INSTALL, sippVersion } from '../sipp-process.ts';
import { textOf } from '../udp-sockets.ts';
import { type Display, type FoundRate, type SearchOptions, searchAll } from './search.ts';
import { sippTestbed } from './sipp-testbed.ts';

const ANSWER_LIMIT_MS = 2000;

/** Plays the test cases on the subject, then those with a device on whom it is compared with. The turns of the result are the
 *  trials at R of the first case with a device. Throws a BenchError if SIPp or a server cannot be started. */
export async function search(
  bench: BenchOptions,
  options: SearchOptions,
  command: string,
  display: Display,
): Promise<BenchResult> {
  if (sippVersion() === null) throw new BenchError(`there is no SIPp on the PATH: ${HOW_TO_INSTALL}`);
  const { subject, against, load } = bench;
  if (subject.kind === 'running' && load.transport.startsWith('u')) {
    const presence = await untilAnswering(subject.at, ANSWER_LIMIT_MS);
    if (presence === 'refused')
      throw new BenchError(`nobody listens on UDP at ${textOf(subject.at)}: start the server first`);
  }
  const startedAt = new Date().toISOString();
  const { maxTrials, sessions } = options.parameters;
  const testbedFor = (kind: typeof subject, role: Contestant['role']) =>
    // Trials of the bisection are in `mostUsers` too: there are never more than halvings of the rate.
    sippTestbed({ subject: kind, role, load, mostUsers: (maxTrials + 20) * sessions });
  const found = await searchAll(testbedFor(subject, 'subject'), options, display);
  if (against !== null) {
    const cases = options.cases.filter(({ hasDut }) => hasDut);
    found.push(...(await searchAll(testbedFor(against, 'against'), { ...options, cases }, display, found)));
  }
  return benchResult(bench, options, found, { startedAt, command });
}

/** 0; 1: no rate was found for a device; 3: the testbed was the limit of one, so its rate is not shown. */
export function exitCodeOfSearch(results: readonly SearchResult[]): 0 | 1 | 3 {
  const ofDevices = results.filter(({ testCase }) => testCase !== '6.1');
  if (results.some(({ establishmentRatePerSec }) => establishmentRatePerSec === 0)) return 1;
  return ofDevices.some(({ limitedBy }) => limitedBy === 'generator') ? 3 : 0;
}

/** Lines that stay, and at a terminal a status that each line replaces. */
export function terminalDisplay(terminal: Terminal): Display {
  const { isTTY = false, columns = 80 } = terminal;
  const erased = isTTY ? '\r\x1b[2K' : '';
  return {
    line: (text) => void terminal.write(`${erased}${text}\n`),
    status: (text) => void (isTTY && terminal.write(erased + text.slice(0, columns - 1))),
  };
}

function benchResult(
  { load, title, transport }: BenchOptions,
  { cases, parameters }: SearchOptions,
  found: readonly FoundRate[],
  { startedAt, command }: { readonly startedAt: string; readonly command: string },
): BenchResult {
  const main = cases.find(({ hasDut }) => hasDut) ?? cases[0]!;
  const shown = found.filter(({ result }) => result.testCase === main.id);
  const subject = shown[0];
  return {
    format: RESULT_FORMAT,
    title,
    startedAt,
    machine: describeMachine(sippVersion()),
    load: {
      scenario: `RFC 7502 ${main.id}`,
      generator: 'sipp',
      transport,
      ratePerSec: subject?.result.establishmentRatePerSec || parameters.initialRatePerSec,
      window: parameters.sessions,
      connections: load.connections,
      users: null,
      durationMs: null,
      amount: parameters.sessions,
      warmUpMs: 0,
      command,
    },
    contestants: contestantsOf(found),
    turns: shown.flatMap(({ turn }) => turn ?? []),
    search: found.map(({ result }) => result),
    warnings: warningsOf(found, main.id),
  };
}

/** Subject, whom it is compared with, baseline; each once. */
function contestantsOf(found: readonly FoundRate[]): Contestant[] {
  const byName = new Map(found.map(({ contestant }) => [contestant.name, contestant]));
  const all = [...byName.values()];
  return [...all.filter(({ role }) => role !== 'baseline'), ...all.filter(({ role }) => role === 'baseline')];
}

function warningsOf(found: readonly FoundRate[], mainCase: string): string[] {
  const warnings = [
    `Turns, delays and CPU are those of the trial at R of test case ${mainCase}, each contestant at its own rate.`,
  ];
  for (const { contestant, result } of found) {
    const { testCase, limitedBy, establishmentRatePerSec } = result;
    const who = `${contestant.name}, ${testCase}`;
    if (establishmentRatePerSec === 0) warnings.push(`${who}: some sessions failed at every rate tried.`);
    else if (limitedBy === 'generator' && testCase !== '6.1') {
      warnings.push(`${who}: the testbed was the limit, so the rate is a lower bound.`);
    } else if (limitedBy === 'rate')
      warnings.push(`${who}: no rate failed before the trials ran out; the rate is a lower bound.`);
    else if (limitedBy === 'others')
      warnings.push(`${who}: other programs had the CPU of the server, so the rate is too low.`);
  }
  return warnings;
}
