/** The commands that only ask a running server: each is a row that says which control method it calls (runtime/control/), what
 *  of the command line goes into which parameter, and how the answer looks to people. Help, checks and `--json` follow from
 *  the row and from the method's own.
 *
 *  A new command is a row in VERBS; a new noun is also one in VERB_NOUNS. */

import type { z } from 'zod';
import type { DistinctError } from '../observe/distinct-errors.ts';
import type { ControlMethod } from '../runtime/control/method.ts';
import { METHODS } from '../runtime/control/methods.ts';
import { grouped, renderTable } from './table.ts';

export interface VerbOperand {
  /** As the help has it; in brackets, it may be left out: `[LEVEL]`. */
  readonly usage: string;
  /** The parameter of the method that it goes into. */
  readonly param: string;
}

export interface VerbFlag {
  readonly name: string;
  /** What its value is called in the help; none for a switch, which is `true` where it is given. */
  readonly value?: string;
  /** The parameter that it goes into; the name of the flag if this is left out. */
  readonly param?: string;
  /** The help; that of the parameter if this is left out. */
  readonly help?: string;
  /** What its value becomes; a string says what is wrong with it. Without this, numbers are read where the method wants one. */
  readonly read?: (text: string) => { readonly value: unknown } | string;
}

export interface VerbRow {
  readonly method: string;
  readonly operands?: readonly VerbOperand[];
  readonly flags?: readonly VerbFlag[];
  /** More for the help of this command; a blank line between paragraphs. */
  readonly about?: string;
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** What people see. `lineWidth`: that of the terminal, Infinity where there is none. */
  readonly print: (answer: never, lineWidth: number) => string;
}

export const VERBS = {
  'error list': {
    method: 'errors.recent',
    flags: [{ name: 'limit', value: 'N' }],
    examples: [['strowger error list', 'what went wrong lately, and what to do about it']],
    print: printErrors,
  },
} as const satisfies Readonly<Record<string, VerbRow>>;

export const VERB_NOUNS = {
  error: 'what went wrong in a running server',
} as const;

export type VerbName = keyof typeof VERBS;
export type VerbNoun = keyof typeof VERB_NOUNS;

export const VERB_NAMES = Object.keys(VERBS) as readonly VerbName[];

export function verbOf(name: VerbName): VerbRow {
  return VERBS[name];
}

export function methodOf(name: VerbName): ControlMethod {
  return METHODS[VERBS[name].method]!;
}

/** The help of a command, as it stands in the list of all. */
export function helpOfVerb(name: VerbName): string {
  const { help } = methodOf(name);
  return help.charAt(0).toLowerCase() + help.slice(1);
}

export function paramOf({ name, param = name }: VerbFlag): string {
  return param;
}

export function helpOfFlag(name: VerbName, flag: VerbFlag): string {
  return flag.help ?? schemaOf(name, paramOf(flag))?.description?.replaceAll('`', '') ?? '';
}

/** What the text of an operand or flag becomes; a string says what is wrong with it. */
export function readValue(name: VerbName, param: string, text: string): { readonly value: unknown } | string {
  const schema = schemaOf(name, param);
  if (schema === undefined) return { value: text };
  const asText = schema.safeParse(text);
  if (asText.success) return { value: text };
  const asNumber = /^-?\d+(?:\.\d+)?$/.test(text) ? schema.safeParse(Number(text)) : null;
  if (asNumber?.success === true) return { value: Number(text) };
  return (asNumber ?? asText).error!.issues[0]!.message;
}

function schemaOf(name: VerbName, param: string): z.ZodType | undefined {
  return methodOf(name).params.shape[param] as z.ZodType | undefined;
}

// ---- Texts for people -----------------------------------------------------------------------------------------------

function printErrors({ errors }: { errors: readonly DistinctError[] }, lineWidth: number): string {
  if (errors.length === 0) return 'nothing went wrong since the start';
  const rows = errors.map(({ kind, count, lastAt, text, hint }) => [
    lastAt.slice(0, 19),
    grouped(count),
    text === kind || hint !== null ? text : `${kind}: ${text}`,
    hint ?? '',
  ]);
  return renderTable(
    [
      { title: 'LAST (UTC)' },
      { title: 'COUNT', isFigure: true },
      { title: 'WHAT', leastWidth: 30 },
      { title: 'DO', leastWidth: 20 },
    ],
    rows,
    lineWidth,
  );
}
