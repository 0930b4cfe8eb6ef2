/** `strowger reload`: has a running server read its configuration again, or return to an earlier one, and says what came of it. */

import type { ReloadReport } from '../runtime/running-server.ts';
import { type Arguments, UsageError } from './arguments.ts';
import { changeLines } from './config-changes.ts';
import { asking } from './control-client.ts';
import { asJson, printable } from './table.ts';

/** A configuration of thousands of domains takes its time. */
const RELOAD_LIMIT_MS = 60_000;
const MAX_BACK = 1000;

/** The exit code. */
export function reload(args: Arguments): Promise<number> {
  const { wants } = args;
  const isRollback = wants.has('rollback');
  const back = stepsOf(args.operands[0], isRollback);
  const common = { dryRun: wants.has('dry-run'), strict: wants.has('strict') };
  return asking(args, async (client) => {
    const answer = isRollback
      ? await client.call('reload.rollback', { ...common, back }, RELOAD_LIMIT_MS)
      : await client.call('reload', common, RELOAD_LIMIT_MS);
    if (wants.has('json')) console.log(asJson(answer));
    else console.log(printReport(answer as ReloadReport, isRollback));
  });
}

function stepsOf(text: string | undefined, isRollback: boolean): number {
  if (text === undefined) return 1;
  if (!isRollback) throw new UsageError(`reload takes a number with --rollback only, and there is ${printable(text)}`);
  const back = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (back < 1 || back > MAX_BACK) throw new UsageError(`--rollback ${printable(text)} is not a number of steps`);
  return back;
}

function printReport(
  { result, isDryRun, generation, hash, longestPauseMs, ...changes }: ReloadReport,
  isRollback: boolean,
): string {
  const lines = changeLines(changes);
  if (isDryRun) {
    lines.push(result === 'applied' ? 'a dry run: nothing has changed' : 'a dry run: nothing live is different');
    return lines.join('\n');
  }
  const pause = `no shard served nothing for longer than ${Math.max(0.1, longestPauseMs).toFixed(1)} ms`;
  lines.push(result === 'applied' ? `generation ${generation} (${hash}) runs; ${pause}` : 'nothing live is different');
  if (isRollback) lines.push('the file still says what it said: a reload or a new start takes that again');
  return lines.join('\n');
}
