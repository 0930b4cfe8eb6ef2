/** The command line, read: commands and flags in one table, from which the help is printed too.
 *  By node:util's parseArgs rather than a package: it leaves every value the string it was (`--domain 0123`). */

import { parseArgs } from 'node:util';
import { nearest } from '../config/nearest.ts';
import type { Flags } from '../config/overrides.ts';

export type CommandName = 'start' | 'check' | 'stats' | 'status';

interface FlagRow {
  readonly name: string;
  readonly short?: string;
  /** What its value is called in the help; none for switches. */
  readonly value?: string;
  readonly isRepeatable?: boolean;
  readonly commands: readonly CommandName[];
  readonly help: string;
}

const CONFIGURED: readonly CommandName[] = ['start', 'check'];
const ASKING: readonly CommandName[] = ['stats', 'status'];
const ALL: readonly CommandName[] = [...CONFIGURED, ...ASKING];

export const COMMANDS: { readonly [name in CommandName]: string } = {
  start: 'run the server (also what happens without a command)',
  check: 'say what is wrong with a configuration, or sum it up',
  stats: 'print the counters of a running server',
  status: 'print the state of a running server',
};

export const FLAG_ROWS: readonly FlagRow[] = [
  { name: 'config', short: 'c', value: 'FILE', commands: ALL, help: 'YAML configuration; without one: the defaults' },
  { name: 'mode', value: 'stateless|stateful', commands: CONFIGURED, help: 'how requests are forwarded' },
  {
    name: 'listen',
    value: 'udp:ADDRESS:PORT',
    isRepeatable: true,
    commands: ALL,
    help: 'a socket, e.g. udp:0.0.0.0:5060, udp:[::1]:5060, udp:*:5060 (repeatable)',
  },
  { name: 'workers', value: 'N|auto', commands: CONFIGURED, help: 'shards; auto: the cores less one' },
  { name: 'domain', value: 'NAME', isRepeatable: true, commands: CONFIGURED, help: 'a domain of ours (repeatable)' },
  {
    name: 'next-hop',
    value: 'sip:HOST[:PORT]',
    isRepeatable: true,
    commands: CONFIGURED,
    help: 'where requests for our domains go (repeatable)',
  },
  {
    name: 'trusted',
    value: 'CIDR',
    isRepeatable: true,
    commands: CONFIGURED,
    help: 'sources that may reach foreign domains; default: loopback (repeatable)',
  },
  {
    name: 'set',
    value: 'PATH=VALUE',
    isRepeatable: true,
    commands: CONFIGURED,
    help: 'any other setting, e.g. dispatcher.nap=off, limits.slots=65536 (repeatable)',
  },
  { name: 'control', value: 'PATH', commands: ALL, help: 'the control socket; for start also auto or off' },
  { name: 'json', commands: ASKING, help: 'as JSON, everything, for programs' },
  { name: 'all', commands: ['stats'], help: 'also the counters that are zero' },
  { name: 'watch', commands: ['stats'], help: 'again every second, with the change per second' },
  { name: 'help', short: 'h', commands: ALL, help: 'this text, or that of a command' },
  { name: 'version', short: 'v', commands: ALL, help: 'the version' },
];

export interface Arguments {
  readonly command: CommandName;
  /** Whether the command was written out: `strowger --help` is about all of them. */
  readonly isCommandGiven: boolean;
  readonly config: string | undefined;
  readonly flags: Flags;
  readonly sets: readonly string[];
  readonly wants: ReadonlySet<string>;
}

/** A command line that cannot be meant: one line, exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export function parseArguments(argv: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      FLAG_ROWS.map(({ name, short, value }) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', multiple: true, ...(short === undefined ? {} : { short }) },
      ]),
    ),
  });
  const words = tokens.filter((token) => token.kind === 'positional').map((token) => token.value);
  const wants = new Set<string>();
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const row = FLAG_ROWS.find(({ name }) => name === token.name);
    if (row === undefined) throw unknownFlag(token.rawName);
    if (row.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`--${row.name} takes no value`);
      wants.add(row.name);
      continue;
    }
    if (!token.value || (!token.inlineValue && token.value.startsWith('-'))) {
      throw new UsageError(`--${row.name} needs a value: --${row.name} ${row.value}`);
    }
    const before = values.get(row.name) ?? [];
    if (before.length > 0 && row.isRepeatable !== true) throw new UsageError(`--${row.name} is there twice`);
    values.set(row.name, [...before, token.value]);
  }
  const command = commandOf(words, wants);
  for (const name of [...wants, ...values.keys()]) {
    const row = FLAG_ROWS.find((candidate) => candidate.name === name)!;
    if (!row.commands.includes(command)) {
      throw new UsageError(`--${name} means nothing to ${command}; it is for ${row.commands.join(' and ')}`);
    }
  }
  const one = (name: string) => values.get(name)?.[0];
  return {
    command,
    isCommandGiven: words.some((word) => word !== 'help'),
    config: one('config'),
    flags: {
      mode: one('mode'),
      listen: values.get('listen'),
      workers: one('workers'),
      domain: values.get('domain'),
      nextHop: values.get('next-hop'),
      trusted: values.get('trusted'),
      control: one('control'),
    },
    sets: values.get('set') ?? [],
    wants,
  };
}

/** The command among the words; `help` before it asks for its help. */
function commandOf(words: readonly string[], wants: Set<string>): CommandName {
  const isHelp = words[0] === 'help';
  if (isHelp) wants.add('help');
  const [word, excess] = isHelp ? words.slice(1) : words;
  if (word === undefined) return 'start';
  if (!Object.hasOwn(COMMANDS, word)) {
    const guess = nearest(word, [...Object.keys(COMMANDS), 'help']);
    const hint = guess === null ? '' : `did you mean ${guess}? `;
    throw new UsageError(`unknown command ${word}; ${hint}there are ${Object.keys(COMMANDS).join(', ')}`);
  }
  if (excess !== undefined) throw new UsageError(`${word} takes flags only, and there is ${JSON.stringify(excess)}`);
  return word as CommandName;
}

function unknownFlag(rawName: string): UsageError {
  const guess =
    rawName.length > 2
      ? nearest(
          rawName,
          FLAG_ROWS.map(({ name }) => `--${name}`),
        )
      : null;
  const hint = guess === null ? '' : `; did you mean ${guess}?`;
  return new UsageError(`unknown flag ${rawName}${hint}${hint.endsWith('?') ? '' : ';'} strowger --help lists them`);
}
