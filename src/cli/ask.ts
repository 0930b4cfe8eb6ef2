/** Runs a command of verbs.ts: its parameters from the command line, one call, its answer printed. */

import { type Arguments, UsageError } from './arguments.ts';
import { asking } from './control-client.ts';
import { asJson, printable } from './table.ts';
import { paramOf, readValue, type VerbFlag, type VerbName, verbOf } from './verbs.ts';

/** The exit code. */
export function ask(args: Arguments, name: VerbName): Promise<number> {
  const { method, print, limitMs } = verbOf(name);
  const params = paramsOf(args, name);
  return asking(args, async (client) => {
    const answer = await client.call(method, params, limitMs);
    if (args.wants.has('json')) console.log(asJson(answer));
    else console.log(print(answer as never, process.stdout.isTTY ? process.stdout.columns : Infinity));
  });
}

/** Throws a UsageError for what the method would not take. */
export function paramsOf(args: Arguments, name: VerbName): Record<string, unknown> {
  const { operands = [], flags = [] } = verbOf(name);
  const params: Record<string, unknown> = {};
  for (const [i, { usage, param, read: readWith }] of operands.entries()) {
    const text = args.operands[i];
    if (text === undefined) continue;
    if (readWith !== undefined) {
      const chosen = readWith(text);
      params[chosen.param] = chosen.value;
      continue;
    }
    const read = readValue(name, param, text);
    if (typeof read === 'string') throw new UsageError(`${usage.replace(/[[\]]/g, '')} ${printable(text)}: ${read}`);
    params[param] = read.value;
  }
  for (const flag of flags) {
    const value = flag.value === undefined ? args.wants.has(flag.name) || undefined : flagValue(args, name, flag);
    if (value !== undefined) params[paramOf(flag)] = value;
  }
  return params;
}

function flagValue(args: Arguments, name: VerbName, flag: VerbFlag): unknown {
  const text = args.valueFor(flag.name);
  if (text === undefined) return undefined;
  const read = flag.read?.(text) ?? readValue(name, paramOf(flag), text);
  if (typeof read === 'string') throw new UsageError(`--${flag.name} ${printable(text)}: ${read}`);
  return read.value;
}
